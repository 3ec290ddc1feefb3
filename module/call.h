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

/* The note that the call has until it is freed. */
void mod_door_begin_call(struct mod_door_call *call);
void mod_door_free_call(struct mod_door_call *call);

/*
 * The request's message through its target's door: again if the application wants the
 * response door, or nobody has taken it, and through another one if that one takes no
 * more calls.
 */
apr_status_t mod_door_call_application(struct mod_door_call *call);

/* The result as a message: 0, or -1 and errno. */
int mod_door_read_message(const struct mod_door_call *call, enum door_wire_kind kind,
                          struct door_wire_reader *message);

#endif
