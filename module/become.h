/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * become.c: a process that httpd's parent has just forked becomes the supervisor.
 */
#ifndef MOD_DOOR_BECOME_H
#define MOD_DOOR_BECOME_H

#include <httpd.h>

#include "supervisor.h"

/* The descriptor of the server's error log, or -1: it is none, or syslog. */
int mod_door_log_fd(const server_rec *s);

/*
 * from: what httpd's parent knows: the three descriptors, whatever their numbers, parent,
 * board, calls, ledger and runtime_parent.  Every other descriptor is closed.
 */
_Noreturn void mod_door_become_supervisor(server_rec *s, const struct supervisor_start *from);

#endif
