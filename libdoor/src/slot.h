/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * slot.h: every step of a call in the memory that client and server share, with
 * both sides of each step next to one another.  What the steps are is in shm.h.
 *
 * Knows no channel and no thread.  A function that changes what the peer sleeps
 * on wakes it; ringing is left to the client, which is told when to.
 */
#ifndef LIBDOOR_SLOT_H
#define LIBDOOR_SLOT_H

#include <stdatomic.h>
#include <stdint.h>

#include "shm.h"

/* ------------------------------------------------ the client's side */

/*
 * Hands over the call in slot, which is filled in.  1: ring; 0: somebody looks already;
 * -1 with EBADF: the door is revoked, and nobody has seen the call.
 * waits: its caller sleeps next, and rings again if that takes long.
 */
int slot_submit(void *shm, unsigned slot, int waits);

/*
 * The same for when the call in the slot behind is over.  -1 with EBUSY: another call
 * goes behind that one.
 */
int slot_submit_behind(void *shm, unsigned slot, unsigned behind);

/*
 * Takes a call back.  1 if no server thread had taken it: it has not run and never will.
 * followed: if the call was queued, a bit for each slot behind whose call it may stand, all
 * of which have had a call; else NULL.
 * *must_ring: a call that was to follow this one has its turn now.
 */
int slot_withdraw(void *shm, unsigned slot, const _Atomic uint64_t *followed, int *must_ring);

/* Whether the call has not been taken. */
int slot_is_pending(void *shm, unsigned slot);

/* From here on its caller sleeps: the server wakes it. */
void slot_begin_wait(void *shm, unsigned slot);

/* Whether a caller whose slot is in that state sleeps until the server goes on. */
int slot_is_awaited(uint32_t state);

/* Whether the reply is here. */
int slot_is_done(void *shm, unsigned slot);

/* The caller's answer to a question of the server's. */
void slot_answer(void *shm, unsigned slot, uint32_t question, uint32_t answer);

/* Whatever the server asks of a caller that has gone: no. */
void slot_refuse(void *shm, unsigned slot);

/* The server is gone: a caller that sleeps hears of it. */
void slot_kill(void *shm, unsigned slot);

/* ------------------------------------------------ the server's side */

/* How many calls wait to be taken; a peer may make it say anything. */
unsigned slot_pending_count(void *shm);

/*
 * Takes one call: the first from the slot start on, around the end.  Its slot, or -1.
 * From a moving start no slot waits for the others for ever.
 */
int slot_take(void *shm, unsigned start);

/* Callers need not ring for now: 1 if that is news, and then slot_heard() must follow. */
int slot_look_out(void *shm);

/* The bell was heard: from now on callers ring again. */
void slot_heard(void *shm);

/* No call is taken any more; callers see it after they have set their bit. */
void slot_revoke(void *shm);

/*
 * Puts the slot into a state that asks something of its caller, and waits for the
 * answer: the next state, or -1 if none came for a second, or *gone became true.
 */
int slot_ask(void *shm, unsigned slot, uint32_t question, const _Atomic int *gone);

/*
 * Ends the call: its caller has the reply.  1 if a call that was to follow has its turn
 * now; none has it if follow is 0.
 */
int slot_finish(void *shm, unsigned slot, int error, int follow);

#endif
