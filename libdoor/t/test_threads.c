/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_threads.c: how many server threads there are: door_compat.h's maximum, and the
 * end of those that have nothing to do.
 */
#include "door_test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "portable_compat.h"
#include "server_thread.h"

#define MS      1000000ll
#define CALLERS 64

struct order {
    enum { SLEEP, BLOCK, LOCK, COMPUTE } op; /* LOCK: to sleep with the lock */
    unsigned ms;
};

static struct shared {
    sem_t entered, released;
    _Atomic unsigned running, most;  /* procedures, and at one time */
    _Atomic unsigned started, ended; /* threads that have run one */
    unsigned failed; /* threads that could not begin */
    int others; /* threads that the server had before it had a door */
    sem_t limit, limited;
    unsigned max, idle_ms; /* what door_set_threads() gets at each limit */
    int takes_turns;       /* whether door_take_turns() is called then */
} *shared;

static pid_t server;
static int door;

/* ------------------------------------------------ the server */

static int own_door;
static pthread_key_t key;
static pthread_mutex_t one_lock = PTHREAD_MUTEX_INITIALIZER;

static void thread_ends(void *unused)
{
    (void)unused;
    atomic_fetch_add(&shared->ended, 1);
}

/* An interpreter's lock: who gives it away while others wait does not have it back at once. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t free, taken;
    int is_taken;
    unsigned waiting, count; /* threads; and how often it was taken */
} turns = {.lock = PTHREAD_MUTEX_INITIALIZER,
           .free = PTHREAD_COND_INITIALIZER,
           .taken = PTHREAD_COND_INITIALIZER};

static void take_turn(void)
{
    pthread_mutex_lock(&turns.lock);
    turns.waiting++;
    while (turns.is_taken)
        pthread_cond_wait(&turns.free, &turns.lock);
    turns.waiting--;
    turns.is_taken = 1;
    turns.count++;
    pthread_cond_signal(&turns.taken);
    pthread_mutex_unlock(&turns.lock);
}

static void give_turn(void)
{
    unsigned count;

    pthread_mutex_lock(&turns.lock);
    turns.is_taken = 0;
    count = turns.count;
    pthread_cond_signal(&turns.free);
    while (turns.waiting > 0 && turns.count == count)
        pthread_cond_wait(&turns.taken, &turns.lock);
    pthread_mutex_unlock(&turns.lock);
}

static int64_t computed_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000 * MS + now.tv_nsec;
}

/* It says the first time that it waits for its turn, as an interpreter's caller can. */
static void compute(unsigned ms)
{
    for (unsigned i = 0; i < ms; i++) {
        int64_t end;

        door_test_require(i > 0 || door_wait_turn(1) == 0);
        take_turn();
        door_test_require(i > 0 || door_wait_turn(0) == 0);
        end = computed_ns() + MS;
        while (computed_ns() < end)
            continue;
        give_turn();
    }
}

static void run(const struct order *order)
{
    unsigned running = atomic_fetch_add(&shared->running, 1) + 1, most = shared->most;

    while (running > most && !atomic_compare_exchange_weak(&shared->most, &most, running))
        continue;
    if (order->op == BLOCK) {
        sem_post(&shared->entered);
        door_test_require(door_test_sem_wait(&shared->released));
    } else if (order->op == COMPUTE) {
        compute(order->ms);
    } else {
        if (order->op == LOCK)
            pthread_mutex_lock(&one_lock);
        if (order->ms > 0)
            nanosleep(&(struct timespec){order->ms / 1000, order->ms % 1000 * MS}, NULL);
        if (order->op == LOCK)
            pthread_mutex_unlock(&one_lock);
    }
    atomic_fetch_sub(&shared->running, 1);
}

static void serve(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    struct order order;

    (void)c;
    (void)dp;
    (void)n_desc;
    door_test_require(arg_size == sizeof(order));
    memcpy(&order, argp, sizeof(order));
    if (pthread_getspecific(key) == NULL) {
        atomic_fetch_add(&shared->started, 1);
        door_test_require(pthread_setspecific(key, &key) == 0);
    }
    run(&order);
    door_return(NULL, 0, NULL, 0);
}

static void *count_all_but_this(void *count)
{
    *(int *)count = door_test_thread_count(getpid()) - 1;
    return NULL;
}

/*
 * A sanitizer has a thread of its own from the first one on.  That first one counts, because
 * the kernel may still list it when pthread_join(3) returns.
 */
static int count_others(void)
{
    pthread_t thread;
    int count;

    door_test_require(pthread_create(&thread, NULL, count_all_but_this, &count) == 0);
    pthread_join(thread, NULL);
    return count;
}

static void serve_all(void *unused)
{
    (void)unused;
    shared->others = count_others();
    door_test_require(pthread_key_create(&key, thread_ends) == 0);
    own_door = door_create(serve, NULL, 0);
    door_test_require(door_set_threads(own_door, shared->max, shared->idle_ms) == 0);
    door_test_attach(own_door, door_test_path("door"));
    door_test_ready();
    for (;;) {
        while (sem_wait(&shared->limit) < 0)
            continue;
        door_test_require(door_set_threads(own_door, shared->max, shared->idle_ms) == 0);
        door_test_require(!shared->takes_turns || door_take_turns(own_door) == 0);
        sem_post(&shared->limited);
    }
}

static void start(unsigned max, unsigned idle_ms)
{
    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
    door_test_sem_init(&shared->limit);
    door_test_sem_init(&shared->limited);
    shared->max = max;
    shared->idle_ms = idle_ms;
    server = door_test_spawn(serve_all, NULL);
    door = door_test_open(door_test_path("door"));
}

static void limit(unsigned max, unsigned idle_ms)
{
    shared->max = max;
    shared->idle_ms = idle_ms;
    sem_post(&shared->limit);
    ck_assert(door_test_sem_wait(&shared->limited));
}

/*
 * Server threads: not the library's helper; but for a while, those that close what has
 * come from the client.
 */
static int thread_count(void)
{
    return door_test_thread_count(server) - shared->others - 1;
}

static bool are_at_most(void *count)
{
    return thread_count() <= *(int *)count;
}

static bool are_exactly(void *count)
{
    return thread_count() == *(int *)count;
}

/*
 * Threads that end, until so many are left.  Where others have the processors, one more may begin
 * late and end again.  But if too many have ended, none begins, as no calls come.
 */
static bool settle_at(int count)
{
    if (door_test_await(are_at_most, &count) && door_test_await(are_exactly, &count))
        return true;
    fprintf(stderr, "# %d threads, and not %d\n", thread_count(), count);
    return false;
}

/* ------------------------------------------------ the client */

static void call(struct order order)
{
    door_test_require(door_test_call(door, &order, sizeof(order), NULL, 0) == 0);
}

static void *call_once(void *order)
{
    call(*(struct order *)order);
    return NULL;
}

static pthread_t callers[CALLERS];

static void begin(int count, struct order *order)
{
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(pthread_create(&callers[i], NULL, call_once, order), 0);
}

static void end(int count)
{
    for (int i = 0; i < count; i++)
        pthread_join(callers[i], NULL);
}

static void burst(int count, unsigned ms)
{
    struct order order = {.op = SLEEP, .ms = ms};

    begin(count, &order);
    end(count);
}

/* ------------------------------------------------ at most so many */

START_TEST(no_more_than_the_maximum)
{
    start(4, 0);
    burst(CALLERS, 30);
    ck_assert_uint_eq(shared->most, 4);
    ck_assert(settle_at(4));
    ck_assert_uint_eq(shared->started, 4);
}
END_TEST

START_TEST(one_thread_alone)
{
    start(1, 0);
    burst(16, 5);
    ck_assert_uint_eq(shared->most, 1);
    ck_assert(settle_at(1));
    ck_assert_uint_eq(shared->started, 1);
}
END_TEST

/* They have not been taken, and never run if they are given up. */
START_TEST(what_waits_is_untaken)
{
    struct order block = {.op = BLOCK}, order = {.op = SLEEP};
    struct door_handle *handle;

    start(3, 0);
    begin(3, &block);
    for (int i = 0; i < 3; i++)
        ck_assert(door_test_sem_wait(&shared->entered));
    handle = door_handle_open(door);
    for (int i = 0; i < 3; i++) {
        struct door_terms terms = {.take_by_ns = door_now_ns() + 50 * MS, .was_taken = 9};
        door_arg_t params = {.data_ptr = (char *)&order, .data_size = sizeof(order)};

        ck_assert_int_eq(door_handle_call(handle, &params, &terms), -1);
        ck_assert_int_eq(errno, ETIMEDOUT);
        ck_assert_int_eq(terms.was_taken, 0);
    }
    ck_assert_uint_eq(shared->running, 3);
    for (int i = 0; i < 3; i++)
        sem_post(&shared->released);
    end(3);
    call(order);
    door_handle_close(handle);
}
END_TEST

/* While calls wait for it. */
START_TEST(a_maximum_that_is_raised)
{
    struct order block = {.op = BLOCK};

    start(2, 0);
    begin(8, &block);
    for (int i = 0; i < 2; i++)
        ck_assert(door_test_sem_wait(&shared->entered));
    limit(6, 0);
    for (int i = 0; i < 4; i++)
        ck_assert(door_test_sem_wait(&shared->entered));
    for (int i = 0; i < 8; i++)
        sem_post(&shared->released);
    end(8);
    ck_assert_uint_eq(shared->most, 6);
    ck_assert(settle_at(6));
    ck_assert_uint_eq(shared->started, 6);
}
END_TEST

/* Those that sleep end at once, those that run after their calls. */
START_TEST(a_maximum_that_is_lowered)
{
    struct order block = {.op = BLOCK};

    start(0, 0);
    for (int i = 0; i < 10 && thread_count() < 8; i++) /* they may not come at the same time */
        burst(16, 100);
    ck_assert_int_ge(thread_count(), 8);
    begin(6, &block);
    for (int i = 0; i < 6; i++)
        ck_assert(door_test_sem_wait(&shared->entered));
    limit(3, 0);
    ck_assert(settle_at(6));
    for (int i = 0; i < 6; i++)
        sem_post(&shared->released);
    end(6);
    ck_assert(settle_at(3));
    shared->most = 0;
    burst(16, 10);
    ck_assert_uint_eq(shared->most, 3);
    ck_assert_int_eq(thread_count(), 3);
    ck_assert_uint_eq(shared->started - shared->ended, 3);
}
END_TEST

/* ------------------------------------------------ as many as are of use */

static void *call_for_a_while(void *until_ns)
{
    while (door_now_ns() < *(int64_t *)until_ns)
        call((struct order){.op = LOCK, .ms = 1});
    return NULL;
}

struct computing {
    _Atomic int64_t until_ns;
    unsigned ms;
};

static void *compute_for_a_while(void *arg)
{
    struct computing *computing = arg;
    struct order order = {.op = COMPUTE, .ms = computing->ms};

    while (door_now_ns() < computing->until_ns &&
           door_test_call(door, &order, sizeof(order), NULL, 0) == 0)
        continue; /* until the server is stopped, maybe */
    return NULL;
}

static const unsigned computing_ms[] = {2, 30, 3000};

/* More threads would stand in the same queue, also where no call ends for seconds. */
START_TEST(callers_that_compute_in_turns)
{
    struct computing computing = {.ms = computing_ms[_i]};

    start(0, 0);
    shared->takes_turns = 1;
    limit(0, 0);
    call((struct order){.op = COMPUTE, .ms = 1});
    computing.until_ns = door_now_ns() + (_i == 2 ? 10000 : 2000) * MS;
    for (int i = 0; i < CALLERS; i++)
        ck_assert_int_eq(pthread_create(&callers[i], NULL, compute_for_a_while, &computing), 0);
    nanosleep(&(struct timespec){.tv_sec = _i == 2 ? 10 : 2}, NULL);
    ck_assert_uint_le(shared->started, 16);
    door_test_stop(server); /* what waits for its turn would take long */
    end(CALLERS);
}
END_TEST

#define MANY (CALLERS - 8)

/* Until many have had threads at the same time. */
static void *sleep_for_a_while(void *until_ns)
{
    while (door_now_ns() < *(int64_t *)until_ns && shared->most < MANY)
        call((struct order){.op = SLEEP, .ms = 200});
    return NULL;
}

/*
 * Those that wait for something else have threads as everywhere: soon, or later where others
 * have the processors.
 */
START_TEST(callers_that_wait_beside_one_that_computes)
{
    int64_t until_ns;
    struct computing computing = {.ms = 20};

    start(0, 0);
    shared->takes_turns = 1;
    limit(0, 0);
    until_ns = computing.until_ns = door_now_ns() + DOOR_TEST_DEADLINE_MS * MS;
    ck_assert_int_eq(pthread_create(&callers[0], NULL, compute_for_a_while, &computing), 0);
    for (int i = 1; i < CALLERS; i++)
        ck_assert_int_eq(pthread_create(&callers[i], NULL, sleep_for_a_while, &until_ns), 0);
    for (int i = 1; i < CALLERS; i++)
        pthread_join(callers[i], NULL);
    computing.until_ns = 0;
    pthread_join(callers[0], NULL);
    ck_assert_uint_ge(shared->most, MANY);
}
END_TEST

/* How many threads are started for them in one server. */
static unsigned call_for_one_lock(void)
{
    int64_t until_ns;

    start(0, 0);
    until_ns = door_now_ns() + 1500 * MS;
    for (int i = 0; i < CALLERS; i++)
        ck_assert_int_eq(pthread_create(&callers[i], NULL, call_for_a_while, &until_ns), 0);
    end(CALLERS);
    return shared->started;
}

START_TEST(callers_of_one_lock)
{
    /* Some more where others have the processors, but not one for each caller. */
    unsigned most = 2 * (unsigned)sysconf(_SC_NPROCESSORS_ONLN) + 32, started = call_for_one_lock();

    most = most < CALLERS - 8 ? most : CALLERS;
    for (int i = 1; i < 5 && started > most; i++) { /* they had them for too long */
        door_test_stop(server);
        started = call_for_one_lock();
    }
    ck_assert_uint_le(started, most);
}
END_TEST

/* ------------------------------------------------ their end */

START_TEST(threads_that_have_nothing_to_do)
{
    start(0, 300);
    burst(CALLERS, 200);
    ck_assert_uint_ge(shared->started, CALLERS / 2);
    ck_assert(settle_at(2));
    ck_assert_uint_ge(shared->ended + 2, shared->started);
    burst(CALLERS, 200);
    ck_assert(settle_at(2));
}
END_TEST

/* None is so short that a call which comes at that moment is lost, or waits. */
static void *call_at_the_last_moment(void *seed)
{
    unsigned state = (unsigned)(uintptr_t)seed;

    for (int i = 0; i < door_test_scaled(300); i++) {
        call((struct order){.op = SLEEP, .ms = (unsigned)rand_r(&state) % 4});
        nanosleep(&(struct timespec){.tv_nsec = rand_r(&state) % 4000000}, NULL);
        if (i % 20 == 0) /* together, so that all of them sleep again */
            nanosleep(&(struct timespec){.tv_nsec = 20 * MS}, NULL);
    }
    return NULL;
}

START_TEST(calls_while_threads_end)
{
    start(0, 1);
    for (int i = 0; i < CALLERS; i++)
        ck_assert_int_eq(pthread_create(&callers[i], NULL, call_at_the_last_moment,
                                        (void *)(uintptr_t)(i + 1)),
                         0);
    end(CALLERS);
    ck_assert_uint_gt(shared->ended, 0);
    ck_assert(settle_at(2));
}
END_TEST

/* A load that comes and goes: who ends would have to be started again. */
START_TEST(no_threads_to_and_fro)
{
    unsigned started;

    start(0, 10000);
    for (int i = 0; i < 3; i++)
        burst(32, 100);
    started = shared->started;
    for (int i = 0; i < 10; i++) {
        burst(32, 30);
        nanosleep(&(struct timespec){.tv_nsec = 30 * MS}, NULL);
    }
    ck_assert_uint_eq(shared->ended, 0);
    ck_assert_uint_le(shared->started, started + 16); /* some in reserve */
}
END_TEST

START_TEST(threads_that_are_to_stay)
{
    start(0, 0);
    burst(16, 100);
    nanosleep(&(struct timespec){.tv_nsec = 500 * MS}, NULL);
    ck_assert_uint_eq(shared->ended, 0);
}
END_TEST

static void *own_thread(void *unused)
{
    (void)unused;
    door_return(NULL, 0, NULL, 0);
    return NULL;
}

static void serve_with_own_threads(void *unused)
{
    pthread_t thread;

    (void)unused;
    door_test_require(pthread_key_create(&key, thread_ends) == 0);
    own_door = door_create(serve, NULL, 0);
    for (int i = 0; i < 5; i++)
        door_test_require(pthread_create(&thread, NULL, own_thread, NULL) == 0);
    door_test_require(door_set_threads(own_door, 1, 1) == 0);
    door_test_attach(own_door, door_test_path("door"));
    door_test_ready();
    door_test_pause();
}

/* They count, and stay. */
START_TEST(threads_of_the_programs_own)
{
    start(0, 0);
    door_test_stop(server);
    server = door_test_spawn(serve_with_own_threads, NULL);
    door = door_test_open(door_test_path("door"));
    burst(16, 50);
    ck_assert(settle_at(5));
    nanosleep(&(struct timespec){.tv_nsec = 200 * MS}, NULL);
    ck_assert_int_eq(thread_count(), 5);
    ck_assert_uint_le(shared->most, 6);
    burst(16, 10);
}
END_TEST

/* ------------------------------------------------ threads that cannot be made, or begin */

static bool two_have_ended(void *unused)
{
    (void)unused;
    return server_thread_pool()->ended_count >= 2;
}

/* Until the client has had its say, the program serves a door without being able to. */
static void serve_when_allowed(void)
{
    own_door = door_create(serve, NULL, 0);
    door_test_attach(own_door, door_test_path("door"));
    door_test_ready();
    door_test_require(door_test_sem_wait(&shared->limit));
    door_test_require(door_test_await(two_have_ended, NULL));
    shared->failed = server_thread_pool()->ended_count;
}

/* It has all keys for thread-specific data. */
static void serve_without_keys(void *unused)
{
    pthread_key_t last, next;

    (void)unused;
    door_test_require(pthread_key_create(&key, thread_ends) == 0);
    door_test_require(pthread_key_create(&last, NULL) == 0);
    while (pthread_key_create(&next, NULL) == 0)
        last = next;
    serve_when_allowed();
    door_test_require(pthread_key_delete(last) == 0);
    door_test_pause();
}

/* There is no room for the stack of another thread, which fails as a limit on threads does. */
static void serve_without_stacks(void *unused)
{
    pthread_attr_t none, attr;

    (void)unused;
    door_test_require(pthread_getattr_default_np(&attr) == 0);
    door_test_require(pthread_attr_init(&none) == 0);
    door_test_require(pthread_attr_setstacksize(&none, SIZE_MAX / 8 * 7) == 0);
    door_test_require(pthread_setattr_default_np(&none) == 0);
    serve_when_allowed();
    door_test_require(pthread_setattr_default_np(&attr) == 0);
    door_test_pause();
}

static void (*const unable[])(void *) = {serve_without_keys, serve_without_stacks};

/*
 * A thread that cannot be made, or ends before it serves, is no reason to serve nobody, nor to
 * start others again and again.
 */
START_TEST(threads_that_cannot_begin)
{
    struct order order = {.op = SLEEP};
    door_arg_t arg = {.data_ptr = (char *)&order, .data_size = sizeof(order)};
    _Atomic int64_t deadline_ns;
    struct door_terms terms = {.deadline_ns = &deadline_ns};
    struct door_handle *handle;

    start(0, 0);
    door_test_stop(server);
    server = door_test_spawn(unable[_i], NULL);
    handle = door_handle_open(door_test_open(door_test_path("door")));
    ck_assert_ptr_nonnull(handle);
    nanosleep(&(struct timespec){.tv_nsec = 500 * MS}, NULL); /* for the first ones to end */
    sem_post(&shared->limit);
    deadline_ns = door_now_ns() + 10000 * MS;
    ck_assert_msg(door_handle_call(handle, &arg, &terms) == 0, "%s", strerror(errno));
    ck_assert_uint_ge(shared->failed, 2);
    ck_assert_uint_le(shared->failed, 20);
    door_handle_close(handle);
}
END_TEST

/* ------------------------------------------------ errors */

static int (*const forms[])(int, unsigned, unsigned) = {door_set_threads, portable_set_threads};

START_TEST(what_cannot_be_set)
{
    int own = door_create(serve, NULL, 0), private = door_create(serve, NULL, DOOR_PRIVATE);

    start(0, 0);
    ck_assert_int_eq(forms[_i](door, 1, 1), -1); /* another process's */
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(forms[_i](STDERR_FILENO, 1, 1), -1);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(forms[_i](-1, 1, 1), -1);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(forms[_i](private, 1, 1), -1);
    ck_assert_int_eq(errno, ENOTSUP);
    ck_assert_int_eq(forms[_i](own, 1, 1), _i == 0 ? 0 : -1);
    ck_assert_int_eq(errno, ENOTSUP);
    ck_assert_int_eq((_i == 0 ? door_take_turns : portable_take_turns)(-1), -1);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq((_i == 0 ? door_take_turns : portable_take_turns)(private), -1);
    ck_assert_int_eq(errno, ENOTSUP);
    ck_assert_int_eq((_i == 0 ? door_wait_turn : portable_wait_turn)(1), -1); /* no procedure */
    ck_assert_int_eq(errno, _i == 0 ? EINVAL : ENOTSUP);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *tc = door_test_tcase(suite, "threads", 60);

    tcase_add_test(tc, no_more_than_the_maximum);
    tcase_add_test(tc, one_thread_alone);
    tcase_add_test(tc, what_waits_is_untaken);
    tcase_add_test(tc, a_maximum_that_is_raised);
    tcase_add_test(tc, a_maximum_that_is_lowered);
    tc = door_test_tcase(suite, "use", 60);
    tcase_add_test(tc, callers_of_one_lock);
    tcase_add_loop_test(tc, callers_that_compute_in_turns, 0, 3);
    tcase_add_test(tc, callers_that_wait_beside_one_that_computes);
    tc = door_test_tcase(suite, "ends", 60);
    tcase_add_test(tc, threads_that_have_nothing_to_do);
    tcase_add_test(tc, calls_while_threads_end);
    tcase_add_test(tc, no_threads_to_and_fro);
    tcase_add_test(tc, threads_that_are_to_stay);
    tcase_add_test(tc, threads_of_the_programs_own);
    tc = door_test_tcase(suite, "errors", 60);
    tcase_add_loop_test(tc, threads_that_cannot_begin, 0, 2);
    tcase_add_loop_test(tc, what_cannot_be_set, 0, 2);
    return door_test_run(suite);
}
