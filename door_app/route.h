/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * route.h: which handler answers; route.c.
 */
#ifndef DOOR_APP_ROUTE_H
#define DOOR_APP_ROUTE_H

#include "app.h"
#include "request.h"

/* Runs the hooks and the request's handler, or answers why there is none. */
void door_rt_route(const struct door_app *app, struct door_rt_request *req);

/*
 * Redirects the client to another path of the application, with the same query and method
 * (308).  Returns 0, or -1 and errno.  path NULL: there was no memory for it, as errno says.
 */
int door_rt_redirect(struct door_rt_request *req, const char *path);

#endif
