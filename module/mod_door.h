/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * mod_door.h: what all files of the httpd module share, and their map.  Each file uses, and
 * includes the headers of, only the files above it in this list (scripts/t/layers.t).  Every
 * file may include a header that has no .c file, such as call_state.h, the state of one
 * request.  To follow a request, begin with handle() in mod_door.c.
 *
 *     shared_calls.c   the table of calls that all children share
 *     become.c         how a process becomes the supervisor
 *     supervision.c    the supervisor's place in httpd's parent
 *     histogram.c      latencies as counts by their length
 *     figures.c        what all children count of their calls
 *     shared_figures.c  the figures' shared memory, which outlives restarts
 *
 *     outputs.c        where what applications print goes
 *     suggest.c        the known name nearest to a wrong one: "did you mean"
 *     reach.c          what a user may do in the file system
 *     needs.c          what an application needs from the system
 *     app_options.c    the options of a DoorApp
 *     hints.c          a DoorApp that is valid, but probably not meant so
 *     overlap.c        rules for the disk that do not apply to a door
 *     unasked.c        guards that keep nobody out
 *     mapping.c        which requests go to doors, and how their URLs are split
 *
 *     tokens.c         who may touch a request while its call runs; the call's time
 *     received.c       reading and closing what applications send, without waiting for it
 *     doors.c          this child's open doors
 *     target.c         which door to call: a path's, or an application's process
 *     body.c           a request's body
 *     lent.c           buckets of memory that the application can still change
 *     response.c       an application's message becomes an HTTP response
 *     descriptor.c     a descriptor becomes a part of the response
 *     limit.c          DoorMaxConcurrent: who has to wait
 *     request.c        the message that asks an application
 *     wait.c           waiting for a body, or a descriptor, on behalf of a handler
 *     response_door.c  what an application does with its request while the call runs
 *     call.c           the call: its tries, its result
 *     story.c          how a request went, for the figures and the logs
 *
 *     definitions.c    the applications of a configuration
 *     config.c         the directives
 *     access.c         applications that say whether requests may pass
 *     counts.c         what processes do now
 *     rows.c           the applications on the board
 *     status.c         the applications on mod_status's page
 *     report.c         all that is known of all doors
 *     report_json.c    the report as JSON
 *     report_prometheus.c  the report in Prometheus's text format
 *     status_page.c    SetHandler door-status
 *     mod_door.c       the handler, the table of failures, the hooks
 *
 * Helpers return an apr_status_t (an errno value, or one of enum
 * mod_door_error) or an HTTP status, and do not log: the handler does.
 */
#ifndef MOD_DOOR_H
#define MOD_DOOR_H

#include <sys/types.h>

#include <apr_tables.h>
#include <apr_time.h>
#include <httpd.h>
#include <ap_mmn.h>
#include <http_config.h>

#include "door_compat.h"

/* For ap_get_status_line_ex().  Without it, a child would end at the first call of it. */
#if !AP_MODULE_MAGIC_AT_LEAST(20120211, 96)
#error "mod_door needs httpd 2.4.47 or later"
#endif

/* The one symbol that httpd looks up; everything else is compiled hidden. */
extern __attribute__((visibility("default"))) module AP_MODULE_DECLARE_DATA door_module;

/* Errors of calls and answers for which there is no errno value. */
enum mod_door_error {
    MOD_DOOR_ESTATUS = APR_OS_START_USERERR, /* a status that is not final */
    MOD_DOOR_EHEADER,                        /* a header that HTTP does not allow */
    MOD_DOOR_EHEAD,                          /* too many headers, or too long ones */
    MOD_DOOR_ELENGTH,                        /* Content-Length malformed or repeated */
    MOD_DOOR_ESHORT,                         /* fewer bytes than Content-Length */
    MOD_DOOR_ELONG,                          /* more bytes than Content-Length */
    MOD_DOOR_EFAILED,                        /* the application gave up in the middle */
    MOD_DOOR_ESILENT,                        /* the application's pipe or socket paused too long */
    MOD_DOOR_EMISUSE,                        /* the application asks for what makes no sense */
    MOD_DOOR_EBUSY,                          /* too many requests of this door run */
    MOD_DOOR_ESTART,                         /* the application has not come up in time */
    MOD_DOOR_EDOWN,                          /* the application is down and will not be up soon */
    MOD_DOOR_ECUT,                           /* httpd restarts or stops */
    MOD_DOOR_EEXHAUSTED,                     /* the application lacks descriptors or memory */
    MOD_DOOR_EOWNER,                         /* somebody else has attached the door */
    MOD_DOOR_EUNCLOSED,                      /* too many descriptors from it cannot be closed */
    MOD_DOOR_EGONE,                          /* the client has gone while its request waited */
    MOD_DOOR_EMOVE,                          /* another process should be called */
    MOD_DOOR_EDRAINED,                       /* the application is down until doorctl starts it */
    MOD_DOOR_EROLE                           /* the application does not answer such questions */
};

/* The present time for deadlines, by a clock that nobody sets, which is not a time of day. */
static inline apr_time_t mod_door_now(void)
{
    return door_now_ns() / 1000;
}

/* How many descriptors a call or a result may carry.  No message has a use for a second one. */
#define MOD_DOOR_DESC_MAX 1

#endif
