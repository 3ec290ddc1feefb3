/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * tokens.c: who may touch a request while its call runs, the call's time, and the child's end.
 */
#ifndef MOD_DOOR_TOKENS_H
#define MOD_DOOR_TOKENS_H

#include "mod_door.h"
#include "call_state.h"

/* Registers the hook for a child's end. */
void mod_door_register_child_end(void);

apr_status_t mod_door_init_tokens(apr_pool_t *child_pool);

/* Whether this child must end at once. */
int mod_door_is_stopping(void);

/* Makes a random id of hexadecimal digits. */
apr_status_t mod_door_random_id(char id[DOOR_WIRE_ID_LEN + 1]);

/* How long the application may take for the call, or between signs of life; 0: for ever. */
apr_interval_time_t mod_door_timeout(const struct mod_door_call *call);

/* Starts the application's turn: it has mod_door_timeout() from now on. */
void mod_door_give_turn(struct mod_door_call *call);

/* Door threads can enter the call from open to close.  close waits for one that is inside. */
void mod_door_open_token(struct mod_door_call *call);
void mod_door_close_token(struct mod_door_call *call);

/*
 * Lets a door thread enter the call with that token of DOOR_WIRE_ID_LEN bytes.  serial is that
 * of the thread's response door.  The application's time stops until the thread leaves.
 * ESTALE: there is no such call; EBUSY: another thread is inside.
 */
apr_status_t mod_door_enter_call(unsigned long serial, const char *token,
                                 struct mod_door_call **call);
void mod_door_leave_call(struct mod_door_call *call);

#endif
