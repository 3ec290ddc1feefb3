/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * response.c: from what an application says to an HTTP response.
 */
#ifndef MOD_DOOR_RESPONSE_H
#define MOD_DOOR_RESPONSE_H

#include <apr_buckets.h>

#include "mod_door.h"
#include "wire.h"

struct mod_door_call;

/* A response, as far as the application has given it; its strings lie in the request's pool. */
struct mod_door_response {
    int is_begun;         /* status and headers are the request's; or one of the two below is set */
    int instead;          /* HTTP status that the handler returns instead, or OK */
    const char *redirect; /* local path that is served instead, or NULL */
    int is_unmet;         /* the client's condition (If-None-Match ...): it gets the head alone */
    int no_body;          /* the client gets none, or no more, of the body */
    int status;
    int has_own_status;             /* 200 is what the application has said, and no default */
    struct door_wire_reader fields; /* remaining 0 with DoorProtocol raw */
    const char *content_type;       /* DoorProtocol raw's, otherwise NULL */
    const char *connection;         /* what the Connection fields say, or NULL */
    apr_size_t connection_len;      /* bytes of them */
    apr_size_t vary_len;
    apr_off_t content_length;       /* or -1 */
    apr_off_t sent;                 /* bytes of body that were passed on */
    apr_status_t error;             /* of passing it on: the client is gone */
};

/* What an application may say before the body, as much as a client may: door_app.h. */
#define MOD_DOOR_FIELDS_MAX 1000
#define MOD_DOOR_HEAD_MAX   (1024 * 1024) /* bytes of a message's head and fields */

/* APR_SUCCESS, or MOD_DOOR_EHEAD if a message that has been read has too many fields. */
apr_status_t mod_door_check_head(const struct door_wire_reader *message);

/*
 * Checks a message's status and headers, and makes them the request's, unless
 * something else is served instead: see struct mod_door_response.
 */
apr_status_t mod_door_begin(struct mod_door_call *call, struct door_wire_reader message);

/* The same for DoorProtocol raw. */
void mod_door_begin_raw(struct mod_door_call *call);

/* Before a local Location is followed: what of the response's headers stays. */
void mod_door_keep_headers(const struct mod_door_call *call);

/* Sends an interim response (1xx). */
apr_status_t mod_door_send_interim(struct mod_door_call *call, struct door_wire_reader message);

/*
 * A bucket of some of the body: of bytes that may be shared with the application,
 * and are there until the brigade has been passed.
 */
apr_bucket *mod_door_body_bucket(const struct mod_door_call *call, const char *bytes,
                                 apr_size_t len);

/*
 * Passes on some of the body, with a FLUSH bucket if asked for; bb is left
 * empty.  APR_SUCCESS also if nobody wants it; MOD_DOOR_ELONG if it was more
 * than Content-Length promised, which was cut.
 */
apr_status_t mod_door_pass(struct mod_door_call *call, apr_bucket_brigade *bb, int flush);

/*
 * Ends the response: with bb, the last of the body, and the trailers among
 * fields.  Returns what a handler returns.
 */
int mod_door_end(struct mod_door_call *call, apr_bucket_brigade *bb,
                 struct door_wire_reader fields);

/* Makes the application's log fields notes of the request, for mod_log_config. */
void mod_door_take_log_fields(request_rec *r, struct door_wire_reader fields);

/* Ends a response that was begun so that the client sees that something is missing. */
int mod_door_end_broken(struct mod_door_call *call, apr_bucket_brigade *bb);

/* APR_SUCCESS, or MOD_DOOR_ESHORT or _ELONG if more bytes make a wrong Content-Length. */
apr_status_t mod_door_check_length(const struct mod_door_call *call, apr_off_t more);

/* What can be told of the client now: DOOR_WIRE_GONE, DOOR_WIRE_MAYBE_GONE, or 0. */
unsigned mod_door_client_state(const struct mod_door_call *call);

#endif
