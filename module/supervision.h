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

/* A configuration is about to be read: in httpd's parent, which may have a supervisor already. */
void mod_door_find_supervisor(apr_pool_t *config_pool);

/* Whether applications may run already: this is a restart. */
int mod_door_is_supervised(void);

/* What is to run by this configuration, and lasts as long as that. */
struct mod_door_wanted {
    apr_hash_t *apps;        /* name: struct mod_door_app * */
    const char *runtime_dir; /* that the supervisor is to make its own in */
    /* Looks again for what some lack; how many have a definition now that had none. */
    int (*find_again)(apr_pool_t *config_pool, server_rec *s);
};

/* In httpd's parent: launches them, or tells the supervisor what is to run now. */
apr_status_t mod_door_launch_apps(server_rec *s, const struct mod_door_wanted *wanted);
int mod_door_monitor_supervisor(apr_pool_t *pool, server_rec *s);

/* In a new child: what only httpd's parent may have. */
void mod_door_forget_supervisor(void);

/* What the supervisor shows, or NULL if there is none. */
struct board *mod_door_board(void);

/* Has it look at the application's processes. */
void mod_door_ask_supervisor(const char *name);

#endif
