/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * app.c: an application, before and after it runs.  Knows nothing of doors.
 */
#include <errno.h>
#include <stdlib.h>

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
    for (size_t i = 0; i < app->pattern_count; i++) {
        free(app->patterns[i].method);
        free(app->patterns[i].pattern);
    }
    free(app->patterns);
    pthread_mutex_destroy(&app->line.lock);
    free(app);
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
