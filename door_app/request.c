/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * request.c: a request as its handler sees it.  Reads the message in place:
 * door_wire_read() has checked it whole, and the doors leave it as it is until
 * the reply.  CGI variables are cgi.c's.
 */
#include <errno.h>
#include <string.h>

#include "app.h"

/* Of a type that is repeated the first one counts, as with headers. */
static void collect_parts(struct door_app_request *req)
{
    struct door_wire_reader reader = req->message;
    struct door_wire_field field;

    memset(req->part, 0, sizeof(req->part));
    while (door_wire_next(&reader, &field)) {
        if (field.type <= DOOR_WIRE_ENV && req->part[field.type] == NULL)
            req->part[field.type] = field.value;
    }
}

static const char *part(const struct door_app_request *req, enum door_wire_type type)
{
    return req->part[type] != NULL ? req->part[type] : "";
}

/* Joined now, so that door_app_path() cannot fail. */
static int join_path(struct door_app_request *req)
{
    const char *script_name = part(req, DOOR_WIRE_SCRIPT_NAME);
    const char *path_info = part(req, DOOR_WIRE_PATH_INFO);
    size_t script_len = strlen(script_name);
    size_t path_len = strlen(path_info);
    char *path;

    if (script_len == 0 || path_len == 0) {
        req->path = script_len == 0 ? path_info : script_name;
        return 0;
    }
    path = door_rt_alloc(&req->thread->arena, script_len + path_len + 1);
    if (path == NULL)
        return -1;
    memcpy(path, script_name, script_len);
    memcpy(path + script_len, path_info, path_len + 1);
    req->path = path;
    return 0;
}

int door_rt_request_read(struct door_app_request *req, const void *data, size_t len)
{
    if (door_wire_read(&req->message, DOOR_WIRE_REQUEST, data, len) == -1)
        return -1;
    req->status = 200;
    req->headers = NULL;
    req->failed = 0;
    collect_parts(req);
    return join_path(req);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

int door_rt_same_name(const char *a, const char *b)
{
    while (*a != '\0' && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

const char *door_app_method(const struct door_app_request *req)
{
    return part(req, DOOR_WIRE_METHOD);
}

const char *door_app_path(const struct door_app_request *req)
{
    return req->path;
}

const char *door_app_script_name(const struct door_app_request *req)
{
    return part(req, DOOR_WIRE_SCRIPT_NAME);
}

const char *door_app_path_info(const struct door_app_request *req)
{
    return part(req, DOOR_WIRE_PATH_INFO);
}

const char *door_app_query(const struct door_app_request *req)
{
    return part(req, DOOR_WIRE_QUERY);
}

const char *door_app_remote_addr(const struct door_app_request *req)
{
    return part(req, DOOR_WIRE_REMOTE_ADDR);
}

const char *door_app_header(const struct door_app_request *req, const char *name)
{
    struct door_wire_reader reader = req->message;
    struct door_wire_field field;

    while (door_wire_next(&reader, &field)) {
        if (field.type == DOOR_WIRE_HEADER && door_rt_same_name(field.name, name))
            return field.value;
    }
    return NULL;
}

/* *position counts the fields that were looked at. */
int door_app_header_next(const struct door_app_request *req, size_t *position, const char **name,
                         const char **value)
{
    struct door_wire_reader reader = req->message;
    struct door_wire_field field;
    size_t at = 0;

    while (door_wire_next(&reader, &field)) {
        if (at++ < *position || field.type != DOOR_WIRE_HEADER)
            continue;
        *position = at;
        *name = field.name;
        *value = field.value;
        return 1;
    }
    *position = at;
    return 0;
}

const char *door_app_body(const struct door_app_request *req, size_t *len)
{
    *len = (size_t)req->message.body_len;
    return req->message.body;
}
