/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * body.c: the request's body as its handler reads it: first what came with the
 * request, then, piece by piece, what httpd reads for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "door_app.h"
#include "fail.h"
#include "request.h"

/* Every later read fails in the same way.  EAGAIN would say that there is just nothing to read yet. */
static int fail(struct door_rt_request *req, int error)
{
    req->body_error = errno = error == EAGAIN ? ENOMEM : error;
    req->body_end_is_told = 1;
    return -1;
}

static int take_part(struct door_rt_request *req, const struct door_wire_reader *part)
{
    req->body = part->body;
    req->body_len = (size_t)part->body_len;
    req->body_more = (part->flags & DOOR_WIRE_MORE) != 0;
    req->channel.reads_ahead = part->body_len == DOOR_WIRE_PART_MAX;
    return door_rt_list_read(&req->thread->arena, *part, DOOR_WIRE_TRAILER, &req->body_trailers);
}

static int take_reply(struct door_rt_request *req, const char *reply, size_t len)
{
    struct door_wire_reader answer;
    size_t head_len = door_wire_head_len(reply, len);
    char small[256];
    char *head = small;

    if (head_len > sizeof(small)) /* trailers */
        head = door_rt_alloc(&req->thread->arena, head_len);
    if (head == NULL)
        return fail(req, ENOMEM);
    if (door_rt_read_reply(&answer, reply, len, head, head_len) == -1)
        return fail(req, EPROTO);
    if (answer.kind == DOOR_WIRE_PART)
        return take_part(req, &answer) == 0 ? 0 : fail(req, ENOMEM);
    if (answer.kind != DOOR_WIRE_ACK || answer.status == 0)
        return fail(req, EPROTO);
    return fail(req, answer.status == ESTALE ? ECONNRESET : answer.status);
}

/* Reads the next piece.  It is empty at the end, or if flags forbid waiting and nothing came. */
static int read_more(struct door_rt_request *req, unsigned flags)
{
    char *reply;
    size_t len;

    if (req->body_error != 0)
        return fail(req, req->body_error);
    if (req->channel.caller == NULL)
        return fail(req, ENOTSUP);
    if (door_rt_channel_read(&req->channel, flags, &reply, &len) == -1)
        return fail(req, errno == EPIPE ? ECONNRESET : errno);
    return take_reply(req, reply, len);
}

static ssize_t take(struct door_rt_request *req, void *buf, size_t len)
{
    if (len > 0 && req->body_len == 0)
        req->body_end_is_told = 1;
    if (len > req->body_len)
        len = req->body_len;
    memcpy(buf, req->body, len);
    req->body += len;
    req->body_len -= len;
    return (ssize_t)len;
}

ssize_t door_app_read(struct door_app_request *handle, void *buf, size_t len)
{
    struct door_rt_request *req = door_rt_request(handle);

    if (req == NULL)
        return -1;
    req->body_is_touched = 1;
    while (req->body_len == 0 && req->body_more && len > 0)
        if (read_more(req, 0) == -1)
            return -1;
    return take(req, buf, len);
}

ssize_t door_app_read_now(struct door_app_request *handle, void *buf, size_t len)
{
    struct door_rt_request *req = door_rt_request(handle);

    if (req == NULL)
        return -1;
    req->body_is_touched = 1;
    if (req->body_len == 0 && req->body_more && len > 0) {
        if (read_more(req, DOOR_WIRE_NO_WAIT) == -1)
            return -1;
        if (req->body_len == 0 && req->body_more)
            return door_rt_fail(EAGAIN);
    }
    return take(req, buf, len);
}

/* Takes a piece that was read ahead.  If that fails, the next read returns the error. */
int door_rt_body_is_at_hand(struct door_rt_request *req)
{
    if (req->body_len == 0 && req->body_more && req->body_error == 0 && req->channel.reads > 0 &&
        read_more(req, DOOR_WIRE_NO_WAIT) == -1)
        req->body_end_is_told = 0;
    return req->body_len > 0 ||
           ((!req->body_more || req->body_error != 0) && !req->body_end_is_told);
}

/*
 * Reads the whole body into one piece of memory, which the request owns; at most max bytes.  If
 * that fails after a part of it was taken, the rest must not pass for the whole.
 */
static const char *read_all(struct door_rt_request *req, size_t max, size_t *len)
{
    char *whole = NULL;
    size_t cap = 0;

    *len = 0;
    for (;;) {
        if (req->body_len > max - *len) {
            errno = EFBIG;
            break;
        }
        if (*len + req->body_len >= cap) {
            char *grown;

            cap = 2 * (*len + req->body_len) + 1024;
            grown = realloc(whole, cap);
            if (grown == NULL)
                break;
            whole = grown;
        }
        memcpy(whole + *len, req->body, req->body_len);
        *len += req->body_len;
        req->body_len = 0;
        if (!req->body_more) {
            /* The request owns the memory now. */
            free(req->body_buffer);
            req->body_buffer = whole;
            req->body = whole;
            req->body_len = *len;
            return whole;
        }
        if (read_more(req, 0) == -1)
            break;
    }
    free(whole);
    if (*len > 0) {
        req->body_len = 0;
        req->body_more = 1;
        fail(req, errno);
    }
    return NULL;
}

const char *door_app_body(struct door_app_request *handle, size_t max, size_t *len)
{
    struct door_rt_request *req = door_rt_request(handle);

    if (req == NULL)
        return NULL;
    if (req->body_is_touched)
        return door_rt_none(EINVAL);
    if (req->body != NULL && req->body == req->body_buffer && req->body_len <= max) { /* asked again */
        *len = req->body_len;
        return req->body;
    }
    return read_all(req, max, len);
}

/* ---------------------------------------------------------------- trailers */

const char *door_app_trailer(const struct door_app_request *handle, const char *name)
{
    const struct door_rt_request *req = door_rt_request(handle);

    return req != NULL ? door_rt_list_find(req->body_trailers, name) : NULL;
}
