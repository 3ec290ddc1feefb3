/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * cgi_head.c: see cgi_head.h.
 */
#include "cgi_head.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <door_app.h>

static int fail(int error)
{
    errno = error;
    return -1;
}

static int make_room(struct cgi_head *head, size_t more)
{
    size_t cap = 2 * (head->len + more) + 1024;
    char *bytes;

    if (head->len + more < head->cap) /* and a NUL */
        return 0;
    bytes = realloc(head->bytes, cap);
    if (bytes == NULL)
        return fail(ENOMEM);
    head->bytes = bytes;
    head->cap = cap;
    return 0;
}

/* Is the line that has just ended empty?  Lines end with LF, or CR LF. */
static int is_at_end(const struct cgi_head *head)
{
    const char *at = head->bytes + head->len - 1; /* an LF */

    if (at > head->bytes && at[-1] == '\r')
        at--;
    return at == head->bytes || at[-1] == '\n';
}

int cgi_head_take(struct cgi_head *head, const char *bytes, size_t len, size_t *taken)
{
    *taken = 0;
    while (*taken < len) {
        const char *at = bytes + *taken;
        const char *line_end = memchr(at, '\n', len - *taken);
        size_t some = line_end != NULL ? (size_t)(line_end + 1 - at) : len - *taken;

        if (some > CGI_HEAD_MAX - head->len)
            return fail(EMSGSIZE);
        if (make_room(head, some) == -1)
            return -1;
        memcpy(head->bytes + head->len, at, some);
        head->len += some;
        *taken += some;
        if (line_end != NULL && is_at_end(head))
            return 1;
    }
    return 0;
}

/* "404 Not Found" */
static int take_status(struct door_app_request *req, const char *value)
{
    char *end;
    long status = strtol(value, &end, 10);

    if (!isdigit((unsigned char)*value) || end != value + 3 || (*end != '\0' && *end != ' ') ||
        door_app_status(req, (int)status) == -1)
        return fail(EBADMSG);
    return 0;
}

/* Those of which a response has one: the last one counts, as with httpd's CGI. */
static int is_single(const char *name)
{
    return strcasecmp(name, "Content-Type") == 0 || strcasecmp(name, "Content-Length") == 0 ||
           strcasecmp(name, "Location") == 0;
}

static int take_header(struct cgi_head *head, struct door_app_request *req, const char *name,
                       const char *value)
{
    int result;

    if (head->own_name != NULL && strcasecmp(name, head->own_name) == 0) {
        head->own_value = value;
        return 0;
    }
    result = is_single(name) ? door_app_header_set(req, name, value)
                             : door_app_header_add(req, name, value);
    return result == 0 || errno == ENOMEM ? result : fail(EBADMSG);
}

/* The name ends where its colon was; the value has no blanks around it.  NULL: no header. */
static const char *split(char *line, size_t len)
{
    char *colon = memchr(line, ':', len), *value;

    if (memchr(line, '\0', len) != NULL || colon == NULL)
        return NULL;
    while (len > 0 && strchr(" \t\r", line[len - 1]) != NULL)
        len--;
    line[len] = '\0';
    *colon = '\0';
    value = colon + 1;
    return value + strspn(value, " \t");
}

int cgi_head_apply(struct cgi_head *head, struct door_app_request *req, const char **wrong)
{
    const char *location = NULL;
    int has_status = 0;
    char *end;

    for (char *line = head->bytes; line < head->bytes + head->len; line = end + 1) {
        size_t len;
        const char *value;
        int result;

        end = memchr(line, '\n', (size_t)(head->bytes + head->len - line));
        len = (size_t)(end - line);
        *wrong = line;
        if (len == 0 || (len == 1 && line[0] == '\r'))
            break;
        *end = '\0';
        value = split(line, len);
        if (value == NULL)
            return fail(EBADMSG);
        if (strcasecmp(line, "Location") == 0)
            location = value;
        has_status |= strcasecmp(line, "Status") == 0;
        result = strcasecmp(line, "Status") == 0 ? take_status(req, value)
                                                 : take_header(head, req, line, value);
        if (result == -1)
            return -1;
    }
    if (location != NULL && location[0] != '/' && !has_status)
        door_app_status(req, 302);
    return 0;
}

void cgi_head_free(struct cgi_head *head)
{
    free(head->bytes);
    memset(head, 0, sizeof(*head));
}
