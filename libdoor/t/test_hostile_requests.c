/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_hostile_requests.c: requests that break the rules, and clients that
 * die on the way.  Whatever one does, the server goes on, a well-behaved client
 * in another process is served at once, and nothing of the hostile one is left.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "closer.h"
#include "fd.h"
#include "hostile.h"
#include "hostile_target.h"
#include "mailbox.h"

/* ------------------------------------------------ requests on the door's socket */

START_TEST(requests_of_any_length)
{
    static char garbage[65536];
    int door;

    target_start(0);
    door = hostile_connect(target_path);
    door_test_fill(garbage, sizeof(garbage), 7);
    for (size_t len = 0; len <= 64; len++)
        ck_assert(fd_send(door, garbage, len, NULL, 0) == 0 || errno == EAGAIN || errno == EPIPE);
    for (size_t len = 128; len <= sizeof(garbage); len *= 2)
        fd_send(door, garbage, len, NULL, 0);
    target_serves();
    close(door);
    target_is_clean();
}
END_TEST

START_TEST(requests_that_are_none)
{
    struct msg_request r[] = {{0, SHM_VERSION, MSG_OPEN},
                              {MSG_MAGIC, SHM_VERSION + 1, MSG_OPEN},
                              {MSG_MAGIC, 0, MSG_INFO},
                              {MSG_MAGIC, SHM_VERSION, 0},
                              {MSG_MAGIC, SHM_VERSION, MSG_DETACH + 1},
                              {MSG_MAGIC, SHM_VERSION, 0xffff}};
    int door, pair[2];

    target_start(0);
    door = hostile_connect(target_path);
    for (size_t i = 0; i < sizeof(r) / sizeof(r[0]); i++) {
        ck_assert_int_eq(fd_pair(pair), 0);
        ck_assert_int_eq(fd_send(door, &r[i], sizeof(r[i]), &pair[1], 1), 0);
        close(pair[1]);
        ck_assert(hostile_wait_readable(pair[0], TARGET_SERVES_MS)); /* closed unanswered */
        close(pair[0]);
        ck_assert_int_eq(fd_send(door, &r[i], sizeof(r[i]), NULL, 0), 0);
    }
    target_serves();
    close(door);
    target_is_clean();
}
END_TEST

START_TEST(any_number_of_descriptors)
{
    static const unsigned counts[] = {0, 1, 2, 3, 10, 253};
    int door, fds[253];

    target_start(0);
    for (unsigned i = 0; i < 253; i++)
        door_test_require((fds[i] = open("/dev/null", O_RDONLY)) >= 0);
    for (unsigned op = 0; op <= MSG_DETACH + 1; op++) {
        door = hostile_connect(target_path);
        for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
            hostile_request(door, op, fds, counts[i]);
        target_serves();
        close(door);
    }
    target_is_clean();
}
END_TEST

enum kind { FILE_FD, PIPE_FD, MEMORY_FD, EPOLL_FD, TCP_FD, LISTENING_FD, UNCONNECTED_FD, STREAM_FD,
            DATAGRAM_FD, KIND_COUNT };

/* A descriptor that is no reply socket; more than one may have to be closed. */
static int make_kind(enum kind kind)
{
    int fds[2] = {-1, -1};

    switch (kind) {
    case FILE_FD:
        return open("/dev/zero", O_RDWR);
    case PIPE_FD:
        door_test_require(pipe(fds) == 0);
        close(fds[0]);
        return fds[1];
    case MEMORY_FD:
        return memfd_create("hostile", 0);
    case EPOLL_FD:
        return epoll_create1(0);
    case TCP_FD:
        return socket(AF_INET, SOCK_STREAM, 0);
    case LISTENING_FD:
        fds[0] = socket(AF_UNIX, SOCK_SEQPACKET, 0);
        bind(fds[0], &(struct sockaddr){.sa_family = AF_UNIX}, sizeof(sa_family_t));
        listen(fds[0], 1);
        return fds[0];
    case UNCONNECTED_FD:
        return socket(AF_UNIX, SOCK_SEQPACKET, 0);
    case STREAM_FD:
    case DATAGRAM_FD:
        door_test_require(socketpair(AF_UNIX, kind == STREAM_FD ? SOCK_STREAM : SOCK_DGRAM, 0,
                                     fds) == 0);
        close(fds[1]);
        return fds[0];
    default:
        return -1;
    }
}

START_TEST(reply_sockets_that_are_none)
{
    target_start(0);
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        /* The server's own user may detach it, and need not hear that it worked. */
        for (unsigned op = MSG_OPEN; op <= (kind == UNCONNECTED_FD ? MSG_INFO : MSG_DETACH); op++) {
            int door = hostile_connect(target_path);
            int fds[2] = {make_kind(kind), make_kind(kind)};
            ck_assert_int_ge(fds[0], 0);
            ck_assert(hostile_request(door, op, fds, 1));
            if (kind != UNCONNECTED_FD) /* which may be a reply socket, but of no user's */
                ck_assert(hostile_request(door, op, fds, 2));
            close(fds[0]);
            close(fds[1]);
            target_serves();
            close(door);
        }
    }
    target_is_clean();
}
END_TEST

/* A name to serve that is no listening socket. */
START_TEST(names_that_are_none)
{
    int door, pair[2], fds[2];

    target_start(0);
    door = hostile_connect(target_path);
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        if (kind == LISTENING_FD)
            continue;
        ck_assert_int_eq(fd_pair(pair), 0);
        fds[0] = pair[1];
        fds[1] = make_kind(kind);
        ck_assert(hostile_request(door, MSG_ATTACH, fds, 2));
        close(fds[0]);
        close(fds[1]);
        ck_assert(hostile_wait_readable(pair[0], TARGET_SERVES_MS)); /* the refusal */
        close(pair[0]);
    }
    close(door);
    target_is_clean();
}
END_TEST

START_TEST(answers_that_are_never_read)
{
    int door, pair[2], tiny = 1;
    unsigned sent = 0;
    int64_t until_ms;

    target_start(0);
    door = hostile_connect(target_path);
    ck_assert_int_eq(fd_pair(pair), 0);
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &tiny, sizeof(tiny));
    until_ms = door_test_now_ms() + 300;
    while (door_test_now_ms() < until_ms)
        sent += hostile_request(door, MSG_INFO, &pair[1], 1);
    ck_assert_uint_gt(sent, 100);
    target_serves();
    close(pair[0]);
    close(pair[1]);
    close(door);
    target_is_clean();
}
END_TEST

static void flood(void *unused)
{
    int door = hostile_connect(target_path), pair[2];

    (void)unused;
    door_test_require(fd_pair(pair) == 0);
    door_test_ready();
    for (;;)
        hostile_request(door, MSG_INFO, &pair[1], 1);
}

START_TEST(a_flood_of_requests)
{
    pid_t flooders[4];

    target_start(0);
    for (int i = 0; i < 4; i++)
        flooders[i] = door_test_spawn(flood, NULL);
    for (int i = 0; i < 5; i++)
        target_serves();
    for (int i = 0; i < 4; i++)
        door_test_stop(flooders[i]);
    target_is_clean();
}
END_TEST

START_TEST(hundreds_connect_and_say_nothing)
{
    enum { COUNT = 400 };
    int doors[COUNT];

    target_start(0);
    for (int i = 0; i < COUNT; i++)
        doors[i] = hostile_connect(target_path);
    target_serves();
    for (int i = 0; i < COUNT; i++)
        close(doors[i]);
    target_is_clean();
}
END_TEST

/* ------------------------------------------------ dying on the way */

enum stage { CONNECTED, ASKED, ASKED_CLOSED, OPENED, FILLED, MARKED, RUNG, RUNNING, LETTER_SENT,
             ASKED_FOR_NAME, ASKED_TO_TAKE, STAGE_COUNT };

static void go_to_stage(enum stage stage)
{
    struct hostile_peer p = {-1, -1, -1, -1, NULL, -1};
    struct target_request *r;
    int pair[2], bell[2];

    p.door = hostile_connect(target_path);
    if (stage == CONNECTED)
        return;
    if (stage == ASKED || stage == ASKED_CLOSED) {
        door_test_require(fd_pair(pair) == 0);
        if (stage == ASKED_CLOSED)
            close(pair[0]);
        door_test_require(pipe(bell) == 0);
        hostile_request(p.door, MSG_OPEN, (int[]){pair[1], bell[0]}, 2);
        return;
    }
    door_test_require(hostile_open_channel(&p));
    if (stage == LETTER_SENT)
        hostile_letter(&p, LETTER_DESCRIPTORS, 3, 1, &p.bell, 1);
    if (stage == OPENED || stage == LETTER_SENT)
        return;
    r = (struct target_request *)hostile_slot(&p, 3)->data;
    *r = (struct target_request){stage == RUNNING          ? TARGET_BLOCK
                          : stage == ASKED_FOR_NAME ? TARGET_IDENTIFY
                          : stage == ASKED_TO_TAKE  ? TARGET_GIVE_DESCS
                                                    : TARGET_ECHO,
                          10};
    hostile_argument(&p, 3, sizeof(*r));
    if (stage >= MARKED)
        atomic_store(&hostile_head(&p)->pending[0], 1u << 3);
    if (stage >= RUNG)
        hostile_ring(&p);
    if (stage == RUNNING)
        door_test_require(door_test_sem_wait(&target_shared->entered));
    if (stage > RUNNING)
        nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
}

static int die_at_stage(void *stage)
{
    go_to_stage(*(enum stage *)stage);
    kill(getpid(), SIGKILL);
    return 0;
}

START_TEST(clients_that_die_on_the_way)
{
    target_start(0);
    for (int round = 0; round < 3; round++) {
        for (enum stage stage = CONNECTED; stage < STAGE_COUNT; stage++) {
            ck_assert_int_eq(door_test_in_child(die_at_stage, &stage), -1);
            target_serves();
            if (stage == RUNNING)
                sem_post(&target_shared->released);
        }
    }
    target_is_clean();
}
END_TEST

/* No bell, or what is none: an answer that says so, or none. */
START_TEST(bells_that_are_none)
{
    int door, pair[2], bell[2];

    target_start(0);
    ck_assert_int_eq(pipe(bell), 0);
    door = hostile_connect(target_path);
    for (int kind = 0; kind <= KIND_COUNT + 1; kind++) {
        struct msg_answer answer = {0};
        unsigned count = 0;
        int fds[2], what = kind < KIND_COUNT ? make_kind(kind) : kind == KIND_COUNT ? bell[1] : -1;

        ck_assert_int_eq(fd_pair(pair), 0);
        ck_assert(hostile_request(door, MSG_OPEN, (int[]){pair[1], what}, what < 0 ? 1 : 2));
        close(pair[1]);
        ck_assert(hostile_wait_readable(pair[0], TARGET_SERVES_MS));
        ck_assert(fd_recv(pair[0], &answer, sizeof(answer), fds, 2, &count) < 0 ||
                  answer.error != 0);
        ck_assert_uint_eq(count, 0);
        close(pair[0]);
        if (what >= 0 && kind < KIND_COUNT)
            close(what);
        target_serves();
    }
    close(door);
    target_is_clean();
}
END_TEST

START_TEST(a_close_that_blocks_in_a_request)
{
    int door, peer, fd;

    target_start(0);
    for (unsigned op = MSG_OPEN; op <= MSG_DETACH + 1; op++) {
        door = hostile_connect(target_path);
        fd = hostile_lingering(&peer);
        target_hold();
        ck_assert(hostile_request(door, op, &fd, 1));
        target_serves_after_close(fd, peer);
        close(door);
    }
    target_is_clean();
}
END_TEST

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

/* No option of these sockets ends it.  They hold up few threads, whoever sends how many. */
START_TEST(many_closes_that_block)
{
    enum { COUNT = 100 };
    int door, peers[COUNT], fds[COUNT], threads;

    target_start(0);
    threads = door_test_thread_count(target_pid);
    door = hostile_connect(target_path);
    for (int i = 0; i < COUNT; i++)
        fds[i] = hostile_nest(hostile_lingering(&peers[i]));
    target_hold(); /* once: being stopped ends such a close */
    for (int i = 0; i < COUNT; i++) {
        ck_assert(hostile_request(door, MSG_INFO, &fds[i], 1));
        close(fds[i]);
    }
    target_go_on();
    target_serves();
    ck_assert_int_le(door_test_thread_count(target_pid), threads + CLOSER_THREADS_MAX + 4);
    for (int i = 0; i < COUNT; i++)
        close(peers[i]);
    close(door);
    target_is_clean();
}
END_TEST

/* Both directions are open, which open(2) of a door does not leave so. */
static int connect_raw(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    door_test_require(fd >= 0 && strlen(path) < sizeof(addr.sun_path));
    strcpy(addr.sun_path, path);
    door_test_require(connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
    return fd;
}

/* Who has been left alone for a while, for what was sent, is heard again, and so is its end. */
START_TEST(an_end_after_a_pause)
{
    enum { COUNT = 253 };
    int door, peer, blocking = hostile_nest(hostile_lingering(&peer)), fds[COUNT], before;

    target_start(0);
    target_serves();
    before = door_test_fd_count_of(target_pid);
    door = connect_raw(target_path);
    for (int i = 0; i < COUNT; i++)
        door_test_require((fds[i] = open("/dev/null", O_RDONLY)) >= 0);
    target_hold(); /* all of it is read at once */
    ck_assert(hostile_request(door, MSG_INFO, &blocking, 1));
    close(blocking);
    for (int i = 0; i < 3; i++)
        ck_assert(hostile_request(door, MSG_OPEN, fds, COUNT));
    target_go_on();
    target_serves(); /* and is not read on now */
    close(peer);
    target_serves();
    nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
    ck_assert_int_eq(shutdown(door, SHUT_WR), 0);
    ck_assert(door_test_fds_settle(target_pid, before));
    for (int i = 0; i < COUNT; i++)
        close(fds[i]);
    close(door);
    target_is_clean();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile requests");
    TCase *tc = door_test_tcase(suite, "clients", 60);

    tcase_add_test(tc, requests_of_any_length);
    tcase_add_test(tc, requests_that_are_none);
    tcase_add_test(tc, any_number_of_descriptors);
    tcase_add_test(tc, reply_sockets_that_are_none);
    tcase_add_test(tc, names_that_are_none);
    tcase_add_test(tc, answers_that_are_never_read);
    tcase_add_test(tc, a_flood_of_requests);
    tcase_add_test(tc, hundreds_connect_and_say_nothing);
    tcase_add_test(tc, clients_that_die_on_the_way);
    tcase_add_test(tc, bells_that_are_none);
    tcase_add_test(tc, a_close_that_blocks_in_a_request);
    tcase_add_test(tc, a_refused_attach_leaves_nothing);
    tcase_add_test(tc, a_stranger_cannot_detach);
    tcase_add_test(tc, a_close_that_blocks_with_a_short_request);
    tcase_add_test(tc, a_close_that_blocks_as_one_too_many);
    tcase_add_test(tc, many_closes_that_block);
    tcase_add_test(tc, an_end_after_a_pause);
    return door_test_run(suite);
}
