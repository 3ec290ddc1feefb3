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
 * APR's allocator keeps blocks of up to 80 KiB, with its own headers, in lists by size.
 * Pages of a block that are never touched cost nothing.
 */
#define MOD_DOOR_BUFFER_LEN (80 * 1024 - 128)

/* A longer answer is not copied into the buffer, but read in memory that the door lends. */
#define MOD_DOOR_COPIED_LEN (8 * 1024)

/* Room for the head and the few fields of a message that carries a body. */
#define MOD_DOOR_HEAD_ROOM 1024

/*
 * One request on its way through a door.  It belongs to the handler and is on its stack.
 * While the call runs, a thread of the response door that has the token may use it
 * (tokens.c).
 */
struct mod_door_call {
    request_rec *r;
    const struct mod_door_config *conf;
    struct call_note *note; /* in the table of calls, or own_note, which no other process sees */
    struct call_note own_note;
    struct mod_door_question *question; /* what the call asks; NULL: it is to answer r */
    const struct mod_door_limit *limit; /* of the door, or NULL */
    int has_place;                      /* mod_door_enter_limit() has let it in */
    int64_t queue_until_ns; /* when its wait for a thread ends; 0: it has not waited */
    int was_taken;          /* a thread of the application took the last try */
    int64_t begun_ns;       /* when the request came; all five are times of door_now_ns() */
    int64_t made_ns;        /* when the last try began; 0: there was none */
    int64_t ended_ns;       /* when the call ended, with any result; 0: there was none */
    int64_t taken_ns;       /* when a thread took it, as the application says; or 0 */
    unsigned long thread;   /* that thread's number, as the application says; or 0 */
    apr_status_t failure;   /* the error that was logged, or 0 */
    struct mod_door_target target;
    char token[DOOR_WIRE_ID_LEN + 1];
    unsigned long serial; /* of the response door where the token is valid */
    int64_t paused_ns;    /* while a door thread has it: the old deadline_ns; tokens.c's lock */
    int keeps_deadline;   /* the door thread's work is no sign of life: paused_ns stays in force */
    _Atomic int is_over;  /* the call has ended: a door thread that waits must leave */
    int busy;             /* a door thread has the request; tokens.c's lock */
    int client_fd;        /* a copy of the client's socket, or -1; tokens.c's lock */
    char *buffer;         /* MOD_DOOR_BUFFER_LEN bytes */
    char *arg;            /* the argument: in buffer, or in long_arg */
    apr_size_t arg_len;   /* bytes at arg */
    apr_size_t arg_cap;   /* bytes that fit at arg */
    char *long_arg;       /* malloc()ed when buffer is too small, otherwise NULL */
    struct mod_door_pieces pieces; /* the part of the body that is sent behind the argument */
    const char *result;   /* in buffer, or memory that the door has lent */
    apr_size_t result_len;
    struct door_loan loan;
    const char *head; /* a copy of the head of a lent result, or NULL */
    apr_size_t head_len;
    unsigned sender; /* whom descriptors of the called door are charged to (received.c) */
    int result_fd;   /* a descriptor that came with the result, or -1 */
    struct mod_door_body body;
    struct mod_door_response response;
    apr_bucket_brigade *brigade; /* empty between uses */
    unsigned sendfile_count;     /* files that stay open until the request ends */
    apr_size_t interim_len;      /* bytes of the heads of interim responses */
    unsigned interim_fields;     /* header fields of interim responses */
    int is_passed;               /* some of the response has gone to the filters */
    apr_status_t complaint;      /* what was wrong on the response door, for the log */
    apr_status_t app_error;      /* the errno with which the application says it failed, or 0 */
};

/* The question whether the request may pass.  Nothing of the answer goes to the client. */
struct mod_door_question {
    const char *role;        /* value of the field DOOR_WIRE_ROLE */
    const char *apache_role; /* value of FCGI_APACHE_ROLE */
    const char *password;    /* or NULL */
    int passes;              /* the answer */
    apr_table_t *variables;  /* what the answer adds to the request's environment */
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
