/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * report.c: collects what the board, the table of calls, the figures and the
 * processes themselves say about doors.  It only reads, and decides nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <httpd.h>

#include "mod_door.h"
#include "counts.h"
#include "definitions.h"
#include "figures.h"
#include "report.h"
#include "shared_figures.h"
#include "supervision.h"
#include "supervisor.h"

#define NS_PER_S   1000000000ll
#define ANSWERS_NS (2 * NS_PER_S) /* time for the answers of all processes together */

/* A report that is being collected. */
struct collection {
    request_rec *r;
    const struct figures *figures;
    int64_t now_ns, until_ns;
    apr_array_header_t *reports;
    apr_array_header_t *servers; /* struct mod_door_server *: who is to be asked */
};

static const struct figures_seen nothing;

static struct mod_door_report *add_report(struct collection *all, const char *name)
{
    struct mod_door_report *report = apr_array_push(all->reports);

    memset(report, 0, sizeof(*report));
    report->name = name;
    report->state = "unknown";
    report->next_try_s = -1;
    report->seen = &nothing;
    report->processes = apr_array_make(all->r->pool, 1, sizeof(struct mod_door_process));
    report->events = apr_array_make(all->r->pool, 1, sizeof(struct mod_door_event));
    return report;
}

static struct mod_door_server *add_server(const struct collection *all)
{
    struct mod_door_server *server = apr_palloc(all->r->pool, sizeof(*server));

    APR_ARRAY_PUSH(all->servers, struct mod_door_server *) = server;
    return server;
}

/* ------------------------------------------------------------ applications */

static void add_process(const struct collection *all, struct mod_door_report *report,
                        unsigned index, apr_uint32_t number)
{
    const struct board_cell *cell = &mod_door_board()->cells[number - 1];
    struct mod_door_process *process = apr_array_push(report->processes);

    process->index = index;
    process->pid = atomic_load(&cell->pid);
    process->uptime_s = (double)(all->now_ns - atomic_load(&cell->up_ns)) / NS_PER_S;
    process->calls = (apr_int64_t)atomic_load(&cell->ended);
    process->errors = (apr_int64_t)atomic_load(&cell->errors);
    process->server = add_server(all);
    mod_door_take_process(all->r->pool, report->name, number, atomic_load(&cell->serial),
                          process->server);
    process->usage = mod_door_usage_of((pid_t)process->pid);
}

static int is_later(const void *a, const void *b)
{
    apr_int64_t first = ((const struct mod_door_event *)a)->time_ms;
    apr_int64_t second = ((const struct mod_door_event *)b)->time_ms;

    return (first < second) - (first > second);
}

static void add_events(const struct collection *all, struct mod_door_report *report,
                       const struct board_app *row)
{
    unsigned i;

    for (i = 0; i < BOARD_EVENTS; i++) {
        const struct board_event *event = &row->events[i];
        apr_int64_t time_ms = atomic_load(&event->time_ms);

        if (time_ms > 0)
            APR_ARRAY_PUSH(report->events, struct mod_door_event) = (struct mod_door_event){
                .time_ms = time_ms,
                .pid = atomic_load(&event->pid),
                .text = apr_pstrndup(all->r->pool, event->text, sizeof(event->text) - 1),
            };
    }
    qsort(report->events->elts, (apr_size_t)report->events->nelts, sizeof(struct mod_door_event),
          is_later);
}

static const char *state_name(uint32_t state)
{
    static const char *const names[] = {
        [APP_FREE] = "free", [APP_DOWN] = "down",           [APP_STARTING] = "starting",
        [APP_UP] = "up",     [APP_BACKOFF] = "backing off", [APP_DRAINED] = "drained",
    };

    return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

/*
 * The state to show.  After one failure an application is still in the state APP_STARTING, so
 * that requests wait for it; but until the next try, no process starts.
 */
static uint32_t state_of(const struct board_app *row, int64_t now_ns)
{
    uint32_t state = atomic_load(&row->state);
    int64_t retry_ns = atomic_load(&row->retry_ns);

    return state == APP_STARTING && retry_ns > now_ns && retry_ns < INT64_MAX ? APP_BACKOFF : state;
}

static void take_row(const struct collection *all, struct mod_door_report *report,
                     const struct board_app *row)
{
    int64_t retry_ns = atomic_load(&row->retry_ns);
    unsigned i;

    report->state = state_name(state_of(row, all->now_ns));
    report->leaving = atomic_load(&row->leaving);
    report->restarts = (apr_int64_t)atomic_load(&row->restarts);
    report->crashes = (apr_int64_t)atomic_load(&row->crashes);
    if (retry_ns > 0 && retry_ns < INT64_MAX)
        report->next_try_s =
            retry_ns > all->now_ns ? (double)(retry_ns - all->now_ns) / NS_PER_S : 0;
    for (i = 0; i < APP_INSTANCES_MAX; i++) {
        apr_uint32_t number = atomic_load(&row->instances[i]);

        if (number != 0 && number <= BOARD_CELLS)
            add_process(all, report, i, number);
    }
    add_events(all, report, row);
}

static void add_app(struct collection *all, const struct board_app *row)
{
    const struct mod_door_app *app;
    struct mod_door_report *report;
    struct figures_seen *seen;
    char name[APP_NAME_MAX + 1];
    int index;

    memcpy(name, row->name, sizeof(name)); /* the memory may change between check and use */
    name[APP_NAME_MAX] = '\0';
    if (atomic_load(&row->state) == APP_FREE || !mod_door_is_app_name(name))
        return;
    report = add_report(all, apr_pstrdup(all->r->pool, name));
    report->is_app = 1;
    app = mod_door_find_app(name);
    report->instances = app != NULL ? app->instances : 0;
    index = figures_index(all->figures, name);
    if (index != -1) {
        seen = apr_palloc(all->r->pool, sizeof(*seen));
        figures_look(all->figures, (unsigned)index, all->now_ns, seen);
        report->seen = seen;
    }
    take_row(all, report, row);
}

static void add_apps(struct collection *all)
{
    const struct board *board = mod_door_board();
    int i;

    for (i = 0; board != NULL && i < APP_MAX; i++)
        add_app(all, &board->apps[i]);
}

/* ------------------------------------------------------------------- doors */

/* The path from which the name was made, or NULL if it was too long. */
static const char *path_of(apr_pool_t *pool, const char *name)
{
    char *path = apr_pstrdup(pool, name);

    return strlen(name) < FIGURES_TEXT_SIZE - 8 && ap_unescape_url(path) == OK ? path : NULL;
}

/* A door that an .htaccess file has named is not opened: no request asks for it here. */
static void take_door(const struct collection *all, struct mod_door_report *report)
{
    const char *path = path_of(all->r->pool, report->name);

    if (path == NULL || report->seen->is_foreign)
        return;
    report->server = add_server(all);
    mod_door_take_door(path, report->server);
}

static void add_doors(struct collection *all)
{
    struct figures_seen *seen = NULL;
    unsigned i;

    for (i = 0; i < figures_door_count(); i++) {
        if (seen == NULL)
            seen = apr_palloc(all->r->pool, sizeof(*seen));
        if (!figures_look(all->figures, i, all->now_ns, seen))
            continue;
        if (seen->name[0] != '\0' && strchr(seen->name, '/') == NULL) /* it is an application */
            continue;
        add_report(all, seen->name)->seen = seen;
        seen = NULL;
    }
    for (i = 0; i < (unsigned)all->reports->nelts; i++) {
        struct mod_door_report *report = &APR_ARRAY_IDX(all->reports, i, struct mod_door_report);

        if (!report->is_app && *report->name != '\0')
            take_door(all, report);
    }
}

/* ------------------------------------------------------------ what they say */

static void hear_door(struct mod_door_report *report)
{
    const struct mod_door_server *server = report->server;
    struct mod_door_process *process;

    if (server->error != EAGAIN)
        report->state = server->error == APR_SUCCESS ? "up" : "down";
    if (server->pid <= 0)
        return;
    process = apr_array_push(report->processes);
    *process = (struct mod_door_process){.pid = server->pid, .uptime_s = -1, .calls = -1,
                                         .errors = -1, .counts = server->counts,
                                         .usage = mod_door_usage_of(server->pid)};
}

static void hear_all(const struct collection *all)
{
    int i, j;

    mod_door_count_servers(all->r, all->servers, all->until_ns);
    for (i = 0; i < all->reports->nelts; i++) {
        struct mod_door_report *report = &APR_ARRAY_IDX(all->reports, i, struct mod_door_report);

        for (j = 0; j < report->processes->nelts; j++) {
            struct mod_door_process *process =
                &APR_ARRAY_IDX(report->processes, j, struct mod_door_process);

            process->counts = process->server->counts;
        }
        if (report->server != NULL)
            hear_door(report);
    }
}

/* --------------------------------------------------------------- together */

static int by_name(const void *a, const void *b)
{
    const struct mod_door_report *first = a, *second = b;

    if (first->is_app != second->is_app)
        return second->is_app - first->is_app;
    return strcmp(first->name, second->name);
}

apr_array_header_t *mod_door_report(request_rec *r)
{
    struct collection all = {
        .r = r,
        .figures = mod_door_figures(),
        .now_ns = door_now_ns(),
        .until_ns = door_now_ns() + ANSWERS_NS,
        .reports = apr_array_make(r->pool, 8, sizeof(struct mod_door_report)),
        .servers = apr_array_make(r->pool, 8, sizeof(struct mod_door_server *)),
    };

    if (all.figures == NULL)
        return all.reports;
    add_apps(&all);
    add_doors(&all);
    hear_all(&all);
    qsort(all.reports->elts, (apr_size_t)all.reports->nelts, sizeof(struct mod_door_report),
          by_name);
    return all.reports;
}

double mod_door_rate(const struct figures_seen *seen, unsigned seconds, int64_t now_ns)
{
    unsigned steps = seconds / FIGURES_STEP_S + 1; /* the last step is not over */
    double past_s = (double)(now_ns % (FIGURES_STEP_S * NS_PER_S)) / NS_PER_S +
                    (steps - 1) * FIGURES_STEP_S;
    uint64_t requests = 0;
    unsigned i;

    for (i = FIGURES_STEPS - steps; i < FIGURES_STEPS; i++)
        requests += seen->requests[i];
    return (double)requests / past_s;
}
