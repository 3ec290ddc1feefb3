/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_fork.c: what a forked child can do, whatever other threads of its parent were
 * doing: by fork(), and by _Fork(), of which no library is told.
 */
#include "door_test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
pid_t _Fork(void); /* POSIX.1-2024; not yet in every system's library */
#else
#define _Fork fork
#endif

#define THREADS 4
#define ASKING_THREADS 16 /* so that one has a lock at most times */

static int door;
static _Atomic int is_over;

static void echo(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)c;
    (void)dp;
    (void)n_desc;
    door_return(argp, arg_size, NULL, 0);
}

static int call(int d)
{
    char byte = 'f', answer = 0;

    return door_test_call(d, &byte, 1, &answer, 1) == 1 && answer == 'f';
}

static int info(int d)
{
    door_info_t i;

    return door_info(d, &i) == 0;
}

static void *ask_on(void *unused)
{
    while (!is_over)
        door_test_require(info(door));
    return unused;
}

static void *use_on(void *unused)
{
    while (!is_over) {
        int own = door_create(echo, NULL, 0);

        door_test_require(own >= 0 && call(door) && info(door) && call(own));
        door_test_require(door_revoke(own) == 0);
    }
    return unused;
}

/* Each child has to end, and with 0. */
static void fork_often(pid_t (*how)(void), long times, int (*child)(void))
{
    for (long i = 0; i < times; i++) {
        pid_t pid = how();

        ck_assert_int_ge(pid, 0);
        if (pid == 0)
            _exit(child());
        ck_assert_int_eq(door_test_exit_status(pid), 0);
    }
}

/* The same while threads of the parent do something without a pause. */
static void fork_beside(void *(*run)(void *), int count, pid_t (*how)(void), long times,
                        int (*child)(void))
{
    pthread_t threads[ASKING_THREADS];

    is_over = 0;
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run, NULL), 0);
    fork_often(how, times, child);
    is_over = 1;
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void start(void)
{
    door_test_serve(door_test_path("door"), echo, NULL, 0);
    door = door_test_open(door_test_path("door"));
}

static int ask_once(void)
{
    return info(door) ? 0 : 1;
}

START_TEST(a_program_that_only_asks)
{
    if (door_test_sanitized()) /* its allocator's locks are not made for that fork */
        return;
    start();
    fork_beside(ask_on, ASKING_THREADS, fork, 1000, ask_once);
}
END_TEST

static int use_once(void)
{
    int own;

    if (!info(door))
        return 1;
    if (!call(door))
        return 2;
    own = door_create(echo, NULL, DOOR_UNREF);
    if (own < 0 || !call(own) || !info(own) || door_revoke(own) < 0)
        return 3;
    return door_revoke(door) == -1 && errno == EPERM ? 0 : 4;
}

START_TEST(while_all_of_it_is_in_use)
{
    if (door_test_sanitized())
        return;
    start();
    fork_beside(use_on, THREADS, fork, 200, use_once);
}
END_TEST

/* Without malloc(3), which another thread may have left in any state. */
static int ask_without_memory(void)
{
    return info(door) && door_revoke(door) == -1 && errno == EPERM ? 0 : 1;
}

START_TEST(raw_forks_while_all_of_it_is_in_use)
{
    if (door_test_sanitized())
        return;
    start();
    fork_beside(use_on, THREADS, _Fork, 200, ask_without_memory);
}
END_TEST

/* It may get what lies where the parent has its channels. */
static int keep_memory(void)
{
    enum { BLOCKS = 200, SIZE = 256 * 1024 };
    char *block[BLOCKS];

    for (int i = 0; i < BLOCKS; i++) {
        block[i] = malloc(SIZE);
        if (block[i] == NULL)
            return 11;
        door_test_fill(block[i], SIZE, (unsigned)i);
    }
    int used = use_once();
    if (used != 0)
        return used;
    for (int i = 0; i < BLOCKS; i++)
        if (!door_test_filled(block[i], SIZE, (unsigned)i))
            return 12;
    return 0;
}

START_TEST(memory_that_a_child_has_got)
{
    start();
    ck_assert(call(door));
    fork_often(fork, 1, keep_memory);
    fork_often(_Fork, 1, keep_memory);
    ck_assert(call(door));
}
END_TEST

static int revoke_first(void)
{
    return door_revoke(door) == -1 && errno == EPERM ? 0 : 1;
}

static int bind_first(void)
{
    return door_bind(door) == -1 && errno == EBADF ? 0 : 1;
}

static int create_first(void)
{
    int own = door_create(echo, NULL, 0);

    return own >= 0 && call(own) ? 0 : 1;
}

static int query_first(void)
{
    door_info_t i;

    return door_info(DOOR_QUERY, &i) == -1 && errno == EBADF ? 0 : 1;
}

/* The child of a server that was called; each of these is the first that it does. */
START_TEST(the_childs_first_call)
{
    static int (*const first[])(void) = {revoke_first, bind_first,   create_first,
                                         query_first,  ask_without_memory, use_once};

    door = door_create(echo, NULL, 0);
    ck_assert(call(door));
    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
        fork_often(fork, 1, first[i]);
        if (!door_test_sanitized()) /* it does not know of this fork beside the server's threads */
            fork_often(_Fork, 1, first[i]);
        ck_assert(call(door));
    }
}
END_TEST

/* What is on its way, or waits to be closed, may be there as well for a moment. */
static bool child_has_so_many(void *count)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(door_test_fd_count());
    return door_test_exit_status(pid) == *(int *)count;
}

/* Doors, and what the program has opened itself. */
START_TEST(descriptors_of_the_child)
{
    int before = door_test_fd_count(), own;

    start();
    ck_assert(call(door));
    own = door_create(echo, NULL, 0);
    ck_assert(call(own));
    door_test_attach(own, door_test_path("own"));
    ck_assert_int_gt(door_test_fd_count(), before + 2);
    before += 2;
    ck_assert(door_test_await(child_has_so_many, &before));
    ck_assert(call(own));
}
END_TEST

static void *use_in_thread(void *is_fine)
{
    *(int *)is_fine = call(door) && info(door);
    return NULL;
}

static int use_from_threads(void)
{
    pthread_t threads[THREADS];
    int is_fine[THREADS] = {0};

    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, use_in_thread, &is_fine[i]) != 0)
            return 1;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        if (!is_fine[i])
            return 2;
    }
    return 0;
}

/* Several notice at once whose they are. */
START_TEST(threads_of_the_child)
{
    start();
    ck_assert(call(door));
    fork_often(_Fork, door_test_scaled(50), use_from_threads);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fork");
    TCase *tc = door_test_tcase(suite, "fork", 60);

    tcase_add_test(tc, a_program_that_only_asks);
    tcase_add_test(tc, while_all_of_it_is_in_use);
    tcase_add_test(tc, raw_forks_while_all_of_it_is_in_use);
    tcase_add_test(tc, memory_that_a_child_has_got);
    tcase_add_test(tc, the_childs_first_call);
    tcase_add_test(tc, descriptors_of_the_child);
    tcase_add_test(tc, threads_of_the_child);
    return door_test_run(suite);
}
