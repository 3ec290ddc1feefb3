/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * figures.h: what httpd's children have counted of the doors that they call: how calls
 * ended, how long they took, the slowest of late.  For people and for Prometheus; nobody
 * decides anything by it.
 *
 * It is shared memory that all children write, as old as the server.  There is no lock:
 * each figure is one atomic word, so a child that is killed anywhere in here leaves it as
 * it was or as it should be.  What runs now is not here: a sum of that would be wrong for
 * ever after such a death.  The table of calls (supervisor/calls.h) knows.
 */
#ifndef MOD_DOOR_FIGURES_H
#define MOD_DOOR_FIGURES_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "histogram.h"

#define FIGURES_DOORS     144
#define FIGURES_TEXT_SIZE 128 /* bytes of a name or path as it is kept, with its NUL */
#define FIGURES_STEP_S    5   /* of the history */
#define FIGURES_STEPS     120
#define FIGURES_LATE_S    600 /* how long a slow request is one of late */
#define FIGURES_SLOWEST   8
#define FIGURES_RECENT_S  300 /* how far recent latencies go back, less a minute at most */

/* How a request ended. */
enum figures_outcome {
    FIGURES_ANSWERED,
    FIGURES_ANSWERED_5XX, /* by the application itself */
    FIGURES_NOT_RUNNING,  /* there is nobody to call */
    FIGURES_BUSY,         /* too many run and wait */
    FIGURES_TIMED_OUT,
    FIGURES_CRASHED,    /* the application ended during the call */
    FIGURES_GAVE_UP,    /* it says that it has failed */
    FIGURES_BAD_ANSWER, /* what it says is no response */
    FIGURES_EXHAUSTED,  /* no memory, descriptors, threads */
    FIGURES_BAD_REQUEST, /* a body that is too long, too slow or broken */
    FIGURES_CLIENT_GONE, /* before there was an answer, or in the middle of it */
    FIGURES_HTTPD_STOPS,
    FIGURES_OTHER,
    FIGURES_OUTCOMES
};

/* As in labels: "timed_out". */
const char *figures_outcome_name(enum figures_outcome outcome);

/* Whether the administrator has something to look at. */
int figures_is_error(enum figures_outcome outcome);

/* One request that has ended. */
struct figures_call {
    enum figures_outcome outcome;
    int is_made;        /* the door was called: its latency counts */
    uint32_t total_us;  /* from the request's coming to the call's end */
    uint32_t wait_us;   /* of that, until a thread of the application took it */
    int64_t ended_ns;   /* door_now_ns() */
    int status;         /* HTTP's */
    pid_t pid;          /* of the application; 0: not known */
    const char *path;   /* decoded, without a query */
};

struct figures;
struct figures_door;

/* Shared with all processes forked later.  NULL: ENOMEM. */
struct figures *figures_make(void);

/*
 * The figures of the door at a path, or of an application.  Where there is no room for
 * another one, those of all others together.  is_foreign: its name comes from .htaccess;
 * such ones may only take half of the room.
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
    /* Printable ASCII, other bytes as in URLs; long ones end in dots and a number; "": all others. */
    char name[FIGURES_TEXT_SIZE];
    int is_foreign;
    uint64_t outcomes[FIGURES_OUTCOMES];
    uint64_t total_us, wait_us; /* of the calls in latencies */
    uint64_t latencies[HISTOGRAM_BUCKETS]; /* how many calls, of all that there were */
    uint64_t recent[HISTOGRAM_BUCKETS];    /* of the last FIGURES_RECENT_S */
    /* By steps, the oldest first; the last one is not over. */
    uint32_t requests[FIGURES_STEPS], errors[FIGURES_STEPS];
    uint32_t mean_us[FIGURES_STEPS];
    unsigned slow_count;
    struct figures_slow slow[FIGURES_SLOWEST]; /* the slowest first */
};

/* How many have been found; the last one is the sum of all others. */
unsigned figures_door_count(void);

/* 0 if nothing has been counted there. */
int figures_look(const struct figures *figures, unsigned index, int64_t now_ns,
                 struct figures_seen *seen);

/* The one with that name: its index, or -1. */
int figures_index(const struct figures *figures, const char *name);

/*
 * A path, or a name, as it is kept and shown: what is no plain ASCII as in URLs, and three
 * dots where it is longer.  size is over 4.
 */
void figures_escape(const char *text, char *escaped, size_t size);

#endif
