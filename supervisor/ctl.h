/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * ctl.h: what doorctl(8) and the supervisor exchange in calls of the supervisor's own door.
 * Both are built together and run on one machine, so plain structs are sent.  An answer is a
 * ctl_reply, then app_count times ctl_app, then process_count times ctl_process.  No call
 * waits for an outcome: doorctl asks again to see it.
 */
#ifndef MOD_DOOR_CTL_H
#define MOD_DOOR_CTL_H

#include <stdint.h>

#include "supervisor.h"

#define CTL_VERSION 1
#define CTL_DOOR    "control" /* the door's name, in the supervisor's directory */
#define CTL_WHY_MAX 256       /* bytes of why an application has failed, with a NUL */

enum ctl_verb {
    CTL_LIST = 1, /* list the application with that name, or all if it is "" */
    CTL_RESTART,  /* replace each process */
    CTL_DRAIN,    /* no new calls: its processes end after their calls, and it stays down */
    CTL_START     /* launch a drained application again */
};

enum ctl_result {
    CTL_OK,
    CTL_MALFORMED, /* the request is of another version, or makes no sense */
    CTL_DENIED,    /* the caller is none of the allowed users */
    CTL_UNKNOWN,   /* no application has that name */
    CTL_BUSY,      /* the application is already being replaced or started */
    CTL_DRAINED,   /* the application is drained */
    CTL_RUNS,      /* the application is not drained */
    CTL_STOPPING,  /* httpd stops, or has another supervisor */
    CTL_NO_MEMORY
};

struct ctl_request {
    uint32_t version, verb;
    char name[APP_NAME_MAX + 1];
    char reserved[7];
};

struct ctl_app {
    char name[APP_NAME_MAX + 1];
    char reserved[7];
    uint32_t state; /* enum app_state */
    uint32_t instances;
    uint32_t failures;  /* in a row, of the instance with the most */
    uint32_t restarts_due; /* instances that are being replaced, or are to be */
    uint64_t restarts, crashes;
    int64_t retry_ns; /* from now until the next try; -1: none is planned */
    char why[CTL_WHY_MAX]; /* that instance's last failure, if failures > 0 */
};

enum ctl_process_state { CTL_STARTING, CTL_UP, CTL_LEAVING };

struct ctl_process {
    uint32_t app; /* index of its application among those before */
    uint32_t state; /* enum ctl_process_state */
    int64_t pid;
    uint64_t serial; /* grows: a later process has a higher one */
    int64_t up_ns;   /* how long ago it came up; -1: it has not */
    uint64_t ended;  /* calls that have ended, as httpd's children have counted */
    uint32_t running, waiting;
};

struct ctl_reply {
    uint32_t version, result; /* enum ctl_result */
    uint32_t app_count, process_count;
    uint64_t serial; /* of the last process that was launched before the request */
};

#endif
