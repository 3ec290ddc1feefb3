/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * story.c: how a request went, for the figures and the logs.
 */
#ifndef MOD_DOOR_STORY_H
#define MOD_DOOR_STORY_H

#include "mod_door.h"
#include "call_state.h"
#include "wire.h"

/* Reads from a result which thread has run the request, and since when. */
void mod_door_take_served(struct mod_door_call *call, struct door_wire_reader message);

/*
 * At the end of a request: counts it, sets the notes for the access log, and writes a line to
 * the error log if its level is trace1 or more.  status is what the handler returns.
 */
void mod_door_tell_story(struct mod_door_call *call, int status);

#endif
