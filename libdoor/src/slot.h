/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * slot.h: every step of a call in the memory that client and server share.  slot.c has
 * both sides of each step next to each other.  shm.h describes the steps.
 *
 * This file knows no channels and no threads.  A function that changes the word on which
 * the peer sleeps also wakes the peer.  The client rings, when a function here says so.
 */
#ifndef LIBDOOR_SLOT_H
#define LIBDOOR_SLOT_H

#include <stdatomic.h>
#include <stdint.h>

#include "shm.h"

/* ------------------------------------------------ the client's side */

/*
 * Hands over the call in slot, whose fields are filled in.  Returns 1 if the client must ring,
 * 0 if a server thread looks already, -1 with EBADF if the door is revoked and the call was not
 * seen.  waits: the caller sleeps next, and rings again if that takes long.
 */
int slot_submit(void *shm, unsigned slot, int waits);

/*
 * The same, but the call begins when the call in the slot behind is over.  -1 with EBUSY:
 * another call is queued behind that one.
 */
int slot_submit_behind(void *shm, unsigned slot, unsigned behind);

/*
 * Withdraws a call.  Returns 1 if no server thread had taken it, so that it never runs.
 * followed: for a call that was queued, a map of the slots that it may be queued behind, each
 * of which has had a call; otherwise NULL.  *must_ring: the client must ring, since the call
 * behind this one has its turn now.
 */
int slot_withdraw(void *shm, unsigned slot, const _Atomic uint64_t *followed, int *must_ring);

/* Whether no thread has taken the call yet. */
int slot_is_pending(void *shm, unsigned slot);

/* Notes that the caller sleeps from now on, so that the server wakes it. */
void slot_begin_wait(void *shm, unsigned slot);

/* Whether a caller sleeps while its slot is in that state. */
int slot_is_awaited(uint32_t state);

/* Whether the reply is here. */
int slot_is_done(void *shm, unsigned slot);

/* Answers a question of the server.  Returns false if the server does not ask it any more. */
int slot_answer(void *shm, unsigned slot, uint32_t question, uint32_t answer);

/* For a caller that has given up: refuses what the server may be asking. */
void slot_refuse(void *shm, unsigned slot);

/* The server is gone: wakes a caller that sleeps. */
void slot_kill(void *shm, unsigned slot);

/* ------------------------------------------------ the server's side */

/* How many calls wait to be taken.  A hostile client can make this any number. */
unsigned slot_pending_count(void *shm);

/*
 * Takes one call: the first from the slot start on, with wrap-around.  Returns its slot, or -1.
 * If start moves on each time, no slot waits for ever.
 */
int slot_take(void *shm, unsigned start);

/*
 * Tells callers that they need not ring for now.  Returns 1 if that was not so before; then
 * slot_heard() must follow.
 */
int slot_look_out(void *shm);

/* After the bell was heard: callers must ring again. */
void slot_heard(void *shm);

/* Has callers see that no call will be taken any more. */
void slot_revoke(void *shm);

/*
 * Asks the caller something, by setting the slot to that state, and waits for the answer.
 * Returns the next state, or -1 if no answer came for a second, or *gone became true.
 */
int slot_ask(void *shm, unsigned slot, uint32_t question, const _Atomic int *gone);

/*
 * Ends the call, and gives its caller the reply.  Returns 1 if a call that was queued behind it
 * has its turn now; none gets it if follow is 0.
 */
int slot_finish(void *shm, unsigned slot, int error, int follow);

#endif
