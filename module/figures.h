/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * figures.h: what httpd's children have counted of the doors that they call: how calls
 * ended, how long they took, and the slowest recent requests.  The figures are shown to
 * people and to Prometheus; no decision depends on them.
 *
 * They are in shared memory, which all children write and which outlives restarts.  There
 * is no lock: each figure is one atomic word, so a child that is killed at any point leaves
 * each figure right.  The number of running calls is not kept here, because it would stay
 * wrong after such a death; the table of calls (supervisor/calls.h) has it.
 */
#ifndef MOD_DOOR_FIGURES_H
#define MOD_DOOR_FIGURES_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "histogram.h"

#define FIGURES_DOORS     144
#define FIGURES_TEXT_SIZE 128 /* bytes of a name or path as it is kept, with its NUL */
#define FIGURES_STEP_S    5   /* length of a step of the history */
#define FIGURES_STEPS     120
#define FIGURES_LATE_S    600 /* how long a slow request is kept */
#define FIGURES_SLOWEST   8
#define FIGURES_RECENT_S  300 /* recent latencies are of this time, or of up to a minute less */

/* How a request ended. */
enum figures_outcome {
    FIGURES_ANSWERED,
    FIGURES_ANSWERED_5XX, /* by the application itself */
    FIGURES_NOT_RUNNING,  /* the application does not run, or its door cannot be opened */
    FIGURES_BUSY,         /* too many requests run and wait */
    FIGURES_TIMED_OUT,
    FIGURES_CRASHED,    /* the application ended during the call */
    FIGURES_GAVE_UP,    /* the application says that it has failed */
    FIGURES_BAD_ANSWER, /* the answer is no valid response */
    FIGURES_EXHAUSTED,  /* no memory, descriptors, threads */
    FIGURES_BAD_REQUEST, /* a body that is too long, too slow or broken */
    FIGURES_CLIENT_GONE, /* before there was an answer, or in the middle of it */
    FIGURES_HTTPD_STOPS,
    FIGURES_OTHER,
    FIGURES_OUTCOMES
};

/* The name in the access log and in reports, such as "timed_out". */
const char *figures_outcome_name(enum figures_outcome outcome);

/* Whether the outcome counts as an error, which an administrator should look at. */
int figures_is_error(enum figures_outcome outcome);

/* One request that has ended. */
struct figures_call {
    enum figures_outcome outcome;
    int is_made;        /* the door was called: its latency counts */
    uint32_t total_us;  /* from the arrival of the request to the end of the call */
    uint32_t wait_us;   /* the part of it before a thread of the application took the call */
    int64_t ended_ns;   /* door_now_ns() */
    int status;         /* HTTP's */
    pid_t pid;          /* of the application; 0: not known */
    const char *path;   /* decoded, without a query */
};

struct figures;
struct figures_door;

/* Shared with all processes that are forked later.  NULL, and errno, if there is no memory. */
struct figures *figures_make(void);

/*
 * The figures of the door at a path, or of an application.  If there is no room for another
 * door, returns the figures that all further doors share.  is_foreign: the name comes from
 * .htaccess; such doors can take only half of the room.
 */
struct figures_door *figures_find(struct figures *figures, const char *name, int is_foreign);

void figures_count(struct figures_door *door, const struct figures_call *call);

/* ----------------------------------------------------------- what is seen */

struct figures_slow {
    char path[FIGURES_TEXT_SIZE];
    uint32_t total_us, wait_us;
    int64_t ended_ns;
    int status;
    pid_t pid;
};

struct figures_seen {
    /* As of figures_escape(); a long name ends in dots and a number; "": all further doors. */
    char name[FIGURES_TEXT_SIZE];
    int is_foreign;
    uint64_t outcomes[FIGURES_OUTCOMES];
    uint64_t total_us, wait_us; /* of the calls in latencies */
    uint64_t latencies[HISTOGRAM_BUCKETS]; /* counts of all calls */
    uint64_t recent[HISTOGRAM_BUCKETS];    /* counts of calls in the last FIGURES_RECENT_S */
    /* By steps, the oldest first.  The last step is not over yet. */
    uint32_t requests[FIGURES_STEPS], errors[FIGURES_STEPS];
    uint32_t mean_us[FIGURES_STEPS];
    unsigned slow_count;
    struct figures_slow slow[FIGURES_SLOWEST]; /* the slowest first */
};

/* How many indexes figures_look() knows.  The last one is for all further doors together. */
unsigned figures_door_count(void);

/* Reads the figures of one door.  Returns 0 if nothing has been counted there. */
int figures_look(const struct figures *figures, unsigned index, int64_t now_ns,
                 struct figures_seen *seen);

/* The index of the door with that name, or -1. */
int figures_index(const struct figures *figures, const char *name);

/*
 * Writes a path or a name as it is kept and shown: all but plain ASCII is percent-encoded,
 * and three dots replace what does not fit.  size is the size of escaped in bytes, over 4.
 */
void figures_escape(const char *text, char *escaped, size_t size);

#endif
