/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_signal.c: signals that arrive while a call runs.  A handled one ends the
 * call with EINTR, whatever SA_RESTART says; the server goes on, its reply is
 * discarded, and the next call gets its own.
 */
#include "door_test.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct request {
    uint64_t id;
    int block;
};

struct shared {
    sem_t entered;
    sem_t released;
    _Atomic long finished;
    _Atomic long calls;
};

static struct shared *shared;
static const char *path;
static pid_t server;
static int door;
static volatile sig_atomic_t handled;

static void handler(int signal)
{
    (void)signal;
    handled = handled + 1;
}

static void serve(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    struct request r;

    (void)c;
    (void)dp;
    (void)n_desc;
    door_test_require(arg_size == sizeof(r));
    memcpy(&r, argp, sizeof(r));
    atomic_fetch_add(&shared->calls, 1);
    if (r.block) {
        sem_post(&shared->entered);
        while (sem_wait(&shared->released) < 0) /* as long as many others take to begin */
            continue;
        atomic_fetch_add(&shared->finished, 1);
    }
    door_return((char *)&r.id, sizeof(r.id), NULL, 0);
}

static void start(int signal_flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = signal_flags};

    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
    path = door_test_path("door");
    server = door_test_serve(path, serve, NULL, 0);
    door = door_test_open(path);
    sigemptyset(&action.sa_mask);
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
}

/* 0, the errno, or -1 if the result is another call's. */
static int call(uint64_t id, int block)
{
    struct request r = {id, block};
    uint64_t result = ~id;

    errno = 0;
    if (door_test_call(door, &r, sizeof(r), &result, sizeof(result)) < 0)
        return errno;
    return result == id ? 0 : -1;
}

/* Signals the caller once its call runs, until it returns. */
struct poker {
    pthread_t thread;
    pthread_t target;
    _Atomic bool done;
};

/*
 * A handler may run in the moment before the call sleeps, where a library
 * cannot notice it: as with pause(2), who wants to be sure sends it again.
 */
static void *poke(void *arg)
{
    const struct timespec again = {.tv_nsec = 5000000};
    struct poker *p = arg;

    door_test_require(door_test_sem_wait(&shared->entered));
    while (!p->done) {
        pthread_kill(p->target, SIGUSR1);
        nanosleep(&again, NULL);
    }
    return NULL;
}

static int interrupted_call(uint64_t id)
{
    struct poker poker = {.target = pthread_self()};
    int error;

    ck_assert_int_eq(pthread_create(&poker.thread, NULL, poke, &poker), 0);
    error = call(id, 1);
    poker.done = true;
    pthread_join(poker.thread, NULL);
    return error;
}

static bool has_finished(void *arg)
{
    return shared->finished == *(long *)arg;
}

static void interrupted_once(int signal_flags)
{
    long finished = 1;

    start(signal_flags);
    ck_assert_int_eq(call(1, 0), 0);
    ck_assert_int_eq(interrupted_call(2), EINTR);
    ck_assert_int_ge(handled, 1);
    ck_assert_int_eq(shared->finished, 0);
    ck_assert_int_eq(call(3, 0), 0);
    sem_post(&shared->released);
    ck_assert(door_test_await(has_finished, &finished));
    for (int i = 4; i < 100; i++)
        ck_assert_int_eq(call(i, 0), 0);
}

START_TEST(a_handled_signal_interrupts)
{
    interrupted_once(0);
}
END_TEST

START_TEST(sa_restart_changes_nothing)
{
    interrupted_once(SA_RESTART);
}
END_TEST

/* The late reply comes before or after the next call runs. */
START_TEST(the_next_call_gets_its_own_reply)
{
    start(0);
    for (long i = 0; i < 100; i++) {
        long finished = i + 1;

        ck_assert_int_eq(interrupted_call(3 * i + 1), EINTR);
        if (i % 2 == 0)
            sem_post(&shared->released);
        ck_assert_int_eq(call(3 * i + 2, 0), 0);
        if (i % 2 == 1)
            sem_post(&shared->released);
        ck_assert_int_eq(call(3 * i + 3, 0), 0);
        ck_assert(door_test_await(has_finished, &finished));
    }
    ck_assert_int_ge(handled, 100);
}
END_TEST

/* Interrupted calls pile up at the server and nothing of theirs does at us. */
START_TEST(many_given_up_calls)
{
    enum { GIVEN_UP = 300 };
    long finished = GIVEN_UP;
    int before = 0;

    start(0);
    for (int i = 0; i < GIVEN_UP; i++) {
        ck_assert_int_eq(interrupted_call(i), EINTR);
        if (i == 20)
            before = door_test_fd_count();
    }
    ck_assert_int_eq(call(1000, 0), 0);
    for (int i = 0; i < GIVEN_UP; i++)
        sem_post(&shared->released);
    ck_assert(door_test_await(has_finished, &finished));
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(call(i, 0), 0);
    ck_assert(door_test_fds_settle(0, before + 16));
}
END_TEST

static void *poke_then_release(void *arg)
{
    struct poker *p = arg;

    door_test_require(door_test_sem_wait(&shared->entered));
    for (int i = 0; i < 10; i++)
        pthread_kill(p->target, SIGUSR1);
    sem_post(&shared->released);
    return NULL;
}

START_TEST(a_blocked_signal_does_not)
{
    sigset_t set, pending;
    struct poker poker = {.target = pthread_self()};

    start(0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    ck_assert_int_eq(pthread_create(&poker.thread, NULL, poke_then_release, &poker), 0);
    ck_assert_int_eq(call(5, 1), 0);
    pthread_join(poker.thread, NULL);
    sigpending(&pending);
    ck_assert_int_eq(sigismember(&pending, SIGUSR1), 1);
    ck_assert_int_eq(handled, 0);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    ck_assert_int_eq(handled, 1);
}
END_TEST

START_TEST(an_ignored_signal_does_not)
{
    struct poker poker = {.target = pthread_self()};

    start(0);
    signal(SIGUSR1, SIG_IGN);
    ck_assert_int_eq(pthread_create(&poker.thread, NULL, poke_then_release, &poker), 0);
    ck_assert_int_eq(call(5, 1), 0);
    pthread_join(poker.thread, NULL);
}
END_TEST

static void *wait_for_ever(void *arg)
{
    (void)arg;
    door_test_pause();
}

START_TEST(another_threads_signal_does_not)
{
    pthread_t waiter;
    struct poker poker;

    start(0);
    ck_assert_int_eq(pthread_create(&waiter, NULL, wait_for_ever, NULL), 0);
    poker.target = waiter;
    ck_assert_int_eq(pthread_create(&poker.thread, NULL, poke_then_release, &poker), 0);
    ck_assert_int_eq(call(5, 1), 0);
    pthread_join(poker.thread, NULL);
}
END_TEST

/* Signals at any moment: before the call is taken, during it, at its reply. */
START_TEST(a_storm_of_signals)
{
    struct itimerval often = {.it_interval = {.tv_usec = 300}, .it_value = {.tv_usec = 300}};
    struct itimerval never = {.it_value = {.tv_usec = 0}};
    long interrupted = 0, answered = 0;

    start(SA_RESTART);
    ck_assert_int_eq(call(0, 0), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (uint64_t i = 1; i < (uint64_t)door_test_scaled(30000); i++) {
        int error = call(i, 0);

        ck_assert_msg(error == 0 || error == EINTR, "call %ld: %d", (long)i, error);
        interrupted += error == EINTR;
        answered += error == 0;
    }
    setitimer(ITIMER_REAL, &never, NULL);
    ck_assert_int_gt(answered, 0);
    ck_assert_int_le(shared->calls, interrupted + answered + 1);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(call(i, 0), 0);
}
END_TEST

/* An interrupted caller's own threads go on calling. */
static void *call_on(void *arg)
{
    for (uint64_t i = 0; i < 2000; i++)
        if (call(i << 20, 0) != 0)
            return arg;
    return NULL;
}

START_TEST(other_threads_calls_go_on)
{
    pthread_t threads[4];
    void *failed;

    start(0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, call_on, &threads), 0);
    for (long finished = 1; finished <= 50; finished++) {
        ck_assert_int_eq(interrupted_call(finished), EINTR);
        sem_post(&shared->released);
        ck_assert(door_test_await(has_finished, &finished));
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("signal");
    TCase *tc = door_test_tcase(suite, "signal", 120);

    tcase_add_test(tc, a_handled_signal_interrupts);
    tcase_add_test(tc, sa_restart_changes_nothing);
    tcase_add_test(tc, the_next_call_gets_its_own_reply);
    tcase_add_test(tc, many_given_up_calls);
    tcase_add_test(tc, a_blocked_signal_does_not);
    tcase_add_test(tc, an_ignored_signal_does_not);
    tcase_add_test(tc, another_threads_signal_does_not);
    tcase_add_test(tc, a_storm_of_signals);
    tcase_add_test(tc, other_threads_calls_go_on);
    return door_test_run(suite);
}
