/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * report.c: all that is known of all doors at one moment.
 *
 * The texts in it may contain anything: they come from memory that every child can write.
 */
#ifndef MOD_DOOR_REPORT_H
#define MOD_DOOR_REPORT_H

#include <apr_tables.h>
#include <httpd.h>

#include "mod_door.h"
#include "counts.h"
#include "figures.h"
#include "supervisor.h"

struct mod_door_process {
    unsigned index; /* among the processes of its application, from 0 */
    apr_int64_t pid;
    double uptime_s; /* -1: not known */
    apr_int64_t calls, errors; /* -1: not known */
    struct mod_door_counts counts;
    struct mod_door_usage usage;
    struct mod_door_server *server; /* where the counts come from */
};

struct mod_door_event {
    apr_int64_t time_ms; /* since the epoch */
    apr_int64_t pid;     /* or 0 */
    const char *text;
};

/* One door, or one application. */
struct mod_door_report {
    const char *name; /* "": all doors that had no room for figures of their own */
    int is_app;
    const char *state; /* "up", "starting", "backing off", "drained", "down", "unknown" */
    const struct figures_seen *seen;
    apr_array_header_t *processes; /* struct mod_door_process, of processes that are up */
    struct mod_door_server *server; /* of a door at a path; NULL: it is not asked */

    /* Only of applications. */
    unsigned instances; /* how many processes are to be up; 0: not known */
    unsigned leaving;   /* processes that are being replaced or stopped */
    apr_int64_t restarts, crashes;
    double next_try_s; /* seconds until the next launch; -1: none is planned */
    apr_array_header_t *events; /* struct mod_door_event, the latest first */
};

/* An array of struct mod_door_report: applications first, each kind sorted by name. */
apr_array_header_t *mod_door_report(request_rec *r);

/* Requests per second, over about the last so many seconds. */
double mod_door_rate(const struct figures_seen *seen, unsigned seconds, int64_t now_ns);

#endif
