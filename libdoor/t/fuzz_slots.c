/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_slots.c: whatever a client writes into the memory that it shares, the
 * server takes each call at most once and copies no byte from elsewhere.
 *
 * The input is what the client wrote: the map of pending calls, then for each
 * of the first slots its sizes and counts.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fd.h"
#include "replay.h"
#include "server.h"
#include "shm.h"

#define ARGUMENT_MAX ((size_t)4 << 20) /* longer ones are as good, and slow */

static struct server_channel channel;

static void make_channel(void)
{
    channel.memory_fd = memfd_create("fuzz", 0);
    replay_require(channel.memory_fd >= 0 && ftruncate(channel.memory_fd, SHM_FILE_SIZE) == 0);
    channel.shm = mmap(NULL, SHM_MAPPED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                       channel.memory_fd, 0);
    replay_require(channel.shm != MAP_FAILED);
    channel.control.fd = -1;
}

static size_t take(const uint8_t **data, size_t *size, void *to, size_t len)
{
    len = len < *size ? len : *size;
    memcpy(to, *data, len);
    *data += len;
    *size -= len;
    return len;
}

static void serve_slot(unsigned slot)
{
    static char *arguments;
    static size_t cap;
    struct server_call call = server_channel_call(&channel, slot);

    if (call.arg_size <= ARGUMENT_MAX || call.arg_size > SHM_WINDOW_SIZE) {
        int result = server_channel_arguments(&channel, slot, call.arg_size, &arguments, &cap);
        replay_require(result < 0 || call.arg_size <= SHM_WINDOW_SIZE);
        /* What does not fit into the slot was never written here: refused or not. */
        replay_require(result == 0 || call.arg_size > SHM_INLINE_SIZE);
        replay_require(result < 0 || call.arg_size <= cap);
        if (result == 0)
            replay_require(server_channel_result(&channel, slot, arguments, call.arg_size) == 0);
    }
    server_channel_reply(&channel, slot, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char taken[SHM_SLOT_COUNT] = {0};
    struct shm_head *head;
    unsigned cursor = 0;
    int slot;

    if (channel.shm == NULL)
        make_channel();
    head = channel.shm;
    take(&data, &size, &cursor, 1);
    atomic_store(&channel.cursor, cursor * 3);
    take(&data, &size, head->pending, sizeof(head->pending));
    for (unsigned i = 0; size > 0; i++)
        take(&data, &size, (char *)shm_slot(channel.shm, i % SHM_SLOT_COUNT),
             offsetof(struct shm_slot, data));
    while ((slot = server_channel_take(&channel)) >= 0) {
        replay_require(slot < (int)SHM_SLOT_COUNT && !taken[slot]);
        taken[slot] = 1;
        serve_slot((unsigned)slot);
    }
    replay_require(server_channel_pending(&channel) == 0);
    replay_require(atomic_load(&channel.running) == 0);
    return 0;
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
    return replay(LLVMFuzzerTestOneInput, "libdoor/t/corpus/slots/*", argc, argv);
}
#endif
