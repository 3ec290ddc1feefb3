/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_request.c: whatever comes on a door's socket and on a channel's control socket, with
 * whatever descriptors, and whatever is done with the bell and the memory: the next honest
 * request is answered, and so is the next call, unless the channel has been ended.
 *
 * The input is a list of records: two bytes, an enum operation and what goes with it, and
 * then what that operation needs (or less of it, at the end), in a layout of this file's
 * own.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <door.h>

#include "../src/thread.h"
#include "fd.h"
#include "mailbox.h"
#include "replay.h"
#include "shm.h"

#define ANSWER_MAX_MS 10000
/* With calls that are not answered, maybe never: no seed has any of those. */
#ifdef FUZZ_REPLAY
#define PATIENCE_MS 5000
#else
#define PATIENCE_MS 20
#endif
#define REQUEST_MAX 32 /* whose answers are looked at */
#define LAST_SLOT (SHM_SLOT_COUNT - 1)

enum operation {
    REQUEST,     /* an op, with the right magic and version; which descriptors */
    RAW_REQUEST, /* eight bytes as they are; which descriptors */
    LETTER,      /* struct letter_record; how many descriptors */
    IDENTITY,    /* struct letter_record, with the credentials that belong to it */
    RING,        /* nothing; a byte for the bell, all that it takes, or what was there out of it */
    CALL,        /* struct call_record; the slot */
    NAMED,       /* an op, from one who has opened the name; which descriptors */
    OPERATIONS
};

struct letter_record {
    uint16_t kind, slot;
    uint32_t call, which;
};

struct call_record {
    uint64_t arg_size, arg_at;
    uint32_t call, next, result_desc_max;
    uint8_t arg_desc_count;
    uint8_t what;     /* the argument's first byte: what the procedure does */
    uint8_t answer;   /* a state: what the server's questions are answered with */
    uint8_t sent;     /* descriptors that go before that */
};

/* What the procedure does. */
enum { ECHO, IDENTIFY, GIVE_DESCRIPTORS, PROCEDURES };

enum aim { INFORMED, OPENED, REFUSED, CALLED, ENDED, DESCRIPTORS, IDENTIFIED, ASKED };

/* The other end of a channel. */
static struct {
    int control, memory;
    struct own_fd bell;
    char *shm;
    struct call_record calls[SHM_SLOT_COUNT]; /* the last one in each slot */
} channel;

/* A name, maybe attached to the door, and who has opened it; or -1. */
static int listening = -1, opened = -1;

/* Where the server is to answer. */
static int answers[REQUEST_MAX];
static unsigned answer_count;

static void serve(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    unsigned what = arg_size > 0 ? (uint8_t)argp[0] % PROCEDURES : ECHO;
    door_desc_t desc = {.d_attributes = DOOR_DESCRIPTOR, .d_data.d_desc.d_descriptor = 0};
    door_cred_t cred;

    (void)cookie;
    for (uint_t i = 0; i < n_desc; i++)
        replay_require(close(dp[i].d_data.d_desc.d_descriptor) == 0);
    if (n_desc > 0)
        replay_reached(DESCRIPTORS);
    if (what == IDENTIFY && door_cred(&cred) == 0)
        replay_reached(IDENTIFIED);
    if (what == GIVE_DESCRIPTORS)
        door_return(argp, arg_size, &desc, 1);
    door_return(argp, arg_size, NULL, 0);
}

/*
 * The server has each descriptor that it does not want closed by a thread of its
 * own.  On a busy machine there are hundreds before these have run, which is more
 * than the usual limit leaves for the next door.
 */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    replay_require(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    replay_require(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* ------------------------------------------------ requests */

static int make_name(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (listening >= 0)
        return listening;
    listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Without a name the kernel finds one, unix(7). */
    replay_require(listening >= 0 && bind(listening, (struct sockaddr *)&address,
                                          sizeof(address.sun_family)) == 0);
    replay_require(listen(listening, 8) == 0);
    return listening;
}

static int open_name(void)
{
    struct sockaddr_un address;
    socklen_t len = sizeof(address);

    if (opened >= 0)
        return opened;
    opened = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    replay_require(opened >= 0);
    replay_require(getsockname(make_name(), (struct sockaddr *)&address, &len) == 0);
    replay_require(connect(opened, (struct sockaddr *)&address, len) == 0);
    return opened;
}

/*
 * Whoever serves it hears of that.  If nobody does, what waits there may have the name
 * itself in its queue, and the kernel would take its time to find that out.
 */
static void close_name(void)
{
    int waiting;

    while (listening >= 0 && (waiting = accept4(listening, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        fd_close(waiting);
    if (listening >= 0)
        shutdown(listening, SHUT_RDWR);
    fd_close(listening);
    fd_close(opened);
    listening = opened = -1;
}

/* Up to three of them: one end of a pair, a file, a name, and a bell. */
static void send_request(int door, const void *bytes, size_t len, unsigned which)
{
    unsigned count = which % 4;
    int pair[2], fds[3] = {-1, -1, -1}, heard = -1;
    struct own_fd bell = {.fd = -1};

    replay_require(fd_pair(pair) == 0);
    for (unsigned i = 0; i < count; i++) {
        unsigned what = (which >> 2 * (i + 1)) % 4;

        if (what == 3 && heard < 0)
            bell = fd_bell(&heard);
        fds[i] = what == 0 ? pair[0] : what == 1 ? 0 : what == 2 ? make_name() : heard;
    }
    fd_send(door, bytes, len, fds, count);
    fd_close(pair[0]);
    fd_close(heard);
    own_fd_close(&bell);
    if (answer_count < REQUEST_MAX && count > 0 && fds[0] == pair[0])
        answers[answer_count++] = pair[1];
    else
        fd_close(pair[1]);
}

static void request(int door, unsigned op, unsigned which)
{
    struct msg_request request = {MSG_MAGIC, SHM_VERSION, (uint16_t)op};

    send_request(door, &request, sizeof(request), which);
}

/* What came, or did not: a socket that nobody answers has been closed. */
static void take_answer(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct msg_answer answer;
    unsigned count;
    int fds[3];

    replay_require(replay_poll(&p, 1, ANSWER_MAX_MS) == 1);
    if (fd_recv(fd, &answer, sizeof(answer), fds, 3, &count) == 0) {
        replay_require(answer.magic == MSG_MAGIC && (count == 0 || count == 2));
        replay_reached(answer.error != 0 ? REFUSED : count == 2 ? OPENED : INFORMED);
        while (count > 0)
            fd_close(fds[--count]);
    }
    fd_close(fd);
}

/* An honest request; true when the server has answered it, and so seen all before it. */
static int ask(int door, enum msg_op op, int heard, int *fds, unsigned wanted)
{
    struct msg_request request = {MSG_MAGIC, SHM_VERSION, (uint16_t)op};
    struct pollfd p = {.events = POLLIN};
    struct msg_answer answer;
    unsigned count = 0;
    int pair[2], result;

    replay_require(fd_pair(pair) == 0);
    while (fd_send(door, &request, sizeof(request), (int[]){pair[1], heard},
                   heard < 0 ? 1 : 2) < 0)
        replay_poll(NULL, 0, 1);
    p.fd = pair[0];
    fd_close(pair[1]);
    result = replay_poll(&p, 1, ANSWER_MAX_MS) == 1 &&
             fd_recv(pair[0], &answer, sizeof(answer), fds, wanted, &count) == 0 &&
             answer.magic == MSG_MAGIC && answer.error == 0 && count == wanted;
    fd_close(pair[0]);
    return result;
}

/* ------------------------------------------------ a channel */

static void open_channel(int door)
{
    int fds[2], heard;

    channel.bell = fd_bell(&heard);
    replay_require(channel.bell.fd >= 0 && ask(door, MSG_OPEN, heard, fds, 2));
    fd_close(heard);
    channel.control = fds[0];
    channel.memory = fds[1];
    channel.shm =
        mmap(NULL, SHM_MAPPED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, channel.memory, 0);
    replay_require(channel.shm != MAP_FAILED);
    memset(channel.calls, 0, sizeof(channel.calls));
}

static void close_channel(void)
{
    munmap(channel.shm, SHM_MAPPED_SIZE);
    channel.shm = NULL;
    fd_close(channel.control);
    fd_close(channel.memory);
    own_fd_close(&channel.bell);
}

static void ring(unsigned which)
{
    static char bytes[65536];

    if (which % 3 == 0)
        fd_ring(&channel.bell, 0);
    else if (which % 3 == 1)
        replay_require(write(channel.bell.fd, bytes, sizeof(bytes)) != 0);
    else
        replay_require(read(channel.bell.fd, bytes, sizeof(bytes)) != 0);
}

static void call(unsigned slot, const struct call_record *r)
{
    struct shm_slot *s = shm_slot(channel.shm, slot);

    s->arg_size = r->arg_size;
    s->arg_at = r->arg_at;
    s->call = r->call;
    s->arg_desc_count = r->arg_desc_count;
    s->result_desc_max = r->result_desc_max;
    s->next = r->next;
    s->data[0] = (char)r->what;
    channel.calls[slot] = *r;
    atomic_store(&s->state, SLOT_CALLING);
    atomic_fetch_or(&shm_head(channel.shm)->pending[slot / 64], shm_bit(slot));
    ring(0);
}

static void send_letter(const struct letter_record *r, unsigned count)
{
    struct letter letter = {MSG_MAGIC, r->kind, r->slot, r->call, r->which};
    int fds[3] = {0, channel.control, channel.memory};

    fd_send(channel.control, &letter, sizeof(letter), fds, count % 4);
}

/* The server asks something of the caller in slot. */
static void answer(unsigned slot, uint32_t question)
{
    const struct call_record *r = &channel.calls[slot];
    struct mailbox m = {.out = {.fd = channel.control, .cookie = fd_cookie(channel.control)}};
    struct letter_record letter = {LETTER_DESCRIPTORS, (uint16_t)slot, r->call, 0};

    replay_reached(ASKED);
    if (r->sent > 0)
        send_letter(&letter, r->sent);
    if (question == SLOT_IDENTIFY && r->sent % 2 == 0)
        mailbox_send_credentials(&m, slot, r->call);
    atomic_store(&shm_slot(channel.shm, slot)->state, r->answer);
    futex_wake(&shm_slot(channel.shm, slot)->state);
}

static void answer_all(void)
{
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++) {
        uint32_t state = atomic_load(&shm_slot(channel.shm, slot)->state);

        if (state == SLOT_IDENTIFY || state == SLOT_SEND || state == SLOT_DELIVER ||
            state == SLOT_RECEIVE)
            answer(slot, state);
    }
}

/* Whether all calls are. */
static int are_over(void)
{
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++) {
        uint32_t state = atomic_load(&shm_slot(channel.shm, slot)->state);

        if (state != SLOT_IDLE && state != SLOT_DONE)
            return 0;
    }
    return 1;
}

/* True if it is answered, or the server has ended the channel. */
static int is_served(void)
{
    static const struct call_record honest = {8, SHM_IN_SLOT, 1, SHM_NEXT_NONE, 0, 0, ECHO, 0, 0};
    struct pollfd p = {.fd = channel.control, .events = POLLRDHUP};

    call(LAST_SLOT, &honest);
    for (int i = 0; i < ANSWER_MAX_MS; i++) {
        answer_all();
        if ((i >= PATIENCE_MS || are_over()) &&
            atomic_load(&shm_slot(channel.shm, LAST_SLOT)->state) == SLOT_DONE) {
            replay_reached(CALLED);
            if (replay_poll(&p, 1, 0) == 1)
                replay_reached(ENDED); /* only then */
            return 1;
        }
        if (replay_poll(&p, 1, 1) == 1) {
            replay_reached(ENDED);
            return 1;
        }
    }
    return 0;
}

/* ------------------------------------------------ the input */

static size_t take(const uint8_t **data, size_t *size, void *to, size_t len)
{
    len = len < *size ? len : *size;
    memcpy(to, *data, len);
    *data += len;
    *size -= len;
    return len;
}

static void play_channel(int door, enum operation operation, unsigned which,
                         const uint8_t **data, size_t *size)
{
    struct letter_record letter = {0};
    struct call_record record = {0};

    if (channel.shm == NULL)
        open_channel(door);
    if (operation == RING) {
        ring(which);
    } else if (operation == CALL) {
        take(data, size, &record, sizeof(record));
        call(which, &record);
    } else {
        take(data, size, &letter, sizeof(letter));
        if (operation == LETTER)
            send_letter(&letter, which);
        else
            mailbox_send_credentials(
                &(struct mailbox){.out = {.fd = channel.control, .cookie = fd_cookie(channel.control)}},
                letter.slot % SHM_SLOT_COUNT, letter.call);
    }
}

static void play(int door, const uint8_t *data, size_t size)
{
    uint8_t raw[sizeof(struct msg_request)] = {0};

    while (size > 1) {
        enum operation operation = data[0] % OPERATIONS;
        unsigned which = data[1];

        data += 2;
        size -= 2;
        if (operation == RAW_REQUEST) {
            size_t len = take(&data, &size, raw, sizeof(raw));
            send_request(door, raw, len, which);
        } else if (operation == REQUEST || operation == NAMED) {
            take(&data, &size, raw, 1);
            request(operation == NAMED ? open_name() : door, raw[0], which);
        } else {
            play_channel(door, operation, which, &data, &size);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int is_ready;
    int door;

    if (!is_ready)
        raise_descriptor_limit();
    is_ready = 1;
    door = door_create(serve, NULL, 0);
    replay_require(door >= 0);
    play(door, data, size);
    close_name();
    replay_require(ask(door, MSG_INFO, -1, NULL, 0));
    while (answer_count > 0)
        take_answer(answers[--answer_count]);
    if (channel.shm != NULL) {
        replay_require(is_served());
        close_channel();
    }
    fd_close(door);
    return 0;
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
    static const char *const aims[] = {"a request is answered", "a channel is opened",
                                       "a request is refused", "a call is answered",
                                       "a channel is ended", "a call's descriptors",
                                       "a caller's credentials", "a question", NULL};

    return replay(LLVMFuzzerTestOneInput, "libdoor/t/corpus/request/*", aims, argc, argv);
}
#endif
