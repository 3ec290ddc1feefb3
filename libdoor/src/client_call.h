/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client_call.h: one call from a seat: arguments in, wait, results out.
 */
#ifndef LIBDOOR_CLIENT_CALL_H
#define LIBDOOR_CLIENT_CALL_H

#include <door.h>
#include <door_compat.h>

#include "client_channel.h"

/*
 * One call: arguments from *arg, results to *arg as door_call(3C) says, and all that
 * terms says.  Gives the seat back, or leaves it to the loan.
 */
int client_call(struct client_seat seat, door_arg_t *arg, struct door_terms *terms);

/*
 * Hands over a call whose argument is in the seat's buffer: at once, or once the call is
 * over that was begun from the slot behind of the same channel (SHM_NEXT_NONE: no
 * such).  0, or -1, and nobody has seen the call: EBADF the door is revoked, EBUSY
 * another call has been queued behind that one.
 */
int client_begin(struct client_seat seat, const char *data, size_t size, unsigned behind);

/* Whether client_end() would not wait. */
int client_is_over(struct client_seat seat);

/*
 * Waits for the call that was begun.  0 and its result, which stays until the seat is
 * used again (descriptors are closed), or -1 with door_call()'s errno; the seat is
 * gone, its channel NULL, if the server still has it.
 */
int client_end(struct client_seat *seat, int was_queued, char **result, size_t *size);

/* Gives the seat back, in which a call may still run: nobody will ask for its result. */
void client_leave(struct client_seat seat, int runs, int was_queued);

#endif
