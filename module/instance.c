/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * instance.c: which process of a launched application a request goes to, and
 * the wait for one while the application starts.
 */
#include <limits.h>
#include <string.h>

#include <apr_strings.h>

#include "mod_door.h"
#include "shared_calls.h"
#include "app.h"
#include "doors.h"
#include "instance.h"
#include "supervision.h"
#include "supervisor.h"
#include "tokens.h"

/* How often a request that waits looks whether a process is up. */
#define WAIT_TICK apr_time_from_msec(5)

/* How long one that was refused lets the supervisor find out why. */
#define REFUSED_TICK apr_time_from_msec(1)

apr_status_t mod_door_name_instance(apr_pool_t *pool, const char *app, apr_uint32_t cell,
                                    uint64_t serial, struct mod_door_name *name)
{
    const char *dir = mod_door_board()->runtime_dir;
    char path[PATH_MAX];

    if (memchr(dir, '\0', RUNTIME_DIR_MAX) == NULL ||
        door_path(dir, app, serial, path, sizeof(path)) == -1)
        return APR_ENAMETOOLONG;
    name->path = apr_pstrdup(pool, path);
    /* The directory that holds all is the supervisor's, that in it the application's. */
    name->trusted_len = strlen(mod_door_board()->runtime_dir);
    name->in_own_dir = 1;
    name->has_owner = 0;
    name->version = serial;
    name->sender = app;
    /* In the table the doors of one cell follow each other; no path is like this. */
    name->key = apr_psprintf(pool, "/%s#%u", app, cell);
    return APR_SUCCESS;
}

static apr_status_t take(struct mod_door_instance *in, struct call_note *note, apr_pool_t *pool,
                         struct mod_door_name *name)
{
    apr_status_t error = mod_door_name_instance(pool, in->app->name, in->cell, in->serial, name);

    if (error != APR_SUCCESS)
        mod_door_leave_instance(in, note, CALL_NOT_TAKEN);
    return error;
}

apr_status_t mod_door_enter_instance(struct mod_door_instance *in, struct call_note *note,
                                     apr_pool_t *pool, struct mod_door_name *name)
{
    struct board *board = mod_door_board();
    const struct board_app *row;
    uint64_t refused = in->refused;

    if (board == NULL) /* httpd's parent could not make one yet */
        return MOD_DOOR_EDOWN;
    row = &board->apps[in->app->row];
    if (refused != 0) { /* it leaves, which the board will show soon; or its door is gone */
        mod_door_ask_supervisor(in->app->name);
        apr_sleep(REFUSED_TICK);
    }
    for (;;) {
        if (in->until_ns != 0 && (door_now_ns() >= in->until_ns || mod_door_is_stopping()))
            return MOD_DOOR_ESTART;
        if (in->until_ns == 0 && refused != 0)
            in->until_ns = door_now_ns() + atomic_load(&row->start_ns);
        in->cell = board_enter(board, mod_door_calls(), in->app->row, note, &in->serial);
        if (in->cell != 0 && in->serial != refused)
            return take(in, note, pool, name);
        if (in->cell != 0) /* still shown, but it has told that it does not take calls */
            mod_door_leave_instance(in, note, CALL_NOT_TAKEN);
        if (in->until_ns == 0)
            in->until_ns = door_now_ns() + atomic_load(&row->start_ns);
        if (atomic_load(&row->state) != APP_STARTING && atomic_load(&row->state) != APP_UP)
            return MOD_DOOR_EDOWN;
        apr_sleep(WAIT_TICK);
    }
}

int mod_door_is_better_off(const struct mod_door_instance *in)
{
    return in->cell != 0 &&
           board_is_better(mod_door_board(), mod_door_calls(), in->app->row, in->serial);
}

void mod_door_leave_instance(struct mod_door_instance *in, struct call_note *note,
                             enum call_end how)
{
    struct board *board = mod_door_board();
    uint64_t ended, max;

    if (in->cell == 0)
        return;
    ended = board_leave(board, in->cell, note, how);
    in->cell = 0;
    max = atomic_load(&board->apps[in->app->row].max_requests);
    if (how == CALL_TIMED_OUT || (max > 0 && ended >= max && ended % 16 == max % 16))
        mod_door_ask_supervisor(in->app->name);
}

apr_interval_time_t mod_door_retry_after(const struct mod_door_app *app)
{
    struct board *board = mod_door_board();
    const struct board_app *row;
    int64_t wait;

    if (board == NULL)
        return apr_time_from_sec(1);
    row = &board->apps[app->row];
    wait = atomic_load(&row->retry_ns) - door_now_ns();
    if (atomic_load(&row->state) != APP_BACKOFF || wait <= 0)
        return apr_time_from_sec(1);
    return wait / 1000 < apr_time_from_sec(3600) ? wait / 1000 : apr_time_from_sec(3600);
}
