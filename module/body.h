/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * body.c: a request's body.
 */
#ifndef MOD_DOOR_BODY_H
#define MOD_DOOR_BODY_H

#include "mod_door.h"

/* The request's body, as far as it has been read. */
struct mod_door_body {
    apr_off_t length;   /* bytes that were announced, or -1 */
    apr_off_t taken;    /* bytes that were read */
    int is_ended;       /* all of it was read, or there is none */
    int is_filtered;    /* content filters may change its length */
    apr_status_t error; /* why nothing more can be read, or APR_SUCCESS */
    int refused;        /* the HTTP status that an input filter would have sent, or 0 */
    apr_bucket_brigade *brigade; /* what filters have delivered and nobody has taken yet */
};

/* When a body comes in more buckets than this, the rest is copied into one more piece. */
#define MOD_DOOR_PIECES_MAX 16

/* Where the prefetched part of a body lies.  All zero if there is none. */
struct mod_door_pieces {
    struct iovec at[MOD_DOOR_PIECES_MAX + 1];
    unsigned count;
    apr_size_t len;              /* bytes in all of them */
    apr_bucket_brigade *brigade; /* owns the buckets that are pieces, or NULL */
};

/* OK, or the HTTP status to answer with. */
int mod_door_body_init(request_rec *r, struct mod_door_body *body);

/*
 * Lets input filters see the body, before the request's fields are written: a filter that
 * changes the body, such as DEFLATE, removes header fields that become untrue when it first
 * reads.
 */
void mod_door_body_show(request_rec *r, struct mod_door_body *body);

/*
 * Reads the part of the body that goes along with the call, at most room bytes.  Waits a
 * moment for the rest of a body that fits.  A long body stays in the buckets that it is read
 * into, as pieces.  A short body, and what comes in too many buckets, is copied to buf, which
 * is the last piece then.
 */
apr_status_t mod_door_body_prefetch(request_rec *r, struct mod_door_body *body, char *buf,
                                    apr_size_t room, struct mod_door_pieces *pieces);

/* Frees the pieces' buckets, after the call. */
void mod_door_body_free_pieces(struct mod_door_pieces *pieces);

/*
 * Reads what is there, at most room bytes; with APR_BLOCK_READ it waits for the
 * first byte.  0 bytes with is_ended is the end.  Returns APR_SUCCESS, APR_EAGAIN,
 * APR_ENOSPC for a body over LimitRequestBody, or an input filter's error.
 */
apr_status_t mod_door_body_read(request_rec *r, struct mod_door_body *body, char *buf,
                                apr_size_t room, apr_size_t *len, apr_read_type_e block);

/* Whether mod_door_body_read() would return bytes, the end or an error, without waiting. */
int mod_door_body_is_ready(request_rec *r, struct mod_door_body *body);

/* What to answer to a body that could not be read: an HTTP status, or AP_FILTER_ERROR. */
int mod_door_body_status(const struct mod_door_body *body);

/* Before the response ends: decides what becomes of a body that was not read. */
void mod_door_body_discard(request_rec *r, struct mod_door_body *body);

/*
 * Drops the body and its header fields, so that the request has none: before an internal
 * redirect, or when this request is the target of one and answers for another.
 */
void mod_door_body_abandon(request_rec *r, struct mod_door_body *body);

#endif
