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
 * Makes one call: arguments from *arg, results to *arg as in door_call(3C), by the terms.
 * Gives the seat back, or leaves it to the loan.
 */
int client_call(struct client_seat seat, door_arg_t *arg, struct door_terms *terms);

/*
 * Begins a call whose argument is in the seat's buffer.  It runs at once, or when the call in
 * slot behind of the same channel is over (SHM_NEXT_NONE: there is none).  Returns 0, or -1 if
 * the server has not seen the call: EBADF the door is revoked, EBUSY another call is already
 * queued behind that one.
 */
int client_begin(struct client_seat seat, const char *data, size_t size, unsigned behind);

/* Whether client_end() would not wait. */
int client_is_over(struct client_seat seat);

/*
 * Waits for the call that was begun.  Returns 0 and the result, which stays valid until the
 * seat is used again (descriptors in it are closed), or -1 with an errno of door_call().  If
 * the server still has the slot, the seat is lost and its channel becomes NULL.
 */
int client_end(struct client_seat *seat, int was_queued, char **result, size_t *size);

/* Gives the seat back.  If a call still runs in it, its result is dropped. */
void client_leave(struct client_seat seat, int runs, int was_queued);

#endif
