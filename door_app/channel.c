/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * channel.c: what a handler sends and asks before it returns: calls of the response
 * door of the httpd process that waits for it, made on the handler's own thread.  When
 * httpd refuses these calls, the client counts as gone for this handler.
 *
 * Bodies are sent and read in parts while the handler works: one part is on its way
 * while the handler writes the next, and the next part is read while the handler uses
 * the last.  Both use two calls by turns, whose memory is shared with httpd.  The
 * response door takes only one call of a request at a time, so before another kind of
 * call is made, these are waited for.
 *
 * This file knows no requests and responses, only messages.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "channel.h"
#include "door_app.h"
#include "fail.h"
#include "fields.h"

/* Includes room for a long head; pages that are not touched cost nothing. */
#define PART_CAP (DOOR_RT_HEAD_ROOM + DOOR_WIRE_PART_MAX + (64 << 10))

/* What is flushed goes ahead up to this length: it fits into the memory that each call has. */
#define FLUSHED_CAP ((size_t)8 << 10)
#define FLUSHED     2 /* its place among the written ones */

/* How long httpd may take to begin with a question about the client: it may be stopped. */
#define ASK_NS 250000000

/* How long the last answer about the client is used again. */
#define CLIENT_KNOWN_NS 100000000

/*
 * How many requests may have two parts under way at once, which takes more memory.  With so
 * many requests all processors are busy anyway.
 */
#define DOUBLED_MAX 8
static _Atomic unsigned doubled_count;

/*
 * How many requests may have what they flush go ahead.  Each keeps a call ready for it, and to one
 * httpd process there are 256 before more memory and descriptors are needed.
 */
#define AHEAD_MAX 128
static _Atomic unsigned ahead_count;

#define TRIES 3 /* for a call that is refused */

/* ---------------------------------------------------------------- messages */

/* For a call that failed.  Errors other than missing resources become EPIPE.  Returns -1. */
static int lost(struct door_rt_channel *channel)
{
    if (errno == EBADF || errno == EINTR)
        door_rt_caller_forget(channel->caller);
    if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS &&
        errno != EAGAIN && errno != ETIMEDOUT)
        errno = EPIPE;
    return -1;
}

/* Writes a message without a body, and returns its length. */
static size_t short_message(const struct door_rt_channel *channel, enum door_wire_kind kind,
                            unsigned flags, char *message)
{
    struct door_wire_writer writer;

    door_wire_begin(&writer, message, DOOR_RT_ASK_MAX);
    door_wire_field(&writer, DOOR_WIRE_TOKEN, "", 0, channel->token, DOOR_WIRE_ID_LEN);
    return door_wire_end(&writer, kind, 0, flags, 0);
}

int door_rt_read_reply(struct door_wire_reader *answer, const char *reply, size_t len, char *head,
                       size_t cap)
{
    size_t head_len = door_wire_head_len(reply, len);

    if (head_len > cap)
        return door_rt_fail(EPROTO);
    memcpy(head, reply, head_len);
    return door_wire_read_copied(answer, DOOR_WIRE_ANY, head, head_len, reply, len);
}

/* Takes an ACK.  Returns 0, or -1 and the errno that it says. */
static int take_ack(struct door_rt_channel *channel, const struct door_wire_reader *answer)
{
    if (answer->kind != DOOR_WIRE_ACK)
        return door_rt_fail(EPROTO);
    if (answer->flags & DOOR_WIRE_NO_BODY)
        channel->no_body = 1;
    errno = answer->status == ESTALE ? EPIPE : answer->status;
    return answer->status == 0 ? 0 : -1;
}

/* ---------------------------------------------------------------- parts */

/* Whether the request is one of the first max, or has been; *is_one is then set. */
static int is_one_of(_Atomic unsigned *count, unsigned max, int *is_one)
{
    if (*is_one)
        return 1;
    if (atomic_fetch_add(count, 1) < max)
        return *is_one = 1;
    atomic_fetch_sub(count, 1);
    return 0;
}

static void leave(_Atomic unsigned *count, int *is_one)
{
    if (*is_one)
        atomic_fetch_sub(count, 1);
    *is_one = 0;
}

static int may_double(struct door_rt_channel *channel)
{
    return is_one_of(&doubled_count, DOUBLED_MAX, &channel->is_doubled);
}

static int open_part(struct door_rt_channel *channel, struct door_async **part, size_t cap)
{
    sigset_t before;

    if (*part == NULL) {
        door_rt_hold_signals(&before);
        *part = door_async_open(door_rt_caller_handle(channel->caller), cap);
        door_rt_let_signals(&before);
    }
    return *part != NULL ? 0 : lost(channel);
}

static int begin(struct door_rt_channel *channel, struct door_async *part, const char *message,
                 size_t len, struct door_async *other)
{
    sigset_t before;
    char *reply;
    size_t reply_len;
    int result;

    door_rt_hold_signals(&before);
    result = door_async_begin(part, message, len, other);
    if (result == -1 && errno == EBUSY) { /* its result stays, and can be taken again later */
        door_async_end(other, &reply, &reply_len);
        result = door_async_begin(part, message, len, NULL);
    }
    door_rt_let_signals(&before);
    return result == 0 ? 0 : lost(channel);
}

static int end(struct door_rt_channel *channel, struct door_async *part, char **reply, size_t *len)
{
    sigset_t before;
    int result;

    door_rt_hold_signals(&before);
    result = door_async_end(part, reply, len);
    door_rt_let_signals(&before);
    return result == 0 ? 0 : lost(channel);
}

/* Waits for reads that are under way.  Their results stay, and are taken later. */
static void settle_read(struct door_rt_channel *channel)
{
    char *reply;
    size_t len;

    for (unsigned i = 0; i < 2; i++)
        if (channel->read[i] != NULL)
            end(channel, channel->read[i], &reply, &len);
}

/* ---------------------------------------------------------------- written */

/* Takes the result of a part that was sent.  The first error is kept for the handler. */
static void settle_written(struct door_rt_channel *channel, unsigned i)
{
    struct door_wire_reader answer;
    char *reply;
    char head[256];
    size_t len;

    if ((channel->unsettled & 1u << i) == 0)
        return;
    channel->unsettled &= ~(1u << i);
    if ((end(channel, channel->written[i], &reply, &len) == -1 ||
         door_rt_read_reply(&answer, reply, len, head, sizeof(head)) == -1 ||
         take_ack(channel, &answer) == -1) &&
        channel->failed == 0)
        channel->failed = errno;
}

static int has_room(const struct door_rt_channel *channel)
{
    const char *bytes = channel->buffer->bytes;
    struct door_async *part = channel->written[channel->written_at];

    return bytes != NULL && part != NULL && bytes == door_async_buffer(part);
}

int door_rt_channel_make_room(struct door_rt_channel *channel)
{
    struct door_async **part = &channel->written[channel->written_at];

    if (has_room(channel))
        return 0;
    settle_written(channel, channel->written_at);
    if (channel->failed == 0 && open_part(channel, part, PART_CAP) == -1)
        channel->failed = errno;
    if (channel->failed != 0)
        return door_rt_fail(channel->failed);
    door_rt_buffer_move(channel->buffer, door_async_buffer(*part), PART_CAP);
    return 0;
}

static int send_part(struct door_rt_channel *channel, const char *message, size_t len)
{
    unsigned i = channel->written_at;

    settle_read(channel);
    settle_written(channel, FLUSHED);
    door_rt_buffer_reset(channel->buffer);
    if (channel->failed != 0)
        return door_rt_fail(channel->failed);
    if (begin(channel, channel->written[i], message, len, channel->written[!i]) == -1)
        return -1;
    channel->unsettled |= 1u << i;
    if (may_double(channel))
        channel->written_at = !i;
    return 0;
}

/* One that is under way is waited for. */
static int send_flushed(struct door_rt_channel *channel, const char *message, size_t len)
{
    struct door_async **part = &channel->written[FLUSHED];
    char *to;

    door_rt_channel_settle(channel);
    if (channel->failed != 0)
        return door_rt_fail(channel->failed);
    if (open_part(channel, part, FLUSHED_CAP) == -1)
        return -1;
    to = memcpy(door_async_buffer(*part), message, len);
    if (begin(channel, *part, to, len, NULL) == -1)
        return -1;
    channel->unsettled |= 1u << FLUSHED;
    return 0;
}

int door_rt_channel_has_parts(const struct door_rt_channel *channel)
{
    return channel->written[0] != NULL;
}

int door_rt_channel_is_quiet(const struct door_rt_channel *channel)
{
    for (unsigned i = 0; i <= FLUSHED; i++)
        if (channel->written[i] != NULL && !door_async_is_over(channel->written[i]))
            return 0;
    return 1;
}

/* ---------------------------------------------------------------- read */

/* The call needs memory only for its short message; the part itself comes in other memory. */
static int begin_read(struct door_rt_channel *channel, unsigned i, unsigned flags)
{
    char *message;

    if (open_part(channel, &channel->read[i], DOOR_RT_ASK_MAX) == -1)
        return -1;
    message = door_async_buffer(channel->read[i]);
    channel->reads++;
    return begin(channel, channel->read[i], message,
                 short_message(channel, DOOR_WIRE_READ, flags, message), channel->read[!i]);
}

/* If the body comes fast, the next part is requested before this one is used. */
int door_rt_channel_read(struct door_rt_channel *channel, unsigned flags, char **reply,
                         size_t *len)
{
    unsigned i = channel->read_at;

    if (channel->reads == 0) {
        door_rt_channel_settle(channel);
        if (begin_read(channel, i, flags) == -1)
            return -1;
    }
    if (channel->reads == 1 && channel->reads_ahead && door_rt_channel_is_quiet(channel) &&
        may_double(channel) && begin_read(channel, !i, DOOR_WIRE_NO_WAIT) == -1)
        return -1;
    if (--channel->reads > 0)
        channel->read_at = !i;
    return end(channel, channel->read[i], reply, len);
}

/* ---------------------------------------------------------------- one call */

void door_rt_channel_settle(struct door_rt_channel *channel)
{
    /* In the order in which they were sent. */
    settle_written(channel, FLUSHED);
    settle_written(channel, channel->written_at);
    settle_written(channel, !channel->written_at);
    settle_read(channel);
}

/*
 * EAGAIN: the call was refused before httpd has seen it, for example because this process was
 * stopped when it was asked for the call's descriptor.
 */
static int call_httpd(struct door_rt_channel *channel, door_arg_t *arg, struct door_terms *terms)
{
    const door_arg_t sent = *arg;
    int tries = TRIES, result;

    do {
        *arg = sent;
        result = door_handle_call(door_rt_caller_handle(channel->caller), arg, terms);
    } while (result == -1 && errno == EAGAIN && --tries > 0);
    return result;
}

/* take_by_ns: if httpd has not taken the call by then, ETIMEDOUT; or 0. */
static int call(struct door_rt_channel *channel, door_arg_t *arg, int64_t take_by_ns,
                struct door_wire_reader *answer)
{
    struct door_terms terms = {.take_by_ns = take_by_ns};
    char reply[256];
    sigset_t before;
    int error = 0, result;

    door_rt_channel_settle(channel);
    arg->rbuf = reply;
    arg->rsize = sizeof(reply);
    door_rt_hold_signals(&before);
    result = call_httpd(channel, arg, &terms);
    door_rt_let_signals(&before);
    if (result == -1)
        return lost(channel);
    if (door_wire_read(answer, DOOR_WIRE_ACK, arg->data_ptr, arg->data_size) == -1)
        error = EPROTO;
    else if (take_ack(channel, answer) == -1)
        error = errno;
    if (arg->rbuf != reply)
        munmap(arg->rbuf, arg->rsize);
    errno = error;
    return error == 0 ? 0 : -1;
}

int door_rt_channel_call(struct door_rt_channel *channel, door_arg_t *arg)
{
    struct door_wire_reader answer;

    return call(channel, arg, 0, &answer);
}

/* Sends a message with a descriptor, which is closed here in any case. */
static int send_file(struct door_rt_channel *channel, char *message, size_t len, int fd)
{
    door_desc_t desc = {.d_attributes = DOOR_DESCRIPTOR, .d_data.d_desc.d_descriptor = fd};
    door_arg_t arg = {
        .data_ptr = message, .data_size = len, .desc_ptr = &desc, .desc_num = fd != -1};
    int result, error;

    door_rt_channel_settle(channel);
    result = channel->failed == 0 ? door_rt_channel_call(channel, &arg) : door_rt_fail(channel->failed);
    error = errno;
    if (fd != -1)
        close(fd);
    errno = error;
    return result;
}

/*
 * The first flush waits, so that who flushes once is told what came of it, and needs no further
 * call.  The others wait only for the one before.
 */
static int goes_ahead(struct door_rt_channel *channel, size_t len, int fd, unsigned flags)
{
    return (flags & DOOR_WIRE_FLUSH) != 0 && channel->was_flushed && fd == -1 &&
           len <= FLUSHED_CAP && is_one_of(&ahead_count, AHEAD_MAX, &channel->is_ahead);
}

int door_rt_channel_send(struct door_rt_channel *channel, char *message, size_t len, int fd,
                         unsigned flags)
{
    int is_ahead = goes_ahead(channel, len, fd, flags);
    int result = is_ahead                        ? send_flushed(channel, message, len)
                 : fd == -1 && has_room(channel) ? send_part(channel, message, len)
                                                 : send_file(channel, message, len, fd);

    if (result == -1 && channel->failed == 0)
        channel->failed = errno;
    if ((flags & DOOR_WIRE_FLUSH) && !is_ahead) {
        door_rt_channel_settle(channel);
        channel->was_flushed = 1;
    }
    channel->buffer->len = 0;
    errno = channel->failed;
    return channel->failed == 0 ? 0 : -1;
}

int door_rt_channel_wait(struct door_rt_channel *channel, int fd, int timeout_ms)
{
    door_desc_t desc = {.d_attributes = DOOR_DESCRIPTOR, .d_data.d_desc.d_descriptor = fd};
    char message[2 * DOOR_RT_ASK_MAX], digits[24];
    door_arg_t arg = {.data_ptr = message, .desc_ptr = &desc, .desc_num = fd != -1};
    struct door_wire_reader answer = {0};
    struct door_wire_writer writer;
    int len = snprintf(digits, sizeof(digits), "%d", timeout_ms);

    door_wire_begin(&writer, message, sizeof(message));
    door_wire_field(&writer, DOOR_WIRE_TOKEN, "", 0, channel->token, DOOR_WIRE_ID_LEN);
    door_wire_field(&writer, DOOR_WIRE_WAIT_MS, "", 0, digits, (size_t)len);
    arg.data_size = door_wire_end(&writer, DOOR_WIRE_WAIT, 0, 0, 0);
    if (call(channel, &arg, 0, &answer) == -1)
        return errno == EINVAL ? door_rt_fail(ENOTSUP) : -1;
    return (answer.flags & DOOR_WIRE_READABLE) != 0;
}

int door_rt_channel_client(struct door_rt_channel *channel)
{
    struct door_wire_reader answer = {0};
    char message[DOOR_RT_ASK_MAX];
    door_arg_t arg = {.data_ptr = message};

    if (channel->failed == EPIPE || channel->failed == ETIMEDOUT)
        channel->client = DOOR_APP_CLIENT_GONE;
    if (channel->caller == NULL || channel->client == DOOR_APP_CLIENT_GONE ||
        door_now_ns() - channel->asked_ns < CLIENT_KNOWN_NS)
        return channel->client;
    arg.data_size = short_message(channel, DOOR_WIRE_ASK, 0, message);
    if (call(channel, &arg, door_now_ns() + ASK_NS, &answer) == -1)
        channel->client = errno == EPIPE ? DOOR_APP_CLIENT_GONE : channel->client;
    else if (answer.flags & DOOR_WIRE_GONE)
        channel->client = DOOR_APP_CLIENT_GONE;
    else if (answer.flags & DOOR_WIRE_MAYBE_GONE)
        channel->client = DOOR_APP_CLIENT_MAYBE_GONE;
    channel->asked_ns = door_now_ns();
    return channel->client;
}

void door_rt_channel_close(struct door_rt_channel *channel)
{
    for (unsigned i = 0; i <= FLUSHED; i++) {
        door_async_close(channel->written[i]);
        channel->written[i] = NULL;
    }
    for (unsigned i = 0; i < 2; i++) {
        door_async_close(channel->read[i]);
        channel->read[i] = NULL;
    }
    leave(&doubled_count, &channel->is_doubled);
    leave(&ahead_count, &channel->is_ahead);
    if (channel->caller != NULL)
        door_rt_caller_release(channel->caller);
    channel->caller = NULL;
}
