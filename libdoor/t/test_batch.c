/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_batch.c: how server threads, and the threads of a process that asks for it,
 * are scheduled: so that they do not preempt who wakes them, unless they then wait
 * behind somebody who only computes.  Linux alone: elsewhere there is nothing to see.
 */
#include "door_test.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "door_compat.h"

/* What wakes a thread sits on this processor, the thread and whoever computes on the other. */
#define WAKER_CPU 0
#define WOKEN_CPU 1

#define POLICY(policy) ((policy) & ~SCHED_RESET_ON_FORK)

static void answer_policy(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    int policy = POLICY(sched_getscheduler(0));

    (void)c;
    (void)argp;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    door_return((char *)&policy, sizeof(policy), NULL, 0);
}

static void sit_on(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    door_test_require(sched_setaffinity(0, sizeof(set), &set) == 0);
}

static void serve(void *unused)
{
    int d = door_create(answer_policy, NULL, 0);

    (void)unused;
    door_test_attach(d, door_test_path("door"));
    door_test_ready();
    door_test_pause();
}

/* It gets little of the processor, whatever its policy: so it waits. */
static void be_modest(void)
{
    sit_on(WOKEN_CPU);
    door_test_require(setpriority(PRIO_PROCESS, 0, 19) == 0);
}

static void serve_there(void *unused)
{
    be_modest();
    serve(unused);
}

static int start(void (*body)(void *))
{
    door_test_spawn(body, NULL);
    return door_test_open(door_test_path("door"));
}

static int server_policy(int d)
{
    int policy = -1;

    ck_assert_int_eq(door_test_call(d, NULL, 0, &policy, sizeof(policy)), sizeof(policy));
    return policy;
}

static void compute(void *cpu)
{
    volatile unsigned long n = 0;

    sit_on(*(int *)cpu);
    door_test_ready();
    for (;;)
        n++;
}

static bool is_default(void *d)
{
    for (int i = 0; i < 20; i++)
        server_policy(*(int *)d);
    return server_policy(*(int *)d) == SCHED_OTHER;
}

START_TEST(server_threads)
{
    int d = start(serve_there), cpu = WOKEN_CPU;
    pid_t hog;

    ck_assert_int_eq(server_policy(d), SCHED_BATCH);
    hog = door_test_spawn(compute, &cpu);
    sit_on(WAKER_CPU);
    ck_assert(door_test_await(is_default, &d));
    door_test_stop(hog);
}
END_TEST

START_TEST(another_policy_is_kept)
{
    const struct sched_param param = {0};
    int d;

    ck_assert_int_eq(sched_setscheduler(0, SCHED_IDLE, &param), 0);
    d = start(serve); /* inherits it */
    ck_assert_int_eq(server_policy(d), SCHED_IDLE);
}
END_TEST

static _Atomic int thread_policy; /* of a thread that calls nothing */
static _Atomic bool stop;

static void *look_at_itself(void *unused)
{
    while (!stop) {
        thread_policy = POLICY(sched_getscheduler(0));
        usleep(1000);
    }
    return unused;
}

static bool all_are_default(void *d)
{
    for (int i = 0; i < 20; i++)
        server_policy(*(int *)d);
    return POLICY(sched_getscheduler(0)) == SCHED_OTHER && thread_policy == SCHED_OTHER;
}

START_TEST(a_whole_process)
{
    int d = start(serve), cpu = WOKEN_CPU;
    pid_t hog = door_test_spawn(compute, &cpu);
    pthread_t thread;

    be_modest();
    door_schedule_as_batch();
    ck_assert_int_eq(POLICY(sched_getscheduler(0)), SCHED_BATCH);
    ck_assert_int_eq(pthread_create(&thread, NULL, look_at_itself, NULL), 0);
    while (thread_policy == 0)
        usleep(1000);
    ck_assert_int_eq(thread_policy, SCHED_BATCH);
    ck_assert(door_test_await(all_are_default, &d));
    stop = true;
    pthread_join(thread, NULL);
    door_test_stop(hog);
}
END_TEST

static int forked(void *unused)
{
    (void)unused;
    return POLICY(sched_getscheduler(0));
}

START_TEST(what_is_forked_later)
{
    int d = start(serve);

    door_schedule_as_batch();
    server_policy(d);
    /* As with any scheduling: the program itself has asked for it. */
    ck_assert_int_eq(door_test_in_child(forked, NULL), SCHED_BATCH);
    ck_assert_int_eq(server_policy(d), SCHED_BATCH);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batch");
    TCase *tc = door_test_tcase(suite, "batch", 60);

    if (sysconf(_SC_NPROCESSORS_ONLN) > WOKEN_CPU) {
        tcase_add_test(tc, server_threads);
        tcase_add_test(tc, a_whole_process);
    }
    tcase_add_test(tc, another_policy_is_kept);
    tcase_add_test(tc, what_is_forked_later);
    return door_test_run(suite);
}
