/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_counts.c: what the other tests count in processes.  Under a sanitizer a report
 * between two counts must change nothing, whichever process makes it; without one there
 * is nothing to report, and the counts are those of descriptors that are opened here.
 */
#include <fcntl.h>
#include <unistd.h>

#include "door_test.h"

#define OPENED 5

/* Of every sanitizer's run-time library, if one is there. */
#pragma weak __sanitizer_print_stack_trace
void __sanitizer_print_stack_trace(void);

struct shared {
    sem_t is_up, wanted, done;
    int own_before, own_after; /* counted by the server itself */
};

static struct shared *shared;

/* Starts the symbolizer and writes into the log, as a report does. */
static void report(void)
{
    if (door_test_sanitized()) {
        door_test_require(__sanitizer_print_stack_trace != NULL);
        __sanitizer_print_stack_trace();
    }
}

static void report_when_wanted(void *unused)
{
    (void)unused;
    door_test_ready();
    shared->own_before = door_test_fd_count();
    sem_post(&shared->is_up);
    door_test_require(door_test_sem_wait(&shared->wanted));
    report();
    shared->own_after = door_test_fd_count();
    sem_post(&shared->done);
    door_test_pause();
}

static void start(void)
{
    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->is_up);
    door_test_sem_init(&shared->wanted);
    door_test_sem_init(&shared->done);
}

START_TEST(a_report_of_another_process)
{
    pid_t server;
    int before;

    start();
    server = door_test_spawn(report_when_wanted, NULL);
    ck_assert(door_test_sem_wait(&shared->is_up));
    before = door_test_fd_count_of(server);
    sem_post(&shared->wanted);
    ck_assert(door_test_sem_wait(&shared->done));
    ck_assert_int_eq(door_test_fd_count_of(server), before);
    ck_assert_int_eq(shared->own_after, shared->own_before);
}
END_TEST

START_TEST(a_report_of_our_own)
{
    int before = door_test_fd_count();

    report();
    ck_assert_int_eq(door_test_fd_count(), before);
    ck_assert_int_eq(door_test_fd_count_of(getpid()), before + 1); /* the directory itself */
}
END_TEST

/* Files and pipes, some of them before and some after the report. */
START_TEST(what_a_test_opens_counts)
{
    int before = door_test_fd_count(), pair[2];

    for (int i = 0; i < OPENED; i++) {
        ck_assert_int_ge(open("/dev/null", O_RDONLY), 0);
        ck_assert_int_eq(pipe(pair), 0);
        if (i == OPENED / 2)
            report();
    }
    ck_assert_int_eq(door_test_fd_count(), before + 3 * OPENED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("counts");
    TCase *tc = door_test_tcase(suite, "counts", 60);

    tcase_add_test(tc, a_report_of_another_process);
    tcase_add_test(tc, a_report_of_our_own);
    tcase_add_test(tc, what_a_test_opens_counts);
    return door_test_run(suite);
}
