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
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/epoll.h>
#include <sys/eventfd.h>
#endif

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

/* ------------------------------------------------ of a server */

#ifdef __linux__
/* The kind of file that is there, as proc(5) tells it, is text. */
static bool is_a(int fd, const char *text)
{
    char path[40], link[64];
    ssize_t len;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    len = readlink(path, link, sizeof(link) - 1);
    link[len > 0 ? len : 0] = '\0';
    return strcmp(link, text) == 0;
}

/*
 * Puts epoll under the number of each epoll that there is, a readable eventfd under all
 * others from 3 on, and has epoll tell of these once, by their numbers.
 */
static int replace_all(int *epoll, int *event_fd, int *numbers)
{
    int count = 0, highest = 2000;

    *event_fd = fcntl(eventfd(1, EFD_NONBLOCK), F_DUPFD, highest);
    *epoll = fcntl(epoll_create1(0), F_DUPFD, highest);
    for (int fd = 3; fd < highest; fd++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = (uint64_t)fd};

        if (fcntl(fd, F_GETFD) < 0)
            continue;
        if (is_a(fd, "anon_inode:[eventpoll]")) {
            dup2(*epoll, fd);
        } else if (dup2(*event_fd, fd) != fd ||
                   epoll_ctl(*epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
            return -1;
        } else {
            numbers[count++] = fd;
        }
    }
    return count;
}

static bool has_told_of(const struct epoll_event *events, int count, int number)
{
    for (int i = 0; i < count; i++) {
        if (events[i].data.u64 == (uint64_t)number)
            return true;
    }
    return false;
}

static void answer_byte(void *cookie, char *argp, size_t size, door_desc_t *dp, uint_t n)
{
    (void)argp;
    (void)size;
    (void)dp;
    (void)n;
    door_return(cookie, 1, NULL, 0);
}

static int call_new_door(void)
{
    int d = door_create(answer_byte, (void *)"a", DOOR_UNREF), result = -1;

    for (int i = 0; d >= 0 && i < 5; i++)
        result = door_test_ask(d);
    close(d);
    return result;
}

/* 0: the program's own descriptors are as it left them, and the library works. */
static int replace_and_go_on(void *unused)
{
    struct rlimit limit;
    struct epoll_event events[1000];
    int epoll, event_fd, numbers[1000], count, told;
    uint64_t value;

    (void)unused;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 2100)
        return 0;
    if (call_new_door() != 'a')
        return 1;
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL); /* the server closes what it got */
    count = replace_all(&epoll, &event_fd, numbers);
    if (count < 0)
        return 2;
    for (int i = 0; i < 3; i++) {
        if (call_new_door() != 'a')
            return 3;
    }
    told = epoll_wait(epoll, events, 1000, 0);
    for (int i = 0; i < count; i++) {
        if (!has_told_of(events, told, numbers[i]))
            return 4;
    }
    return read(event_fd, &value, sizeof(value)) == sizeof(value) && value == 1 ? 0 : 5;
}

START_TEST(a_servers_numbers_used_again)
{
    ck_assert_int_eq(door_test_in_child(replace_and_go_on, NULL), 0);
}
END_TEST
#endif

static int ask_by_name(void *name)
{
    int d = open(name, O_RDONLY);

    return d < 0 ? 0 : door_test_ask(d);
}

/* As a program does that begins anew without exec. */
static int serve_close_and_serve(void *name)
{
    for (int i = 0; i < 3; i++) {
        int d = door_create(answer_byte, (void *)"a", 0);

        if (d < 0 || fattach(d, name) < 0)
            return 1;
        for (int j = 0; j < 3; j++) {
            if (door_test_in_child(ask_by_name, name) != 'a')
                return 2 + i;
        }
        close_all_but(-1);
    }
    return 0;
}

START_TEST(a_server_that_begins_anew)
{
    const char *name = door_test_path("anew");

    door_test_file(name, "", 0600);
    ck_assert_int_eq(door_test_in_child(serve_close_and_serve, (void *)name), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("own numbers");
    TCase *tc = door_test_tcase(suite, "own numbers", 60);

    tcase_add_test(tc, the_librarys_own_numbers_used_again);
    tcase_add_test(tc, a_door_opened_after_everything_was_closed);
#ifdef __linux__
    tcase_add_test(tc, a_servers_numbers_used_again);
#endif
    /* ThreadSanitizer has descriptors of its own, and loses its symbolizer. */
    if (!door_test_sanitized())
        tcase_add_test(tc, a_server_that_begins_anew);
#ifdef HAVE__FORK
    tcase_add_test(tc, after_raw_fork);
#endif
    return door_test_run(suite);
}
