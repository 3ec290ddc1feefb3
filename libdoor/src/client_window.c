/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client_window.c: the memory beside a channel's slots through which large data
 * go.  Who has a slot has its window.  Pages are dear to get and to lose, so a
 * window is kept for the slot's next call, unless it is huge or that does not come.
 */
#include <fcntl.h>

#include "client_channel.h"

/* Both sides' memory: the server's mapping of it stays, without pages. */
static void give_back(struct client_channel *ch, unsigned slot)
{
    struct shm_window *w = &ch->window[slot];

    if (own_fd_check(&ch->memory))
        fallocate(ch->memory.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  shm_window_offset(slot), (off_t)w->size);
    shm_window_unmap(w);
}

char *client_window_map(struct client_channel *ch, unsigned slot, size_t size)
{
    if (ch->window[slot].size < size && !own_fd_check(&ch->memory))
        return NULL;
    return shm_window_map(&ch->window[slot], ch->memory.fd, slot, size);
}

void client_window_release(struct client_channel *ch, unsigned slot)
{
    if (ch->window[slot].size > SHM_WINDOW_KEEP)
        give_back(ch, slot);
    if (ch->window[slot].size == 0)
        return;
    atomic_fetch_or(&ch->used_windows[slot / 64], shm_bit(slot));
    loop_repeat(LOOP_WINDOWS, client_give_back_idle);
}

/* Takes the slot, so that no call begins in it meanwhile. */
static int give_back_if_idle(struct client_channel *ch, unsigned slot)
{
    _Atomic uint64_t *free_slots = &ch->free_slots[slot / 64];
    int is_left;

    if ((atomic_fetch_and(free_slots, ~shm_bit(slot)) & shm_bit(slot)) == 0)
        return 1; /* a call has it */
    if ((atomic_fetch_and(&ch->used_windows[slot / 64], ~shm_bit(slot)) & shm_bit(slot)) == 0 &&
        ch->window[slot].size > 0)
        give_back(ch, slot);
    is_left = ch->window[slot].size > 0;
    atomic_fetch_or(free_slots, shm_bit(slot));
    return is_left;
}

int client_windows_give_back(struct client_channel *ch)
{
    int is_left = 0;

    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++)
        is_left |= give_back_if_idle(ch, slot);
    return is_left;
}
