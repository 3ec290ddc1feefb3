/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * report.c: all that is known of all doors at one moment.
 *
 * Texts may be anything: they come from memory that every child of httpd can write.
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
    unsigned index; /* among those of its application, from 0 */
    apr_int64_t pid;
    double uptime_s; /* -1: not known */
    apr_int64_t calls, errors; /* -1: not known */
    struct mod_door_counts counts;
    struct mod_door_usage usage;
};

struct mod_door_event {
    apr_int64_t time_ms; /* since the epoch */
    apr_int64_t pid;     /* or 0 */
    const char *text;
};

/* One door, or one application. */
struct mod_door_report {
    const char *name; /* "": all those that had no room for figures of their own */
    int is_app;
    const char *state; /* "up", "starting", "backing off", "drained", "down", "unknown" */
    const struct figures_seen *seen;
    apr_array_header_t *processes; /* struct mod_door_process; those that are up */

    /* Only of applications. */
    unsigned instances; /* as many as are to be up; 0: not known */
    unsigned leaving;
    apr_int64_t restarts, crashes;
    double next_try_s; /* -1: there is none */
    apr_array_header_t *events; /* struct mod_door_event, the last first */
};

/* An array of struct mod_door_report, applications first, by their names. */
apr_array_header_t *mod_door_report(request_rec *r);

/* Requests per second, over about so many seconds until now. */
double mod_door_rate(const struct figures_seen *seen, unsigned seconds, int64_t now_ns);

#endif
