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

/* A server that is asked what it does: an application's process, or the server of a door. */
struct mod_door_server {
    struct mod_door_name name;
    const struct board_cell *cell; /* of the application's process; NULL: a door at a path */
    uint64_t calls_key;            /* in the table of calls */
    apr_status_t error; /* EAGAIN: it has not answered, or there was no time left to ask it */
    pid_t pid;          /* the server's, or -1 */
    struct mod_door_counts counts;
};

/* Makes *server a launched application's process, with this cell (from 1) and serial of the board. */
void mod_door_take_process(apr_pool_t *pool, const char *app, apr_uint32_t cell, uint64_t serial,
                           struct mod_door_server *server);

/* Makes *server that of the door at a path of the configuration.  path must live as long. */
void mod_door_take_door(const char *path, struct mod_door_server *server);

/*
 * Asks all servers, an array of pointers to them, and counts their calls.  A stopped process
 * answers only when its time is over, so many are asked at the same time; from until_ns on
 * none is.
 */
void mod_door_count_servers(request_rec *r, const apr_array_header_t *servers, int64_t until_ns);

/* What a process uses; -1 where the system does not tell. */
struct mod_door_usage {
    double cpu_s; /* processor time since its start */
    apr_int64_t memory; /* resident bytes, shared ones included */
};

struct mod_door_usage mod_door_usage_of(pid_t pid);

#endif
