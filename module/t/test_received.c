/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_received.c: a read that has a thread of its own lasts as long as it may, also while
 * somebody sets the clock.  A terminal is read, of which the kernel cannot say whether
 * reading it would block.
 */
#include <check.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "door_test_run.h"
#include "received.h"
#include "tokens.h"

static int terminal, keyboard;
static struct mod_door_received *file;
static char bytes[16];
static apr_size_t got;

/* This test is no child of httpd's. */
int mod_door_is_stopping(void)
{
    return 0;
}

/* ------------------------------------------------------------- the clock */

static _Atomic long ahead_s; /* of the real clock is what the program is told */
static long step_s;          /* so much more each time that it is told */

static long be_ahead(void)
{
    return atomic_fetch_add(&ahead_s, step_s);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    long result = syscall(SYS_clock_gettime, clock, now);

    if (result == 0 && clock == CLOCK_REALTIME)
        now->tv_sec += be_ahead();
    return (int)result;
}

/* The one that APR looks at. */
int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    long result = syscall(SYS_gettimeofday, now, zone);

    if (result == 0)
        now->tv_sec += be_ahead();
    return (int)result;
}

/* ------------------------------------------------------------- the reads */

static void set_up(void)
{
    struct mod_door_look look;
    struct termios raw;

    mod_door_init_received();
    keyboard = posix_openpt(O_RDWR | O_NOCTTY);
    ck_assert_int_ne(keyboard, -1);
    ck_assert_int_eq(grantpt(keyboard), 0);
    ck_assert_int_eq(unlockpt(keyboard), 0);
    terminal = open(ptsname(keyboard), O_RDWR | O_NOCTTY);
    ck_assert_int_ne(terminal, -1);
    ck_assert_int_eq(tcgetattr(terminal, &raw), 0);
    cfmakeraw(&raw);
    ck_assert_int_eq(tcsetattr(terminal, TCSANOW, &raw), 0);
    ck_assert_int_eq(mod_door_look_at(terminal, &look), APR_SUCCESS);
    file = mod_door_keep_received(mod_door_hold_sender("/door"), terminal, &look);
    ck_assert_ptr_nonnull(file);
    atomic_store(&ahead_s, 3600);
}

/* Its thread still reads: then that is what closes the file. */
static void clean_up(void)
{
    close(keyboard);
    mod_door_release_received(file);
}

static apr_status_t read_for(apr_interval_time_t timeout, mod_door_check *check)
{
    int looks = 0;

    return mod_door_read_received(file, bytes, sizeof(bytes), 0, timeout, check, &looks, &got);
}

/* Types something when it is looked for the third time. */
static apr_status_t type(void *looks)
{
    if (++*(int *)looks == 3)
        ck_assert_int_eq(write(keyboard, "typed", 5), 5);
    return APR_SUCCESS;
}

/* As if that was done right after it had been looked at: a wait by it would last an hour. */
START_TEST(test_set_back)
{
    ck_assert_int_eq(read_for(apr_time_from_msec(300), NULL), MOD_DOOR_ESILENT);
}
END_TEST

/* An hour at each look: by such a clock the time is over long before anything is typed. */
START_TEST(test_set_forward)
{
    step_s = 3600;
    ck_assert_int_eq(read_for(apr_time_from_sec(600), type), APR_SUCCESS);
    ck_assert_uint_eq(got, 5);
    ck_assert_mem_eq(bytes, "typed", 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("received");
    TCase *tc = tcase_create("received");

    tcase_add_checked_fixture(tc, set_up, clean_up);
    tcase_add_test(tc, test_set_back);
    tcase_add_test(tc, test_set_forward);
    suite_add_tcase(suite, tc);
    return door_test_run(suite);
}
