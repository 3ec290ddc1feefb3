/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * connection.h: the other ends of door descriptors, and the names that lead to them.
 * The loop owns both; it answers the requests that come, makes channels for them, and
 * never waits for a peer.
 */
#ifndef LIBDOOR_CONNECTION_H
#define LIBDOOR_CONNECTION_H

#include "record.h"

/* One more descriptor for door, close-on-exec, which the loop serves; -1 and errno. */
int door_new_descriptor(struct door *door);

/* The door, with a reference, if this process has made the descriptor d for it; or NULL. */
struct door *door_find_local(int d);

/* The same however this process came by d; asks the door, which takes a moment. */
struct door *door_find_own(int d);

#endif
