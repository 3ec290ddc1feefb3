/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_unref.c: DOOR_UNREF and DOOR_UNREF_MULTI: the invocation that tells the
 * server that nobody refers to its door any more; and DOOR_IS_UNREF.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum op { ANSWER, BLOCK, REVOKE, IS_UNREF };

struct shared {
    sem_t entered;
    sem_t released;
    _Atomic long unrefs;
    _Atomic long running_at_unref;
    _Atomic long running;
    _Atomic uint_t attributes; /* of the door, as the server last saw them */
};

static struct shared *shared;
static const char *path, *control_path;
static int own;
static uint_t wanted; /* attributes of the door */

static void unreferenced(size_t arg_size, uint_t n_desc)
{
    door_test_require(arg_size == 0 && n_desc == 0);
    shared->running_at_unref += shared->running;
    atomic_fetch_add(&shared->unrefs, 1);
    door_return(NULL, 0, NULL, 0);
}

static void serve(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    enum op op = ANSWER;
    door_info_t info;

    (void)c;
    (void)dp;
    if (argp == DOOR_UNREF_DATA)
        unreferenced(arg_size, n_desc);
    if (arg_size == sizeof(op))
        memcpy(&op, argp, sizeof(op));
    atomic_fetch_add(&shared->running, 1);
    if (op == BLOCK) {
        sem_post(&shared->entered);
        door_test_require(door_test_sem_wait(&shared->released));
    } else if (op == REVOKE) {
        door_test_require(door_revoke(own) == 0);
    } else if (op == IS_UNREF) {
        door_test_require(door_info(own, &info) == 0);
        shared->attributes = info.di_attributes;
    }
    atomic_fetch_sub(&shared->running, 1);
    door_return(NULL, 0, NULL, 0);
}

/* The door in question, and one that stays open to give orders through. */
static void serve_two(void *arg)
{
    int control = door_create(serve, NULL, 0);

    (void)arg;
    own = door_create(serve, NULL, wanted);
    door_test_require(own >= 0 && control >= 0);
    door_test_attach(own, path);
    door_test_attach(control, control_path);
    door_test_ready();
    door_test_pause();
}

/* Returns a descriptor of the control door. */
static int start(uint_t attributes)
{
    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
    path = door_test_path("door");
    control_path = door_test_path("control");
    wanted = attributes;
    door_test_spawn(serve_two, NULL);
    return door_test_open(control_path);
}

static int call(int d, enum op op)
{
    errno = 0;
    return door_test_call(d, &op, sizeof(op), NULL, 0) < 0 ? errno : 0;
}

static bool unrefs_are(void *arg)
{
    return shared->unrefs == *(long *)arg;
}

static void becomes_unreferenced(long unrefs)
{
    ck_assert_msg(door_test_await(unrefs_are, &unrefs), "told %ld times, not %ld",
                  (long)shared->unrefs, unrefs);
}

/* That nothing happens has no event to wait for: time has to do. */
static void stays_at(long unrefs)
{
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    ck_assert_int_eq(shared->unrefs, unrefs);
}

START_TEST(when_the_last_descriptor_is_closed)
{
    int d, copy;

    start(DOOR_UNREF);
    d = door_test_open(path);
    copy = dup(d);
    ck_assert_int_eq(fdetach(path), 0);
    ck_assert_int_eq(call(d, ANSWER), 0);
    close(d);
    stays_at(0);
    close(copy);
    becomes_unreferenced(1);
}
END_TEST

START_TEST(not_while_it_has_a_name)
{
    start(DOOR_UNREF);
    for (int i = 0; i < 3; i++)
        close(door_test_open(path));
    stays_at(0);
    ck_assert_int_eq(fdetach(path), 0);
    becomes_unreferenced(1);
}
END_TEST

START_TEST(when_the_last_client_dies)
{
    pid_t client;
    int d;

    start(DOOR_UNREF);
    d = door_test_open(path);
    client = fork();
    if (client == 0) {
        call(d, BLOCK);
        door_test_pause();
    }
    ck_assert(door_test_sem_wait(&shared->entered));
    sem_post(&shared->released);
    close(d);
    ck_assert_int_eq(fdetach(path), 0);
    stays_at(0);
    door_test_stop(client);
    becomes_unreferenced(1);
}
END_TEST

static void *block(void *arg)
{
    return (void *)(intptr_t)call(*(int *)arg, BLOCK);
}

START_TEST(after_running_calls_have_ended)
{
    pthread_t thread;
    int d;

    start(DOOR_UNREF);
    d = door_test_open(path);
    ck_assert_int_eq(fdetach(path), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, block, &d), 0);
    ck_assert(door_test_sem_wait(&shared->entered));
    close(d);
    stays_at(0);
    sem_post(&shared->released);
    pthread_join(thread, NULL);
    becomes_unreferenced(1);
    ck_assert_int_eq(shared->running_at_unref, 0);
}
END_TEST

static void give_name_and_take_it(int control)
{
    int d = door_test_open(path);

    ck_assert_int_eq(call(d, ANSWER), 0);
    ck_assert_int_eq(fdetach(path), 0);
    ck_assert_int_eq(fattach(d, path), 0);
    close(d);
    ck_assert_int_eq(call(control, ANSWER), 0);
}

START_TEST(moving_the_name_tells_nothing)
{
    int control = start(DOOR_UNREF_MULTI);

    for (int i = 0; i < 5; i++)
        give_name_and_take_it(control);
    stays_at(0);
    ck_assert_int_eq(fdetach(path), 0);
    becomes_unreferenced(1);
}
END_TEST

static void serve_local(uint_t attributes)
{
    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
    path = door_test_path("door");
    own = door_create(serve, NULL, attributes);
    ck_assert_int_ge(own, 0);
}

START_TEST(unref_tells_once)
{
    serve_local(DOOR_UNREF);
    for (int i = 0; i < 4; i++) {
        door_test_attach(own, path);
        close(door_test_open(path));
        ck_assert_int_eq(fdetach(path), 0);
        becomes_unreferenced(1);
    }
    stays_at(1);
}
END_TEST

START_TEST(unref_multi_tells_each_time)
{
    serve_local(DOOR_UNREF_MULTI);
    for (int i = 1; i <= 20; i++) {
        door_test_attach(own, path);
        close(door_test_open(path));
        ck_assert_int_eq(fdetach(path), 0);
        becomes_unreferenced(i);
    }
    stays_at(20);
}
END_TEST

/* The creator's descriptor is one like any other: of it and the name one is left. */
START_TEST(when_the_creator_closes_and_a_name_is_left)
{
    int d;

    serve_local(DOOR_UNREF_MULTI);
    door_test_attach(own, path);
    stays_at(0);
    close(own);
    becomes_unreferenced(1);
    d = door_test_open(path);
    ck_assert_int_eq(call(d, ANSWER), 0);
    stays_at(1);
}
END_TEST

START_TEST(not_when_the_creator_closes_and_two_are_left)
{
    int d;

    serve_local(DOOR_UNREF);
    door_test_attach(own, path);
    d = door_test_open(path);
    close(own);
    stays_at(0);
    ck_assert_int_eq(fdetach(path), 0);
    becomes_unreferenced(1);
    ck_assert_int_eq(call(d, ANSWER), 0);
}
END_TEST

START_TEST(a_call_by_the_creator_changes_nothing)
{
    serve_local(DOOR_UNREF_MULTI);
    for (int i = 1; i <= 3; i++) {
        ck_assert_int_eq(call(own, ANSWER), 0);
        door_test_attach(own, path);
        ck_assert_int_eq(call(own, ANSWER), 0);
        close(door_test_open(path));
        ck_assert_int_eq(fdetach(path), 0);
        becomes_unreferenced(i);
    }
    ck_assert_int_eq(call(own, IS_UNREF), 0);
    ck_assert((shared->attributes & DOOR_IS_UNREF) != 0);
}
END_TEST

START_TEST(without_the_attribute_nothing_is_told)
{
    int d;

    start(0);
    d = door_test_open(path);
    ck_assert_int_eq(fdetach(path), 0);
    ck_assert_int_eq(call(d, ANSWER), 0);
    close(d);
    stays_at(0);
}
END_TEST

START_TEST(a_revoked_door_is_never_told)
{
    int d;

    start(DOOR_UNREF_MULTI);
    d = door_test_open(path);
    ck_assert_int_eq(fdetach(path), 0);
    ck_assert_int_eq(call(d, REVOKE), 0);
    close(d);
    stays_at(0);
}
END_TEST

static bool is_unref(void *arg)
{
    ck_assert_int_eq(call(*(int *)arg, IS_UNREF), 0);
    return (shared->attributes & DOOR_IS_UNREF) != 0;
}

static void decline(door_info_t *info)
{
    (void)info;
}

static void make_and_revoke(uint_t attributes)
{
    int d = door_create(serve, NULL, DOOR_PRIVATE | attributes);

    door_test_require(d >= 0);
    door_test_attach(d, path);
    door_test_require(fdetach(path) == 0); /* from now on it is unreferenced */
    door_test_require(unlink(path) == 0 && door_revoke(d) == 0);
}

static int tell_nobody(void *unused)
{
    int before;

    (void)unused;
    door_server_create(decline);
    make_and_revoke(0);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL); /* the library has closed it */
    before = door_test_fd_count();
    for (int i = 0; i < 10; i++)
        make_and_revoke(DOOR_UNREF);
    return !door_test_fds_settle(0, before);
}

/* The pool of a private door has descriptors of its own. */
START_TEST(a_door_that_no_thread_is_told_of_leaves_nothing)
{
    path = door_test_path("door");
    ck_assert_int_eq(door_test_in_child(tell_nobody, NULL), 0);
}
END_TEST

START_TEST(is_unref_is_reported)
{
    int control = start(DOOR_UNREF_MULTI), d;

    d = door_test_open(path);
    ck_assert_int_eq(fdetach(path), 0);
    ck_assert(!is_unref(&control));
    close(d);
    ck_assert(door_test_await(is_unref, &control));
}
END_TEST

/* ------------------------------------------------ two at a time */

#define ROUNDS 40
#define THREADS 8
#define AT_ONCE_MS (DOOR_TEST_DEADLINE_MS / 2) /* one after the other takes all of it */

static sem_t all_in, all_out;

/* Both doors' have to be told at the same time for either to end soon. */
static void meet(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    int64_t until_ms = door_test_now_ms() + DOOR_TEST_DEADLINE_MS;
    long others = ((long)(intptr_t)c + 1) * 2; /* once both of this round were told */

    (void)arg_size;
    (void)dp;
    (void)n_desc;
    if (argp == DOOR_UNREF_DATA) {
        atomic_fetch_add(&shared->unrefs, 1);
        while (shared->unrefs < others && door_test_now_ms() < until_ms)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    } else {
        sem_post(&all_in);
        door_test_require(door_test_sem_wait(&all_out));
    }
    door_return(NULL, 0, NULL, 0);
}

static void *call_to_grow(void *d)
{
    door_test_require(door_call((int)(intptr_t)d, NULL) == 0);
    return NULL;
}

/* A pool of that many threads, which are idle then. */
static void grow_pool(void)
{
    int d = door_create(meet, NULL, 0);
    pthread_t threads[THREADS];

    door_test_sem_init(&all_in);
    door_test_sem_init(&all_out);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, call_to_grow, (void *)(intptr_t)d);
    for (int i = 0; i < THREADS; i++)
        door_test_require(door_test_sem_wait(&all_in));
    for (int i = 0; i < THREADS; i++)
        sem_post(&all_out);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* Holds both doors' last descriptors but one, and dies with them. */
static void lose_two(long round)
{
    int d[2], channel[2];
    char byte;
    pid_t child;

    door_test_require(pipe(channel) == 0);
    for (int i = 0; i < 2; i++) {
        d[i] = door_create(meet, (void *)(intptr_t)round, DOOR_UNREF);
        door_test_require(d[i] >= 0);
        door_test_attach(d[i], door_test_path(i == 0 ? "one" : "two"));
    }
    child = fork();
    if (child == 0) {
        for (int i = 0; i < 2; i++)
            door_test_require(open(door_test_path(i == 0 ? "one" : "two"), O_RDONLY) >= 0);
        door_test_require(write(channel[1], "x", 1) == 1);
        door_test_pause();
    }
    door_test_require(read(channel[0], &byte, 1) == 1);
    door_test_require(fdetach(door_test_path("one")) == 0);
    door_test_require(fdetach(door_test_path("two")) == 0);
    door_test_stop(child);
    close(channel[0]);
    close(channel[1]);
}

START_TEST(two_at_the_same_time)
{
    int64_t begun_ms;
    long told;

    shared = door_test_shared(sizeof(*shared));
    grow_pool();
    for (long round = 0; round < ROUNDS; round++) {
        told = 2 * (round + 1);
        begun_ms = door_test_now_ms();
        lose_two(round);
        ck_assert(door_test_await(unrefs_are, &told));
        ck_assert_int_lt(door_test_now_ms() - begun_ms, AT_ONCE_MS);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unref");
    TCase *tc = door_test_tcase(suite, "unref", 60);

    tcase_add_test(tc, when_the_last_descriptor_is_closed);
    tcase_add_test(tc, not_while_it_has_a_name);
    tcase_add_test(tc, when_the_last_client_dies);
    tcase_add_test(tc, after_running_calls_have_ended);
    tcase_add_test(tc, moving_the_name_tells_nothing);
    tcase_add_test(tc, unref_tells_once);
    tcase_add_test(tc, unref_multi_tells_each_time);
    tcase_add_test(tc, when_the_creator_closes_and_a_name_is_left);
    tcase_add_test(tc, not_when_the_creator_closes_and_two_are_left);
    tcase_add_test(tc, a_call_by_the_creator_changes_nothing);
    tcase_add_test(tc, without_the_attribute_nothing_is_told);
    tcase_add_test(tc, a_revoked_door_is_never_told);
    tcase_add_test(tc, a_door_that_no_thread_is_told_of_leaves_nothing);
    tcase_add_test(tc, is_unref_is_reported);
    tcase_add_test(tc, two_at_the_same_time);
    return door_test_run(suite);
}
