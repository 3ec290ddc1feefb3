/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_client.c: whatever a server answers, writes into the memory, and sends beside it,
 * its client's call ends with a result that is all there or with an errno, and when both
 * have closed what they had no descriptor is left.
 *
 * The input is a struct plan, a byte for each part of the answer, and then a list of the
 * server's moves: a byte, an enum move, and what that needs (zeros, at the end), in a
 * layout of this file's own.  When no move is left the server is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <door.h>

#include "portable_compat.h"

#include "../src/thread.h"
#include "ask.h"
#include "door_test.h"
#include "fd.h"
#include "mailbox.h"
#include "replay.h"
#include "shm.h"

#define STEP_MAX_MS 10000
#define SETTLE_MAX_MS 20000
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define WRITE_MAX ((size_t)256 << 10)
#define READ_MAX ((size_t)1 << 20)
#define PASSED_MAX 3
#define BUFFER_SIZE 4096
#define LETTER_MAX 8 /* descriptors, beside a full one's 200 */

/* What the client does. */
enum act {
    PLAIN,          /* door_call() */
    TWICE,          /* and once more */
    HANDLE,         /* through a handle, with a maximum of descriptors */
    HANDLE_LEND,    /* and a loan */
    HANDLE_SHORT,   /* which gives up soon, and sooner what was not taken */
    LEND,           /* a handle, and a loan */
    ASYNC,          /* begun, ended, and begun again */
    QUEUED,         /* one behind the other */
    INFO,           /* door_info() */
    ATTACH,         /* door_ask_attach() */
    PORTABLE,       /* the portable form of LEND */
    PORTABLE_ASYNC, /* and of ASYNC */
    ACTS
};

/* What the server hands out instead of the right thing. */
enum part {
    RIGHT,
    NONE,
    A_FILE,
    A_STREAM,
    AN_EVENTFD,
    A_SMALL_MEMORY,
    AN_UNSEALED_MEMORY,
    A_FROZEN_MEMORY,
    A_SEQPACKET, /* whose other end is closed */
    PARTS
};

struct plan {
    uint8_t act, size, passed, desc_max, rsize;
    uint8_t answer; /* 0: the right one; 1 an errno, 2 another magic, 3 short, 4 long, 5 none */
    uint8_t more;   /* descriptors that come with it */
    uint8_t control, memory;
    uint8_t unused;
    int32_t error;
};

enum move {
    REPLY,   /* struct reply_move: fills the slot, and puts it into a state */
    SEND,    /* struct letter_move */
    WRITE,   /* struct write_move: into the slot's window */
    HEAD,    /* struct head_move: the head of the memory */
    STATE,   /* a byte: only the state */
    HANG_UP, /* shuts the control socket */
    DEAFEN,  /* closes the bell */
    HEAR,    /* reads what is in the bell, which nobody does */
    RAW,     /* sixteen bytes as a letter, as they are */
    PAUSE,   /* nothing, until a client that gives up soon has done so */
    MOVES
};

struct reply_move {
    uint8_t slot, state; /* slot: 0 the one of the call, else this less one */
    uint16_t desc_count;
    uint32_t error, reply;
    uint32_t next; /* 0: what the client has queued follows; else this less one stands there */
    uint64_t size, at;
};

struct letter_move {
    uint8_t count, which;  /* count 255: 200 descriptors; which: file, socket, door */
    uint8_t kind, honest; /* honest: of the call's slot, and with the number below */
    uint16_t slot;
    uint32_t call;
};

struct write_move {
    uint64_t at;
    uint32_t len, unused; /* so that it is as long in 32 bits */
};

struct head_move {
    uint32_t waking, revoked;
    uint64_t pending;
};

enum aim {
    RESULT,
    LENT,
    DESCRIPTORS,
    SENT_DESCRIPTORS,
    IDENTIFIED,
    NO_RESULT,
    ERROR,
    REFUSED,
    DIED,
    TOLD,
    GIVEN_UP,
    COPIED
};

static const uint8_t *input;
static size_t input_left;
static struct plan plan;

static struct {
    sem_t begin, end;
    int door; /* the other end of the client's */
    int control, memory, bell, receiver;
    char *shm;
    unsigned slot; /* of the call that was taken last */
} server = {.control = -1, .memory = -1, .bell = -1, .receiver = -1};

static void take(void *to, size_t len)
{
    size_t there = len < input_left ? len : input_left;

    memset(to, 0, len);
    memcpy(to, input, there);
    input += there;
    input_left -= there;
}

/* ------------------------------------------------ the server's answers */

static int memory(off_t size, int seals)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    replay_require(fd >= 0 && ftruncate(fd, size) == 0);
    replay_require(seals == 0 || fcntl(fd, F_ADD_SEALS, seals) == 0);
    return fd;
}

/* One end of a pair; *other is the other one. */
static int one_of_pair(int type, int *other)
{
    int pair[2];

    replay_require(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) == 0);
    *other = pair[1];
    return pair[0];
}

/* Something that is not what it should be, or -1. */
static int make_part(enum part part)
{
    int fd = -1, other = -1;

    if (part == A_FILE)
        fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
    else if (part == AN_EVENTFD)
        fd = eventfd(0, EFD_CLOEXEC);
    else if (part == A_STREAM || part == A_SEQPACKET)
        fd = one_of_pair(part == A_STREAM ? SOCK_STREAM : SOCK_SEQPACKET, &other);
    else if (part == A_SMALL_MEMORY)
        fd = memory(SHM_FILE_SIZE - 4096, SEALS);
    else if (part == AN_UNSEALED_MEMORY)
        fd = memory(SHM_FILE_SIZE, 0);
    else if (part == A_FROZEN_MEMORY)
        fd = memory(SHM_FILE_SIZE, SEALS | F_SEAL_FUTURE_WRITE);
    fd_close(other);
    return fd;
}

static void close_channel(void)
{
    if (server.shm != NULL)
        munmap(server.shm, SHM_MAPPED_SIZE);
    server.shm = NULL;
    fd_close(server.control);
    fd_close(server.memory);
    fd_close(server.bell);
    fd_close(server.receiver);
    server.control = server.memory = server.bell = server.receiver = -1;
}

/* The parts for a client, and our ends of them.  Takes its bell over. */
static unsigned make_channel(int bell, int *fds)
{
    int parts[2];
    unsigned count = 0;

    close_channel();
    replay_require(fd_is_bell(bell));
    server.bell = bell;
    server.memory = memory(SHM_FILE_SIZE, SEALS & ~F_SEAL_SEAL);
    server.shm = mmap(NULL, SHM_MAPPED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, server.memory, 0);
    replay_require(server.shm != MAP_FAILED);
    parts[0] = plan.control % PARTS == RIGHT ? one_of_pair(SOCK_SEQPACKET, &server.control)
                                             : make_part(plan.control % PARTS);
    parts[1] = plan.memory % PARTS == RIGHT ? dup(server.memory) : make_part(plan.memory % PARTS);
    for (unsigned i = 0; i < 2; i++) {
        if (parts[i] >= 0)
            fds[count++] = parts[i];
    }
    for (unsigned i = 0; i < plan.more % 8u && count < 8; i++)
        fds[count++] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return count;
}

static void answer(int reply_fd, int bell, enum msg_op op)
{
    struct {
        struct msg_answer answer;
        char more[8];
    } a = {.answer = {.magic = plan.answer == 2 ? 1 : MSG_MAGIC,
                      .error = plan.answer == 1 ? plan.error : 0,
                      .data_max = UINT64_MAX,
                      .info.di_uniquifier = 1}};
    size_t len = sizeof(a.answer) - (plan.answer == 3) + (plan.answer == 4);
    unsigned count = 0;
    int fds[8];

    if (op == MSG_OPEN)
        count = make_channel(bell, fds);
    else if (plan.more % 2)
        fds[count++] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (plan.answer != 5)
        fd_send(reply_fd, &a, len, fds, count);
    while (count > 0)
        fd_close(fds[--count]);
}

/* 1 if there was a request, which is answered; 0 if the client has closed the door. */
static int serve_request(void)
{
    struct msg_request request;
    unsigned count;
    int fds[4];

    while (fd_recv(server.door, &request, sizeof(request), fds, 4, &count) < 0) {
        struct pollfd p = {.fd = server.door, .events = POLLIN};

        if (errno != EAGAIN)
            return 0;
        replay_require(replay_poll(&p, 1, STEP_MAX_MS) == 1);
    }
    replay_require(request.magic == MSG_MAGIC && request.version == SHM_VERSION && count >= 1);
    if (request.op == MSG_OPEN)
        replay_require(count == 2);
    answer(fds[0], request.op == MSG_OPEN ? fds[1] : -1, request.op);
    if (request.op == MSG_OPEN)
        count = 1; /* the channel has the bell */
    while (count > 0)
        fd_close(fds[--count]);
    return 1;
}

/* ------------------------------------------------ the server's moves */

static struct shm_slot *slot_of(unsigned number)
{
    return shm_slot(server.shm, number == 0 ? server.slot : number - 1);
}

static void set_state(struct shm_slot *s, uint32_t state)
{
    atomic_store(&s->state, state);
    futex_wake(&s->state);
}

static void start_next(struct shm_slot *s)
{
    uint32_t next = atomic_exchange(&s->next, SHM_NEXT_LATE);

    if (next < 64)
        atomic_fetch_or(&shm_head(server.shm)->pending[0], shm_bit(next));
}

static void reply(void)
{
    struct reply_move m;
    struct shm_slot *s;

    take(&m, sizeof(m));
    s = slot_of(m.slot);
    s->result_size = m.size;
    s->result_at = m.at;
    s->result_desc_count = m.desc_count;
    s->error = m.error;
    s->reply = m.reply;
    if (m.next == 0)
        start_next(s);
    else
        atomic_store(&s->next, m.next - 1);
    set_state(s, m.state);
}

/* Whether a caller sleeps there until we go on. */
static int is_awaited(unsigned slot)
{
    uint32_t state = atomic_load(&shm_slot(server.shm, slot)->state);

    return state == SLOT_WAITING || state == SLOT_SENT || state == SLOT_TAKEN ||
           state == SLOT_REFUSED;
}

/* What the client has sent beside the call: where it reads, if it was asked for that. */
static void read_letters(int asked)
{
    struct letter letter;
    unsigned count;
    int fds[PASSED_MAX];

    while (fd_recv(server.control, &letter, sizeof(letter), fds, PASSED_MAX, &count) == 0) {
        replay_require(letter.magic == MSG_MAGIC && letter.slot < SHM_SLOT_COUNT);
        if (letter.kind == LETTER_DESCRIPTORS)
            replay_reached(SENT_DESCRIPTORS);
        if (letter.kind == LETTER_CREDENTIALS)
            replay_reached(IDENTIFIED);
        if (asked && letter.kind == LETTER_DESCRIPTORS && count == 1) {
            fd_close(server.receiver);
            server.receiver = fds[--count];
        }
        while (count > 0)
            fd_close(fds[--count]);
    }
}

/* Where a letter goes to: what the client reads, if it has told us. */
static int letter_socket(void)
{
    struct shm_slot *s = shm_slot(server.shm, server.slot);

    if (server.receiver >= 0 || !is_awaited(server.slot))
        return server.receiver >= 0 ? server.receiver : server.control;
    set_state(s, SLOT_RECEIVE);
    for (int i = 0; i < STEP_MAX_MS && atomic_load(&s->state) == SLOT_RECEIVE; i++)
        replay_poll(NULL, 0, 1);
    read_letters(1);
    return server.receiver >= 0 ? server.receiver : server.control;
}

/* What a letter brings. */
static int gift(unsigned which)
{
    int other = -1, fd;

    if (which % 3 == 0)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    fd = one_of_pair(SOCK_SEQPACKET, &other);
    if (which % 3 == 2)
        replay_require(fd_mark_door(fd) == 0);
    fd_close(other);
    return fd;
}

static void send_letter(void)
{
    struct letter_move m;
    struct letter letter = {.magic = MSG_MAGIC};
    unsigned count;
    int fds[200];

    take(&m, sizeof(m));
    letter.kind = m.kind;
    letter.slot = m.honest ? (uint16_t)server.slot : m.slot;
    letter.call = m.call;
    count = m.count == 255 ? 200 : m.count % (LETTER_MAX + 1);
    fds[0] = gift(m.which);
    for (unsigned i = 1; i < count; i++)
        fds[i] = fds[0];
    fd_send(letter_socket(), &letter, sizeof(letter), fds, count);
    fd_close(fds[0]);
}

static void send_raw(void)
{
    char bytes[sizeof(struct letter)];

    take(bytes, sizeof(bytes));
    fd_send(letter_socket(), bytes, sizeof(bytes), &server.memory, 1);
}

static void write_window(void)
{
    static char bytes[WRITE_MAX];
    struct write_move m;

    take(&m, sizeof(m));
    if (m.at < SHM_WINDOW_SIZE)
        replay_require(pwrite(server.memory, bytes, m.len % (WRITE_MAX + 1),
                              shm_window_offset(server.slot) + (off_t)m.at) >= 0);
}

static void write_head(void)
{
    struct shm_head *head = shm_head(server.shm);
    struct head_move m;

    take(&m, sizeof(m));
    atomic_store(&head->waking, m.waking);
    atomic_store(&head->revoked, m.revoked);
    atomic_fetch_or(&head->pending[1], m.pending); /* not the slots that we wait for */
}

static void hear(void)
{
    struct pollfd p = {.fd = server.bell, .events = POLLIN};
    char bytes[64];

    if (replay_poll(&p, 1, 0) == 1 && p.revents & POLLIN)
        replay_require(read(server.bell, bytes, sizeof(bytes)) > 0);
}

/* Then it closes the door, or says so. */
static void pause_for_short(void)
{
    struct pollfd p[] = {{.fd = server.door, .events = POLLIN},
                         {.fd = server.control, .events = POLLIN}};

    if (plan.act % ACTS == HANDLE_SHORT)
        replay_poll(p, 2, STEP_MAX_MS);
}

/* 1 if the client may have something to say to that. */
static int make_move(enum move move)
{
    uint8_t state;

    if (move == REPLY) {
        reply();
    } else if (move == STATE) {
        take(&state, 1);
        set_state(slot_of(0), state);
    } else if (move == SEND) {
        send_letter();
    } else if (move == WRITE) {
        write_window();
    } else if (move == HEAD) {
        write_head();
    } else if (move == RAW) {
        send_raw();
    } else if (move == HEAR) {
        hear();
    } else if (move == PAUSE) {
        pause_for_short();
    } else if (move == HANG_UP) {
        shutdown(server.control, SHUT_RDWR);
    } else {
        fd_close(server.bell);
        server.bell = -1;
    }
    return move == REPLY || move == STATE;
}

/* Takes a call, if one waits. */
static int take_call(void)
{
    _Atomic uint64_t *pending = &shm_head(server.shm)->pending[0];
    uint64_t bits = atomic_load(pending);

    if (bits == 0)
        return 0;
    server.slot = (unsigned)__builtin_ctzll(bits);
    atomic_fetch_and(pending, ~shm_bit(server.slot));
    atomic_store(&shm_head(server.shm)->waking, 0);
    return 1;
}

/* 1 when the client waits for us, 0 if it has closed the door. */
static int client_waits(void)
{
    struct pollfd p = {.fd = server.door, .events = POLLIN};

    for (int i = 0; i < STEP_MAX_MS; i++) {
        if (take_call())
            return 1;
        if (replay_poll(&p, 1, i < 20 ? 0 : 1) == 1)
            return 0; /* closed, or it asks for another channel */
        if (is_awaited(0) || is_awaited(1)) {
            take_call(); /* which came before it began to wait */
            return 1;
        }
    }
    return 0;
}

/* The calls of the channel that was handed out: until no move is left. */
static void serve_calls(void)
{
    uint8_t move;

    if (!client_waits())
        return;
    while (input_left > 0) {
        take(&move, 1);
        if (make_move(move % MOVES) && !client_waits())
            break;
        read_letters(0);
    }
}

static void *run_server(void *unused)
{
    for (;;) {
        while (sem_wait(&server.begin) < 0)
            continue;
        while (serve_request()) {
            if (server.shm != NULL && plan.answer == 0)
                serve_calls();
            close_channel();
            if (input_left == 0)
                plan.answer = 1; /* another channel is not to be had */
            if (input_left == 0 && plan.error == 0)
                plan.error = EAGAIN;
        }
        fd_close(server.door);
        sem_post(&server.end);
    }
    return unused;
}

/* ------------------------------------------------ the client */

static char rbuf[BUFFER_SIZE];

static void look_at(const char *bytes, size_t len)
{
    volatile char sink = 0;

    for (size_t i = 0; i < len && i < READ_MAX; i += i < 4096 ? 1 : 512)
        sink += bytes[i];
    if (len > 0)
        sink += bytes[len - 1];
}

/* What a call says is there is there. */
static void look_at_result(const door_arg_t *arg, unsigned desc_max)
{
    look_at(arg->data_ptr, arg->data_size);
    replay_require(arg->desc_num <= desc_max);
    replay_require(arg->desc_num == 0 || (uintptr_t)arg->desc_ptr % _Alignof(door_desc_t) == 0);
    for (uint_t i = 0; i < arg->desc_num; i++) {
        replay_require(arg->desc_ptr[i].d_attributes & DOOR_DESCRIPTOR);
        replay_require(close(arg->desc_ptr[i].d_data.d_desc.d_descriptor) == 0);
    }
    replay_reached(arg->desc_num > 0 ? DESCRIPTORS : RESULT);
    if (arg->rbuf != rbuf)
        munmap(arg->rbuf, arg->rsize);
}

/* What a call that has none says of that. */
static void look_at_error(int error)
{
    replay_require(error > 0 && error < 4096);
    replay_reached(error == EOVERFLOW                                          ? NO_RESULT
                   : error == EPROTO                                           ? REFUSED
                   : error == ETIMEDOUT                                        ? GIVEN_UP
                   : error == EBADF || error == EINTR || error == ECONNREFUSED ? DIED
                                                                               : ERROR);
}

static door_arg_t argument(void)
{
    static const size_t sizes[] = {0, 8, SHM_INLINE_SIZE, SHM_INLINE_SIZE + 1, 100000};
    static char bytes[100000];
    static door_desc_t descs[PASSED_MAX];
    door_arg_t arg = {.data_ptr = bytes,
                      .data_size = sizes[plan.size % (sizeof(sizes) / sizeof(sizes[0]))],
                      .desc_ptr = descs,
                      .desc_num = plan.passed % (PASSED_MAX + 1),
                      .rbuf = rbuf,
                      .rsize = (size_t)plan.rsize * BUFFER_SIZE / 255};

    for (unsigned i = 0; i < PASSED_MAX; i++)
        descs[i] = (door_desc_t){.d_attributes = DOOR_DESCRIPTOR, .d_data.d_desc.d_descriptor = 0};
    return arg;
}

static void call_plainly(int d)
{
    door_arg_t arg = argument();

    if (door_call(d, &arg) == 0)
        look_at_result(&arg, MAILBOX_MAX);
    else
        look_at_error(errno);
}

static void call_lending(int d)
{
    door_arg_t arg = argument();
    struct door_loan loan = {NULL, 0, NULL, 0};
    struct door_terms terms = {.desc_max = MAILBOX_MAX, .loan = &loan};
    struct door_handle *handle = door_handle_open(d);

    if (handle == NULL || door_handle_call(handle, &arg, &terms) < 0) {
        look_at_error(errno);
    } else {
        replay_reached(loan.owner != NULL ? LENT : RESULT);
        replay_require(arg.rbuf == rbuf);
        look_at_result(&arg, MAILBOX_MAX);
    }
    door_handle_close(handle);
    door_end_loan(&loan);
}

static void call_once_through(struct door_handle *handle, struct door_terms *terms)
{
    door_arg_t arg = argument();

    if (door_handle_call(handle, &arg, terms) == 0)
        look_at_result(&arg, plan.desc_max);
    else
        look_at_error(errno);
}

static void call_through(int d, int lends, int is_short)
{
    struct door_handle *handle = door_handle_open(d);
    _Atomic int64_t deadline_ns =
        door_now_ns() + (is_short ? 5 : STEP_MAX_MS) * (int64_t)1000000;
    struct door_loan loan = {NULL, 0, NULL, 0};
    struct door_terms terms = {.deadline_ns = &deadline_ns,
                               .take_by_ns = is_short ? door_now_ns() + 1000000 : 0,
                               .desc_max = plan.desc_max,
                               .loan = lends ? &loan : NULL};

    if (handle == NULL) {
        look_at_error(errno);
        return;
    }
    call_once_through(handle, &terms);
    door_end_loan(&loan);
    if (is_short) { /* the slot of the first may still be the server's */
        deadline_ns = door_now_ns() + 5000000;
        call_once_through(handle, &terms);
    }
    door_handle_close(handle);
}

static void end(struct door_async *call)
{
    char *result;
    size_t size;

    if (door_async_end(call, &result, &size) == 0) {
        look_at(result, size);
        replay_reached(RESULT);
    } else {
        look_at_error(errno);
    }
}

static void begin(struct door_async *call, const struct door_async *behind)
{
    size_t size = argument().data_size;
    char *buffer = door_async_buffer(call);

    if (buffer == NULL || door_async_begin(call, buffer, size, behind) < 0)
        look_at_error(errno);
}

static void call_meanwhile(int d, int is_queued)
{
    struct door_handle *handle = door_handle_open(d);
    struct door_async *first =
        handle != NULL ? door_async_open(handle, argument().data_size) : NULL;
    struct door_async *second =
        first != NULL && is_queued ? door_async_open(handle, argument().data_size) : NULL;

    door_handle_close(handle);
    if (first == NULL) {
        look_at_error(errno);
        return;
    }
    begin(first, NULL);
    if (second != NULL)
        begin(second, first);
    end(first);
    if (second != NULL && plan.desc_max % 2)
        end(second);
    else if (second == NULL)
        begin(first, NULL); /* and closes it while it runs */
    if (plan.desc_max % 4 == 0)
        replay_poll(NULL, 0, 1); /* for the server to take it */
    door_async_close(second);
    door_async_close(first);
}

static void call_portably(int d)
{
    _Atomic int64_t deadline_ns = 0;
    door_arg_t arg = argument();
    struct door_loan loan = {NULL, 0, NULL, 0};
    struct door_terms terms = {
        .deadline_ns = &deadline_ns, .desc_max = MAILBOX_MAX, .loan = &loan};
    struct door_handle *handle = portable_handle_open(d);

    if (handle == NULL || portable_handle_call(handle, &arg, &terms) < 0) {
        look_at_error(errno);
    } else {
        replay_require(arg.rbuf == rbuf);
        look_at_result(&arg, MAILBOX_MAX);
        replay_reached(COPIED);
    }
    portable_handle_close(handle);
    portable_end_loan(&loan);
}

static void call_portably_meanwhile(int d)
{
    struct door_handle *handle = portable_handle_open(d);
    struct door_async *call =
        handle != NULL ? portable_async_open(handle, argument().data_size) : NULL;
    char *result;
    size_t size;

    portable_handle_close(handle);
    if (call == NULL) {
        look_at_error(errno);
        return;
    }
    for (int i = 0; i < 2; i++) {
        replay_require(portable_async_begin(call, portable_async_buffer(call),
                                            argument().data_size, NULL) == 0);
        if (portable_async_end(call, &result, &size) < 0) {
            look_at_error(errno);
        } else {
            look_at(result, size);
            replay_reached(COPIED);
        }
    }
    portable_async_close(call);
}

static void ask(int d)
{
    struct msg_answer answer;
    door_info_t info;
    int fd, other;

    if (plan.act % ACTS == ATTACH) {
        fd = one_of_pair(SOCK_SEQPACKET, &other);
        if (door_ask_attach(d, fd, other, &answer) == 0)
            replay_reached(TOLD);
        else
            look_at_error(errno);
        fd_close(fd);
        fd_close(other);
    } else if (door_info(d, &info) == 0) {
        replay_reached(TOLD);
    } else {
        look_at_error(errno);
    }
}

static void act(int d)
{
    enum act act = plan.act % ACTS;

    if (act == PLAIN || act == TWICE)
        call_plainly(d);
    if (act == TWICE)
        call_plainly(d);
    if (act == HANDLE || act == HANDLE_LEND || act == HANDLE_SHORT)
        call_through(d, act == HANDLE_LEND, act == HANDLE_SHORT);
    if (act == LEND)
        call_lending(d);
    if (act == ASYNC || act == QUEUED)
        call_meanwhile(d, act == QUEUED);
    if (act == PORTABLE)
        call_portably(d);
    if (act == PORTABLE_ASYNC)
        call_portably_meanwhile(d);
    if (act == INFO || act == ATTACH)
        ask(d);
}

/* ------------------------------------------------ one input */

/* The loop and the closing threads are at it. */
static int settles_at(int count)
{
    for (int i = 0; i < SETTLE_MAX_MS; i++) {
        if (door_test_fd_count() <= count)
            return 1;
        replay_poll(NULL, 0, 1);
    }
    return 0;
}

static void run_input(const uint8_t *data, size_t size)
{
    int d;

    input = data;
    input_left = size;
    server.slot = 0;
    take(&plan, sizeof(plan));
    d = one_of_pair(SOCK_SEQPACKET, &server.door);
    replay_require(fd_mark_door(d) == 0);
    sem_post(&server.begin);
    act(d);
    fd_close(d);
    while (sem_wait(&server.end) < 0)
        continue;
}

/* The library's own threads and descriptors are there before any are counted. */
static void start(void)
{
    static const uint8_t honest[sizeof(struct plan) + 1 + sizeof(struct reply_move)] = {
        [sizeof(struct plan) + 2] = SLOT_DONE};
    pthread_t thread;

    replay_require(sem_init(&server.begin, 0, 0) == 0 && sem_init(&server.end, 0, 0) == 0);
    replay_require(pthread_create(&thread, NULL, run_server, NULL) == 0);
    for (int i = 0; i < 3; i++)
        run_input(honest, sizeof(honest));
    replay_poll(NULL, 0, 100);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int is_ready;
    int before;

    if (!is_ready)
        start();
    is_ready = 1;
    before = door_test_fd_count();
    run_input(data, size);
    replay_require(settles_at(before));
    return 0;
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
    static const char *const aims[] = {"a result",
                                       "a result that is lent",
                                       "descriptors",
                                       "descriptors that are sent",
                                       "credentials that are sent",
                                       "a result that is not there",
                                       "an error of the server's",
                                       "an answer that makes no sense",
                                       "a server that is gone",
                                       "an answer that is no channel",
                                       "a call that is given up",
                                       "a result by the portable form",
                                       NULL};

    return replay(LLVMFuzzerTestOneInput, "libdoor/t/corpus/client/*", aims, argc, argv);
}
#endif
