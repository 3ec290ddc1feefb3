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

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <door.h>
#include <door_compat.h>

#include "door_app.h"
#include "wire.h"

/* Reused memory that has grown beyond this is given back. */
#define DOOR_RT_KEEP_MAX ((size_t)1 << 20)

/* Room in front of the body for the message's head. */
#define DOOR_RT_HEAD_ROOM 1024

/* A body up to this long goes back with the reply. */
#define DOOR_RT_INLINE_MAX ((size_t)64 << 10)

/* For what a function returns that fails: -1, or NULL. */
static inline int door_rt_fail(int error)
{
    errno = error;
    return -1;
}

static inline void *door_rt_none(int error)
{
    errno = error;
    return NULL;
}

/*
 * A call of httpd's that a signal ended early would have been made all the same: around
 * one the thread has no signals.
 */
static inline void door_rt_hold_signals(sigset_t *before)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

static inline void door_rt_let_signals(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL); /* errno stays */
}

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

/*
 * The response: DOOR_RT_HEAD_ROOM bytes, len bytes of body, free room up to cap.  A
 * short one is in the thread's own memory, a longer one is made where httpd gets it.
 */
struct door_rt_buffer {
    char *bytes; /* own, or the call's result buffer; NULL while cap is 0 */
    size_t cap;
    size_t len;
    char *own; /* malloc()ed, or NULL */
    size_t own_cap;
};

int door_rt_buffer_room(struct door_rt_buffer *buffer, size_t more); /* or -1, ENOMEM */

/* From now on the body is in other memory of cap bytes, which has room for it. */
void door_rt_buffer_move(struct door_rt_buffer *buffer, char *bytes, size_t cap);

/* Empty, and in its own memory. */
void door_rt_buffer_reset(struct door_rt_buffer *buffer);
void door_rt_buffer_free(struct door_rt_buffer *buffer);

/* ---------------------------------------------------------------- request.c */

struct door_rt_header { /* of a response, or a trailer; in the arena */
    struct door_rt_header *next;
    struct door_rt_header *last; /* of the list, in its first one */
    char *name;
    char *value;
};

/* Names and values, of a query, a form or the CGI variables; in the arena. */
struct door_rt_fields {
    size_t count;
    struct door_rt_field {
        const char *name, *value;
    } at[];
};

/* What a handler has added by door_app_send_fd() and nobody has been told of yet. */
struct door_rt_file {
    int fd; /* the request's own, or -1 */
    off_t offset;
    off_t len; /* -1: to its end */
};

struct door_rt_multipart;

/*
 * A request as the runtime knows it.  Handlers have a struct door_app_request *
 * that is no address but a number, never used again: what a handler keeps after
 * it has returned, or gives to another thread, finds nothing.
 */
struct door_rt_request {
    uintptr_t handle; /* 0: none */
    struct door_rt_thread *thread;
    struct door_rt_caller *caller; /* its response door, held; NULL: it has none */
    struct door_wire_reader message;     /* stands at the first field */
    const char *part[DOOR_WIRE_TYPE_END]; /* first value of each type, or NULL */
    const char *path;
    const char *pattern; /* that led to the handler, or NULL */
    int is_oversized;    /* more header fields, or longer ones, than are served */
    const struct door_rt_fields *query;     /* NULL: nobody has asked for them yet */
    const struct door_rt_fields *variables; /* likewise */
    const struct door_rt_fields *form;      /* NULL before door_app_form_read() */
    struct door_rt_multipart *multipart; /* the form's parts, once there was one; in the arena */

    /* The response, begun once its head has been sent on the response door. */
    int status;
    int has_own_status; /* the handler has set it */
    struct door_rt_header *headers;
    struct door_rt_header *trailers;
    struct door_rt_header *log_fields;
    int is_begun;
    int no_body;      /* nobody wants what is written from now on */
    int is_excess;    /* more was written than Content-Length says */
    uint64_t written; /* bytes of body, sent or not */
    struct door_rt_file file;
    int failed; /* errno of what makes the answer incomplete, or 0 */

    /* The body: what is at hand, and whether there is more. */
    const char *body;
    size_t body_len;
    int body_more;
    int body_is_touched;           /* by door_app_read() */
    int body_error;                /* errno of what ended it early, or 0 */
    int body_end_is_told;          /* the handler knows that nothing more comes, or why */
    char *body_buffer;             /* all of it, if it was asked for as a whole; malloc()ed */
    struct door_rt_header *body_trailers;

    /* Calls of the response door, each NULL before it is needed: parts.c. */
    struct door_async *written_part[2], *read_part[2];
    unsigned written_at, read_at; /* the one that is written next, or looked at */
    unsigned unsettled;           /* bits: what became of these written ones is not known */
    unsigned reads;               /* how many were begun and not looked at */
    int reads_ahead;              /* what comes comes faster than it is read */
    int is_doubled;               /* two parts may be under way */

    /* The client, as far as is known. */
    int client;         /* DOOR_APP_CLIENT_* */
    int64_t asked_ns;   /* when that was */
};

/*
 * Makes req ready for the handler: 0, or -1 with door_wire_read()'s errno, ENOMEM.
 * httpd can still change the bytes at data: the head is copied, the body is read
 * from there.
 */
int door_rt_request_read(struct door_rt_request *req, const void *data, size_t len);

/* Gives back what the request holds, whether or not it came to its end. */
void door_rt_request_end(struct door_rt_request *req);

const char *door_rt_header(const struct door_rt_request *req, const char *name); /* or NULL */

/* The reader's next header, of that name unless it is NULL: 1 and *field, or 0. */
int door_rt_next_header(struct door_wire_reader *reader, const char *name,
                        struct door_wire_field *field);

/* Copies the fields of that type, which are about to go: 0, or -1 with ENOMEM. */
int door_rt_copy_fields(struct door_rt_arena *arena, struct door_wire_reader message,
                        enum door_wire_type type, struct door_rt_header **headers);

/* Compares header names: ASCII letters in any case, whatever the locale. */
int door_rt_same_name(const char *a, const char *b);

/* Is name what the len bytes at text say?  Likewise. */
int door_rt_is_name(const char *name, const char *text, size_t len);

/* ---------------------------------------------------------------- response.c */

/*
 * Completes the message whose body is in the thread's buffer, in front of it.
 * 0 and *message, *len, or -1 with errno.
 */
int door_rt_message(struct door_rt_request *req, enum door_wire_kind kind, unsigned flags,
                    char **message, size_t *len);

/* The request's final message, likewise. */
int door_rt_response(struct door_rt_request *req, char **message, size_t *len);

/* An answer of our own with a short text, or none, in buf: its bytes, at most cap. */
size_t door_rt_plain(char *buf, size_t cap, unsigned status, const char *text);
size_t door_rt_bare(char *buf, size_t cap, enum door_wire_kind kind, unsigned status,
                    unsigned flags);

/* ---------------------------------------------------------------- stream.c */

/*
 * Sends what was written so far: 0, or -1 with errno.  Whatever it was, that is out
 * of the buffer then.  Without DOOR_WIRE_FLUSH what becomes of it may show later.
 */
int door_rt_send(struct door_rt_request *req, unsigned flags);

/*
 * A call of the response door that is answered with an ACK, which is in *answer: 0, or -1
 * and errno.
 */
int door_rt_call(struct door_rt_request *req, door_arg_t *arg, struct door_wire_reader *answer);

/* A call of the response door did not come through: nobody is there (any more).  -1, errno. */
int door_rt_lost(struct door_rt_request *req);

/* A message without body, at most DOOR_RT_ASK_MAX bytes: its length. */
#define DOOR_RT_ASK_MAX 128
size_t door_rt_ask_message(const struct door_rt_request *req, enum door_wire_kind kind,
                           unsigned flags, char *message);

/* The reply in len bytes that httpd may change, its head copied to head: 0, or -1, EPROTO. */
int door_rt_read_reply(struct door_wire_reader *answer, const char *reply, size_t len, char *head,
                       size_t cap);

/* What an ACK says: 0, or -1 and errno. */
int door_rt_take_ack(struct door_rt_request *req, const struct door_wire_reader *answer);

/* ---------------------------------------------------------------- parts.c */

/* Whether the thread's buffer is a part's, and a message from it goes with parts_send(). */
int door_rt_parts_have_room(const struct door_rt_request *req);
int door_rt_parts_make_room(struct door_rt_request *req); /* or -1: errno, also in failed */
int door_rt_parts_send(struct door_rt_request *req, const char *message, size_t len);

int door_rt_parts_are_used(const struct door_rt_request *req); /* by this response */
int door_rt_parts_are_sent(const struct door_rt_request *req); /* the last of them has left us */

/*
 * The next part of the request's body: a reply that stays until the next one; or -1.  With
 * DOOR_WIRE_NO_WAIT it may be empty.
 */
int door_rt_parts_read(struct door_rt_request *req, unsigned flags, char **reply, size_t *len);

/* Waits until no call runs.  What went wrong with what was written is in failed. */
void door_rt_parts_settle(struct door_rt_request *req);
void door_rt_parts_end(struct door_rt_request *req);

/* ---------------------------------------------------------------- body.c */

/* Whether door_app_read_now() has something new to say without asking httpd. */
int door_rt_body_is_at_hand(struct door_rt_request *req);

/* ---------------------------------------------------------------- caller.c */

/* An httpd process's response door; its handle is open while it is held. */
struct door_rt_caller;

/* Held, or NULL if it is not known. */
struct door_rt_caller *door_rt_caller_find(const char *id);

/*
 * Takes fd over, which is closed if it is known already or cannot be kept.  Held, and can
 * be called; or NULL: EBADF it is no door, or its server is gone; EMFILE, ENFILE, ENOMEM,
 * EAGAIN, and EMFILE also if all that there is room for are held.
 */
struct door_rt_caller *door_rt_caller_add(const char *id, int fd);
void door_rt_caller_release(struct door_rt_caller *caller);
struct door_handle *door_rt_caller_handle(const struct door_rt_caller *caller);

/* Its process is gone: nobody finds it any more. */
void door_rt_caller_forget(struct door_rt_caller *caller);

/* ---------------------------------------------------------------- admit.c */

/* A door's line of requests. */
struct door_rt_line {
    pthread_mutex_t lock;
    unsigned running;
    unsigned max; /* what the last request said; 0: no limit */
    unsigned waiting;
    TAILQ_HEAD(, door_rt_waiter) waiters; /* as many, first come first */
};

/* In its turn, which it gives back with depart; 0, 1 if it had to wait, or -1 with EBUSY. */
int door_rt_admit(struct door_rt_line *line, struct door_rt_request *req);
void door_rt_depart(struct door_rt_line *line);

/* ---------------------------------------------------------------- thread.c */

/* A server thread; its own, until it ends. */
struct door_rt_thread {
    unsigned long number;
    struct door_app *serving; /* while a handler runs */
    struct door_app *hooked;  /* whose start hook has run here, or NULL */
    struct door_rt_arena arena;
    struct door_rt_buffer body;
    struct door_rt_request req;
};

/* The calling thread's state, made on first use; NULL with ENOMEM, EAGAIN. */
struct door_rt_thread *door_rt_thread(void);

/* The request of that handle if this thread runs it, otherwise NULL with EINVAL. */
struct door_rt_request *door_rt_request(const struct door_app_request *handle);

/* The most that there have been at a time. */
unsigned long door_rt_thread_max(void);

/* ---------------------------------------------------------------- route.c */

struct door_rt_route {
    struct door_rt_route *next;
    const char *method; /* behind the path; "": of a prefix, with any method */
    size_t path_len;
    door_app_handler *handler;
    void *data;
    char path[]; /* a prefix, with no '/' at the end; or a pattern: "/a/{b}" */
};

/* Has the request's handler answer it, or says why there is none. */
void door_rt_route(const struct door_app *app, struct door_rt_request *req);

/* Answers with a status and a line of text. */
void door_rt_tell(struct door_app_request *handle, int status, const char *text);

/* ---------------------------------------------------------------- app.c */

struct door_app {
    struct door_rt_route *routes; /* in the order in which they were added; fixed once it runs */
    struct door_rt_line line;
    door_app_thread_hook *start_thread, *stop_thread; /* or NULL */
    void *thread_data;
    int error;                          /* of a door_app_handle() that failed, or 0 */
    _Atomic unsigned long long started; /* calls that entered the procedure */
    _Atomic unsigned long long ended;   /* calls whose answer is made, or never will be */
    _Atomic unsigned long long served;  /* requests that have ended */
};

/* Remembers why app is incomplete: -1 with that errno, or ENOMEM if there is no app. */
int door_rt_mistake(struct door_app *app, int error);

/* ---------------------------------------------------------------- text.c */

/* The texts one behind the other, up to a NULL; or NULL with ENOMEM. */
char *door_rt_join(struct door_rt_arena *arena, ...) __attribute__((__sentinel__));

/* ---------------------------------------------------------------- form.c */

/* Answers a body that cannot be read, if nothing else was answered: -1 with that errno. */
int door_rt_refuse_body(struct door_app_request *handle, int error);

/* Whether a Content-Type or the like is that, whatever its parameters. */
int door_rt_is_type(const char *header, const char *type);

/* The first value of that name, or NULL; fields may be NULL. */
const char *door_rt_find(const struct door_rt_fields *fields, const char *name);

/* Steps through them: 1 and all set, or 0 at the end. */
int door_rt_next(const struct door_rt_fields *fields, size_t *position, const char **name,
                 const char **value);

/* ---------------------------------------------------------------- serve.c */

door_server_procedure_t door_rt_serve; /* the cookie is the struct door_app */

/* The thread's request is over: the application is told, and what it held is free. */
void door_rt_end_serving(struct door_rt_thread *thread);

/* What goes back to httpd. */
struct door_rt_answer {
    char *bytes; /* in the thread's memory, or in storage */
    size_t len;
    int fd; /* goes with them, and is the receiver's then; or -1 */
    char storage[256];
};

/* Answers one message, with which the descriptor fd came (or -1): runs the handler. */
void door_rt_answer(struct door_app *app, const void *data, size_t len, int fd,
                    struct door_rt_answer *answer);

#endif
