/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * ask.h: asking the server of a door descriptor for something that is no call.
 */
#ifndef LIBDOOR_ASK_H
#define LIBDOOR_ASK_H

#include <stdint.h>

#include "shm.h"

/*
 * Asks the server of the door d.  Fills *answer, and fds with the count descriptors that
 * belong to it, which the caller then owns.
 * deadline_ns: when to give up, 0 for never.
 *
 * Errors: EBADF d is no door, or its server is gone; EINTR; ETIMEDOUT; EMFILE;
 * EPROTO the server's answer makes no sense; any the server answered with.
 */
int door_ask(int d, enum msg_op op, int64_t deadline_ns, struct msg_answer *answer, int *fds,
             unsigned count);

/*
 * Asks the server of d for a channel that is rung by bell_fd's pipe: its control socket and
 * its memory, in fds.  Errors as door_ask()'s.
 */
int door_ask_open(int d, int bell_fd, int64_t deadline_ns, struct msg_answer *answer, int fds[2]);

/*
 * Has the server of d listen on listening_fd, whose name is path_fd's (O_PATH).
 * Errors as door_ask()'s.
 */
int door_ask_attach(int d, int listening_fd, int path_fd, struct msg_answer *answer);

#endif
