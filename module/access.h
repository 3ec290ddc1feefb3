/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * access.c: applications that say whether requests may pass.
 */
#ifndef MOD_DOOR_ACCESS_H
#define MOD_DOOR_ACCESS_H

#include "mod_door.h"
#include "call_state.h"
#include "settings.h"
#include "wire.h"

/*
 * Asks conf's door the question, and puts the answer into it.  Returns OK, or an HTTP status
 * after the reason was logged.
 */
typedef int mod_door_asker(request_rec *r, const struct mod_door_config *conf,
                           struct mod_door_question *question);

/* Registers the hooks and providers; they ask by means of asker. */
void mod_door_register_access(apr_pool_t *pool, mod_door_asker *asker);

/*
 * Reads the answer to the question out of a RESPONSE message.  Returns APR_SUCCESS, or why
 * the message is no answer.
 */
apr_status_t mod_door_read_answer(request_rec *r, struct door_wire_reader message,
                                  struct mod_door_question *question);

#endif
