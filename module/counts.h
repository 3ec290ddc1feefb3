/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * counts.c: what a process does now, and what it takes.
 */
#ifndef MOD_DOOR_COUNTS_H
#define MOD_DOOR_COUNTS_H

#include <httpd.h>

#include "mod_door.h"
#include "doors.h"
#include "supervisor.h"

/* Of one process; -1 where nobody says. */
struct mod_door_counts {
    apr_int64_t running, waiting;     /* calls */
    apr_int64_t abandoned;            /* of those that run: nobody waits for them any more */
    apr_int64_t threads, threads_max; /* that serve the door */
};

/*
 * Of a launched application's process, with that number (from 1) and serial on the board.
 * Processes may be stopped: from until_ns on nobody is asked.
 */
struct mod_door_counts mod_door_count_process(request_rec *r, const char *name, apr_uint32_t cell,
                                              uint64_t serial, int64_t until_ns);

/* Of the door at a path, as the configuration has it; *pid is its server's.  EAGAIN: no answer. */
apr_status_t mod_door_count_door(request_rec *r, const char *path, pid_t *pid,
                                 int64_t until_ns, struct mod_door_counts *counts);

/* What the system has given to a process; -1 where it does not tell. */
struct mod_door_usage {
    double cpu_s; /* of processors, since it began */
    apr_int64_t memory; /* bytes that are in memory, shared ones included */
};

struct mod_door_usage mod_door_usage_of(pid_t pid);

#endif
