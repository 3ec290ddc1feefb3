/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call_state.h: a request on its way through a door.
 */
#ifndef MOD_DOOR_CALL_STATE_H
#define MOD_DOOR_CALL_STATE_H

#include "mod_door.h"
#include "body.h"
#include "calls.h"
#include "settings.h"
#include "response.h"
#include "target.h"
#include "wire.h"

/*
 * Bytes of the buffer that holds a request's message and then a short answer.
 * APR's allocator keeps blocks of up to 80 KiB in lists by size, its own headers
 * included; pages of one that are not touched cost nothing.
 */
#define MOD_DOOR_BUFFER_LEN (80 * 1024 - 128)

/* An answer that is longer than this is lent, and not copied into the buffer. */
#define MOD_DOOR_COPIED_LEN (8 * 1024)

/* Room for the head and the few fields of a message that carries a body. */
#define MOD_DOOR_HEAD_ROOM 1024

/*
 * One request on its way through a door; the handler's, on its stack.  While
 * the call runs, the thread of the response door that has come with its token
 * has it (tokens.c).
 */
struct mod_door_call {
    request_rec *r;
    const struct mod_door_config *conf;
    struct call_note *note; /* in the table of calls, or own_note: nobody asks for it */
    struct call_note own_note;
    struct mod_door_question *question; /* that is what the call is for, or NULL: an answer */
    const struct mod_door_limit *limit; /* of the door, or NULL */
    int has_place;                      /* mod_door_enter_limit() has let it in */
    int64_t queue_until_ns; /* how long it may wait until it is taken; 0: it has not waited */
    int was_taken;          /* by a thread of the application */
    int64_t begun_ns;       /* when the request has come; door_now_ns(), as these: */
    int64_t made_ns;        /* the last try began; 0: there was none */
    int64_t ended_ns;       /* the call, whatever came of it; 0: there was none */
    int64_t taken_ns;       /* when the thread took it, as the application tells; or 0 */
    unsigned long thread;   /* its number, likewise */
    apr_status_t failure;   /* what the log was told, or 0 */
    struct mod_door_target target;
    char token[DOOR_WIRE_ID_LEN + 1];
    unsigned long serial; /* of the response door that the token is good for */
    int64_t paused_ns;    /* while a door thread has it: what deadline_ns was; tokens.c's lock */
    int keeps_deadline;   /* what it does is no sign of life: that deadline still holds */
    _Atomic int is_over;  /* the call has ended: one that waits for its application leaves */
    int busy;             /* a door thread has the request; tokens.c's lock */
    int client_fd;        /* a copy of the client's socket, or -1; likewise */
    char *buffer;         /* MOD_DOOR_BUFFER_LEN bytes */
    char *arg;            /* the argument: in buffer, or in long_arg */
    apr_size_t arg_len;   /* bytes at arg */
    apr_size_t arg_cap;   /* bytes that have room there */
    char *long_arg;       /* malloc()ed when buffer is too small, otherwise NULL */
    struct mod_door_pieces pieces; /* of the body, behind the argument */
    const char *result;   /* the result: in buffer, or lent */
    apr_size_t result_len;
    struct door_loan loan;
    const char *head; /* a copy of the head of a result that is lent; or NULL */
    apr_size_t head_len;
    unsigned sender; /* of the door that was called */
    int result_fd;   /* a descriptor that came with the result, or -1 */
    struct mod_door_body body;
    struct mod_door_response response;
    apr_bucket_brigade *brigade; /* empty between uses */
    unsigned sendfile_count;     /* files that stay open until the request has ended */
    apr_size_t interim_len;      /* bytes of the heads of early hints */
    unsigned interim_fields;
    int is_passed;               /* some of the response has gone to the filters */
    apr_status_t complaint;      /* what was wrong on the response door, for the log */
    apr_status_t app_error;      /* errno of why the application has failed, as it tells, or 0 */
};

/* Whether another request may pass; what comes back concerns nobody but who has asked. */
struct mod_door_question {
    const char *role;        /* DOOR_WIRE_ROLE's */
    const char *apache_role; /* FCGI_APACHE_ROLE's */
    const char *password;    /* or NULL */
    int passes;              /* the answer */
    apr_table_t *variables;  /* that the request has then */
};

static inline int mod_door_is_raw(const struct mod_door_call *call)
{
    return call->conf->protocol == MOD_DOOR_PROTOCOL_RAW;
}

/* Whether the application may come back to the request while the call runs. */
static inline int mod_door_has_token(const struct mod_door_call *call)
{
    return !mod_door_is_raw(call) && call->question == NULL;
}

#endif
