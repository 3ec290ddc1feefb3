/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_private_pool.c: who serves: threads bound to a private door, threads
 * that the program's own door_server_create() makes or declines to make,
 * door_xcreate(); and what queued callers get in the end.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CALLERS 8

struct shared {
    sem_t entered;
    sem_t released;
    sem_t go_on; /* for the server's main thread */
    _Atomic long running, most_running, calls;
    _Atomic long depletions;       /* calls of the creation function */
    _Atomic long private_requests; /* of those, with a door_info */
    _Atomic long by_main;          /* calls served by the main thread */
    _Atomic long setups;
    _Atomic bool decline;
};

static struct shared *shared;
static const char *path;
static int private_door;
static pthread_t main_thread;

static void prepare(void)
{
    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
    door_test_sem_init(&shared->go_on);
    path = door_test_path("door");
}

/* Blocks if it is called without data. */
static void serve(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    long running = atomic_fetch_add(&shared->running, 1) + 1, most = shared->most_running;

    (void)c;
    (void)dp;
    (void)n_desc;
    while (running > most && !atomic_compare_exchange_weak(&shared->most_running, &most, running))
        ;
    atomic_fetch_add(&shared->calls, 1);
    if (pthread_equal(pthread_self(), main_thread))
        atomic_fetch_add(&shared->by_main, 1);
    if (arg_size == 0) {
        sem_post(&shared->entered);
        door_test_require(door_test_sem_wait(&shared->released));
    }
    atomic_fetch_sub(&shared->running, 1);
    door_return(argp, arg_size, NULL, 0);
}

static void *serve_bound(void *arg)
{
    door_test_require(door_bind(private_door) == 0);
    door_return(NULL, 0, NULL, 0);
    return arg;
}

static void *serve_unbound(void *arg)
{
    door_return(NULL, 0, NULL, 0);
    return arg;
}

static void start_thread(void *(*run)(void *))
{
    pthread_t thread;

    door_test_require(pthread_create(&thread, NULL, run, NULL) == 0);
}

static void decline(door_info_t *info)
{
    if (info != NULL)
        atomic_fetch_add(&shared->private_requests, 1);
    atomic_fetch_add(&shared->depletions, 1);
}

struct caller {
    pthread_t thread;
    int door;
    bool block;
    int error;
};

static void *run_caller(void *arg)
{
    struct caller *c = arg;
    char byte = 'x';

    errno = 0;
    c->error = door_test_call(c->door, &byte, !c->block, &byte, 1) < 0 ? errno : 0;
    return NULL;
}

static void start_callers(struct caller *callers, int n, int door, bool block)
{
    for (int i = 0; i < n; i++) {
        callers[i] = (struct caller){.door = door, .block = block};
        ck_assert_int_eq(pthread_create(&callers[i].thread, NULL, run_caller, &callers[i]), 0);
    }
}

static void join_callers(struct caller *callers, int n, int error)
{
    for (int i = 0; i < n; i++) {
        pthread_join(callers[i].thread, NULL);
        ck_assert_int_eq(callers[i].error, error);
    }
}

/* A private door with as many bound threads as *arg says; the main thread waits. */
static void serve_private(void *arg)
{
    door_server_create(decline);
    private_door = door_create(serve, NULL, DOOR_PRIVATE);
    door_test_require(private_door >= 0);
    for (int i = 0; i < *(int *)arg; i++)
        start_thread(serve_bound);
    door_test_attach(private_door, path);
    door_test_ready();
    door_test_require(door_test_sem_wait(&shared->go_on));
    start_thread(serve_bound);
    door_test_pause();
}

START_TEST(one_bound_thread_serves_one_at_a_time)
{
    struct caller callers[CALLERS];
    int threads = 1;

    prepare();
    door_test_spawn(serve_private, &threads);
    start_callers(callers, CALLERS, door_test_open(path), true);
    for (int i = 0; i < CALLERS; i++) {
        ck_assert(door_test_sem_wait(&shared->entered));
        ck_assert_int_eq(shared->running, 1);
        sem_post(&shared->released);
    }
    join_callers(callers, CALLERS, 0);
    ck_assert_int_eq(shared->most_running, 1);
    ck_assert_int_ge(shared->private_requests, 1);
}
END_TEST

START_TEST(as_many_at_once_as_bound_threads)
{
    struct caller callers[CALLERS];
    int threads = 3;

    prepare();
    door_test_spawn(serve_private, &threads);
    start_callers(callers, CALLERS, door_test_open(path), true);
    for (int i = 0; i < 3; i++)
        ck_assert(door_test_sem_wait(&shared->entered));
    for (int i = 0; i < CALLERS; i++)
        sem_post(&shared->released);
    join_callers(callers, CALLERS, 0);
    ck_assert_int_eq(shared->most_running, 3);
}
END_TEST

START_TEST(callers_wait_for_the_first_thread)
{
    struct caller callers[CALLERS];
    int threads = 0;

    prepare();
    door_test_spawn(serve_private, &threads);
    start_callers(callers, CALLERS, door_test_open(path), false);
    ck_assert_int_eq(shared->calls, 0);
    sem_post(&shared->go_on);
    join_callers(callers, CALLERS, 0);
    ck_assert_int_eq(shared->calls, CALLERS);
}
END_TEST

/* The call that was taken: EINTR; those behind it: EBADF, and they never ran. */
START_TEST(queued_callers_of_a_killed_server)
{
    struct caller first, queued[CALLERS];
    int threads = 1, door;
    pid_t server;

    prepare();
    server = door_test_spawn(serve_private, &threads);
    door = door_test_open(path);
    start_callers(&first, 1, door, true);
    ck_assert(door_test_sem_wait(&shared->entered));
    start_callers(queued, CALLERS, door, true);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL); /* nothing tells of a queue */
    door_test_stop(server);
    join_callers(&first, 1, EINTR);
    join_callers(queued, CALLERS, EBADF);
    ck_assert_int_eq(shared->calls, 1);
}
END_TEST

static void serve_with_main_only(void *arg)
{
    (void)arg;
    door_server_create(decline);
    main_thread = pthread_self();
    private_door = door_create(serve, NULL, DOOR_PRIVATE);
    door_test_require(private_door >= 0);
    door_test_attach(private_door, path);
    door_test_require(door_bind(private_door) == 0);
    door_test_ready();
    door_return(NULL, 0, NULL, 0);
    door_test_die(__FILE__, __LINE__, "door_return() does not come back");
}

START_TEST(main_is_the_only_server_thread)
{
    struct caller callers[CALLERS];

    prepare();
    door_test_spawn(serve_with_main_only, NULL);
    start_callers(callers, CALLERS, door_test_open(path), false);
    join_callers(callers, CALLERS, 0);
    ck_assert_int_eq(shared->by_main, CALLERS);
}
END_TEST

static void serve_and_decline(void *arg)
{
    int d;

    (void)arg;
    door_server_create(decline);
    d = door_create(serve, NULL, 0);
    door_test_require(d >= 0);
    start_thread(serve_unbound);
    door_test_attach(d, path);
    door_test_ready();
    door_test_pause();
}

START_TEST(a_creation_function_that_declines)
{
    struct caller callers[CALLERS];

    prepare();
    door_test_spawn(serve_and_decline, NULL);
    ck_assert_int_eq(shared->depletions, 1); /* the first door_create() */
    start_callers(callers, CALLERS, door_test_open(path), true);
    for (int i = 0; i < CALLERS; i++) {
        ck_assert(door_test_sem_wait(&shared->entered));
        sem_post(&shared->released);
    }
    join_callers(callers, CALLERS, 0);
    ck_assert_int_eq(shared->most_running, 1);
    ck_assert_int_gt(shared->depletions, 1);
    ck_assert_int_eq(shared->private_requests, 0);
}
END_TEST

static void create_one(door_info_t *info)
{
    decline(info);
    start_thread(serve_unbound);
}

static void serve_and_create(void *arg)
{
    int d;

    (void)arg;
    door_server_create(create_one);
    d = door_create(serve, NULL, 0);
    door_test_require(d >= 0);
    door_test_attach(d, path);
    door_test_ready();
    door_test_pause();
}

START_TEST(a_creation_function_that_creates)
{
    struct caller callers[CALLERS];

    prepare();
    door_test_spawn(serve_and_create, NULL);
    start_callers(callers, CALLERS, door_test_open(path), true);
    for (int i = 0; i < CALLERS; i++)
        ck_assert(door_test_sem_wait(&shared->entered));
    for (int i = 0; i < CALLERS; i++)
        sem_post(&shared->released);
    join_callers(callers, CALLERS, 0);
    ck_assert_int_eq(shared->most_running, CALLERS);
    ck_assert_int_ge(shared->depletions, CALLERS);
}
END_TEST

START_TEST(door_server_create_returns_the_former_one)
{
    door_server_func_t *built_in;

    built_in = door_server_create(decline);
    ck_assert(built_in != decline);
    ck_assert(door_server_create(create_one) == decline);
    ck_assert(door_server_create(built_in) == create_one);
}
END_TEST

/*
 * What a creation function got is read by the thread that it started, as a textbook's
 * server does: late, and after another door was made.
 */
#define ARRIVALS 3

static struct arrival {
    door_info_t *info;
    void *(*startf)(void *); /* NULL: door_server_create(), the thread binds itself */
    void *startfarg;
} arrivals[ARRIVALS];
static long arrival_count, first_attributes[ARRIVALS];
static char cookies[ARRIVALS];

static void *arrive(void *arg)
{
    struct arrival *a = arg;
    long at;

    if (a->startf == NULL)
        door_test_require(door_test_sem_wait(&shared->go_on));
    at = (char *)(uintptr_t)a->info->di_data - cookies;
    door_test_require(at == a - arrivals || (a->startf != NULL && at == ARRIVALS - 1));
    door_test_require(a->info->di_proc == (door_ptr_t)(uintptr_t)serve);
    door_test_require(a->info->di_target == getpid());
    door_test_require((a->info->di_attributes & (DOOR_PRIVATE | DOOR_LOCAL)) ==
                      (DOOR_PRIVATE | DOOR_LOCAL));
    first_attributes[a - arrivals] = (long)a->info->di_attributes;
    if (a->startf != NULL)
        return a->startf(a->startfarg);
    sem_post(&shared->entered);
    return arg;
}

static void start_arrival(door_info_t *info, void *(*startf)(void *), void *startfarg)
{
    struct arrival *a = &arrivals[arrival_count++];
    pthread_t thread;

    *a = (struct arrival){info, startf, startfarg};
    ck_assert_int_eq(pthread_create(&thread, NULL, arrive, a), 0);
}

static void create_arrival(door_info_t *info)
{
    start_arrival(info, NULL, NULL);
}

START_TEST(what_a_creation_function_gets_stays)
{
    prepare();
    door_server_create(create_arrival);
    for (int i = 0; i < ARRIVALS; i++)
        ck_assert_int_ge(door_create(serve, &cookies[i], DOOR_PRIVATE), 0);
    ck_assert_int_eq(arrival_count, ARRIVALS);
    for (int i = 0; i < ARRIVALS; i++)
        sem_post(&shared->go_on);
    for (int i = 0; i < ARRIVALS; i++)
        ck_assert(door_test_sem_wait(&shared->entered));
}
END_TEST

static int create_late(door_info_t *info, void *(*startf)(void *), void *startfarg, void *cookie)
{
    static door_info_t *first;

    (void)cookie;
    if (first == NULL)
        first = info;
    else /* all of one door: the first ones are still what they were */
        ck_assert((first->di_attributes & DOOR_DEPLETION_CB) == 0);
    start_arrival(info, startf, startfarg);
    return 1;
}

START_TEST(what_door_xcreate_hands_out_stays)
{
    struct caller caller;
    int d;

    prepare();
    d = door_xcreate(serve, &cookies[ARRIVALS - 1], 0, create_late, NULL, NULL, 1);
    ck_assert_int_ge(d, 0);
    start_callers(&caller, 1, d, true); /* takes the only thread */
    ck_assert(door_test_sem_wait(&shared->entered));
    ck_assert_int_eq(arrival_count, 2);
    ck_assert_int_eq(first_attributes[0] & DOOR_DEPLETION_CB, 0);
    ck_assert_int_eq(first_attributes[1] & DOOR_DEPLETION_CB, DOOR_DEPLETION_CB);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(arrivals[i].info->di_data, (uintptr_t)&cookies[ARRIVALS - 1]);
        ck_assert_int_eq((long)arrivals[i].info->di_attributes, first_attributes[i]);
    }
    sem_post(&shared->released);
    join_callers(&caller, 1, 0);
}
END_TEST

/* DOOR_QUERY and door_unbind() speak of the calling thread. */
static void *check_binding(void *arg)
{
    door_info_t info, query;

    errno = 0;
    door_test_require(door_unbind() == -1 && errno == EBADF);
    errno = 0;
    door_test_require(door_info(DOOR_QUERY, &query) == -1 && errno == EBADF);
    door_test_require(door_bind(private_door) == 0);
    door_test_require(door_info(DOOR_QUERY, &query) == 0);
    door_test_require(door_info(private_door, &info) == 0);
    door_test_require(info.di_uniquifier == query.di_uniquifier);
    door_test_require((info.di_attributes & DOOR_PRIVATE) != 0);
    door_test_require(door_unbind() == 0);
    errno = 0;
    door_test_require(door_unbind() == -1 && errno == EBADF);
    return arg;
}

START_TEST(binding_and_unbinding)
{
    pthread_t thread;

    prepare();
    door_server_create(decline);
    private_door = door_create(serve, NULL, DOOR_PRIVATE);
    ck_assert_int_ge(private_door, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, check_binding, NULL), 0);
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(what_cannot_be_bound_to)
{
    int d, file = open("/dev/null", O_RDONLY);

    prepare();
    d = door_create(serve, NULL, 0);
    errno = 0;
    ck_assert_int_eq(door_bind(d), -1);
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    ck_assert_int_eq(door_bind(file), -1);
    ck_assert_int_eq(errno, EBADF);
    errno = 0;
    ck_assert_int_eq(door_bind(-1), -1);
    ck_assert_int_eq(errno, EBADF);
}
END_TEST

START_TEST(bound_to_a_revoked_door)
{
    struct caller callers[2];
    int copy;

    prepare();
    door_server_create(decline);
    private_door = door_create(serve, NULL, DOOR_PRIVATE);
    start_thread(serve_bound);
    copy = dup(private_door);
    start_callers(callers, 1, copy, true);
    ck_assert(door_test_sem_wait(&shared->entered));
    start_callers(callers + 1, 1, copy, true);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL); /* nothing tells of a queue */
    ck_assert_int_eq(door_revoke(private_door), 0);
    sem_post(&shared->released);
    join_callers(callers, 1, 0);
    join_callers(callers + 1, 1, EBADF);
    ck_assert_int_eq(shared->calls, 1);
}
END_TEST

static void set_up(void *cookie)
{
    door_test_require(cookie == shared);
    atomic_fetch_add(&shared->setups, 1);
}

static int create_thread(door_info_t *info, void *(*startf)(void *), void *arg, void *cookie)
{
    pthread_t thread;

    (void)info;
    door_test_require(cookie == shared);
    atomic_fetch_add(&shared->depletions, 1);
    if (shared->decline)
        return 0;
    door_test_require(pthread_create(&thread, NULL, startf, arg) == 0);
    return 1;
}

static void serve_xcreated(void *arg)
{
    int d = door_xcreate(serve, NULL, 0, create_thread, set_up, shared, *(int *)arg);

    door_test_require(d >= 0);
    door_test_attach(d, path);
    door_test_ready();
    door_test_pause();
}

START_TEST(door_xcreate_makes_its_threads)
{
    struct caller callers[CALLERS];
    int threads = 2;

    prepare();
    door_test_spawn(serve_xcreated, &threads);
    ck_assert_int_ge(shared->depletions, 2);
    ck_assert_int_eq(shared->setups, 2);
    start_callers(callers, CALLERS, door_test_open(path), true);
    for (int i = 0; i < CALLERS; i++)
        ck_assert(door_test_sem_wait(&shared->entered));
    for (int i = 0; i < CALLERS; i++)
        sem_post(&shared->released);
    join_callers(callers, CALLERS, 0);
    ck_assert_int_ge(shared->setups, CALLERS);
}
END_TEST

static int fail_to_create(door_info_t *info, void *(*startf)(void *), void *arg, void *cookie)
{
    (void)info;
    (void)startf;
    (void)arg;
    (void)cookie;
    return -1;
}

START_TEST(door_xcreate_that_fails)
{
    int before = door_test_fd_count();

    prepare();
    errno = 0;
    ck_assert_int_eq(door_xcreate(serve, NULL, 0, create_thread, NULL, shared, 0), -1);
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    ck_assert_int_eq(door_xcreate(serve, NULL, 0, NULL, NULL, shared, 1), -1);
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    ck_assert_int_eq(door_xcreate(serve, NULL, 0, fail_to_create, NULL, shared, 1), -1);
    ck_assert_int_eq(errno, EPIPE);
    ck_assert(door_test_fds_settle(0, before + 8));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("private pool");
    TCase *tc = door_test_tcase(suite, "pool", 30);

    tcase_add_test(tc, one_bound_thread_serves_one_at_a_time);
    tcase_add_test(tc, as_many_at_once_as_bound_threads);
    tcase_add_test(tc, callers_wait_for_the_first_thread);
    tcase_add_test(tc, queued_callers_of_a_killed_server);
    tcase_add_test(tc, main_is_the_only_server_thread);
    tcase_add_test(tc, a_creation_function_that_declines);
    tcase_add_test(tc, a_creation_function_that_creates);
    tcase_add_test(tc, door_server_create_returns_the_former_one);
    tcase_add_test(tc, what_a_creation_function_gets_stays);
    tcase_add_test(tc, what_door_xcreate_hands_out_stays);
    tcase_add_test(tc, binding_and_unbinding);
    tcase_add_test(tc, what_cannot_be_bound_to);
    tcase_add_test(tc, bound_to_a_revoked_door);
    tcase_add_test(tc, door_xcreate_makes_its_threads);
    tcase_add_test(tc, door_xcreate_that_fails);
    return door_test_run(suite);
}
