/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * wait.c: httpd waits, on behalf of an application, for the request's body or for a
 * descriptor of the application, whichever comes first.  The wait counts as the
 * application's own time unless a part of the body has come, and ends at its deadline.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>

#include <apr_portable.h>
#include <http_core.h>

#include <door_compat.h>

#include "mod_door.h"
#include "body.h"
#include "call_state.h"
#include "received.h"
#include "tokens.h"
#include "wait.h"
#include "wire.h"

#define NS_PER_MS 1000000

/* How often to check whether the call goes on.  A stream of HTTP/2 has no socket to poll. */
#define LOOK_MS       250
#define LOOK_HTTP2_MS 10

/* How long the message asks to wait, in milliseconds; 0 if the field is missing or no number. */
static apr_off_t wanted_ms(struct door_wire_reader fields)
{
    struct door_wire_field field;
    apr_off_t ms = 0;

    while (door_wire_next(&fields, &field))
        if (field.type == DOOR_WIRE_WAIT_MS && !ap_parse_strict_length(&ms, field.value))
            ms = 0;
    return ms < INT_MAX ? ms : INT_MAX;
}

/* poll(2) on anything else, such as a FUSE file, may ask the process that made it, and block. */
static int may_be_polled(int fd)
{
    struct mod_door_look look;

    return mod_door_look_at(fd, &look) == APR_SUCCESS &&
           (look.kind == MOD_DOOR_PIPE || look.kind == MOD_DOOR_SOCKET);
}

/* Waits for fd or the client's socket, at most ns.  Returns whether fd is ready. */
static int poll_both(request_rec *r, int fd, int64_t ns)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    int most_ms = r->connection->master != NULL ? LOOK_HTTP2_MS : LOOK_MS;

    if (r->connection->master == NULL &&
        apr_os_sock_get(&p[1].fd, ap_get_conn_socket(r->connection)) != APR_SUCCESS)
        p[1].fd = -1;
    return poll(p, 2, ns > (int64_t)most_ms * NS_PER_MS ? most_ms : (int)(ns / NS_PER_MS) + 1) > 0 &&
           p[0].revents != 0;
}

static int wait_for_body(struct mod_door_call *call, int fd, int64_t until_ns)
{
    int is_ready, is_fd_ready = 0;

    for (;;) {
        int64_t left_ns = until_ns - door_now_ns();

        is_ready = mod_door_body_is_ready(call->r, &call->body);
        if (is_ready || is_fd_ready || left_ns <= 0 || atomic_load(&call->is_over) ||
            mod_door_is_stopping())
            return is_ready;
        is_fd_ready = poll_both(call->r, fd, left_ns);
    }
}

apr_status_t mod_door_wait(struct mod_door_call *call, struct door_wire_reader message, int fd,
                           int *is_ready)
{
    int64_t until_ns = door_now_ns() + wanted_ms(message) * NS_PER_MS;

    if (fd != -1 && !may_be_polled(fd))
        return EINVAL;
    if (call->paused_ns != 0 && call->paused_ns < until_ns)
        until_ns = call->paused_ns;
    *is_ready = wait_for_body(call, fd, until_ns);
    return APR_SUCCESS;
}
