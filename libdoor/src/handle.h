/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * handle.h: what a caller that calls often keeps: the channel, which each door_call()
 * has to look for.
 */
#ifndef LIBDOOR_HANDLE_H
#define LIBDOOR_HANDLE_H

#include <door_compat.h>
#include <stdint.h>

#include "client_channel.h"

/*
 * A seat for a call, which is to have it by deadline_ns (0: whenever); -1 and errno as
 * client_acquire().  It needs the handle no longer.
 */
int handle_acquire(struct door_handle *handle, int64_t deadline_ns, struct client_seat *seat);

#endif
