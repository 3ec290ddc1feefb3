/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * config.c: the directives.
 */
#ifndef MOD_DOOR_CONFIG_H
#define MOD_DOOR_CONFIG_H

#include "mod_door.h"
#include "settings.h"

/*
 * Reads an application's name or a door's path, written as for DoorHandler, into guard.
 * Returns NULL, or what is wrong.
 */
const char *mod_door_read_guard(cmd_parms *cmd, const char *arg, struct mod_door_guard *guard);

extern const command_rec mod_door_commands[];
void *mod_door_create_config(apr_pool_t *pool, char *dir);
void *mod_door_merge_config(apr_pool_t *pool, void *base, void *add);

#endif
