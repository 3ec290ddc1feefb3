/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call.c: a request's call, from the door that it goes to until its result is there.
 */
#ifndef MOD_DOOR_CALL_H
#define MOD_DOOR_CALL_H

#include "mod_door.h"
#include "call_state.h"
#include "wire.h"

/* Gives the call its note, which it has until mod_door_free_call(). */
void mod_door_begin_call(struct mod_door_call *call);
void mod_door_free_call(struct mod_door_call *call);

/*
 * Sends the request's message through its target's door.  Tries again if the application
 * wants the response door or if no thread took the call, and goes to another door if this
 * one takes no more calls.
 */
apr_status_t mod_door_call_application(struct mod_door_call *call);

/* Reads the result as a message.  Returns 0, or -1 and errno. */
int mod_door_read_message(const struct mod_door_call *call, enum door_wire_kind kind,
                          struct door_wire_reader *message);

#endif
