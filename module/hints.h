/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * hints.c: a DoorApp that is valid, but probably not meant so.
 */
#ifndef MOD_DOOR_HINTS_H
#define MOD_DOOR_HINTS_H

#include "said_app.h"

#define MOD_DOOR_DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* After the line is read: adds to app->hints. */
void mod_door_hint_at_line(apr_pool_t *pool, struct said_app *app);

/* The PATH that the application will have. */
const char *mod_door_search_path(const struct said_app *app);

#endif
