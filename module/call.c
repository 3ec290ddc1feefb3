/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call.c: a request's call: its time, its result, and further tries, maybe of another
 * door, when no thread took it.
 *
 * This file knows the result as bytes and as a message, and nothing of HTTP.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <httpd.h>
#include <http_log.h>

#include "mod_door.h"
#include "call.h"
#include "call_state.h"
#include "doors.h"
#include "limit.h"
#include "received.h"
#include "request.h"
#include "response.h"
#include "response_door.h"
#include "shared_calls.h"
#include "target.h"
#include "tokens.h"
#include "wire.h"

APLOG_USE_MODULE(door);

/* How often a waiting request checks whether it should still wait. */
#define ROUND_NS 250000000ll

/* ------------------------------------------------------------- the call */

/*
 * Sets the times of one try, and returns when it begins.  A call that waits may be taken at
 * the end of the try, ROUND_NS later, and still has all of DoorTimeout then.
 */
static int64_t begin_try(struct mod_door_call *call)
{
    int64_t timeout_ns = (int64_t)mod_door_timeout(call) * 1000;
    int waits = atomic_load(&call->note->phase) == CALL_WAITS;
    int64_t now_ns = door_now_ns();

    atomic_store(&call->note->take_by_ns, now_ns + ROUND_NS);
    atomic_store(&call->note->deadline_ns,
                 timeout_ns > 0 ? now_ns + timeout_ns + (waits ? ROUND_NS : 0) : 0);
    if (!waits)
        atomic_store(&call->note->phase, CALL_MADE);
    return now_ns;
}

void mod_door_begin_call(struct mod_door_call *call)
{
    struct calls *calls = mod_door_calls();

    call->note = NULL;
    call->begun_ns = door_now_ns();
    if (calls != NULL && (call->target.app != NULL || call->limit != NULL))
        call->note = calls_take(calls);
    if (call->note == NULL)
        call->note = &call->own_note;
}

static void free_result(struct mod_door_call *call)
{
    if (call->result_fd != -1)
        mod_door_close_received(call->sender, call->result_fd);
    call->result_fd = -1;
    door_end_loan(&call->loan);
}

void mod_door_free_call(struct mod_door_call *call)
{
    free_result(call);
    free(call->long_arg);
    mod_door_body_free_pieces(&call->pieces);
    if (call->buffer != NULL)
        apr_bucket_free(call->buffer);
    if (call->note != NULL && call->note != &call->own_note)
        calls_give_back(call->note);
}

/*
 * Notes where the result is.  A descriptor that came along means something in a message,
 * but nothing in a raw result.
 */
static void keep_result(const door_arg_t *args, struct mod_door_call *call)
{
    if (args->desc_num > 0 && (args->desc_ptr->d_attributes & DOOR_DESCRIPTOR)) {
        if (mod_door_is_raw(call))
            mod_door_close_received(call->sender, args->desc_ptr->d_data.d_desc.d_descriptor);
        else
            call->result_fd = args->desc_ptr->d_data.d_desc.d_descriptor;
    }
    call->result = args->data_ptr;
    call->result_len = args->data_size;
    call->head = NULL;
    if (call->result == call->buffer || mod_door_is_raw(call))
        return;
    call->head_len = door_wire_head_len(call->result, call->result_len);
    if (call->head_len > MOD_DOOR_HEAD_MAX) {
        call->complaint = MOD_DOOR_EHEAD;
        call->result_len = 0;
        return;
    }
    /* The application can still change lent memory, so only a copy of the head is checked. */
    call->head = apr_pmemdup(call->r->pool, call->result, call->head_len);
}

int mod_door_read_message(const struct mod_door_call *call, enum door_wire_kind kind,
                          struct door_wire_reader *message)
{
    if (call->head == NULL)
        return door_wire_read(message, kind, call->result, call->result_len);
    return door_wire_read_copied(message, kind, call->head, call->head_len, call->result,
                                 call->result_len);
}

/* One try.  The application may call back while it runs.  descriptor: one to send, or -1. */
static apr_status_t call_once(struct mod_door_call *call, int descriptor)
{
    const struct mod_door *door = call->target.door;
    door_desc_t passed = {.d_attributes = DOOR_DESCRIPTOR,
                          .d_data.d_desc.d_descriptor = descriptor};
    door_arg_t args = {
        .data_ptr = call->arg_len > 0 ? call->arg : NULL,
        .data_size = call->arg_len,
        .desc_ptr = descriptor != -1 ? &passed : NULL,
        .desc_num = descriptor != -1,
        .rbuf = call->buffer,
        .rsize = MOD_DOOR_COPIED_LEN,
    };
    struct door_terms terms = {.deadline_ns = &call->note->deadline_ns,
                               .desc_max = MOD_DOOR_DESC_MAX,
                               .loan = &call->loan,
                               .more = call->pieces.count > 0 ? call->pieces.at : NULL,
                               .more_count = call->pieces.count};
    apr_status_t error;

    call->sender = door->sender;
    call->was_taken = 1;
    if (mod_door_is_overdrawn(door->sender))
        return MOD_DOOR_EUNCLOSED;
    if (mod_door_has_token(call)) {
        call->serial = door->serial;
        mod_door_name_response_door(call, door);
        mod_door_open_token(call);
    }
    terms.take_by_ns = atomic_load(&call->note->take_by_ns);
    error = mod_door_invoke(door, &args, &terms);
    call->was_taken = terms.was_taken;
    ap_log_rerror(APLOG_MARK, APLOG_TRACE2, error, call->r, "door %s, pid %ld: a try with %"
                  APR_SIZE_T_FMT " bytes%s has ended%s", call->target.name.path,
                  (long)call->target.pid, call->arg_len, descriptor != -1 ? " and the response door" : "",
                  call->was_taken ? "" : ", nobody has taken it");
    if (mod_door_has_token(call))
        mod_door_close_token(call);
    if (error == APR_SUCCESS)
        keep_result(&args, call);
    return error;
}

/* A raw result is never taken for a message: it may contain what a client has sent. */
static int asks_for_response_door(const struct mod_door_call *call)
{
    struct door_wire_reader message;

    return mod_door_has_token(call) && mod_door_read_message(call, DOOR_WIRE_WHO, &message) == 0;
}

/*
 * One try within the door's limit.  *is_again becomes 1 if no thread took the call in time, and
 * another try may succeed; then the result is APR_SUCCESS.
 */
static apr_status_t try_call(struct mod_door_call *call, int descriptor, int *is_again)
{
    apr_status_t error = mod_door_enter_limit(call);
    int64_t begun_ns;

    *is_again = 0;
    if (error != APR_SUCCESS)
        return error;
    begun_ns = begin_try(call);
    call->made_ns = begun_ns;
    error = call_once(call, descriptor);
    if (error != ETIMEDOUT || call->was_taken)
        return error;
    error = mod_door_wait_on(call, begun_ns);
    *is_again = error == APR_SUCCESS;
    return error;
}

/* Finds another door for a call that no thread took. */
static apr_status_t go_elsewhere(struct mod_door_call *call, apr_status_t reason)
{
    mod_door_leave_limit(call);
    return reason == EBADF ? mod_door_replace_target(&call->target, call->note, call->r)
                           : mod_door_move_target(&call->target, call->note, call->r);
}

apr_status_t mod_door_call_application(struct mod_door_call *call)
{
    struct door_wire_head head; /* kept, because the result may overwrite the argument */
    apr_status_t error;
    int descriptor = -1, is_again;

    memcpy(&head, call->arg, call->arg_len < sizeof(head) ? call->arg_len : sizeof(head));
    for (;;) {
        do {
            error = try_call(call, descriptor, &is_again);
        } while (is_again);
        if (error == EBADF || error == MOD_DOOR_EMOVE) {
            descriptor = -1;
            error = go_elsewhere(call, error);
            if (error != APR_SUCCESS)
                return error;
            continue;
        }
        if (error != APR_SUCCESS || descriptor != -1 || call->response.is_begun ||
            !asks_for_response_door(call))
            return error;
        free_result(call);
        descriptor = mod_door_response_fd(call->target.door, mod_door_make_response_door);
        if (descriptor == -1)
            return errno;
        memcpy(call->arg, &head, sizeof(head));
        mod_door_give_turn(call);
    }
}
