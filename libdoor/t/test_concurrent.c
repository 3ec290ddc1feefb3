/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_concurrent.c: many callers at once, by threads, copies of a descriptor
 * and processes; and a pool of server threads that is as large as it has to be.
 */
#include "door_test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <door_compat.h>

#define CALLERS 16
#define CALLS   1000

struct shared {
    sem_t entered;  /* posted by each procedure of block() */
    sem_t released; /* each takes one before it returns */
    _Atomic long calls;
    _Atomic long running;
    _Atomic long most_running;
    _Atomic long threads_seen;
};

static struct shared *shared;
static int door;

/* Returns its argument plus one, so that a mixed-up reply shows. */
static void increment(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    static __thread bool known;
    uint64_t value;

    (void)c;
    (void)dp;
    (void)n_desc;
    door_test_require(arg_size == sizeof(value));
    if (!known)
        atomic_fetch_add(&shared->threads_seen, 1);
    known = true;
    atomic_fetch_add(&shared->calls, 1);
    memcpy(&value, argp, sizeof(value));
    value++;
    door_return((char *)&value, sizeof(value), NULL, 0);
}

/* Without data it stays in the procedure until the test lets it go. */
static void block(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    long running, most = shared->most_running;

    (void)c;
    (void)dp;
    (void)n_desc;
    if (arg_size > 0)
        door_return(argp, arg_size, NULL, 0);
    running = atomic_fetch_add(&shared->running, 1) + 1;
    while (running > most && !atomic_compare_exchange_weak(&shared->most_running, &most, running))
        ;
    sem_post(&shared->entered);
    door_test_require(door_test_sem_wait(&shared->released));
    atomic_fetch_sub(&shared->running, 1);
    door_return(argp, arg_size, NULL, 0);
}

/* With data it stays there, and returns nothing. */
static void hold(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)c;
    (void)argp;
    (void)dp;
    (void)n_desc;
    if (arg_size > 0) {
        sem_post(&shared->entered);
        door_test_require(door_test_sem_wait(&shared->released));
    }
    door_return(NULL, 0, NULL, 0);
}

static pid_t start(door_server_procedure_t *procedure)
{
    const char *path = door_test_path("door");
    pid_t server;

    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
    server = door_test_serve(path, procedure, NULL, 0);
    door = door_test_open(path);
    return server;
}

static bool increments(int d, uint64_t value)
{
    uint64_t result = 0;

    return door_test_call(d, &value, sizeof(value), &result, sizeof(result)) == sizeof(result) &&
           result == value + 1;
}

struct caller {
    pthread_t thread;
    int door;
    uint64_t first;
    long calls;
    long wrong;
};

static void *run_caller(void *arg)
{
    struct caller *c = arg;

    for (long i = 0; i < c->calls; i++)
        c->wrong += !increments(c->door, c->first + i);
    return NULL;
}

/* Runs CALLERS threads, the odd ones on the second descriptor. */
static void run_callers(int even, int odd, long calls)
{
    struct caller callers[CALLERS];

    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){
            .door = i % 2 == 0 ? even : odd, .first = (uint64_t)i << 32, .calls = calls};
        ck_assert_int_eq(pthread_create(&callers[i].thread, NULL, run_caller, &callers[i]), 0);
    }
    for (int i = 0; i < CALLERS; i++) {
        ck_assert_int_eq(pthread_join(callers[i].thread, NULL), 0);
        ck_assert_int_eq(callers[i].wrong, 0);
    }
}

START_TEST(threads_through_one_descriptor)
{
    long calls = door_test_scaled(CALLS), before;

    start(increment);
    run_callers(door, door, 10);
    before = door_test_fd_count();
    run_callers(door, door, calls);
    ck_assert_int_eq(shared->calls, CALLERS * (calls + 10));
    ck_assert_int_eq(door_test_fd_count(), before);
}
END_TEST

START_TEST(threads_through_a_dup)
{
    int copy;

    start(increment);
    copy = dup(door);
    ck_assert_int_ge(copy, 0);
    run_callers(door, copy, door_test_scaled(CALLS));
    close(door);
    run_callers(copy, copy, 20);
    ck_assert_int_eq(door_call(door, NULL), -1);
    ck_assert_int_eq(errno, EBADF);
}
END_TEST

START_TEST(many_descriptors_of_one_door)
{
    enum { COPIES = 50 };
    int doors[COPIES];

    start(increment);
    for (int i = 0; i < COPIES; i++)
        doors[i] = door_test_open(door_test_path("door"));
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < COPIES; i++)
            ck_assert(increments(doors[i], i));
    for (int i = 0; i < COPIES; i++)
        close(doors[i]);
    ck_assert(increments(door, 1));
}
END_TEST

static void *call_once(void *arg)
{
    return door_call(*(int *)arg, NULL) == 0 ? NULL : arg;
}

/* n threads, each in a call that blocks; they are let go by release(). */
static void block_callers(pthread_t *threads, int n)
{
    for (int i = 0; i < n; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, call_once, &door), 0);
    for (int i = 0; i < n; i++)
        ck_assert(door_test_sem_wait(&shared->entered));
}

static void release(pthread_t *threads, int n)
{
    void *failed;

    for (int i = 0; i < n; i++)
        sem_post(&shared->released);
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
        ck_assert_ptr_null(failed);
    }
}

START_TEST(blocked_calls_get_a_thread_each)
{
    enum { BLOCKED = 32 };
    pthread_t threads[BLOCKED];
    pid_t server = start(block);
    int count;

    block_callers(threads, BLOCKED);
    ck_assert_int_eq(shared->running, BLOCKED);
    count = door_test_thread_count(server);
    ck_assert(count == -1 || count >= BLOCKED);
    release(threads, BLOCKED);
    ck_assert_int_eq(shared->most_running, BLOCKED);
}
END_TEST

/* Bytes that the memory files of this process's channels have. */
static long channel_memory(void)
{
    char path[64], name[64];
    struct stat st;
    long bytes = 0;
    ssize_t len;

    for (int fd = 0; fd < 1024; fd++) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        len = readlink(path, name, sizeof(name) - 1);
        if (len <= 0)
            continue;
        name[len] = '\0';
        if (strstr(name, "memfd:door") != NULL && fstat(fd, &st) == 0)
            bytes += (long)st.st_blocks * 512;
    }
    return bytes;
}

static bool has_little_memory(void *pages)
{
    return channel_memory() <= *(long *)pages * sysconf(_SC_PAGESIZE);
}

/* Many calls at a time take memory that is given back; slots without it serve on. */
START_TEST(memory_of_slots_goes_back)
{
    enum { BLOCKED = 40 };
    pthread_t threads[BLOCKED];
    long pages = BLOCKED / 2;

    start(block);
    for (int round = 0; round < 2; round++) {
        block_callers(threads, BLOCKED);
        ck_assert_int_ge(channel_memory(), BLOCKED * sysconf(_SC_PAGESIZE));
        release(threads, BLOCKED);
        ck_assert(door_test_await(has_little_memory, &pages));
    }
    ck_assert_int_eq(shared->most_running, BLOCKED);
}
END_TEST

/* The same of a call that was given up, after which there is no other one. */
START_TEST(memory_of_calls_that_were_given_up_goes_back)
{
    enum { SIZE = 8 << 20 };
    static char argument[SIZE];
    door_arg_t arg = {.data_ptr = argument, .data_size = SIZE};
    struct door_test_late late;
    struct door_terms terms = {.deadline_ns = &late.deadline_ns};
    struct door_handle *handle;
    long pages = 20;

    start(hold);
    handle = door_handle_open(door);
    ck_assert_ptr_nonnull(handle);
    door_test_late_after(&late, &shared->entered);
    ck_assert_int_eq(door_handle_call(handle, &arg, &terms), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    door_test_late_end(&late);
    ck_assert_int_ge(channel_memory(), SIZE);
    sem_post(&shared->released);
    ck_assert(door_test_await(has_little_memory, &pages));
    ck_assert_int_eq(door_test_call(door, NULL, 0, NULL, 0), 0);
    door_handle_close(handle);
}
END_TEST

/*
 * The threads that one wave of blocked calls made serve the next one; where others
 * have the processors, there are as many again.
 */
START_TEST(a_second_wave_needs_no_more_threads)
{
    enum { BLOCKED = 16, WAVES = 10 };
    pthread_t threads[BLOCKED];
    pid_t server = start(block);
    int after_first = 0;

    for (int wave = 0; wave < WAVES; wave++) {
        block_callers(threads, BLOCKED);
        release(threads, BLOCKED);
        if (wave == 0)
            after_first = door_test_thread_count(server);
    }
    ck_assert_int_le(door_test_thread_count(server), after_first + BLOCKED);
}
END_TEST

START_TEST(a_blocked_call_delays_no_other)
{
    pthread_t thread;
    int64_t began;
    char byte = 'x';

    start(block);
    block_callers(&thread, 1);
    began = door_test_now_ms();
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(door_test_call(door, &byte, 1, &byte, 1), 1);
    ck_assert_int_lt(door_test_now_ms() - began, 10000);
    ck_assert_int_eq(shared->running, 1);
    release(&thread, 1);
}
END_TEST

START_TEST(one_caller_needs_few_threads)
{
    pid_t server = start(increment);
    int before;

    ck_assert(increments(door, 0));
    before = door_test_thread_count(server);
    for (uint64_t i = 0; i < (uint64_t)door_test_scaled(20000); i++)
        ck_assert(increments(door, i));
    ck_assert_int_le(door_test_thread_count(server), before + 2);
    ck_assert_int_le(shared->threads_seen, 4);
}
END_TEST

START_TEST(the_same_door_after_fork)
{
    pid_t children[4];

    start(increment);
    ck_assert(increments(door, 1));
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            struct caller c = {.door = door, .first = (uint64_t)i << 40, .calls = 500};

            run_caller(&c);
            _exit(c.wrong == 0 ? 0 : 1);
        }
    }
    for (int i = 0; i < 500; i++)
        ck_assert(increments(door, i));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(door_test_exit_status(children[i]), 0);
    ck_assert(increments(door, 1));
    ck_assert_int_eq(shared->calls, 4 * 500 + 500 + 2);
}
END_TEST

static int call_in_child(void *arg)
{
    for (int i = 0; i < 50; i++)
        if (!increments(*(int *)arg, i))
            return 1;
    return 0;
}

static int fork_again(void *arg)
{
    pid_t pid;
    int status;

    if (call_in_child(arg) != 0)
        return 1;
    pid = fork();
    if (pid == 0)
        _exit(call_in_child(arg));
    if (waitpid(pid, &status, 0) != pid || status != 0)
        return 2;
    return call_in_child(arg);
}

START_TEST(a_child_of_a_child)
{
    start(increment);
    ck_assert(increments(door, 1));
    ck_assert_int_eq(door_test_in_child(fork_again, &door), 0);
    ck_assert(increments(door, 1));
}
END_TEST

/* The parent never called: the child is the first to use the descriptor. */
START_TEST(only_the_child_calls)
{
    start(increment);
    ck_assert_int_eq(door_test_in_child(call_in_child, &door), 0);
    ck_assert(increments(door, 1));
}
END_TEST

START_TEST(fork_while_other_threads_call)
{
    struct caller callers[4];

    if (door_test_sanitized()) /* its allocator's locks are not made for that fork */
        return;
    start(increment);
    for (int i = 0; i < 4; i++) {
        callers[i] =
            (struct caller){.door = door, .first = i, .calls = door_test_scaled(4 * CALLS)};
        pthread_create(&callers[i].thread, NULL, run_caller, &callers[i]);
    }
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(door_test_in_child(call_in_child, &door), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(callers[i].thread, NULL);
        ck_assert_int_eq(callers[i].wrong, 0);
    }
}
END_TEST

START_TEST(threads_that_come_and_go)
{
    pid_t server = start(increment);
    int fds = 0, server_fds = 0;
    long server_kb = 0;

    for (long i = 0; i < 1000; i++) {
        struct caller c = {.door = door, .first = i, .calls = 1};

        ck_assert_int_eq(pthread_create(&c.thread, NULL, run_caller, &c), 0);
        ck_assert_int_eq(pthread_join(c.thread, NULL), 0);
        ck_assert_int_eq(c.wrong, 0);
        if (i == 100) {
            fds = door_test_fd_count();
            server_fds = door_test_fd_count_of(server);
            server_kb = door_test_resident_kb(server);
        }
    }
    ck_assert(door_test_fds_settle(0, fds + 2));
    ck_assert(door_test_fds_settle(server, server_fds + 2));
    if (!door_test_sanitized())
        ck_assert_int_lt(door_test_resident_kb(server), server_kb + 2048);
}
END_TEST

START_TEST(processes_that_come_and_go)
{
    pid_t server = start(increment);
    int before = 0;

    for (int i = 0; i < 60; i++) {
        if (i == 10)
            before = door_test_fd_count_of(server);
        ck_assert_int_eq(door_test_in_child(call_in_child, &door), 0);
    }
    ck_assert_msg(door_test_fds_settle(server, before + 8), "%d descriptors, %d before",
                  door_test_fd_count_of(server), before);
}
END_TEST

START_TEST(one_thread_and_many_doors)
{
    enum { DOORS = 12 };
    int doors[DOORS];
    char name[32];

    shared = door_test_shared(sizeof(*shared));
    for (int i = 0; i < DOORS; i++) {
        snprintf(name, sizeof(name), "door%d", i);
        door_test_serve(door_test_path(name), increment, NULL, 0);
        doors[i] = door_test_open(door_test_path(name));
    }
    for (int i = 0; i < 40 * DOORS; i++)
        ck_assert(increments(doors[(i * 5) % DOORS], i));
    for (int i = 0; i < DOORS; i++)
        close(doors[i]);
}
END_TEST

START_TEST(threads_call_a_door_of_their_own_process)
{
    shared = door_test_shared(sizeof(*shared));
    door = door_create(increment, NULL, 0);
    ck_assert_int_ge(door, 0);
    run_callers(door, door, door_test_scaled(500));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("concurrent");
    TCase *tc = door_test_tcase(suite, "concurrent", 60);

    tcase_add_test(tc, threads_through_one_descriptor);
    tcase_add_test(tc, threads_through_a_dup);
    tcase_add_test(tc, many_descriptors_of_one_door);
    tcase_add_test(tc, blocked_calls_get_a_thread_each);
    tcase_add_test(tc, memory_of_slots_goes_back);
    tcase_add_test(tc, memory_of_calls_that_were_given_up_goes_back);
    tcase_add_test(tc, a_second_wave_needs_no_more_threads);
    tcase_add_test(tc, a_blocked_call_delays_no_other);
    tcase_add_test(tc, one_caller_needs_few_threads);
    tcase_add_test(tc, the_same_door_after_fork);
    tcase_add_test(tc, a_child_of_a_child);
    tcase_add_test(tc, only_the_child_calls);
    tcase_add_test(tc, fork_while_other_threads_call);
    tcase_add_test(tc, threads_that_come_and_go);
    tcase_add_test(tc, processes_that_come_and_go);
    tcase_add_test(tc, one_thread_and_many_doors);
    tcase_add_test(tc, threads_call_a_door_of_their_own_process);
    return door_test_run(suite);
}
