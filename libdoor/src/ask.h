/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * ask.h: requests to the server of a door descriptor that are not calls.
 */
#ifndef LIBDOOR_ASK_H
#define LIBDOOR_ASK_H

#include <stdint.h>

#include "shm.h"

/*
 * Sends a request to the server of the door d.  Fills *answer, and fds with the count
 * descriptors that come with it, which the caller owns then.  deadline_ns: when to give
 * up, 0 for never.  Returns 0, or -1 and errno.
 *
 * Errors: EBADF d is no door, or its server is gone; EINTR; ETIMEDOUT; EMFILE;
 * EPROTO the server's answer makes no sense; any error that the server answers with.
 */
int door_ask(int d, enum msg_op op, int64_t deadline_ns, struct msg_answer *answer, int *fds,
             unsigned count);

/*
 * Asks the server of d for a channel whose bell is the pipe bell_fd.  fds gets the channel's
 * control socket and memory.  Errors as door_ask()'s.
 */
int door_ask_open(int d, int bell_fd, int64_t deadline_ns, struct msg_answer *answer, int fds[2]);

/*
 * Has the server of d listen on listening_fd.  path_fd (O_PATH) refers to the socket's name.
 * Errors as door_ask()'s.
 */
int door_ask_attach(int d, int listening_fd, int path_fd, struct msg_answer *answer);

#endif
