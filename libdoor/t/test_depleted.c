/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_depleted.c: a pool whose last idle thread is taken again and again, and is back
 * at once.  The library's helper thread decides whether it gets another one.  It must not
 * be woken for each call, must sleep when there are no calls, and must still see when
 * threads are blocked.
 */
#include "door_test.h"

#include <pthread.h>
#include <unistd.h>

#define THREADS_MAX 16
#define WINDOWS     20
#define WINDOW_MS   50
#define GAP_US      100 /* between calls, so that the thread sleeps before the next one */
#define QUIET_MS    300

static struct shared {
    pid_t before[THREADS_MAX], after[THREADS_MAX]; /* the server's threads, without door and with */
    int before_count, after_count;
    pid_t server_thread;
    sem_t entered, released;
} *shared;

static pid_t server;
static int door;
#ifdef __linux__
static pid_t helper;
#endif

/* ------------------------------------------------ the server */

/* An empty call is over at once, any other one is blocked. */
static void serve(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)c;
    (void)argp;
    (void)dp;
    (void)n_desc;
#ifdef __linux__
    if (shared->server_thread == 0)
        shared->server_thread = gettid();
#endif
    if (arg_size > 0) {
        sem_post(&shared->entered);
        door_test_require(door_test_sem_wait(&shared->released));
    }
    door_return(NULL, 0, NULL, 0);
}

static void *nothing(void *unused)
{
    return unused;
}

/* A sanitizer has a thread of its own from the first one on. */
static int list_threads(pid_t *tids)
{
    pthread_t thread;

    door_test_require(pthread_create(&thread, NULL, nothing, NULL) == 0);
    pthread_join(thread, NULL);
    return door_test_threads(getpid(), tids, THREADS_MAX);
}

static void serve_calls(void *unused)
{
    int d;

    (void)unused;
    shared->before_count = list_threads(shared->before);
    d = door_create(serve, NULL, 0);
    shared->after_count = door_test_threads(getpid(), shared->after, THREADS_MAX);
    door_test_attach(d, door_test_path("door"));
    door_test_ready();
    door_test_pause();
}

/* ------------------------------------------------ the client */

static void call(size_t arg_size)
{
    door_test_require(door_test_call(door, "b", arg_size, NULL, 0) == 0);
}

#ifdef __linux__
static bool was_before(pid_t tid)
{
    for (int i = 0; i < shared->before_count; i++) {
        if (shared->before[i] == tid)
            return true;
    }
    return false;
}

/* What came with the door and has not served the first call. */
static pid_t find_helper(void)
{
    pid_t found = 0;

    for (int i = 0; i < shared->after_count; i++) {
        if (!was_before(shared->after[i]) && shared->after[i] != shared->server_thread)
            found = shared->after[i];
    }
    return found;
}
#endif

static void start(void)
{
    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
    server = door_test_spawn(serve_calls, NULL);
    door = door_test_open(door_test_path("door"));
    call(0);
}

static void keep_busy(int64_t ms)
{
    int64_t until_ms = door_test_now_ms() + ms;

    while (door_test_now_ms() < until_ms) {
        call(0);
        usleep(GAP_US);
    }
}

#ifdef __linux__
static void start_and_find_helper(void)
{
    start();
    helper = find_helper();
    ck_assert_int_ne(helper, 0);
}

static long sleeps(void)
{
    return door_test_sleeps(server, helper);
}

/* How often the helper sleeps in a hundred milliseconds of short calls. */
static long sleeps_when_busy(void)
{
    int64_t began_ms = door_test_now_ms();
    long before = sleeps();

    ck_assert_int_ge(before, 0);
    keep_busy(WINDOW_MS);
    return (sleeps() - before) * 100 / (door_test_now_ms() - began_ms);
}

/*
 * It looks each few milliseconds.  Woken for a call and to look again, it slept twice in each one.
 * Where a thread is preempted in its call it looks more often, so only the quietest time counts.
 */
START_TEST(short_calls_do_not_wake_the_helper)
{
    long least;

    start_and_find_helper();
    least = sleeps_when_busy();
    for (int i = 1; i < WINDOWS; i++) {
        long count = sleeps_when_busy();

        least = count < least ? count : least;
    }
    ck_assert_int_lt(least, 75);
}
END_TEST

static bool is_quiet(void *unused)
{
    long before = sleeps();

    (void)unused;
    usleep(QUIET_MS * 1000);
    return sleeps() == before;
}

START_TEST(without_calls_the_helper_sleeps)
{
    start_and_find_helper();
    keep_busy(QUIET_MS);
    ck_assert(door_test_await(is_quiet, NULL));
}
END_TEST

#endif

static void *call_blocked(void *unused)
{
    call(1);
    return unused;
}

START_TEST(blocked_threads_are_seen_after_short_calls)
{
    enum { BLOCKED = 4 };
    pthread_t callers[BLOCKED];

    start();
    keep_busy(QUIET_MS);
    for (int i = 0; i < BLOCKED; i++) {
        ck_assert_int_eq(pthread_create(&callers[i], NULL, call_blocked, NULL), 0);
        ck_assert(door_test_sem_wait(&shared->entered)); /* the ones before are blocked still */
    }
    call(0);
    for (int i = 0; i < BLOCKED; i++)
        sem_post(&shared->released);
    for (int i = 0; i < BLOCKED; i++)
        pthread_join(callers[i], NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("depleted");
    TCase *tc = door_test_tcase(suite, "depleted", 60);

#ifdef __linux__
    tcase_add_test(tc, short_calls_do_not_wake_the_helper);
    tcase_add_test(tc, without_calls_the_helper_sleeps);
#endif
    tcase_add_test(tc, blocked_threads_are_seen_after_short_calls);
    return door_test_run(suite);
}
