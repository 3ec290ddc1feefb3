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

/* Asks the door of that configuration: OK, and the answer; or an HTTP status, which is logged. */
typedef int mod_door_asker(request_rec *r, const struct mod_door_config *conf,
                           struct mod_door_question *question);

void mod_door_register_access(apr_pool_t *pool, mod_door_asker *asker);

/* What a RESPONSE says to the question: APR_SUCCESS, or why it is no answer. */
apr_status_t mod_door_read_answer(request_rec *r, struct door_wire_reader message,
                                  struct mod_door_question *question);

#endif
