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

/* Whether name has the form of an application's name. */
int mod_door_is_app_name(const char *name);

/* Before a configuration is read: forgets the last one. */
void mod_door_forget_apps(apr_pool_t *config_pool);

/* Note that a DoorHandler or a DoorAllow names an application. */
void mod_door_note_handler(const char *name, const ap_directive_t *where);
void mod_door_note_allowed(const char *name, const ap_directive_t *where);

/* After all of the configuration is read: the hook that checks the applications. */
int mod_door_check_apps(apr_pool_t *config_pool, apr_pool_t *log_pool, apr_pool_t *temp_pool,
                        server_rec *s);

/*
 * Logs which applications lack something that they need, and what is probably not meant so.
 * flags: APLOG_STARTUP or 0.
 */
void mod_door_warn_of_needs(apr_pool_t *temp_pool, server_rec *s, int flags);

/* Looks for missing needs again.  Returns how many applications have got a definition by that. */
int mod_door_find_apps_again(apr_pool_t *config_pool, server_rec *s);

/* The application of that name, or NULL; and all applications, by name. */
struct mod_door_app *mod_door_find_app(const char *name);
apr_hash_t *mod_door_apps(void);

/* The directory in which the supervisor is to make its own directory. */
const char *mod_door_runtime_dir(apr_pool_t *pool);

#endif
