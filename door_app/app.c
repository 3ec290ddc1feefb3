/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * app.c: an application: what the program sets before it runs, and whether it is to
 * end.  This file knows nothing of doors.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app.h"
#include "thread.h"

#define THREADS_MAX    256   /* each costs some 60 KiB, and what its handlers keep */
#define THREAD_IDLE_MS 10000

struct door_app *door_app_create(void)
{
    struct door_app *app = calloc(1, sizeof(*app));

    if (app == NULL)
        return NULL;
    app->thread_hooks = door_rt_hooks_create();
    if (app->thread_hooks == NULL) {
        free(app);
        return NULL;
    }
    app->thread_max = THREADS_MAX;
    app->thread_idle_ms = THREAD_IDLE_MS;
    pthread_mutex_init(&app->line.lock, NULL);
    TAILQ_INIT(&app->line.waiters);
    return app;
}

int door_rt_mistake(struct door_app *app, int error, const char *format, ...)
{
    va_list args;

    if (app != NULL && app->mistake[0] == '\0') {
        va_start(args, format);
        vsnprintf(app->mistake, sizeof(app->mistake), format, args);
        va_end(args);
    }
    errno = app != NULL ? error : ENOMEM;
    return -1;
}

/* Frees a list whose elements begin with their link. */
static void free_list(void *list)
{
    while (list != NULL) {
        void *next = *(void **)list;

        free(list);
        list = next;
    }
}

void door_app_destroy(struct door_app *app)
{
    if (app == NULL || atomic_load(&app->started) != atomic_load(&app->ended))
        return;
    door_rt_hooks_close(app->thread_hooks);
    for (const struct door_rt_directory *d = app->directories; d != NULL; d = d->next)
        close(d->fd);
    free_list(app->routes);
    free_list(app->hooks);
    free_list(app->pages);
    free_list(app->directories);
    pthread_mutex_destroy(&app->line.lock);
    free(app);
}

int door_app_on_thread(struct door_app *app, door_app_thread_start *start,
                       door_app_thread_stop *stop, void *data)
{
    if (app == NULL || door_rt_hooks_set(app->thread_hooks, start, stop, data) == -1)
        return door_rt_mistake(app, EEXIST, "door_app_on_thread: it has such hooks already");
    return 0;
}

int door_app_check_threads(struct door_app *app, door_app_thread_check *check)
{
    if (app == NULL)
        return door_rt_mistake(app, ENOMEM, "door_app_check_threads: no application");
    door_rt_hooks_set_check(app->thread_hooks, check);
    return 0;
}

int door_app_set_threads(struct door_app *app, unsigned max, unsigned idle_ms)
{
    if (app == NULL)
        return door_rt_mistake(app, ENOMEM, "door_app_set_threads: no application");
    app->has_thread_max = 1;
    app->thread_max = max;
    app->thread_idle_ms = idle_ms;
    return 0;
}

int door_app_take_turns(struct door_app *app)
{
    if (app == NULL)
        return door_rt_mistake(app, ENOMEM, "door_app_take_turns: no application");
    app->takes_turns = 1;
    return 0;
}

int door_app_before(struct door_app *app, door_app_hook *hook, void *data)
{
    struct door_rt_hook **link = app != NULL ? &app->hooks : NULL;
    struct door_rt_hook *added;

    if (app == NULL || hook == NULL)
        return door_rt_mistake(app, EINVAL, "door_app_before: no hook");
    added = calloc(1, sizeof(*added));
    if (added == NULL)
        return door_rt_mistake(app, ENOMEM, "door_app_before: out of memory");
    added->hook = hook;
    added->data = data;
    while (*link != NULL)
        link = &(*link)->next;
    *link = added;
    return 0;
}

int door_app_error_page(struct door_app *app, int status, door_app_handler *handler, void *data)
{
    struct door_rt_page *page;

    if (app == NULL || status < 400 || status > 599 || handler == NULL)
        return door_rt_mistake(app, EINVAL, "door_app_error_page %d: %s", status,
                               handler == NULL ? "no handler" : "no status of an error");
    for (page = app->pages; page != NULL; page = page->next)
        if (page->status == status)
            return door_rt_mistake(app, EEXIST, "door_app_error_page %d: it is there already",
                                   status);
    page = calloc(1, sizeof(*page));
    if (page == NULL)
        return door_rt_mistake(app, ENOMEM, "door_app_error_page %d: out of memory", status);
    *page = (struct door_rt_page){app->pages, status, handler, data};
    app->pages = page;
    return 0;
}

int door_app_stopping(const struct door_app_request *handle)
{
    const struct door_rt_request *req = door_rt_request(handle);

    return req == NULL || atomic_load(&req->thread->serving->is_stopping);
}
