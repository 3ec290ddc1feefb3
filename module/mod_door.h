/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * mod_door.h: what the files of the httpd module share.  mod_door.c tells the
 * story of a request; config.c reads the directives, mapping.c finds the requests that
 * are a door's, doors.c keeps this child's open doors, batch.c how who calls them is
 * scheduled, limit.c has requests wait, call.c calls, request.c makes the message for the application,
 * response.c turns its answer into a checked HTTP response, file.c passes on
 * descriptors, received.c keeps them from keeping httpd busy, lent.c is for memory that
 * the application can still change.
 * apps.c reads what is to be launched, needs.c looks for what that needs, outputs.c opens
 * where what it prints goes, supervision.c keeps the supervisor, instance.c
 * chooses one of a launched application's processes, status.c shows them.
 * While a call runs, the application may call back: response_door.c lets it in,
 * stream.c does what it asks for, body.c reads the request's body for it.
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

/* ap_get_status_line_ex(); a module that calls what is not there ends the child that it runs in. */
#if !AP_MODULE_MAGIC_AT_LEAST(20120211, 96)
#error "mod_door needs httpd 2.4.47 or later"
#endif

/* The one symbol that httpd looks up; everything else is compiled hidden. */
extern __attribute__((visibility("default"))) module AP_MODULE_DECLARE_DATA door_module;

/* What is wrong with an answer, beside what errno can say. */
enum mod_door_error {
    MOD_DOOR_ESTATUS = APR_OS_START_USERERR, /* a status that is not final */
    MOD_DOOR_EHEADER,                        /* a header that HTTP does not allow */
    MOD_DOOR_EHEAD,                          /* too many headers, or too long ones */
    MOD_DOOR_ELENGTH,                        /* Content-Length malformed or repeated */
    MOD_DOOR_ESHORT,                         /* fewer bytes than Content-Length */
    MOD_DOOR_ELONG,                          /* more bytes than Content-Length */
    MOD_DOOR_EFAILED,                        /* the application gave up in the middle */
    MOD_DOOR_ESILENT,                        /* its pipe or socket paused for too long */
    MOD_DOOR_EMISUSE,                        /* what it asks for makes no sense */
    MOD_DOOR_EBUSY,                          /* too many requests of this door run */
    MOD_DOOR_ESTART,                         /* the application has not come up in time */
    MOD_DOOR_EDOWN,                          /* nor will it soon */
    MOD_DOOR_ECUT,                           /* httpd restarts or stops */
    MOD_DOOR_EEXHAUSTED,                     /* it has no descriptors or memory for the request */
    MOD_DOOR_EOWNER,                         /* somebody else has attached the door */
    MOD_DOOR_EUNCLOSED,                      /* too many of its descriptors cannot be closed */
    MOD_DOOR_EGONE,                          /* the client has gone while it waited */
    MOD_DOOR_EMOVE                           /* another process should be called */
};

/* How many descriptors a call of either side may bring: one has a meaning. */
#define MOD_DOOR_DESC_MAX 1

#endif
