/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client_channel.h: the inside of a client_channel, for client.c, which makes
 * and finds channels, client_call.c, which calls through them, and
 * client_window.c, which has their memory for large data.
 */
#ifndef LIBDOOR_CLIENT_CHANNEL_H
#define LIBDOOR_CLIENT_CHANNEL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "client.h"
#include "fd.h"
#include "loop.h"
#include "mailbox.h"
#include "shm.h"

struct client_channel {
    struct watch control;        /* first: the loop hands us this */
    struct client_channel *next; /* in the table, under its lock */
    unsigned refs;               /* under the table's lock */
    int opening;                 /* under the table's lock: no calls yet */
    uint64_t cookie;             /* the door descriptor's socket */
    struct own_fd memory;
    struct own_fd bell;
    struct mailbox mailbox;
    _Atomic uint32_t call_count; /* numbers the calls, for their letters */
    void *shm;
    _Atomic int dead; /* the server is gone */
    _Atomic uint64_t free_slots[SHM_WORD_COUNT];
    /* Slots given up on: the server still has them. */
    _Atomic uint64_t abandoned[SHM_WORD_COUNT];
    struct shm_window window[SHM_SLOT_COUNT];
    _Atomic uint64_t used_windows[SHM_WORD_COUNT]; /* since they were last looked at */
    struct msg_answer answer;
};

/* Takes a free slot: 1 and its number, or 0 if there is none. */
int client_take_slot(struct client_channel *ch, unsigned *slot);

/* The server is gone: wakes everyone who waits for it. */
void client_channel_died(struct client_channel *ch);

/* No more calls through this channel: new ones look for another. */
void client_forget(struct client_channel *ch);

/* Drops a reference; the last one frees the channel. */
void client_release(struct client_channel *ch);

/* The window of a slot that the caller has, for at least size bytes; NULL: it cannot be mapped. */
char *client_window_map(struct client_channel *ch, unsigned slot, size_t size);

/* The call is over, and the slot about to be free. */
void client_window_release(struct client_channel *ch, unsigned slot);

/* Gives back windows that nobody has used since the last time; non-zero if some are left. */
int client_windows_give_back(struct client_channel *ch);

/* The same for all channels; the loop calls it. */
int client_give_back_idle(void);

#endif
