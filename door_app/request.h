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

/* What a handler has added by door_app_send_fd() and nobody has been told of yet. */
struct door_rt_file {
    int fd; /* the request's own, or -1 */
    off_t offset;
    off_t len; /* -1: to its end */
};

struct door_rt_multipart;
struct door_rt_page;

/*
 * Its thread's.  Handlers have a struct door_app_request * that is no address but
 * a number, never used again: what a handler keeps after it has returned, or gives
 * to another thread, finds nothing.
 */
struct door_rt_request {
    struct door_rt_thread *thread;
    struct door_rt_channel channel;       /* the response door */
    struct door_wire_reader message;      /* stands at the first field */
    const char *part[DOOR_WIRE_TYPE_END]; /* first value of each type, or NULL */
    const char *path;
    const char *pattern; /* that led to the handler, or NULL */
    int64_t begun_ns;    /* when it was its turn */
    int is_oversized;    /* more header fields, or longer ones, than are served */
    const struct door_rt_fields *query;     /* NULL: nobody has asked for them yet */
    const struct door_rt_fields *variables; /* likewise */
    const struct door_rt_fields *form;      /* NULL before door_app_form_read() */
    struct door_rt_multipart *multipart; /* the form's parts, once there was one; in the arena */

    /* The response, begun once its head has been sent on the response door. */
    const char *role;   /* what kind of question it answers, or NULL */
    int status;
    int has_own_status; /* the handler has set it */
    struct door_rt_header *headers;
    struct door_rt_header *trailers;
    struct door_rt_header *log_fields;
    struct { /* what was set before the handler, or the hook, was called */
        int status;
        int has_own_status;
        struct door_rt_header *headers;
        struct door_rt_header *trailers;
    } kept;
    const struct door_rt_page *pages; /* the application's, for what is refused */
    int is_refused;                   /* one of them is at work */
    int is_begun;
    int is_excess;    /* more was written than Content-Length says */
    uint64_t written; /* bytes of body, sent or not */
    struct door_rt_file file;

    /* The body: what is at hand, and whether there is more. */
    const char *body;
    size_t body_len;
    int body_more;
    int body_is_touched;           /* by door_app_read() */
    int body_error;                /* errno of what ended it early, or 0 */
    int body_end_is_told;          /* the handler knows that nothing more comes, or why */
    char *body_buffer;             /* all of it, if it was asked for as a whole; malloc()ed */
    struct door_rt_header *body_trailers;
};

/*
 * Makes the thread's request ready for the handler.  httpd can still change the bytes
 * at data: the head is copied, the body is read from there.  NULL with ENOMEM and the
 * errors of door_wire_read().
 */
struct door_rt_request *door_rt_request_read(struct door_rt_thread *thread, const void *data,
                                             size_t len);

/* Gives back what the request holds, whether or not it came to its end. */
void door_rt_request_end(struct door_rt_request *req);

/* What its handler has of it. */
static inline struct door_app_request *door_rt_handle(const struct door_rt_request *req)
{
    return (struct door_app_request *)req->thread->handle;
}

/* The value of the first header of that name, or NULL. */
const char *door_rt_header(const struct door_rt_request *req, const char *name);

#endif
