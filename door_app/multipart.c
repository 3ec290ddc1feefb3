/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * multipart.c: forms with files (multipart/form-data, RFC 7578), part by part
 * as they come: a file of any length passes through one buffer.
 *
 * The body is a row of parts, each behind a delimiter: a line end, "--" and
 * the boundary.  The first delimiter has no line end in front: one is put into
 * the buffer before anything is read.
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "app.h"

#define BUFFER_LEN   (32 * 1024)
#define HEADERS_MAX  (8 * 1024) /* bytes of one part's headers */
#define BOUNDARY_MAX 70         /* RFC 2046, 5.1.1 */

enum state { BEFORE_PART, IN_PART, AT_END };

struct door_rt_multipart {
    enum state state;
    unsigned parts;
    size_t delimiter_len;
    char delimiter[4 + BOUNDARY_MAX + 1];
    char *start, *end; /* what was read and not used yet */
    char buffer[BUFFER_LEN];
};

/* ---------------------------------------------------------------- headers */

/* The parameter's value in "form-data; name=\"a\"; x=y", decoded; or NULL. */
static const char *parameter(struct door_rt_arena *arena, const char *header, const char *name)
{
    size_t name_len = strlen(name);
    const char *at = strchr(header, ';');

    while (at != NULL && *at == ';') {
        const char *key = at + 1 + strspn(at + 1, " \t");
        size_t key_len = strcspn(key, "=; \t");
        const char *value = key + key_len;
        char *copy;
        size_t len = 0;

        if (*value != '=') {
            at = strchr(value, ';');
            continue;
        }
        value++;
        copy = door_rt_alloc(arena, strlen(value) + 1);
        if (copy == NULL)
            return NULL;
        if (*value == '"') {
            for (value++; *value != '\0' && *value != '"'; value++) {
                if (*value == '\\' && (value[1] == '"' || value[1] == '\\'))
                    value++;
                copy[len++] = *value;
            }
            at = strchr(value, ';');
        } else {
            len = strcspn(value, "; \t");
            memcpy(copy, value, len);
            at = strchr(value + len, ';');
        }
        copy[len] = '\0';
        if (key_len == name_len && strncasecmp(key, name, name_len) == 0)
            return copy;
    }
    return NULL;
}

/* Reads the header lines of len bytes at text, which this cuts into strings. */
static int read_headers(struct door_rt_arena *arena, char *text, size_t len,
                        struct door_app_part *part)
{
    const char *disposition = NULL;
    char *copy = door_rt_copy(arena, text, len);

    memset(part, 0, sizeof(*part));
    if (copy == NULL)
        return ENOMEM;
    if (strlen(copy) != len)
        return EBADMSG;
    while (*copy != '\0') {
        char *end = strstr(copy, "\r\n");
        char *colon;
        char *value;

        if (end != NULL)
            *end = '\0';
        colon = strchr(copy, ':');
        if (colon == NULL)
            return EBADMSG;
        *colon = '\0';
        value = colon + 1 + strspn(colon + 1, " \t");
        if (door_rt_same_name(copy, "Content-Disposition"))
            disposition = value;
        else if (door_rt_same_name(copy, "Content-Type"))
            part->content_type = value;
        if (end == NULL)
            break;
        copy = end + 2;
    }
    if (disposition == NULL || !door_rt_is_type(disposition, "form-data"))
        return EBADMSG;
    part->name = parameter(arena, disposition, "name");
    part->filename = parameter(arena, disposition, "filename");
    return part->name != NULL ? 0 : EBADMSG;
}

/* ---------------------------------------------------------------- reading */

static size_t available(const struct door_rt_multipart *m)
{
    return (size_t)(m->end - m->start);
}

/* More bytes behind those that there are: 0, or an errno value; EBADMSG at the end. */
static int fill(struct door_app_request *handle, struct door_rt_multipart *m)
{
    ssize_t got;

    if (m->start > m->buffer) {
        memmove(m->buffer, m->start, available(m));
        m->end = m->buffer + available(m);
        m->start = m->buffer;
    }
    if (m->end == m->buffer + BUFFER_LEN)
        return EBADMSG;
    got = door_app_read(handle, m->end, (size_t)(m->buffer + BUFFER_LEN - m->end));
    if (got == -1)
        return errno;
    m->end += got;
    return got > 0 ? 0 : EBADMSG;
}

static int need(struct door_app_request *handle, struct door_rt_multipart *m, size_t len)
{
    int error = 0;

    while (error == 0 && available(m) < len)
        error = fill(handle, m);
    return error;
}

/* How many bytes from start on belong to the part; 0 with *is_end: the delimiter is next. */
static int find_content(struct door_app_request *handle, struct door_rt_multipart *m, size_t *len,
                        int *is_end)
{
    for (;;) {
        char *delimiter = memmem(m->start, available(m), m->delimiter, m->delimiter_len);
        int error;

        *is_end = delimiter != NULL;
        if (delimiter != NULL)
            *len = (size_t)(delimiter - m->start);
        else if (available(m) >= m->delimiter_len)
            *len = available(m) - m->delimiter_len + 1;
        else
            *len = 0;
        if (*len > 0 || *is_end)
            return 0;
        error = fill(handle, m);
        if (error != 0)
            return error;
    }
}

static int skip_content(struct door_app_request *handle, struct door_rt_multipart *m)
{
    int error, is_end;
    size_t len;

    do {
        error = find_content(handle, m, &len, &is_end);
        if (error == 0)
            m->start += len;
    } while (error == 0 && !is_end);
    return error;
}

/* What stands behind a delimiter: "--" at the end, otherwise a line end and headers. */
static int begin_part(struct door_app_request *handle, struct door_rt_request *req,
                      struct door_rt_multipart *m, struct door_app_part *part)
{
    int error = need(handle, m, m->delimiter_len + 2);
    char *headers_end;

    if (error != 0)
        return error;
    m->start += m->delimiter_len;
    if (m->start[0] == '-' && m->start[1] == '-') {
        m->state = AT_END;
        return 0;
    }
    if (++m->parts > DOOR_APP_FIELDS_MAX)
        return E2BIG;
    /* Two line ends in a row; the first may be the delimiter's own: no headers. */
    while ((headers_end = memmem(m->start, available(m), "\r\n\r\n", 4)) == NULL) {
        if (available(m) > HEADERS_MAX)
            return E2BIG;
        error = fill(handle, m);
        if (error != 0)
            return error;
    }
    if (strncmp(m->start, "\r\n", 2) != 0 || headers_end == m->start)
        return EBADMSG;
    error =
        read_headers(&req->thread->arena, m->start + 2, (size_t)(headers_end - m->start - 2), part);
    m->start = headers_end + 4;
    m->state = IN_PART;
    return error;
}

/* ---------------------------------------------------------------- public */

static int start(struct door_app_request *handle, struct door_rt_request *req)
{
    const char *type = door_app_header(handle, "Content-Type");
    struct door_rt_multipart *m;
    const char *boundary;

    if (!door_rt_is_type(type, "multipart/form-data"))
        return EPROTONOSUPPORT;
    boundary = parameter(&req->thread->arena, type, "boundary");
    if (boundary == NULL || *boundary == '\0' || strlen(boundary) > BOUNDARY_MAX)
        return EBADMSG;
    m = door_rt_alloc(&req->thread->arena, sizeof(*m));
    if (m == NULL)
        return ENOMEM;
    m->state = BEFORE_PART;
    m->parts = 0;
    strcpy(m->delimiter, "\r\n--");
    strcat(m->delimiter, boundary);
    m->delimiter_len = strlen(m->delimiter);
    memcpy(m->buffer, "\r\n", 2);
    m->start = m->buffer;
    m->end = m->buffer + 2;
    req->multipart = m;
    return 0;
}

int door_app_part_next(struct door_app_request *handle, struct door_app_part *part)
{
    struct door_rt_request *req = door_rt_request(handle);
    int error = 0;

    memset(part, 0, sizeof(*part));
    if (req == NULL)
        return -1;
    if (req->multipart == NULL)
        error = start(handle, req);
    if (error == 0 && req->multipart->state == AT_END)
        return 0;
    if (error == 0)
        error = skip_content(handle, req->multipart);
    if (error == 0)
        error = begin_part(handle, req, req->multipart, part);
    if (error != 0)
        return door_rt_refuse_body(handle, error);
    return req->multipart->state == IN_PART;
}

ssize_t door_app_part_read(struct door_app_request *handle, void *buf, size_t len)
{
    struct door_rt_request *req = door_rt_request(handle);
    struct door_rt_multipart *m;
    size_t content;
    int error, is_end;

    if (req == NULL)
        return -1;
    m = req->multipart;
    if (m == NULL || m->state != IN_PART || len == 0)
        return 0;
    error = find_content(handle, m, &content, &is_end);
    if (error != 0)
        return door_rt_refuse_body(handle, error);
    if (len > content)
        len = content;
    memcpy(buf, m->start, len);
    m->start += len;
    return (ssize_t)len;
}
