/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * counts.c: what a process does now, and how much processor time and memory it uses.
 */
#ifndef MOD_DOOR_COUNTS_H
#define MOD_DOOR_COUNTS_H

#include <httpd.h>

#include "mod_door.h"
#include "doors.h"
#include "supervisor.h"

/* Counts of one process; -1 where a count is not known. */
struct mod_door_counts {
    apr_int64_t running, waiting;     /* calls */
    apr_int64_t abandoned;            /* running calls whose callers no longer wait */
    apr_int64_t threads, threads_max; /* threads that serve the door */
};

/*
 * The counts of a launched application's process, with this cell number (from 1) and serial
 * on the board.  A stopped process would delay the answer, so from until_ns on no process
 * is asked; and soon after it nothing is known.
 */
struct mod_door_counts mod_door_count_process(request_rec *r, const char *name, apr_uint32_t cell,
                                              uint64_t serial, int64_t until_ns);

/*
 * The counts of the door at a path of the configuration.  *pid is its server's.  Returns EAGAIN
 * if the server does not answer, or until_ns has passed.
 */
apr_status_t mod_door_count_door(request_rec *r, const char *path, pid_t *pid,
                                 int64_t until_ns, struct mod_door_counts *counts);

/* What a process uses; -1 where the system does not tell. */
struct mod_door_usage {
    double cpu_s; /* processor time since its start */
    apr_int64_t memory; /* resident bytes, shared ones included */
};

struct mod_door_usage mod_door_usage_of(pid_t pid);

#endif
