/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * app.c: an application and its routes.  Routes are fixed before the first
 * request comes, so finding one takes no lock.  Knows nothing of doors.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"

struct door_app *door_app_create(void)
{
    struct door_app *app = calloc(1, sizeof(*app));

    if (app != NULL)
        pthread_mutex_init(&app->line.lock, NULL);
    return app;
}

void door_app_destroy(struct door_app *app)
{
    if (app == NULL || atomic_load(&app->started) != atomic_load(&app->ended))
        return;
    for (size_t i = 0; i < app->route_count; i++)
        free(app->routes[i].prefix);
    free(app->routes);
    pthread_mutex_destroy(&app->line.lock);
    free(app);
}

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

int door_app_on_thread(struct door_app *app, door_app_thread_hook *start,
                       door_app_thread_hook *stop, void *data)
{
    if (app == NULL) {
        errno = ENOMEM;
        return -1;
    }
    if (app->start_thread != NULL || app->stop_thread != NULL) {
        app->error = errno = EEXIST;
        return -1;
    }
    app->start_thread = start;
    app->stop_thread = stop;
    app->thread_data = data;
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
