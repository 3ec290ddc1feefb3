/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client_channel.h: this process's way into one open door, as long as it lasts: the
 * memory that it shares with the server, a bell, and a control socket that ends when
 * either process does.  256 slots, each with a window for data that do not fit into it.
 *
 * Owners: the table (client_table.h), the loop, handles and calls have a reference
 * each.  Who has taken a slot has it, its window and what comes for it, until it gives
 * it back, or leaves it to the server.
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

/* What the table does. */
struct client_events {
    void (*ended)(struct client_channel *ch); /* no more calls: forget it */
    void (*memory_used)(void);                /* look again in a while: it may be idle */
};

struct client_channel {
    struct watch control; /* first: the loop hands us this */
    _Atomic unsigned refs;
    const struct client_events *events;
    struct client_channel *next; /* in the table, under its lock */
    int opening;                 /* under the table's lock: no calls yet */
    uint64_t cookie;             /* the door descriptor's socket */
    struct own_fd memory;
    struct own_fd bell;
    struct mailbox mailbox;
    _Atomic uint32_t call_count; /* numbers the calls, for their letters */
    void *shm;
    unsigned desc_limit; /* RLIMIT_NOFILE when it was opened: nobody can take more at once */
    _Atomic int dead; /* the server is gone */
    _Atomic uint64_t free_slots[SHM_WORD_COUNT];
    /* Slots given up on: the server still has them. */
    _Atomic uint64_t abandoned[SHM_WORD_COUNT];
    /* Slots behind whose call another may be queued: in no other one does `next` mean anything. */
    _Atomic uint64_t followed[SHM_WORD_COUNT];
    _Atomic uint16_t desc_max[SHM_SLOT_COUNT]; /* descriptors that the slot's caller takes */
    struct shm_window window[SHM_SLOT_COUNT];
    char has_memory[SHM_SLOT_COUNT]; /* to be given back; who has the slot owns it */
    _Atomic uint64_t used_slots[SHM_WORD_COUNT]; /* since they were last looked at */
};

/* The right to make one call: a channel, referred to, and a slot in it. */
struct client_seat {
    struct client_channel *ch;
    unsigned slot;
};

/* With one reference, not open yet.  NULL: ENOMEM. */
struct client_channel *client_channel_new(uint64_t cookie, const struct client_events *events);

/* Asks the door d for it; 0, or -1 with door_ask()'s errno. */
int client_channel_open(struct client_channel *ch, int d, int64_t deadline_ns);
void client_channel_hold(struct client_channel *ch);
void client_channel_release(struct client_channel *ch);

/* Takes a free slot, and a reference for it: 1 and a seat, or 0 if there is none. */
int client_channel_take_slot(struct client_channel *ch, struct client_seat *seat);

/* The seat is anybody's again. */
void client_give_back(struct client_seat seat);

/* The server has the slot until its reply, which nobody waits for. */
void client_abandon(struct client_seat seat);

/*
 * Has the server look; if it cannot hear, the channel is at its end.  is_again: as in
 * fd_ring().
 */
void client_channel_ring(struct client_channel *ch, int is_again);

/* The seat's memory for arguments, at least size bytes; NULL: E2BIG, EAGAIN. */
char *client_buffer(struct client_seat seat, size_t size);

/*
 * Where the server says that the size bytes of its result are, which it has written;
 * NULL if that cannot be.
 */
char *client_result(struct client_seat seat, uint64_t size);

/* Gives back memory that nobody has used since the last time; non-zero if some is left. */
int client_channel_trim(struct client_channel *ch);

#endif
