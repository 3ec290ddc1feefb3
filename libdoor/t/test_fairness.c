/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_fairness.c: a busy client starves nobody: one quiet caller beside busy
 * ones of other processes, of its own process, and of other doors, however few
 * threads the server has.
 */
#include "door_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUSY_THREADS 16
#define QUIET_CALLS  100
#define SERVED_MS    50   /* on a machine that has nothing else to do: ten times that here */
#define AHEAD_MAX    2500 /* calls of 20 microseconds in that time */

struct shared {
    _Atomic long served; /* calls of the busy ones */
    _Atomic bool stop;
};

/* The server's threads: as many as the library makes, or a fixed number of the program's. */
struct pool {
    int threads; /* 0: the library's */
    uint_t attributes;
};

static const struct pool pools[] = {{0, 0}, {1, 0}, {2, 0}, {1, DOOR_PRIVATE}, {2, DOOR_PRIVATE}};

#define POOLS        ((int)(sizeof(pools) / sizeof(pools[0])))
#define POOLS_SHARED 3 /* the first ones: by all doors of a server */

static struct shared *shared;
static const char *path;
static const struct pool *pool;
static int private_door;

/* The quiet one says how many had been served when it called, and hears how many were before it. */
static void respond(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    long ahead;

    (void)c;
    (void)dp;
    (void)n_desc;
    if (arg_size != sizeof(ahead)) {
        atomic_fetch_add(&shared->served, 1);
        door_return(NULL, 0, NULL, 0);
    }
    memcpy(&ahead, argp, sizeof(ahead));
    ahead = shared->served - ahead;
    door_return((char *)&ahead, sizeof(ahead), NULL, 0);
}

static void *be_busy(void *arg)
{
    int d = *(int *)arg;

    while (!shared->stop)
        door_test_require(door_call(d, NULL) == 0);
    return NULL;
}

static void start_busy_threads(pthread_t *threads, int n, int *door)
{
    for (int i = 0; i < n; i++)
        door_test_require(pthread_create(&threads[i], NULL, be_busy, door) == 0);
}

struct busy {
    const char *path;
    int threads;
};

static void be_busy_process(void *arg)
{
    struct busy *busy = arg;
    pthread_t threads[BUSY_THREADS];
    int d = open(busy->path, O_RDONLY);

    door_test_require(d >= 0);
    start_busy_threads(threads, busy->threads, &d);
    door_test_ready();
    for (int i = 0; i < busy->threads; i++)
        pthread_join(threads[i], NULL);
}

static pid_t start_busy_process(const char *door_path, int threads)
{
    struct busy busy = {door_path, threads};

    return door_test_spawn(be_busy_process, &busy);
}

static bool all_busy(void *arg)
{
    return shared->served > *(long *)arg;
}

static int compare(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;

    return x < y ? -1 : x > y;
}

/*
 * The quiet caller's calls: how many are served before one is the library's doing,
 * how long that takes the machine's as well: it may stop any thread at any place.
 */
static void is_served(int d)
{
    const struct timespec rest = {.tv_nsec = 2000000};
    long took_ms[QUIET_CALLS], ahead[QUIET_CALLS], busy = 1000;

    ck_assert(door_test_await(all_busy, &busy));
    for (int i = 0; i < QUIET_CALLS; i++) {
        int64_t began_ms = door_test_now_ms();
        long served = shared->served;

        ck_assert_int_eq(door_test_call(d, &served, sizeof(served), &ahead[i], sizeof(ahead[i])),
                         sizeof(ahead[i]));
        took_ms[i] = (long)(door_test_now_ms() - began_ms);
        nanosleep(&rest, NULL);
    }
    qsort(took_ms, QUIET_CALLS, sizeof(took_ms[0]), compare);
    qsort(ahead, QUIET_CALLS, sizeof(ahead[0]), compare);
    /* With a sanitizer all of them compute, and two processors are what it waits for. */
    if (!door_test_sanitized()) {
        ck_assert_int_le(ahead[QUIET_CALLS * 97 / 100], AHEAD_MAX);
        ck_assert_int_le(took_ms[QUIET_CALLS / 2], 10 * SERVED_MS);
        ck_assert_int_le(took_ms[QUIET_CALLS - 1], 100 * SERVED_MS);
    }
}

static void *serve_bound(void *arg)
{
    if (pool->attributes == DOOR_PRIVATE)
        door_test_require(door_bind(private_door) == 0);
    door_return(NULL, 0, NULL, 0);
    return arg;
}

static void start_threads(void)
{
    pthread_t thread;

    for (int i = 0; i < pool->threads; i++)
        door_test_require(pthread_create(&thread, NULL, serve_bound, NULL) == 0);
}

/* That they are all busy is no reason for another one. */
static void create_fixed(door_info_t *info)
{
    static _Atomic bool created;

    if (info == NULL && !atomic_exchange(&created, true))
        start_threads();
}

#define DOORS 2

static void serve_doors(void *arg)
{
    const char **paths = arg;

    if (pool->threads > 0)
        door_server_create(create_fixed);
    for (int i = 0; i < DOORS && paths[i] != NULL; i++) {
        int d = private_door = door_create(respond, NULL, pool->attributes);

        door_test_require(d >= 0);
        door_test_attach(d, paths[i]);
    }
    if (pool->attributes == DOOR_PRIVATE)
        start_threads();
    door_test_ready();
    door_test_pause();
}

static void start(int which)
{
    const char *paths[DOORS] = {path = door_test_path("door"), NULL};

    pool = &pools[which];
    shared = door_test_shared(sizeof(*shared));
    door_test_spawn(serve_doors, paths);
}

START_TEST(beside_a_busy_process)
{
    pid_t busy;

    start(_i);
    busy = start_busy_process(path, BUSY_THREADS);
    is_served(door_test_open(path));
    shared->stop = true;
    ck_assert_int_eq(door_test_exit_status(busy), 0);
}
END_TEST

START_TEST(beside_several_busy_processes)
{
    pid_t busy[4];

    start(_i);
    for (int i = 0; i < 4; i++)
        busy[i] = start_busy_process(path, BUSY_THREADS / 4);
    is_served(door_test_open(path));
    shared->stop = true;
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(door_test_exit_status(busy[i]), 0);
}
END_TEST

START_TEST(beside_busy_threads_of_its_own)
{
    pthread_t threads[BUSY_THREADS];
    int d;

    start(_i);
    d = door_test_open(path);
    start_busy_threads(threads, BUSY_THREADS, &d);
    is_served(d);
    shared->stop = true;
    for (int i = 0; i < BUSY_THREADS; i++)
        pthread_join(threads[i], NULL);
}
END_TEST

START_TEST(beside_a_busy_door_of_the_same_server)
{
    const char *paths[DOORS] = {door_test_path("busy"), door_test_path("quiet")};
    pid_t busy;

    pool = &pools[_i];
    shared = door_test_shared(sizeof(*shared));
    door_test_spawn(serve_doors, paths);
    busy = start_busy_process(paths[0], BUSY_THREADS);
    is_served(door_test_open(paths[1]));
    shared->stop = true;
    ck_assert_int_eq(door_test_exit_status(busy), 0);
}
END_TEST

#define EQUALS 8

struct counter {
    pthread_t thread;
    int door;
    _Atomic long calls;
};

static pthread_barrier_t together;

static void *count_calls(void *arg)
{
    struct counter *c = arg;

    pthread_barrier_wait(&together);
    while (!shared->stop) {
        door_test_require(door_call(c->door, NULL) == 0);
        c->calls++;
    }
    return NULL;
}

static bool all_have_some(void *arg)
{
    struct counter *counters = arg;

    for (int i = 0; i < EQUALS; i++)
        if (counters[i].calls < door_test_scaled(1000))
            return false;
    return true;
}

/* Callers that do the same get about the same, once each has had its turns of the processors. */
START_TEST(among_equals)
{
    struct counter counters[EQUALS];
    long least, most;

    start(_i);
    pthread_barrier_init(&together, NULL, EQUALS);
    for (int i = 0; i < EQUALS; i++) {
        counters[i] = (struct counter){.door = door_test_open(path)};
        pthread_create(&counters[i].thread, NULL, count_calls, &counters[i]);
    }
    ck_assert(door_test_await(all_have_some, counters));
    shared->stop = true;
    for (int i = 0; i < EQUALS; i++)
        pthread_join(counters[i].thread, NULL);
    least = most = counters[0].calls;
    for (int i = 1; i < EQUALS; i++) {
        least = counters[i].calls < least ? counters[i].calls : least;
        most = counters[i].calls > most ? counters[i].calls : most;
    }
    ck_assert_int_ge(least, most / 50);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fairness");
    TCase *tc = door_test_tcase(suite, "fairness", 60);

    tcase_add_loop_test(tc, beside_a_busy_process, 0, POOLS);
    tcase_add_loop_test(tc, beside_several_busy_processes, 0, POOLS);
    tcase_add_loop_test(tc, beside_busy_threads_of_its_own, 0, POOLS);
    tcase_add_loop_test(tc, beside_a_busy_door_of_the_same_server, 0, POOLS_SHARED);
    tcase_add_loop_test(tc, among_equals, 0, POOLS);
    return door_test_run(suite);
}
