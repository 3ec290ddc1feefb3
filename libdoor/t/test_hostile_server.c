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
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
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
    int (*memory)(void);
    int (*bell)(void);
    unsigned more;      /* descriptors beyond the two */
    void (*serve)(struct hostile_peer *p); /* once the client has its channel */
};

static const char *path;

/* ------------------------------------------------ what it hands out */

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

static int good_bell(void)
{
    return eventfd(0, EFD_NONBLOCK);
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

static void end_call_at(struct hostile_peer *p, uint64_t at, uint64_t size, uint32_t error)
{
    unsigned slot = (unsigned)first_call(p);

    hostile_slot(p, slot)->result_at = at;
    hostile_slot(p, slot)->result_size = size;
    hostile_slot(p, slot)->error = error;
    set_state(p, slot, SLOT_DONE);
}

static void end_call(struct hostile_peer *p, uint64_t size, uint32_t error)
{
    end_call_at(p, 0, size, error);
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
    door_test_require(fcntl(p->memory, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) == 0);
    end_call(p, SHM_INLINE_SIZE + 1, 0);
}

static void wake_for_nothing(struct hostile_peer *p)
{
    unsigned slot = (unsigned)first_call(p);

    for (;;)
        set_state(p, slot, SLOT_WAITING);
}

static void announce_descriptors(struct hostile_peer *p, uint32_t count, unsigned sent)
{
    unsigned slot = (unsigned)first_call(p);
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
    char garbage[100] = {1};

    for (size_t len = 1; len < sizeof(garbage); len++)
        fd_send(p->control, garbage, len, &p->bell, 1);
    announce_descriptors(p, 1, 0);
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

static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", name);
    door_test_require(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    door_test_require(listen(fd, 10) == 0);
    return fd;
}

static void answer(const struct plan *plan, struct hostile_peer *p, int reply)
{
    char bytes[2 * sizeof(struct msg_answer)] = {0};
    struct msg_answer a = {.magic = plan->magic, .error = plan->error};
    int fds[250];
    unsigned count = 0;

    p->control = reply;
    p->memory = plan->memory();
    p->bell = plan->bell();
    p->shm = p->memory < 0 ? MAP_FAILED
                           : mmap(NULL, SHM_MAPPED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                                  p->memory, 0);
    if (p->memory >= 0)
        fds[count++] = p->memory;
    if (p->bell >= 0)
        fds[count++] = p->bell;
    for (unsigned i = 0; i < plan->more; i++)
        fds[count++] = reply;
    memcpy(bytes, &a, sizeof(a));
    if (plan->answer_len > 0)
        fd_send(reply, bytes, plan->answer_len, fds, count);
}

static void serve_badly(void *arg)
{
    const struct plan *plan = arg;
    struct hostile_peer p = {-1, -1, -1, -1, NULL};
    struct msg_request request;
    int reply, door, listening = listen_at(path);
    unsigned count;

    signal(SIGPIPE, SIG_IGN);
    door_test_ready();
    door = accept(listening, NULL, NULL);
    door_test_require(door >= 0 && hostile_wait_readable(door, DOOR_TEST_DEADLINE_MS));
    door_test_require(fd_recv(door, &request, sizeof(request), &reply, 1, &count) == 0);
    answer(plan, &p, reply);
    if (plan->serve != NULL)
        plan->serve(&p);
    door_test_pause();
}

/* ------------------------------------------------ the client */

#define HELPER_FDS 2 /* the library's helper thread has them from the first call on */

enum verdict { ENDED_WELL, WAS_LATE, WAS_GIVEN_A_RESULT, LEAKED_MEMORY, LEAKED_DESCRIPTORS };

/* The library may map a result; it must not leave a mapping after an error. */
static int call_and_look(void *server)
{
    char buffer[16] = "hello";
    door_arg_t arg = {.data_ptr = buffer, .data_size = 5, .rbuf = buffer, .rsize = sizeof(buffer)};
    int before = door_test_fd_count(), d = open(path, O_RDONLY);
    int64_t began_ms = door_test_now_ms();
    _Atomic int64_t deadline_ns = door_now_ns() + DEADLINE_MS * 1000000ll;

    door_test_require(d >= 0);
    if (door_call_until(d, &arg, &deadline_ns) == 0)
        return WAS_GIVEN_A_RESULT;
    if (door_test_now_ms() - began_ms > LATE_MS)
        return WAS_LATE;
    if (arg.rbuf != buffer)
        return LEAKED_MEMORY;
    close(d);
    kill(*(pid_t *)server, SIGKILL);
    if (!door_test_fds_settle(0, before + HELPER_FDS))
        return LEAKED_DESCRIPTORS;
    return ENDED_WELL;
}

#define GOOD sizeof(struct msg_answer), MSG_MAGIC, 0

static const struct plan openings[] = {
    {"no answer", 0, 0, 0, no_descriptor, no_descriptor, 0, NULL},
    {"one byte", 1, MSG_MAGIC, 0, good_memory, good_bell, 0, NULL},
    {"short by one", sizeof(struct msg_answer) - 1, MSG_MAGIC, 0, good_memory, good_bell, 0, NULL},
    {"too long", sizeof(struct msg_answer) + 1, MSG_MAGIC, 0, good_memory, good_bell, 0, NULL},
    {"wrong magic", sizeof(struct msg_answer), 1, 0, good_memory, good_bell, 0, NULL},
    {"an error", sizeof(struct msg_answer), MSG_MAGIC, EACCES, no_descriptor, no_descriptor, 0,
     NULL},
    {"an odd error", sizeof(struct msg_answer), MSG_MAGIC, -5, good_memory, good_bell, 0, NULL},
    {"no descriptors", GOOD, no_descriptor, no_descriptor, 0, NULL},
    {"one descriptor", GOOD, good_memory, no_descriptor, 0, NULL},
    {"three descriptors", GOOD, good_memory, good_bell, 1, NULL},
    {"250 descriptors", GOOD, good_memory, good_bell, 248, NULL},
    {"memory without seals", GOOD, unsealed_memory, good_bell, 0, NULL},
    {"small memory", GOOD, small_memory, good_bell, 0, NULL},
    {"no memory", GOOD, tiny_memory, good_bell, 0, NULL},
    {"read-only memory", GOOD, read_only_memory, good_bell, 0, NULL},
    {"a file", GOOD, regular_file, good_bell, 0, NULL},
    {"a device", GOOD, device, good_bell, 0, NULL},
    {"a bell as memory", GOOD, good_bell, good_bell, 0, NULL},
};

static const struct plan calls[] = {
    {"never takes a call", GOOD, good_memory, good_bell, 0, never_take},
    {"takes it only", GOOD, good_memory, good_bell, 0, take_only},
    {"hangs up", GOOD, good_memory, good_bell, 0, hang_up},
    {"says it is revoked", GOOD, good_memory, good_bell, 0, say_revoked},
    {"a huge result", GOOD, good_memory, good_bell, 0, give_huge_result},
    {"an endless result", GOOD, good_memory, good_bell, 0, give_endless_result},
    {"behind the window", GOOD, good_memory, good_bell, 0, give_result_behind_the_window},
    {"it wraps", GOOD, good_memory, good_bell, 0, give_result_that_wraps},
    {"beyond the slot", GOOD, good_memory, good_bell, 0, give_result_beyond_the_slot},
    {"an odd error", GOOD, good_memory, good_bell, 0, give_odd_error},
    {"a result that cannot be mapped", GOOD, memory_to_freeze, good_bell, 0, give_frozen_result},
    {"wakes for nothing", GOOD, good_memory, good_bell, 0, wake_for_nothing},
    {"descriptors that never come", GOOD, good_memory, good_bell, 0, announce_what_never_comes},
    {"announces too many descriptors", GOOD, good_memory, good_bell, 0, announce_too_many},
    {"sends too many descriptors", GOOD, good_memory, good_bell, 0, send_too_many},
    {"garbage letters", GOOD, good_memory, good_bell, 0, send_garbage_letters},
};

static void meet(const struct plan *plan)
{
    pid_t server;
    int verdict;

    path = door_test_path("door");
    server = door_test_spawn(serve_badly, (void *)plan);
    verdict = door_test_in_child(call_and_look, &server);
    kill(server, SIGKILL);
    ck_assert_msg(verdict == ENDED_WELL, "%s: %d", plan->what, verdict);
}

START_TEST(a_channel_that_is_none)
{
    meet(&openings[_i]);
}
END_TEST

START_TEST(a_call_that_is_not_served)
{
    meet(&calls[_i]);
}
END_TEST

/* Writing there raises SIGPIPE. */
static int broken_pipe(void)
{
    int fds[2];

    door_test_require(pipe(fds) == 0);
    close(fds[0]);
    return fds[1];
}

/* Writing there blocks. */
static int full_bell(void)
{
    int fd = eventfd(0, 0);
    uint64_t full = UINT64_MAX - 1;

    door_test_require(write(fd, &full, sizeof(full)) == sizeof(full));
    return fd;
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

static const struct plan bells[] = {
    {"a broken pipe as a bell", GOOD, good_memory, broken_pipe, 0, never_take},
    {"a full bell", GOOD, good_memory, full_bell, 0, never_take},
    {"a device as a bell", GOOD, good_memory, device, 0, never_take},
    {"asks without end", GOOD, good_memory, good_bell, 0, ask_without_end},
    {"delivers without end", GOOD, good_memory, good_bell, 0, deliver_without_end},
    {"all states", GOOD, good_memory, good_bell, 0, go_through_all_states},
};

START_TEST(bells_that_are_none)
{
    meet(&bells[_i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile server");
    TCase *tc = door_test_tcase(suite, "servers", 60);

    tcase_add_loop_test(tc, a_channel_that_is_none, 0, sizeof(openings) / sizeof(openings[0]));
    tcase_add_loop_test(tc, a_call_that_is_not_served, 0, sizeof(calls) / sizeof(calls[0]));
    tcase_add_loop_test(tc, bells_that_are_none, 0, sizeof(bells) / sizeof(bells[0]));
    return door_test_run(suite);
}
