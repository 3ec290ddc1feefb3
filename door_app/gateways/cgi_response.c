/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * cgi_response.c: see cgi_response.h.  The whole head is looked at before any of it
 * is set, so that whoever finds nonsense in it can still answer something else.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cgi_response.h"

static int fail(int error)
{
    errno = error;
    return -1;
}

/* ---------------------------------------------------------------- lines */

/*
 * The head's length with the empty line at its end, from what has come; 0: not all of it.
 * Goes on where it has stopped: a head may come byte by byte.
 */
static size_t find_end(struct cgi_response *response)
{
    const char *head = response->head;
    size_t i;

    while ((i = response->looked_len) < response->head_len) {
        response->looked_len++;
        if (head[i] != '\n')
            continue;
        if (i == response->line || (i == response->line + 1 && head[i - 1] == '\r'))
            return i + 1;
        response->line = i + 1;
    }
    return 0;
}

/* The next line, without its end, which becomes a NUL; NULL: that was the last. */
static char *next_line(char **at)
{
    char *line = *at;
    char *end = strchr(line, '\n');

    *at = end + 1;
    if (end > line && end[-1] == '\r')
        end--;
    *end = '\0';
    return *line != '\0' ? line : NULL;
}

/* The value of "name: value", whose name then ends there; or NULL. */
static char *split(char *line)
{
    char *value = strchr(line, ':');
    char *end;

    if (value == NULL || value == line || isspace((unsigned char)value[-1]))
        return NULL;
    *value++ = '\0';
    value += strspn(value, " \t");
    for (end = value + strlen(value); end > value && (end[-1] == ' ' || end[-1] == '\t'); end--)
        continue;
    *end = '\0';
    return value;
}

/* "404" or "404 Not Found": its number, or 0 if a response cannot have it. */
static int read_status(const char *text)
{
    int status = 0, digits = 0;

    for (; isdigit((unsigned char)text[digits]) && digits < 4; digits++)
        status = 10 * status + (text[digits] - '0');
    if (digits != 3 || (text[3] != '\0' && text[3] != ' ') || status < 200 || status > 599)
        return 0;
    return status;
}

/* ---------------------------------------------------------------- the head */

static int set_status(struct cgi_response *response, const char *text)
{
    int status = read_status(text);

    return status != 0 ? door_app_status(response->req, status) : fail(EBADMSG);
}

/* Those that stand for one thing replace what was said before. */
static int set_header(struct cgi_response *response, const char *name, const char *value)
{
    static const char *const single[] = {"Content-Type", "Content-Length", "Location", NULL};
    int taken = response->take != NULL ? response->take(response->data, name, value) : 0;
    size_t i = 0;

    if (taken != 0)
        return taken == 1 ? 0 : -1;
    if (strcasecmp(name, "Status") == 0)
        return response->has_status_line ? 0 : set_status(response, value);
    while (single[i] != NULL && strcasecmp(single[i], name) != 0)
        i++;
    return single[i] != NULL ? door_app_header_set(response->req, name, value)
                             : door_app_header_add(response->req, name, value);
}

/* The status of "HTTP/1.1 200 OK", as text; or NULL. */
static const char *status_of(const char *line)
{
    const char *space = strncmp(line, "HTTP/", 5) == 0 ? strchr(line, ' ') : NULL;

    return space != NULL ? space + 1 : NULL;
}

/* What a program for which this server is none frames itself is not taken apart. */
static int is_framed(const char *name)
{
    return strcasecmp(name, "Transfer-Encoding") == 0;
}

/* A name of RFC 9110's, and a value without control characters. */
static int is_field(const char *name, const char *value)
{
    for (; *name != '\0'; name++)
        if (!isalnum((unsigned char)*name) && strchr("!#$%&'*+-.^_`|~", *name) == NULL)
            return 0;
    for (; *value != '\0'; value++)
        if (((unsigned char)*value < ' ' && *value != '\t') || *value == 0x7f)
            return 0;
    return 1;
}

/*
 * The last one counts, as it does in httpd, although there may be one only (RFC 3875, 6.3).  But
 * in an answer to a question it would turn a refusal into a permission.
 */
static int is_sound_status(const struct cgi_response *response, const char *value, int *said)
{
    int status = read_status(value), before = *said;

    *said = status;
    return status != 0 && (!response->is_answer || before == 0 || before == status);
}

/* Whether the lines, a copy of the head, are such as can be set. */
static int is_sound(const struct cgi_response *response, char *lines)
{
    char *line, *value;
    int count = 0, said = 0;

    if (response->has_status_line) {
        const char *status = (line = next_line(&lines)) != NULL ? status_of(line) : NULL;

        if (status == NULL || read_status(status) == 0)
            return 0;
    }
    while ((line = next_line(&lines)) != NULL) {
        value = split(line);
        if (value == NULL || !is_field(line, value) || ++count > DOOR_APP_FIELDS_MAX)
            return 0;
        if (strcasecmp(line, "Status") == 0 && !is_sound_status(response, value, &said))
            return 0;
        if (response->has_status_line && is_framed(line))
            return 0;
    }
    return count > 0 || response->has_status_line;
}

static int check(const struct cgi_response *response, size_t len)
{
    char *copy = strndup(response->head, len);
    int is_good;

    if (copy == NULL)
        return -1;
    is_good = strlen(copy) == len && is_sound(response, copy);
    free(copy);
    return is_good ? 0 : fail(EBADMSG);
}

/* Sets what the first len bytes say. */
static int set_head(struct cgi_response *response, size_t len)
{
    char *at = response->head, *line, *value;

    if (check(response, len) == -1)
        return -1;
    if (response->is_answer && door_app_status(response->req, 200) == -1)
        return -1;
    if (response->has_status_line && set_status(response, status_of(next_line(&at))) == -1)
        return -1;
    while ((line = next_line(&at)) != NULL) {
        value = split(line);
        if (set_header(response, line, value) == -1)
            return errno == EINVAL ? fail(EBADMSG) : -1;
    }
    response->has_head = 1;
    return 0;
}

/* ---------------------------------------------------------------- the stream */

static int write_body(const struct cgi_response *response, const char *bytes, size_t len)
{
    if (len > 0 && !response->is_bodiless && door_app_write(response->req, bytes, len) == -1)
        return errno == EMSGSIZE ? 0 : -1;
    return 0;
}

static int keep(struct cgi_response *response, const char *bytes, size_t len)
{
    size_t wanted = response->head_len + len + 1;
    char *grown;

    if (wanted > response->head_cap) {
        grown = realloc(response->head, 2 * wanted);
        if (grown == NULL)
            return -1;
        response->head = grown;
        response->head_cap = 2 * wanted;
    }
    memcpy(response->head + response->head_len, bytes, len);
    response->head_len += len;
    response->head[response->head_len] = '\0';
    return 0;
}

int cgi_response_write(struct cgi_response *response, const char *bytes, size_t len)
{
    size_t end;

    if (response->has_head)
        return write_body(response, bytes, len);
    if (keep(response, bytes, len) == -1)
        return -1;
    end = find_end(response);
    if (end == 0)
        return response->head_len < DOOR_APP_HEADERS_MAX ? 0 : fail(EBADMSG);
    if (set_head(response, end) == -1)
        return -1;
    return write_body(response, response->head + end, response->head_len - end);
}

void cgi_response_end(struct cgi_response *response)
{
    int error = errno;

    free(response->head);
    response->head = NULL;
    errno = error;
}
