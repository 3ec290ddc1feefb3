/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * request.h: a request and its response as the runtime knows them; request.c.
 */
#ifndef DOOR_APP_REQUEST_H
#define DOOR_APP_REQUEST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "channel.h"
#include "fields.h"
#include "thread.h"
#include "wire.h"

/* A descriptor from door_app_send_fd() that was not sent yet. */
struct door_rt_file {
    int fd; /* the request owns it; or -1 */
    off_t offset;
    off_t len; /* -1: to the end */
};

struct door_rt_multipart;
struct door_rt_page;

/*
 * A request, which its thread owns.  The struct door_app_request * of handlers is not an
 * address, but a number that is never reused.  So a handle that is used after the handler's
 * return, or on another thread, finds no request.
 */
struct door_rt_request {
    struct door_rt_thread *thread;
    struct door_rt_channel channel;       /* calls of the response door */
    struct door_wire_reader message;      /* at the first field */
    const char *part[DOOR_WIRE_TYPE_END]; /* first value of each type, or NULL */
    const char *path;
    const char *pattern; /* that matched the path, or NULL */
    int64_t begun_ns;    /* when the thread began to run it; door_now_ns() */
    int64_t asked_ns;    /* when a question came, which may have waited in line since; or 0 */
    int is_oversized;    /* it has more header fields, or longer ones, than are served */
    const struct door_rt_fields *query;     /* NULL before the first use */
    const struct door_rt_fields *variables; /* NULL before the first use */
    const struct door_rt_fields *form;      /* NULL before door_app_form_read() */
    struct door_rt_multipart *multipart; /* in the arena; NULL before door_app_part_next() */

    /* The response.  It has begun once its head was sent on the response door. */
    const char *role;   /* of the question that it answers, or NULL */
    int status;
    int has_own_status; /* the handler has set the status */
    struct door_rt_header *headers;
    struct door_rt_header *trailers;
    struct door_rt_header *log_fields;
    struct { /* what was set before the handler or the current hook was called */
        int status;
        int has_own_status;
        struct door_rt_header *headers;
        struct door_rt_header *trailers;
    } kept;
    const struct door_rt_page *pages; /* the application's pages for errors */
    int is_refused;                   /* a page was called; no other one may be */
    int is_begun;
    int is_excess;    /* more was written than Content-Length says */
    uint64_t written; /* bytes of body so far, sent or not */
    size_t reserved;  /* room behind them that the handler may write to */
    struct door_rt_file file;

    /* The request's body: the bytes that are here, and whether more can be read. */
    const char *body;
    size_t body_len;
    int body_more;
    int body_is_touched;           /* a handler has read some of it */
    int body_error;                /* errno of what ended it early, or 0 */
    int body_end_is_told;          /* a read has returned the end, or an error */
    char *body_buffer;             /* the whole body for door_app_body(), malloc()ed; or NULL */
    struct door_rt_header *body_trailers;
};

/*
 * Makes the thread's request ready for the handler.  httpd can still change the bytes at
 * data, so the head is copied; the body stays there.  Returns NULL with ENOMEM or an error
 * of door_wire_read().
 */
struct door_rt_request *door_rt_request_read(struct door_rt_thread *thread, const void *data,
                                             size_t len);

/* Releases what the request holds, also if its handler has not returned. */
void door_rt_request_end(struct door_rt_request *req);

/* The handle that handlers have of the request. */
static inline struct door_app_request *door_rt_handle(const struct door_rt_request *req)
{
    return (struct door_app_request *)req->thread->handle;
}

/* The value of the first header of that name, or NULL. */
const char *door_rt_header(const struct door_rt_request *req, const char *name);

/* The decimal number in the request's field of that type, or 0. */
uint64_t door_rt_number(const struct door_rt_request *req, enum door_wire_type type);

#endif
