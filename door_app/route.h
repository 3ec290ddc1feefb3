/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * route.h: which handler answers; route.c.
 */
#ifndef DOOR_APP_ROUTE_H
#define DOOR_APP_ROUTE_H

#include "app.h"
#include "request.h"

/* Has the request's handler answer it, or says why there is none. */
void door_rt_route(const struct door_app *app, struct door_rt_request *req);

/* Sends the client to another path of the application, with its query and method (308); or -1. */
int door_rt_redirect(struct door_rt_request *req, const char *path);

#endif
