/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client_slot.c: who has a slot of a channel: a call, nobody, or the server whose
 * reply nobody waits for any more.
 */
#include <errno.h>

#include "client_channel.h"
#include "thread.h"

static void free_slot(struct client_channel *ch, unsigned slot)
{
    atomic_fetch_or(&ch->free_slots[slot / 64], shm_bit(slot));
}

/* Slots whose calls were given up are free again once the server is through. */
static void reclaim_slots(struct client_channel *ch)
{
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++) {
        if (atomic_load(&ch->abandoned[slot / 64]) == 0) {
            slot |= 63;
            continue;
        }
        if ((atomic_load(&ch->abandoned[slot / 64]) & shm_bit(slot)) &&
            atomic_load(&shm_slot(ch->shm, slot)->state) == SLOT_DONE &&
            (atomic_fetch_and(&ch->abandoned[slot / 64], ~shm_bit(slot)) & shm_bit(slot)))
            free_slot(ch, slot);
    }
}

int client_take_slot(struct client_channel *ch, unsigned *slot)
{
    if (atomic_load(&ch->dead))
        return 0;
    reclaim_slots(ch);
    for (unsigned word = 0; word < SHM_WORD_COUNT; word++) {
        uint64_t left = atomic_load(&ch->free_slots[word]);
        while (left != 0) {
            unsigned first = (unsigned)__builtin_ctzll(left);
            uint64_t without = left & ~shm_bit(first);
            if (atomic_compare_exchange_weak(&ch->free_slots[word], &left, without)) {
                *slot = word * 64 + first;
                return 1;
            }
        }
    }
    return 0;
}

void client_channel_died(struct client_channel *ch)
{
    atomic_store(&ch->dead, 1);
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++) {
        struct shm_slot *s = shm_slot(ch->shm, slot);
        uint32_t state;

        if (atomic_load(&ch->free_slots[slot / 64]) & shm_bit(slot))
            continue; /* untouched so far, maybe: leave its page alone */
        state = atomic_load(&s->state);
        if (client_is_awaited(state) &&
            atomic_compare_exchange_strong(&s->state, &state, SLOT_DEAD))
            futex_wake(&s->state);
    }
}

char *client_buffer(struct client_seat seat, size_t size)
{
    char *buffer;

    if (size <= SHM_INLINE_SIZE)
        return shm_slot(seat.ch->shm, seat.slot)->data;
    if (size > SHM_DATA_MAX) {
        errno = E2BIG;
        return NULL;
    }
    buffer = client_window_map(seat.ch, seat.slot, size);
    if (buffer == NULL)
        errno = EAGAIN;
    return buffer;
}

/* What came for the call, and was not taken. */
static void close_letters(struct client_seat seat)
{
    if (atomic_load(&seat.ch->mailbox.held) > 0)
        mailbox_close(&seat.ch->mailbox, seat.slot);
}

void client_give_back(struct client_seat seat)
{
    close_letters(seat);
    client_window_release(seat.ch, seat.slot);
    free_slot(seat.ch, seat.slot);
    client_release(seat.ch);
}

void client_abandon(struct client_seat seat)
{
    close_letters(seat);
    mailbox_send_abandoned(&seat.ch->mailbox, seat.slot, shm_slot(seat.ch->shm, seat.slot)->call);
    atomic_fetch_or(&seat.ch->abandoned[seat.slot / 64], shm_bit(seat.slot));
    client_release(seat.ch);
}
