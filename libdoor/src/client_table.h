/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client_table.h: the channels of this process, found by the door descriptor's socket,
 * made at the first call, and shared by all threads.
 */
#ifndef LIBDOOR_CLIENT_TABLE_H
#define LIBDOOR_CLIENT_TABLE_H

#include <stdint.h>

#include "client_channel.h"

/*
 * Takes a seat for a call on d, whose socket has, or had, that cookie (0: d is no socket).
 * Waits while another thread makes the channel.  deadline_ns: when to give up, 0 for never.
 * Returns 0, or -1 and errno: EBADF d is no door, or another one, or its server is gone;
 * EINTR, ETIMEDOUT, EMFILE, ENOMEM, EAGAIN, EPROTO.
 */
int client_acquire(int d, uint64_t cookie, int64_t deadline_ns, struct client_seat *seat);

#endif
