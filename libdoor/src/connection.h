/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * connection.h: the server's ends of door descriptors, and the names that lead to doors.
 * The loop owns both.  It answers requests, makes channels, and never waits for a peer.
 */
#ifndef LIBDOOR_CONNECTION_H
#define LIBDOOR_CONNECTION_H

#include "record.h"

/* Makes another descriptor of door, close-on-exec, which the loop serves.  -1 and errno. */
int door_new_descriptor(struct door *door);

/* The door of d, with a reference, if this process has made d itself; otherwise NULL. */
struct door *door_find_local(int d);

/*
 * The door of this process that an answer is about, with a reference, or NULL.  What else is in
 * the answer must not be believed then: any server can send what this process has told others.
 */
struct door *door_find_answering(const struct msg_answer *answer);

/* The door of d, even if d came from elsewhere.  Asks the door, which takes a moment. */
struct door *door_find_own(int d);

#endif
