/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * ctl.h: what doorctl(8) and the supervisor say to each other, in calls of the
 * supervisor's own door.  Both are of one build's source and one machine: structs as they
 * are.  An answer is a ctl_reply, then app_count ctl_app, then process_count ctl_process.
 * No call waits for anything: who wants to see an outcome asks again.
 */
#ifndef MOD_DOOR_CTL_H
#define MOD_DOOR_CTL_H

#include <stdint.h>

#include "supervisor.h"

#define CTL_VERSION 1
#define CTL_DOOR    "control" /* its name, in the supervisor's directory */
#define CTL_WHY_MAX 256       /* bytes of why an application has failed, and a NUL */

enum ctl_verb {
    CTL_LIST = 1, /* of the application named, or with "" of all */
    CTL_RESTART,  /* another process in the place of each */
    CTL_DRAIN,    /* no new calls; its processes end when theirs are over, and it stays down, */
    CTL_START     /* until this */
};

enum ctl_result {
    CTL_OK,
    CTL_MALFORMED, /* another version's, or nonsense */
    CTL_DENIED,    /* neither root nor httpd's user asks */
    CTL_UNKNOWN,   /* no application has that name */
    CTL_BUSY,      /* it is being replaced, or started, already */
    CTL_DRAINED,   /* it is drained */
    CTL_RUNS,      /* it is not drained */
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
    uint32_t failures;  /* in a row, of the instance that has most */
    uint32_t restarts_due; /* instances that are to be replaced */
    uint64_t restarts, crashes;
    int64_t retry_ns; /* from now until the next try; -1: none is due */
    char why[CTL_WHY_MAX]; /* the last failure, if failures > 0 */
};

enum ctl_process_state { CTL_STARTING, CTL_UP, CTL_LEAVING };

struct ctl_process {
    uint32_t app; /* which of those before */
    uint32_t state;
    int64_t pid;
    uint64_t serial; /* of two processes the later one has the higher */
    int64_t up_ns;   /* since when it is up; -1: it is not, or was not */
    uint64_t ended;  /* calls that it has had, as httpd's children have counted */
    uint32_t running, waiting;
};

struct ctl_reply {
    uint32_t version, result; /* enum ctl_result */
    uint32_t app_count, process_count;
    uint64_t serial; /* of the last process before the request */
};

#endif
