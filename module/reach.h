/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * reach.c: what a user may do in the file system.
 */
#ifndef MOD_DOOR_REACH_H
#define MOD_DOOR_REACH_H

#include <apr_pools.h>

#include "supervisor.h"

enum { MOD_DOOR_MAY_RUN = 1, MOD_DOOR_MAY_READ = 4 }; /* can be combined with | */

/*
 * What prevents a process with that definition from running or reading the file, or entering
 * the directory: a text with the obstacle's path, mode and owner, or NULL if none is found.
 */
const char *mod_door_find_obstacle(apr_pool_t *pool, const char *path, unsigned what,
                                   const struct app_definition *def);

#endif
