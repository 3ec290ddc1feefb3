/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * shared_calls.c: the table of calls that all of httpd's children share.
 */
#ifndef MOD_DOOR_SHARED_CALLS_H
#define MOD_DOOR_SHARED_CALLS_H

#include <ap_mpm.h>

#include "mod_door.h"
#include "calls.h"

/* In httpd's parent: makes the table, or finds the one that it has made before. */
apr_status_t mod_door_make_calls(void);

/* The hook for a child's status: forgets the calls of a child that has ended. */
void mod_door_note_child(server_rec *s, pid_t pid, ap_generation_t generation, int slot,
                         mpm_child_status status);

/* The table; NULL before it is made. */
struct calls *mod_door_calls(void);

#endif
