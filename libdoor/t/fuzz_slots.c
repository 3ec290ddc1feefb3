/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_slots.c: whatever a client writes into the memory that it shares, the
 * server takes each call no more often than that says, and copies no byte from
 * elsewhere.
 *
 * The input is where the server begins to look, the map of pending calls, and then for
 * each of the first slots a record, whose layout is this file's own: the seeds are right
 * whatever becomes of struct shm_slot.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fd.h"
#include "replay.h"
#include "server_channel.h"

#define WRITTEN_MAX (256u << 10)
#define ARGUMENT_MAX ((size_t)4 << 20) /* longer ones are as good, and slow */

/* What the client wrote into a slot. */
struct record {
    uint32_t state;
    uint32_t written; /* bytes that it wrote into the window, from arg_at on */
    uint64_t arg_size, arg_at, result_size, result_at;
    uint32_t call, reply, arg_desc_count, result_desc_count, next, result_desc_max;
};

enum aim {
    ANSWERED,  /* the argument came back as the result */
    WINDOWED,  /* one that was not in the slot */
    WITHOUT,   /* a call that has no argument */
    TOO_LARGE, /* E2BIG */
    UNWRITTEN, /* EFAULT */
    FOLLOWED,  /* by another call, when it was over */
    ALONE      /* nothing follows it */
};

static struct server_channel channel;

/* How often each slot was set as pending, by its own bit or by another's next, and taken. */
static unsigned said[SHM_SLOT_COUNT], taken[SHM_SLOT_COUNT];

static void make_channel(void)
{
    static struct door door;

    channel.door = &door;
    channel.memory = own_fd(memfd_create("fuzz", 0));
    replay_require(channel.memory.fd >= 0 && ftruncate(channel.memory.fd, SHM_FILE_SIZE) == 0);
    channel.shm = mmap(NULL, SHM_MAPPED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                       channel.memory.fd, 0);
    replay_require(channel.shm != MAP_FAILED);
    channel.control.fd = channel.mailbox.in.fd = channel.mailbox.out.fd = -1;
}

static size_t take(const uint8_t **data, size_t *size, void *to, size_t len)
{
    len = len < *size ? len : *size;
    memcpy(to, *data, len);
    *data += len;
    *size -= len;
    return len;
}

static int cannot_be(const struct server_call *call)
{
    return (call->arg_at != SHM_IN_SLOT || call->arg_size > SHM_INLINE_SIZE) &&
           (call->arg_size > SHM_DATA_MAX || call->arg_at > SHM_DATA_MAX - call->arg_size);
}

/* Where an argument is that can be, and is mapped. */
static const char *find(unsigned slot, const struct server_call *call)
{
    const struct shm_window *w = &channel.window[slot];

    if (call->arg_at == SHM_IN_SLOT)
        return shm_slot(channel.shm, slot)->data;
    replay_require(call->arg_at + call->arg_size <= w->size);
    return w->base + call->arg_at;
}

static void serve_slot(unsigned slot)
{
    static char *arguments;
    static size_t cap;
    struct server_call call = server_channel_call(&channel, slot);

    if (call.arg_size == 0)
        replay_reached(WITHOUT);
    if (call.arg_size == 0 || (call.arg_size > ARGUMENT_MAX && !cannot_be(&call)))
        return; /* without an argument nobody looks for it */
    if (server_channel_arguments(&channel, slot, &call, &arguments, &cap) < 0) {
        /* What is not in the slot was never written here, or by a result: refused or not. */
        replay_require(call.arg_at != SHM_IN_SLOT || cannot_be(&call));
        replay_require(errno == (cannot_be(&call) ? E2BIG : EFAULT));
        replay_reached(errno == E2BIG ? TOO_LARGE : UNWRITTEN);
        return;
    }
    replay_require(!cannot_be(&call) && call.arg_size <= cap);
    replay_require(memcmp(arguments, find(slot, &call), call.arg_size) == 0);
    replay_require(server_channel_result(&channel, slot, arguments, call.arg_size) == 0);
    replay_reached(call.arg_at == SHM_IN_SLOT ? ANSWERED : WINDOWED);
}

/* Only then is the next one pending, and only once. */
static void end_slot(unsigned slot)
{
    uint32_t next = shm_slot(channel.shm, slot)->next;

    server_channel_reply(&channel, slot, 0);
    replay_require(shm_slot(channel.shm, slot)->next == SHM_NEXT_LATE);
    replay_reached(next < SHM_SLOT_COUNT ? FOLLOWED : ALONE);
    if (next < SHM_SLOT_COUNT)
        said[next]++;
}

static void write_slot(struct shm_slot *s, const struct record *r)
{
    s->state = r->state;
    s->arg_size = r->arg_size;
    s->arg_at = r->arg_at;
    s->result_size = r->result_size;
    s->result_at = r->result_at;
    s->call = r->call;
    s->reply = r->reply;
    s->arg_desc_count = r->arg_desc_count;
    s->result_desc_count = r->result_desc_count;
    s->next = r->next;
    s->result_desc_max = r->result_desc_max;
}

static void write_window(unsigned slot, const struct record *r)
{
    static char bytes[WRITTEN_MAX];

    if (r->written > 0 && r->arg_at < SHM_WINDOW_SIZE)
        replay_require(pwrite(channel.memory.fd, bytes, r->written % WRITTEN_MAX,
                              shm_window_offset(slot) + (off_t)r->arg_at) >= 0);
}

/* As before the first call. */
static void empty_windows(void)
{
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++) {
        shm_window_unmap(&channel.window[slot]);
        channel.window[slot].written = 0;
    }
    replay_require(fallocate(channel.memory.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                             SHM_WINDOWS, SHM_FILE_SIZE - SHM_WINDOWS) == 0);
}

static void write_memory(const uint8_t *data, size_t size)
{
    struct shm_head *head = channel.shm;
    uint8_t cursor = 0;

    memset(head->pending, 0, sizeof(head->pending));
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++)
        atomic_store(&shm_slot(channel.shm, slot)->next, SHM_NEXT_NONE);
    take(&data, &size, &cursor, sizeof(cursor));
    atomic_store(&channel.cursor, cursor * 3u);
    take(&data, &size, head->pending, sizeof(head->pending));
    for (unsigned i = 0; size > 0; i++) {
        struct record record = {0};

        take(&data, &size, &record, sizeof(record));
        write_slot(shm_slot(channel.shm, i % SHM_SLOT_COUNT), &record);
        write_window(i % SHM_SLOT_COUNT, &record);
    }
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++) {
        said[slot] = (head->pending[slot / 64] & shm_bit(slot)) != 0;
        taken[slot] = 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned total = 0;
    int slot;

    if (channel.shm == NULL)
        make_channel();
    write_memory(data, size);
    while ((slot = server_channel_take(&channel)) >= 0) {
        replay_require(slot < (int)SHM_SLOT_COUNT && taken[slot] < said[slot]);
        replay_require(++total <= 2 * SHM_SLOT_COUNT);
        taken[slot]++;
        serve_slot((unsigned)slot);
        end_slot((unsigned)slot);
    }
    for (unsigned i = 0; i < SHM_SLOT_COUNT; i++)
        replay_require(taken[i] > 0 || said[i] == 0);
    replay_require(server_channel_pending(&channel) == 0);
    replay_require(atomic_load(&channel.running) == 0);
    empty_windows();
    return 0;
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
    static const char *const aims[] = {"an argument is answered",
                                       "an argument in the window is",
                                       "a call without an argument",
                                       "a size or place that cannot be",
                                       "an argument that was never written",
                                       "a call that follows another one",
                                       "a call that none follows",
                                       NULL};

    return replay(LLVMFuzzerTestOneInput, "libdoor/t/corpus/slots/*", aims, argc, argv);
}
#endif
