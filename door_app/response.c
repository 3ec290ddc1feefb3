/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * response.c: collects a response and makes messages of it: one, or as many as
 * it takes where the handler writes much or flushes.  The body grows behind some
 * head room in the thread's buffer, or a part's; then the head is put right in front
 * of it, and the doors get both as one piece that was never copied together.  What a
 * handler sets is checked here, so that a mistake is the handler's to see;
 * mod_door checks again and trusts nobody.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app.h"

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

/* For what can be set only before the head has gone. */
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

static struct door_rt_header *new_header(struct door_rt_arena *arena, const char *name,
                                         const char *value)
{
    struct door_rt_header *header = door_rt_alloc(arena, sizeof(*header));

    if (header == NULL)
        return NULL;
    header->next = NULL;
    header->name = door_rt_copy(arena, name, strlen(name));
    header->value = door_rt_copy(arena, value, strlen(value));
    return header->name != NULL && header->value != NULL ? header : NULL;
}

static void append_header(struct door_rt_header **headers, struct door_rt_header *header)
{
    if (*headers == NULL)
        *headers = header;
    else
        (*headers)->last->next = header;
    (*headers)->last = header;
}

static void remove_headers(struct door_rt_header **headers, const char *name)
{
    struct door_rt_header *header = *headers;

    *headers = NULL;
    while (header != NULL) {
        struct door_rt_header *next = header->next;

        header->next = NULL;
        if (!door_rt_same_name(header->name, name))
            append_header(headers, header);
        header = next;
    }
}

static const char *find_header(const struct door_rt_header *header, const char *name)
{
    while (header != NULL && !door_rt_same_name(header->name, name))
        header = header->next;
    return header != NULL ? header->value : NULL;
}

int door_rt_copy_fields(struct door_rt_arena *arena, struct door_wire_reader message,
                        enum door_wire_type type, struct door_rt_header **headers)
{
    struct door_wire_field field;

    while (door_wire_next(&message, &field)) {
        struct door_rt_header *header;

        if (field.type != type)
            continue;
        header = new_header(arena, field.name, field.value);
        if (header == NULL)
            return -1;
        append_header(headers, header);
    }
    return 0;
}

static int put_header(struct door_rt_request *req, struct door_rt_header **headers,
                      const char *name, const char *value, int replace)
{
    struct door_rt_header *header;

    if (name == NULL || value == NULL || !is_header_name(name) || !is_header_value(value))
        return door_rt_fail(EINVAL);
    header = new_header(&req->thread->arena, name, value);
    if (header == NULL) {
        req->failed = errno;
        return -1;
    }
    if (replace)
        remove_headers(headers, name);
    append_header(headers, header);
    return 0;
}

int door_app_header_set(struct door_app_request *handle, const char *name, const char *value)
{
    struct door_rt_request *req = not_begun(handle);

    if (req == NULL)
        return -1;
    if (value != NULL)
        return put_header(req, &req->headers, name, value, 1);
    if (name == NULL || !is_header_name(name))
        return door_rt_fail(EINVAL);
    remove_headers(&req->headers, name);
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

/* The body's whole length as the handler has announced it, or UINT64_MAX. */
static uint64_t promised(const struct door_rt_request *req)
{
    const char *digits = find_header(req->headers, "Content-Length");
    char *end;
    unsigned long long length;

    if (digits == NULL || *digits < '0' || *digits > '9')
        return UINT64_MAX;
    errno = 0;
    length = strtoull(digits, &end, 10);
    return errno == 0 && *end == '\0' ? length : UINT64_MAX;
}

/* How much of len bytes the announced length leaves room for. */
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
    return req->caller == NULL ? SIZE_MAX : DOOR_RT_INLINE_MAX;
}

static int collect(struct door_rt_request *req, const char *data, size_t len)
{
    struct door_rt_buffer *body = &req->thread->body;

    if (door_rt_buffer_room(body, len) == -1) {
        req->failed = errno;
        return -1;
    }
    memcpy(body->bytes + DOOR_RT_HEAD_ROOM + body->len, data, len);
    body->len += len;
    return 0;
}

/*
 * Once there is too much to be collected, all goes in parts: as long as they may be,
 * unless httpd has nothing to do.
 */
static int append_to_parts(struct door_rt_request *req, const char *data, size_t len)
{
    struct door_rt_buffer *body = &req->thread->body;

    while (len > 0 && door_rt_parts_make_room(req) == 0) {
        size_t room = DOOR_WIRE_PART_MAX - body->len;
        size_t piece = len < room ? len : room;

        if (req->no_body)
            return 0;
        if (collect(req, data, piece) == -1)
            return -1;
        data += piece;
        len -= piece;
        if (piece == room && door_rt_send(req, 0) == -1)
            return -1;
    }
    if (len == 0 && body->len >= DOOR_RT_INLINE_MAX && door_rt_parts_are_sent(req))
        return door_rt_send(req, 0);
    return len == 0 ? 0 : -1;
}

static int append(struct door_rt_request *req, const char *data, size_t len)
{
    if (len == 0 || req->no_body)
        return 0;
    /* A file ends a message: what comes behind it needs another one. */
    if (req->file.fd != -1 && door_rt_send(req, 0) == -1)
        return -1;
    if (!door_rt_parts_are_used(req) && len <= collected_max(req) - req->thread->body.len)
        return collect(req, data, len);
    return append_to_parts(req, data, len);
}

static int write_body(struct door_rt_request *req, const char *data, size_t len)
{
    size_t fits = fitting(req, len);

    if (req->failed != 0)
        return door_rt_fail(req->failed);
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

int door_app_printf(struct door_app_request *handle, const char *format, ...)
{
    struct door_rt_request *req = door_rt_request(handle);
    char *text;
    va_list args;
    int len;
    int result;

    if (req == NULL)
        return -1;
    va_start(args, format);
    len = vasprintf(&text, format, args);
    va_end(args);
    if (len == -1) {
        req->failed = errno;
        return -1;
    }
    result = write_body(req, text, (size_t)len);
    free(text);
    return result;
}

int door_app_abandon(struct door_app_request *handle, int status)
{
    struct door_rt_request *req = door_rt_request(handle);

    if (req == NULL)
        return -1;
    if (req->is_begun || door_rt_parts_are_used(req)) {
        if (req->failed == 0)
            req->failed = ECONNABORTED;
        return door_rt_fail(EALREADY);
    }
    if (status < 400 || status > 599)
        return door_rt_fail(EINVAL);
    if (req->file.fd != -1)
        close(req->file.fd);
    req->file.fd = -1;
    req->headers = req->trailers = NULL;
    req->thread->body.len = 0;
    req->written = 0;
    req->is_excess = 0;
    door_app_status(handle, status);
    return door_app_printf(handle, "%s\n", "The application cannot answer");
}

int door_app_flush(struct door_app_request *handle)
{
    struct door_rt_request *req = door_rt_request(handle);

    if (req == NULL)
        return -1;
    if (req->caller == NULL)
        return door_rt_fail(ENOTSUP);
    if (req->failed != 0)
        return door_rt_fail(req->failed);
    return req->no_body ? 0 : door_rt_send(req, DOOR_WIRE_FLUSH);
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
    if (req->failed != 0)
        return door_rt_fail(req->failed);
    if (req->file.fd != -1 && door_rt_send(req, 0) == -1)
        return -1;
    req->written += (uint64_t)part;
    if (req->no_body)
        close(fd);
    else
        req->file = (struct door_rt_file){fd, offset, len};
    return 0;
}

/* ---------------------------------------------------------------- messages */

static void put_headers(struct door_wire_writer *writer, enum door_wire_type type,
                        const struct door_rt_header *header)
{
    for (; header != NULL; header = header->next)
        door_wire_field(writer, type, header->name, strlen(header->name), header->value,
                        strlen(header->value));
}

static void put_number(struct door_wire_writer *writer, enum door_wire_type type, off_t number)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%lld", (long long)number);

    door_wire_field(writer, type, "", 0, digits, (size_t)len);
}

/* The head of a message; on the response door with the token. */
static size_t encode_head(const struct door_rt_request *req, enum door_wire_kind kind,
                          unsigned flags, int is_final, char *buf, size_t cap)
{
    struct door_wire_writer writer;

    door_wire_begin(&writer, buf, cap);
    if (!is_final)
        door_wire_field(&writer, DOOR_WIRE_TOKEN, "", 0, req->part[DOOR_WIRE_TOKEN],
                        DOOR_WIRE_ID_LEN);
    if (kind == DOOR_WIRE_RESPONSE && req->has_own_status && req->status == 200)
        door_wire_field(&writer, DOOR_WIRE_OWN_STATUS, "", 0, "", 0);
    if (kind == DOOR_WIRE_RESPONSE)
        put_headers(&writer, DOOR_WIRE_HEADER, req->headers);
    if (is_final)
        put_headers(&writer, DOOR_WIRE_TRAILER, req->trailers);
    if (is_final)
        put_headers(&writer, DOOR_WIRE_LOG_FIELD, req->log_fields);
    if (req->file.fd != -1 && req->file.offset > 0)
        put_number(&writer, DOOR_WIRE_FILE_OFFSET, req->file.offset);
    if (req->file.fd != -1 && req->file.len != -1)
        put_number(&writer, DOOR_WIRE_FILE_LENGTH, req->file.len);
    return door_wire_end(&writer, kind,
                         kind == DOOR_WIRE_RESPONSE ? (unsigned)req->status
                         : kind == DOOR_WIRE_END    ? (unsigned)req->failed
                                                    : 0,
                         flags, req->thread->body.len);
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

/* A body of no declared type is text. */
static void default_type(struct door_rt_request *req)
{
    if (find_header(req->headers, "Content-Type") == NULL)
        put_header(req, &req->headers, "Content-Type", "text/plain; charset=utf-8", 1);
}

int door_rt_message(struct door_rt_request *req, enum door_wire_kind kind, unsigned flags,
                    char **message, size_t *len)
{
    if (kind == DOOR_WIRE_RESPONSE)
        default_type(req);
    return make_message(req, kind, flags, 0, message, len);
}

/* The end of the response goes from the thread's own memory: that of the parts is given back. */
static void end_parts(struct door_rt_request *req)
{
    int are_used = door_rt_parts_are_used(req);

    if (are_used && req->thread->body.len > 0 && req->failed == 0 && !req->no_body)
        door_rt_send(req, 0);
    door_rt_parts_settle(req);
    if (are_used)
        door_rt_buffer_reset(&req->thread->body);
}

int door_rt_response(struct door_rt_request *req, char **message, size_t *len)
{
    unsigned flags = req->is_excess ? DOOR_WIRE_EXCESS : 0;

    end_parts(req);
    if (req->is_begun)
        return make_message(req, DOOR_WIRE_END, flags | (req->failed != 0 ? DOOR_WIRE_FAILED : 0),
                            1, message, len);
    if (req->failed != 0)
        return door_rt_fail(req->failed);
    if (req->thread->body.len > 0 || req->file.fd != -1)
        default_type(req);
    return make_message(req, DOOR_WIRE_RESPONSE, flags, 1, message, len);
}

size_t door_rt_bare(char *buf, size_t cap, enum door_wire_kind kind, unsigned status,
                    unsigned flags)
{
    struct door_wire_writer writer;

    door_wire_begin(&writer, buf, cap);
    return door_wire_end(&writer, kind, status, flags, 0);
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
