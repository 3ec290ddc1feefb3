/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * limit.c: DoorMaxConcurrent and what belongs to it.
 */
#ifndef MOD_DOOR_LIMIT_H
#define MOD_DOOR_LIMIT_H

#include "mod_door.h"
#include "settings.h"

struct mod_door_call;

/* A configuration is about to be read, and has been: OK, or a server that does not start. */
void mod_door_forget_limits(apr_pool_t *config_pool);
void mod_door_note_limit(const struct mod_door_config *conf, const ap_directive_t *where);
int mod_door_check_limits(apr_pool_t *config_pool, apr_pool_t *log_pool, apr_pool_t *temp_pool,
                          server_rec *s);

/* The limit of the door at path, or NULL. */
const struct mod_door_limit *mod_door_find_limit(const char *path);

/*
 * Until the call has a place, if its door has a limit; it is to leave then.  Errors:
 * MOD_DOOR_EBUSY too many wait already, or its time is up; ETIMEDOUT where that is
 * DoorTimeout; MOD_DOOR_EGONE; MOD_DOOR_ECUT httpd stops; MOD_DOOR_EMOVE it should go to
 * another process.
 */
apr_status_t mod_door_enter_limit(struct mod_door_call *call);
void mod_door_leave_limit(struct mod_door_call *call);

/*
 * Nobody has taken the call in a try that began then: APR_SUCCESS, it is to be made
 * again; the errors are the same ones.
 */
apr_status_t mod_door_wait_on(struct mod_door_call *call, int64_t since_ns);

#endif
