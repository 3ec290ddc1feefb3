/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_figures.c: the figures: nothing is lost that processes and threads count at the same
 * time, nor by one that is killed; what is old is forgotten; there is room for so many doors.
 * The last test prints what counting costs, and judges nothing.
 */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "door_test_run.h"
#include "figures.h"

#define S        1000000000ll
#define START_NS (1000000 * S)
#define CHILDREN 4
#define THREADS  4
#define TIMES    300000u

static struct figures *figures;
static struct figures_seen seen;

static void set_up(void)
{
    figures = figures_make();
    ck_assert_ptr_nonnull(figures);
}

static struct figures_call call_at(int64_t ended_ns, uint32_t us)
{
    return (struct figures_call){.is_made = 1, .total_us = us, .ended_ns = ended_ns,
                                 .status = 200, .pid = 7, .path = "/path"};
}

static void count(const char *name, struct figures_call call)
{
    figures_count(figures_find(figures, name, 0), &call);
}

static int look(const char *name, int64_t now_ns)
{
    int index = figures_index(figures, name);

    return index != -1 && figures_look(figures, (unsigned)index, now_ns, &seen);
}

/* ------------------------------------------------------------- histograms */

START_TEST(test_buckets)
{
    for (unsigned b = 1; b < HISTOGRAM_BUCKETS; b++) {
        ck_assert_uint_eq(histogram_bucket(histogram_least(b)), b);
        ck_assert_uint_eq(histogram_bucket(histogram_least(b) - 1), b - 1);
    }
    ck_assert_uint_eq(histogram_bucket(0), 0);
    ck_assert_uint_eq(histogram_bucket(UINT32_MAX), HISTOGRAM_BUCKETS - 1);
}
END_TEST

/* Of 1 to 10,000 microseconds, once each: known to an eighth. */
START_TEST(test_quantiles)
{
    static const double shares[] = {.1, .5, .9, .99, 1};
    uint64_t counts[HISTOGRAM_BUCKETS] = {0};

    ck_assert(histogram_quantile(counts, .5) < 0);
    for (uint32_t us = 1; us <= 10000; us++)
        counts[histogram_bucket(us)]++;
    for (unsigned i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
        double right = shares[i] * 10000, told = histogram_quantile(counts, shares[i]);

        ck_assert_msg(told > right * 7 / 8 && told < right * 9 / 8, "%g: %g", shares[i], told);
    }
}
END_TEST

/* ---------------------------------------------------------------- counting */

START_TEST(test_one)
{
    struct figures_call call = call_at(START_NS, 1500);

    ck_assert(!look("hello", START_NS));
    call.wait_us = 500;
    count("hello", call);
    call.outcome = FIGURES_BUSY;
    call.is_made = 0;
    count("hello", call);
    ck_assert(look("hello", START_NS));
    ck_assert_str_eq(seen.name, "hello");
    ck_assert_uint_eq(seen.outcomes[FIGURES_ANSWERED], 1);
    ck_assert_uint_eq(seen.outcomes[FIGURES_BUSY], 1);
    ck_assert_uint_eq(histogram_sum(seen.latencies), 1);
    ck_assert_uint_eq(seen.total_us, 1500);
    ck_assert_uint_eq(seen.wait_us, 500);
    ck_assert_uint_eq(seen.requests[FIGURES_STEPS - 1], 2);
    ck_assert_uint_eq(seen.errors[FIGURES_STEPS - 1], 1);
    ck_assert(!look("other", START_NS));
}
END_TEST

static void *count_many(void *unused)
{
    for (unsigned i = 0; i < TIMES; i++)
        count(i % 2 ? "odd" : "even", call_at(START_NS + i, i));
    return unused;
}

static void count_in_threads(void)
{
    pthread_t threads[THREADS];

    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, count_many, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

START_TEST(test_many_at_once)
{
    uint64_t total = (uint64_t)CHILDREN * THREADS * (TIMES / 2);

    for (unsigned i = 0; i < CHILDREN; i++)
        if (fork() == 0) {
            count_in_threads();
            _exit(0);
        }
    for (unsigned i = 0; i < CHILDREN; i++)
        wait(NULL);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert(look(i ? "odd" : "even", START_NS + S));
        ck_assert_uint_eq(seen.outcomes[FIGURES_ANSWERED], total);
        ck_assert_uint_eq(histogram_sum(seen.latencies), total);
        ck_assert_uint_eq(histogram_sum(seen.recent), total);
        ck_assert_uint_eq(seen.requests[FIGURES_STEPS - 1], total);
        ck_assert_uint_eq(seen.slow[0].total_us, TIMES - 2 + i);
    }
}
END_TEST

/* A child that counts without an end is killed, again and again: the figures still add up. */
START_TEST(test_killed)
{
    uint64_t made = 0, counted = 0;

    for (unsigned i = 0; i < 50; i++) {
        pid_t pid = fork();

        if (pid == 0)
            for (uint32_t us = 1;; us++)
                count("hello", call_at(START_NS + us, us));
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    ck_assert(look("hello", START_NS + S));
    made = seen.outcomes[FIGURES_ANSWERED];
    counted = histogram_sum(seen.latencies);
    ck_assert_uint_gt(made, 50);
    ck_assert_uint_le(counted, made);
    ck_assert_uint_le(made - counted, 50);
    /* Whatever it was writing then, others write there again. */
    for (uint32_t i = 0; i < FIGURES_SLOWEST; i++)
        count("hello", call_at(START_NS + 20 * S, 2000000000u + i));
    ck_assert(look("hello", START_NS + 20 * S));
    ck_assert_uint_eq(seen.slow_count, FIGURES_SLOWEST);
    ck_assert_uint_ge(seen.slow[FIGURES_SLOWEST - 1].total_us, 2000000000u);
}
END_TEST

/* ------------------------------------------------------------------- time */

START_TEST(test_history)
{
    int64_t step_ns = FIGURES_STEP_S * S;

    count("hello", call_at(START_NS, 100));
    count("hello", call_at(START_NS + step_ns, 300));
    count("hello", call_at(START_NS + step_ns, 500));
    ck_assert(look("hello", START_NS + 2 * step_ns));
    ck_assert_uint_eq(seen.requests[FIGURES_STEPS - 3], 1);
    ck_assert_uint_eq(seen.requests[FIGURES_STEPS - 2], 2);
    ck_assert_uint_eq(seen.requests[FIGURES_STEPS - 1], 0);
    ck_assert_uint_eq(seen.mean_us[FIGURES_STEPS - 2], 400);
    /* Round once: the same place is another time's. */
    count("hello", call_at(START_NS + FIGURES_STEPS * step_ns, 100));
    count("hello", call_at(START_NS, 100)); /* one who comes too late */
    ck_assert(look("hello", START_NS + FIGURES_STEPS * step_ns));
    ck_assert_uint_eq(seen.requests[FIGURES_STEPS - 1], 1);
    ck_assert_uint_eq(seen.requests[0], 2);
}
END_TEST

START_TEST(test_recent)
{
    count("hello", call_at(START_NS, 100));
    ck_assert(look("hello", START_NS + (FIGURES_RECENT_S - 61) * S));
    ck_assert_uint_eq(histogram_sum(seen.recent), 1);
    ck_assert(look("hello", START_NS + (FIGURES_RECENT_S + 1) * S));
    ck_assert_uint_eq(histogram_sum(seen.recent), 0);
    ck_assert_uint_eq(histogram_sum(seen.latencies), 1);
}
END_TEST

START_TEST(test_slowest)
{
    for (uint32_t us = 1; us <= 100; us++)
        count("hello", call_at(START_NS + us, (us * 37) % 101));
    ck_assert(look("hello", START_NS + S));
    ck_assert_uint_eq(seen.slow_count, FIGURES_SLOWEST);
    for (uint32_t i = 0; i < FIGURES_SLOWEST; i++)
        ck_assert_uint_eq(seen.slow[i].total_us, 100 - i);
    ck_assert_str_eq(seen.slow[0].path, "/path");
    ck_assert_int_eq(seen.slow[0].pid, 7);
    /* Later they are none of late, and quicker ones are the slowest. */
    ck_assert(look("hello", START_NS + (FIGURES_LATE_S + 1) * S));
    ck_assert_uint_eq(seen.slow_count, 0);
    count("hello", call_at(START_NS + (FIGURES_LATE_S + 1) * S, 3));
    ck_assert(look("hello", START_NS + (FIGURES_LATE_S + 2) * S));
    ck_assert_uint_eq(seen.slow_count, 1);
    ck_assert_uint_eq(seen.slow[0].total_us, 3);
}
END_TEST

/* ------------------------------------------------------------------ names */

START_TEST(test_escape)
{
    static const char *const texts[][2] = {
        {"/a/b.html", "/a/b.html"},
        {"/<script>\"'&\\", "/%3Cscript%3E%22%27%26%5C"},
        {"/\xc3\xbc\n\x7f?x=1", "/%C3%BC%0A%7F%3Fx=1"},
        {"", ""},
    };
    char escaped[FIGURES_TEXT_SIZE], lengthy[500];

    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        figures_escape(texts[i][0], escaped, sizeof(escaped));
        ck_assert_str_eq(escaped, texts[i][1]);
    }
    for (size_t len = 100; len < 140; len++) {
        memset(lengthy, 'a', len);
        lengthy[len] = '\0';
        figures_escape(lengthy, escaped, sizeof(escaped));
        ck_assert_uint_lt(strlen(escaped), sizeof(escaped));
        ck_assert_int_eq(strcmp(escaped, lengthy) == 0, len <= sizeof(escaped) - 4);
        memset(lengthy, '<', len);
        figures_escape(lengthy, escaped, sizeof(escaped));
        ck_assert_uint_lt(strlen(escaped), sizeof(escaped));
    }
}
END_TEST

/* Who shows them has nothing else to tell them apart by. */
START_TEST(test_long_names)
{
    char name[500], first[FIGURES_TEXT_SIZE];

    for (size_t len = 100; len < 140; len++) {
        memset(name, 'a', len);
        name[0] = '/';
        strcpy(name + len, "1");
        count(name, call_at(START_NS, 1));
        ck_assert(look(name, START_NS));
        strcpy(first, seen.name);
        ck_assert_int_eq(strcmp(first, name) == 0, strstr(first, "...") == NULL);
        strcpy(name + len, "2");
        count(name, call_at(START_NS, 1));
        ck_assert(look(name, START_NS));
        ck_assert_str_ne(seen.name, first);
        ck_assert_uint_lt(strlen(seen.name), sizeof(seen.name));
    }
}
END_TEST

static unsigned count_doors(void)
{
    unsigned doors = 0;

    for (unsigned i = 0; i < figures_door_count(); i++)
        doors += figures_look(figures, i, START_NS, &seen) && seen.name[0] != '\0';
    return doors;
}

START_TEST(test_room)
{
    char name[40];

    for (unsigned i = 0; i < 2 * FIGURES_DOORS; i++) { /* as .htaccess files name them */
        struct figures_call call = call_at(START_NS, 1);

        snprintf(name, sizeof(name), "/foreign/%u", i);
        figures_count(figures_find(figures, name, 1), &call);
    }
    ck_assert_uint_eq(count_doors(), FIGURES_DOORS / 2);
    for (unsigned i = 0; i < 2 * FIGURES_DOORS; i++) {
        snprintf(name, sizeof(name), "/door/%u", i);
        count(name, call_at(START_NS, 1));
    }
    ck_assert_uint_eq(count_doors(), FIGURES_DOORS);
    ck_assert(look("/door/0", START_NS));
    ck_assert(figures_look(figures, FIGURES_DOORS, START_NS, &seen));
    ck_assert_str_eq(seen.name, "");
    ck_assert_uint_eq(seen.outcomes[FIGURES_ANSWERED], 3 * FIGURES_DOORS);
}
END_TEST

/* Any byte may be there: whoever looks goes on, and shows nothing but printable text. */
START_TEST(test_scribbled)
{
    size_t size = 6000000;

    for (int byte = 0; byte < 256; byte += 15) {
        memset((void *)figures, byte, size);
        for (unsigned i = 0; i < figures_door_count(); i++) {
            figures_look(figures, i, START_NS, &seen);
            ck_assert_uint_le(seen.slow_count, FIGURES_SLOWEST);
            for (const char *c = seen.name; *c != '\0'; c++)
                ck_assert(*c > ' ' && *c < 0x7f);
        }
        count("hello", call_at(START_NS, 5));
    }
}
END_TEST

/* ------------------------------------------------------------------- cost */

START_TEST(test_cost)
{
    struct timespec before, after;
    const unsigned times = 1000000;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    for (unsigned i = 0; i < times; i++)
        count("hello", call_at(START_NS + (int64_t)i * 20000, 20 + i % 64));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    printf("# counting a request takes %.3f us of processor time\n",
           ((double)(after.tv_sec - before.tv_sec) * 1e9 + (double)(after.tv_nsec - before.tv_nsec)) /
               1e3 / times);
    fflush(stdout);
    ck_assert(look("hello", START_NS));
    ck_assert_uint_eq(seen.outcomes[FIGURES_ANSWERED], times);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("figures");
    TCase *tests = tcase_create("figures");

    tcase_add_checked_fixture(tests, set_up, NULL);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_buckets);
    tcase_add_test(tests, test_quantiles);
    tcase_add_test(tests, test_one);
    tcase_add_test(tests, test_many_at_once);
    tcase_add_test(tests, test_killed);
    tcase_add_test(tests, test_history);
    tcase_add_test(tests, test_recent);
    tcase_add_test(tests, test_slowest);
    tcase_add_test(tests, test_escape);
    tcase_add_test(tests, test_long_names);
    tcase_add_test(tests, test_room);
    tcase_add_test(tests, test_scribbled);
    tcase_add_test(tests, test_cost);
    suite_add_tcase(suite, tests);
    return door_test_run(suite);
}
