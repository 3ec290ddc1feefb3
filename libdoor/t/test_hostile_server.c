/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_hostile_server.c: servers that break the rules.  Whatever one does, its
 * client's call ends by its deadline, with an error, and leaves nothing behind.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <door_compat.h>

#include "fd.h"
#include "hostile.h"
#include "mailbox.h"

#define DEADLINE_MS 500
#define LATE_MS (10 * DEADLINE_MS)
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* What the server does at the first request; -1 as a descriptor: none is sent. */
struct plan {
    const char *what;
    size_t answer_len;  /* 0: no answer, over the structure's size: longer */
    uint32_t magic;
    int32_t error;
    int (*control)(void);
    int (*memory)(void);
    unsigned more;      /* descriptors beyond the three */
    void (*serve)(struct hostile_peer *p); /* once the client has its channel */
};

static const char *path;
static int control = -1; /* the server's end of it */
static int client_control = -1; /* a copy of the client's, kept by a server that should not */

/* ------------------------------------------------ what it hands out */

static int good_control(void)
{
    int pair[2];

    door_test_require(fd_pair(pair) == 0);
    control = pair[0];
    return pair[1];
}

static int shared_control(void)
{
    int fd = good_control();

    client_control = dup(fd);
    return fd;
}

static int stream_control(void)
{
    int pair[2];

    door_test_require(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    control = pair[0];
    return pair[1];
}

static int make_memory(off_t size, int seals)
{
    int fd = memfd_create("hostile", MFD_ALLOW_SEALING);

    door_test_require(fd >= 0 && ftruncate(fd, size) == 0);
    if (seals != 0)
        door_test_require(fcntl(fd, F_ADD_SEALS, seals) == 0);
    return fd;
}

static int good_memory(void)
{
    return make_memory(SHM_FILE_SIZE, SEALS);
}

static int unsealed_memory(void)
{
    return make_memory(SHM_FILE_SIZE, 0);
}

static int small_memory(void)
{
    return make_memory(SHM_FILE_SIZE - 4096, SEALS);
}

static int tiny_memory(void)
{
    return make_memory(0, SEALS);
}

static int read_only_memory(void)
{
    return make_memory(SHM_FILE_SIZE, SEALS | F_SEAL_WRITE);
}

static int memory_to_freeze(void)
{
    return make_memory(SHM_FILE_SIZE, SEALS & ~F_SEAL_SEAL);
}

static int regular_file(void)
{
    FILE *file = tmpfile();
    int fd = dup(fileno(file));

    fclose(file);
    door_test_require(fd >= 0 && ftruncate(fd, SHM_FILE_SIZE) == 0);
    return fd;
}

static int device(void)
{
    return open("/dev/zero", O_RDWR);
}

static int an_eventfd(void)
{
    return eventfd(0, 0);
}

static int no_descriptor(void)
{
    return -1;
}

/* ------------------------------------------------ what it does with calls */

static int first_call(struct hostile_peer *p)
{
    for (;;) {
        for (unsigned word = 0; word < SHM_WORD_COUNT; word++) {
            uint64_t bits = atomic_exchange(&hostile_head(p)->pending[word], 0);
            if (bits != 0)
                return (int)(word * 64) + __builtin_ctzll(bits);
        }
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
}

static void set_state(struct hostile_peer *p, unsigned slot, uint32_t state)
{
    atomic_store(&hostile_slot(p, slot)->state, state);
    syscall(SYS_futex, &hostile_slot(p, slot)->state, FUTEX_WAKE, 100, NULL, NULL, 0);
}

static void end_slot(struct hostile_peer *p, unsigned slot, uint64_t at, uint64_t size,
                     uint32_t error)
{
    hostile_slot(p, slot)->result_at = at;
    hostile_slot(p, slot)->result_size = size;
    hostile_slot(p, slot)->error = error;
    set_state(p, slot, SLOT_DONE);
}

static void end_call_at(struct hostile_peer *p, uint64_t at, uint64_t size, uint32_t error)
{
    end_slot(p, (unsigned)first_call(p), at, size, error);
}

static void end_call(struct hostile_peer *p, uint64_t size, uint32_t error)
{
    end_call_at(p, 0, size, error);
}

/* The call that was begun behind that one. */
static unsigned second_call(struct hostile_peer *p, unsigned first)
{
    unsigned next;

    while ((next = atomic_load(&hostile_slot(p, first)->next)) >= SHM_SLOT_COUNT)
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    return next;
}

static void end_with_nothing(struct hostile_peer *p, unsigned slot)
{
    end_slot(p, slot, SHM_IN_SLOT, 0, 0);
}

/* Ends the first of two calls when the second waits, and leaves that number in its place. */
static void end_first(struct hostile_peer *p, uint32_t next)
{
    unsigned first = (unsigned)first_call(p);

    second_call(p, first);
    atomic_store(&hostile_slot(p, first)->next, next);
    end_with_nothing(p, first);
}

static void never_start_the_second(struct hostile_peer *p)
{
    unsigned first = (unsigned)first_call(p);

    second_call(p, first);
    end_with_nothing(p, first);
}

static void take_the_second_only(struct hostile_peer *p)
{
    end_first(p, SHM_NEXT_LATE);
}

static void forget_the_second(struct hostile_peer *p)
{
    end_first(p, SHM_NEXT_NONE);
}

static void let_another_follow(struct hostile_peer *p)
{
    end_first(p, 200);
}

static void let_nonsense_follow(struct hostile_peer *p)
{
    end_first(p, UINT32_MAX);
}

/* It has none, and nobody waits for it yet. */
static void ask_the_second_for_descriptors(struct hostile_peer *p)
{
    unsigned first = (unsigned)first_call(p), second = second_call(p, first);

    atomic_store(&hostile_slot(p, first)->next, SHM_NEXT_LATE);
    set_state(p, second, SLOT_SEND);
    end_with_nothing(p, first);
}

static void end_the_first_and_hang_up(struct hostile_peer *p)
{
    end_first(p, SHM_NEXT_LATE);
    shutdown(p->control, SHUT_RDWR);
}

static void keep_the_rules(struct hostile_peer *p)
{
    for (unsigned slot = (unsigned)first_call(p);;) {
        uint32_t next = atomic_exchange(&hostile_slot(p, slot)->next, SHM_NEXT_LATE);

        end_with_nothing(p, slot);
        slot = next < SHM_SLOT_COUNT ? next : (unsigned)first_call(p);
    }
}

static void never_take(struct hostile_peer *p)
{
    (void)p;
}

static void take_only(struct hostile_peer *p)
{
    first_call(p);
}

static void give_huge_result(struct hostile_peer *p)
{
    end_call(p, SHM_WINDOW_SIZE + 1, 0);
}

static void give_endless_result(struct hostile_peer *p)
{
    end_call(p, UINT64_MAX, 0);
}

static void give_result_behind_the_window(struct hostile_peer *p)
{
    end_call_at(p, SHM_WINDOW_SIZE, 1, 0);
}

static void give_result_that_wraps(struct hostile_peer *p)
{
    end_call_at(p, UINT64_MAX - 1, 2, 0);
}

static void give_result_beyond_the_slot(struct hostile_peer *p)
{
    end_call_at(p, SHM_IN_SLOT, SHM_INLINE_SIZE + 1, 0);
}

static void give_odd_error(struct hostile_peer *p)
{
    end_call(p, 0, 0x80000005u);
}

/* Mapped for writing when the channel was made, no more when a window is. */
static void give_frozen_result(struct hostile_peer *p)
{
    unsigned slot = (unsigned)first_call(p);

    door_test_require(fcntl(p->memory, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0);
    end_slot(p, slot, 0, SHM_INLINE_SIZE + 1, 0);
}

static void wake_for_nothing(struct hostile_peer *p)
{
    unsigned slot = (unsigned)first_call(p);

    for (;;)
        set_state(p, slot, SLOT_WAITING);
}

/* Asks for the socket that the client reads, to which letters go from then on. */
static void ask_for_receiver(struct hostile_peer *p, unsigned slot)
{
    struct letter letter;
    unsigned count = 0;
    int fd;

    set_state(p, slot, SLOT_RECEIVE);
    if (!hostile_await(p, slot, SLOT_SENT, 10000))
        return; /* its caller takes none */
    door_test_require(fd_recv(p->control, &letter, sizeof(letter), &fd, 1, &count) == 0);
    door_test_require(count == 1 && letter.kind == LETTER_DESCRIPTORS && letter.slot == slot);
    p->receiver = fd;
}

static void announce_in(struct hostile_peer *p, unsigned slot, uint32_t count, unsigned sent)
{
    int fds[200];

    for (unsigned i = 0; i < 200; i++)
        fds[i] = p->bell;
    for (; sent > 0; sent--)
        hostile_letter(p, LETTER_DESCRIPTORS, slot, 1, fds, 200);
    hostile_slot(p, slot)->reply = 1;
    hostile_slot(p, slot)->result_desc_count = count;
    set_state(p, slot, SLOT_DELIVER);
    while (atomic_load(&hostile_slot(p, slot)->state) == SLOT_DELIVER)
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    hostile_slot(p, slot)->error = 0;
    set_state(p, slot, SLOT_DONE);
}

static void announce_descriptors(struct hostile_peer *p, uint32_t count, unsigned sent)
{
    unsigned slot = (unsigned)first_call(p);

    ask_for_receiver(p, slot);
    announce_in(p, slot, count, sent);
}

/* Without asking for the socket that it should go to. */
static void announce_on_control(struct hostile_peer *p)
{
    unsigned slot = (unsigned)first_call(p);

    hostile_letter(p, LETTER_DESCRIPTORS, slot, 1, &p->bell, 1);
    hostile_slot(p, slot)->result_at = SHM_IN_SLOT;
    announce_in(p, slot, 1, 0);
}

static void *read_for_ever(void *page)
{
    if (page != NULL)
        recv(client_control, page, 1, 0);
    return NULL;
}

/* Whoever reads a socket keeps all others that do waiting: here, the client. */
static void announce_and_read(struct hostile_peer *p)
{
    pthread_t reader;
    int helper;

    door_test_require(send(p->control, "x", 1, 0) == 1);
    door_test_require(pthread_create(&reader, NULL, read_for_ever,
                                     hostile_memory_that_waits(&helper)) == 0);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    announce_descriptors(p, 1, 0);
}

static void announce_what_never_comes(struct hostile_peer *p)
{
    announce_descriptors(p, 1, 0);
}

static void announce_too_many(struct hostile_peer *p)
{
    announce_descriptors(p, UINT32_MAX, 1);
}

static void send_too_many(struct hostile_peer *p)
{
    announce_descriptors(p, 100, 30);
}

static void send_garbage_letters(struct hostile_peer *p)
{
    unsigned slot = (unsigned)first_call(p);
    char garbage[100] = {1};

    ask_for_receiver(p, slot);
    for (size_t len = 1; len < sizeof(garbage); len++) {
        fd_send(p->control, garbage, len, &p->bell, 1);
        fd_send(p->receiver, garbage, len, &p->bell, 1);
    }
    announce_in(p, slot, 1, 0);
}

static void hang_up(struct hostile_peer *p)
{
    first_call(p);
    shutdown(p->control, SHUT_RDWR);
}

static void say_revoked(struct hostile_peer *p)
{
    atomic_store(&hostile_head(p)->revoked, 1);
}

/* ------------------------------------------------ the server */

static void answer(const struct plan *plan, struct hostile_peer *p, int reply)
{
    char bytes[2 * sizeof(struct msg_answer)] = {0};
    struct msg_answer a = {.magic = plan->magic, .error = plan->error};
    int fds[250];
    unsigned count = 0;

    fds[count] = plan->control();
    count += fds[count] >= 0;
    p->control = control;
    p->memory = fds[count] = plan->memory();
    count += fds[count] >= 0;
    p->shm = p->memory < 0 ? MAP_FAILED
                           : mmap(NULL, SHM_MAPPED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                                  p->memory, 0);
    for (unsigned i = 0; i < plan->more; i++)
        fds[count++] = reply;
    memcpy(bytes, &a, sizeof(a));
    if (plan->answer_len > 0)
        fd_send(reply, bytes, plan->answer_len, fds, count);
    if (plan->control == good_control)
        close(fds[0]);
}

static void serve_badly(void *arg)
{
    const struct plan *plan = arg;
    struct hostile_peer p = {-1, -1, -1, -1, NULL, -1};
    struct msg_request request;
    int came[2], door, listening = hostile_listen(path);
    unsigned count;

    signal(SIGPIPE, SIG_IGN);
    door_test_ready();
    door = accept(listening, NULL, NULL);
    door_test_require(door >= 0 && hostile_wait_readable(door, DOOR_TEST_DEADLINE_MS));
    door_test_require(fd_recv(door, &request, sizeof(request), came, 2, &count) == 0 &&
                      count == 2);
    p.bell = came[1];
    answer(plan, &p, came[0]);
    if (plan->serve != NULL)
        plan->serve(&p);
    door_test_pause();
}

/* ------------------------------------------------ the client */

#define HELPER_FDS 2 /* the library's helper thread has them from the first call on */

enum verdict { ENDED_WELL, WAS_LATE, WAS_GIVEN_A_RESULT, LEAKED_MEMORY, LEAKED_DESCRIPTORS };

/* Once the door d is closed and its server gone, as many descriptors are open as before. */
static int look_for_leaks(int d, int before, const pid_t *server)
{
    close(d);
    kill(*server, SIGKILL);
    return door_test_fds_settle(0, before + HELPER_FDS) ? ENDED_WELL : LEAKED_DESCRIPTORS;
}

/* The library may map a result; it must not leave a mapping after an error. */
static int call_and_look(void *server)
{
    char buffer[16] = "hello";
    door_arg_t arg = {.data_ptr = buffer, .data_size = 5, .rbuf = buffer, .rsize = sizeof(buffer)};
    int before = door_test_fd_count(), d = open(path, O_RDONLY);
    int64_t began_ms = door_test_now_ms();
    _Atomic int64_t deadline_ns = door_now_ns() + DEADLINE_MS * 1000000ll;
    struct door_terms terms = {.deadline_ns = &deadline_ns, .desc_max = MAILBOX_MAX};
    struct door_handle *handle = door_handle_open(d);

    door_test_require(handle != NULL);
    if (door_handle_call(handle, &arg, &terms) == 0)
        return WAS_GIVEN_A_RESULT;
    door_handle_close(handle);
    if (door_test_now_ms() - began_ms > LATE_MS)
        return WAS_LATE;
    if (arg.rbuf != buffer)
        return LEAKED_MEMORY;
    return look_for_leaks(d, before, server);
}

#define GOOD sizeof(struct msg_answer), MSG_MAGIC, 0, good_control
#define NOTHING no_descriptor, no_descriptor, 0, NULL
#define EVERYTHING good_control, good_memory, 0, NULL

static const struct plan openings[] = {
    {"no answer", 0, 0, 0, NOTHING},
    {"one byte", 1, MSG_MAGIC, 0, EVERYTHING},
    {"short by one", sizeof(struct msg_answer) - 1, MSG_MAGIC, 0, EVERYTHING},
    {"too long", sizeof(struct msg_answer) + 1, MSG_MAGIC, 0, EVERYTHING},
    {"wrong magic", sizeof(struct msg_answer), 1, 0, EVERYTHING},
    {"an error", sizeof(struct msg_answer), MSG_MAGIC, EACCES, NOTHING},
    {"an odd error", sizeof(struct msg_answer), MSG_MAGIC, -5, EVERYTHING},
    {"no descriptors", sizeof(struct msg_answer), MSG_MAGIC, 0, NOTHING},
    {"one descriptor", GOOD, no_descriptor, 0, NULL},
    {"three descriptors", GOOD, good_memory, 1, NULL},
    {"250 descriptors", GOOD, good_memory, 248, NULL},
    {"a stream as control", sizeof(struct msg_answer), MSG_MAGIC, 0, stream_control, good_memory, 0,
     NULL},
    {"a device as control", sizeof(struct msg_answer), MSG_MAGIC, 0, device, good_memory, 0,
     NULL},
    {"memory without seals", GOOD, unsealed_memory, 0, NULL},
    {"small memory", GOOD, small_memory, 0, NULL},
    {"no memory", GOOD, tiny_memory, 0, NULL},
    {"read-only memory", GOOD, read_only_memory, 0, NULL},
    {"a file", GOOD, regular_file, 0, NULL},
    {"a device", GOOD, device, 0, NULL},
    {"an eventfd as memory", GOOD, an_eventfd, 0, NULL},
};

static const struct plan calls[] = {
    {"never takes a call", GOOD, good_memory, 0, never_take},
    {"takes it only", GOOD, good_memory, 0, take_only},
    {"hangs up", GOOD, good_memory, 0, hang_up},
    {"says it is revoked", GOOD, good_memory, 0, say_revoked},
    {"wakes for nothing", GOOD, good_memory, 0, wake_for_nothing},
    {"sends too many descriptors", GOOD, good_memory, 0, send_too_many},
    {"garbage letters", GOOD, good_memory, 0, send_garbage_letters},
};

static const struct plan results[] = {
    {"a huge result", GOOD, good_memory, 0, give_huge_result},
    {"an endless result", GOOD, good_memory, 0, give_endless_result},
    {"behind the window", GOOD, good_memory, 0, give_result_behind_the_window},
    {"it wraps", GOOD, good_memory, 0, give_result_that_wraps},
    {"beyond the slot", GOOD, good_memory, 0, give_result_beyond_the_slot},
    {"an odd error", GOOD, good_memory, 0, give_odd_error},
    {"a result that cannot be mapped", GOOD, memory_to_freeze, 0, give_frozen_result},
    {"descriptors that never come", GOOD, good_memory, 0, announce_what_never_comes},
    {"announces too many descriptors", GOOD, good_memory, 0, announce_too_many},
    {"a descriptor on the control socket", GOOD, good_memory, 0, announce_on_control},
    {"reads the client's control socket", sizeof(struct msg_answer), MSG_MAGIC, 0, shared_control,
     good_memory, 0, announce_and_read},
};

static const struct plan queues[] = {
    {"never starts the second", GOOD, good_memory, 0, never_start_the_second},
    {"takes the second only", GOOD, good_memory, 0, take_the_second_only},
    {"forgets the second", GOOD, good_memory, 0, forget_the_second},
    {"lets another follow", GOOD, good_memory, 0, let_another_follow},
    {"lets nonsense follow", GOOD, good_memory, 0, let_nonsense_follow},
    {"asks for descriptors", GOOD, good_memory, 0, ask_the_second_for_descriptors},
    {"ends one, hangs up", GOOD, good_memory, 0, end_the_first_and_hang_up},
};

#define COUNT(plans) ((int)(sizeof(plans) / sizeof((plans)[0])))

/* What the client says of it. */
static int meet_with(const struct plan *plan, int (*look)(void *))
{
    pid_t server;
    int verdict;

    path = door_test_path("door");
    server = door_test_spawn(serve_badly, (void *)plan);
    verdict = door_test_in_child(look, &server);
    kill(server, SIGKILL);
    return verdict;
}

static void survive(const struct plan *plan, int (*look)(void *))
{
    int verdict = meet_with(plan, look);

    ck_assert_msg(verdict == ENDED_WELL, "%s: %d", plan->what, verdict);
}

START_TEST(a_channel_that_is_none)
{
    survive(&openings[_i], call_and_look);
}
END_TEST

START_TEST(a_call_that_is_not_served)
{
    survive(&calls[_i], call_and_look);
}
END_TEST

START_TEST(a_result_that_cannot_be)
{
    survive(&results[_i], call_and_look);
}
END_TEST

/* ------------------------------------------------ calls that are begun now and ended later */

/* Two calls, one behind the other; -1 as soon as one cannot begin. */
static int begin_two(int d, struct door_async *calls[2])
{
    struct door_handle *handle = door_handle_open(d);

    door_test_require(handle != NULL);
    for (int i = 0; i < 2; i++) {
        calls[i] = door_async_open(handle, 100);
        door_test_require(calls[i] != NULL);
    }
    door_handle_close(handle);
    if (door_async_begin(calls[0], door_async_buffer(calls[0]), 5, NULL) < 0)
        return -1;
    return door_async_begin(calls[1], door_async_buffer(calls[1]), 5, calls[0]);
}

static void wait_a_while(const struct door_async *call)
{
    int64_t until_ms = door_test_now_ms() + DEADLINE_MS;

    while (!door_async_is_over(call) && door_test_now_ms() < until_ms)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Whatever became of them: who closes them has them back. */
static int close_and_look(void *server)
{
    int before = door_test_fd_count(), d = open(path, O_RDONLY);
    struct door_async *calls[2];
    int64_t began_ms;

    door_test_require(d >= 0);
    if (begin_two(d, calls) == 0)
        wait_a_while(calls[0]);
    began_ms = door_test_now_ms();
    door_async_close(calls[1]);
    door_async_close(calls[0]);
    if (door_test_now_ms() - began_ms > LATE_MS)
        return WAS_LATE;
    return look_for_leaks(d, before, server);
}

static int end_and_look(void *server)
{
    int before = door_test_fd_count(), d = open(path, O_RDONLY);
    struct door_async *calls[2];
    char *result;
    size_t size;

    door_test_require(d >= 0 && begin_two(d, calls) == 0);
    if (door_async_end(calls[0], &result, &size) == 0)
        return WAS_GIVEN_A_RESULT;
    door_async_close(calls[0]);
    door_async_close(calls[1]);
    return look_for_leaks(d, before, server);
}

START_TEST(begun_and_not_served)
{
    survive(&calls[_i], close_and_look);
}
END_TEST

START_TEST(queued_and_not_served)
{
    survive(&queues[_i], close_and_look);
}
END_TEST

START_TEST(begun_and_ended_with_what_cannot_be)
{
    survive(&results[_i], end_and_look);
}
END_TEST

/* What all of this would be worth nothing without. */
START_TEST(a_server_that_keeps_the_rules)
{
    static const struct plan plan = {"nothing", GOOD, good_memory, 0, keep_the_rules};

    ck_assert_int_eq(meet_with(&plan, call_and_look), WAS_GIVEN_A_RESULT);
    unlink(path);
    ck_assert_int_eq(meet_with(&plan, end_and_look), WAS_GIVEN_A_RESULT);
}
END_TEST

/* Whoever rings then gets no SIGPIPE. */
static void close_the_bell(struct hostile_peer *p)
{
    close(p->bell);
    never_take(p);
}

/* A bell that is full is rung all the same. */
static void fill_the_bell(struct hostile_peer *p)
{
    char ring[32];
    int bell;

    snprintf(ring, sizeof(ring), "/proc/self/fd/%d", p->bell);
    bell = open(ring, O_WRONLY | O_NONBLOCK);
    door_test_require(bell >= 0);
    while (write(bell, ring, 1) == 1)
        continue;
    fcntl(bell, F_SETFL, 0);
    fcntl(p->bell, F_SETFL, 0); /* blocking, for everybody who has these */
    never_take(p);
}

static void ask_without_end(struct hostile_peer *p)
{
    unsigned slot = (unsigned)first_call(p);

    for (;;)
        set_state(p, slot, SLOT_IDENTIFY);
}

static void deliver_without_end(struct hostile_peer *p)
{
    unsigned slot = (unsigned)first_call(p);

    for (uint32_t i = 0;; i++) {
        hostile_slot(p, slot)->result_desc_count = i * 99991;
        set_state(p, slot, SLOT_DELIVER);
    }
}

static void go_through_all_states(struct hostile_peer *p)
{
    unsigned slot = (unsigned)first_call(p);

    for (uint32_t i = 0;; i++) {
        if (i % 16 != SLOT_DONE)
            set_state(p, slot, i % 16);
    }
}

static const struct plan without_end[] = {
    {"closes the bell", GOOD, good_memory, 0, close_the_bell},
    {"fills the bell", GOOD, good_memory, 0, fill_the_bell},
    {"asks without end", GOOD, good_memory, 0, ask_without_end},
    {"delivers without end", GOOD, good_memory, 0, deliver_without_end},
    {"all states", GOOD, good_memory, 0, go_through_all_states},
};

START_TEST(a_server_that_goes_on_and_on)
{
    survive(&without_end[_i], call_and_look);
}
END_TEST

/* ------------------------------------------------ descriptors that are given up */

#define OFFERS 600
#define OFFER_SPREAD_US 150 /* at some time in this, the client takes the descriptor */

static void wait_us(int64_t us)
{
    int64_t until_ns = door_now_ns() + us * 1000;

    while (door_now_ns() < until_ns)
        continue;
}

/* Offers one, and takes the offer back soon.  Returns how many the client has taken. */
static char offer_for_a_moment(struct hostile_peer *p, unsigned slot, uint32_t number)
{
    uint32_t state = SLOT_DELIVER;

    hostile_slot(p, slot)->result_desc_count = 0;
    if (!hostile_letter(p, LETTER_DESCRIPTORS, slot, number, &p->bell, 1))
        return 0; /* the client has not looked for long */
    hostile_slot(p, slot)->reply = number;
    hostile_slot(p, slot)->result_desc_count = 1;
    set_state(p, slot, SLOT_DELIVER);
    wait_us(number % OFFER_SPREAD_US);
    if (!atomic_compare_exchange_strong(&hostile_slot(p, slot)->state, &state, SLOT_WAITING))
        return 1;
    hostile_slot(p, slot)->result_desc_count = 0;
    return 0;
}

/* As the library does when a caller has not answered for a second: the procedure replies again. */
static void take_offers_back(struct hostile_peer *p)
{
    for (uint32_t number = 1;; number++) {
        unsigned slot = (unsigned)first_call(p);

        if (p->receiver < 0)
            ask_for_receiver(p, slot);
        hostile_slot(p, slot)->data[0] = offer_for_a_moment(p, slot, number);
        end_slot(p, slot, SHM_IN_SLOT, 1, 0);
    }
}

/* The result says how many descriptors it comes with. */
static int take_what_is_said(void *unused)
{
    _Alignas(door_desc_t) char buffer[64] = "";
    int d = open(path, O_RDONLY);

    (void)unused;
    for (int i = 0; i < OFFERS; i++) {
        door_arg_t arg = {.rbuf = buffer, .rsize = sizeof(buffer)};

        door_test_require(door_call(d, &arg) == 0 && arg.data_size == 1);
        if (arg.desc_num != (unsigned)buffer[0])
            return WAS_GIVEN_A_RESULT;
        if (arg.desc_num == 1)
            close(arg.desc_ptr[0].d_data.d_desc.d_descriptor);
    }
    return ENDED_WELL;
}

START_TEST(descriptors_that_are_taken_back)
{
    static const struct plan plan = {"takes offers back", GOOD, good_memory, 0, take_offers_back};

    survive(&plan, take_what_is_said);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile server");
    TCase *tc = door_test_tcase(suite, "servers", 60);

    tcase_add_test(tc, a_server_that_keeps_the_rules);
    tcase_add_loop_test(tc, a_channel_that_is_none, 0, COUNT(openings));
    tcase_add_loop_test(tc, a_call_that_is_not_served, 0, COUNT(calls));
    tcase_add_loop_test(tc, a_result_that_cannot_be, 0, COUNT(results));
    tcase_add_loop_test(tc, begun_and_not_served, 0, COUNT(calls));
    tcase_add_loop_test(tc, queued_and_not_served, 0, COUNT(queues));
    tcase_add_loop_test(tc, begun_and_ended_with_what_cannot_be, 0, COUNT(results));
    tcase_add_loop_test(tc, a_server_that_goes_on_and_on, 0, COUNT(without_end));
    tcase_add_test(tc, descriptors_that_are_taken_back);
    return door_test_run(suite);
}
