/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * response.c: collects a response: its status, its headers, and its body, which
 * grows in the thread's buffer, or in a part's memory, behind room for the head.
 * message.c sends what is too long to be collected.  What a handler sets is checked
 * here, so that the handler gets the error; mod_door checks everything again.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "door_app.h"
#include "fail.h"
#include "message.h"
#include "request.h"

/* The request, unless the response's head was already sent. */
static struct door_rt_request *not_begun(struct door_app_request *handle)
{
    struct door_rt_request *req = door_rt_request(handle);

    if (req == NULL || !req->is_begun)
        return req;
    errno = EALREADY;
    return NULL;
}

int door_app_status(struct door_app_request *handle, int status)
{
    struct door_rt_request *req = not_begun(handle);

    if (req == NULL)
        return -1;
    if (status < 200 || status > 599)
        return door_rt_fail(EINVAL);
    req->status = status;
    req->has_own_status = 1;
    return 0;
}

/* ---------------------------------------------------------------- headers */

static int put_header(struct door_rt_request *req, struct door_rt_header **headers,
                      const char *name, const char *value, int replace)
{
    int result = door_rt_list_put(&req->thread->arena, headers, name, value, replace);

    if (result == -1 && errno != EINVAL)
        req->channel.failed = errno;
    return result;
}

int door_app_header_set(struct door_app_request *handle, const char *name, const char *value)
{
    struct door_rt_request *req = not_begun(handle);

    if (req == NULL)
        return -1;
    if (value != NULL)
        return put_header(req, &req->headers, name, value, 1);
    if (name == NULL || !door_rt_is_header_name(name))
        return door_rt_fail(EINVAL);
    door_rt_list_remove(&req->headers, name);
    return 0;
}

int door_app_header_add(struct door_app_request *handle, const char *name, const char *value)
{
    struct door_rt_request *req = not_begun(handle);

    return req != NULL ? put_header(req, &req->headers, name, value, 0) : -1;
}

int door_app_content_type(struct door_app_request *handle, const char *type)
{
    return door_app_header_set(handle, "Content-Type", type);
}

int door_app_trailer_add(struct door_app_request *handle, const char *name, const char *value)
{
    struct door_rt_request *req = door_rt_request(handle);

    return req != NULL ? put_header(req, &req->trailers, name, value, 0) : -1;
}

int door_app_log_field(struct door_app_request *handle, const char *name, const char *value)
{
    struct door_rt_request *req = door_rt_request(handle);
    const struct door_rt_header *field = req != NULL ? req->log_fields : NULL;
    int count = 0;

    if (req == NULL)
        return -1;
    if (name == NULL || value == NULL || strlen(name) > DOOR_APP_LOG_NAME_MAX ||
        strlen(value) > DOOR_APP_LOG_VALUE_MAX)
        return door_rt_fail(EINVAL);
    for (; field != NULL; field = field->next)
        count += !door_rt_same_name(field->name, name);
    if (count >= DOOR_APP_LOG_FIELDS_MAX)
        return door_rt_fail(ENOSPC);
    return put_header(req, &req->log_fields, name, value, 1);
}

/* ---------------------------------------------------------------- body */

/* The body's length by the handler's Content-Length, or UINT64_MAX. */
static uint64_t promised(const struct door_rt_request *req)
{
    const char *digits = door_rt_list_find(req->headers, "Content-Length");
    char *end;
    unsigned long long length;

    if (digits == NULL || *digits < '0' || *digits > '9')
        return UINT64_MAX;
    errno = 0;
    length = strtoull(digits, &end, 10);
    return errno == 0 && *end == '\0' ? length : UINT64_MAX;
}

/* How many of len bytes the Content-Length has room for. */
static size_t fitting(struct door_rt_request *req, size_t len)
{
    uint64_t left = promised(req) - req->written;

    if (len <= left)
        return len;
    req->is_excess = 1;
    return (size_t)left;
}

/* How many bytes are collected before they are sent. */
static size_t collected_max(const struct door_rt_request *req)
{
    return req->channel.caller == NULL ? SIZE_MAX : DOOR_RT_INLINE_MAX;
}

static char *body_end(const struct door_rt_request *req)
{
    const struct door_rt_buffer *body = &req->thread->body;

    return body->bytes + DOOR_RT_HEAD_ROOM + body->len;
}

static int make_room(struct door_rt_request *req, size_t len)
{
    if (door_rt_buffer_room(&req->thread->body, len) == 0)
        return 0;
    req->channel.failed = errno;
    return -1;
}

static int collect(struct door_rt_request *req, const char *data, size_t len)
{
    if (make_room(req, len) == -1)
        return -1;
    memcpy(body_end(req), data, len);
    req->thread->body.len += len;
    return 0;
}

/* What was collected is sent when there is enough of it and httpd has nothing to send. */
static int send_if_quiet(struct door_rt_request *req)
{
    if (req->thread->body.len >= DOOR_RT_INLINE_MAX && door_rt_channel_is_quiet(&req->channel))
        return door_rt_send(req, 0);
    return 0;
}

/*
 * Once there is too much to be collected, everything is sent in parts.  They are as long as
 * they may be, but a shorter one is sent if httpd has nothing to send at the moment.
 */
static int append_to_parts(struct door_rt_request *req, const char *data, size_t len)
{
    struct door_rt_buffer *body = &req->thread->body;

    while (len > 0 && door_rt_channel_make_room(&req->channel) == 0) {
        size_t room = DOOR_WIRE_PART_MAX - body->len;
        size_t piece = len < room ? len : room;

        if (req->channel.no_body)
            return 0;
        if (collect(req, data, piece) == -1)
            return -1;
        data += piece;
        len -= piece;
        if (piece == room && door_rt_send(req, 0) == -1)
            return -1;
    }
    return len == 0 ? send_if_quiet(req) : -1;
}

/* A message ends with its descriptor, so what comes behind that needs another message. */
static int send_file_first(struct door_rt_request *req)
{
    return req->file.fd != -1 ? door_rt_send(req, 0) : 0;
}

static int is_collected(const struct door_rt_request *req, size_t more)
{
    return !door_rt_channel_has_parts(&req->channel) &&
           more <= collected_max(req) - req->thread->body.len;
}

static int append(struct door_rt_request *req, const char *data, size_t len)
{
    req->reserved = 0;
    if (len == 0 || req->channel.no_body)
        return 0;
    if (send_file_first(req) == -1)
        return -1;
    return is_collected(req, len) ? collect(req, data, len) : append_to_parts(req, data, len);
}

static int write_body(struct door_rt_request *req, const char *data, size_t len)
{
    size_t fits = fitting(req, len);

    if (req->channel.failed != 0)
        return door_rt_fail(req->channel.failed);
    if (append(req, data, fits) == -1)
        return -1;
    req->written += fits;
    return fits == len ? 0 : door_rt_fail(EMSGSIZE);
}

int door_app_write(struct door_app_request *handle, const void *data, size_t len)
{
    struct door_rt_request *req = door_rt_request(handle);

    return req != NULL ? write_body(req, data, len) : -1;
}

/* ---------------------------------------------------------------- in place */

/* Room for wanted bytes in the part that is written next.  Sets *room to what there is. */
static int room_in_part(struct door_rt_request *req, size_t wanted, size_t *room)
{
    struct door_rt_buffer *body = &req->thread->body;

    if (door_rt_channel_make_room(&req->channel) == -1)
        return -1;
    if (wanted > DOOR_WIRE_PART_MAX - body->len &&
        (door_rt_send(req, 0) == -1 || door_rt_channel_make_room(&req->channel) == -1))
        return -1;
    *room = DOOR_WIRE_PART_MAX - body->len;
    return 0;
}

static int room_where_it_is_collected(struct door_rt_request *req, size_t wanted, size_t *room)
{
    struct door_rt_buffer *body = &req->thread->body;
    size_t most = collected_max(req) - body->len;

    if (make_room(req, wanted) == -1)
        return -1;
    *room = body->cap - DOOR_RT_HEAD_ROOM - body->len;
    if (*room > most)
        *room = most;
    return 0;
}

/* A response whose body nobody gets has room, too: what is made there is dropped. */
static char *reserve(struct door_rt_request *req, size_t wanted, size_t *room)
{
    if (req->channel.failed != 0) {
        errno = req->channel.failed;
        return NULL;
    }
    if ((!req->channel.no_body && send_file_first(req) == -1) ||
        (is_collected(req, wanted) ? room_where_it_is_collected(req, wanted, room)
                                   : room_in_part(req, wanted, room)) == -1)
        return NULL;
    req->reserved = *room;
    return body_end(req);
}

static int commit(struct door_rt_request *req, size_t len)
{
    size_t fits = fitting(req, len);

    req->reserved = 0;
    req->written += fits;
    if (!req->channel.no_body)
        req->thread->body.len += fits;
    if (door_rt_channel_has_parts(&req->channel) && send_if_quiet(req) == -1)
        return -1;
    return fits == len ? 0 : door_rt_fail(EMSGSIZE);
}

void *door_app_reserve(struct door_app_request *handle, size_t wanted, size_t *room)
{
    struct door_rt_request *req = door_rt_request(handle);
    size_t ignored;

    if (req == NULL)
        return NULL;
    if (wanted == 0 || wanted > DOOR_APP_RESERVE_MAX) {
        errno = EINVAL;
        return NULL;
    }
    return reserve(req, wanted, room != NULL ? room : &ignored);
}

int door_app_commit(struct door_app_request *handle, size_t len)
{
    struct door_rt_request *req = door_rt_request(handle);

    if (req == NULL)
        return -1;
    if (req->channel.failed != 0)
        return door_rt_fail(req->channel.failed);
    return len <= req->reserved ? commit(req, len) : door_rt_fail(EINVAL);
}

/* What does not fit into the room that there is, or stands behind a file that waits to be sent. */
static int print_elsewhere(struct door_rt_request *req, const char *format, va_list args)
{
    char *text;
    int len = vasprintf(&text, format, args);
    int result;

    if (len == -1) {
        req->channel.failed = errno;
        return -1;
    }
    result = write_body(req, text, (size_t)len);
    free(text);
    return result;
}

static int print_in_place(struct door_rt_request *req, const char *format, va_list args)
{
    va_list again;
    size_t room;
    char *at = reserve(req, 1, &room);
    int len, result;

    if (at == NULL)
        return -1;
    va_copy(again, args);
    len = vsnprintf(at, room, format, args);
    result = len >= 0 && (size_t)len < room ? commit(req, (size_t)len)
                                            : print_elsewhere(req, format, again);
    va_end(again);
    return result;
}

int door_app_printf(struct door_app_request *handle, const char *format, ...)
{
    struct door_rt_request *req = door_rt_request(handle);
    va_list args;
    int result;

    if (req == NULL)
        return -1;
    va_start(args, format);
    result = req->file.fd == -1 ? print_in_place(req, format, args)
                                : print_elsewhere(req, format, args);
    va_end(args);
    return result;
}

int door_app_fail(struct door_app_request *handle)
{
    struct door_rt_request *req = door_rt_request(handle);

    if (req == NULL)
        return -1;
    if (req->channel.failed == 0)
        req->channel.failed = ECANCELED;
    return 0;
}

int door_app_send_fd(struct door_app_request *handle, int fd, off_t offset, off_t len)
{
    struct door_rt_request *req = door_rt_request(handle);
    struct stat st;
    off_t part = 0;

    if (req == NULL || fstat(fd, &st) == -1)
        return -1;
    if (S_ISREG(st.st_mode))
        part = len == -1 ? st.st_size - offset : len;
    else if ((!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode)) || len != -1)
        return door_rt_fail(EINVAL);
    if (offset < 0 || part < 0 || (offset > 0 && offset > st.st_size - part))
        return door_rt_fail(EINVAL);
    if (S_ISREG(st.st_mode) && part > st.st_size)
        return door_rt_fail(EINVAL);
    if ((uint64_t)part > promised(req) - req->written)
        return door_rt_fail(EMSGSIZE);
    if (req->channel.failed != 0)
        return door_rt_fail(req->channel.failed);
    if (req->file.fd != -1 && door_rt_send(req, 0) == -1)
        return -1;
    req->written += (uint64_t)part;
    req->reserved = 0;
    if (req->channel.no_body)
        close(fd);
    else
        req->file = (struct door_rt_file){fd, offset, len};
    return 0;
}
