/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * reach.c: what a user may do in the file system.
 */
#ifndef MOD_DOOR_REACH_H
#define MOD_DOOR_REACH_H

#include <apr_pools.h>

#include "supervisor.h"

enum { MOD_DOOR_MAY_RUN = 1, MOD_DOOR_MAY_READ = 4 }; /* to be added */

/*
 * What keeps the process of that definition from doing this with the file or directory:
 * text that names it, its mode and its owner; or NULL, nothing that can be seen.
 */
const char *mod_door_find_obstacle(apr_pool_t *pool, const char *path, unsigned what,
                                   const struct app_definition *def);

#endif
