/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_cgi_program.c: programs that go on when nobody wants them to any more.
 */
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "cgi_program.h"
#include "door_test_run.h"

#define WAIT_S 60

/* It has left the group that it was started in, and ignores SIGTERM. */
static char stubborn[] = "$SIG{TERM} = 'IGNORE'; setpgrp(0, getpgrp(getppid())); close(STDOUT);"
                         " sleep(1000)";

static void start(struct cgi_program *program)
{
    char *argv[] = {"/usr/bin/perl", "-e", stubborn, NULL}, *env[] = {NULL};
    struct pollfd output;

    ck_assert_int_eq(cgi_program_start(program, argv, env, "/", 0), 0);
    output = (struct pollfd){.fd = program->out, .events = POLLIN};
    ck_assert_int_eq(poll(&output, 1, WAIT_S * 1000), 1);
}

static int has_ended(pid_t pid)
{
    const struct timespec tick = {.tv_nsec = 10000000};

    for (int i = 0; i < WAIT_S * 100; i++) {
        if (kill(pid, 0) == -1 && errno == ESRCH)
            return 1;
        nanosleep(&tick, NULL);
    }
    kill(pid, SIGKILL);
    return 0;
}

START_TEST(one_that_has_left_its_group)
{
    struct cgi_program programs[2];

    ck_assert_int_eq(cgi_program_prepare(100), 0);
    for (int i = 0; i < 2; i++)
        start(&programs[i]);
    for (int i = 0; i < 2; i++)
        (_i == 0 ? cgi_program_leave : cgi_program_kill)(&programs[i]);
    for (int i = 0; i < 2; i++)
        ck_assert(has_ended(programs[i].pid));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("cgi_program");
    Suite *suite = suite_create("cgi_program");

    tcase_set_timeout(tests, 3 * WAIT_S);
    tcase_add_loop_test(tests, one_that_has_left_its_group, 0, 2);
    suite_add_tcase(suite, tests);
    return door_test_run(suite);
}
