/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_numbers.c: descriptor numbers that are closed and used again behind the
 * library's back, moved by dup2() and inherited over exec.
 * Nothing is ever written into a descriptor that is no door.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *program; /* this one, for exec */

static void nothing_to_read(int fd)
{
    char byte;

    errno = 0;
    ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1);
    ck_assert(errno == EAGAIN || errno == EWOULDBLOCK);
}

/* Puts a socket of this type under the number; returns the socket's peer. */
static int replace_with_socket(int d, int type)
{
    int pair[2];

    door_test_require(socketpair(AF_UNIX, type, 0, pair) == 0);
    door_test_require(dup2(pair[0], d) == d);
    close(pair[0]);
    return pair[1];
}

START_TEST(closed_and_used_again_for_a_socket)
{
    static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    char byte = 'a';
    int d = door_test_serve_byte(&byte), peer;

    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(door_test_ask(d), 'a');
        peer = replace_with_socket(d, types[i]);
        ck_assert_int_eq(door_test_ask(d), -EBADF);
        ck_assert_int_eq(door_call(d, NULL), -1);
        nothing_to_read(peer);
        close(peer);
        close(d);
        ck_assert_int_eq(door_test_ask(d), -EBADF);
        d = door_test_open(door_test_path("door-a"));
    }
}
END_TEST

START_TEST(closed_and_used_again_for_a_file)
{
    char byte = 'a';
    int d = door_test_serve_byte(&byte), file;
    const char *path = door_test_path("file");
    struct stat st;

    ck_assert_int_eq(door_test_ask(d), 'a');
    door_test_file(path, "", 0600);
    file = open(path, O_RDWR);
    ck_assert_int_eq(dup2(file, d), d);
    ck_assert_int_eq(door_test_ask(d), -EBADF);
    ck_assert_int_eq(fstat(file, &st), 0);
    ck_assert_int_eq(st.st_size, 0);
}
END_TEST

START_TEST(closed_and_used_again_for_another_door)
{
    char a = 'a', b = 'b';
    int door_a = door_test_serve_byte(&a), door_b = door_test_serve_byte(&b), number;

    for (int i = 0; i < 50; i++) {
        number = i % 2 == 0 ? dup(door_a) : dup(door_b);
        ck_assert_int_eq(door_test_ask(number), i % 2 == 0 ? 'a' : 'b');
        close(number);
    }
    ck_assert_int_eq(dup2(door_b, door_a), door_a);
    ck_assert_int_eq(door_test_ask(door_a), 'b');
    ck_assert_int_eq(door_test_ask(door_b), 'b');
}
END_TEST

START_TEST(swapped_by_dup2)
{
    char a = 'a', b = 'b';
    int door_a = door_test_serve_byte(&a), door_b = door_test_serve_byte(&b), saved;

    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(door_test_ask(door_a), i % 2 == 0 ? 'a' : 'b');
        ck_assert_int_eq(door_test_ask(door_b), i % 2 == 0 ? 'b' : 'a');
        saved = dup(door_a);
        dup2(door_b, door_a);
        dup2(saved, door_b);
        close(saved);
    }
}
END_TEST

START_TEST(at_a_high_number)
{
    char byte = 'a';
    int d = door_test_serve_byte(&byte), high = 700;
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur <= (rlim_t)high)
        high = (int)limit.rlim_cur - 1;
    ck_assert_int_eq(dup2(d, high), high);
    ck_assert_int_eq(door_test_ask(high), 'a');
    close(d);
    ck_assert_int_eq(door_test_ask(high), 'a');
}
END_TEST

/*
 * As daemons do before they begin, except that they have called already.  check's
 * own descriptor goes too: no assertions of its kind from here on.
 */
static void close_all_but(int keep)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    for (int fd = 3; fd < (int)limit.rlim_cur && fd < 65536; fd++)
        if (fd != keep)
            close(fd);
}

static int close_everything(void *arg)
{
    char byte;
    int d = *(int *)arg, peer;

    if (door_test_ask(d) != 'a')
        return 1;
    close_all_but(-1);
    if (door_test_ask(d) != -EBADF)
        return 2;
    if (dup2(0, d) != d) /* or socketpair() would give d out */
        return 6;
    peer = replace_with_socket(d, SOCK_SEQPACKET);
    if (door_test_ask(d) != -EBADF)
        return 3;
    if (recv(peer, &byte, 1, MSG_DONTWAIT) != -1)
        return 4;
    return 0;
}

START_TEST(everything_closed)
{
    char byte = 'a';
    int d = door_test_serve_byte(&byte);

    ck_assert_int_eq(door_test_in_child(close_everything, &d), 0);
    ck_assert_int_eq(door_test_ask(d), 'a');
}
END_TEST

static int exec_self(void *arg)
{
    char number[16];

    snprintf(number, sizeof(number), "%d", *(int *)arg);
    execl(program, program, "--call", number, (char *)NULL);
    return 100;
}

START_TEST(inherited_over_exec)
{
    char byte = 'a';
    int d = door_test_serve_byte(&byte), copy;

    ck_assert_int_eq(door_test_in_child(exec_self, &d), 'a');
    ck_assert_int_eq(door_test_ask(d), 'a');
    copy = fcntl(d, F_DUPFD_CLOEXEC, 0);
    ck_assert_int_eq(door_test_in_child(exec_self, &copy), 101);
    ck_assert_int_eq(door_test_in_child(exec_self, &d), 'a');
    ck_assert_int_eq(door_test_ask(d), 'a');
}
END_TEST

struct closer {
    int doors[2];
    _Atomic bool stop;
};

/* Whoever calls meanwhile gets one door's answer, the other's, or EBADF. */
static void *keep_replacing(void *arg)
{
    struct closer *c = arg;
    int number = dup(c->doors[0]);

    for (int i = 0; !c->stop; i++)
        dup2(c->doors[i % 2], number);
    return (void *)(intptr_t)number;
}

START_TEST(replaced_while_it_is_called)
{
    char a = 'a', b = 'b';
    struct closer c = {.doors = {door_test_serve_byte(&a), door_test_serve_byte(&b)}};
    int number = dup(c.doors[0]);
    pthread_t thread;

    close(number); /* the thread's dup() gets it next */
    ck_assert_int_eq(pthread_create(&thread, NULL, keep_replacing, &c), 0);
    for (int i = 0; i < door_test_scaled(3000); i++) {
        int result = door_test_ask(number);

        ck_assert_msg(result == 'a' || result == 'b' || result == -EBADF, "%d", result);
        ck_assert_int_eq(door_test_ask(c.doors[1]), 'b');
    }
    c.stop = true;
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(out_of_descriptors)
{
    char byte = 'a';
    int d = door_test_serve_byte(&byte), used = dup(d), fresh;
    struct rlimit limit, low;

    ck_assert_int_eq(door_test_ask(d), 'a');
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = (rlim_t)dup(0);
    close((int)low.rlim_cur);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    errno = 0;
    ck_assert_int_eq(open(door_test_path("door-a"), O_RDONLY), -1);
    ck_assert_int_eq(errno, EMFILE);
    ck_assert_int_eq(door_test_ask(used), 'a');
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    fresh = door_test_open(door_test_path("door-a"));
    ck_assert_int_eq(door_test_ask(fresh), 'a');
}
END_TEST

static void add_tests(TCase *tc)
{
    tcase_add_test(tc, closed_and_used_again_for_a_socket);
    tcase_add_test(tc, closed_and_used_again_for_a_file);
    tcase_add_test(tc, closed_and_used_again_for_another_door);
    tcase_add_test(tc, swapped_by_dup2);
    tcase_add_test(tc, at_a_high_number);
    tcase_add_test(tc, everything_closed);
    tcase_add_test(tc, inherited_over_exec);
    tcase_add_test(tc, replaced_while_it_is_called);
    tcase_add_test(tc, out_of_descriptors);
}

int main(int argc, char **argv)
{
    Suite *suite;

    if (argc == 3 && strcmp(argv[1], "--call") == 0) {
        int result = door_test_ask(atoi(argv[2]));

        return result > 0 ? result : result == -EBADF ? 101 : 102;
    }
    program = argv[0];
    suite = suite_create("numbers");
    add_tests(door_test_tcase(suite, "numbers", 60));
    return door_test_run(suite);
}
