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

#define PART_CAP (DOOR_RT_HEAD_ROOM + DOOR_WIRE_PART_MAX)

static int open_part(struct door_rt_request *req, struct door_rt_part *part, size_t cap)
{
    if (part->call == NULL)
        part->call = door_async_open(door_rt_caller_fd(req->caller), cap);
    return part->call != NULL ? 0 : door_rt_lost(req);
}

/* Waits for its reply, if that is not here. */
static void settle(struct door_rt_request *req, struct door_rt_part *part)
{
    if (!part->runs)
        return;
    part->runs = 0;
    part->error = 0;
    if (door_async_end(part->call, &part->reply, &part->reply_len) == -1) {
        door_rt_lost(req);
        part->error = errno;
    }
}

/* The message goes when the other part is over; 0, or -1 with errno. */
static int begin(struct door_rt_request *req, struct door_rt_part *part, const char *message,
                 size_t len, struct door_rt_part *other)
{
    int result = door_async_begin(part->call, message, len, other->call);

    if (result == -1 && errno == EBUSY) {
        settle(req, other);
        result = door_async_begin(part->call, message, len, NULL);
    }
    if (result == -1)
        return door_rt_lost(req);
    part->runs = 1;
    return 0;
}

/* ---------------------------------------------------------------- written */

static void settle_read(struct door_rt_request *req)
{
    for (unsigned i = 0; i < 2; i++) {
        req->read_part[i].is_here |= req->read_part[i].runs;
        settle(req, &req->read_part[i]);
    }
}

/* What became of a part of the response: the first that failed is what the handler is told. */
static void settle_written(struct door_rt_request *req, struct door_rt_part *part)
{
    struct door_wire_reader answer;
    char head[256];

    if (!part->runs)
        return;
    settle(req, part);
    if (part->error == 0 &&
        (door_rt_read_reply(&answer, part->reply, part->reply_len, head, sizeof(head)) == -1 ||
         door_rt_take_ack(req, &answer) == -1))
        part->error = errno;
    if (req->failed == 0)
        req->failed = part->error;
}

int door_rt_parts_have_room(const struct door_rt_request *req)
{
    const struct door_rt_part *part = &req->written_part[req->written_at];

    return part->call != NULL && !part->runs &&
           req->thread->body.bytes == door_async_buffer(part->call);
}

int door_rt_parts_make_room(struct door_rt_request *req)
{
    struct door_rt_part *part = &req->written_part[req->written_at];

    if (door_rt_parts_have_room(req))
        return 0;
    settle_written(req, part);
    if (req->failed == 0 && open_part(req, part, PART_CAP) == -1)
        req->failed = errno;
    if (req->failed != 0)
        return door_rt_fail(req->failed);
    door_rt_buffer_move(&req->thread->body, door_async_buffer(part->call), PART_CAP);
    return 0;
}

int door_rt_parts_send(struct door_rt_request *req, const char *message, size_t len)
{
    struct door_rt_part *part = &req->written_part[req->written_at];

    settle_read(req);
    req->written_at = !req->written_at;
    door_rt_buffer_reset(&req->thread->body);
    return begin(req, part, message, len, &req->written_part[req->written_at]);
}

int door_rt_parts_are_used(const struct door_rt_request *req)
{
    return req->written_part[0].call != NULL;
}

int door_rt_parts_are_sent(const struct door_rt_request *req)
{
    const struct door_rt_part *before = &req->written_part[!req->written_at];

    return !before->runs || door_async_is_over(before->call);
}

/* ---------------------------------------------------------------- read */

/* The request for a part of the body is short: the part itself comes in other memory. */
static int begin_read(struct door_rt_request *req, struct door_rt_part *part, unsigned flags,
                      struct door_rt_part *other)
{
    char *message;

    if (open_part(req, part, DOOR_RT_ASK_MAX) == -1)
        return -1;
    message = door_async_buffer(part->call);
    return begin(req, part, message, door_rt_ask_message(req, DOOR_WIRE_READ, flags, message),
                 other);
}

/* Whoever reads fast what comes fast has the next part read before it has looked at this one. */
int door_rt_parts_read(struct door_rt_request *req, const char **reply, size_t *len)
{
    struct door_rt_part *part = &req->read_part[req->read_at];
    struct door_rt_part *other = &req->read_part[!req->read_at];

    if (!part->runs && !part->is_here) {
        door_rt_parts_settle(req);
        if (begin_read(req, part, 0, other) == -1)
            return -1;
    }
    if (part->runs && req->reads_ahead && begin_read(req, other, DOOR_WIRE_NO_WAIT, part) == -1)
        return -1;
    settle(req, part);
    part->is_here = 0;
    req->read_at = !req->read_at;
    *reply = part->reply;
    *len = part->reply_len;
    errno = part->error;
    return part->error == 0 ? 0 : -1;
}

/* ---------------------------------------------------------------- both */

void door_rt_parts_settle(struct door_rt_request *req)
{
    /* In the order in which they went. */
    settle_written(req, &req->written_part[req->written_at]);
    settle_written(req, &req->written_part[!req->written_at]);
    settle_read(req);
}

void door_rt_parts_end(struct door_rt_request *req)
{
    for (unsigned i = 0; i < 2; i++) {
        door_async_close(req->written_part[i].call);
        door_async_close(req->read_part[i].call);
        req->written_part[i].call = req->read_part[i].call = NULL;
    }
}
