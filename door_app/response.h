/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * response.h: what the runtime itself answers; response.c.
 */
#ifndef DOOR_APP_RESPONSE_H
#define DOOR_APP_RESPONSE_H

#include "door_app.h"

/* Answers with a status and a line of text, if nothing has been sent. */
void door_rt_tell(struct door_app_request *handle, int status, const char *text);

#endif
