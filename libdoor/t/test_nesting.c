/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_nesting.c: procedures that call doors themselves: their own, another
 * process's, and back into the door of their own caller, ten deep.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH 10
#define PATH_BYTES 200

struct shared {
    char paths[2][PATH_BYTES]; /* the doors that call each other */
    _Atomic long calls;
    pid_t pids[DEPTH + 1]; /* who served the call of this depth */
};

struct request {
    int depth; /* calls still to be made below this one */
    int turn;  /* which of the doors this is */
    size_t padding;
};

static struct shared *shared;

static long descend(int depth, int turn, size_t padding);

/* Calls on while there is depth left, and returns how deep it went. */
static void serve(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    struct request r;
    long deep = 1;

    (void)c;
    (void)dp;
    (void)n_desc;
    door_test_require(arg_size >= sizeof(r));
    memcpy(&r, argp, sizeof(r));
    door_test_require(arg_size == sizeof(r) + r.padding);
    atomic_fetch_add(&shared->calls, 1);
    shared->pids[r.depth] = getpid();
    if (r.depth > 0) {
        long below = descend(r.depth - 1, !r.turn, r.padding);

        deep = below < 0 ? below : below + 1;
    }
    door_test_require(door_test_filled(argp + sizeof(r), r.padding, r.depth));
    door_return((char *)&deep, sizeof(deep), NULL, 0);
}

static long descend(int depth, int turn, size_t padding)
{
    struct request r = {depth, turn, padding};
    int d = open(shared->paths[turn], O_RDONLY);
    char *data = malloc(sizeof(r) + padding);
    long deep = -1;

    if (d < 0 || data == NULL)
        return -errno;
    memcpy(data, &r, sizeof(r));
    door_test_fill(data + sizeof(r), padding, depth);
    if (door_test_call(d, data, sizeof(r) + padding, &deep, sizeof(deep)) < 0)
        deep = -errno;
    free(data);
    close(d);
    return deep;
}

static void start(const char *even, const char *odd)
{
    shared = door_test_shared(sizeof(*shared));
    strcpy(shared->paths[0], door_test_path(even));
    strcpy(shared->paths[1], door_test_path(odd));
}

START_TEST(its_own_door)
{
    start("door", "door");
    door_test_serve(shared->paths[0], serve, NULL, 0);
    ck_assert_int_eq(descend(DEPTH, 0, 0), DEPTH + 1);
    ck_assert_int_eq(shared->calls, DEPTH + 1);
    ck_assert_int_eq(shared->pids[DEPTH], shared->pids[0]);
}
END_TEST

START_TEST(two_servers_in_turn)
{
    pid_t even, odd;

    start("even", "odd");
    even = door_test_serve(shared->paths[0], serve, NULL, 0);
    odd = door_test_serve(shared->paths[1], serve, NULL, 0);
    ck_assert_int_eq(descend(DEPTH, 0, 100), DEPTH + 1);
    for (int i = 0; i <= DEPTH; i++)
        ck_assert_int_eq(shared->pids[i], i % 2 == 0 ? even : odd);
}
END_TEST

START_TEST(back_into_the_callers_door)
{
    int own;
    pid_t other;

    start("own", "other");
    own = door_create(serve, NULL, 0);
    ck_assert_int_ge(own, 0);
    door_test_attach(own, shared->paths[0]);
    other = door_test_serve(shared->paths[1], serve, NULL, 0);
    ck_assert_int_eq(descend(DEPTH, 1, 10), DEPTH + 1);
    for (int i = 0; i <= DEPTH; i++)
        ck_assert_int_eq(shared->pids[i], i % 2 == 0 ? other : getpid());
}
END_TEST

START_TEST(a_process_calls_itself)
{
    int own;

    start("own", "own");
    own = door_create(serve, NULL, 0);
    door_test_attach(own, shared->paths[0]);
    ck_assert_int_eq(descend(DEPTH, 0, 30000), DEPTH + 1);
}
END_TEST

START_TEST(with_large_arguments)
{
    start("even", "odd");
    door_test_serve(shared->paths[0], serve, NULL, 0);
    door_test_serve(shared->paths[1], serve, NULL, 0);
    ck_assert_int_eq(descend(DEPTH, 0, 300000), DEPTH + 1);
    ck_assert_int_eq(descend(DEPTH, 1, 16384), DEPTH + 1);
}
END_TEST

static void *descend_often(void *arg)
{
    for (int i = 0; i < 30; i++)
        if (descend(DEPTH, i % 2, 50) != DEPTH + 1)
            return arg;
    return NULL;
}

START_TEST(many_at_once)
{
    pthread_t threads[8];
    void *failed;

    start("even", "odd");
    door_test_serve(shared->paths[0], serve, NULL, 0);
    door_test_serve(shared->paths[1], serve, NULL, 0);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, descend_often, &threads), 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
    ck_assert_int_eq(shared->calls, 8 * 30 * (DEPTH + 1));
}
END_TEST

START_TEST(nesting_leaves_nothing)
{
    pid_t even, odd;
    int fds[2] = {0, 0}, threads = 0;

    start("even", "odd");
    even = door_test_serve(shared->paths[0], serve, NULL, 0);
    odd = door_test_serve(shared->paths[1], serve, NULL, 0);
    for (int i = 0; i < 200; i++) {
        ck_assert_int_eq(descend(DEPTH, 0, 0), DEPTH + 1);
        if (i == 10) {
            fds[0] = door_test_fd_count_of(even);
            fds[1] = door_test_fd_count_of(odd);
            threads = door_test_thread_count(even);
        }
    }
    ck_assert(door_test_fds_settle(even, fds[0] + 20));
    ck_assert(door_test_fds_settle(odd, fds[1] + 20));
    /* Where others have the processors, there are as many again at times. */
    ck_assert_int_le(door_test_thread_count(even), threads + 3 * DEPTH);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("nesting");
    TCase *tc = door_test_tcase(suite, "nesting", 60);

    tcase_add_test(tc, its_own_door);
    tcase_add_test(tc, two_servers_in_turn);
    tcase_add_test(tc, back_into_the_callers_door);
    tcase_add_test(tc, a_process_calls_itself);
    tcase_add_test(tc, with_large_arguments);
    tcase_add_test(tc, many_at_once);
    tcase_add_test(tc, nesting_leaves_nothing);
    return door_test_run(suite);
}
