/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * body.h: a request's body; body.c.
 */
#ifndef DOOR_APP_BODY_H
#define DOOR_APP_BODY_H

#include "request.h"

/* Whether door_app_read_now() would return something new without asking httpd. */
int door_rt_body_is_at_hand(struct door_rt_request *req);

#endif
