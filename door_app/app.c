/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * app.c: an application, before and after it runs.  Knows nothing of doors.
 */
#include <errno.h>
#include <stdlib.h>

#include "app.h"

#define THREADS_MAX    256   /* each costs some 50 KiB, and whatever its handlers keep */
#define THREAD_IDLE_MS 10000

struct door_app *door_app_create(void)
{
    struct door_app *app = calloc(1, sizeof(*app));

    if (app == NULL)
        return NULL;
    app->hooks = door_rt_hooks_create();
    if (app->hooks == NULL) {
        free(app);
        return NULL;
    }
    app->thread_max = THREADS_MAX;
    app->thread_idle_ms = THREAD_IDLE_MS;
    pthread_mutex_init(&app->line.lock, NULL);
    TAILQ_INIT(&app->line.waiters);
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
    door_rt_hooks_close(app->hooks);
    pthread_mutex_destroy(&app->line.lock);
    free(app);
}

int door_app_on_thread(struct door_app *app, door_app_thread_start *start,
                       door_app_thread_stop *stop, void *data)
{
    if (app == NULL || door_rt_hooks_set(app->hooks, start, stop, data) == -1)
        return door_rt_mistake(app, EEXIST);
    return 0;
}

int door_app_set_threads(struct door_app *app, unsigned max, unsigned idle_ms)
{
    if (app == NULL)
        return door_rt_mistake(app, ENOMEM);
    app->thread_max = max;
    app->thread_idle_ms = idle_ms;
    return 0;
}
