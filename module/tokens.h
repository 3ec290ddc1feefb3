/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * tokens.c: who may touch a request while its call runs, the call's time, and the child's end.
 */
#ifndef MOD_DOOR_TOKENS_H
#define MOD_DOOR_TOKENS_H

#include "mod_door.h"
#include "call_state.h"

/* Hooks into the end of children. */
void mod_door_register_child_end(void);

apr_status_t mod_door_init_tokens(apr_pool_t *child_pool);

/* Whether this child is told to end at once. */
int mod_door_is_stopping(void);

/* Random digits. */
apr_status_t mod_door_random_id(char id[DOOR_WIRE_ID_LEN + 1]);

/* How long the application may take: for the call, or until it goes on; 0 for ever. */
apr_interval_time_t mod_door_timeout(const struct mod_door_call *call);

/* It is the application's turn, and it has that time from now on. */
void mod_door_give_turn(struct mod_door_call *call);

/* From open to close door threads are let in; close waits for the one that is in. */
void mod_door_open_token(struct mod_door_call *call);
void mod_door_close_token(struct mod_door_call *call);

/*
 * Lets a door thread in, which has come to the response door with that serial, with a
 * token of DOOR_WIRE_ID_LEN bytes.  The application's time stands still until it leaves.
 * ESTALE: there is no such call; EBUSY: another thread is in.
 */
apr_status_t mod_door_enter_call(unsigned long serial, const char *token,
                                 struct mod_door_call **call);
void mod_door_leave_call(struct mod_door_call *call);

#endif
