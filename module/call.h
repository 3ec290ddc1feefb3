/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call.c: a request's call, from the door that it goes to until its result is there.
 */
#ifndef MOD_DOOR_CALL_H
#define MOD_DOOR_CALL_H

#include "mod_door.h"
#include "call_state.h"
#include "doors.h"
#include "wire.h"

/* The note that the call has until it is freed. */
void mod_door_begin_call(struct mod_door_call *call);
void mod_door_free_call(struct mod_door_call *call);

/*
 * The door to call: the one at the path, or that of a process of the
 * application, which may have to be waited for.
 */
apr_status_t mod_door_find_door(struct mod_door_call *call, struct mod_door_name *name,
                                struct mod_door **door);

/*
 * The request's message through the door: again if the application wants the
 * response door, or nobody has taken it, and through another one if that one takes no
 * more calls; *door may become another one, or NULL.
 */
apr_status_t mod_door_call_application(struct mod_door_call *call, struct mod_door_name *name,
                                       struct mod_door **door);

/* The result as a message: 0, or -1 and errno. */
int mod_door_read_message(const struct mod_door_call *call, enum door_wire_kind kind,
                          struct door_wire_reader *message);

#endif
