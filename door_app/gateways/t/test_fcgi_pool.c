/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_fcgi_pool.c: programs that are kept: as many of them as there may be.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "door_test_run.h"
#include "fcgi_pool.h"

/* Orders for so many, and reports of them, are more than a socket holds. */
#define MANY 700

static struct fcgi_pool_config config_of(char **argv)
{
    return (struct fcgi_pool_config){.keeper = {.argv = argv, .stop_ms = 10000, .tmp_dir = "/tmp"},
                                     .seats = MANY,
                                     .queue_length = 1,
                                     .queue_ms = 60000};
}

START_TEST(many_programs_start_and_end)
{
    char *argv[] = {"sleep", "1000", NULL};
    struct fcgi_pool_config config = config_of(argv);
    struct fcgi_pool *pool = fcgi_pool_open(&config);
    struct fcgi_seat *seats[MANY];

    ck_assert_ptr_nonnull(pool);
    for (int i = 0; i < MANY; i++) {
        seats[i] = fcgi_pool_take(pool);
        ck_assert_msg(seats[i] != NULL, "%d: %s", i, strerror(errno));
    }
    for (int i = 0; i < MANY; i++)
        fcgi_pool_give_back(pool, seats[i], FCGI_KEEP);
    fcgi_pool_close(pool);
}
END_TEST

/* It has left the group that it was started in, and ignores SIGTERM. */
START_TEST(one_that_has_left_its_group_ends)
{
    char *argv[] = {"perl", "-e",
                    "$SIG{TERM} = 'IGNORE'; setpgrp(0, getpgrp(getppid())); sleep(1000)", NULL};
    const struct timespec tick = {.tv_nsec = 10000000};
    struct fcgi_pool_config config = config_of(argv);
    struct fcgi_pool *pool;
    struct fcgi_seat *seat;
    int pid;

    config.seats = 1;
    config.keeper.stop_ms = 100;
    pool = fcgi_pool_open(&config);
    ck_assert_ptr_nonnull(pool);
    seat = fcgi_pool_take(pool);
    ck_assert_ptr_nonnull(seat);
    ck_assert_int_eq(fcgi_pool_connect(pool, seat), 0);
    pid = fcgi_pool_pid(pool, seat);
    for (int i = 0; i < 6000 && getpgid(pid) == pid; i++)
        nanosleep(&tick, NULL);
    ck_assert_int_ne(getpgid(pid), pid);
    fcgi_pool_give_back(pool, seat, FCGI_CLOSE);
    fcgi_pool_close(pool);
    ck_assert(kill(pid, 0) == -1 && errno == ESRCH);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("fcgi_pool");
    Suite *suite = suite_create("fcgi_pool");

    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, many_programs_start_and_end);
    tcase_add_test(tests, one_that_has_left_its_group_ends);
    suite_add_tcase(suite, tests);
    return door_test_run(suite);
}
