/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * body.h: what of a request's body is there; body.c.
 */
#ifndef DOOR_APP_BODY_H
#define DOOR_APP_BODY_H

#include "request.h"

/* Whether door_app_read_now() has something new to say without asking httpd. */
int door_rt_body_is_at_hand(struct door_rt_request *req);

#endif
