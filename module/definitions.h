/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * definitions.c: the launched applications of a configuration.
 */
#ifndef MOD_DOOR_DEFINITIONS_H
#define MOD_DOOR_DEFINITIONS_H

#include <apr_hash.h>

#include "mod_door.h"
#include "app.h"

/* DoorApp, DoorBusyTimeout, DoorRuntimeDir. */
const char *mod_door_add_app(cmd_parms *cmd, void *config, const char *args);
const char *mod_door_set_busy_timeout(cmd_parms *cmd, void *config, const char *arg);
const char *mod_door_set_runtime_dir(cmd_parms *cmd, void *config, const char *arg);

/* Whether that could be an application's name. */
int mod_door_is_app_name(const char *name);

/* A configuration is about to be read; a DoorHandler, a DoorAllow names an application; all is read. */
void mod_door_forget_apps(apr_pool_t *config_pool);
void mod_door_note_handler(const char *name, const ap_directive_t *where);
void mod_door_note_allowed(const char *name, const ap_directive_t *where);
int mod_door_check_apps(apr_pool_t *config_pool, apr_pool_t *log_pool, apr_pool_t *temp_pool,
                        server_rec *s);

/* Logs which have not all that they need, and what is hardly meant; flags: APLOG_STARTUP or 0. */
void mod_door_warn_of_needs(apr_pool_t *temp_pool, server_rec *s, int flags);

/* Looks for that again.  Returns how many applications have a definition now that had none. */
int mod_door_find_apps_again(apr_pool_t *config_pool, server_rec *s);

/* The application of that name, or NULL; all of them, by their names. */
struct mod_door_app *mod_door_find_app(const char *name);
apr_hash_t *mod_door_apps(void);

/* The directory that the supervisor is to make its own in. */
const char *mod_door_runtime_dir(apr_pool_t *pool);

#endif
