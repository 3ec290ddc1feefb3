/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * cgi.c: CGI/1.1 variables (RFC 3875), computed when a handler asks for one.  Names
 * and values are the same as those of httpd's own CGI modules.  Of equal names the
 * first counts: first come httpd's own values, then headers, then what SetEnv and
 * modules have set.  So no client can replace a variable of httpd.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "door_app.h"
#include "request.h"

/* Variables whose value is that of one field. */
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
#define MORE_COUNT     4 /* further variables of add_own() */

/* Adds the variable, unless value is NULL or there is one of that name. */
static void add(struct door_rt_fields *all, const char *name, const char *value)
{
    if (value != NULL && door_rt_find(all, name) == NULL)
        all->at[all->count++] = (struct door_rt_field){name, value};
}

/* Adds the variables that httpd knows itself. */
static int add_own(struct door_rt_fields *all, struct door_rt_request *req)
{
    const char *length = door_rt_header(req, "Content-Length");

    for (size_t i = 0; i < VARIABLE_COUNT; i++) {
        const char *text = req->part[variables[i].type];

        if (variables[i].type != DOOR_WIRE_PATH_INFO || (text != NULL && *text != '\0'))
            add(all, variables[i].name, text);
    }
    add(all, "QUERY_STRING", ""); /* RFC 3875, 4.1.7: always set */
    add(all, "GATEWAY_INTERFACE", "CGI/1.1");
    add(all, "CONTENT_TYPE", door_rt_header(req, "Content-Type"));
    /* RFC 3875, 4.1.2: set if there is a body, though a chunked one has no such header. */
    if (length == NULL && req->message.body_len > 0 && !(req->message.flags & DOOR_WIRE_MORE)) {
        char *digits = door_rt_alloc(&req->thread->arena, 24);

        if (digits == NULL)
            return -1;
        sprintf(digits, "%llu", (unsigned long long)req->message.body_len);
        length = digits;
    }
    add(all, "CONTENT_LENGTH", length);
    return 0;
}

/*
 * Whether a header of that name becomes a variable.  With a '_' in its name it could pass for
 * another header.  A header Proxy would become HTTP_PROXY, which many HTTP libraries obey, so
 * no client may set it.
 */
static int is_variable(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-";

    return name[0] != '\0' && name[strspn(name, letters)] == '\0' &&
           !door_rt_same_name(name, "Content-Type") && !door_rt_same_name(name, "Content-Length") &&
           !door_rt_same_name(name, "Proxy");
}

/* The values of first and of the later headers of its name, joined; NULL if there is no memory. */
static const char *joined(struct door_rt_arena *arena, const struct door_wire_field *first,
                          struct door_wire_reader rest)
{
    const char *separator = door_rt_same_name(first->name, "Cookie") ? "; " : ", ";
    struct door_wire_reader reader = rest;
    struct door_wire_field field;
    size_t len = 0;
    char *text, *end;

    while (door_rt_next_header(&reader, first->name, &field))
        len += 2 + (size_t)field.value_len;
    if (len == 0)
        return first->value;
    text = door_rt_alloc(arena, first->value_len + len + 1);
    if (text == NULL)
        return NULL;
    end = stpcpy(text, first->value);
    while (door_rt_next_header(&rest, first->name, &field))
        end = stpcpy(stpcpy(end, separator), field.value);
    return text;
}

/* Adds a header as HTTP_*.  rest is positioned behind it, to find more headers of its name. */
static int add_header(struct door_rt_fields *all, struct door_rt_arena *arena,
                      const struct door_wire_field *header, struct door_wire_reader rest)
{
    char *name = door_rt_join(arena, "HTTP_", header->name, NULL);
    const char *value;

    if (name == NULL)
        return -1;
    for (char *at = name; *at != '\0'; at++) {
        if (*at == '-')
            *at = '_';
        else if (*at >= 'a' && *at <= 'z')
            *at += 'A' - 'a';
    }
    if (door_rt_find(all, name) != NULL)
        return 0;
    value = joined(arena, header, rest);
    add(all, name, value);
    return value != NULL ? 0 : -1;
}

/* Compares names; equal ones stay in their order. */
static int compare(const void *a, const void *b)
{
    const struct door_rt_field *const *x = a, *const *y = b;
    int names = strcmp((*x)->name, (*y)->name);

    return names != 0 ? names : (*x > *y) - (*x < *y);
}

/* Keeps the first variable of each name.  Sorts, because a caller may send very many. */
static int drop_repeated(struct door_rt_fields *all, struct door_rt_arena *arena)
{
    struct door_rt_field **sorted = door_rt_alloc(arena, all->count * sizeof(*sorted));
    size_t count = 0;

    if (sorted == NULL)
        return -1;
    for (size_t i = 0; i < all->count; i++)
        sorted[i] = &all->at[i];
    qsort(sorted, all->count, sizeof(*sorted), compare);
    for (size_t i = 0, first = 0; i < all->count; i++) {
        if (i > first && strcmp(sorted[i]->name, sorted[first]->name) == 0)
            sorted[i]->value = NULL;
        else
            first = i;
    }
    for (size_t i = 0; i < all->count; i++)
        if (all->at[i].value != NULL)
            all->at[count++] = all->at[i];
    all->count = count;
    return 0;
}

static const struct door_rt_fields *read_variables(struct door_rt_request *req)
{
    size_t max = VARIABLE_COUNT + MORE_COUNT + req->message.remaining;
    struct door_rt_arena *arena = &req->thread->arena;
    struct door_rt_fields *all = door_rt_alloc(arena, sizeof(*all) + max * sizeof(all->at[0]));
    struct door_wire_reader reader = req->message;
    struct door_wire_field field;

    if (all == NULL)
        return NULL;
    all->count = 0;
    if (add_own(all, req) == -1)
        return NULL;
    while (door_rt_next_header(&reader, NULL, &field))
        if (is_variable(field.name) && add_header(all, arena, &field, reader) == -1)
            return NULL;
    reader = req->message;
    while (door_wire_next(&reader, &field))
        if (field.type == DOOR_WIRE_ENV && field.name_len > 0)
            all->at[all->count++] = (struct door_rt_field){field.name, field.value};
    return drop_repeated(all, arena) == 0 ? all : NULL;
}

static const struct door_rt_fields *variables_of(struct door_app_request *handle)
{
    struct door_rt_request *req = door_rt_request(handle);

    if (req != NULL && req->variables == NULL)
        req->variables = read_variables(req);
    return req != NULL ? req->variables : NULL;
}

const char *door_app_cgi(struct door_app_request *handle, const char *name)
{
    const struct door_rt_fields *all = variables_of(handle);
    const char *value = door_rt_find(all, name);

    if (all != NULL && value == NULL)
        errno = ENOENT;
    return value;
}

int door_app_cgi_next(struct door_app_request *handle, size_t *position, const char **name,
                      const char **value)
{
    const struct door_rt_fields *all = variables_of(handle);

    return all != NULL ? door_rt_next(all, position, name, value) : -1;
}
