/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * handle.h: a handle of a door, for programs that call often.  It keeps the channel, which
 * each door_call() has to look for.
 */
#ifndef LIBDOOR_HANDLE_H
#define LIBDOOR_HANDLE_H

#include <door_compat.h>
#include <stdint.h>

#include "client_channel.h"

/*
 * Takes a seat for a call; gives up at deadline_ns (0: never).  Returns 0, or -1 and errno as
 * client_acquire().  The handle may be closed while the seat is in use.
 */
int handle_acquire(struct door_handle *handle, int64_t deadline_ns, struct client_seat *seat);

#endif
