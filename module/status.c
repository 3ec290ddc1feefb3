/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * status.c: the launched applications on mod_status's page.  What httpd knows
 * comes from the board; its threads, and what runs there, only the process knows.
 * Its doors tell, also while all threads are busy; where they do not (illumos), it is
 * called, and not waited for long.
 */
#include <errno.h>
#include <string.h>

#include <apr_strings.h>
#include <http_protocol.h>
#include <mod_status.h>

#include "mod_door.h"
#include "shared_calls.h"
#include "definitions.h"
#include "build.h"
#include "doors.h"
#include "status.h"
#include "supervision.h"
#include "supervisor.h"
#include "target.h"
#include "wire.h"

#define ANSWER_MAX_NS 250000000ll
#define ANSWER_LEN    1024

/* Of one process; -1 where it does not say. */
struct counts {
    apr_int64_t running, waiting, threads, threads_max;
};

static const char *const state_names[] = {
    [APP_FREE] = "free", [APP_DOWN] = "down",           [APP_STARTING] = "starting",
    [APP_UP] = "up",     [APP_BACKOFF] = "backing off", [APP_DRAINED] = "drained",
};

/* -------------------------------------------------------- asking a process */

static void take_count(const struct door_wire_field *field, struct counts *counts)
{
    const struct {
        const char *name;
        apr_int64_t *count;
    } known[] = {
        {"running", &counts->running},
        {"waiting", &counts->waiting},
        {"threads", &counts->threads},
        {"threads-max", &counts->threads_max},
    };
    apr_size_t i;

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (!strcmp(field->name, known[i].name))
            *known[i].count = apr_atoi64(field->value);
}

static void read_counts(const void *data, apr_size_t len, struct counts *counts)
{
    struct door_wire_reader message;
    struct door_wire_field field;

    if (door_wire_read(&message, DOOR_WIRE_STATUS, data, len) == -1)
        return;
    while (door_wire_next(&message, &field))
        if (field.type == DOOR_WIRE_COUNT)
            take_count(&field, counts);
}

static void ask(const struct mod_door *door, struct counts *counts)
{
    _Atomic int64_t deadline = door_now_ns() + ANSWER_MAX_NS;
    char question[64], answer[ANSWER_LEN];
    struct door_wire_writer w;
    door_arg_t args = {.data_ptr = question, .rbuf = answer, .rsize = sizeof(answer)};
    struct door_loan loan;
    struct door_terms terms = {.deadline_ns = &deadline, .loan = &loan};

    door_wire_begin(&w, question, sizeof(question));
    args.data_size = door_wire_end(&w, DOOR_WIRE_STATUS, 0, 0, 0);
    if (mod_door_invoke(door, &args, &terms) != APR_SUCCESS)
        return;
    if (args.data_ptr == answer) /* more than that is no answer to this */
        read_counts(args.data_ptr, args.data_size, counts);
    door_end_loan(&loan);
}

/* entered: requests of httpd's that have been sent to it. */
static void find_counts(const struct mod_door *door, int is_ours, apr_int64_t entered,
                        struct counts *counts)
{
    struct door_load load;

    if (door_ask_load(door->fd, &load) == 0) {
        counts->running = load.calls;
        counts->waiting = entered > counts->running ? entered - counts->running : 0;
        counts->threads = load.threads;
        counts->threads_max = load.threads_most;
    } else if (errno == ENOTSUP && is_ours) { /* a bare door would take it for a request */
        ask(door, counts);
    }
}

static struct counts counts_of(request_rec *r, const char *name, apr_uint32_t number,
                               uint64_t serial, const struct calls_seen *seen)
{
    const struct board_cell *cell = &mod_door_board()->cells[number - 1];
    struct counts counts = {-1, -1, -1, -1};
    struct mod_door_name door_name;
    struct mod_door *door;

    if (mod_door_name_process(r->pool, name, number, serial, &door_name) == APR_SUCCESS &&
        mod_door_acquire(&door_name, r->request_time, &door) == APR_SUCCESS) {
        find_counts(door, atomic_load(&cell->is_ready), seen->running + seen->waiting, &counts);
        mod_door_release(door);
    }
    if (counts.running < 0)
        counts.running = seen->running;
    if (counts.waiting < seen->waiting) /* threads may run calls whose request is gone */
        counts.waiting = seen->waiting;
    return counts;
}

/* ---------------------------------------------------------------- the page */

static const char *number(apr_pool_t *pool, apr_int64_t n)
{
    return n >= 0 ? apr_psprintf(pool, "%" APR_INT64_T_FMT, n) : "-";
}

static void write_process(request_rec *r, int flags, const char *name, apr_uint32_t index,
                          apr_uint32_t cell_number)
{
    struct board_cell *cell = &mod_door_board()->cells[cell_number - 1];
    uint64_t serial = atomic_load(&cell->serial);
    struct counts counts;
    struct calls_seen seen;
    apr_int64_t calls = (apr_int64_t)atomic_load(&cell->ended);
    apr_int64_t errors = (apr_int64_t)atomic_load(&cell->errors);
    apr_int64_t pid = atomic_load(&cell->pid);
    apr_int64_t uptime = (door_now_ns() - atomic_load(&cell->up_ns)) / 1000000000;

    calls_look(mod_door_calls(), serial, door_now_ns(), &seen);
    counts = counts_of(r, name, cell_number, serial, &seen);
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
                ap_rprintf(r, "DoorApp.%s.%u.%s: %" APR_INT64_T_FMT "\n", name, index,
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

static void write_app(request_rec *r, int flags, const char *name, const struct board_app *row)
{
    enum app_state state = atomic_load(&row->state);
    const char *state_name = state <= APP_DRAINED ? state_names[state] : "unknown";
    apr_int64_t restarts = (apr_int64_t)atomic_load(&row->restarts);
    apr_int64_t crashes = (apr_int64_t)atomic_load(&row->crashes);
    const char *crash = time_of(r, atomic_load(&row->crash_time));
    unsigned leaving = atomic_load(&row->leaving);
    apr_uint32_t i;

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
    for (i = 0; i < APP_INSTANCES_MAX; i++) {
        apr_uint32_t cell = atomic_load(&row->instances[i]);

        if (cell != 0 && cell <= BOARD_CELLS)
            write_process(r, flags, name, i, cell);
    }
}

static int write_status(request_rec *r, int flags)
{
    struct board *board = mod_door_board();
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
    for (i = 0; i < APP_MAX; i++) {
        const struct board_app *row = &board->apps[i];
        char name[APP_NAME_MAX + 1];

        memcpy(name, row->name, sizeof(name)); /* first: what is checked is what is shown */
        name[APP_NAME_MAX] = '\0';
        if (atomic_load(&row->state) != APP_FREE && mod_door_is_app_name(name))
            write_app(r, flags, apr_pstrdup(r->pool, name), row);
    }
    if (!(flags & AP_STATUS_SHORT))
        ap_rputs("</table>\n", r);
    return OK;
}

void mod_door_register_status(void)
{
    APR_OPTIONAL_HOOK(ap, status_hook, write_status, NULL, NULL, APR_HOOK_MIDDLE);
}
