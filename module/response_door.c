/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * response_door.c: the doors that this child serves, one for each application's door
 * that it has opened.  While a call runs, the application can use the response door to
 * begin the response, add to it, read the request's body, or ask about the client.
 * tokens.c decides whether a message may touch its request.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <util_filter.h>

#include "mod_door.h"
#include "body.h"
#include "call_state.h"
#include "descriptor.h"
#include "doors.h"
#include "received.h"
#include "request.h"
#include "response.h"
#include "response_door.h"
#include "tokens.h"
#include "wait.h"
#include "wire.h"

APLOG_USE_MODULE(door);

/* The reply to a message. */
struct reply {
    char *bytes; /* in storage, or in the door's result buffer */
    apr_size_t len;
    char storage[256];
};

static void ack(struct reply *reply, apr_status_t error, unsigned flags)
{
    struct door_wire_writer w;

    reply->bytes = reply->storage;
    door_wire_begin(&w, reply->storage, sizeof(reply->storage));
    reply->len = door_wire_end(&w, DOOR_WIRE_ACK, (unsigned)error, flags, 0);
}

/* ------------------------------------------------------------- response */

/* The errno value for the application.  Its first mistake is also kept for the log. */
static apr_status_t explain(struct mod_door_call *call, apr_status_t error)
{
    switch (error) {
    case APR_SUCCESS:
        return 0;
    case MOD_DOOR_ELONG:
    case MOD_DOOR_ESTATUS:
    case MOD_DOOR_EHEADER:
    case MOD_DOOR_EHEAD:
    case MOD_DOOR_ELENGTH:
    case MOD_DOOR_ESILENT:
    case MOD_DOOR_EMISUSE:
        if (call->complaint == APR_SUCCESS)
            call->complaint = error;
        return error == MOD_DOOR_ELONG ? EMSGSIZE : error == MOD_DOOR_ESILENT ? ETIMEDOUT : EINVAL;
    case ENOMEM: /* of httpd, as the next ones */
    case EMFILE:
    case ENFILE:
    case EAGAIN: /* no thread can be made */
        if (call->complaint == APR_SUCCESS)
            call->complaint = error;
        return error;
    default:
        return APR_STATUS_IS_TIMEUP(error) ? ETIMEDOUT : EPIPE;
    }
}

/* Sends the message's body to the client, and then the content of its descriptor. */
static apr_status_t pass_message(struct mod_door_call *call,
                                 const struct door_wire_reader *message, int *fd)
{
    apr_bucket_brigade *bb = call->brigade;
    apr_status_t error = APR_SUCCESS;

    if (message->body_len > 0)
        APR_BRIGADE_INSERT_TAIL(
            bb, mod_door_body_bucket(call, message->body, (apr_size_t)message->body_len));
    if (*fd != -1) {
        error = mod_door_add_descriptor(call, bb, *fd, *message);
        *fd = -1;
    }
    if (error != APR_SUCCESS) {
        apr_brigade_cleanup(bb);
        return error;
    }
    return mod_door_pass(call, bb, message->flags & DOOR_WIRE_FLUSH);
}

static void serve_response(struct mod_door_call *call, const struct door_wire_reader *message,
                           int *fd, struct reply *reply)
{
    apr_status_t error;

    if (call->response.is_begun || call->complaint != APR_SUCCESS)
        error = MOD_DOOR_EMISUSE; /* no second try: each keeps much of the pool's memory */
    else if (message->status < 200)
        error = mod_door_send_interim(call, *message);
    else
        error = mod_door_begin(call, *message);
    if (error == APR_SUCCESS && call->response.is_begun) {
        error = pass_message(call, message, fd);
        /* The response to HEAD is complete with its head. */
        if (call->r->header_only)
            call->response.no_body = 1;
    }
    ack(reply, explain(call, error), call->response.no_body ? DOOR_WIRE_NO_BODY : 0);
}

static void serve_part(struct mod_door_call *call, const struct door_wire_reader *message, int *fd,
                       struct reply *reply)
{
    apr_status_t error = MOD_DOOR_EMISUSE;

    if (call->response.is_begun)
        error = pass_message(call, message, fd);
    ack(reply, explain(call, error), call->response.no_body ? DOOR_WIRE_NO_BODY : 0);
}

/* ----------------------------------------------------------------- body */

static apr_status_t explain_read(apr_status_t error)
{
    if (APR_STATUS_IS_ENOSPC(error))
        return EFBIG;
    return APR_STATUS_IS_TIMEUP(error) ? ETIMEDOUT : ECONNRESET;
}

/* Reads the body directly into the reply, behind a head without fields. */
static void serve_read(struct mod_door_call *call, apr_read_type_e block,
                       struct reply *reply)
{
    apr_size_t cap = MOD_DOOR_HEAD_ROOM + DOOR_WIRE_PART_MAX;
    char *bytes = call->body.is_ended ? NULL : door_result_buffer(cap);
    struct door_wire_writer w;
    apr_size_t len;
    apr_status_t error;

    if (bytes == NULL) {
        ack(reply, call->body.is_ended ? EINVAL : errno, 0);
        return;
    }
    door_wire_begin(&w, bytes, cap);
    error = mod_door_body_read(call->r, &call->body, bytes + w.len, DOOR_WIRE_PART_MAX, &len,
                               block);
    reply->bytes = bytes;
    if (block == APR_NONBLOCK_READ && APR_STATUS_IS_EAGAIN(error)) /* an empty PART */
        error = APR_SUCCESS;
    if (error != APR_SUCCESS)
        ack(reply, explain_read(error), 0);
    else if (!call->body.is_ended)
        reply->len = door_wire_end(&w, DOOR_WIRE_PART, 0, DOOR_WIRE_MORE, len) + len;
    else if ((reply->len = mod_door_write_last_part(call, bytes, cap, len)) == 0)
        ack(reply, EFBIG, 0); /* trailers are too long, which httpd's own limits prevent */
}

/* Replies whether a READ would not have to wait.  A wait in vain does not extend the deadline. */
static void serve_wait(struct mod_door_call *call, const struct door_wire_reader *message, int fd,
                       struct reply *reply)
{
    int is_ready = 0;
    apr_status_t error = mod_door_wait(call, *message, fd, &is_ready);

    call->keeps_deadline = !is_ready;
    ack(reply, error, is_ready ? DOOR_WIRE_READABLE : 0);
}

static void serve_message(struct mod_door_call *call, const struct door_wire_reader *message, int *fd,
                    struct reply *reply)
{
    ap_log_rerror(APLOG_MARK, APLOG_TRACE3, 0, call->r,
                  "door %s: a message of kind %u with %" APR_UINT64_T_FMT " bytes%s",
                  call->target.name.path, message->kind, message->body_len,
                  *fd != -1 ? " and a descriptor" : "");
    switch (message->kind) {
    case DOOR_WIRE_RESPONSE:
        serve_response(call, message, fd, reply);
        break;
    case DOOR_WIRE_PART:
        serve_part(call, message, fd, reply);
        break;
    case DOOR_WIRE_READ:
        serve_read(call, message->flags & DOOR_WIRE_NO_WAIT ? APR_NONBLOCK_READ : APR_BLOCK_READ,
                   reply);
        break;
    case DOOR_WIRE_WAIT:
        serve_wait(call, message, *fd, reply);
        break;
    case DOOR_WIRE_ASK:
        call->keeps_deadline = 1;
        ack(reply, 0, mod_door_client_state(call));
        break;
    default:
        ack(reply, EINVAL, 0);
    }
}

/* ---------------------------------------------------------------- door */

static const char *find_token(struct door_wire_reader message)
{
    struct door_wire_field field;

    while (door_wire_next(&message, &field))
        if (field.type == DOOR_WIRE_TOKEN)
            return field.value_len == DOOR_WIRE_ID_LEN ? field.value : NULL;
    return NULL;
}

static void answer_message(unsigned long serial, const struct door_wire_reader *message, int *fd,
                           struct reply *reply)
{
    const char *token = find_token(*message);
    struct mod_door_call *call;
    apr_status_t error = token == NULL ? EINVAL : mod_door_enter_call(serial, token, &call);

    if (error != APR_SUCCESS) {
        ack(reply, error, 0);
        return;
    }
    serve_message(call, message, fd, reply);
    mod_door_leave_call(call);
}

/*
 * Refuses a message whose head is too long.  Only the token, its first field, is read, so that
 * the request can be found and its log line can tell of the mistake.
 */
static void refuse(unsigned long serial, const char *argp, struct reply *reply)
{
    struct {
        struct door_wire_head head;
        struct door_wire_field_head field;
        char name_and_value[1 + DOOR_WIRE_ID_LEN + 1];
    } __attribute__((packed)) first;
    struct door_wire_reader message;
    struct mod_door_call *call;
    const char *token = NULL;

    memcpy(&first, argp, sizeof(first));
    first.head.head_len = sizeof(first);
    first.head.field_count = 1;
    first.head.body_len = 0;
    if (door_wire_read(&message, DOOR_WIRE_ANY, &first, sizeof(first)) == 0)
        token = find_token(message);
    if (token != NULL && mod_door_enter_call(serial, token, &call) == APR_SUCCESS) {
        if (call->complaint == APR_SUCCESS)
            call->complaint = MOD_DOOR_EHEAD;
        mod_door_leave_call(call);
    }
    ack(reply, EINVAL, 0);
}

/* The application can change the arguments, so only a copy of the head is checked. */
static void answer(unsigned long serial, const char *argp, apr_size_t arg_size, int *fd,
                   struct reply *reply)
{
    apr_size_t head_len = door_wire_head_len(argp, arg_size);
    struct door_wire_reader message;
    char small[1024];
    char *head;

    if (head_len > MOD_DOOR_HEAD_MAX) {
        refuse(serial, argp, reply);
        return;
    }
    head = head_len <= sizeof(small) ? small : malloc(head_len);
    if (head == NULL) {
        ack(reply, ENOMEM, 0);
        return;
    }
    if (head_len > 0)
        memcpy(head, argp, head_len);
    if (door_wire_read_copied(&message, DOOR_WIRE_ANY, head, head_len, argp, arg_size) == 0)
        answer_message(serial, &message, fd, reply);
    else
        ack(reply, EINVAL, 0);
    if (head != small)
        free(head);
}

/*
 * The cookie of the door's procedure is a number and not a pointer, because struct mod_door
 * may be gone when a late call comes.  It contains the door's serial and its sender.
 */
static void *make_cookie(const struct mod_door *door)
{
    return (void *)(door->serial * MOD_DOOR_SENDERS + door->sender);
}

static unsigned long serial_of(const void *cookie)
{
    return (unsigned long)cookie / MOD_DOOR_SENDERS;
}

static unsigned sender_of(const void *cookie)
{
    return (unsigned long)cookie % MOD_DOOR_SENDERS;
}

/* DOOR_PARAM_DESC_MAX allows one descriptor.  If more come all the same, they are closed. */
static int take_descriptor(const door_desc_t *dp, uint_t n_desc, unsigned sender)
{
    int fd = -1;
    uint_t i;

    for (i = 0; i < n_desc; i++) {
        if (!(dp[i].d_attributes & DOOR_DESCRIPTOR))
            continue;
        if (fd == -1)
            fd = dp[i].d_data.d_desc.d_descriptor;
        else
            mod_door_close_received(sender, dp[i].d_data.d_desc.d_descriptor);
    }
    return fd;
}

/* The door's procedure. */
static void serve(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    unsigned long serial = serial_of(cookie);
    unsigned sender = sender_of(cookie);
    struct reply reply;
    int fd = take_descriptor(dp, n_desc, sender);

    answer(serial, argp, arg_size, &fd, &reply);
    if (fd != -1)
        mod_door_close_received(sender, fd);
    if (n_desc > 0 && mod_door_is_overdrawn(sender))
        mod_door_cut_off(serial); /* otherwise the application could send ever more of them */
    door_return(reply.bytes, reply.len, NULL, 0);
    /* door_return() comes back only if the reply could not be delivered. */
    door_return(NULL, 0, NULL, 0);
}

int mod_door_make_response_door(const struct mod_door *door)
{
    sigset_t all;
    sigset_t before;
    int fd;

    /* The door's threads inherit the mask: the MPM's signal handlers must not run on them. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    fd = door_create(serve, make_cookie(door), DOOR_NO_CANCEL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (fd == -1)
        return -1;
    door_setparam(fd, DOOR_PARAM_DESC_MAX, MOD_DOOR_DESC_MAX);
    door_hide_procedure(fd);  /* applications must not learn the addresses of httpd's code */
    door_share_arguments(fd); /* no copy needed: bodies are passed on, and heads copied above */
    return fd;
}
