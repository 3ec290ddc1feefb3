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
#include "fail.h"
#include "request.h"
#include "response.h"
#include "route.h"

/* ---------------------------------------------------------------- patterns */

/* "{name}" up to a '/' or the end, where pattern stands: the bytes of name, else 0. */
static size_t parameter_len(const char *pattern)
{
    size_t len = pattern[0] == '{' ? strcspn(pattern + 1, "{}/") : 0;

    return len > 0 && pattern[1 + len] == '}' && strchr("/", pattern[2 + len]) != NULL ? len : 0;
}

/* A slash before each segment; a brace only where it makes a whole one a parameter. */
static int is_pattern(const char *at)
{
    if (*at != '/')
        return 0;
    for (; *at != '\0'; at += strcspn(at, "/")) {
        at++;
        if (strcspn(at, "{}") < strcspn(at, "/") && parameter_len(at) == 0)
            return 0;
    }
    return 1;
}

/* Whether path is as pattern says; unless name is NULL, *value is what its parameter stands for. */
static int is_match(const char *pattern, const char *path, const char *name, const char **value)
{
    while (*pattern != '\0') {
        size_t len = parameter_len(pattern);
        size_t segment_len = strcspn(path, "/");

        if (len == 0) {
            if (*pattern++ != *path++)
                return 0;
            continue;
        }
        if (segment_len == 0)
            return 0;
        if (name != NULL && *value == NULL && strlen(name) == len &&
            strncmp(pattern + 1, name, len) == 0)
            *value = path;
        pattern += len + 2;
        path += segment_len;
    }
    return *path == '\0';
}

const char *door_app_param(const struct door_app_request *handle, const char *name)
{
    struct door_rt_request *req = door_rt_request(handle);
    const char *value = NULL;

    if (req == NULL || req->pattern == NULL ||
        !is_match(req->pattern, door_app_path_info(handle), name, &value) || value == NULL)
        return NULL;
    return door_rt_copy(&req->thread->arena, value, strcspn(value, "/"));
}

/* ---------------------------------------------------------------- adding */

/* With no method it is a prefix. */
static int add(struct door_app *app, const char *method, const char *path, size_t len,
               door_app_handler *handler, void *data)
{
    struct door_rt_route **link = &app->routes;
    struct door_rt_route *route;

    for (; *link != NULL; link = &(*link)->next)
        if (strcmp((*link)->method, method) == 0 && (*link)->path_len == len &&
            strncmp((*link)->path, path, len) == 0)
            return door_rt_mistake(app, EEXIST);
    route = calloc(1, sizeof(*route) + len + 1 + strlen(method) + 1);
    if (route == NULL)
        return door_rt_mistake(app, ENOMEM);
    memcpy(route->path, path, len);
    route->path_len = len;
    route->method = strcpy(route->path + len + 1, method);
    route->handler = handler;
    route->data = data;
    *link = route;
    return 0;
}

int door_app_route(struct door_app *app, const char *method, const char *pattern,
                   door_app_handler *handler, void *data)
{
    if (app == NULL || method == NULL || *method == '\0' || pattern == NULL ||
        !is_pattern(pattern) || handler == NULL)
        return door_rt_mistake(app, EINVAL);
    return add(app, method, pattern, strlen(pattern), handler, data);
}

int door_app_handle(struct door_app *app, const char *prefix, door_app_handler *handler, void *data)
{
    size_t len;

    if (app == NULL || prefix == NULL || prefix[0] != '/' || handler == NULL)
        return door_rt_mistake(app, EINVAL);
    len = strlen(prefix);
    while (len > 0 && prefix[len - 1] == '/')
        len--;
    return add(app, "", prefix, len, handler, data);
}

/* --------------------------------------------------------------- a request */

static int is_pattern_of(const struct door_rt_route *route, const char *path)
{
    return route->method[0] != '\0' && is_match(route->path, path, NULL, NULL);
}

static int is_prefix_of(const struct door_rt_route *route, const char *path)
{
    return route->method[0] == '\0' && strncmp(path, route->path, route->path_len) == 0 &&
           (path[route->path_len] == '/' || path[route->path_len] == '\0');
}

/* GET's answers HEAD, too. */
static int is_method(const char *wanted, const char *method)
{
    return strcmp(wanted, method) == 0 ||
           (strcmp(wanted, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static const struct door_rt_route *find(const struct door_app *app, const char *method,
                                        const char *path)
{
    const struct door_rt_route *longest = NULL;
    int is_known = 0;

    for (const struct door_rt_route *route = app->routes; route != NULL; route = route->next) {
        if (is_pattern_of(route, path)) {
            if (is_method(route->method, method))
                return route;
            is_known = 1;
        } else if (is_prefix_of(route, path) &&
                   (longest == NULL || route->path_len > longest->path_len)) {
            longest = route;
        }
    }
    return is_known ? NULL : longest;
}

/* 405 with the methods that the path has, or 404. */
static void refuse(const struct door_app *app, struct door_app_request *handle, const char *path)
{
    int is_known = 0;

    for (const struct door_rt_route *route = app->routes; route != NULL; route = route->next) {
        if (!is_pattern_of(route, path))
            continue;
        door_app_header_add(handle, "Allow", route->method);
        is_known = 1;
    }
    door_rt_tell(handle, is_known ? 405 : 404, is_known ? "Method not allowed" : "Not found");
}

void door_rt_route(const struct door_app *app, struct door_rt_request *req)
{
    struct door_app_request *handle = door_rt_handle(req);
    const char *path = door_app_path_info(handle);
    const struct door_rt_route *route;

    if (req->is_oversized) {
        door_rt_tell(handle, 431, "Too many or too long header fields");
        return;
    }
    if (path[0] == '\0')
        path = "/";
    route = find(app, door_app_method(handle), path);
    if (route == NULL) {
        refuse(app, handle, path);
        return;
    }
    req->pattern = route->method[0] != '\0' ? route->path : NULL;
    route->handler(handle, route->data);
}
