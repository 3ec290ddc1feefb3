/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_closer.c: letting go of what peers sent.  Some of it takes half a minute to
 * close, or until the other end of a TCP connection goes: who lets go never waits
 * for that, few threads do, and one sender's descriptors do not hold up another's.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "closer.h"
#include "fd.h"
#include "hostile.h"
#include "loop.h"

#define STUCK_MAX 16
#define SOME_USER 1001
#define OTHER_USER 1002

static int peers[STUCK_MAX];
static unsigned stuck_count;

/* Lets go of a descriptor whose close waits until let_it_go_on(). */
static enum closer_state let_go_stuck(struct closer_account *a)
{
    int fd = hostile_nest(hostile_lingering(&peers[stuck_count++]));

    return closer_let_go(a, fd);
}

static void let_it_go_on(void)
{
    while (stuck_count > 0)
        close(peers[--stuck_count]);
}

/* The end of a pipe whose other end is let go: it is readable once that is closed. */
static int let_go_pipe(struct closer_account *a)
{
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    closer_let_go(a, fds[1]);
    return fds[0];
}

static bool is_closed(int pipe_fd, int timeout_ms)
{
    struct pollfd p = {.fd = pipe_fd, .events = POLLIN};

    return poll(&p, 1, timeout_ms) == 1;
}

/* Threads beside the test's own; a sanitizer has some, too. */
static int threads(void)
{
    return door_test_thread_count(getpid()) - 1;
}

static int at_most(int count)
{
    return door_test_sanitized() ? count + 2 : count;
}

static bool no_thread_is_left(void *unused)
{
    (void)unused;
    return threads() <= at_most(0);
}

START_TEST(everything_is_closed_and_the_threads_end)
{
    struct closer_account *a = closer_account_create(SOME_USER);
    int last = -1, fds = door_test_fd_count();

    for (int i = 0; i < 1000; i++) {
        if (i > 0)
            close(last);
        last = let_go_pipe(a);
        ck_assert_int_le(threads(), at_most(1));
        while (closer_state(a) == CLOSER_BEHIND)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    closer_account_drop(a);
    ck_assert(is_closed(last, DOOR_TEST_DEADLINE_MS));
    close(last);
    ck_assert_int_eq(closer_let_go(NULL, -1), CLOSER_FINE);
    ck_assert(door_test_fds_settle(0, fds));
    ck_assert(door_test_await(no_thread_is_left, NULL));
}
END_TEST

/* glibc's heaps: it makes one for each thread that allocates or frees something. */
static int heaps(void)
{
    char *text;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    int count = 0;

    ck_assert(f != NULL && malloc_info(0, f) == 0 && fclose(f) == 0);
    for (const char *at = text; (at = strstr(at, "<heap nr=")) != NULL; at++)
        count++;
    free(text);
    return count;
}

/* While glibc makes one it may open a file, and takes the lowest number from the program. */
START_TEST(a_thread_needs_no_heap)
{
    int before = heaps(), end = let_go_pipe(NULL);

    ck_assert(is_closed(end, DOOR_TEST_DEADLINE_MS));
    ck_assert_int_eq(heaps(), before);
    close(end);
}
END_TEST

START_TEST(errno_stays)
{
    struct closer_account *a = closer_account_create(SOME_USER);

    errno = EXDEV;
    closer_let_go(a, 12345);
    closer_shut(a, 12345);
    closer_let_go(NULL, -1);
    closer_account_drop(a);
    closer_account_drop(NULL);
    ck_assert_int_eq(errno, EXDEV);
}
END_TEST

START_TEST(a_stuck_sender_holds_up_one_thread)
{
    struct closer_account *a = closer_account_create(SOME_USER);
    struct closer_account *b = closer_account_create(SOME_USER);
    int fds = door_test_fd_count(), behind, other;

    for (int i = 0; i < 10; i++)
        let_go_stuck(a);
    behind = let_go_pipe(a);
    other = let_go_pipe(b);
    ck_assert(is_closed(other, DOOR_TEST_DEADLINE_MS));
    ck_assert(!is_closed(behind, 100));
    ck_assert_int_le(threads(), at_most(2));
    closer_account_drop(a); /* its owner goes, what waits does not */
    closer_account_drop(b);
    let_it_go_on();
    ck_assert(is_closed(behind, DOOR_TEST_DEADLINE_MS));
    close(behind);
    close(other);
    ck_assert(door_test_fds_settle(0, fds));
}
END_TEST

START_TEST(a_stuck_user_holds_up_two_threads)
{
    struct closer_account *a[6], *b = closer_account_create(OTHER_USER);
    int other, behind;

    for (int i = 0; i < 6; i++) {
        a[i] = closer_account_create(SOME_USER);
        let_go_stuck(a[i]);
    }
    behind = let_go_pipe(a[5]);
    other = let_go_pipe(b);
    ck_assert(is_closed(other, DOOR_TEST_DEADLINE_MS));
    ck_assert(!is_closed(behind, 100));
    ck_assert_int_le(threads(), at_most(CLOSER_USER_THREADS_MAX + 1));
    let_it_go_on();
    ck_assert(is_closed(behind, DOOR_TEST_DEADLINE_MS));
    for (int i = 0; i < 6; i++)
        closer_account_drop(a[i]);
    closer_account_drop(b);
}
END_TEST

static bool all_threads_are_there(void *unused)
{
    (void)unused;
    return threads() >= CLOSER_THREADS_MAX;
}

START_TEST(many_users_hold_up_so_many_threads)
{
    struct closer_account *a[12];
    int last;

    for (int i = 0; i < 12; i++) {
        a[i] = closer_account_create(SOME_USER + (uid_t)i);
        let_go_stuck(a[i]);
    }
    last = let_go_pipe(a[11]);
    ck_assert(door_test_await(all_threads_are_there, NULL));
    ck_assert(!is_closed(last, 100));
    ck_assert_int_le(threads(), at_most(CLOSER_THREADS_MAX));
    let_it_go_on();
    ck_assert(is_closed(last, DOOR_TEST_DEADLINE_MS));
    for (int i = 0; i < 12; i++)
        closer_account_drop(a[i]);
}
END_TEST

static bool is_stuck(void *a)
{
    return closer_state(a) == CLOSER_STUCK;
}

static bool is_fine(void *a)
{
    return closer_state(a) == CLOSER_FINE;
}

START_TEST(who_is_behind_and_who_is_stuck)
{
    struct closer_account *a = closer_account_create(SOME_USER);
    struct closer_account *b = closer_account_create(SOME_USER);

    ck_assert_int_eq(closer_state(a), CLOSER_FINE);
    ck_assert_int_eq(let_go_stuck(a), CLOSER_FINE);
    for (int i = 1; i < CLOSER_WAITING_MAX; i++)
        ck_assert_int_eq(closer_let_go(a, dup(0)), CLOSER_FINE);
    ck_assert_int_ne(closer_let_go(a, dup(0)), CLOSER_FINE);
    ck_assert_int_eq(closer_state(b), CLOSER_FINE);
    ck_assert(door_test_await(is_stuck, a));
    ck_assert_int_eq(closer_let_go(a, dup(0)), CLOSER_STUCK);
    ck_assert_int_eq(closer_state(b), CLOSER_FINE);
    let_it_go_on();
    ck_assert(door_test_await(is_fine, a));
    closer_account_drop(a);
    closer_account_drop(b);
}
END_TEST

static void set_threads(rlim_t max)
{
    struct rlimit limit;

    door_test_require(getrlimit(RLIMIT_NPROC, &limit) == 0);
    limit.rlim_cur = max < limit.rlim_max ? max : limit.rlim_max;
    door_test_require(setrlimit(RLIMIT_NPROC, &limit) == 0);
}

static int let_go_without_threads(void *unused)
{
    struct closer_account *a = closer_account_create(SOME_USER);
    int fd;

    (void)unused;
    door_test_require(loop_start() == 0);
    set_threads(0);
    fd = hostile_nest(hostile_lingering(&peers[0]));
    closer_let_go(a, fd);
    door_test_require(fcntl(fd, F_GETFD) >= 0); /* nobody is there to close it */
    set_threads(RLIM_INFINITY);
    while (fcntl(fd, F_GETFD) >= 0) /* nobody lets go of anything: the loop thinks of it */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return 0;
}

START_TEST(where_no_thread_can_be_had)
{
    if (door_test_emulated())
        return; /* it has threads of its own */
    ck_assert_int_eq(door_test_unprivileged(let_go_without_threads, NULL), 0);
}
END_TEST

START_TEST(a_socket_with_nothing_in_it)
{
    int pair[2];

    ck_assert_int_eq(fd_pair(pair), 0);
    ck_assert_int_eq(fd_send(pair[0], "x", 1, NULL, 0), 0);
    closer_shut(NULL, pair[0]);
    ck_assert_int_lt(fcntl(pair[0], F_GETFD), 0); /* at once */
    ck_assert(hostile_wait_readable(pair[1], 0)); /* what was sent from there arrives */
    close(pair[1]);
    ck_assert(no_thread_is_left(NULL));
}
END_TEST

/* Whatever stands before it in the queue. */
START_TEST(a_socket_with_something_in_it)
{
    int pair[2], fd, before = door_test_fd_count();

    for (int first = 0; first < 3; first++) {
        ck_assert_int_eq(fd_pair(pair), 0);
        if (first > 0)
            ck_assert_int_eq(fd_send(pair[1], "x", first - 1, NULL, 0), 0); /* or of no bytes */
        fd = hostile_lingering(&peers[stuck_count++]);
        ck_assert_int_eq(fd_send(pair[1], NULL, 0, &fd, 1), 0);
        close(fd);
        closer_shut(NULL, pair[0]);
        ck_assert_int_ge(threads(), 1);
        ck_assert_int_le(threads(), at_most(1));
        ck_assert_int_lt(fd_send(pair[1], "x", 1, NULL, 0), 0);
        close(pair[1]);
        let_it_go_on();
        ck_assert(door_test_fds_settle(0, before));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("closer");
    TCase *tc = door_test_tcase(suite, "closer", 25); /* a wait for a close is longer */

    tcase_add_test(tc, everything_is_closed_and_the_threads_end);
    tcase_add_test(tc, a_thread_needs_no_heap);
    tcase_add_test(tc, errno_stays);
    tcase_add_test(tc, a_stuck_sender_holds_up_one_thread);
    tcase_add_test(tc, a_stuck_user_holds_up_two_threads);
    tcase_add_test(tc, many_users_hold_up_so_many_threads);
    tcase_add_test(tc, who_is_behind_and_who_is_stuck);
    tcase_add_test(tc, where_no_thread_can_be_had);
    tcase_add_test(tc, a_socket_with_nothing_in_it);
    tcase_add_test(tc, a_socket_with_something_in_it);
    return door_test_run(suite);
}
