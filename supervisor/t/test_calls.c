/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_calls.c: the table of calls: the line lets in as many as it should and in their
 * order, from any number of processes and threads; what a dead process had is forgotten.
 */
#include <check.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
#include "door_test_run.h"

#define KEY     7u
#define MAX     3u
#define CHILDREN 4
#define THREADS 4
#define TIMES   60
#define S       1000000000ll

static struct calls *calls;

static struct {
    _Atomic unsigned inside, most, served;
} *shared;

static void set_up(void)
{
    calls = calls_make();
    ck_assert_ptr_nonnull(calls);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANON, -1, 0);
    ck_assert_ptr_ne(shared, MAP_FAILED);
}

static struct call_note *enter(uint64_t key, enum call_phase phase)
{
    struct call_note *note = calls_take(calls);

    if (note == NULL)
        abort();
    atomic_store(&note->key, key);
    if (phase == CALL_IN_LINE)
        calls_stand_in_line(calls, note);
    else
        atomic_store(&note->phase, phase);
    return note;
}

static struct calls_seen look(int64_t now_ns)
{
    struct calls_seen seen;

    calls_look(calls, KEY, now_ns, &seen);
    return seen;
}

/* ------------------------------------------------------------ the line */

static void *go_through(void *unused)
{
    for (int i = 0; i < TIMES; i++) {
        struct call_note *note = enter(KEY, CALL_IN_LINE);
        unsigned now, most;

        while (calls_ahead(calls, note) >= MAX)
            calls_wait(note, 20);
        atomic_store(&note->phase, CALL_MADE);
        now = atomic_fetch_add(&shared->inside, 1) + 1;
        most = atomic_load(&shared->most);
        while (most < now && !atomic_compare_exchange_weak(&shared->most, &most, now))
            continue;
        sched_yield();
        atomic_fetch_sub(&shared->inside, 1);
        atomic_fetch_add(&shared->served, 1);
        atomic_store(&note->phase, CALL_ENTERED);
        calls_call_next(calls, KEY);
        calls_give_back(note);
    }
    return unused;
}

static void run_child(void)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, go_through, NULL) != 0)
            _exit(1);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    _exit(0);
}

START_TEST(no_more_than_may)
{
    pid_t pids[CHILDREN];
    int status;

    set_up();
    for (int i = 0; i < CHILDREN; i++) {
        pids[i] = fork();
        ck_assert_int_ge(pids[i], 0);
        if (pids[i] == 0)
            run_child();
    }
    for (int i = 0; i < CHILDREN; i++) {
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_uint_eq(shared->served, CHILDREN * THREADS * TIMES);
    ck_assert_uint_le(shared->most, MAX);
    ck_assert_uint_eq(look(0).inside, 0);
}
END_TEST

START_TEST(in_their_order)
{
    struct call_note *runs, *first, *second, *other;

    set_up();
    runs = enter(KEY, CALL_PAUSED);
    first = enter(KEY, CALL_IN_LINE);
    second = enter(KEY, CALL_IN_LINE);
    other = enter(KEY + 1, CALL_IN_LINE);
    enter(KEY, CALL_ENTERED); /* not here yet */
    ck_assert_uint_eq(calls_ahead(calls, first), 1);
    ck_assert_uint_eq(calls_ahead(calls, second), 2);
    ck_assert_uint_eq(calls_ahead(calls, other), 0);
    calls_give_back(runs);
    ck_assert_uint_eq(calls_ahead(calls, second), 1);
    atomic_store(&first->phase, CALL_MADE);
    ck_assert_uint_eq(calls_ahead(calls, second), 1);
    other = enter(KEY, CALL_ENTERED); /* draws a ticket, which may be an earlier one */
    atomic_store(&other->phase, CALL_IN_LINE);
    ck_assert_uint_eq(calls_ahead(calls, second), 2);
    calls_give_back(other);
    calls_stand_in_line(calls, first); /* again: behind */
    ck_assert_uint_eq(calls_ahead(calls, second), 0);
    ck_assert_uint_eq(calls_ahead(calls, first), 1);
}
END_TEST

/* Waits for a time that only who is not called sleeps through. */
static void sleeps(struct call_note *note)
{
    struct timespec from, to;

    clock_gettime(CLOCK_MONOTONIC, &from);
    calls_wait(note, 50);
    clock_gettime(CLOCK_MONOTONIC, &to);
    ck_assert_int_ge((to.tv_sec - from.tv_sec) * S + to.tv_nsec - from.tv_nsec, 40000000);
}

START_TEST(who_is_called_wakes_up)
{
    struct timespec from, to;
    struct call_note *first, *second;

    set_up();
    first = enter(KEY, CALL_IN_LINE);
    second = enter(KEY, CALL_IN_LINE);
    calls_call_next(calls, KEY);
    clock_gettime(CLOCK_MONOTONIC, &from);
    calls_wait(first, 60000);
    clock_gettime(CLOCK_MONOTONIC, &to);
    ck_assert_int_lt(to.tv_sec - from.tv_sec, 30);
    sleeps(second);
    calls_call_next(calls, KEY + 1); /* nobody */
}
END_TEST

/* As a broken child may do: any child can write every byte of the table. */
static void post_more_than_can_be_taken(struct call_note *note)
{
    ck_assert_int_eq(sem_init(&note->called, 1, SEM_VALUE_MAX), 0);
}

START_TEST(too_many_posts)
{
    struct call_note *note;

    set_up();
    note = enter(KEY, CALL_ENTERED);
    post_more_than_can_be_taken(note);
    calls_stand_in_line(calls, note);
    sleeps(note);
    post_more_than_can_be_taken(note);
    calls_wait(note, 50); /* one wake-up is all that they are worth */
    sleeps(note);
    calls_call_next(calls, KEY);
    ck_assert_int_eq(sem_trywait(&note->called), 0);
}
END_TEST

static _Atomic unsigned yields;

int sched_yield(void)
{
    yields++;
    return (int)syscall(SYS_sched_yield);
}

/* A child that has died, or is broken, seems to draw for ever. */
START_TEST(tickets_that_are_never_drawn)
{
    struct call_note *note;

    set_up();
    for (int i = 0; i < 1000; i++)
        atomic_store(&enter(KEY, CALL_ENTERED)->phase, CALL_IN_LINE);
    note = enter(KEY, CALL_IN_LINE);
    yields = 0;
    ck_assert_uint_eq(calls_ahead(calls, note), 1000);
    ck_assert_uint_gt(yields, 0);
    ck_assert_uint_lt(yields, 10000);
}
END_TEST

START_TEST(who_waits_untaken)
{
    struct call_note *first, *second, *third;

    set_up();
    first = enter(KEY, CALL_MADE);
    second = enter(KEY, CALL_MADE);
    third = enter(KEY, CALL_MADE);
    calls_begin_to_wait(calls, second);
    calls_begin_to_wait(calls, first);
    calls_begin_to_wait(calls, second); /* keeps its place */
    ck_assert_uint_eq(calls_waiting_ahead(calls, second), 0);
    ck_assert_uint_eq(calls_waiting_ahead(calls, first), 1);
    ck_assert_int_eq(third->phase, CALL_MADE);
}
END_TEST

/* ------------------------------------------------------------ what is seen */

static struct calls_seen see(enum call_phase phase, int64_t take_by_ns, int64_t deadline_ns)
{
    struct call_note *note = enter(KEY, phase);
    struct calls_seen seen;

    atomic_store(&note->take_by_ns, take_by_ns);
    atomic_store(&note->deadline_ns, deadline_ns);
    seen = look(100 * S);
    calls_give_back(note);
    return seen;
}

START_TEST(what_is_seen)
{
    struct calls_seen seen;

    set_up();
    seen = see(CALL_ENTERED, 0, 0);
    ck_assert(seen.inside == 1 && seen.running == 0 && seen.waiting == 0 && !seen.is_in_time);
    seen = see(CALL_PAUSED, 1 * S, 0);
    ck_assert(seen.running == 1 && seen.is_in_time && !seen.is_untimed);
    seen = see(CALL_MADE, 1 * S, 101 * S);
    ck_assert(seen.running == 1 && seen.is_in_time && !seen.is_untimed);
    seen = see(CALL_MADE, 1 * S, 99 * S);
    ck_assert(seen.running == 1 && !seen.is_in_time && !seen.is_untimed);
    seen = see(CALL_MADE, 1 * S, 0);
    ck_assert(!seen.is_in_time && seen.is_untimed);
    seen = see(CALL_MADE, 101 * S, 200 * S); /* it may come back */
    ck_assert(seen.running == 1 && seen.waiting == 0 && !seen.is_in_time);
    seen = see(CALL_WAITS, 101 * S, 200 * S);
    ck_assert(seen.running == 0 && seen.waiting == 1 && !seen.is_in_time);
    seen = see(CALL_WAITS, 1 * S, 200 * S); /* it has been taken */
    ck_assert(seen.running == 1 && seen.waiting == 0 && seen.is_in_time);
    seen = see(CALL_IN_LINE, 0, 0);
    ck_assert(seen.inside == 1 && seen.waiting == 1 && !seen.is_untimed);
    ck_assert_uint_eq(look(100 * S).inside, 0);
}
END_TEST

/* ------------------------------------------------------------ the dead */

START_TEST(what_a_dead_child_had)
{
    const uint64_t keys[] = {KEY, KEY + 1, KEY + 2};
    unsigned counts[3];
    int ready[2], i;
    pid_t pid;
    char byte;

    set_up();
    ck_assert_int_eq(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        for (i = 0; i < 100; i++) /* more than a block has */
            enter(KEY, CALL_MADE);
        if (write(ready[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    enter(KEY, CALL_MADE);
    enter(KEY + 2, CALL_MADE);
    calls_count(calls, keys, counts, 3);
    ck_assert(counts[0] == 101 && counts[1] == 0 && counts[2] == 1);
    calls_forget_dead(calls);
    ck_assert_uint_eq(look(0).inside, 101); /* it lives */
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    ck_assert_uint_eq(look(0).inside, 101);
    if (_i == 0)
        calls_forget_child(calls, pid);
    else
        calls_forget_dead(calls);
    ck_assert_uint_eq(look(0).inside, 1);
    for (i = 0; i < 200; i++) /* its blocks are to be had again */
        ck_assert_ptr_nonnull(calls_take(calls));
}
END_TEST

START_TEST(as_many_as_a_process_may)
{
    struct call_note *note = NULL;
    int count = 0;

    set_up();
    while ((note = calls_take(calls)) != NULL && count < 100000) {
        atomic_store(&note->key, KEY);
        count++;
    }
    ck_assert_int_gt(count, 1000);
    ck_assert_int_lt(count, 100000); /* then there is none, and nothing breaks */
    ck_assert_uint_eq(look(0).inside, count);
}
END_TEST

#ifdef __GLIBC__
static _Atomic long ahead_s; /* of the real clock's time is what the program is told */

int clock_gettime(clockid_t clock, struct timespec *now)
{
    long result = syscall(SYS_clock_gettime, clock, now);

    if (result == 0 && clock == CLOCK_REALTIME)
        now->tv_sec += ahead_s;
    return (int)result;
}

/* As if that was done right after it had been looked at. */
START_TEST(the_clock_is_set_back)
{
    struct timespec began, ended;

    set_up();
    ahead_s = 3600;
    clock_gettime(CLOCK_MONOTONIC, &began);
    calls_wait(enter(KEY, CALL_IN_LINE), 50);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    ck_assert_int_lt(ended.tv_sec - began.tv_sec, 60);
}
END_TEST
#endif

START_TEST(a_path_has_a_key)
{
    ck_assert(calls_path_key("/a") != calls_path_key("/b"));
    ck_assert(calls_path_key("/a") == calls_path_key("/a"));
    ck_assert(calls_path_key("") >> 63 == 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("calls");
    TCase *tc = tcase_create("calls");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, no_more_than_may);
    tcase_add_test(tc, in_their_order);
    tcase_add_test(tc, who_is_called_wakes_up);
    tcase_add_test(tc, too_many_posts);
    tcase_add_test(tc, tickets_that_are_never_drawn);
    tcase_add_test(tc, who_waits_untaken);
    tcase_add_test(tc, what_is_seen);
    tcase_add_loop_test(tc, what_a_dead_child_had, 0, 2);
    tcase_add_test(tc, as_many_as_a_process_may);
    tcase_add_test(tc, a_path_has_a_key);
#ifdef __GLIBC__
    tcase_add_test(tc, the_clock_is_set_back);
#endif
    suite_add_tcase(suite, tc);
    return door_test_run(suite);
}
