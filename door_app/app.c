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

    if (app != NULL) {
        pthread_mutex_init(&app->line.lock, NULL);
        TAILQ_INIT(&app->line.waiters);
    }
    return app;
}

int door_rt_mistake(struct door_app *app, int error)
{
    errno = app != NULL ? error : ENOMEM;
    if (app != NULL)
        app->error = error;
    return -1;
}

void door_app_destroy(struct door_app *app)
{
    if (app == NULL || atomic_load(&app->started) != atomic_load(&app->ended))
        return;
    while (app->routes != NULL) {
        struct door_rt_route *route = app->routes;

        app->routes = route->next;
        free(route);
    }
    pthread_mutex_destroy(&app->line.lock);
    free(app);
}

int door_app_on_thread(struct door_app *app, door_app_thread_hook *start,
                       door_app_thread_hook *stop, void *data)
{
    if (app == NULL || app->start_thread != NULL || app->stop_thread != NULL)
        return door_rt_mistake(app, EEXIST);
    app->start_thread = start;
    app->stop_thread = stop;
    app->thread_data = data;
    return 0;
}
