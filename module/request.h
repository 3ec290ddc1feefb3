/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * request.c: the message that tells an application of a request.
 */
#ifndef MOD_DOOR_REQUEST_H
#define MOD_DOOR_REQUEST_H

#include "mod_door.h"
#include "call_state.h"
#include "doors.h"

/*
 * Writes the argument of a call: the message and the beginning of the body, or with
 * DoorProtocol raw only the body, all of it.  Returns OK, the HTTP status to answer
 * with, or AP_FILTER_ERROR if a filter has already answered.
 */
int mod_door_write_request(struct mod_door_call *call);

/* Writes the id of door's response door into the message, in place of an earlier one. */
void mod_door_name_response_door(struct mod_door_call *call, const struct mod_door *door);

/*
 * Makes the last PART of a body, with the trailers.  At reply, there is room for a head
 * without fields and then len bytes of the body; cap is the size of reply.  Returns the
 * length of the PART, or 0 if it does not fit.
 */
apr_size_t mod_door_write_last_part(const struct mod_door_call *call, char *reply, apr_size_t cap,
                                    apr_size_t len);

#endif
