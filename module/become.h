/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * become.c: a process that httpd's parent has just forked becomes the supervisor.
 */
#ifndef MOD_DOOR_BECOME_H
#define MOD_DOOR_BECOME_H

#include <httpd.h>

#include "supervisor.h"

/* The descriptor of the server's error log, or -1 if it has none or logs to syslog. */
int mod_door_log_fd(const server_rec *s);

/*
 * Runs the supervisor in this process.  The caller sets in from the three descriptors, parent,
 * board, calls, ledger and runtime_parent.  All other descriptors but the log are closed.
 */
_Noreturn void mod_door_become_supervisor(server_rec *s, const struct supervisor_start *from);

#endif
