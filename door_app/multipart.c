/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * multipart.c: forms with files (multipart/form-data, RFC 7578), read part by part
 * as they come.  Even a long file passes through one small buffer.
 *
 * The body is a sequence of parts, each behind a delimiter: a line end, "--" and the
 * boundary.  The first delimiter has no line end, so one is put into the buffer before
 * the body is read.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fail.h"
#include "form.h"
#include "request.h"

#define BUFFER_LEN   (32 * 1024)
#define HEADERS_MAX  (8 * 1024) /* bytes of one part's headers */
#define BOUNDARY_MAX 70         /* RFC 2046, 5.1.1 */

struct door_rt_multipart {
    unsigned parts; /* parts that have begun */
    int is_at_end;
    size_t delimiter_len;
    char delimiter[4 + BOUNDARY_MAX + 1];
    char *start, *end; /* bytes in buffer that were read and not used yet */
    char buffer[BUFFER_LEN];
};

/* ---------------------------------------------------------------- headers */

/* Copies a value, without its quotes and backslashes if it is quoted.  Returns where it ends. */
static const char *take_value(const char *from, char *to)
{
    int is_quoted = *from == '"';

    from += is_quoted;
    for (; *from != '\0' && strchr(is_quoted ? "\"" : "; \t", *from) == NULL; from++) {
        if (is_quoted && *from == '\\' && (from[1] == '"' || from[1] == '\\'))
            from++;
        *to++ = *from;
    }
    *to = '\0';
    return from;
}

/* The value of a parameter in a header such as "form-data; name=\"a\"; x=y", or NULL. */
static const char *parameter(struct door_rt_arena *arena, const char *header, const char *name)
{
    char *value = door_rt_alloc(arena, strlen(header) + 1);
    const char *at = header;

    while (value != NULL && (at = strchr(at, ';')) != NULL) {
        const char *key = at + 1 + strspn(at + 1, " \t");

        at = key + strcspn(key, "=; \t");
        if (*at == '=') {
            int is_wanted = door_rt_is_name(name, key, (size_t)(at - key));

            at = take_value(at + 1, value);
            if (is_wanted)
                return value;
        }
    }
    return NULL;
}

/* Reads the header lines of len bytes at text. */
static int read_headers(struct door_rt_arena *arena, const char *text, size_t len,
                        struct door_app_part *part)
{
    const char *disposition = NULL;
    char *line = door_rt_copy(arena, text, len);
    char *end, *value;

    if (line == NULL)
        return -1;
    if (strlen(line) != len)
        return door_rt_fail(EBADMSG);
    for (; line != NULL; line = end) {
        end = strstr(line, "\r\n");
        if (end != NULL) {
            *end = '\0';
            end += 2;
        }
        value = strchr(line, ':');
        if (value == NULL)
            return door_rt_fail(EBADMSG);
        *value++ = '\0';
        value += strspn(value, " \t");
        if (door_rt_same_name(line, "Content-Disposition"))
            disposition = value;
        else if (door_rt_same_name(line, "Content-Type"))
            part->content_type = value;
    }
    if (!door_rt_is_type(disposition, "form-data"))
        return door_rt_fail(EBADMSG);
    part->name = parameter(arena, disposition, "name");
    part->filename = parameter(arena, disposition, "filename");
    return part->name != NULL ? 0 : door_rt_fail(EBADMSG);
}

/* ---------------------------------------------------------------- reading */

static size_t available(const struct door_rt_multipart *m)
{
    return (size_t)(m->end - m->start);
}

/* Reads more bytes behind those in the buffer.  EBADMSG: the body has ended, or no room is left. */
static int fill(struct door_app_request *handle, struct door_rt_multipart *m)
{
    ssize_t got;

    memmove(m->buffer, m->start, available(m));
    m->end = m->buffer + available(m);
    m->start = m->buffer;
    if (m->end == m->buffer + BUFFER_LEN)
        return door_rt_fail(EBADMSG);
    got = door_app_read(handle, m->end, (size_t)(m->buffer + BUFFER_LEN - m->end));
    if (got == -1)
        return -1;
    m->end += got;
    return got > 0 ? 0 : door_rt_fail(EBADMSG);
}

/* How many bytes from start on belong to the part; 0 if the delimiter is next; or -1. */
static ssize_t content_len(struct door_app_request *handle, struct door_rt_multipart *m)
{
    for (;;) {
        char *delimiter = memmem(m->start, available(m), m->delimiter, m->delimiter_len);

        if (delimiter != NULL)
            return delimiter - m->start;
        if (available(m) >= m->delimiter_len) /* the last bytes may be the beginning of one */
            return (ssize_t)(available(m) - m->delimiter_len + 1);
        if (fill(handle, m) == -1)
            return -1;
    }
}

/* Reads what is behind a delimiter: "--" at the end, otherwise a line end and headers. */
static int begin_part(struct door_app_request *handle, struct door_rt_request *req,
                      struct door_rt_multipart *m, struct door_app_part *part)
{
    char *headers, *end;

    while (available(m) < m->delimiter_len + 2)
        if (fill(handle, m) == -1)
            return -1;
    m->start += m->delimiter_len;
    if (strncmp(m->start, "--", 2) == 0) {
        m->is_at_end = 1;
        return 0;
    }
    if (++m->parts > DOOR_APP_FIELDS_MAX)
        return door_rt_fail(E2BIG);
    /* Headers end with two line ends.  Without headers, the first is the delimiter's own. */
    while ((end = memmem(m->start, available(m), "\r\n\r\n", 4)) == NULL &&
           available(m) <= HEADERS_MAX)
        if (fill(handle, m) == -1)
            return -1;
    if (end == NULL || end - m->start > HEADERS_MAX)
        return door_rt_fail(E2BIG);
    headers = m->start + 2;
    if (strncmp(m->start, "\r\n", 2) != 0 || end < headers)
        return door_rt_fail(EBADMSG);
    m->start = end + 4;
    return read_headers(&req->thread->arena, headers, (size_t)(end - headers), part);
}

/* ---------------------------------------------------------------- public */

static int start(struct door_app_request *handle, struct door_rt_request *req)
{
    const char *type = door_app_header(handle, "Content-Type");
    struct door_rt_multipart *m;
    const char *boundary;

    if (!door_rt_is_type(type, "multipart/form-data"))
        return door_rt_fail(EPROTONOSUPPORT);
    boundary = parameter(&req->thread->arena, type, "boundary");
    if (boundary == NULL || *boundary == '\0' || strlen(boundary) > BOUNDARY_MAX)
        return door_rt_fail(EBADMSG);
    m = door_rt_alloc(&req->thread->arena, sizeof(*m));
    if (m == NULL)
        return -1;
    m->parts = 0;
    m->is_at_end = 0;
    m->delimiter_len = (size_t)sprintf(m->delimiter, "\r\n--%s", boundary);
    memcpy(m->buffer, "\r\n", 2);
    m->start = m->buffer;
    m->end = m->buffer + 2;
    req->multipart = m;
    return 0;
}

int door_app_part_next(struct door_app_request *handle, struct door_app_part *part)
{
    struct door_rt_request *req = door_rt_request(handle);
    struct door_rt_multipart *m;
    ssize_t len;

    memset(part, 0, sizeof(*part));
    if (req == NULL)
        return -1;
    if (req->multipart == NULL && start(handle, req) == -1)
        return door_rt_refuse_body(handle, errno);
    m = req->multipart;
    if (m->is_at_end)
        return 0;
    while ((len = content_len(handle, m)) > 0)
        m->start += len;
    if (len == -1 || begin_part(handle, req, m, part) == -1)
        return door_rt_refuse_body(handle, errno);
    return !m->is_at_end;
}

ssize_t door_app_part_read(struct door_app_request *handle, void *buf, size_t len)
{
    struct door_rt_request *req = door_rt_request(handle);
    struct door_rt_multipart *m = req != NULL ? req->multipart : NULL;
    ssize_t content;

    if (m == NULL || m->parts == 0 || m->is_at_end || len == 0)
        return req != NULL ? 0 : -1;
    content = content_len(handle, m);
    if (content == -1)
        return door_rt_refuse_body(handle, errno);
    if (len > (size_t)content)
        len = (size_t)content;
    memcpy(buf, m->start, len);
    m->start += len;
    return (ssize_t)len;
}
