/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_return.c: door_return(): a clean stack for every call, no growth, what
 * of a procedure survives it, and procedures and threads that end otherwise.
 */
#include "door_test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAME_BYTES (256 * 1024)
#define LARGE       ((size_t)16 << 20)

struct shared {
    sem_t entered;
    sem_t released;
    _Atomic long calls;
    _Atomic long threads;     /* that served a call */
    _Atomic long destructors; /* of thread-specific data that ran */
    _Atomic long cleanups;    /* handlers that ran */
    _Atomic uintptr_t lowest; /* address of a local of the procedure */
    _Atomic uintptr_t highest;
    _Atomic long main_returned; /* door_return() came back in main */
    _Atomic int error;
};

static struct shared *shared;
static const char *path;
static pid_t server;
static int door;
static char *large;

static void prepare(void)
{
    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
    shared->lowest = UINTPTR_MAX;
    path = door_test_path("door");
}

static void start(door_server_procedure_t *procedure)
{
    prepare();
    server = door_test_serve(path, procedure, NULL, 0);
    door = door_test_open(path);
}

static void unused(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)c;
    (void)argp;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
}

static void echo(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    unused(c, argp, arg_size, dp, n_desc);
    door_return(argp, arg_size, NULL, 0);
}

static void call_many(long n)
{
    char data[64], result[64];

    door_test_fill(data, sizeof(data), 1);
    for (long i = 0; i < n; i++)
        ck_assert_int_eq(door_test_call(door, data, sizeof(data), result, sizeof(result)), 64);
    ck_assert(door_test_filled(result, sizeof(result), 1));
}

START_TEST(a_million_calls)
{
    long server_kb, client_kb;
    int server_fds, threads, more;

    start(echo);
    call_many(1000);
    server_kb = door_test_resident_kb(server);
    client_kb = door_test_resident_kb(getpid());
    server_fds = door_test_fd_count_of(server);
    threads = door_test_thread_count(server);
    call_many(door_test_sanitized() ? 5000 : 1000000); /* TSan keeps every frame left by longjmp */
    ck_assert(door_test_fds_settle(server, server_fds));
    /*
     * Where others have the processors, the pool has some threads more at times; and one
     * that closed something in the beginning has ended.
     */
    more = door_test_thread_count(server) - threads + 1;
    ck_assert_int_le(more, 30);
    if (!door_test_sanitized()) {
        ck_assert_int_lt(door_test_resident_kb(server),
                         server_kb + 1024 + 64 * (more > 0 ? more : 0));
        ck_assert_int_lt(door_test_resident_kb(getpid()), client_kb + 1024);
    }
}
END_TEST

static void note_address(uintptr_t at)
{
    uintptr_t low = shared->lowest, high = shared->highest;

    while (at < low && !atomic_compare_exchange_weak(&shared->lowest, &low, at))
        ;
    while (at > high && !atomic_compare_exchange_weak(&shared->highest, &high, at))
        ;
}

/* Touches a frame that would not fit into any stack a few dozen times. */
static void use_a_deep_frame(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    volatile char frame[FRAME_BYTES];

    unused(c, argp, arg_size, dp, n_desc);
    for (size_t i = 0; i < sizeof(frame); i += 512)
        frame[i] = (char)i;
    door_return((char *)frame, 100, NULL, 0);
}

START_TEST(deep_frames_do_not_pile_up)
{
    char result[100];
    long resident = 0;

    start(use_a_deep_frame);
    for (long i = 0; i < 2000; i++) {
        ck_assert_int_eq(door_test_call(door, NULL, 0, result, sizeof(result)), 100);
        if (i == 10)
            resident = door_test_resident_kb(server);
    }
    if (!door_test_sanitized())
        ck_assert_int_lt(door_test_resident_kb(server), resident + 2048);
}
END_TEST

static void tell_address(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    static __thread uintptr_t first;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);

    unused(c, argp, arg_size, dp, n_desc);
    if (first == 0)
        first = here;
    note_address(here - first + (uintptr_t)1024 * 1024);
    door_return(NULL, 0, NULL, 0);
}

/* The procedure starts where it started last time, the room for arguments aside. */
START_TEST(the_stack_does_not_drift)
{
    char data[4096] = "";

    start(tell_address);
    for (int i = 0; i < 3000; i++)
        ck_assert_int_eq(door_test_call(door, data, i % sizeof(data), NULL, 0), 0);
    ck_assert_uint_lt(shared->highest - shared->lowest, 64 * 1024);
}
END_TEST

static pthread_key_t key;

static void count_destructor(void *value)
{
    (void)value;
    atomic_fetch_add(&shared->destructors, 1);
}

static void count_cleanup(void *value)
{
    (void)value;
    atomic_fetch_add(&shared->cleanups, 1);
}

/* Returns how many calls this thread served so far, by two ways to count. */
static void keep_data(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    static __thread long local;
    long counts[2], *specific = pthread_getspecific(key);

    unused(c, argp, arg_size, dp, n_desc);
    if (specific == NULL) {
        specific = calloc(1, sizeof(*specific));
        door_test_require(pthread_setspecific(key, specific) == 0);
        atomic_fetch_add(&shared->threads, 1);
    }
    atomic_fetch_add(&shared->calls, 1);
    counts[0] = ++local;
    counts[1] = ++*specific;
    pthread_cleanup_push(count_cleanup, NULL);
    door_return((char *)counts, sizeof(counts), NULL, 0);
    pthread_cleanup_pop(0);
}

/* Thread-local variables outlive the call: what caches and connections are kept in. */
START_TEST(thread_local_data_stays)
{
    enum { CALLS = 500 };
    long counts[2], most = 0;

    prepare();
    ck_assert_int_eq(pthread_key_create(&key, count_destructor), 0);
    server = door_test_serve(path, keep_data, NULL, 0);
    door = door_test_open(path);
    for (int i = 0; i < CALLS; i++) {
        ck_assert_int_eq(door_test_call(door, NULL, 0, counts, sizeof(counts)),
                         (ssize_t)sizeof(counts));
        ck_assert_int_eq(counts[0], counts[1]);
        most = counts[0] > most ? counts[0] : most;
    }
    ck_assert_int_eq(shared->calls, CALLS);
    ck_assert_int_le(shared->threads, 4);
    ck_assert_int_ge(most, CALLS / 4);
    ck_assert_int_eq(shared->destructors, 0);
    ck_assert_int_eq(shared->cleanups, 0);
}
END_TEST

static void return_plainly(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    unused(c, argp, arg_size, dp, n_desc);
    if (arg_size > 0)
        return;
    door_return(NULL, 0, NULL, 0);
}

static bool few_threads(void *arg)
{
    return door_test_thread_count(server) <= *(int *)arg;
}

/* As on illumos: the thread ends, which breaks off the call. */
START_TEST(a_procedure_that_just_returns)
{
    int before = 0;

    start(return_plainly);
    for (int i = 0; i < 50; i++) {
        char byte = 'x';

        errno = 0;
        ck_assert_int_eq(door_test_call(door, &byte, 1, &byte, 1), -1);
        ck_assert_int_eq(errno, EINTR);
        ck_assert_int_eq(door_call(door, NULL), 0);
        if (i == 10)
            before = door_test_thread_count(server);
    }
    before += 20; /* those that end, and some more where others have the processors */
    ck_assert(door_test_await(few_threads, &before));
}
END_TEST

static void exit_thread(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    unused(c, argp, arg_size, dp, n_desc);
    if (arg_size > 0)
        pthread_exit(NULL);
    door_return(NULL, 0, NULL, 0);
}

START_TEST(a_procedure_that_ends_its_thread)
{
    int before = 0;

    start(exit_thread);
    for (int i = 0; i < 50; i++) {
        char byte = 'x';
        int64_t began = door_test_now_ms();

        errno = 0;
        ck_assert_int_eq(door_test_call(door, &byte, 1, &byte, 1), -1);
        ck_assert_int_eq(errno, EINTR);
        ck_assert_int_lt(door_test_now_ms() - began, 10000);
        ck_assert_int_eq(door_call(door, NULL), 0);
        if (i == 10)
            before = door_test_thread_count(server);
    }
    before += 20; /* those that end, and some more where others have the processors */
    ck_assert(door_test_await(few_threads, &before));
}
END_TEST

static void return_nothing(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    unused(c, argp, arg_size, dp, n_desc);
    door_return(NULL, 0, NULL, 0);
    door_test_die(__FILE__, __LINE__, "door_return() does not come back");
}

START_TEST(a_null_result)
{
    char rbuf[8] = "rbuf";
    door_arg_t params = {.data_ptr = rbuf, .data_size = 4, .rbuf = rbuf, .rsize = sizeof(rbuf)};

    start(return_nothing);
    ck_assert_int_eq(door_call(door, &params), 0);
    ck_assert_uint_eq(params.data_size, 0);
    ck_assert_uint_eq(params.desc_num, 0);
    ck_assert_ptr_eq(params.rbuf, rbuf);
    ck_assert_uint_eq(params.rsize, sizeof(rbuf));
    ck_assert_int_eq(door_call(door, NULL), 0);
}
END_TEST

/* Its arguments and its own stack are there until the reply is out. */
static void answer_from_the_stack(void *c, char *argp, size_t arg_size, door_desc_t *dp,
                                  uint_t n_desc)
{
    char copy[32768];

    unused(c, argp, arg_size, dp, n_desc);
    door_test_require(arg_size <= sizeof(copy));
    if (arg_size > 0)
        memcpy(copy, argp, arg_size);
    door_return(copy, arg_size, NULL, 0);
}

START_TEST(a_result_on_the_procedures_stack)
{
    char *data = malloc(32768), *result = malloc(32768);

    start(answer_from_the_stack);
    for (int i = 0; i < 300; i++) {
        size_t size = (size_t)(i * 1009) % 32769;

        door_test_fill(data, size, i);
        ck_assert_int_eq(door_test_call(door, data, size, result, size), (ssize_t)size);
        ck_assert(door_test_filled(result, size, i));
    }
    free(data);
    free(result);
}
END_TEST

static void answer_large(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    unused(c, argp, arg_size, dp, n_desc);
    door_return(large, arg_size > 0 ? LARGE : 0, NULL, 0);
}

/* What a large result needed is not kept for ever on either side. */
START_TEST(large_results_leave_no_memory)
{
    long server_kb = 0, client_kb = 0;
    int fds = 0;

    prepare();
    large = door_test_shared(LARGE);
    door_test_fill(large, LARGE, 3);
    server = door_test_serve(path, answer_large, NULL, 0);
    door = door_test_open(path);
    for (int i = 0; i < 20; i++) {
        door_arg_t params = {.data_ptr = (char *)path, .data_size = 1};

        ck_assert_int_eq(door_call(door, &params), 0);
        ck_assert_uint_eq(params.data_size, LARGE);
        ck_assert(i % 10 != 0 || door_test_filled(params.data_ptr, LARGE, 3));
        ck_assert_int_eq(munmap(params.rbuf, params.rsize), 0);
        if (i == 2) {
            server_kb = door_test_resident_kb(server);
            client_kb = door_test_resident_kb(getpid());
            fds = door_test_fd_count();
        }
    }
    ck_assert_int_le(door_test_fd_count(), fds);
    if (!door_test_sanitized()) {
        ck_assert_int_lt(door_test_resident_kb(server), server_kb + 2048);
        ck_assert_int_lt(door_test_resident_kb(getpid()), client_kb + 2048);
    }
}
END_TEST

static void block(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    unused(c, argp, arg_size, dp, n_desc);
    atomic_fetch_add(&shared->calls, 1);
    sem_post(&shared->entered);
    door_test_require(door_test_sem_wait(&shared->released));
    door_return(NULL, 0, NULL, 0);
}

static void serve_with_main(void *arg)
{
    int d = door_create(block, NULL, 0);

    (void)arg;
    door_test_require(d >= 0);
    door_test_attach(d, path);
    door_test_ready();
    door_return(NULL, 0, NULL, 0);
    atomic_fetch_add(&shared->main_returned, 1);
    door_test_pause();
}

static void *call_once(void *arg)
{
    return door_call(door, NULL) == 0 ? NULL : arg;
}

START_TEST(main_becomes_a_server_thread)
{
    enum { CALLERS = 16, WAVES = 5 };
    pthread_t threads[CALLERS];
    void *failed;

    prepare();
    server = door_test_spawn(serve_with_main, NULL);
    door = door_test_open(path);
    for (int wave = 0; wave < WAVES; wave++) {
        for (int i = 0; i < CALLERS; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, call_once, &threads), 0);
        for (int i = 0; i < CALLERS; i++)
            ck_assert(door_test_sem_wait(&shared->entered));
        for (int i = 0; i < CALLERS; i++)
            sem_post(&shared->released);
        for (int i = 0; i < CALLERS; i++) {
            pthread_join(threads[i], &failed);
            ck_assert_ptr_null(failed);
        }
    }
    ck_assert_int_eq(shared->main_returned, 0);
    ck_assert_int_eq(shared->calls, CALLERS * WAVES);
}
END_TEST

static void *become_server_thread(void *arg)
{
    door_return(NULL, 0, NULL, 0);
    atomic_fetch_add(&shared->main_returned, 1);
    return arg;
}

static void serve_with_own_threads(void *arg)
{
    int d = door_create(block, NULL, 0);
    pthread_t thread;

    (void)arg;
    door_test_require(d >= 0);
    for (int i = 0; i < 4; i++)
        door_test_require(pthread_create(&thread, NULL, become_server_thread, NULL) == 0);
    door_test_attach(d, path);
    door_test_ready();
    door_test_pause();
}

START_TEST(threads_of_the_program_become_server_threads)
{
    pthread_t threads[8];
    void *failed;

    prepare();
    server = door_test_spawn(serve_with_own_threads, NULL);
    door = door_test_open(path);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, call_once, &threads), 0);
    for (int i = 0; i < 8; i++)
        ck_assert(door_test_sem_wait(&shared->entered));
    for (int i = 0; i < 8; i++)
        sem_post(&shared->released);
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
    ck_assert_int_eq(shared->main_returned, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("return");
    TCase *tc = door_test_tcase(suite, "return", 60);
    TCase *million = door_test_tcase(suite, "million", 300);

    tcase_add_test(million, a_million_calls);
    tcase_add_test(tc, deep_frames_do_not_pile_up);
    tcase_add_test(tc, the_stack_does_not_drift);
    tcase_add_test(tc, thread_local_data_stays);
    tcase_add_test(tc, a_procedure_that_just_returns);
    tcase_add_test(tc, a_procedure_that_ends_its_thread);
    tcase_add_test(tc, a_null_result);
    tcase_add_test(tc, a_result_on_the_procedures_stack);
    tcase_add_test(tc, large_results_leave_no_memory);
    tcase_add_test(tc, main_becomes_a_server_thread);
    tcase_add_test(tc, threads_of_the_program_become_server_threads);
    return door_test_run(suite);
}
