/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * hints.c: what is right in a DoorApp line, and hardly what was meant.
 */
#ifndef MOD_DOOR_HINTS_H
#define MOD_DOOR_HINTS_H

#include "said_app.h"

#define MOD_DOOR_DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* Once the line is read: adds to its hints. */
void mod_door_hint_at_line(apr_pool_t *pool, struct said_app *app);

/* The PATH that it will have. */
const char *mod_door_search_path(const struct said_app *app);

#endif
