/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_cancel.c: what a client that gives up does to the thread that serves it:
 * cancellation where the thread allows it, nothing where it does not, and never
 * anything to the next client.
 */
#include "door_test.h"

#include <door_compat.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct shared {
    sem_t entered;
    sem_t released;
    _Atomic long cleanups; /* handlers that ran, by cancellation */
    _Atomic long finished; /* blocked procedures that came to their end */
    _Atomic long created;  /* threads of create_cancelable() */
    _Atomic bool is_late;  /* that posts entered, and waits for told */
    sem_t told;
};

static struct shared *shared;
static const char *path;
static pid_t server;
static int door;

static void count_cleanup(void *unused)
{
    (void)unused;
    atomic_fetch_add(&shared->cleanups, 1);
}

static void use_up_descriptors(void)
{
    door_test_require(setrlimit(RLIMIT_NOFILE, &(struct rlimit){64, 64}) == 0);
    while (open("/dev/null", O_RDONLY) >= 0)
        continue;
    door_test_require(errno == EMFILE);
}

/* The caller is asked who it is; with 3 bytes in a thread that is to end. */
static void ask_who_calls(size_t arg_size)
{
    door_cred_t cred;

    if (arg_size == 3)
        pthread_cancel(pthread_self());
    door_test_require(door_cred(&cred) == 0);
    pthread_testcancel();
}

/* Blocks at a cancellation point if it is called without data. */
static void serve(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)c;
    (void)dp;
    (void)n_desc;
    if (arg_size == 2)
        use_up_descriptors();
    if (arg_size == 3 || arg_size == 4)
        ask_who_calls(arg_size);
    if (arg_size == 0) {
        pthread_cleanup_push(count_cleanup, NULL);
        sem_post(&shared->entered);
        door_test_require(door_test_sem_wait(&shared->released));
        atomic_fetch_add(&shared->finished, 1);
        pthread_cleanup_pop(0);
    }
    door_return(argp, arg_size, NULL, 0);
}

static void *run_cancelable(void *arg)
{
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    door_return(NULL, 0, NULL, 0);
    return arg;
}

static void create_cancelable(door_info_t *info)
{
    pthread_t thread;
    pthread_attr_t attr;

    (void)info;
    if (shared->is_late) {
        sem_post(&shared->entered);
        door_test_require(door_test_sem_wait(&shared->told));
    }
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    door_test_require(pthread_create(&thread, &attr, run_cancelable, NULL) == 0);
    pthread_attr_destroy(&attr);
    atomic_fetch_add(&shared->created, 1);
}

struct options {
    bool cancelable;
    uint_t attributes;
};

static void run_server(void *arg)
{
    struct options *o = arg;
    int d;

    if (o->cancelable)
        door_server_create(create_cancelable);
    d = door_create(serve, NULL, o->attributes);
    door_test_require(d >= 0);
    door_test_attach(d, path);
    door_test_ready();
    door_test_pause();
}

static void start(bool cancelable, uint_t attributes)
{
    struct options o = {cancelable, attributes};

    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
    door_test_sem_init(&shared->told);
    path = door_test_path("door");
    server = door_test_spawn(run_server, &o);
    door = door_test_open(path);
}

/* A client that is killed while its call runs. */
static void give_up(void)
{
    pid_t client = fork();

    ck_assert_int_ge(client, 0);
    if (client == 0)
        _exit(door_call(door, NULL));
    ck_assert(door_test_sem_wait(&shared->entered));
    door_test_stop(client);
}

static void others_are_served(int n)
{
    char byte = 'x';

    for (int i = 0; i < n; i++)
        ck_assert_int_eq(door_test_call(door, &byte, 1, &byte, 1), 1);
}

static bool cleanups_are(void *arg)
{
    return shared->cleanups == *(long *)arg;
}

static bool finished_are(void *arg)
{
    return shared->finished == *(long *)arg;
}

START_TEST(a_thread_that_allows_it_is_cancelled)
{
    long cleanups = 1;

    start(true, 0);
    give_up();
    ck_assert(door_test_await(cleanups_are, &cleanups));
    ck_assert_int_eq(shared->finished, 0);
    others_are_served(100);
}
END_TEST

/* The server has read what this process, or one that has ended, has sent it. */
static void settle(void)
{
    door_info_t info;

    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(door_info(door, &info), 0);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

static void give_up_in_time(void)
{
    struct door_test_late late;
    struct door_terms terms = {.deadline_ns = &late.deadline_ns};
    struct door_handle *handle = door_handle_open(door);

    ck_assert_ptr_nonnull(handle);
    door_test_late_after(&late, &shared->entered);
    ck_assert_int_eq(door_handle_call(handle, NULL, &terms), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    door_test_late_end(&late);
    door_handle_close(handle);
}

/* While the thread that took the call has another one created, or copies arguments. */
START_TEST(given_up_before_the_procedure)
{
    long cleanups = 1;

    start(true, 0);
    shared->is_late = true;
    if (_i == 0)
        give_up();
    else
        give_up_in_time();
    settle();
    shared->is_late = false;
    sem_post(&shared->told);
    ck_assert(door_test_await(cleanups_are, &cleanups));
    ck_assert_int_eq(shared->finished, 0);
    others_are_served(20);
}
END_TEST

static void runs_to_its_end(bool cancelable, uint_t attributes)
{
    long finished = 1;

    start(cancelable, attributes);
    give_up();
    others_are_served(20);
    ck_assert_int_eq(shared->finished, 0);
    sem_post(&shared->released);
    ck_assert(door_test_await(finished_are, &finished));
    ck_assert_int_eq(shared->cleanups, 0);
    others_are_served(20);
}

START_TEST(threads_of_the_library_are_not)
{
    runs_to_its_end(false, 0);
}
END_TEST

START_TEST(with_door_no_cancel_none_is)
{
    runs_to_its_end(true, DOOR_NO_CANCEL);
}
END_TEST

static void handler(int signal)
{
    (void)signal;
}

static void *poke(void *arg)
{
    door_test_require(door_test_sem_wait(&shared->entered));
    while (shared->cleanups == 0) {
        pthread_kill(*(pthread_t *)arg, SIGUSR1);
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return NULL;
}

static void interrupt_a_call(void)
{
    struct sigaction action = {.sa_handler = handler};
    pthread_t self = pthread_self(), thread;

    sigaction(SIGUSR1, &action, NULL);
    ck_assert_int_eq(pthread_create(&thread, NULL, poke, &self), 0);
    errno = 0;
    ck_assert_int_eq(door_call(door, NULL), -1);
    ck_assert_int_eq(errno, EINTR);
    pthread_join(thread, NULL);
    ck_assert_int_eq(shared->cleanups, 1);
    others_are_served(20);
}

/* A handled signal is a way to give up, too. */
START_TEST(an_interrupted_call_is_cancelled)
{
    start(true, 0);
    interrupt_a_call();
}
END_TEST

/* The unwinder would be loaded at the first cancellation, and the process ended without it. */
START_TEST(a_server_without_descriptors_cancels)
{
    if (door_test_sanitized()) /* what its reports leave out it finds by way of a socket */
        return;
    start(true, 0);
    ck_assert_int_eq(door_test_call(door, "xx", 2, NULL, 0), 2);
    interrupt_a_call();
}
END_TEST

/* The cancellation belongs to the call that was given up, whenever it arrives. */
START_TEST(the_next_client_is_not_hit)
{
    enum { ROUNDS = 100 };
    int before = 0;

    start(true, 0);
    for (long i = 1; i <= ROUNDS; i++) {
        give_up();
        if (i % 2 == 0)
            sem_post(&shared->released); /* races with the cancellation */
        others_are_served(10);
        if (i == 20)
            before = door_test_fd_count_of(server);
    }
    ck_assert(door_test_fds_settle(server, before + 4));
    ck_assert_int_le(shared->cleanups + shared->finished, ROUNDS);
}
END_TEST

static void *serve_others(void *arg)
{
    char byte = 'y';

    for (int i = 0; i < 3000; i++)
        if (door_test_call(door, &byte, 1, &byte, 1) != 1)
            return arg;
    return NULL;
}

START_TEST(calls_at_the_same_time_are_not_hit)
{
    pthread_t threads[4];
    void *failed;

    start(true, 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, serve_others, &door), 0);
    for (int i = 0; i < 30; i++)
        give_up();
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
}
END_TEST

static bool few_threads(void *arg)
{
    return door_test_thread_count(server) <= *(int *)arg;
}

START_TEST(cancelled_threads_are_replaced_and_gone)
{
    int few = 0;
    long cleanups;

    start(true, 0);
    for (cleanups = 1; cleanups <= 50; cleanups++) {
        give_up();
        ck_assert(door_test_await(cleanups_are, &cleanups));
        if (cleanups == 10)
            few = door_test_thread_count(server) + 4;
    }
    ck_assert(door_test_await(few_threads, &few));
    others_are_served(20);
}
END_TEST

/* A call that fails before the procedure is none of those that change that. */
START_TEST(a_refused_call_changes_nothing)
{
    door_desc_t desc = {DOOR_DESCRIPTOR, {.d_desc = {STDERR_FILENO, 0}}};
    door_arg_t arg = {.desc_ptr = &desc, .desc_num = 1};
    long cleanups = 1;

    start(true, DOOR_REFUSE_DESC);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(door_call(door, &arg), -1);
        ck_assert_int_eq(errno, ENOTSUP);
    }
    give_up();
    ck_assert(door_test_await(cleanups_are, &cleanups));
}
END_TEST

/* ------------------------------------------------ in the middle of the library */

START_TEST(a_thread_that_asks_who_calls)
{
    start(true, 0);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(door_test_call(door, "xxx", 3, NULL, 0), -1);
        ck_assert_int_eq(errno, EINTR);
        ck_assert_int_eq(door_test_call(door, "xxxx", 4, NULL, 0), 4);
    }
    others_are_served(20);
}
END_TEST

static void *create_and_end(void *is_server)
{
    pthread_cancel(pthread_self());
    if (*(bool *)is_server)
        door_return(NULL, 0, NULL, 0);
    close(door_create(serve, NULL, 0));
    return NULL;
}

static int create_twice(void *is_server)
{
    pthread_t thread;
    char byte = 'x';
    int d;

    door_test_require(pthread_create(&thread, NULL, create_and_end, is_server) == 0);
    if (!*(bool *)is_server)
        pthread_join(thread, NULL);
    else
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    d = door_create(serve, NULL, 0);
    door_test_require(d >= 0);
    door_test_require(door_test_call(d, &byte, 1, &byte, 1) == 1);
    return 0;
}

/* The first to use it makes what the others need. */
START_TEST(a_thread_that_comes_first)
{
    bool is_server = _i == 1;

    ck_assert_int_eq(door_test_in_child(create_twice, &is_server), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cancel");
    TCase *tc = door_test_tcase(suite, "cancel", 60);

    tcase_add_test(tc, a_thread_that_allows_it_is_cancelled);
    tcase_add_loop_test(tc, given_up_before_the_procedure, 0, 2);
    tcase_add_test(tc, threads_of_the_library_are_not);
    tcase_add_test(tc, with_door_no_cancel_none_is);
    tcase_add_test(tc, an_interrupted_call_is_cancelled);
    tcase_add_test(tc, a_server_without_descriptors_cancels);
    tcase_add_test(tc, the_next_client_is_not_hit);
    tcase_add_test(tc, calls_at_the_same_time_are_not_hit);
    tcase_add_test(tc, cancelled_threads_are_replaced_and_gone);
    tcase_add_test(tc, a_refused_call_changes_nothing);
    tcase_add_test(tc, a_thread_that_asks_who_calls);
    tcase_add_loop_test(tc, a_thread_that_comes_first, 0, 2);
    return door_test_run(suite);
}
