/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * handle.h: what a caller that calls often keeps: the channel, which each door_call()
 * has to look for.
 */
#ifndef LIBDOOR_HANDLE_H
#define LIBDOOR_HANDLE_H

#include "client_channel.h"

struct door_handle {
    int d;                     /* the caller's, open for as long */
    struct client_channel *ch; /* a reference */
};

/* A seat for a call; -1 and errno as client_acquire(). */
int handle_acquire(const struct door_handle *handle, int64_t deadline_ns,
                   struct client_seat *seat);

#endif
