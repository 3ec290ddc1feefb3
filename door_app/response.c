/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * response.c: collects a response and makes the message of it.  The body grows
 * behind some head room in the thread's buffer; at the end the head is put right
 * in front of it, and door_return() gets both as one piece that was never
 * copied together.  What a handler sets is checked here, so that a mistake is
 * the handler's to see; mod_door checks again and trusts nobody.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "app.h"

static int fail(int error)
{
    errno = error;
    return -1;
}

/* Of RFC 9110's tchar; by hand because isalnum() asks the locale. */
static int is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static int is_header_name(const char *name)
{
    size_t len = 0;

    while (is_token_char(name[len]))
        len++;
    return len > 0 && len <= UINT16_MAX && name[len] == '\0';
}

static int is_header_value(const char *value)
{
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return 0;
    }
    return 1;
}

int door_app_status(struct door_app_request *req, int status)
{
    if (status < 200 || status > 599)
        return fail(EINVAL);
    req->status = status;
    return 0;
}

static struct door_rt_header *new_header(struct door_app_request *req, const char *name,
                                         const char *value)
{
    struct door_rt_arena *arena = &req->thread->arena;
    struct door_rt_header *header = door_rt_alloc(arena, sizeof(*header));

    if (header == NULL)
        return NULL;
    header->next = NULL;
    header->name = door_rt_copy(arena, name, strlen(name));
    header->value = door_rt_copy(arena, value, strlen(value));
    return header->name != NULL && header->value != NULL ? header : NULL;
}

static void append_header(struct door_app_request *req, struct door_rt_header *header)
{
    struct door_rt_header **end = &req->headers;

    while (*end != NULL)
        end = &(*end)->next;
    *end = header;
}

static void remove_headers(struct door_app_request *req, const char *name)
{
    struct door_rt_header **link = &req->headers;

    while (*link != NULL) {
        if (door_rt_same_name((*link)->name, name))
            *link = (*link)->next;
        else
            link = &(*link)->next;
    }
}

static int put_header(struct door_app_request *req, const char *name, const char *value,
                      int replace)
{
    struct door_rt_header *header;

    if (name == NULL || value == NULL || !is_header_name(name) || !is_header_value(value))
        return fail(EINVAL);
    header = new_header(req, name, value);
    if (header == NULL) {
        req->failed = errno;
        return -1;
    }
    if (replace)
        remove_headers(req, name);
    append_header(req, header);
    return 0;
}

int door_app_header_set(struct door_app_request *req, const char *name, const char *value)
{
    if (value != NULL)
        return put_header(req, name, value, 1);
    if (name == NULL || !is_header_name(name))
        return fail(EINVAL);
    remove_headers(req, name);
    return 0;
}

int door_app_header_add(struct door_app_request *req, const char *name, const char *value)
{
    return put_header(req, name, value, 0);
}

int door_app_content_type(struct door_app_request *req, const char *type)
{
    return door_app_header_set(req, "Content-Type", type);
}

static int want_room(struct door_app_request *req, size_t len)
{
    if (door_rt_buffer_room(&req->thread->body, len) == 0)
        return 0;
    req->failed = errno;
    return -1;
}

int door_app_write(struct door_app_request *req, const void *data, size_t len)
{
    struct door_rt_buffer *body = &req->thread->body;

    if (len == 0)
        return 0;
    if (want_room(req, len) == -1)
        return -1;
    memcpy(body->bytes + DOOR_RT_HEAD_ROOM + body->len, data, len);
    body->len += len;
    return 0;
}

/* Formats into what is free; only if that was too small, again into enough. */
int door_app_printf(struct door_app_request *req, const char *format, ...)
{
    struct door_rt_buffer *body = &req->thread->body;
    size_t room;
    va_list args;
    int len;

    if (want_room(req, 1) == -1)
        return -1;
    room = body->cap - DOOR_RT_HEAD_ROOM - body->len;
    va_start(args, format);
    len = vsnprintf(body->bytes + DOOR_RT_HEAD_ROOM + body->len, room, format, args);
    va_end(args);
    if (len >= 0 && (size_t)len >= room) {
        room = (size_t)len + 1;
        if (want_room(req, room) == -1)
            return -1;
        va_start(args, format);
        len = vsnprintf(body->bytes + DOOR_RT_HEAD_ROOM + body->len, room, format, args);
        va_end(args);
    }
    if (len < 0) {
        req->failed = errno;
        return -1;
    }
    body->len += (size_t)len;
    return 0;
}

static size_t encode_head(const struct door_app_request *req, char *buf, size_t cap)
{
    struct door_wire_writer writer;

    door_wire_begin(&writer, buf, cap);
    for (const struct door_rt_header *header = req->headers; header != NULL; header = header->next)
        door_wire_field(&writer, DOOR_WIRE_HEADER, header->name, strlen(header->name),
                        header->value, strlen(header->value));
    return door_wire_end(&writer, DOOR_WIRE_RESPONSE, (unsigned)req->status, 0, req->thread->body.len);
}

/* Moves the body up if the head is one of the rare ones that find no room before it. */
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

static int has_header(const struct door_app_request *req, const char *name)
{
    const struct door_rt_header *header = req->headers;

    while (header != NULL && !door_rt_same_name(header->name, name))
        header = header->next;
    return header != NULL;
}

size_t door_rt_response(struct door_app_request *req, char **message)
{
    struct door_rt_buffer *body = &req->thread->body;
    size_t head_len;

    if (body->len > 0 && !has_header(req, "Content-Type"))
        door_app_content_type(req, "text/plain; charset=utf-8");
    if (req->failed == 0 && door_rt_buffer_room(body, 0) == -1)
        req->failed = errno;
    if (req->failed != 0) {
        errno = req->failed;
        return 0;
    }
    head_len = encode_head(req, NULL, 0);
    if (head_len == 0)
        return 0;
    *message = place_head(body, head_len);
    if (*message == NULL)
        return 0;
    encode_head(req, *message, head_len);
    return head_len + body->len;
}

size_t door_rt_plain(char *buf, size_t cap, unsigned status, const char *text)
{
    static const char name[] = "Content-Type";
    static const char value[] = "text/plain; charset=utf-8";
    struct door_wire_writer writer;
    size_t text_len = strlen(text);
    size_t head_len;

    door_wire_begin(&writer, buf, cap);
    door_wire_field(&writer, DOOR_WIRE_HEADER, name, sizeof(name) - 1, value, sizeof(value) - 1);
    head_len = door_wire_end(&writer, DOOR_WIRE_RESPONSE, status, 0, text_len);
    if (head_len + text_len > cap)
        return 0;
    memcpy(buf + head_len, text, text_len);
    return head_len + text_len;
}
