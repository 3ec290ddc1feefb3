/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_hostile.c: clients that break the rules.  Whatever one does, the server
 * goes on, a well-behaved client in another process is served at once, and
 * when the hostile one is gone nothing of it is left.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <door_compat.h>

#include "fd.h"
#include "hostile.h"
#include "hostile_target.h"
#include "mailbox.h"

#define NO_REPLY_MS 3000 /* longer than the server asks a caller that does not answer */

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
    struct hostile_peer p = {-1, -1, -1, -1, NULL};
    struct target_request *r;
    int pair[2];

    p.door = hostile_connect(target_path);
    if (stage == CONNECTED)
        return;
    if (stage == ASKED || stage == ASKED_CLOSED) {
        door_test_require(fd_pair(pair) == 0);
        if (stage == ASKED_CLOSED)
            close(pair[0]);
        hostile_request(p.door, MSG_OPEN, &pair[1], 1);
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
    hostile_slot(&p, 3)->arg_size = sizeof(*r);
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

/* ------------------------------------------------ lies in the slots */

START_TEST(sizes_that_cannot_be)
{
    static const uint64_t sizes[] = {SHM_WINDOW_SIZE + 1, 1ull << 40, 1ull << 63, UINT64_MAX,
                                     UINT64_MAX - 4095};
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        hostile_slot(&p, 255 - i)->arg_size = sizes[i];
        hostile_start(&p, 255 - i);
        ck_assert_int_eq(hostile_reply(&p, 255 - i, TARGET_SERVES_MS), E2BIG);
    }
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* More than was ever written: refused, or the rest reads as zeros. */
START_TEST(sizes_of_what_was_not_written)
{
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    for (unsigned i = 0; i < 8; i++) {
        hostile_slot(&p, i)->arg_size = SHM_INLINE_SIZE + (1u << (12 + i));
        hostile_start(&p, i);
        ck_assert_int_ge(hostile_reply(&p, i, TARGET_SERVES_MS), 0);
    }
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

static _Atomic int stop_changing;

static void *change_slots(void *arg)
{
    struct hostile_peer *p = arg;
    static const uint64_t sizes[] = {0, 1, 8, SHM_INLINE_SIZE, SHM_INLINE_SIZE + 1, 70000,
                                     1 << 20, 1ull << 33, UINT64_MAX};

    for (unsigned i = 0; !atomic_load(&stop_changing); i++) {
        volatile struct shm_slot *s = hostile_slot(p, i % 4);
        s->arg_size = sizes[i % 9];
        s->arg_desc_count = i % 3;
        s->result_size = ~0ull;
        s->call = i;
        s->data[0] = (char)(i % 2 * TARGET_GIVE_DESCS);
        s->state = i % 97 == 0 ? i : s->state;
    }
    return NULL;
}

/* Everything in the slot changes while the server reads it. */
START_TEST(slots_that_change_meanwhile)
{
    struct hostile_peer p;
    pthread_t changer;
    int64_t until_ms;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    ck_assert_int_eq(pthread_create(&changer, NULL, change_slots, &p), 0);
    until_ms = door_test_now_ms() + 1500;
    for (unsigned i = 0; door_test_now_ms() < until_ms; i++) {
        atomic_fetch_or(&hostile_head(&p)->pending[0], 1u << i % 4);
        hostile_ring(&p);
        if (i % 256 == 0 && hostile_is_dropped(&p, 0)) {
            atomic_store(&stop_changing, 1);
            pthread_join(changer, NULL);
            hostile_close(&p);
            ck_assert(hostile_open(&p, target_path));
            atomic_store(&stop_changing, 0);
            ck_assert_int_eq(pthread_create(&changer, NULL, change_slots, &p), 0);
        }
    }
    target_serves();
    atomic_store(&stop_changing, 1);
    pthread_join(changer, NULL);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

START_TEST(calls_in_all_slots_at_once)
{
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    for (int round = 0; round < 20; round++) {
        for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++)
            atomic_store(&hostile_slot(&p, slot)->state, SLOT_WAITING);
        for (unsigned word = 0; word < SHM_WORD_COUNT; word++)
            atomic_store(&hostile_head(&p)->pending[word], ~0ull);
        hostile_ring(&p);
        for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++)
            ck_assert_int_eq(hostile_reply(&p, slot, TARGET_SERVES_MS), 0);
    }
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* The bits are set again and again, whether calls run there or not. */
START_TEST(bits_that_never_go_out)
{
    struct hostile_peer p;
    int64_t until_ms;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    until_ms = door_test_now_ms() + 500;
    while (door_test_now_ms() < until_ms && !hostile_is_dropped(&p, 0)) {
        for (unsigned word = 0; word < SHM_WORD_COUNT; word++)
            atomic_store(&hostile_head(&p)->pending[word], ~0ull);
        hostile_ring(&p);
    }
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

static void start_blocking(struct hostile_peer *p, unsigned slot)
{
    struct target_request r = {TARGET_BLOCK, 0};

    memcpy(hostile_slot(p, slot)->data, &r, sizeof(r));
    hostile_slot(p, slot)->arg_size = sizeof(r);
    hostile_start(p, slot);
    ck_assert(door_test_sem_wait(&target_shared->entered));
}

static bool has_finished(void *count)
{
    return target_shared->finished >= *(long *)count;
}

START_TEST(a_second_call_in_a_slot_that_runs)
{
    struct hostile_peer p;
    long one = 1;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    start_blocking(&p, 9);
    hostile_start(&p, 9);
    ck_assert(hostile_is_dropped(&p, TARGET_SERVES_MS));
    target_serves();
    sem_post(&target_shared->released);
    ck_assert(door_test_await(has_finished, &one));
    hostile_close(&p);
    target_is_clean();
}
END_TEST

START_TEST(descriptors_that_never_came)
{
    static const uint32_t counts[] = {1, 2, MAILBOX_MAX, MAILBOX_MAX + 1, 1u << 31, UINT32_MAX};
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        hostile_slot(&p, i)->arg_desc_count = counts[i];
        hostile_start(&p, i);
        ck_assert_int_gt(hostile_reply(&p, i, TARGET_SERVES_MS), 0);
    }
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* One more or one less than announced: an error, and nothing is kept. */
START_TEST(descriptors_of_another_number)
{
    struct hostile_peer p;
    int fds[3];

    target_start(0);
    for (int i = 0; i < 3; i++)
        fds[i] = open("/dev/null", O_RDONLY);
    ck_assert(hostile_open(&p, target_path));
    for (uint32_t claimed = 0; claimed < 4; claimed++) {
        struct shm_slot *s = hostile_slot(&p, claimed);
        s->arg_desc_count = claimed;
        s->call = 7;
        ck_assert(hostile_letter(&p, LETTER_DESCRIPTORS, claimed, 7, fds, 2));
        hostile_start(&p, claimed);
        int error = hostile_reply(&p, claimed, TARGET_SERVES_MS);
        if (claimed == 1 || claimed == 3)
            ck_assert_int_gt(error, 0);
        else
            ck_assert_int_eq(error, 0);
    }
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* ------------------------------------------------ letters */

START_TEST(letters_of_any_form)
{
    struct letter good = {.magic = MSG_MAGIC, .kind = LETTER_DESCRIPTORS, .slot = 1, .call = 1};
    struct letter bad[] = {{.magic = 1}, good, good, good};
    struct hostile_peer p;
    char bytes[64] = {0};

    target_start(0);
    bad[1].slot = SHM_SLOT_COUNT;
    bad[2].slot = 0xffff;
    bad[3].kind = 0xffff;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert(hostile_open(&p, target_path));
        ck_assert_int_eq(fd_send(p.control, &bad[i], sizeof(bad[i]), &p.bell, 1), 0);
        ck_assert(i == 3 || hostile_is_dropped(&p, TARGET_SERVES_MS));
        hostile_close(&p);
    }
    for (size_t len = 1; len <= sizeof(bytes); len++) {
        if (len == sizeof(struct letter))
            continue;
        ck_assert(hostile_open(&p, target_path));
        ck_assert_int_eq(fd_send(p.control, bytes, len, &p.bell, 1), 0);
        ck_assert(hostile_is_dropped(&p, TARGET_SERVES_MS));
        hostile_close(&p);
    }
    target_is_clean();
}
END_TEST

/* Credentials that nobody asked for, with sockets that nobody wants. */
START_TEST(credentials_without_a_question)
{
    struct hostile_peer p;
    int pair[2];

    target_start(0);
    ck_assert_int_eq(fd_pair(pair), 0);
    ck_assert(hostile_open(&p, target_path));
    for (unsigned i = 0; i < 2000; i++) {
        struct letter letter = {.magic = MSG_MAGIC,
                                .kind = LETTER_CREDENTIALS,
                                .slot = (uint16_t)(i % SHM_SLOT_COUNT),
                                .call = i,
                                .which = i % 7};
        if (fd_send(p.control, &letter, sizeof(letter), pair, i % 3) < 0)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    target_serves();
    close(pair[0]);
    close(pair[1]);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* Asked who it is, it says nothing, or says it for somebody else's call. */
START_TEST(questions_that_are_not_answered)
{
    struct target_request r = {TARGET_IDENTIFY, 0}, answer;
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    memcpy(hostile_slot(&p, 0)->data, &r, sizeof(r));
    hostile_slot(&p, 0)->arg_size = sizeof(r);
    hostile_start(&p, 0);
    target_serves();
    ck_assert_int_eq(hostile_reply(&p, 0, NO_REPLY_MS + TARGET_SERVES_MS), 0);
    memcpy(&answer, hostile_slot(&p, 0)->data, sizeof(answer));
    ck_assert_int_eq((int)answer.count, -1);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* Results with descriptors for a client that never reads its socket. */
START_TEST(descriptors_that_are_never_taken)
{
    enum { CALLS = 16 };
    struct target_request r = {TARGET_GIVE_DESCS, 400};
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    for (unsigned slot = 0; slot < CALLS; slot++) {
        memcpy(hostile_slot(&p, slot)->data, &r, sizeof(r));
        hostile_slot(&p, slot)->arg_size = sizeof(r);
        hostile_start(&p, slot);
    }
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* ------------------------------------------------ bell and memory */

START_TEST(a_bell_that_is_full)
{
    uint64_t full = UINT64_MAX - 1, one = 1, rings;
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    ck_assert(read(p.bell, &rings, sizeof(rings)) == sizeof(rings) || errno == EAGAIN);
    ck_assert_int_eq(write(p.bell, &full, sizeof(full)), sizeof(full));
    ck_assert_int_eq(write(p.bell, &one, sizeof(one)), -1);
    ck_assert_int_eq(errno, EAGAIN);
    target_serves();
    fcntl(p.bell, F_SETFL, 0); /* blocking, for everybody who has it */
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

START_TEST(a_bell_that_never_stops)
{
    struct hostile_peer p;
    int64_t until_ms;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    until_ms = door_test_now_ms() + 300;
    while (door_test_now_ms() < until_ms)
        hostile_ring(&p);
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

START_TEST(memory_that_keeps_its_size)
{
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    ck_assert_int_eq(ftruncate(p.memory, 0), -1);
    ck_assert_int_eq(ftruncate(p.memory, SHM_FILE_SIZE - 4096), -1);
    ck_assert_int_eq(ftruncate(p.memory, SHM_FILE_SIZE + 4096), -1);
    ck_assert_int_eq(fcntl(p.memory, F_ADD_SEALS, F_SEAL_WRITE), -1);
    ck_assert_int_eq(fcntl(p.memory, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

static void *punch_holes(void *arg)
{
    struct hostile_peer *p = arg;

    while (!atomic_load(&stop_changing))
        fallocate(p->memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SHM_SLOTS,
                  SHM_FILE_SIZE - SHM_SLOTS);
    return NULL;
}

START_TEST(holes_under_calls)
{
    struct hostile_peer p;
    pthread_t puncher;
    int64_t until_ms;

    target_start(0);
    atomic_store(&stop_changing, 0);
    ck_assert(hostile_open(&p, target_path));
    ck_assert_int_eq(pthread_create(&puncher, NULL, punch_holes, &p), 0);
    until_ms = door_test_now_ms() + 700;
    for (unsigned i = 0; door_test_now_ms() < until_ms; i++) {
        unsigned slot = i % SHM_SLOT_COUNT;
        hostile_slot(&p, slot)->arg_size = i % 2 ? 300000 : 16;
        hostile_start(&p, slot);
        hostile_reply(&p, slot, 10);
    }
    target_serves();
    atomic_store(&stop_changing, 1);
    pthread_join(puncher, NULL);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* ------------------------------------------------ descriptors whose close blocks */

/* Its copy of fd is the last one: closing that blocks, and nobody minds. */
static void still_served_after(int fd, int peer)
{
    close(fd);
    target_go_on();
    target_serves();
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    target_serves();
    close(peer);
}

START_TEST(a_close_that_blocks_in_a_request)
{
    int door, peer, fd;

    target_start(0);
    for (unsigned op = MSG_OPEN; op <= MSG_DETACH + 1; op++) {
        door = hostile_connect(target_path);
        fd = hostile_lingering(&peer);
        target_hold();
        ck_assert(hostile_request(door, op, &fd, 1));
        still_served_after(fd, peer);
        close(door);
    }
    target_is_clean();
}
END_TEST

START_TEST(a_close_that_blocks_with_a_letter)
{
    struct hostile_peer p;
    int peer, fd;

    target_start(0);
    for (unsigned kind = LETTER_DESCRIPTORS; kind <= LETTER_ABANDONED + 1; kind++) {
        ck_assert(hostile_open(&p, target_path));
        fd = hostile_lingering(&peer);
        target_hold();
        ck_assert(hostile_letter(&p, kind, 5, 1, &fd, 1));
        hostile_close(&p);
        still_served_after(fd, peer);
    }
    target_is_clean();
}
END_TEST

START_TEST(a_close_that_blocks_with_a_refused_call)
{
    struct hostile_peer p;
    int peer, fd;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    fd = hostile_lingering(&peer);
    target_hold();
    ck_assert(hostile_letter(&p, LETTER_DESCRIPTORS, 5, 1, &fd, 1));
    hostile_slot(&p, 5)->call = 1;
    hostile_slot(&p, 5)->arg_desc_count = 2;
    hostile_start(&p, 5);
    still_served_after(fd, peer);
    ck_assert_int_gt(hostile_reply(&p, 5, TARGET_SERVES_MS), 0);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

static void add_request_tests(TCase *tc)
{
    tcase_add_test(tc, requests_of_any_length);
    tcase_add_test(tc, requests_that_are_none);
    tcase_add_test(tc, any_number_of_descriptors);
    tcase_add_test(tc, reply_sockets_that_are_none);
    tcase_add_test(tc, names_that_are_none);
    tcase_add_test(tc, answers_that_are_never_read);
    tcase_add_test(tc, a_flood_of_requests);
    tcase_add_test(tc, hundreds_connect_and_say_nothing);
    tcase_add_test(tc, clients_that_die_on_the_way);
    tcase_add_test(tc, a_close_that_blocks_in_a_request);
}

static void add_channel_tests(TCase *tc)
{
    tcase_add_test(tc, sizes_that_cannot_be);
    tcase_add_test(tc, sizes_of_what_was_not_written);
    tcase_add_test(tc, slots_that_change_meanwhile);
    tcase_add_test(tc, calls_in_all_slots_at_once);
    tcase_add_test(tc, bits_that_never_go_out);
    tcase_add_test(tc, a_second_call_in_a_slot_that_runs);
    tcase_add_test(tc, descriptors_that_never_came);
    tcase_add_test(tc, descriptors_of_another_number);
    tcase_add_test(tc, letters_of_any_form);
    tcase_add_test(tc, credentials_without_a_question);
    tcase_add_test(tc, questions_that_are_not_answered);
    tcase_add_test(tc, descriptors_that_are_never_taken);
    tcase_add_test(tc, a_bell_that_is_full);
    tcase_add_test(tc, a_bell_that_never_stops);
    tcase_add_test(tc, memory_that_keeps_its_size);
    tcase_add_test(tc, holes_under_calls);
    tcase_add_test(tc, a_close_that_blocks_with_a_letter);
    tcase_add_test(tc, a_close_that_blocks_with_a_refused_call);
}

int main(void)
{
    Suite *suite = suite_create("hostile");

    add_request_tests(door_test_tcase(suite, "requests", 60));
    add_channel_tests(door_test_tcase(suite, "channels", 60));
    return door_test_run(suite);
}
