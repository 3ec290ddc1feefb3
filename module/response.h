/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * response.c: an application's message becomes an HTTP response.
 */
#ifndef MOD_DOOR_RESPONSE_H
#define MOD_DOOR_RESPONSE_H

#include <apr_buckets.h>

#include "mod_door.h"
#include "wire.h"

struct mod_door_call;

/* A response, as far as the application has given it.  Its strings are in the request's pool. */
struct mod_door_response {
    int is_begun;         /* status and headers are in r, or instead or redirect is set */
    int instead;          /* HTTP status that the handler returns instead, or OK */
    const char *redirect; /* local path that is served instead, or NULL */
    int is_unmet;         /* a condition such as If-None-Match: the client gets only the head */
    int no_body;          /* the client gets no body, or no more of it */
    int status;
    int has_own_status;             /* the application has set the status itself */
    struct door_wire_reader fields; /* with DoorProtocol raw there are none */
    const char *content_type;       /* with DoorProtocol raw, otherwise NULL */
    const char *connection;         /* values of the Connection fields, as one list; or NULL */
    apr_size_t connection_len;      /* bytes of all Connection fields */
    apr_size_t vary_len;            /* bytes of all Vary fields */
    apr_off_t content_length;       /* or -1 */
    apr_off_t sent;                 /* bytes of body that were passed on */
    apr_status_t error;             /* of passing the body on: the client is gone */
};

/* Limits of a response's head, the same as for a request's; door_app.h promises them. */
#define MOD_DOOR_FIELDS_MAX 1000
#define MOD_DOOR_HEAD_MAX   (1024 * 1024) /* bytes of a message's head and fields */

/* APR_SUCCESS, or MOD_DOOR_EHEAD if the message has too many fields. */
apr_status_t mod_door_check_head(const struct door_wire_reader *message);

/*
 * Checks a message's status and headers, and sets them in call->r, unless something
 * else is served instead: see struct mod_door_response.
 */
apr_status_t mod_door_begin(struct mod_door_call *call, struct door_wire_reader message);

/* The same for DoorProtocol raw. */
void mod_door_begin_raw(struct mod_door_call *call);

/* Before a local Location is followed: keeps those headers that also fit the other response. */
void mod_door_keep_headers(const struct mod_door_call *call);

/* Sends an interim response (1xx). */
apr_status_t mod_door_send_interim(struct mod_door_call *call, struct door_wire_reader message);

/*
 * A bucket for a part of the body.  The bytes must stay valid until the brigade has been
 * passed; they may be in memory that is shared with the application.
 */
apr_bucket *mod_door_body_bucket(const struct mod_door_call *call, const char *bytes,
                                 apr_size_t len);

/*
 * Passes on a part of the body, with a FLUSH bucket if flush is set, and empties bb.
 * Returns APR_SUCCESS also if the client gets no body; MOD_DOOR_ELONG if the body was
 * longer than Content-Length, and was cut; or why the client is gone.
 */
apr_status_t mod_door_pass(struct mod_door_call *call, apr_bucket_brigade *bb, int flush);

/*
 * Ends the response, with the last part of the body in bb and the trailers among
 * fields.  Returns what a handler returns.
 */
int mod_door_end(struct mod_door_call *call, apr_bucket_brigade *bb,
                 struct door_wire_reader fields);

/* Stores the application's log fields as notes of the request, for mod_log_config. */
void mod_door_take_log_fields(request_rec *r, struct door_wire_reader fields);

/* Ends an unfinished response in such a way that the client notices that it is incomplete. */
int mod_door_end_broken(struct mod_door_call *call, apr_bucket_brigade *bb);

/*
 * Whether the body has its Content-Length if so many more bytes are its last: APR_SUCCESS,
 * MOD_DOOR_ESHORT or MOD_DOOR_ELONG.
 */
apr_status_t mod_door_check_length(const struct mod_door_call *call, apr_off_t more);

/* Whether the client is still there: DOOR_WIRE_GONE, DOOR_WIRE_MAYBE_GONE, or 0 if it is. */
unsigned mod_door_client_state(const struct mod_door_call *call);

#endif
