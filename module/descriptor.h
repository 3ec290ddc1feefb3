/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * descriptor.c: the content of a descriptor that an application passes becomes a part of
 * the response.
 */
#ifndef MOD_DOOR_DESCRIPTOR_H
#define MOD_DOOR_DESCRIPTOR_H

#include "mod_door.h"
#include "call_state.h"

/*
 * Appends the descriptor's content to bb, and takes fd over, also in case of an error.
 * Of a regular file, that is the part that fields name; of a pipe or socket, everything
 * until its end, which is passed on as it comes.  Errors: MOD_DOOR_EMISUSE;
 * MOD_DOOR_ESILENT if the pipe or socket paused for longer than DoorTimeout; errors of
 * reading, and of mod_door_pass().
 */
apr_status_t mod_door_add_descriptor(struct mod_door_call *call, apr_bucket_brigade *bb, int fd,
                                     struct door_wire_reader fields);

#endif
