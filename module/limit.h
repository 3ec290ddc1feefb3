/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * limit.c: DoorMaxConcurrent and what belongs to it.
 */
#ifndef MOD_DOOR_LIMIT_H
#define MOD_DOOR_LIMIT_H

#include "mod_door.h"

struct mod_door_config;

/* DoorMaxConcurrent and what belongs to it; of a door, wherever it is used. */
struct mod_door_limit {
    int max;                           /* requests that may run at a time; 0 not said */
    int queue_len;                     /* requests that may wait; -1 not said */
    apr_interval_time_t queue_timeout; /* how long; -1 not said */
    unsigned index;                    /* in limit.c's table */
};

#define MOD_DOOR_QUEUE_LEN 100
#define MOD_DOOR_QUEUE_TIMEOUT apr_time_from_sec(5)

/* A configuration is about to be read, and has been: OK, or a server that does not start. */
void mod_door_forget_limits(apr_pool_t *config_pool);
void mod_door_note_limit(const struct mod_door_config *conf, const ap_directive_t *where);
int mod_door_check_limits(apr_pool_t *config_pool, apr_pool_t *log_pool, apr_pool_t *temp_pool,
                          server_rec *s);

/* The limit of the door at path, or NULL. */
const struct mod_door_limit *mod_door_find_limit(const char *path);

/* In httpd's parent, when the configuration stands; then in each child. */
apr_status_t mod_door_make_limit_table(apr_pool_t *config_pool);
void mod_door_take_row(apr_pool_t *child_pool);

/*
 * 1 if the request is among the first max ones of all children; then it has to
 * leave, too.  A limit of NULL lets all in.
 */
int mod_door_enter_limit(const struct mod_door_limit *limit, unsigned max);
void mod_door_leave_limit(const struct mod_door_limit *limit);

#endif
