/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client_channel.h: this process's connection to one open door: the memory that it
 * shares with the server, a bell, and a control socket that is closed when either
 * process ends.  It has 256 slots, each with a window for data that do not fit into it.
 *
 * Owners: the table (client_table.h), the loop, handles and calls have a reference
 * each.  The thread that has taken a slot owns it, its window and the letters for it,
 * until it gives the slot back or leaves it to the server.
 */
#ifndef LIBDOOR_CLIENT_CHANNEL_H
#define LIBDOOR_CLIENT_CHANNEL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "fd.h"
#include "loop.h"
#include "mailbox.h"
#include "shm.h"

struct client_channel;

/* Functions of the table. */
struct client_events {
    void (*ended)(struct client_channel *ch); /* no more calls can be made: forget the channel */
    void (*memory_used)(void);                /* check later whether the memory is idle */
};

struct client_channel {
    struct watch control; /* first, because the loop passes a pointer to it */
    _Atomic unsigned refs;
    const struct client_events *events;
    struct client_channel *next; /* in the table, under its lock */
    int opening;                 /* no calls yet; under the table's lock */
    uint64_t cookie;             /* of the door descriptor's socket */
    struct own_fd memory;
    struct own_fd bell;
    struct mailbox mailbox;
    _Atomic uint32_t call_count; /* numbers the calls, for their letters */
    void *shm;
    unsigned desc_limit; /* RLIMIT_NOFILE when it was opened: no result can have more */
    _Atomic int dead; /* the server is gone */
    _Atomic uint64_t free_slots[SHM_WORD_COUNT];
    /* Slots whose callers have given up, and which the server still has. */
    _Atomic uint64_t abandoned[SHM_WORD_COUNT];
    /* Slots behind whose call another may be queued: in no other one does `next` mean anything. */
    _Atomic uint64_t followed[SHM_WORD_COUNT];
    _Atomic uint16_t desc_max[SHM_SLOT_COUNT]; /* descriptors that the slot's caller takes */
    struct shm_window window[SHM_SLOT_COUNT];
    char has_memory[SHM_SLOT_COUNT]; /* memory that may be freed; the slot's owner writes it */
    _Atomic uint64_t used_slots[SHM_WORD_COUNT]; /* used since the last trim */
};

/* The right to make one call: a slot in a channel, with a reference to the channel. */
struct client_seat {
    struct client_channel *ch;
    unsigned slot;
};

/* A channel with one reference, not open yet.  Returns NULL if there is no memory. */
struct client_channel *client_channel_new(uint64_t cookie, const struct client_events *events);

/* Opens the channel: asks the door d for its parts.  Returns 0, or -1 with door_ask()'s errno. */
int client_channel_open(struct client_channel *ch, int d, int64_t deadline_ns);
void client_channel_hold(struct client_channel *ch);
void client_channel_release(struct client_channel *ch);

/* Takes a free slot, and a reference.  Returns 1 and a seat, or 0 if no slot is free. */
int client_channel_take_slot(struct client_channel *ch, struct client_seat *seat);

/* Gives the seat back for another call. */
void client_give_back(struct client_seat seat);

/* Leaves the slot to the server until its reply, for which no thread waits. */
void client_abandon(struct client_seat seat);

/*
 * Rings the bell, so that the server looks for calls.  If that fails, the channel ends.
 * is_again: as in fd_ring().
 */
void client_channel_ring(struct client_channel *ch, int is_again);

/* The seat's memory for arguments, at least size bytes.  NULL and errno: E2BIG, EAGAIN. */
char *client_buffer(struct client_seat seat, size_t size);

/*
 * The address of the server's result of size bytes, by what the server says; NULL if there can
 * be no such result, or the server has not written it.
 */
char *client_result(struct client_seat seat, uint64_t size);

/* Frees memory that was not used since the last trim.  Returns non-zero if some is left. */
int client_channel_trim(struct client_channel *ch);

#endif
