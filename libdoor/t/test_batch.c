/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_batch.c: how server threads are scheduled: so that they do not preempt who
 * wakes them, unless they then wait behind somebody who only computes; what a
 * procedure starts is not.  Linux alone: elsewhere there is nothing to see.
 */
#include "door_test.h"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

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

static int own_policy(void *unused)
{
    (void)unused;
    return sched_getscheduler(0);
}

static void answer_policy_of_forked(void *c, char *argp, size_t arg_size, door_desc_t *dp,
                                    uint_t n_desc)
{
    int policies[] = {POLICY(sched_getscheduler(0)), door_test_in_child(own_policy, NULL)};

    (void)c;
    (void)argp;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    door_return((char *)policies, sizeof(policies), NULL, 0);
}

static void serve_forking(void *unused)
{
    int d = door_create(answer_policy_of_forked, NULL, 0);

    (void)unused;
    door_test_attach(d, door_test_path("door"));
    door_test_ready();
    door_test_pause();
}

START_TEST(what_a_procedure_forks)
{
    int d = start(serve_forking), policies[2];

    ck_assert_int_eq(door_test_call(d, NULL, 0, policies, sizeof(policies)), sizeof(policies));
    ck_assert_int_eq(policies[0], SCHED_BATCH);
    ck_assert_int_eq(policies[1], SCHED_OTHER);
}
END_TEST

START_TEST(callers)
{
    int d = start(serve);

    server_policy(d);
    ck_assert_int_eq(sched_getscheduler(0), SCHED_OTHER);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batch");
    TCase *tc = door_test_tcase(suite, "batch", 60);

    if (sysconf(_SC_NPROCESSORS_ONLN) > WOKEN_CPU)
        tcase_add_test(tc, server_threads);
    tcase_add_test(tc, another_policy_is_kept);
    tcase_add_test(tc, what_a_procedure_forks);
    tcase_add_test(tc, callers);
    return door_test_run(suite);
}
