/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * wanted.c: which applications are to run: takes the definitions of httpd's parent and the
 * requests of doorctl, and notices changes of programs on disk and ends of processes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>

#include "ctl.h"
#include "state.h"
#include "tag.h"

#define WATCH_TICK (2 * S) /* how often programs are looked at */

/* ---------------------------------------------------------- definitions */

void app_fill(struct app *app, int64_t now)
{
    for (unsigned i = 0; i < app->slot_count; i++) {
        struct slot *slot = &app->slots[i];
        int is_wanted = slot->current == NULL || (slot->is_due && slot->successor == NULL);

        if (is_wanted && slot->retry_ns <= now && !app->is_removed && !app->is_drained &&
            !app->sv->is_stopping)
            slot_fill(slot, now);
    }
}

void app_try_again(struct supervisor *sv, int64_t now)
{
    for (struct app *app = sv->apps; app != NULL; app = app->next)
        for (unsigned i = 0; i < app->slot_count; i++)
            if (app->slots[i].current == NULL && app->slots[i].retry_ns != NEVER) {
                app->slots[i].failures = 0;
                app->slots[i].retry_ns = now;
            }
}

/* Also notes it in the ledger, where the next supervisor finds it if this one dies. */
static void note_drained(struct app *app, int is_drained)
{
    app->is_drained = is_drained;
    if (app->has_row)
        atomic_store(&app->sv->start.ledger->drained[app->def->row],
                     is_drained ? calls_path_key(app->def->name) : 0);
}

static void remove_app(struct app *app)
{
    struct app **link = &app->sv->apps;

    while (*link != app)
        link = &(*link)->next;
    *link = app->next;
    note_drained(app, 0);
    atomic_store(&app_row(app)->state, APP_FREE);
    free(app->def);
    free(app);
}

static void set_slots(struct app *app, unsigned count, int64_t now)
{
    for (unsigned i = app->slot_count; i < count; i++)
        app->slots[i] = (struct slot){.app = app, .retry_ns = now};
    for (unsigned i = count; i < app->slot_count; i++)
        slot_empty(&app->slots[i], now);
    app->slot_count = count;
}

/* Gives the application its row.  Another one that still has it has left the configuration. */
static void take_row(struct app *app)
{
    for (struct app *other = app->sv->apps; other != NULL; other = other->next)
        if (other != app && other->def->row == app->def->row)
            other->has_row = 0;
    app->has_row = 1;
}

static int add_app(struct supervisor *sv, struct app_definition *def, int64_t now)
{
    struct app *app = calloc(1, sizeof(*app));

    if (app == NULL) {
        output_log(LOG_ERR, DOORNO(0407) "%s: no memory for its definition; httpd is asked for it again",
                   def->name);
        free(def);
        errno = ENOMEM;
        return -1;
    }
    app->sv = sv;
    app->def = def;
    app->is_defined = 1;
    app->next = sv->apps;
    sv->apps = app;
    take_row(app);
    app->is_drained = atomic_load(&sv->start.ledger->drained[def->row]) == calls_path_key(def->name);
    set_slots(app, def->instances, now);
    app_show(app);
    app_fill(app, now);
    app_show(app);
    return 0;
}

/*
 * A copy with only those settings that a process is started with, and none of how the supervisor
 * treats it.  NULL if there is no memory.
 */
static struct app_definition *copy_of_process(const struct app_definition *def)
{
    struct app_definition *copy = malloc(def->size);

    if (copy == NULL)
        return NULL;
    memcpy(copy, def, def->size);
    copy->instances = copy->has_overlap = copy->is_watched = copy->reload_always = 0;
    copy->max_requests = 0;
    copy->max_age_ns = copy->busy_ns = 0;
    copy->has_own_busy = 0;
    copy->start_ns = copy->stop_ns = 0;
    copy->backoff_min_ns = copy->backoff_max_ns = 0;
    return copy;
}

/* Whether processes of definition a must be replaced by processes of definition b. */
static int is_other_process(const struct app_definition *a, const struct app_definition *b)
{
    struct app_definition *x = copy_of_process(a);
    struct app_definition *y = copy_of_process(b);
    int result = x == NULL || y == NULL || x->size != y->size || memcmp(x, y, x->size) != 0;

    free(x);
    free(y);
    return result;
}

static void change_app(struct app *app, struct app_definition *def, int64_t now)
{
    int is_other = is_other_process(app->def, def);
    unsigned old_count = app->slot_count;

    free(app->def);
    app->def = def;
    app->is_defined = 1;
    app->is_removed = 0;
    take_row(app);
    set_slots(app, def->instances, now);
    for (unsigned i = 0; i < app->slot_count && i < old_count; i++) {
        app->slots[i].failures = 0; /* an administrator's new try */
        if (app->slots[i].current == NULL)
            app->slots[i].retry_ns = now;
        else if (is_other || def->reload_always)
            slot_replace(&app->slots[i],
                         is_other ? "its definition or program has changed"
                                  : "httpd was restarted (reload=always)",
                         now);
        if (app->slots[i].current != NULL && app->slots[i].current->state == UP)
            app->slots[i].current->look_ns = now;
    }
    app_fill(app, now);
    app_show(app);
}

int app_define(struct supervisor *sv, void *data, size_t len, int64_t now)
{
    struct app *app;

    if (!definition_is_whole(data, len)) {
        output_log(LOG_ERR, DOORNO(0501) "supervisor: httpd has sent an invalid definition; that application "
                                         "is not launched");
        free(data);
        return 0;
    }
    app = app_find(sv, ((struct app_definition *)data)->name);
    if (app == NULL)
        return add_app(sv, data, now);
    change_app(app, data, now);
    return 0;
}

/* The application goes on with its old definition, since the new one has a mistake. */
void app_keep(struct supervisor *sv, const char *name)
{
    struct app *app = app_find(sv, name);

    if (app != NULL)
        app->is_defined = 1;
}

void app_begin_definitions(struct supervisor *sv)
{
    for (struct app *app = sv->apps; app != NULL; app = app->next)
        app->is_defined = 0;
}

void app_end_definitions(struct supervisor *sv, int64_t now)
{
    struct app *app, *next;

    for (app = sv->apps; app != NULL; app = next) {
        next = app->next;
        if (app->is_defined || app->is_removed)
            continue;
        app->is_removed = 1;
        for (unsigned i = 0; i < app->slot_count; i++)
            slot_empty(&app->slots[i], now);
        app_show(app);
        if (app_process_count(app) == 0)
            remove_app(app);
    }
    sv->watch_ns = now;
}

void app_leave_all(struct supervisor *sv, int64_t now)
{
    output_log(LOG_NOTICE,
               "supervisor: httpd has restarted without mod_door, its applications end");
    app_begin_definitions(sv);
    app_end_definitions(sv, now);
}

void app_leave(struct supervisor *sv, int64_t now)
{
    output_log(LOG_NOTICE, "supervisor: httpd's parent is gone, or has another supervisor; this one ends when "
                           "httpd's children have ended");
    for (struct app *app = sv->apps; app != NULL; app = app->next)
        app->is_defined = app->def->has_overlap;
    app_end_definitions(sv, now);
}

void app_stop_all(struct supervisor *sv, int64_t now)
{
    if (sv->is_stopping)
        return;
    sv->is_stopping = 1;
    for (struct app *app = sv->apps; app != NULL; app = app->next) {
        for (unsigned i = 0; i < app->slot_count; i++)
            slot_empty(&app->slots[i], now);
        app_show(app);
    }
    /* No callers are left, so there is no need to wait for the ends of calls. */
    for (struct process *p = sv->processes; p != NULL; p = p->next) {
        if (!p->is_told)
            process_tell_to_end(p);
        if (p->is_patient)
            p->deadline_ns = now + p->def->stop_ns;
        p->is_patient = 0;
    }
}

/* ------------------------------------------------------ what doorctl asks for */

/* An application that only waits for its next try does not count: app_restart() tries at once. */
static int is_being_replaced(const struct app *app)
{
    for (unsigned i = 0; i < app->slot_count; i++) {
        const struct slot *slot = &app->slots[i];

        if (slot->successor != NULL ||
            (slot->current != NULL ? slot->current->state == STARTING
                                   : !app->def->has_overlap && app_process_count(app) > 0))
            return 1;
    }
    return 0;
}

int app_restart(struct app *app, int64_t now)
{
    if (app->is_drained)
        return CTL_DRAINED;
    if (is_being_replaced(app))
        return CTL_BUSY;
    for (unsigned i = 0; i < app->slot_count; i++) {
        app->slots[i].failures = 0; /* an administrator's new try */
        if (app->slots[i].current != NULL)
            slot_replace(&app->slots[i], "doorctl has asked for that", now);
        else
            app->slots[i].retry_ns = now;
    }
    app_fill(app, now);
    app_show(app);
    return CTL_OK;
}

int app_drain(struct app *app, int64_t now)
{
    if (app->is_drained)
        return CTL_DRAINED;
    output_log(LOG_NOTICE, "%s: is drained, doorctl has asked for that", app->def->name);
    note_drained(app, 1);
    for (unsigned i = 0; i < app->slot_count; i++)
        slot_empty(&app->slots[i], now);
    app_show(app);
    return CTL_OK;
}

int app_start(struct app *app, int64_t now)
{
    if (!app->is_drained)
        return CTL_RUNS;
    output_log(LOG_NOTICE, "%s: is started, doorctl has asked for that", app->def->name);
    note_drained(app, 0);
    for (unsigned i = 0; i < app->slot_count; i++) {
        app->slots[i].failures = 0;
        app->slots[i].retry_ns = now;
    }
    app_fill(app, now);
    app_show(app);
    return CTL_OK;
}

/* ---------------------------------------------------------------- programs */

/*
 * Replaces processes whose program or watched files have changed.  The change counts only when
 * two looks in a row have seen the same, because copying a file takes a while.
 */
void app_watch(struct supervisor *sv, int64_t now)
{
    if (now < sv->watch_ns)
        return;
    sv->watch_ns = NEVER;
    for (struct app *app = sv->apps; app != NULL; app = app->next) {
        struct app_strings *strings;
        struct app_program_id id;

        if (!app->def->is_watched || app->is_removed || app->is_drained)
            continue;
        sv->watch_ns = now + WATCH_TICK;
        strings = definition_strings(app->def);
        if (strings == NULL)
            continue;
        if (definition_identify(strings->argv[0], strings->watched, &id) == 0 &&
            memcmp(&id, &app->def->program, sizeof(id)) != 0 &&
            memcmp(&id, &app->seen, sizeof(id)) == 0)
            for (unsigned i = 0; i < app->slot_count; i++)
                slot_replace(&app->slots[i], "a file that is watched is another one", now);
        app->seen = id;
        free(strings);
    }
}

/* ---------------------------------------------------------------- the end */

static void bury(struct process *p, int status, int64_t now)
{
    struct app *app = p->app;

    process_bury(p, status, now);
    if (app->is_removed && app_process_count(app) == 0)
        remove_app(app);
}

void app_reap(struct supervisor *sv, int64_t now)
{
    siginfo_t ended = {0};

    while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid > 0) {
        struct process *p = sv->processes;
        int status;

        /* Kills what the process has left behind, before waitpid() releases its pid. */
        kill(-ended.si_pid, SIGKILL);
        waitpid(ended.si_pid, &status, 0);
        while (p != NULL && p->pid != ended.si_pid)
            p = p->next;
        if (p != NULL)
            bury(p, status, now);
        ended.si_pid = 0;
    }
}
