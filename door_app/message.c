/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * message.c: makes the messages of a response from what the handler has set and
 * written: one message, or several if the handler writes much or flushes.  The head is
 * written directly in front of the body, where room was left for it.  So the doors get
 * both as one piece, and the body need not be copied.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "door_app.h"
#include "fail.h"
#include "message.h"

static void put_number(struct door_wire_writer *writer, enum door_wire_type type, off_t number)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%lld", (long long)number);

    door_wire_field(writer, type, "", 0, digits, (size_t)len);
}

/* Writes the number's digits so that they finish before end.  Returns where they begin. */
static char *put_digits(uint64_t number, char *end)
{
    do {
        *--end = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return end;
}

/* Every result has this field, and it is made twice, so printf() would cost too much. */
static void put_served(struct door_wire_writer *writer, const struct door_rt_request *req)
{
    char text[48];
    char *end = text + sizeof(text);
    char *begin = put_digits((uint64_t)req->begun_ns, end);

    *--begin = ' ';
    begin = put_digits(req->thread->number, begin);
    door_wire_field(writer, DOOR_WIRE_SERVED, "", 0, begin, (size_t)(end - begin));
}

/*
 * Writes the head of a message, and returns its length.  A message for the response door has
 * the request's token; the final one has DOOR_WIRE_SERVED.
 */
static size_t encode_head(const struct door_rt_request *req, enum door_wire_kind kind,
                          unsigned flags, int is_final, char *buf, size_t cap)
{
    struct door_wire_writer writer;

    door_wire_begin(&writer, buf, cap);
    if (!is_final)
        door_wire_field(&writer, DOOR_WIRE_TOKEN, "", 0, req->part[DOOR_WIRE_TOKEN],
                        DOOR_WIRE_ID_LEN);
    else
        put_served(&writer, req);
    if (kind == DOOR_WIRE_RESPONSE && req->role != NULL)
        door_wire_field(&writer, DOOR_WIRE_ROLE, "", 0, req->role, strlen(req->role));
    if (kind == DOOR_WIRE_RESPONSE && req->has_own_status && req->status == 200)
        door_wire_field(&writer, DOOR_WIRE_OWN_STATUS, "", 0, "", 0);
    if (kind == DOOR_WIRE_RESPONSE)
        door_rt_list_write(&writer, DOOR_WIRE_HEADER, req->headers);
    if (is_final)
        door_rt_list_write(&writer, DOOR_WIRE_TRAILER, req->trailers);
    if (is_final)
        door_rt_list_write(&writer, DOOR_WIRE_LOG_FIELD, req->log_fields);
    if (req->file.fd != -1 && req->file.offset > 0)
        put_number(&writer, DOOR_WIRE_FILE_OFFSET, req->file.offset);
    if (req->file.fd != -1 && req->file.len != -1)
        put_number(&writer, DOOR_WIRE_FILE_LENGTH, req->file.len);
    return door_wire_end(&writer, kind,
                         kind == DOOR_WIRE_RESPONSE ? (unsigned)req->status
                         : kind == DOOR_WIRE_END    ? (unsigned)req->channel.failed
                                                    : 0,
                         flags, req->thread->body.len);
}

/* Returns where the head goes.  If the head is too long for its room, the body is moved. */
static char *place_head(struct door_rt_buffer *body, size_t head_len)
{
    size_t missing;

    if (head_len <= DOOR_RT_HEAD_ROOM)
        return body->bytes + DOOR_RT_HEAD_ROOM - head_len;
    missing = head_len - DOOR_RT_HEAD_ROOM;
    if (door_rt_buffer_room(body, missing) == -1)
        return NULL;
    memmove(body->bytes + head_len, body->bytes + DOOR_RT_HEAD_ROOM, body->len);
    return body->bytes;
}

static int make_message(struct door_rt_request *req, enum door_wire_kind kind, unsigned flags,
                        int is_final, char **message, size_t *len)
{
    struct door_rt_buffer *body = &req->thread->body;
    size_t head_len = encode_head(req, kind, flags, is_final, NULL, 0);

    if (head_len == 0 || door_rt_buffer_room(body, 0) == -1)
        return -1;
    *message = place_head(body, head_len);
    if (*message == NULL)
        return -1;
    encode_head(req, kind, flags, is_final, *message, head_len);
    *len = head_len + body->len;
    return 0;
}

/* A body without a declared type is text. */
static void default_type(struct door_rt_request *req)
{
    if (door_rt_list_find(req->headers, "Content-Type") == NULL)
        door_rt_list_put(&req->thread->arena, &req->headers, "Content-Type", "text/plain; charset=utf-8", 1);
}

int door_rt_send(struct door_rt_request *req, unsigned flags)
{
    enum door_wire_kind kind = req->is_begun ? DOOR_WIRE_PART : DOOR_WIRE_RESPONSE;
    int fd = req->file.fd;
    char *message;
    size_t len;

    if (req->channel.caller == NULL)
        return door_rt_fail(ENOTSUP);
    if (kind == DOOR_WIRE_RESPONSE)
        default_type(req);
    if (make_message(req, kind, flags, 0, &message, &len) == -1) {
        req->channel.failed = errno;
        return -1;
    }
    req->reserved = 0;
    req->is_begun = 1; /* even if sending fails: httpd may have got it */
    req->file.fd = -1;
    return door_rt_channel_send(&req->channel, message, len, fd, flags);
}

/* Sends the last part, and waits for all.  The final message is made in the thread's own memory. */
static void end_parts(struct door_rt_request *req)
{
    int are_used = door_rt_channel_has_parts(&req->channel);

    if (are_used && req->thread->body.len > 0 && req->channel.failed == 0 && !req->channel.no_body)
        door_rt_send(req, 0);
    door_rt_channel_settle(&req->channel);
    if (are_used)
        door_rt_buffer_reset(&req->thread->body);
}

int door_rt_response(struct door_rt_request *req, char **message, size_t *len)
{
    unsigned flags = req->is_excess ? DOOR_WIRE_EXCESS : 0;

    end_parts(req);
    if (req->is_begun)
        return make_message(req, DOOR_WIRE_END, flags | (req->channel.failed != 0 ? DOOR_WIRE_FAILED : 0),
                            1, message, len);
    if (req->channel.failed != 0)
        return door_rt_fail(req->channel.failed);
    if (req->thread->body.len > 0 || req->file.fd != -1)
        default_type(req);
    return make_message(req, DOOR_WIRE_RESPONSE, flags, 1, message, len);
}

/* ---------------------------------------------------------------- public */

int door_app_flush(struct door_app_request *handle)
{
    struct door_rt_request *req = door_rt_request(handle);

    if (req == NULL)
        return -1;
    if (req->channel.caller == NULL)
        return door_rt_fail(ENOTSUP);
    if (req->channel.failed != 0)
        return door_rt_fail(req->channel.failed);
    return req->channel.no_body ? 0 : door_rt_send(req, DOOR_WIRE_FLUSH);
}

int door_app_early_hints(struct door_app_request *handle)
{
    struct door_rt_request *req = door_rt_request(handle);
    struct door_wire_writer writer = {0};
    door_arg_t arg = {0};
    size_t links = 0;

    if (req == NULL)
        return -1;
    if (req->channel.caller == NULL || req->is_begun)
        return door_rt_fail(req->channel.caller == NULL ? ENOTSUP : EALREADY);
    for (int pass = 0; pass < 2; pass++) { /* the first pass measures, the second writes */
        door_wire_begin(&writer, arg.data_ptr, arg.data_size);
        door_wire_field(&writer, DOOR_WIRE_TOKEN, "", 0, req->part[DOOR_WIRE_TOKEN],
                        DOOR_WIRE_ID_LEN);
        for (const struct door_rt_header *h = req->headers; h != NULL; h = h->next) {
            if (!door_rt_same_name(h->name, "Link"))
                continue;
            door_wire_field(&writer, DOOR_WIRE_HEADER, h->name, strlen(h->name), h->value,
                            strlen(h->value));
            links++;
        }
        if (pass == 0 && (links == 0 || writer.len == SIZE_MAX))
            return door_rt_fail(EINVAL);
        if (pass == 0)
            arg.data_ptr = door_rt_alloc(&req->thread->arena, writer.len);
        if (arg.data_ptr == NULL)
            return -1;
        arg.data_size = writer.len;
    }
    door_wire_end(&writer, DOOR_WIRE_RESPONSE, 103, DOOR_WIRE_FLUSH, 0);
    return door_rt_channel_call(&req->channel, &arg);
}
