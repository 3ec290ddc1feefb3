/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * story.c: how a request went: how it ended, how long it waited and ran, and which thread of
 * which process ran it.  This code runs for each request, so only the log line uses printf()
 * formats.
 */
#include <errno.h>
#include <stdlib.h>

#include <apr_strings.h>
#include <httpd.h>
#include <http_log.h>

#include "mod_door.h"
#include "call_state.h"
#include "figures.h"
#include "shared_figures.h"
#include "story.h"

APLOG_USE_MODULE(door);

/* The time is not checked here: taken_ns() uses it only if it lies within the call. */
void mod_door_take_served(struct mod_door_call *call, struct door_wire_reader message)
{
    struct door_wire_field field;
    char *rest;

    while (door_wire_next(&message, &field)) {
        if (field.type != DOOR_WIRE_SERVED)
            continue;
        call->thread = strtoul(field.value, &rest, 10);
        call->taken_ns = *rest == ' ' ? apr_strtoi64(rest, NULL, 10) : 0;
        return;
    }
}

/* -------------------------------------------------------------- how it ended */

static enum figures_outcome failed(apr_status_t failure)
{
    switch (failure) {
    case EBADF:
    case ENOENT:
    case ENXIO:
    case EINVAL:
    case ELOOP:
    case EPROTO:
    case MOD_DOOR_EOWNER:
    case MOD_DOOR_ESTART:
    case MOD_DOOR_EDOWN:
    case MOD_DOOR_EDRAINED:
    case EACCES:
        return FIGURES_NOT_RUNNING;
    case EINTR:
        return FIGURES_CRASHED;
    case ETIMEDOUT:
    case MOD_DOOR_ESILENT:
        return FIGURES_TIMED_OUT;
    case MOD_DOOR_EBUSY:
        return FIGURES_BUSY;
    case MOD_DOOR_ECUT:
        return FIGURES_HTTPD_STOPS;
    case MOD_DOOR_EGONE:
        return FIGURES_CLIENT_GONE;
    case MOD_DOOR_EFAILED:
        return FIGURES_GAVE_UP;
    case ENOBUFS:
    case E2BIG:
        return FIGURES_BAD_REQUEST;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
    case MOD_DOOR_EEXHAUSTED:
    case MOD_DOOR_EUNCLOSED:
        return FIGURES_EXHAUSTED;
    case EOVERFLOW:
    case EBADMSG:
    case EPROTONOSUPPORT:
    case EPERM:
    case MOD_DOOR_ESTATUS:
    case MOD_DOOR_EHEADER:
    case MOD_DOOR_EHEAD:
    case MOD_DOOR_ELENGTH:
    case MOD_DOOR_ESHORT:
    case MOD_DOOR_ELONG:
    case MOD_DOOR_EMISUSE:
    case MOD_DOOR_EROLE:
        return FIGURES_BAD_ANSWER;
    default:
        return FIGURES_OTHER;
    }
}

static enum figures_outcome outcome_of(const struct mod_door_call *call)
{
    if (call->failure != APR_SUCCESS)
        return failed(call->failure);
    if (call->ended_ns == 0 || (call->body.error != APR_SUCCESS && !call->is_passed))
        return FIGURES_BAD_REQUEST;
    if (call->response.error != APR_SUCCESS || call->r->connection->aborted)
        return FIGURES_CLIENT_GONE;
    return call->response.status >= 500 ? FIGURES_ANSWERED_5XX : FIGURES_ANSWERED;
}

/* ---------------------------------------------------------------- how long */

static uint32_t microseconds(int64_t ns)
{
    return ns <= 0 ? 0 : ns / 1000 < UINT32_MAX ? (uint32_t)(ns / 1000) : UINT32_MAX;
}

/*
 * When a thread of the application took the call.  If no thread took it, all of the time was
 * waiting.  If the application has not said when, the call counts as taken at once.
 */
static int64_t taken_ns(const struct mod_door_call *call)
{
    if (!call->was_taken)
        return call->ended_ns;
    if (call->taken_ns >= call->made_ns && call->taken_ns <= call->ended_ns)
        return call->taken_ns;
    return call->made_ns;
}

static struct figures_call sum_up(struct mod_door_call *call)
{
    int is_made = call->ended_ns != 0 && call->made_ns != 0;

    return (struct figures_call){
        .outcome = outcome_of(call),
        .is_made = is_made,
        .total_us = is_made ? microseconds(call->ended_ns - call->begun_ns) : 0,
        .wait_us = is_made ? microseconds(taken_ns(call) - call->begun_ns) : 0,
        .ended_ns = call->ended_ns != 0 ? call->ended_ns : door_now_ns(),
        .pid = call->target.pid > 0 ? call->target.pid : 0,
        .path = call->r->uri,
    };
}

/* --------------------------------------------------------------- who is told */

static void set_note(request_rec *r, const char *name, int64_t number)
{
    apr_table_setn(r->notes, name, apr_off_t_toa(r->pool, number));
}

/* The names must not begin with "door-", as the applications' own notes do. */
static void set_notes(const struct mod_door_call *call, const struct figures_call *sum)
{
    request_rec *r = call->r;

    if (sum->is_made) {
        set_note(r, "mod_door-wait-us", sum->wait_us);
        set_note(r, "mod_door-call-us", sum->total_us - sum->wait_us);
    }
    if (sum->pid != 0)
        set_note(r, "mod_door-pid", sum->pid);
    if (call->thread != 0)
        set_note(r, "mod_door-thread", (int64_t)call->thread);
    apr_table_setn(r->notes, "mod_door-outcome", figures_outcome_name(sum->outcome));
}

static void log_story(const struct mod_door_call *call, const struct figures_call *sum)
{
    ap_log_rerror(APLOG_MARK, APLOG_TRACE1, 0, call->r,
                  "door %s, pid %ld, thread %lu: %s, status %d, waited %u us, ran %u us",
                  call->conf->path, (long)sum->pid, call->thread,
                  figures_outcome_name(sum->outcome), sum->status, sum->wait_us,
                  sum->total_us - sum->wait_us);
}

void mod_door_tell_story(struct mod_door_call *call, int status)
{
    struct figures *figures = mod_door_figures();
    struct figures_call sum;

    if (call->begun_ns == 0)
        return;
    sum = sum_up(call);
    sum.status = status == OK ? call->r->status : status;
    if (figures != NULL)
        figures_count(figures_find(figures, call->conf->path, call->conf->in_htaccess), &sum);
    set_notes(call, &sum);
    log_story(call, &sum);
}
