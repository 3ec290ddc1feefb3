/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * response_door.c: what an application does with its request while the call runs.
 */
#ifndef MOD_DOOR_RESPONSE_DOOR_H
#define MOD_DOOR_RESPONSE_DOOR_H

#include "mod_door.h"
#include "doors.h"

/* Makes a response door for calls of that door.  Returns its descriptor, or -1 and errno. */
int mod_door_make_response_door(const struct mod_door *door);

#endif
