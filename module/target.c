/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * target.c: which door a request calls: the door at a path, or that of a process of a
 * launched application.  A request waits while the application starts, and goes to another
 * process if its own one takes no calls any more.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include <apr_strings.h>

#include "mod_door.h"
#include "app.h"
#include "calls.h"
#include "doors.h"
#include "settings.h"
#include "shared_calls.h"
#include "supervision.h"
#include "supervisor.h"
#include "target.h"
#include "tokens.h"

/* How often a waiting request checks whether a process is up. */
#define WAIT_TICK apr_time_from_msec(5)

/* How long a refused request gives the supervisor to find out why. */
#define REFUSED_TICK apr_time_from_msec(1)

/* ---------------------------------------------------------------- names */

apr_status_t mod_door_name_target(request_rec *r, const struct mod_door_config *conf,
                                  struct mod_door_target *target)
{
    struct mod_door_name *name = &target->name;
    int i;

    name->path = conf->path;
    name->sender = conf->path;
    name->trusted_len = strlen(conf->path);
    name->key = conf->path;
    name->version = 0;
    name->in_own_dir = 0;
    name->has_owner = conf->has_owner;
    name->owner = conf->owner;
    if (!conf->in_htaccess)
        return APR_SUCCESS;
    for (i = 0; conf->allow != NULL && i < conf->allow->nelts; i++) {
        const char *prefix = APR_ARRAY_IDX(conf->allow, i, const char *);

        if (mod_door_is_below(conf->path, prefix)) {
            name->trusted_len = strlen(prefix);
            /* The key must not be one of the server's configuration, which begin with '/'. */
            name->key =
                apr_psprintf(r->pool, "%" APR_SIZE_T_FMT ":%s", name->trusted_len, conf->path);
            return APR_SUCCESS;
        }
    }
    return APR_EACCES;
}

apr_status_t mod_door_name_process(apr_pool_t *pool, const char *app, apr_uint32_t cell,
                                   uint64_t serial, struct mod_door_name *name)
{
    /* A copy: other processes can write to the board. */
    const char *dir = apr_pstrndup(pool, mod_door_board()->runtime_dir, RUNTIME_DIR_MAX);
    apr_size_t size = strlen(dir) + strlen(app) + DOOR_PATH_REST_MAX;
    char *path; /* not on the stack: httpd has hundreds of threads, and each keeps what it touched */

    if (size > PATH_MAX)
        return APR_ENAMETOOLONG;
    path = apr_palloc(pool, size);
    if (door_path(dir, app, serial, path, size) == -1)
        return APR_ENAMETOOLONG;
    name->path = path;
    /* The runtime directory is the supervisor's; the directories in it are the applications'. */
    name->trusted_len = strlen(dir);
    name->in_own_dir = 1;
    name->has_owner = 0;
    name->version = serial;
    name->sender = app;
    /* In the table, a new door of the cell replaces the old one.  No path has this form. */
    name->key = apr_psprintf(pool, "/%s#%u", app, cell);
    return APR_SUCCESS;
}

/* ------------------------------------------------------- an application's process */

static apr_status_t name_it(struct mod_door_target *to, struct call_note *note, apr_pool_t *pool)
{
    apr_status_t error =
        mod_door_name_process(pool, to->app->name, to->cell, to->serial, &to->name);

    if (error != APR_SUCCESS)
        mod_door_leave_process(to, note, CALL_NOT_TAKEN);
    return error;
}

/*
 * Chooses a process that is up, enters the note there, and names its door.  Waits while the
 * application starts.  Errors: MOD_DOOR_ESTART, MOD_DOOR_EDOWN, MOD_DOOR_EDRAINED.
 */
static apr_status_t enter_process(struct mod_door_target *to, struct call_note *note,
                                  apr_pool_t *pool)
{
    struct board *board = mod_door_board();
    const struct board_app *row;
    uint64_t refused = to->refused;

    if (board == NULL) /* httpd's parent has failed to make it so far */
        return MOD_DOOR_EDOWN;
    row = &board->apps[to->app->row];
    if (refused != 0) { /* the process leaves, as the board will show soon, or its door is gone */
        mod_door_ask_supervisor(to->app->name);
        apr_sleep(REFUSED_TICK);
    }
    for (;;) {
        if (to->until_ns != 0 && (door_now_ns() >= to->until_ns || mod_door_is_stopping()))
            return MOD_DOOR_ESTART;
        if (to->until_ns == 0 && refused != 0)
            to->until_ns = door_now_ns() + atomic_load(&row->start_ns);
        to->cell = board_enter(board, mod_door_calls(), to->app->row, note, &to->serial);
        if (to->cell != 0 && to->serial != refused)
            return name_it(to, note, pool);
        if (to->cell != 0) /* the process that has refused the call is still shown as up */
            mod_door_leave_process(to, note, CALL_NOT_TAKEN);
        if (to->until_ns == 0)
            to->until_ns = door_now_ns() + atomic_load(&row->start_ns);
        if (atomic_load(&row->state) != APP_STARTING && atomic_load(&row->state) != APP_UP)
            return atomic_load(&row->state) == APP_DRAINED ? MOD_DOOR_EDRAINED : MOD_DOOR_EDOWN;
        apr_sleep(WAIT_TICK);
    }
}

int mod_door_is_better_off(const struct mod_door_target *to)
{
    return to->cell != 0 &&
           board_is_better(mod_door_board(), mod_door_calls(), to->app->row, to->serial);
}

void mod_door_leave_process(struct mod_door_target *to, struct call_note *note, enum call_end how)
{
    struct board *board = mod_door_board();
    uint64_t ended, max;

    if (to->cell == 0)
        return;
    ended = board_leave(board, to->cell, note, how);
    to->cell = 0;
    max = atomic_load(&board->apps[to->app->row].max_requests);
    if (how == CALL_TIMED_OUT || (max > 0 && ended >= max && ended % 16 == max % 16))
        mod_door_ask_supervisor(to->app->name);
}

/* Whether a process's door has lost its name: there is no file, or only its placeholder. */
static int is_gone(apr_status_t error)
{
    return error == EBADF || error == ENOENT || error == ENXIO || error == EINVAL;
}

static apr_status_t find_process(struct mod_door_target *to, struct call_note *note, request_rec *r)
{
    apr_status_t error;

    do {
        error = enter_process(to, note, r->pool);
        if (error != APR_SUCCESS)
            return error;
        error = mod_door_acquire(&to->name, r->request_time, &to->door);
        if (error != APR_SUCCESS) {
            to->refused = to->serial;
            mod_door_leave_process(to, note, CALL_NOT_TAKEN);
        }
    } while (is_gone(error));
    return error;
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

/* ---------------------------------------------------------------- finding it */

apr_status_t mod_door_find_target(struct mod_door_target *to, struct call_note *note,
                                  request_rec *r)
{
    apr_status_t error;

    if (to->app != NULL)
        error = find_process(to, note, r);
    else
        error = mod_door_acquire(&to->name, r->request_time, &to->door);
    if (to->door != NULL)
        to->pid = to->door->pid;
    return error;
}

apr_status_t mod_door_replace_target(struct mod_door_target *to, struct call_note *note,
                                     request_rec *r)
{
    apr_status_t error;

    if (to->app != NULL) {
        mod_door_discard(to->door);
        to->door = NULL;
        to->refused = to->serial;
        mod_door_leave_process(to, note, CALL_NOT_TAKEN);
        return mod_door_find_target(to, note, r);
    }
    if (to->is_renewed)
        return EBADF;
    to->is_renewed = 1;
    error = mod_door_renew(&to->name, r->request_time, &to->door);
    if (to->door != NULL)
        to->pid = to->door->pid;
    return error;
}

apr_status_t mod_door_move_target(struct mod_door_target *to, struct call_note *note,
                                  request_rec *r)
{
    mod_door_release_target(to, note);
    return mod_door_find_target(to, note, r);
}

void mod_door_release_target(struct mod_door_target *to, struct call_note *note)
{
    mod_door_leave_process(to, note, CALL_NOT_TAKEN);
    if (to->door != NULL)
        mod_door_release(to->door);
    to->door = NULL;
}
