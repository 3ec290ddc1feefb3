/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_hostile_letters.c: what hostile clients send along with requests and calls:
 * descriptors whose end comes hard, sockets that are not theirs, letters nobody
 * asked for.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "hostile.h"
#include "hostile_target.h"
#include "mailbox.h"

/* An attach that is not allowed: both descriptors are closed all the same. */
START_TEST(a_refused_attach_leaves_nothing)
{
    int door, fds[2];

    target_start(0);
    door = hostile_connect(target_path);
    for (int i = 0; i < 10; i++) {
        fds[0] = fds[1] = socket(AF_UNIX, SOCK_SEQPACKET, 0); /* of no user's */
        ck_assert(hostile_request(door, MSG_ATTACH, fds, 2));
        close(fds[0]);
    }
    close(door);
    target_is_clean();
}
END_TEST

/* The server holds both ends of a control socket: it cannot hear it end. */
START_TEST(controls_whose_both_ends_the_server_has)
{
    int door, pair[2];

    target_start(0);
    door = hostile_connect(target_path);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(fd_pair(pair), 0);
        ck_assert(hostile_request(door, MSG_OPEN, &pair[0], 1));
        ck_assert(hostile_request(door, MSG_OPEN, &pair[1], 1));
        close(pair[0]);
        close(pair[1]);
    }
    target_serves();
    close(door);
    target_is_clean();
}
END_TEST

/* A stranger, who may call the door only, takes its name away. */
static int detach_as_stranger(void *unused)
{
    int door = open(target_path, O_RDONLY);

    (void)unused;
    if (door < 0 || !hostile_request(door, MSG_DETACH, &door, 1))
        return 1;
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    return 0;
}

START_TEST(a_stranger_cannot_detach)
{
    target_start(0);
    if (geteuid() != 0)
        return; /* nobody here is a stranger */
    ck_assert_int_eq(chmod(target_path, 0666), 0);
    ck_assert_int_eq(door_test_unprivileged(detach_as_stranger, NULL), 0);
    target_is_clean();
}
END_TEST

/* What is closed unseen, since the message is none: in the thread that serves all. */
static void a_close_that_blocks(size_t len, unsigned count)
{
    struct msg_request request = {MSG_MAGIC, SHM_VERSION, MSG_INFO};
    int door, peer, fds[3];

    target_start(0);
    door = hostile_connect(target_path);
    fds[0] = fds[1] = open("/dev/null", O_RDONLY);
    fds[count - 1] = hostile_lingering(&peer);
    target_hold();
    ck_assert_int_eq(fd_send(door, &request, len, fds, count), 0);
    close(fds[count - 1]);
    target_go_on();
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    target_serves();
    close(peer);
    close(door);
    target_is_clean();
}

START_TEST(a_close_that_blocks_with_a_short_request)
{
    a_close_that_blocks(7, 1);
}
END_TEST

START_TEST(a_close_that_blocks_as_one_too_many)
{
    a_close_that_blocks(8, 3);
}
END_TEST

/* Each such descriptor holds up a thread. */
START_TEST(many_closes_that_block)
{
    enum { COUNT = 100 };
    int door, peers[COUNT], fds[COUNT], threads;

    target_start(0);
    threads = door_test_thread_count(target_pid);
    door = hostile_connect(target_path);
    for (int i = 0; i < COUNT; i++)
        fds[i] = hostile_lingering(&peers[i]);
    target_hold(); /* once: being stopped ends such a close */
    for (int i = 0; i < COUNT; i++) {
        ck_assert(hostile_request(door, MSG_INFO, &fds[i], 1));
        close(fds[i]);
    }
    target_go_on();
    target_serves();
    ck_assert_int_le(door_test_thread_count(target_pid), threads + 16);
    for (int i = 0; i < COUNT; i++)
        close(peers[i]);
    close(door);
    target_is_clean();
}
END_TEST

/* An argument that is claimed, not written, costs no memory. */
START_TEST(a_gigabyte_that_was_not_written)
{
    struct hostile_peer p;
    long before_kb;

    target_start(0);
    before_kb = door_test_resident_kb(target_pid);
    ck_assert(hostile_open(&p, target_path));
    hostile_slot(&p, 0)->arg_size = 1 << 30;
    hostile_start(&p, 0);
    target_serves();
    hostile_reply(&p, 0, 10000);
    ck_assert_int_lt(door_test_resident_kb(target_pid), before_kb + 65536);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile letters");
    TCase *tc = door_test_tcase(suite, "clients", 60);

    tcase_add_test(tc, a_refused_attach_leaves_nothing);
    tcase_add_test(tc, controls_whose_both_ends_the_server_has);
    tcase_add_test(tc, a_stranger_cannot_detach);
    tcase_add_test(tc, a_close_that_blocks_with_a_short_request);
    tcase_add_test(tc, a_close_that_blocks_as_one_too_many);
    tcase_add_test(tc, many_closes_that_block);
    tcase_add_test(tc, a_gigabyte_that_was_not_written);
    return door_test_run(suite);
}
