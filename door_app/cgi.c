/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * cgi.c: CGI/1.1 variables (RFC 3875), each computed when it is asked for;
 * names and values are those that httpd's own CGI modules would give.  What
 * httpd knows itself comes before headers, and headers before what SetEnv and
 * modules have set, so that no client can replace a variable of httpd's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "app.h"

/* Those that are the value of one field. */
static const struct variable {
    const char *name;
    enum door_wire_type type;
} variables[] = {
    {"AUTH_TYPE", DOOR_WIRE_AUTH_TYPE},
    {"CONTEXT_DOCUMENT_ROOT", DOOR_WIRE_CONTEXT_DOCUMENT_ROOT},
    {"CONTEXT_PREFIX", DOOR_WIRE_CONTEXT_PREFIX},
    {"DOCUMENT_ROOT", DOOR_WIRE_DOCUMENT_ROOT},
    {"PATH_INFO", DOOR_WIRE_PATH_INFO},
    {"PATH_TRANSLATED", DOOR_WIRE_PATH_TRANSLATED},
    {"QUERY_STRING", DOOR_WIRE_QUERY},
    {"REMOTE_ADDR", DOOR_WIRE_REMOTE_ADDR},
    {"REMOTE_HOST", DOOR_WIRE_REMOTE_HOST},
    {"REMOTE_IDENT", DOOR_WIRE_REMOTE_IDENT},
    {"REMOTE_PORT", DOOR_WIRE_REMOTE_PORT},
    {"REMOTE_USER", DOOR_WIRE_REMOTE_USER},
    {"REQUEST_METHOD", DOOR_WIRE_METHOD},
    {"REQUEST_SCHEME", DOOR_WIRE_SCHEME},
    {"REQUEST_URI", DOOR_WIRE_TARGET},
    {"SCRIPT_FILENAME", DOOR_WIRE_SCRIPT_FILENAME},
    {"SCRIPT_NAME", DOOR_WIRE_SCRIPT_NAME},
    {"SERVER_ADDR", DOOR_WIRE_SERVER_ADDR},
    {"SERVER_ADMIN", DOOR_WIRE_SERVER_ADMIN},
    {"SERVER_NAME", DOOR_WIRE_SERVER_NAME},
    {"SERVER_PORT", DOOR_WIRE_SERVER_PORT},
    {"SERVER_PROTOCOL", DOOR_WIRE_PROTOCOL},
    {"SERVER_SOFTWARE", DOOR_WIRE_SERVER_SOFTWARE},
};

#define VARIABLE_COUNT (sizeof(variables) / sizeof(variables[0]))

/* Those that take more than looking: the places after variables[]. */
enum special { GATEWAY_INTERFACE, CONTENT_TYPE, CONTENT_LENGTH, SPECIAL_COUNT };

static const char *const specials[SPECIAL_COUNT] = {
    [GATEWAY_INTERFACE] = "GATEWAY_INTERFACE",
    [CONTENT_TYPE] = "CONTENT_TYPE",
    [CONTENT_LENGTH] = "CONTENT_LENGTH",
};

#define FIXED_COUNT (VARIABLE_COUNT + SPECIAL_COUNT)

static const char *fixed_name(size_t at)
{
    return at < VARIABLE_COUNT ? variables[at].name : specials[at - VARIABLE_COUNT];
}

/* Both 1 and *value, 0 if it is not set, -1 with ENOMEM: so do all that look one up. */
static int found(const char *text, const char **value)
{
    *value = text;
    return text != NULL;
}

/* RFC 3875, 4.1.2: set if there is a body, though a chunked one has no such header. */
static int content_length(struct door_rt_request *req, const char **value)
{
    char digits[24];
    int len;

    if (req->message.body_len == 0 || req->message.flags & DOOR_WIRE_MORE ||
        door_rt_header(req, "Content-Length") != NULL)
        return found(door_rt_header(req, "Content-Length"), value);
    len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)req->message.body_len);
    *value = door_rt_copy(&req->thread->arena, digits, (size_t)len);
    return *value != NULL ? 1 : -1;
}

static int fixed_value(struct door_rt_request *req, size_t at, const char **value)
{
    if (at < VARIABLE_COUNT) {
        const char *text = req->part[variables[at].type];

        if (variables[at].type == DOOR_WIRE_QUERY && text == NULL)
            text = ""; /* RFC 3875, 4.1.7: always set */
        if (variables[at].type == DOOR_WIRE_PATH_INFO && text != NULL && text[0] == '\0')
            text = NULL;
        return found(text, value);
    }
    switch ((enum special)(at - VARIABLE_COUNT)) {
    case GATEWAY_INTERFACE:
        return found("CGI/1.1", value);
    case CONTENT_TYPE:
        return found(door_rt_header(req, "Content-Type"), value);
    case CONTENT_LENGTH:
        return content_length(req, value);
    default:
        return found(NULL, value);
    }
}

static int find_fixed(struct door_rt_request *req, const char *name, const char **value)
{
    for (size_t at = 0; at < FIXED_COUNT; at++) {
        if (strcmp(fixed_name(at), name) == 0)
            return fixed_value(req, at, value);
    }
    return found(NULL, value);
}

/* How a header's letter shows in HTTP_*, or 0 if a header with it does not. */
static char variable_char(char c)
{
    if (c >= 'a' && c <= 'z')
        return (char)(c - 'a' + 'A');
    if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return c;
    return c == '-' ? '_' : '\0';
}

/* Is the header called name the variable HTTP_<suffix>?  A '_' in a name never is. */
static int names_variable(const char *name, const char *suffix)
{
    while (*name != '\0' && *suffix != '\0' && variable_char(*name) == *suffix) {
        name++;
        suffix++;
    }
    return *name == '\0' && *suffix == '\0';
}

/* Proxy would be HTTP_PROXY, which many HTTP clients obey: a client must not set it. */
static int is_variable(const char *name)
{
    if (*name == '\0' || door_rt_same_name(name, "Content-Type") ||
        door_rt_same_name(name, "Content-Length") || door_rt_same_name(name, "Proxy"))
        return 0;
    while (*name != '\0' && variable_char(*name) != '\0')
        name++;
    return *name == '\0';
}

static int is_http_field(const struct door_wire_field *field, const char *suffix)
{
    return field->type == DOOR_WIRE_HEADER && names_variable(field->name, suffix) &&
           is_variable(field->name);
}

static int join_http(struct door_rt_request *req, const char *suffix, size_t len,
                     const char **value)
{
    const char *separator = strcmp(suffix, "COOKIE") == 0 ? "; " : ", ";
    struct door_wire_reader reader = req->message;
    struct door_wire_field field;
    char *joined = door_rt_alloc(&req->thread->arena, len);
    char *end = joined;

    if (joined == NULL)
        return -1;
    while (door_wire_next(&reader, &field)) {
        if (!is_http_field(&field, suffix))
            continue;
        if (end != joined) {
            memcpy(end, separator, 2);
            end += 2;
        }
        memcpy(end, field.value, (size_t)field.value_len + 1);
        end += field.value_len;
    }
    *value = joined;
    return 1;
}

static int find_http(struct door_rt_request *req, const char *name, const char **value)
{
    struct door_wire_reader reader = req->message;
    struct door_wire_field field;
    size_t count = 0;
    size_t len = 0;

    *value = NULL;
    if (strncmp(name, "HTTP_", 5) != 0)
        return 0;
    while (door_wire_next(&reader, &field)) {
        if (!is_http_field(&field, name + 5))
            continue;
        *value = field.value;
        len += (size_t)field.value_len + 2;
        count++;
    }
    return count < 2 ? (int)count : join_http(req, name + 5, len, value);
}

static int find_env(struct door_rt_request *req, const char *name, const char **value)
{
    struct door_wire_reader reader = req->message;
    struct door_wire_field field;

    while (door_wire_next(&reader, &field)) {
        if (field.type == DOOR_WIRE_ENV && strcmp(field.name, name) == 0)
            return found(field.value, value);
    }
    return found(NULL, value);
}

static const char *find(struct door_rt_request *req, const char *name)
{
    const char *value;
    int result = find_fixed(req, name, &value);

    if (result == 0)
        result = find_http(req, name, &value);
    if (result == 0)
        result = find_env(req, name, &value);
    if (result == 0)
        errno = ENOENT;
    return result == 1 ? value : NULL;
}

/* The name of a field's variable, NULL if it has none; ENOMEM if *error. */
static const char *field_variable(struct door_rt_request *req, const struct door_wire_field *field,
                                  int *error)
{
    char *name;

    *error = 0;
    if (field->type == DOOR_WIRE_ENV && field->name_len > 0)
        return field->name;
    if (field->type != DOOR_WIRE_HEADER || !is_variable(field->name))
        return NULL;
    name = door_rt_alloc(&req->thread->arena, 5 + (size_t)field->name_len + 1);
    if (name == NULL) {
        *error = 1;
        return NULL;
    }
    memcpy(name, "HTTP_", 5);
    for (size_t i = 0; i <= field->name_len; i++)
        name[5 + i] = variable_char(field->name[i]);
    return name;
}

/* Is this the field that door_app_cgi() would first take name from? */
static int is_first(struct door_rt_request *req, const char *name, const char *at)
{
    struct door_wire_reader reader = req->message;
    struct door_wire_field field;
    const char *env = NULL;
    const char *value;

    if (find_fixed(req, name, &value) != 0)
        return 0;
    while (door_wire_next(&reader, &field)) {
        if (strncmp(name, "HTTP_", 5) == 0 && is_http_field(&field, name + 5))
            return field.name == at;
        if (env == NULL && field.type == DOOR_WIRE_ENV && strcmp(field.name, name) == 0)
            env = field.name;
    }
    return env == at;
}

static int next_field(struct door_rt_request *req, size_t *position, const char **name,
                      const char **value)
{
    struct door_wire_reader reader = req->message;
    struct door_wire_field field;
    size_t at = FIXED_COUNT;
    int error;

    while (door_wire_next(&reader, &field)) {
        if (at++ < *position)
            continue;
        *name = field_variable(req, &field, &error);
        if (error)
            return -1;
        if (*name == NULL || !is_first(req, *name, field.name))
            continue;
        *position = at;
        *value = find(req, *name);
        return *value != NULL ? 1 : -1;
    }
    *position = at;
    return 0;
}

const char *door_app_cgi(struct door_app_request *handle, const char *name)
{
    struct door_rt_request *req = door_rt_request(handle);

    return req != NULL ? find(req, name) : NULL;
}

/* *position counts the fixed variables and then the fields that were looked at. */
int door_app_cgi_next(struct door_app_request *handle, size_t *position, const char **name,
                      const char **value)
{
    struct door_rt_request *req = door_rt_request(handle);

    if (req == NULL)
        return -1;
    while (*position < FIXED_COUNT) {
        int result = fixed_value(req, *position, value);

        *name = fixed_name((*position)++);
        if (result != 0)
            return result;
    }
    return next_field(req, position, name, value);
}
