/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * request.c: a request as its handler sees it.  Its head is a copy that
 * door_wire_read_copied() has checked.  CGI variables are in cgi.c, the body in body.c.
 */
#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "door_app.h"
#include "request.h"

/* Of fields of the same type, the first counts, as with headers. */
static void collect_parts(struct door_rt_request *req)
{
    struct door_wire_reader reader = req->message;
    struct door_wire_field field;
    size_t count = 0, len = 0;

    while (door_wire_next(&reader, &field)) {
        if (field.type == DOOR_WIRE_HEADER) {
            count++;
            len += (size_t)field.name_len + field.value_len;
        }
        if (field.type < DOOR_WIRE_TYPE_END && req->part[field.type] == NULL)
            req->part[field.type] = field.value;
    }
    req->is_oversized = count > DOOR_APP_FIELDS_MAX || len > DOOR_APP_HEADERS_MAX;
}

static const char *part(const struct door_rt_request *req, enum door_wire_type type)
{
    return req->part[type] != NULL ? req->part[type] : "";
}

/* The thread's request, emptied; or NULL if there is no memory. */
static struct door_rt_request *clear(struct door_rt_thread *thread)
{
    if (thread->req == NULL)
        thread->req = malloc(sizeof(*thread->req));
    if (thread->req == NULL)
        return NULL;
    memset(thread->req, 0, sizeof(*thread->req));
    thread->req->thread = thread;
    thread->req->file.fd = -1;
    return thread->req;
}

struct door_rt_request *door_rt_request_read(struct door_rt_thread *thread, const void *data,
                                             size_t len)
{
    static _Atomic uintptr_t last_handle;
    struct door_rt_request *req = clear(thread);
    size_t head_len = door_wire_head_len(data, len);
    void *head = door_rt_alloc(&thread->arena, head_len);

    if (req == NULL || head == NULL)
        return NULL;
    if (head_len > 0)
        memcpy(head, data, head_len);
    if (door_wire_read_copied(&req->message, DOOR_WIRE_REQUEST, head, head_len, data, len) == -1)
        return NULL;
    req->status = req->kept.status = 200;
    req->body = req->message.body;
    req->body_len = (size_t)req->message.body_len;
    req->body_more = (req->message.flags & DOOR_WIRE_MORE) != 0;
    collect_parts(req);
    req->channel.buffer = &thread->body;
    req->channel.token = req->part[DOOR_WIRE_TOKEN];
    /* The path is joined now, so that door_app_path() cannot fail. */
    req->path = door_rt_join(&thread->arena, part(req, DOOR_WIRE_SCRIPT_NAME),
                             part(req, DOOR_WIRE_PATH_INFO), NULL);
    if (req->path == NULL || door_rt_list_read(&thread->arena, req->message, DOOR_WIRE_TRAILER,
                                               &req->body_trailers) == -1)
        return NULL;
    if (req->part[DOOR_WIRE_ROLE] != NULL)
        req->asked_ns = door_now_ns();
    thread->handle = atomic_fetch_add(&last_handle, 1) + 1;
    return req;
}

void door_rt_request_end(struct door_rt_request *req)
{
    req->thread->handle = 0;
    if (req->file.fd != -1)
        close(req->file.fd);
    req->file.fd = -1;
    door_rt_channel_close(&req->channel);
    free(req->body_buffer);
    req->body_buffer = NULL;
}

const char *door_rt_header(const struct door_rt_request *req, const char *name)
{
    struct door_wire_reader reader = req->message;
    struct door_wire_field field;

    return door_rt_next_header(&reader, name, &field) ? field.value : NULL;
}

/* ---------------------------------------------------------------- public */

static const char *text_of(const struct door_app_request *handle, enum door_wire_type type)
{
    const struct door_rt_request *req = door_rt_request(handle);

    return req != NULL ? part(req, type) : "";
}

const char *door_app_method(const struct door_app_request *handle)
{
    return text_of(handle, DOOR_WIRE_METHOD);
}

const char *door_app_path(const struct door_app_request *handle)
{
    const struct door_rt_request *req = door_rt_request(handle);

    return req != NULL ? req->path : "";
}

const char *door_app_script_name(const struct door_app_request *handle)
{
    return text_of(handle, DOOR_WIRE_SCRIPT_NAME);
}

const char *door_app_path_info(const struct door_app_request *handle)
{
    return text_of(handle, DOOR_WIRE_PATH_INFO);
}

const char *door_app_query(const struct door_app_request *handle)
{
    return text_of(handle, DOOR_WIRE_QUERY);
}

const char *door_app_scheme(const struct door_app_request *handle)
{
    return text_of(handle, DOOR_WIRE_SCHEME);
}

const char *door_app_remote_user(const struct door_app_request *handle)
{
    return text_of(handle, DOOR_WIRE_REMOTE_USER);
}

const char *door_app_remote_addr(const struct door_app_request *handle)
{
    return text_of(handle, DOOR_WIRE_REMOTE_ADDR);
}

const char *door_app_header(const struct door_app_request *handle, const char *name)
{
    const struct door_rt_request *req = door_rt_request(handle);

    return req != NULL ? door_rt_header(req, name) : NULL;
}

int door_app_header_next(const struct door_app_request *handle, size_t *position, const char **name,
                         const char **value)
{
    const struct door_rt_request *req = door_rt_request(handle);
    struct door_wire_reader reader = req != NULL ? req->message : (struct door_wire_reader){0};
    struct door_wire_field field;

    for (size_t at = 0; door_rt_next_header(&reader, NULL, &field); at++) {
        if (at < *position)
            continue;
        *position = at + 1;
        *name = field.name;
        *value = field.value;
        return 1;
    }
    return 0;
}

uint64_t door_rt_number(const struct door_rt_request *req, enum door_wire_type type)
{
    const char *digits = req->part[type];
    char *end = "";
    uint64_t value =
        digits != NULL && isdigit((unsigned char)*digits) ? strtoull(digits, &end, 10) : 0;

    return *end == '\0' ? value : 0;
}

/* httpd gives nobody a channel for a question, but has said how long it waits for the answer. */
static int is_overdue(const struct door_rt_request *req)
{
    uint64_t ms = door_rt_number(req, DOOR_WIRE_WAIT_MS);

    return ms != 0 && (uint64_t)(door_now_ns() - req->asked_ns) / 1000000 >= ms;
}

int door_app_client_gone(struct door_app_request *handle)
{
    struct door_rt_request *req = door_rt_request(handle);

    if (req == NULL || (req->part[DOOR_WIRE_ROLE] != NULL && is_overdue(req)))
        return DOOR_APP_CLIENT_GONE;
    return door_rt_channel_client(&req->channel);
}
