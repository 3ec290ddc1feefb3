/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * message.h: the messages of a response; message.c.
 */
#ifndef DOOR_APP_MESSAGE_H
#define DOOR_APP_MESSAGE_H

#include "request.h"

/*
 * Sends what was written so far, and empties the buffer in any case.  Returns 0, or -1 with
 * errno.  An error may be noticed only later, as door_rt_channel_send() says.
 */
int door_rt_send(struct door_rt_request *req, unsigned flags);

/*
 * Makes the final message in the thread's buffer.  Returns 0 and sets *message and *len, or
 * returns -1 with errno.
 */
int door_rt_response(struct door_rt_request *req, char **message, size_t *len);

#endif
