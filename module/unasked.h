/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * unasked.c: guards that httpd never asks, or whose refusal counts for nothing.
 */
#ifndef MOD_DOOR_UNASKED_H
#define MOD_DOOR_UNASKED_H

#include "mod_door.h"

/* Before a configuration is read: forgets the last one. */
void mod_door_forget_guards(apr_pool_t *config_pool);

/* Notes a guard's directive in the server's configuration. */
void mod_door_note_guard(int role, const ap_directive_t *where);

/* Logs which guards keep nobody out.  flags: APLOG_STARTUP or 0. */
void mod_door_warn_of_unasked(apr_pool_t *temp_pool, server_rec *main_server, int flags);

#endif
