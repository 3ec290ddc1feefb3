/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * state.c: looks things up in the supervisor's state, and shows them on the board.  Decides
 * nothing.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "state.h"

#define FAILURES_WAITED 2 /* up to so many failures in a row, requests wait for the next try */

struct app *app_find(const struct supervisor *sv, const char *name)
{
    struct app *app = sv->apps;

    while (app != NULL && strcmp(app->def->name, name) != 0)
        app = app->next;
    return app;
}

unsigned app_process_count(const struct app *app)
{
    unsigned count = 0;

    for (const struct process *p = app->sv->processes; p != NULL; p = p->next)
        count += p->app == app;
    return count;
}

int64_t app_retry_ns(const struct app *app)
{
    int64_t retry = NEVER;

    for (unsigned i = 0; i < app->slot_count && !app->is_drained; i++)
        if (app->slots[i].retry_ns < retry)
            retry = app->slots[i].retry_ns;
    return retry;
}

/* ---------------------------------------------------------------- the board */

struct board_cell *process_cell(const struct process *p)
{
    return &p->app->sv->start.board->cells[p->cell];
}

struct board_app *app_row(const struct app *app)
{
    static struct board_app nowhere;

    return app->has_row ? &app->sv->start.board->apps[app->def->row] : &nowhere;
}

enum app_state app_state_of(const struct app *app)
{
    int is_starting = 0;

    if (app->is_removed || app->sv->is_stopping)
        return APP_DOWN;
    if (app->is_drained)
        return APP_DRAINED;
    for (unsigned i = 0; i < app->slot_count; i++) {
        const struct process *p = app->slots[i].current;

        if (p != NULL && p->state == UP)
            return APP_UP;
        /* After more failures, requests are turned away and do not wait for the next try. */
        if (app->slots[i].failures <= FAILURES_WAITED)
            is_starting = 1;
    }
    return is_starting ? APP_STARTING : APP_BACKOFF;
}

void app_show(const struct app *app)
{
    struct board_app *row = app_row(app);
    unsigned leaving = 0;

    for (unsigned i = 0; i < APP_INSTANCES_MAX; i++) {
        const struct process *p = i < app->slot_count ? app->slots[i].current : NULL;

        atomic_store(&row->instances[i], p != NULL && p->state == UP ? p->cell + 1 : 0);
    }
    for (const struct process *p = app->sv->processes; p != NULL; p = p->next)
        leaving += p->app == app && p->state == LEAVING;
    atomic_store(&row->leaving, leaving);
    atomic_store(&row->max_requests, app->def->max_requests);
    atomic_store(&row->start_ns, app->def->start_ns);
    atomic_store(&row->retry_ns, app_retry_ns(app));
    atomic_store(&row->state, app_state_of(app));
}

void app_show_event(struct app *app, pid_t pid, const char *format, ...)
{
    struct board_app *row = app_row(app);
    struct board_event *event = &row->events[app->event_count++ % BOARD_EVENTS];
    struct timespec now;
    va_list args;

    clock_gettime(CLOCK_REALTIME, &now);
    va_start(args, format);
    vsnprintf(event->text, sizeof(event->text), format, args);
    va_end(args);
    atomic_store(&event->pid, pid);
    atomic_store(&event->time_ms, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}
