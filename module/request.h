/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * request.c: the message that asks an application.
 */
#ifndef MOD_DOOR_REQUEST_H
#define MOD_DOOR_REQUEST_H

#include "mod_door.h"
#include "call_state.h"
#include "doors.h"

/*
 * Writes the argument of a call: message and the beginning of the body, or the
 * whole body alone with DoorProtocol raw.  Returns OK or the HTTP status to
 * answer with; AP_FILTER_ERROR if that has been done.
 */
int mod_door_write_request(struct mod_door_call *call);

/* The message names this response door from now on. */
void mod_door_name_response_door(struct mod_door_call *call, const struct mod_door *door);

/*
 * Makes the last PART of a body, with the trailers, in the cap bytes at reply, of
 * len bytes that lie behind a head without fields.  Returns its bytes, or 0 if
 * they do not fit.
 */
apr_size_t mod_door_write_last_part(const struct mod_door_call *call, char *reply, apr_size_t cap,
                                    apr_size_t len);

#endif
