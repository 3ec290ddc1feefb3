/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * cgi_relay.c: see cgi_relay.h.  Of the body there is one piece at hand at most: while
 * the program does not take it no more is read.  What it says goes to the client when it
 * pauses; a short response that ends at once goes in one piece.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <unistd.h>

#include "cgi_relay.h"
#include "clock.h"

#define PIECE_LEN (64 * 1024)

/* What has been said goes on after so long. */
#define PAUSE_MS 5

/* How often it is asked whether anybody still waits. */
#define LOOK_MS 1000

struct relay {
    struct door_app_request *req;
    struct cgi_program *program;
    struct cgi_response *response;
    int timeout_ms;
    int64_t moved_ms;   /* when something came or went last */
    int is_unflushed;   /* something was said that may not have gone */
    size_t at, len;     /* of the piece: what the program has not taken yet */
    char piece[PIECE_LEN];
};

enum { CAN_READ = 1, CAN_WRITE = 2, HAS_BODY = 4 };

static int poll_both(const struct cgi_program *program, int timeout_ms)
{
    struct pollfd p[2] = {{.fd = program->out, .events = POLLIN},
                          {.fd = program->in, .events = POLLOUT}};

    if (poll(p, 2, timeout_ms) == -1)
        return errno == EINTR ? 0 : -1;
    return (p[0].revents != 0 ? CAN_READ : 0) | (p[1].revents != 0 ? CAN_WRITE : 0);
}

/* What can be done: bits; 0 nothing within the time; -1. */
static int wait_for_work(struct relay *relay)
{
    int timeout_ms = relay->is_unflushed ? PAUSE_MS : LOOK_MS;
    struct pollfd out = {.fd = relay->program->out, .events = POLLIN};
    int ready;

    if (relay->len > 0)
        return poll_both(relay->program, timeout_ms);
    if (relay->program->in == -1) {
        ready = poll(&out, 1, timeout_ms);
        return ready == -1 && errno == EINTR ? 0 : ready;
    }
    ready = door_app_wait(relay->req, relay->program->out, timeout_ms);
    if (ready == -1)
        return -1;
    return (ready & DOOR_APP_FD_READY ? CAN_READ : 0) | (ready & DOOR_APP_BODY_READY ? HAS_BODY : 0);
}

/* Some of the body, or its end, for the program: 0, or -1 and errno. */
static int take_body(struct relay *relay)
{
    ssize_t len = door_app_read_now(relay->req, relay->piece, sizeof(relay->piece));

    if (len == -1)
        return errno == EAGAIN ? 0 : -1;
    relay->at = 0;
    relay->len = (size_t)len;
    if (len == 0)
        cgi_program_close(&relay->program->in);
    return 0;
}

/* One that does not want the body need not take it. */
static int give_body(struct relay *relay)
{
    ssize_t len = write(relay->program->in, relay->piece + relay->at, relay->len);

    if (len == -1 && errno == EPIPE) {
        cgi_program_close(&relay->program->in);
        relay->len = 0;
        return 0;
    }
    if (len == -1)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    relay->at += (size_t)len;
    relay->len -= (size_t)len;
    return 0;
}

/* 1 there may be more, 0 that was all, or -1. */
static int take_output(struct relay *relay)
{
    char bytes[PIECE_LEN];
    ssize_t len = read(relay->program->out, bytes, sizeof(bytes));

    if (len == -1)
        return errno == EAGAIN || errno == EINTR ? 1 : -1;
    if (len == 0)
        return 0;
    relay->is_unflushed = 1;
    return cgi_response_write(relay->response, bytes, (size_t)len) == 0 ? 1 : -1;
}

/* Nothing has moved for a while. */
static enum cgi_outcome idle(struct relay *relay)
{
    if (relay->is_unflushed && relay->response->has_head && door_app_flush(relay->req) == -1 &&
        errno != ENOTSUP)
        return CGI_FAILED;
    relay->is_unflushed = 0;
    if (door_app_client_gone(relay->req) == DOOR_APP_CLIENT_GONE)
        return CGI_GONE;
    if (relay->timeout_ms > 0 && now_ms() - relay->moved_ms >= relay->timeout_ms)
        return CGI_LATE;
    return CGI_DONE;
}

static enum cgi_outcome outcome_of(int error)
{
    errno = error;
    switch (error) {
    case EBADMSG:
        return CGI_WRONG;
    case EPIPE:
    case ECONNRESET:
    case ETIMEDOUT: /* the client; of it and of a body that is too long httpd tells itself */
    case EFBIG:
        return CGI_GONE;
    default:
        return CGI_FAILED;
    }
}

/* Does what can be done: 1 to go on, 0 at the end, -1 and errno. */
static int work(struct relay *relay, int ready)
{
    int more = 1;

    relay->moved_ms = now_ms();
    if (ready & CAN_WRITE && give_body(relay) == -1)
        return -1;
    if (ready & HAS_BODY && take_body(relay) == -1)
        return -1;
    if (ready & CAN_READ)
        more = take_output(relay);
    return more;
}

enum cgi_outcome cgi_relay(struct door_app_request *req, struct cgi_program *program,
                           struct cgi_response *response, int timeout_ms)
{
    struct relay relay = {.req = req, .program = program, .response = response};
    enum cgi_outcome outcome = CGI_DONE;
    int more = 1;

    relay.timeout_ms = timeout_ms;
    relay.moved_ms = now_ms();
    while (more == 1 && outcome == CGI_DONE) {
        int ready = wait_for_work(&relay);

        if (ready > 0)
            more = work(&relay, ready);
        else if (ready == 0)
            outcome = idle(&relay);
        else
            more = -1;
    }
    if (more == -1)
        return outcome_of(errno);
    return outcome == CGI_DONE && !response->has_head ? CGI_WRONG : outcome;
}
