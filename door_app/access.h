/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * access.h: answers whether requests may pass; access.c.
 */
#ifndef DOOR_APP_ACCESS_H
#define DOOR_APP_ACCESS_H

#include "app.h"
#include "request.h"

/* Calls the handler for the question's role, or answers that there is none. */
void door_rt_guard(const struct door_app *app, struct door_rt_request *req);

#endif
