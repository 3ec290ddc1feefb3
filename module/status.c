/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * status.c: the launched applications on mod_status's page.
 */
#include <string.h>

#include <apr_strings.h>
#include <http_protocol.h>
#include <mod_status.h>

#include "mod_door.h"
#include "definitions.h"
#include "build.h"
#include "counts.h"
#include "status.h"
#include "supervision.h"
#include "supervisor.h"

#define PATIENCE_NS 2000000000ll

static const char *const state_names[] = {
    [APP_FREE] = "free", [APP_DOWN] = "down",           [APP_STARTING] = "starting",
    [APP_UP] = "up",     [APP_BACKOFF] = "backing off", [APP_DRAINED] = "drained",
};

/* An application on the page, and its processes that are up. */
struct shown_app {
    const char *name;
    const struct board_app *row;
    apr_array_header_t *processes; /* struct shown_process */
};

struct shown_process {
    apr_uint32_t index; /* among those of its application */
    const struct board_cell *cell;
    struct mod_door_server *server;
};

/* ---------------------------------------------------------------- who is there */

/* Their servers are added to servers, to be asked. */
static apr_array_header_t *take_processes(request_rec *r, const struct shown_app *app,
                                          apr_array_header_t *servers)
{
    apr_array_header_t *processes = apr_array_make(r->pool, 1, sizeof(struct shown_process));
    apr_uint32_t i;

    for (i = 0; i < APP_INSTANCES_MAX; i++) {
        apr_uint32_t number = atomic_load(&app->row->instances[i]);
        struct shown_process *process;

        if (number == 0 || number > BOARD_CELLS)
            continue;
        process = apr_array_push(processes);
        process->index = i;
        process->cell = &mod_door_board()->cells[number - 1];
        process->server = apr_palloc(r->pool, sizeof(*process->server));
        mod_door_take_process(r->pool, app->name, number, atomic_load(&process->cell->serial),
                              process->server);
        APR_ARRAY_PUSH(servers, struct mod_door_server *) = process->server;
    }
    return processes;
}

/* All applications, an array of struct shown_app, whose processes have said what they do. */
static apr_array_header_t *take_apps(request_rec *r, const struct board *board)
{
    int64_t until_ns = door_now_ns() + PATIENCE_NS;
    apr_array_header_t *apps = apr_array_make(r->pool, 8, sizeof(struct shown_app));
    apr_array_header_t *servers = apr_array_make(r->pool, 8, sizeof(struct mod_door_server *));
    int i;

    for (i = 0; i < APP_MAX; i++) {
        struct shown_app app = {.row = &board->apps[i]};
        char name[APP_NAME_MAX + 1];

        memcpy(name, app.row->name, sizeof(name)); /* the memory may change between check and use */
        name[APP_NAME_MAX] = '\0';
        if (atomic_load(&app.row->state) == APP_FREE || !mod_door_is_app_name(name))
            continue;
        app.name = apr_pstrdup(r->pool, name);
        app.processes = take_processes(r, &app, servers);
        APR_ARRAY_PUSH(apps, struct shown_app) = app;
    }
    mod_door_count_servers(r, servers, until_ns);
    return apps;
}

/* ---------------------------------------------------------------- the page */

static const char *number(apr_pool_t *pool, apr_int64_t n)
{
    return n >= 0 ? apr_psprintf(pool, "%" APR_INT64_T_FMT, n) : "-";
}

static void write_process(request_rec *r, int flags, const char *name,
                          const struct shown_process *process)
{
    const struct board_cell *cell = process->cell;
    struct mod_door_counts counts = process->server->counts;
    apr_int64_t calls = (apr_int64_t)atomic_load(&cell->ended);
    apr_int64_t errors = (apr_int64_t)atomic_load(&cell->errors);
    apr_int64_t pid = atomic_load(&cell->pid);
    apr_int64_t uptime = (door_now_ns() - atomic_load(&cell->up_ns)) / 1000000000;

    if (flags & AP_STATUS_SHORT) {
        const struct {
            const char *name;
            apr_int64_t value;
        } lines[] = {{"Pid", pid},
                     {"Uptime", uptime},
                     {"Calls", calls},
                     {"Running", counts.running},
                     {"Errors", errors},
                     {"Waiting", counts.waiting},
                     {"Threads", counts.threads},
                     {"ThreadsMax", counts.threads_max}};
        apr_size_t i;

        for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
            if (lines[i].value >= 0)
                ap_rprintf(r, "DoorApp.%s.%u.%s: %" APR_INT64_T_FMT "\n", name, process->index,
                           lines[i].name, lines[i].value);
        return;
    }
    ap_rprintf(r,
               "<tr><td></td><td>%" APR_INT64_T_FMT "</td><td>%" APR_INT64_T_FMT " s</td>"
               "<td>%" APR_INT64_T_FMT "</td><td>%" APR_INT64_T_FMT "</td><td>%s</td>"
               "<td>%" APR_INT64_T_FMT "</td><td>%s</td><td>%s</td></tr>\n",
               pid, uptime, calls, counts.running, number(r->pool, counts.waiting), errors,
               number(r->pool, counts.threads), number(r->pool, counts.threads_max));
}

static const char *time_of(request_rec *r, apr_int64_t seconds)
{
    return seconds > 0 ? ap_ht_time(r->pool, apr_time_from_sec(seconds), "%Y-%m-%dT%H:%M:%SZ", 1)
                       : "-";
}

static void write_app(request_rec *r, int flags, const struct shown_app *app)
{
    const struct board_app *row = app->row;
    const char *name = app->name;
    enum app_state state = atomic_load(&row->state);
    const char *state_name = state <= APP_DRAINED ? state_names[state] : "unknown";
    apr_int64_t restarts = (apr_int64_t)atomic_load(&row->restarts);
    apr_int64_t crashes = (apr_int64_t)atomic_load(&row->crashes);
    const char *crash = time_of(r, atomic_load(&row->crash_time));
    unsigned leaving = atomic_load(&row->leaving);
    int i;

    if (flags & AP_STATUS_SHORT)
        ap_rprintf(r,
                   "DoorApp.%s.State: %s\nDoorApp.%s.Restarts: %" APR_INT64_T_FMT "\n"
                   "DoorApp.%s.Crashes: %" APR_INT64_T_FMT "\nDoorApp.%s.LastCrash: %s\n"
                   "DoorApp.%s.Leaving: %u\n",
                   name, state_name, name, restarts, name, crashes, name, crash, name, leaving);
    else
        ap_rprintf(r,
                   "<tr><td><b>%s</b></td><td colspan=\"8\">%s, %" APR_INT64_T_FMT
                   " restarts, %" APR_INT64_T_FMT " crashes, last crash %s, %u leaving"
                   "</td></tr>\n",
                   name, state_name, restarts, crashes, crash, leaving);
    for (i = 0; i < app->processes->nelts; i++)
        write_process(r, flags, name, &APR_ARRAY_IDX(app->processes, i, struct shown_process));
}

static int write_status(request_rec *r, int flags)
{
    const struct board *board = mod_door_board();
    const apr_array_header_t *apps;
    int i;

    if (flags & AP_STATUS_SHORT)
        ap_rprintf(r, "DoorBuild: %s\n", mod_door_build);
    if (board == NULL)
        return DECLINED;
    if (!(flags & AP_STATUS_SHORT))
        ap_rputs("<hr>\n<h2>Door applications</h2>\n<table border=\"0\">\n<tr><th>Application</th>"
                 "<th>Pid</th><th>Up</th><th>Calls</th><th>Running</th><th>Waiting</th>"
                 "<th>Errors</th><th>Threads</th><th>At most</th></tr>\n",
                 r);
    apps = take_apps(r, board);
    for (i = 0; i < apps->nelts; i++)
        write_app(r, flags, &APR_ARRAY_IDX(apps, i, struct shown_app));
    if (!(flags & AP_STATUS_SHORT))
        ap_rputs("</table>\n", r);
    return OK;
}

void mod_door_register_status(void)
{
    APR_OPTIONAL_HOOK(ap, status_hook, write_status, NULL, NULL, APR_HOOK_MIDDLE);
}
