/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * route.c: finds the handler for a request, by method and pattern, or by prefix.
 * Routes do not change after the first request, so no lock is needed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"
#include "fail.h"
#include "memory.h"
#include "refuse.h"
#include "request.h"
#include "route.h"

/* ---------------------------------------------------------------- patterns */

/* A "{name}" or "{name...}" in a pattern. */
struct parameter {
    const char *name; /* points into the pattern */
    size_t len;       /* of the name; 0: there is no parameter */
    int is_rest;      /* "...": it matches the rest of the path, with slashes */
    size_t size;      /* of the parameter in the pattern, with its braces */
};

/* The parameter at the beginning of pattern, if it is a whole segment. */
static struct parameter parameter_at(const char *pattern)
{
    size_t len = pattern[0] == '{' ? strcspn(pattern + 1, "{}/") : 0;
    struct parameter parameter = {pattern + 1, len, 0, len + 2};

    if (len == 0 || pattern[1 + len] != '}' || strchr("/", pattern[2 + len]) == NULL)
        return (struct parameter){NULL, 0, 0, 0};
    if (len >= 3 && strncmp(pattern + 1 + len - 3, "...", 3) == 0) {
        parameter.is_rest = 1;
        parameter.len -= 3;
    }
    return parameter;
}

/* What is wrong with a pattern, or NULL. */
static const char *fault_of(const char *pattern)
{
    if (pattern == NULL || *pattern != '/')
        return "no '/' in front";
    while (*pattern != '\0') {
        const char *segment = pattern + 1;
        struct parameter parameter = parameter_at(segment);

        pattern = segment + strcspn(segment, "/");
        if (segment + strcspn(segment, "{}") < pattern && parameter.len == 0)
            return "a brace that does not make a whole segment a parameter";
        if (parameter.is_rest && *pattern != '\0')
            return "something behind what stands for the rest";
    }
    return NULL;
}

/* Where a parameter's value is in the path. */
struct value {
    const char *start;
    size_t len;
};

/*
 * Whether path matches pattern.  Unless name is NULL, *value becomes what the parameter of that
 * name has matched.
 */
static int is_match(const char *pattern, const char *path, const char *name, struct value *value)
{
    while (*pattern != '\0') {
        struct parameter parameter = parameter_at(pattern);
        size_t value_len = parameter.is_rest ? strlen(path) : strcspn(path, "/");

        if (parameter.len == 0) {
            if (*pattern++ != *path++)
                return 0;
            continue;
        }
        if (value_len == 0 && !parameter.is_rest)
            return 0;
        if (name != NULL && value->start == NULL && strlen(name) == parameter.len &&
            strncmp(parameter.name, name, parameter.len) == 0)
            *value = (struct value){path, value_len};
        pattern += parameter.size;
        path += value_len;
    }
    return *path == '\0';
}

const char *door_app_param(const struct door_app_request *handle, const char *name)
{
    struct door_rt_request *req = door_rt_request(handle);
    struct value value = {NULL, 0};

    if (req == NULL || req->pattern == NULL ||
        !is_match(req->pattern, door_app_path_info(handle), name, &value) || value.start == NULL)
        return NULL;
    return door_rt_copy(&req->thread->arena, value.start, value.len);
}

/* ---------------------------------------------------------------- adding */

/* Adds a route.  If method is "", the first len bytes of path are a prefix. */
static int add(struct door_app *app, const char *method, const char *path, size_t len,
               door_app_handler *handler, void *data)
{
    const char *function = *method == '\0' ? "door_app_handle" : "door_app_route";
    struct door_rt_route **link = &app->routes;
    struct door_rt_route *route;

    if (handler == NULL)
        return door_rt_mistake(app, EINVAL, "%s \"%s\": no handler", function, path);
    for (; *link != NULL; link = &(*link)->next)
        if (strcmp((*link)->method, method) == 0 && (*link)->path_len == len &&
            strncmp((*link)->path, path, len) == 0)
            return door_rt_mistake(app, EEXIST, "%s \"%s\": it has a handler already", function,
                                   path);
    route = calloc(1, sizeof(*route) + len + 1 + strlen(method) + 1);
    if (route == NULL)
        return door_rt_mistake(app, ENOMEM, "%s \"%s\": out of memory", function, path);
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
    const char *fault = method == NULL || *method == '\0' ? "no method" : fault_of(pattern);

    if (app == NULL || fault != NULL)
        return door_rt_mistake(app, EINVAL, "door_app_route \"%s\": %s",
                               pattern != NULL ? pattern : "", fault);
    return add(app, method, pattern, strlen(pattern), handler, data);
}

int door_app_handle(struct door_app *app, const char *prefix, door_app_handler *handler, void *data)
{
    size_t len;

    if (app == NULL || prefix == NULL || prefix[0] != '/')
        return door_rt_mistake(app, EINVAL, "door_app_handle \"%s\": no '/' in front",
                               prefix != NULL ? prefix : "");
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

/* A handler for GET also answers HEAD. */
static int is_method(const char *wanted, const char *method)
{
    return strcmp(wanted, method) == 0 ||
           (strcmp(wanted, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* The first matching pattern's route, or NULL.  *is_known: one with another method matches. */
static const struct door_rt_route *find_pattern(const struct door_app *app, const char *method,
                                                const char *path, int *is_known)
{
    *is_known = 0;
    for (const struct door_rt_route *route = app->routes; route != NULL; route = route->next) {
        if (!is_pattern_of(route, path))
            continue;
        if (is_method(route->method, method))
            return route;
        *is_known = 1;
    }
    return NULL;
}

static const struct door_rt_route *longest_prefix(const struct door_app *app, const char *path)
{
    const struct door_rt_route *longest = NULL;

    for (const struct door_rt_route *route = app->routes; route != NULL; route = route->next)
        if (is_prefix_of(route, path) && (longest == NULL || route->path_len > longest->path_len))
            longest = route;
    return longest;
}

/* Adds a method to the list, unless it is there.  Returns 0, or -1 with ENOMEM. */
static int allow(struct door_rt_arena *arena, const char **methods, const char *method)
{
    size_t len = strlen(method);

    for (const char *at = *methods; *at != '\0'; at += strspn(at, ", ")) {
        size_t word = strcspn(at, ",");

        if (word == len && strncmp(at, method, len) == 0)
            return 0;
        at += word;
    }
    *methods = door_rt_join(arena, *methods, **methods != '\0' ? ", " : "", method, NULL);
    return *methods != NULL ? 0 : -1;
}

/* 405 with the path's methods, in one Allow field, since some clients read only the first. */
static void refuse_method(const struct door_app *app, struct door_rt_request *req, const char *path)
{
    const char *methods = "";

    for (const struct door_rt_route *route = app->routes; route != NULL; route = route->next) {
        if (!is_pattern_of(route, path))
            continue;
        if (allow(&req->thread->arena, &methods, route->method) == -1 ||
            (strcmp(route->method, "GET") == 0 &&
             allow(&req->thread->arena, &methods, "HEAD") == -1)) {
            req->channel.failed = errno;
            return;
        }
    }
    door_app_header_set(door_rt_handle(req), "Allow", methods);
    door_rt_refuse(req, 405, "Method not allowed");
}

int door_rt_redirect(struct door_rt_request *req, const char *path)
{
    struct door_app_request *handle = door_rt_handle(req);
    const char *query = door_app_query(handle);
    const char *url = path != NULL ? door_app_url(handle, path) : NULL;

    if (url != NULL && *query != '\0')
        url = door_rt_join(&req->thread->arena, url, "?", query, NULL);
    if (url == NULL) {
        req->channel.failed = errno;
        return -1;
    }
    if (door_app_header_set(handle, "Location", url) == -1)
        return -1;
    return door_app_status(handle, 308);
}

/* The path without its slash at the end, or with one if it has none; or NULL. */
static const char *other_slash(struct door_rt_request *req, const char *path)
{
    size_t len = strlen(path);

    if (len > 1 && path[len - 1] == '/')
        return door_rt_copy(&req->thread->arena, path, len - 1);
    return len > 1 ? door_rt_join(&req->thread->arena, path, "/", NULL) : NULL;
}

/* Neither a pattern nor a prefix matches the path. */
static void refuse_path(const struct door_app *app, struct door_rt_request *req, const char *path)
{
    const char *other = other_slash(req, path);
    int is_known;

    if (other == NULL ||
        find_pattern(app, door_app_method(door_rt_handle(req)), other, &is_known) == NULL)
        door_rt_refuse(req, 404, "Not found");
    else
        door_rt_redirect(req, other);
}

/* Runs the hooks.  Returns whether one has answered.  What a hook has set is kept after it. */
static int is_answered(const struct door_app *app, struct door_rt_request *req)
{
    const struct door_rt_hook *hook = app->hooks;

    while (hook != NULL && hook->hook(door_rt_handle(req), hook->data) == 0) {
        door_rt_keep(req);
        hook = hook->next;
    }
    return hook != NULL;
}

static void dispatch(const struct door_app *app, struct door_rt_request *req, const char *path)
{
    struct door_app_request *handle = door_rt_handle(req);
    const struct door_rt_route *route;
    int is_known;

    route = find_pattern(app, door_app_method(handle), path, &is_known);
    if (is_known && route == NULL) {
        refuse_method(app, req, path);
        return;
    }
    if (route != NULL)
        req->pattern = route->path;
    else
        route = longest_prefix(app, path);
    if (route != NULL)
        route->handler(handle, route->data);
    else
        refuse_path(app, req, path);
}

void door_rt_route(const struct door_app *app, struct door_rt_request *req)
{
    const char *path = door_app_path_info(door_rt_handle(req));

    req->pages = app->pages;
    if (req->is_oversized) {
        door_rt_refuse(req, 431, "Too many or too long header fields");
        return;
    }
    if (!is_answered(app, req))
        dispatch(app, req, path[0] != '\0' ? path : "/");
}
