/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client_channel.h: the inside of a client_channel, for client.c, which makes
 * and finds channels, and for client_*.c, which call through them.
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

/* No more calls through this channel: new ones look for another. */
void client_forget(struct client_channel *ch);

/* Drops a reference; the last one frees the channel. */
void client_release(struct client_channel *ch);

/* ------------------------------------------------ client_slot.c */

/* Takes a free slot: 1 and its number, or 0 if there is none. */
int client_take_slot(struct client_channel *ch, unsigned *slot);

/* The seat is anybody's again. */
void client_give_back(struct client_seat seat);

/* The server has the slot until its reply, which nobody waits for. */
void client_abandon(struct client_seat seat);

/* The server is gone: wakes everyone who waits for it. */
void client_channel_died(struct client_channel *ch);

/* ------------------------------------------------ client_wait.c */

/* How a call goes, beside its errno. */
struct client_course {
    const door_arg_t *passed; /* as the caller passed it */
    struct door_loan *loan;   /* where a large result is lent, or NULL */
    int was_queued;           /* behind another call */
    int *sent_fds; /* the passed descriptors as they are sent; while the call runs */
    int *fds;      /* descriptors that came with the reply, before it is complete */
    unsigned count;
    int error; /* errno: descriptors could not be sent, or taken; both sides hear of it */
    int handed_over; /* the server could see the call */
    int keep_slot;   /* the server still has it */
    int is_lent;     /* the caller has: the result is there */
};

/* Closes the descriptors that nobody has taken over. */
void client_free_results(struct client_course *course);

/* Whether a caller whose slot is in that state sleeps until the server goes on. */
int client_is_awaited(uint32_t state);

/*
 * Hands the call over; waits: client_await() follows at once.  0, or -1 with EBADF: the
 * door is revoked, and nobody has seen it.
 */
int client_start(struct client_channel *ch, unsigned slot, int waits);

/* Likewise, when the call in the slot behind is over.  -1 with EBUSY: another one goes then. */
int client_start_behind(struct client_channel *ch, unsigned slot, unsigned behind);

/* Waits for its reply: 0, or the errno that it ends with. */
int client_await(struct client_channel *ch, unsigned slot, struct client_course *course,
                 const _Atomic int64_t *deadline_ns);

/* True if the call has not run and never will; what was to follow it does so now. */
int client_take_back(struct client_channel *ch, unsigned slot, int was_queued);

/* Whatever the server asks of a caller that has gone, it need not wait for it. */
void client_refuse(struct client_channel *ch, unsigned slot);

/* ------------------------------------------------ client_window.c */

/* The window of a slot that the caller has, for at least size bytes; NULL: it cannot be mapped. */
char *client_window_map(struct client_channel *ch, unsigned slot, size_t size);

/* The call is over, and the slot about to be free. */
void client_window_release(struct client_channel *ch, unsigned slot);

/* Gives back windows that nobody has used since the last time; non-zero if some are left. */
int client_windows_give_back(struct client_channel *ch);

/* The same for all channels; the loop calls it. */
int client_give_back_idle(void);

#endif
