/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_own_numbers.c: a program that closes the library's own descriptors, as
 * closefrom() does, or forks without its knowledge, by _Fork().
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* As daemons do before they begin, except that they have called already. */
static void close_all_but(int keep)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    for (int fd = 3; fd < (int)limit.rlim_cur && fd < 65536; fd++)
        if (fd != keep)
            close(fd);
}

/* The library's own descriptors now belong to somebody else: still no harm. */
static int close_all_and_fill(void *arg)
{
    int d = *(int *)arg, peers[200];
    char byte;

    if (door_test_ask(d) != 'a')
        return 1;
    close_all_but(d);
    for (int i = 0; i < 100; i++)
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, &peers[2 * i]) != 0)
            return 2;
    for (int i = 0; i < 200; i++)
        dup2(peers[i], 512 + i);
    (void)door_test_ask(d); /* EBADF, EINTR or an answer: only not into a stranger's socket */
    for (int i = 0; i < 200; i++)
        if (recv(peers[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK) != -1)
            return 3;
    return 0;
}

START_TEST(the_librarys_own_numbers_used_again)
{
    char byte = 'a';
    int d = door_test_serve_byte(&byte);

    ck_assert_int_eq(door_test_in_child(close_all_and_fill, &d), 0);
}
END_TEST

static int close_all_and_open(void *arg)
{
    int d = *(int *)arg;

    if (door_test_ask(d) != 'a')
        return 1;
    close_all_but(-1);
    if (door_test_ask(d) != -EBADF)
        return 2;
    d = open(door_test_path("door-a"), O_RDONLY);
    return d >= 0 && door_test_ask(d) == 'a' ? 0 : 3;
}

START_TEST(a_door_opened_after_everything_was_closed)
{
    char byte = 'a';
    int d = door_test_serve_byte(&byte);

    ck_assert_int_eq(door_test_in_child(close_all_and_open, &d), 0);
}
END_TEST

#ifdef __linux__
pid_t _Fork(void); /* POSIX.1-2024; not yet in every system's library */
#define HAVE__FORK 1
#endif

#ifdef HAVE__FORK
START_TEST(after_raw_fork)
{
    char byte = 'a';
    int d = door_test_serve_byte(&byte);
    pid_t child;

    ck_assert_int_eq(door_test_ask(d), 'a');
    child = _Fork();
    if (child == 0) {
        for (int i = 0; i < 20; i++)
            if (door_test_ask(d) != 'a')
                _exit(1);
        _exit(0);
    }
    for (int i = 0; i < 200; i++)
        ck_assert_int_eq(door_test_ask(d), 'a');
    ck_assert_int_eq(door_test_exit_status(child), 0);
    ck_assert_int_eq(door_test_ask(d), 'a');
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("own numbers");
    TCase *tc = door_test_tcase(suite, "own numbers", 60);

    tcase_add_test(tc, the_librarys_own_numbers_used_again);
    tcase_add_test(tc, a_door_opened_after_everything_was_closed);
#ifdef HAVE__FORK
    tcase_add_test(tc, after_raw_fork);
#endif
    return door_test_run(suite);
}
