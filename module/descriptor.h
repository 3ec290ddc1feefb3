/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * descriptor.c: what such a descriptor stands for becomes a part of the response.
 */
#ifndef MOD_DOOR_DESCRIPTOR_H
#define MOD_DOOR_DESCRIPTOR_H

#include "mod_door.h"
#include "call_state.h"

/*
 * What the descriptor stands for, behind the rest of bb; takes fd over.  Of a
 * regular file the part that fields say; of a pipe or socket everything until
 * it ends, which is passed on as it comes.  Errors: MOD_DOOR_EMISUSE,
 * MOD_DOOR_ESILENT it paused for longer than DoorTimeout, those of reading it
 * and of mod_door_pass().
 */
apr_status_t mod_door_add_descriptor(struct mod_door_call *call, apr_bucket_brigade *bb, int fd,
                                     struct door_wire_reader fields);

#endif
