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
    int refused;        /* the HTTP status that an input filter would have sent for it, or 0 */
    apr_bucket_brigade *brigade; /* what a filter gave beyond what was asked for */
};

/* Of what comes in smaller ones, the rest is one piece. */
#define MOD_DOOR_PIECES_MAX 16

/* Where the part of a body lies that was read at first.  Zeroed: there is none. */
struct mod_door_pieces {
    struct iovec at[MOD_DOOR_PIECES_MAX + 1];
    unsigned count;
    apr_size_t len;              /* bytes in all of them */
    apr_bucket_brigade *brigade; /* whose buckets most of them are, or NULL */
};

/* OK, or the HTTP status to answer with. */
int mod_door_body_init(request_rec *r, struct mod_door_body *body);

/*
 * Before the request's fields are written: what changes the body, as DEFLATE does,
 * takes away those that are no longer true when it is first asked for it.
 */
void mod_door_body_show(request_rec *r, struct mod_door_body *body);

/*
 * Reads what goes along with the call, at most room bytes: what is there, and what a short
 * body that comes at once still lacks.  A long one stays where it is read, in pieces; of a
 * short one, and of what comes in too many pieces, the rest is in buf, as the last piece.
 */
apr_status_t mod_door_body_prefetch(request_rec *r, struct mod_door_body *body, char *buf,
                                    apr_size_t room, struct mod_door_pieces *pieces);

/* Once the call is over. */
void mod_door_body_free_pieces(struct mod_door_pieces *pieces);

/*
 * Reads what is there, at most room bytes; with APR_BLOCK_READ it waits for the
 * first.  0 bytes with is_ended is the end.  Returns APR_EAGAIN, or APR_ENOSPC
 * over LimitRequestBody, and what input filters return.
 */
apr_status_t mod_door_body_read(request_rec *r, struct mod_door_body *body, char *buf,
                                apr_size_t room, apr_size_t *len, apr_read_type_e block);

/* Whether mod_door_body_read() has something to say: bytes, the end or an error. */
int mod_door_body_is_ready(request_rec *r, struct mod_door_body *body);

/* What to answer to a body that could not be read: an HTTP status, or AP_FILTER_ERROR. */
int mod_door_body_status(const struct mod_door_body *body);

/* Before the response ends: decides what becomes of a body that was not read. */
void mod_door_body_discard(request_rec *r, struct mod_door_body *body);

/*
 * Before another request answers in this one's place, or once this one does in another's:
 * it has no body then.
 */
void mod_door_body_abandon(request_rec *r, struct mod_door_body *body);

#endif
