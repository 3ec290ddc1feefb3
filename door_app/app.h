/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * app.h: what the runtime's files share.  Applications see door_app.h only.
 *
 * A request lives on its server thread: the thread's state holds it, and all
 * memory that it needs comes from there, to be used again by the next one.
 * That is how nothing is lost when door_return() does not come back, when a
 * handler ends its thread, or when one returns early.
 */
#ifndef DOOR_APP_APP_H
#define DOOR_APP_APP_H

#include <stdatomic.h>
#include <stddef.h>

#include <door.h>

#include "door_app.h"
#include "wire.h"

/* Reused memory that has grown beyond this is given back. */
#define DOOR_RT_KEEP_MAX ((size_t)1 << 20)

/* Room in front of the body for the message's head. */
#define DOOR_RT_HEAD_ROOM 1024

/* ---------------------------------------------------------------- memory.c */

struct door_rt_chunk;

/* Memory that is freed all at once; zeroed is empty.  One thread's. */
struct door_rt_arena {
    struct door_rt_chunk *chunks; /* the one in use first */
};

void *door_rt_alloc(struct door_rt_arena *arena, size_t len);                  /* or NULL, ENOMEM */
char *door_rt_copy(struct door_rt_arena *arena, const char *text, size_t len); /* adds a NUL */
void door_rt_arena_reset(struct door_rt_arena *arena);
void door_rt_arena_free(struct door_rt_arena *arena);

/* The response: DOOR_RT_HEAD_ROOM bytes, len bytes of body, free room up to cap. */
struct door_rt_buffer {
    char *bytes; /* NULL while cap is 0 */
    size_t cap;
    size_t len;
};

int door_rt_buffer_room(struct door_rt_buffer *buffer, size_t more); /* or -1, ENOMEM */
void door_rt_buffer_reset(struct door_rt_buffer *buffer);
void door_rt_buffer_free(struct door_rt_buffer *buffer);

/* ---------------------------------------------------------------- request.c */

struct door_rt_header { /* of a response; in the arena */
    struct door_rt_header *next;
    char *name;
    char *value;
};

struct door_app_request {
    struct door_rt_thread *thread;
    struct door_wire_reader message;     /* stands at the first field */
    const char *part[DOOR_WIRE_ENV + 1]; /* first value of each type, or NULL */
    const char *path;
    int status;
    struct door_rt_header *headers;
    int failed; /* errno of what makes the answer incomplete, or 0 */
};

/* Makes req ready for the handler: 0, or -1 with door_wire_read()'s errno, ENOMEM. */
int door_rt_request_read(struct door_app_request *req, const void *data, size_t len);

/* Compares header names: ASCII letters in any case, whatever the locale. */
int door_rt_same_name(const char *a, const char *b);

/* ---------------------------------------------------------------- response.c */

/*
 * The finished answer, ready for door_return(), in the thread's buffer: its
 * bytes, or 0 with errno if it cannot be had whole.
 */
size_t door_rt_response(struct door_app_request *req, char **message);

/* An answer of our own with a short text, in buf: its bytes, at most cap. */
size_t door_rt_plain(char *buf, size_t cap, unsigned status, const char *text);

/* ---------------------------------------------------------------- thread.c */

/* A server thread; its own, until it ends. */
struct door_rt_thread {
    unsigned long number;
    struct door_app *serving; /* while a handler runs */
    struct door_rt_arena arena;
    struct door_rt_buffer body;
    struct door_app_request req;
};

/* The calling thread's state, made on first use; NULL with ENOMEM, EAGAIN. */
struct door_rt_thread *door_rt_thread(void);

/* ---------------------------------------------------------------- app.c */

struct door_rt_route {
    char *prefix; /* no '/' at the end: "/" is "" */
    size_t len;
    door_app_handler *handler;
    void *data;
};

struct door_app {
    struct door_rt_route *routes; /* longest prefix first; fixed once it runs */
    size_t route_count;
    int error;                          /* of a door_app_handle() that failed, or 0 */
    _Atomic unsigned long long started; /* calls that entered the procedure */
    _Atomic unsigned long long ended;   /* calls whose answer is made, or never will be */
};

const struct door_rt_route *door_rt_find_route(const struct door_app *app, const char *path_info);

/* ---------------------------------------------------------------- serve.c */

door_server_procedure_t door_rt_serve; /* the cookie is the struct door_app */

/*
 * Answers one message: runs the handler and returns the bytes of the answer at
 * *answer, which lies in the thread's memory or in the cap bytes at spare.
 */
size_t door_rt_answer(struct door_app *app, const void *data, size_t len, char *spare, size_t cap,
                      char **answer);

#endif
