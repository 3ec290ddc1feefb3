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
 * Waits, for as long as the message says and the application has time, until something of
 * the body has come, which *is_ready tells, or fd (-1: none) can be read.  EINVAL: that
 * is no pipe and no socket.
 */
apr_status_t mod_door_wait(struct mod_door_call *call, struct door_wire_reader message, int fd,
                           int *is_ready);

#endif
