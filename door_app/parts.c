/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * parts.c: bodies that go in parts while their handler works: what it has written
 * is on its way while it writes more, and what it will read next is read while it
 * looks at what it has.  Either takes two calls of the response door in turn, whose
 * memory httpd shares.  The door takes one call of a request at a time: whoever
 * makes another one has those settled first.
 */
#include <string.h>

#include "app.h"

/* Room for a long head, too: what is not used is not there. */
#define PART_CAP (DOOR_RT_HEAD_ROOM + DOOR_WIRE_PART_MAX + (64 << 10))

/* Requests that have two parts under way, and more memory: with so many processors are busy. */
#define DOUBLED_MAX 8
static _Atomic unsigned doubled_count;

static int may_double(struct door_rt_request *req)
{
    if (req->is_doubled)
        return 1;
    if (atomic_fetch_add(&doubled_count, 1) < DOUBLED_MAX)
        return req->is_doubled = 1;
    atomic_fetch_sub(&doubled_count, 1);
    return 0;
}

static int open_part(struct door_rt_request *req, struct door_async **part, size_t cap)
{
    sigset_t before;

    if (*part == NULL) {
        door_rt_hold_signals(&before);
        *part = door_async_open(door_rt_caller_handle(req->caller), cap);
        door_rt_let_signals(&before);
    }
    return *part != NULL ? 0 : door_rt_lost(req);
}

static int begin(struct door_rt_request *req, struct door_async *part, const char *message,
                 size_t len, struct door_async *other)
{
    sigset_t before;
    char *reply;
    size_t reply_len;
    int result;

    door_rt_hold_signals(&before);
    result = door_async_begin(part, message, len, other);
    if (result == -1 && errno == EBUSY) { /* what became of it can be asked again */
        door_async_end(other, &reply, &reply_len);
        result = door_async_begin(part, message, len, NULL);
    }
    door_rt_let_signals(&before);
    return result == 0 ? 0 : door_rt_lost(req);
}

static int end(struct door_rt_request *req, struct door_async *part, char **reply, size_t *len)
{
    sigset_t before;
    int result;

    door_rt_hold_signals(&before);
    result = door_async_end(part, reply, len);
    door_rt_let_signals(&before);
    return result == 0 ? 0 : door_rt_lost(req);
}

/* What was read stays to be looked at. */
static void settle_read(struct door_rt_request *req)
{
    char *reply;
    size_t len;

    for (unsigned i = 0; i < 2; i++)
        if (req->read_part[i] != NULL)
            end(req, req->read_part[i], &reply, &len);
}

/* ---------------------------------------------------------------- written */

/* What became of a part that was sent: the first that failed is what the handler is told. */
static void settle_written(struct door_rt_request *req, unsigned i)
{
    struct door_wire_reader answer;
    char *reply;
    char head[256];
    size_t len;

    if ((req->unsettled & 1u << i) == 0)
        return;
    req->unsettled &= ~(1u << i);
    if ((end(req, req->written_part[i], &reply, &len) == -1 ||
         door_rt_read_reply(&answer, reply, len, head, sizeof(head)) == -1 ||
         door_rt_take_ack(req, &answer) == -1) &&
        req->failed == 0)
        req->failed = errno;
}

int door_rt_parts_have_room(const struct door_rt_request *req)
{
    const char *bytes = req->thread->body.bytes;
    struct door_async *part = req->written_part[req->written_at];

    return bytes != NULL && part != NULL && bytes == door_async_buffer(part);
}

int door_rt_parts_make_room(struct door_rt_request *req)
{
    struct door_async **part = &req->written_part[req->written_at];

    if (door_rt_parts_have_room(req))
        return 0;
    settle_written(req, req->written_at);
    if (req->failed == 0 && open_part(req, part, PART_CAP) == -1)
        req->failed = errno;
    if (req->failed != 0)
        return door_rt_fail(req->failed);
    door_rt_buffer_move(&req->thread->body, door_async_buffer(*part), PART_CAP);
    return 0;
}

int door_rt_parts_send(struct door_rt_request *req, const char *message, size_t len)
{
    unsigned i = req->written_at;

    settle_read(req);
    door_rt_buffer_reset(&req->thread->body);
    if (begin(req, req->written_part[i], message, len, req->written_part[!i]) == -1)
        return -1;
    req->unsettled |= 1u << i;
    if (may_double(req))
        req->written_at = !i;
    return 0;
}

int door_rt_parts_are_used(const struct door_rt_request *req)
{
    return req->written_part[0] != NULL;
}

int door_rt_parts_are_sent(const struct door_rt_request *req)
{
    for (unsigned i = 0; i < 2; i++)
        if (req->written_part[i] != NULL && !door_async_is_over(req->written_part[i]))
            return 0;
    return 1;
}

/* ---------------------------------------------------------------- read */

/* The request for a part of the body is short: the part itself comes in other memory. */
static int begin_read(struct door_rt_request *req, unsigned i, unsigned flags)
{
    char *message;

    if (open_part(req, &req->read_part[i], DOOR_RT_ASK_MAX) == -1)
        return -1;
    message = door_async_buffer(req->read_part[i]);
    req->reads++;
    return begin(req, req->read_part[i], message,
                 door_rt_ask_message(req, DOOR_WIRE_READ, flags, message), req->read_part[!i]);
}

/* Of what comes fast the next part is read before this one is looked at. */
int door_rt_parts_read(struct door_rt_request *req, unsigned flags, char **reply, size_t *len)
{
    unsigned i = req->read_at;

    if (req->reads == 0) {
        door_rt_parts_settle(req);
        if (begin_read(req, i, flags) == -1)
            return -1;
    }
    if (req->reads == 1 && req->reads_ahead && door_rt_parts_are_sent(req) && may_double(req) &&
        begin_read(req, !i, DOOR_WIRE_NO_WAIT) == -1)
        return -1;
    if (--req->reads > 0)
        req->read_at = !i;
    return end(req, req->read_part[i], reply, len);
}

/* ---------------------------------------------------------------- both */

void door_rt_parts_settle(struct door_rt_request *req)
{
    /* In the order in which they went. */
    settle_written(req, req->written_at);
    settle_written(req, !req->written_at);
    settle_read(req);
}

void door_rt_parts_end(struct door_rt_request *req)
{
    for (unsigned i = 0; i < 2; i++) {
        door_async_close(req->written_part[i]);
        door_async_close(req->read_part[i]);
        req->written_part[i] = req->read_part[i] = NULL;
    }
    if (req->is_doubled)
        atomic_fetch_sub(&doubled_count, 1);
    req->is_doubled = 0;
}
