/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * message.h: a response on its way; message.c.
 */
#ifndef DOOR_APP_MESSAGE_H
#define DOOR_APP_MESSAGE_H

#include "request.h"

/*
 * Sends what was written so far: 0, or -1 with errno.  Whatever it was, that is out
 * of the buffer then.  Without DOOR_WIRE_FLUSH what becomes of it may show later.
 */
int door_rt_send(struct door_rt_request *req, unsigned flags);

/*
 * The final message, whose body is in the thread's buffer, behind its head: 0 and
 * *message, *len, or -1 with errno.
 */
int door_rt_response(struct door_rt_request *req, char **message, size_t *len);

#endif
