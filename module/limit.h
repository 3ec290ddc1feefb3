/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * limit.c: DoorMaxConcurrent, DoorQueueLength and DoorQueueTimeout.
 */
#ifndef MOD_DOOR_LIMIT_H
#define MOD_DOOR_LIMIT_H

#include "mod_door.h"
#include "settings.h"

struct mod_door_call;

/* Before a configuration is read: forgets the last one. */
void mod_door_forget_limits(apr_pool_t *config_pool);

/* Notes that a directive sets a limit in conf. */
void mod_door_note_limit(const struct mod_door_config *conf, const ap_directive_t *where);

/* After the configuration is read: the hook that checks the limits. */
int mod_door_check_limits(apr_pool_t *config_pool, apr_pool_t *log_pool, apr_pool_t *temp_pool,
                          server_rec *s);

/* The limit of the door at path, or NULL. */
const struct mod_door_limit *mod_door_find_limit(const char *path);

/*
 * Waits until the call has a place, if its door has a limit.  The call gives the place back
 * with mod_door_leave_limit().  Errors: MOD_DOOR_EBUSY too many calls wait already, or the
 * call has waited too long; ETIMEDOUT it has waited for all of DoorTimeout; MOD_DOOR_EGONE
 * the client has gone; MOD_DOOR_ECUT httpd stops; MOD_DOOR_EMOVE the call should go to
 * another process.
 */
apr_status_t mod_door_enter_limit(struct mod_door_call *call);
void mod_door_leave_limit(struct mod_door_call *call);

/*
 * After a try that began at since_ns and that no thread took.  APR_SUCCESS: the call is to be
 * tried again.  The errors are those of mod_door_enter_limit().
 */
apr_status_t mod_door_wait_on(struct mod_door_call *call, int64_t since_ns);

#endif
