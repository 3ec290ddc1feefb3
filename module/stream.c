/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * stream.c: what an application does with its request while the call runs:
 * begins the response, adds to it, reads the body, asks for the client.  Each
 * is one call on the response door, which has let it in.  Knows nothing of
 * tokens and doors.
 */
#include <errno.h>
#include <poll.h>

#include <apr_portable.h>
#include <http_core.h>
#include <http_protocol.h>
#include <util_filter.h>

#include "mod_door.h"

void mod_door_ack(struct mod_door_reply *reply, apr_status_t error, unsigned flags)
{
    struct door_wire_writer w;

    reply->bytes = reply->storage;
    door_wire_begin(&w, reply->storage, sizeof(reply->storage));
    reply->len = door_wire_end(&w, DOOR_WIRE_ACK, (unsigned)error, flags, 0);
}

/* ------------------------------------------------------------- response */

/* What the application is told; the log hears of the first thing that it did wrong. */
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
    case ENOMEM: /* ours */
    case EMFILE:
    case ENFILE:
    case EAGAIN: /* no thread */
        if (call->complaint == APR_SUCCESS)
            call->complaint = error;
        return error;
    default:
        return APR_STATUS_IS_TIMEUP(error) ? ETIMEDOUT : EPIPE;
    }
}

/* The message's body, and its descriptor behind it, on their way to the client. */
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
                           int *fd, struct mod_door_reply *reply)
{
    apr_status_t error;

    if (call->response.is_begun || call->complaint != APR_SUCCESS)
        error = MOD_DOOR_EMISUSE; /* also a second try: what is kept of each is much */
    else if (message->status < 200)
        error = mod_door_send_interim(call, *message);
    else
        error = mod_door_begin(call, *message);
    if (error == APR_SUCCESS && call->response.is_begun) {
        error = pass_message(call, message, fd);
        /* Its length is not known, and nothing else of the body is sent. */
        if (call->r->header_only)
            call->response.no_body = 1;
    }
    mod_door_ack(reply, explain(call, error), call->response.no_body ? DOOR_WIRE_NO_BODY : 0);
}

static void serve_part(struct mod_door_call *call, const struct door_wire_reader *message, int *fd,
                       struct mod_door_reply *reply)
{
    apr_status_t error = MOD_DOOR_EMISUSE;

    if (call->response.is_begun)
        error = pass_message(call, message, fd);
    mod_door_ack(reply, explain(call, error), call->response.no_body ? DOOR_WIRE_NO_BODY : 0);
}

/* ----------------------------------------------------------------- body */

static apr_status_t explain_read(apr_status_t error)
{
    if (APR_STATUS_IS_ENOSPC(error))
        return EFBIG;
    return APR_STATUS_IS_TIMEUP(error) ? ETIMEDOUT : ECONNRESET;
}

/* The bytes are read right to where they are sent from: behind a head without fields. */
static void serve_read(struct mod_door_call *call, apr_read_type_e block,
                       struct mod_door_reply *reply)
{
    apr_size_t cap = MOD_DOOR_HEAD_ROOM + DOOR_WIRE_PART_MAX;
    char *bytes = call->body.is_ended ? NULL : door_result_buffer(cap);
    struct door_wire_writer w;
    apr_size_t len;
    apr_status_t error;

    if (bytes == NULL) {
        mod_door_ack(reply, call->body.is_ended ? EINVAL : errno, 0);
        return;
    }
    door_wire_begin(&w, bytes, cap);
    error = mod_door_body_read(call->r, &call->body, bytes + w.len, DOOR_WIRE_PART_MAX, &len,
                               block);
    reply->bytes = bytes;
    if (block == APR_NONBLOCK_READ && APR_STATUS_IS_EAGAIN(error)) /* a part of no bytes */
        error = APR_SUCCESS;
    if (error != APR_SUCCESS)
        mod_door_ack(reply, explain_read(error), 0);
    else if (!call->body.is_ended)
        reply->len = door_wire_end(&w, DOOR_WIRE_PART, 0, DOOR_WIRE_MORE, len) + len;
    else if ((reply->len = mod_door_write_last_part(call, bytes, cap, len)) == 0)
        mod_door_ack(reply, EFBIG, 0); /* trailers: httpd's own limits allow no such */
}

/* --------------------------------------------------------------- client */

/*
 * A client that has ended its side may still read what it gets: only a reset, or
 * a shutdown of both sides, says that it is gone.
 */
static unsigned socket_state(conn_rec *c)
{
#ifdef POLLRDHUP
    struct pollfd p = {.events = POLLRDHUP};
#else
    struct pollfd p = {.events = POLLIN};
#endif

    if (apr_os_sock_get(&p.fd, ap_get_conn_socket(c)) != APR_SUCCESS || poll(&p, 1, 0) <= 0)
        return 0;
    if (p.revents & (POLLERR | POLLHUP | POLLNVAL))
        return DOOR_WIRE_GONE;
#ifdef POLLRDHUP
    return DOOR_WIRE_MAYBE_GONE;
#else
    int is_at_end = 0;

    apr_socket_atreadeof(ap_get_conn_socket(c), &is_at_end);
    return is_at_end ? DOOR_WIRE_MAYBE_GONE : 0;
#endif
}

unsigned mod_door_client_state(const struct mod_door_call *call)
{
    conn_rec *c = call->r->connection;

    if (c->aborted || call->response.error != APR_SUCCESS)
        return DOOR_WIRE_GONE;
    /* A stream of HTTP/2 is aborted, or it is not. */
    return c->master == NULL ? socket_state(c) : 0;
}

void mod_door_serve(struct mod_door_call *call, const struct door_wire_reader *message, int *fd,
                    struct mod_door_reply *reply)
{
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
    case DOOR_WIRE_ASK:
        mod_door_ack(reply, 0, mod_door_client_state(call));
        break;
    default:
        mod_door_ack(reply, EINVAL, 0);
    }
}
