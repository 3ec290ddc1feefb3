/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * wait.c: an application that waits for the request's body, or for a descriptor.
 */
#ifndef MOD_DOOR_WAIT_H
#define MOD_DOOR_WAIT_H

#include "mod_door.h"
#include "call_state.h"

/*
 * Waits until a part of the body has come or fd (or -1) is readable, but not longer than the
 * message says and the application's time lasts.  *is_ready tells whether the body has come.
 * EINVAL: fd is neither a pipe nor a socket.
 */
apr_status_t mod_door_wait(struct mod_door_call *call, struct door_wire_reader message, int fd,
                           int *is_ready);

#endif
