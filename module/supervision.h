/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * supervision.c: the supervisor's place in httpd.
 */
#ifndef MOD_DOOR_SUPERVISION_H
#define MOD_DOOR_SUPERVISION_H

#include <apr_hash.h>

#include "mod_door.h"
#include "supervisor.h"

/* In httpd's parent, before a configuration is read: finds a supervisor that runs already. */
void mod_door_find_supervisor(apr_pool_t *config_pool);

/* Whether there is a supervisor, so that this is a restart and applications may run already. */
int mod_door_is_supervised(void);

/* What is to run by this configuration.  The contents live as long as the configuration. */
struct mod_door_wanted {
    apr_hash_t *apps;        /* name: struct mod_door_app * */
    const char *runtime_dir; /* in which the supervisor is to make its own directory */
    /* Looks again for missing needs.  Returns how many applications have got a definition. */
    int (*find_again)(apr_pool_t *config_pool, server_rec *s);
};

/* In httpd's parent: starts the supervisor, or tells it what is to run now. */
apr_status_t mod_door_launch_apps(server_rec *s, const struct mod_door_wanted *wanted);
int mod_door_monitor_supervisor(apr_pool_t *pool, server_rec *s);

/* In a new child: closes what only httpd's parent may have, and makes the child end with it. */
void mod_door_forget_supervisor(void);

/* The board, on which the supervisor shows its processes; NULL if there is none. */
struct board *mod_door_board(void);

/* Asks the supervisor to check the application's processes now. */
void mod_door_ask_supervisor(const char *name);

#endif
