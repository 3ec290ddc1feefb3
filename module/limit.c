/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * limit.c: DoorMaxConcurrent, DoorQueueLength and DoorQueueTimeout, which are properties of
 * a door, and the waiting that they cause.
 *
 * For a launched application with the runtime, the limit is one on its threads: the
 * application is told how many it may have, and a call waits inside the door until a thread
 * takes it (call.c).  Only as many calls are let in as may run and wait.  For any other door,
 * the limit is one on its calls, and a call without a place waits here.  In both cases the
 * table of calls (supervisor/calls.h) knows the calls of all children and generations.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <ap_mpm.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <http_config.h>
#include <http_log.h>

#include "mod_door.h"
#include "call_state.h"
#include "calls.h"
#include "settings.h"
#include "limit.h"
#include "response.h"
#include "shared_calls.h"
#include "supervision.h"
#include "target.h"
#include "tokens.h"
#include "tag.h"

APLOG_USE_MODULE(door);

/* One directive's place in the configuration. */
struct said {
    const struct mod_door_config *conf;
    const ap_directive_t *where;
};

static apr_array_header_t *all_said;  /* struct said; while the configuration is read */
static apr_hash_t *limits;            /* path: struct mod_door_limit *; then fixed */

/* How often a call without a place checks again, even if it was not woken. */
#define LOOK_MS 50

/* -------------------------------------------------------- configuration */

void mod_door_forget_limits(apr_pool_t *config_pool)
{
    all_said = apr_array_make(config_pool, 4, sizeof(struct said));
    limits = apr_hash_make(config_pool);
}

void mod_door_note_limit(const struct mod_door_config *conf, const ap_directive_t *where)
{
    APR_ARRAY_PUSH(all_said, struct said) = (struct said){conf, where};
}

static int is_same(const struct mod_door_limit *a, const struct mod_door_limit *b)
{
    return a->max == b->max && a->queue_len == b->queue_len && a->queue_timeout == b->queue_timeout;
}

/* The first directive that sets a limit for that path. */
static const ap_directive_t *first_place(const char *path)
{
    int i;

    for (i = 0; i < all_said->nelts; i++) {
        const struct said *said = &APR_ARRAY_IDX(all_said, i, struct said);

        if (said->conf->path != NULL && !strcmp(said->conf->path, path))
            return said->where;
    }
    return NULL;
}

static const char *check(apr_pool_t *pool, const struct said *said)
{
    const struct mod_door_config *conf = said->conf;
    struct mod_door_limit limit = conf->limit;
    struct mod_door_limit *known;

    if (conf->path == NULL || *conf->path == '\0')
        return "must stand beside a DoorHandler that names a door";
    if (limit.max == 0)
        return "needs a DoorMaxConcurrent beside it";
    if (limit.queue_len == -1)
        limit.queue_len = MOD_DOOR_QUEUE_LEN;
    if (limit.queue_timeout == -1)
        limit.queue_timeout = MOD_DOOR_QUEUE_TIMEOUT;
    known = apr_hash_get(limits, conf->path, APR_HASH_KEY_STRING);
    if (known != NULL && !is_same(known, &limit))
        return apr_psprintf(pool, "has another value elsewhere, but belongs to the door: %s:%d",
                            first_place(conf->path)->filename, first_place(conf->path)->line_num);
    if (known == NULL)
        apr_hash_set(limits, conf->path, APR_HASH_KEY_STRING,
                     apr_pmemdup(pool, &limit, sizeof(limit)));
    return NULL;
}

int mod_door_check_limits(apr_pool_t *pool, apr_pool_t *log_pool, apr_pool_t *temp_pool,
                          server_rec *s)
{
    int i;

    (void)log_pool;
    (void)temp_pool;
    for (i = 0; i < all_said->nelts; i++) {
        const struct said *said = &APR_ARRAY_IDX(all_said, i, struct said);
        const char *wrong = check(pool, said);

        if (wrong == NULL)
            continue;
        ap_log_error(APLOG_MARK, APLOG_EMERG | APLOG_STARTUP, 0, s,
                     DOORNO(0205) "%s:%d: %s %s",
                     said->where->filename, said->where->line_num, said->where->directive, wrong);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

const struct mod_door_limit *mod_door_find_limit(const char *path)
{
    return apr_hash_get(limits, path, APR_HASH_KEY_STRING);
}

/* ------------------------------------------------------- who waits untaken */

/*
 * How long the call may wait for a thread to take it; 0: for ever.  Without a limit for the
 * door, this is a part of DoorTimeout.  With DoorProtocol raw it is all of DoorTimeout, since
 * the program may do only one thing at a time.
 */
static apr_interval_time_t patience(const struct mod_door_call *call)
{
    apr_interval_time_t timeout = mod_door_timeout(call);

    if (call->limit != NULL)
        return call->limit->queue_timeout > 0 ? call->limit->queue_timeout : 1;
    if (mod_door_is_raw(call) || (timeout > 0 && timeout <= MOD_DOOR_QUEUE_TIMEOUT))
        return timeout;
    return MOD_DOOR_QUEUE_TIMEOUT;
}

/* Notes, also for the supervisor, that the call waits, and sets when its wait ends. */
static void note_wait(struct mod_door_call *call, int64_t since_ns)
{
    apr_interval_time_t time = patience(call);

    if (call->queue_until_ns == 0)
        call->queue_until_ns = time > 0 ? since_ns + (int64_t)time * 1000 : INT64_MAX;
    if (call->target.cell != 0)
        board_note_wait(mod_door_board(), call->target.cell, since_ns);
}

/* For a call that waits: APR_SUCCESS if it should go on waiting, or why not. */
static apr_status_t check_wait(struct mod_door_call *call)
{
    int64_t now_ns = door_now_ns();

    note_wait(call, now_ns);
    if (mod_door_is_stopping())
        return MOD_DOOR_ECUT;
    if (mod_door_client_state(call) != 0) /* half-closed counts, too: a closed one looks the same */
        return MOD_DOOR_EGONE;
    if (now_ns >= call->queue_until_ns) {
        if (call->target.app != NULL)
            mod_door_ask_supervisor(call->target.app->name);
        return call->limit == NULL && patience(call) == mod_door_timeout(call) ? ETIMEDOUT
                                                                               : MOD_DOOR_EBUSY;
    }
    return mod_door_is_better_off(&call->target) ? MOD_DOOR_EMOVE : APR_SUCCESS;
}

/* For a door at a path without a limit, only calls that wait are entered in the table of calls. */
static void note_call(struct mod_door_call *call)
{
    struct call_note *note = mod_door_calls() != NULL ? calls_take(mod_door_calls()) : NULL;

    if (note == NULL)
        return;
    atomic_store(&note->key, calls_path_key(call->conf->path));
    atomic_store(&note->take_by_ns, atomic_load(&call->note->take_by_ns));
    call->note = note;
}

apr_status_t mod_door_wait_on(struct mod_door_call *call, int64_t since_ns)
{
    unsigned queue_len = call->limit != NULL ? (unsigned)call->limit->queue_len : MOD_DOOR_QUEUE_LEN;
    struct calls *calls = mod_door_calls();

    note_wait(call, since_ns);
    if (call->note == &call->own_note && call->target.app == NULL)
        note_call(call);
    if (atomic_load(&call->note->phase) != CALL_WAITS)
        calls_begin_to_wait(calls, call->note);
    if (!mod_door_is_raw(call) && calls_waiting_ahead(calls, call->note) >= queue_len)
        return MOD_DOOR_EBUSY;
    return check_wait(call);
}

/* -------------------------------------------------------------- a place */

/* Whether the application itself keeps to the limit, so that calls wait inside its door. */
static int is_on_threads(const struct mod_door_call *call)
{
    const struct mod_door_target *to = &call->target;

    return to->app != NULL && to->cell != 0 &&
           atomic_load(&mod_door_board()->cells[to->cell - 1].is_ready);
}

/* Waits for a place among the first max calls. */
static apr_status_t wait_for_place(struct mod_door_call *call, unsigned max)
{
    apr_status_t error = APR_SUCCESS;

    while (error == APR_SUCCESS && calls_ahead(mod_door_calls(), call->note) >= max) {
        calls_wait(call->note, LOOK_MS);
        error = check_wait(call);
    }
    return error;
}

/* For a call that stands in line: gets a place, or fails. */
static apr_status_t find_place(struct mod_door_call *call)
{
    unsigned max = (unsigned)call->limit->max;
    unsigned ahead = calls_ahead(mod_door_calls(), call->note);

    if (ahead >= max + (unsigned)call->limit->queue_len)
        return MOD_DOOR_EBUSY;
    return ahead < max || is_on_threads(call) ? APR_SUCCESS : wait_for_place(call, max);
}

apr_status_t mod_door_enter_limit(struct mod_door_call *call)
{
    apr_status_t error;

    if (call->limit == NULL || call->has_place || call->note == &call->own_note)
        return APR_SUCCESS;
    if (call->target.app == NULL)
        atomic_store(&call->note->key, calls_path_key(call->conf->path));
    calls_stand_in_line(mod_door_calls(), call->note);
    error = find_place(call);
    call->has_place = error == APR_SUCCESS;
    atomic_store(&call->note->take_by_ns, CALL_NOT_YET_MADE);
    atomic_store(&call->note->phase, call->has_place ? CALL_MADE : CALL_ENTERED);
    /* Wakes the next call: more places may be free, or this call has left without one. */
    if (call->queue_until_ns != 0 && !is_on_threads(call))
        calls_call_next(mod_door_calls(), atomic_load(&call->note->key));
    return error;
}

void mod_door_leave_limit(struct mod_door_call *call)
{
    if (!call->has_place)
        return;
    call->has_place = 0;
    atomic_store(&call->note->phase, CALL_ENTERED);
    if (!is_on_threads(call))
        calls_call_next(mod_door_calls(), atomic_load(&call->note->key));
}
