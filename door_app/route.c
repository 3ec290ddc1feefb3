/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * route.c: which handler answers: patterns by method and path, with parameters,
 * and prefixes.  Routes are fixed before the first request comes, so finding one
 * takes no lock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"

/* ---------------------------------------------------------------- patterns */

/* "{name}" where pattern stands: the bytes of name, or 0 if it is something else. */
static size_t parameter_len(const char *pattern)
{
    size_t len;

    if (pattern[0] != '{')
        return 0;
    len = strcspn(pattern + 1, "{}/");
    return pattern[1 + len] == '}' && (pattern[2 + len] == '/' || pattern[2 + len] == '\0') ? len
                                                                                            : 0;
}

/* Starts with a slash; a brace only where it makes a whole segment a parameter. */
static int is_pattern(const char *pattern)
{
    if (pattern[0] != '/')
        return 0;
    for (const char *at = pattern; *at != '\0'; at++) {
        if (*at == '{' && (at[-1] != '/' || parameter_len(at) == 0))
            return 0;
        if (*at == '{')
            at += parameter_len(at) + 1;
        else if (*at == '}')
            return 0;
    }
    return 1;
}

int door_app_route(struct door_app *app, const char *method, const char *pattern,
                   door_app_handler *handler, void *data)
{
    struct door_rt_pattern *grown;

    if (app == NULL) {
        errno = ENOMEM;
        return -1;
    }
    if (method == NULL || *method == '\0' || pattern == NULL || !is_pattern(pattern) ||
        handler == NULL) {
        app->error = errno = EINVAL;
        return -1;
    }
    for (size_t i = 0; i < app->pattern_count; i++)
        if (strcmp(app->patterns[i].method, method) == 0 &&
            strcmp(app->patterns[i].pattern, pattern) == 0) {
            app->error = errno = EEXIST;
            return -1;
        }
    grown = realloc(app->patterns, (app->pattern_count + 1) * sizeof(*grown));
    if (grown != NULL) {
        app->patterns = grown;
        grown += app->pattern_count;
        *grown = (struct door_rt_pattern){strdup(method), strdup(pattern), handler, data};
    }
    if (grown == NULL || grown->method == NULL || grown->pattern == NULL) {
        if (grown != NULL) {
            free(grown->method);
            free(grown->pattern);
        }
        app->error = errno = ENOMEM;
        return -1;
    }
    app->pattern_count++;
    return 0;
}

static int is_match(const char *pattern, const char *path)
{
    while (*pattern != '\0') {
        size_t len = parameter_len(pattern);

        if (len > 0) {
            size_t segment = strcspn(path, "/");

            if (segment == 0)
                return 0;
            pattern += len + 2;
            path += segment;
        } else if (*pattern++ != *path++) {
            return 0;
        }
    }
    return *path == '\0';
}

static int is_method(const char *wanted, const char *method)
{
    return strcmp(wanted, method) == 0 ||
           (strcmp(wanted, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* 405: with the methods that the path has. */
static void refuse_method(const struct door_app *app, struct door_app_request *handle,
                          const char *path)
{
    for (size_t i = 0; i < app->pattern_count; i++)
        if (is_match(app->patterns[i].pattern, path))
            door_app_header_add(handle, "Allow", app->patterns[i].method);
    door_app_status(handle, 405);
    door_app_printf(handle, "Method not allowed\n");
}

/* ---------------------------------------------------------------- prefixes */

/* Where a prefix of len bytes belongs; EEXIST if it is there. */
static int find_place(const struct door_app *app, const char *prefix, size_t len, size_t *place)
{
    size_t i = 0;

    for (; i < app->route_count && app->routes[i].len >= len; i++) {
        if (app->routes[i].len == len && memcmp(app->routes[i].prefix, prefix, len) == 0) {
            errno = EEXIST;
            return -1;
        }
    }
    *place = i;
    return 0;
}

static int insert_route(struct door_app *app, size_t place, const struct door_rt_route *route)
{
    struct door_rt_route *routes;

    routes = realloc(app->routes, (app->route_count + 1) * sizeof(*routes));
    if (routes == NULL)
        return -1;
    memmove(routes + place + 1, routes + place, (app->route_count - place) * sizeof(*routes));
    routes[place] = *route;
    app->routes = routes;
    app->route_count++;
    return 0;
}

static int add_route(struct door_app *app, const char *prefix, door_app_handler *handler,
                     void *data)
{
    struct door_rt_route route = {.handler = handler, .data = data};
    size_t place;

    if (prefix == NULL || prefix[0] != '/' || handler == NULL) {
        errno = EINVAL;
        return -1;
    }
    route.len = strlen(prefix);
    while (route.len > 0 && prefix[route.len - 1] == '/')
        route.len--;
    if (find_place(app, prefix, route.len, &place) == -1)
        return -1;
    route.prefix = strndup(prefix, route.len);
    if (route.prefix == NULL)
        return -1;
    if (insert_route(app, place, &route) == -1) {
        free(route.prefix);
        return -1;
    }
    return 0;
}

int door_app_handle(struct door_app *app, const char *prefix, door_app_handler *handler, void *data)
{
    if (app == NULL) {
        errno = ENOMEM;
        return -1;
    }
    if (add_route(app, prefix, handler, data) == -1) {
        app->error = errno;
        return -1;
    }
    return 0;
}

const struct door_rt_route *door_rt_find_route(const struct door_app *app, const char *path_info)
{
    for (size_t i = 0; i < app->route_count; i++) {
        const struct door_rt_route *route = &app->routes[i];

        if (strncmp(path_info, route->prefix, route->len) == 0 &&
            (path_info[route->len] == '/' || path_info[route->len] == '\0'))
            return route;
    }
    return NULL;
}

/* --------------------------------------------------------------- a request */

void door_rt_route(const struct door_app *app, struct door_rt_request *req)
{
    struct door_app_request *handle = (struct door_app_request *)req->handle;
    const char *path = door_app_path_info(handle);
    const char *method = door_app_method(handle);
    const struct door_rt_route *route;
    int is_known = 0;

    if (path[0] == '\0')
        path = "/";
    for (size_t i = 0; i < app->pattern_count; i++) {
        const struct door_rt_pattern *pattern = &app->patterns[i];

        if (!is_match(pattern->pattern, path))
            continue;
        is_known = 1;
        if (is_method(pattern->method, method)) {
            req->pattern = pattern->pattern;
            pattern->handler(handle, pattern->data);
            return;
        }
    }
    route = door_rt_find_route(app, path);
    if (is_known) {
        refuse_method(app, handle, path);
    } else if (route != NULL) {
        route->handler(handle, route->data);
    } else {
        door_app_status(handle, 404);
        door_app_printf(handle, "Not found\n");
    }
}

const char *door_app_param(const struct door_app_request *handle, const char *name)
{
    struct door_rt_request *req = door_rt_request(handle);
    const char *path = door_app_path_info(handle);
    const char *pattern = req != NULL ? req->pattern : NULL;

    while (pattern != NULL && *pattern != '\0') {
        size_t len = parameter_len(pattern);

        if (len == 0) {
            pattern++;
            path++;
            continue;
        }
        if (strlen(name) == len && strncmp(pattern + 1, name, len) == 0)
            return door_rt_copy(&req->thread->arena, path, strcspn(path, "/"));
        pattern += len + 2;
        path += strcspn(path, "/");
    }
    return NULL;
}
