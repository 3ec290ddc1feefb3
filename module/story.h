/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * story.c: how a request has gone, for those who look at it afterwards.
 */
#ifndef MOD_DOOR_STORY_H
#define MOD_DOOR_STORY_H

#include "mod_door.h"
#include "call_state.h"
#include "wire.h"

/* Of a result: which thread has run the request, and since when. */
void mod_door_take_served(struct mod_door_call *call, struct door_wire_reader message);

/*
 * The request has ended, with what the handler returns: it is counted, the access log has
 * its fields, and the error log its line if the level says so.
 */
void mod_door_tell_story(struct mod_door_call *call, int status);

#endif
