/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * serve.c: the door procedure: decode, route, run the handler, reply.
 * door_return() does not return, so nothing is held across it but the thread's own
 * state, which the thread's next request uses again.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "access.h"
#include "fail.h"
#include "hooks.h"
#include "message.h"
#include "refuse.h"
#include "route.h"
#include "serve.h"

#define RETRY_AFTER "1" /* seconds; start hooks are tried again at least that often */

/* ---------------------------------------------------------------- answers */

static void answer_bare(struct door_rt_answer *answer, enum door_wire_kind kind, int error)
{
    struct door_wire_writer writer;

    door_wire_begin(&writer, answer->storage, sizeof(answer->storage));
    answer->bytes = answer->storage;
    answer->len = door_wire_end(&writer, kind, (unsigned)error,
                                kind == DOOR_WIRE_END ? DOOR_WIRE_FAILED : 0, 0);
}

static void answer_plain(struct door_rt_answer *answer, unsigned status, const char *text)
{
    static const char name[] = "Content-Type";
    static const char value[] = "text/plain; charset=utf-8";
    struct door_wire_writer writer;
    size_t text_len = strlen(text);

    door_wire_begin(&writer, answer->storage, sizeof(answer->storage));
    door_wire_field(&writer, DOOR_WIRE_HEADER, name, sizeof(name) - 1, value, sizeof(value) - 1);
    answer->bytes = answer->storage;
    answer->len = door_wire_end(&writer, DOOR_WIRE_RESPONSE, status, 0, text_len);
    memcpy(answer->storage + answer->len, text, text_len); /* the texts below fit */
    answer->len += text_len;
}

/* Answers a message that is no request, or cannot be run. */
static void refuse(struct door_rt_answer *answer, int error)
{
    switch (error) {
    case EBADMSG:
        answer_plain(answer, 400, "The application got a malformed message\n");
        break;
    case EPROTONOSUPPORT:
        answer_plain(answer, 502, "The application speaks another protocol version\n");
        break;
    default:
        answer_bare(answer, DOOR_WIRE_BUSY, error);
        break;
    }
}

/*
 * Finds the response door that the request names; fd came with the request, or is -1, and
 * is taken over.  Returns 1 if the request can be run; 0 if httpd is to send the request
 * again with the door; -1 and errno if the door cannot be kept, so that the handler could
 * send nothing before its end.
 */
static int find_caller(struct door_rt_request *req, int fd)
{
    const char *id = req->part[DOOR_WIRE_DOOR];
    const char *token = req->part[DOOR_WIRE_TOKEN];
    int is_offered = id != NULL && token != NULL && strlen(token) == DOOR_WIRE_ID_LEN;

    if (is_offered)
        req->channel.caller = door_rt_caller_find(id);
    if (is_offered && req->channel.caller == NULL && fd != -1) {
        req->channel.caller = door_rt_caller_add(id, fd);
        return req->channel.caller != NULL || errno == EBADF ? 1 : -1;
    }
    door_close_received(fd);
    return !is_offered || req->channel.caller != NULL;
}

/* Whether the client still waits, for a request that has waited in line. */
static int is_awaited(struct door_rt_request *req)
{
    struct door_app_request *handle = door_rt_handle(req);

    return door_app_client_gone(handle) != DOOR_APP_CLIENT_GONE;
}

/* The start hook has failed on this thread, and on all others. */
static void refuse_for_now(struct door_rt_request *req)
{
    door_app_header_set(door_rt_handle(req), "Retry-After", RETRY_AFTER);
    req->is_refused = 1; /* no page of the application: it may need what the hook sets up */
    door_rt_refuse(req, 503, "The application cannot serve this now");
}

/*
 * Makes the response or, if it cannot be made, the application's page for 500.  With the page,
 * httpd does not get the error, so it is logged here.
 */
static int respond(struct door_rt_request *req, struct door_rt_answer *answer)
{
    struct door_app_request *handle = door_rt_handle(req);

    if (door_rt_response(req, &answer->bytes, &answer->len) == 0)
        return 0;
    if (req->is_begun || errno == ECANCELED || !door_rt_has_page(req, 500))
        return -1;
    door_app_log(handle, LOG_ERR, "the response cannot be made: %m");
    if (door_app_refuse(handle, 500, "Internal server error") == -1)
        return -1;
    return door_rt_response(req, &answer->bytes, &answer->len);
}

static void answer_request(struct door_app *app, struct door_rt_thread *thread,
                           struct door_rt_answer *answer)
{
    struct door_rt_request *req = thread->req;
    int has_waited = door_rt_admit(&app->line, req);

    if (has_waited == -1) {
        answer_bare(answer, DOOR_WIRE_BUSY, 0);
        return;
    }
    req->begun_ns = door_now_ns();
    thread->serving = app;
    if (!door_rt_hooks_ready(app->thread_hooks, thread))
        refuse_for_now(req);
    else if (!has_waited || is_awaited(req))
        (req->part[DOOR_WIRE_ROLE] != NULL ? door_rt_guard : door_rt_route)(app, req);
    if (respond(req, answer) == 0) {
        answer->fd = req->file.fd;
        req->file.fd = -1;
    } else {
        answer_bare(answer, DOOR_WIRE_END, errno);
    }
    thread->serving = NULL;
    atomic_fetch_add(&app->served, 1);
    door_rt_depart(&app->line);
    door_rt_hooks_settle(thread);
}

static void put_count(struct door_wire_writer *w, const char *name, unsigned long long count)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%llu", count);

    door_wire_field(w, DOOR_WIRE_COUNT, name, strlen(name), digits, (size_t)len);
}

static void answer_status(struct door_app *app, struct door_rt_answer *answer)
{
    struct door_wire_writer w;
    unsigned running, waiting;

    pthread_mutex_lock(&app->line.lock);
    running = app->line.running;
    waiting = app->line.waiting;
    pthread_mutex_unlock(&app->line.lock);
    door_wire_begin(&w, answer->storage, sizeof(answer->storage));
    put_count(&w, "calls", atomic_load(&app->served));
    put_count(&w, "running", running);
    put_count(&w, "waiting", waiting);
    put_count(&w, "threads", door_app_thread_count());
    put_count(&w, "threads-max", door_rt_thread_max());
    answer->bytes = answer->storage;
    answer->len = door_wire_end(&w, DOOR_WIRE_STATUS, 0, 0, 0);
}

/* The thread ends, maybe in the middle of a request, which is counted as ended. */
static void end_thread(struct door_rt_thread *thread)
{
    if (thread->serving != NULL) {
        door_rt_depart(&thread->serving->line);
        atomic_fetch_add(&thread->serving->served, 1);
        atomic_fetch_add(&thread->serving->ended, 1);
        door_rt_request_end(thread->req);
    }
}

static int is_status(const void *data, size_t len)
{
    struct door_wire_reader message;

    return door_wire_read(&message, DOOR_WIRE_STATUS, data, len) == 0;
}

/* found is the result of find_caller(). */
static void answer_found(struct door_app *app, struct door_rt_thread *thread, int found,
                         struct door_rt_answer *answer)
{
    if (found == 1)
        answer_request(app, thread, answer);
    else if (found == 0)
        answer_bare(answer, DOOR_WIRE_WHO, 0);
    else
        answer_bare(answer, DOOR_WIRE_BUSY, errno);
}

void door_rt_answer(struct door_app *app, const void *data, size_t len, int fd,
                    struct door_rt_answer *answer)
{
    struct door_rt_thread *thread = door_rt_thread();
    struct door_rt_request *req;

    answer->fd = -1;
    if (thread == NULL) {
        refuse(answer, errno);
        door_close_received(fd);
        return;
    }
    thread->at_end = end_thread;
    door_rt_arena_reset(&thread->arena);
    door_rt_buffer_reset(&thread->body);
    req = door_rt_request_read(thread, data, len);
    if (req == NULL) {
        int error = errno;

        if (is_status(data, len))
            answer_status(app, answer);
        else
            refuse(answer, error);
        door_close_received(fd);
    } else {
        answer_found(app, thread, find_caller(req, fd), answer);
        door_rt_request_end(req);
    }
    door_rt_arena_reset(&thread->arena);
}

/* ---------------------------------------------------------------- the door */

/* Returns the first descriptor, and closes others, which should not come. */
static int take_descriptor(const door_desc_t *dp, uint_t n_desc)
{
    int fd = -1;

    for (uint_t i = 0; i < n_desc; i++) {
        if (!(dp[i].d_attributes & DOOR_DESCRIPTOR))
            continue;
        if (fd == -1)
            fd = dp[i].d_data.d_desc.d_descriptor;
        else
            door_close_received(dp[i].d_data.d_desc.d_descriptor);
    }
    return fd;
}

void door_rt_serve(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    struct door_app *app = cookie;
    struct door_rt_answer answer;
    door_desc_t desc = {.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE};
    int error;

    atomic_fetch_add(&app->started, 1);
    door_rt_answer(app, argp, arg_size, take_descriptor(dp, n_desc), &answer);
    atomic_fetch_add(&app->ended, 1);
    desc.d_data.d_desc.d_descriptor = answer.fd;
    door_return(answer.bytes, answer.len, &desc, answer.fd != -1);
    /* door_return() comes back if the answer cannot be sent.  The errno may still be. */
    error = errno;
    if (answer.fd != -1)
        close(answer.fd);
    answer_bare(&answer, DOOR_WIRE_END, error);
    door_return(answer.bytes, answer.len, NULL, 0);
    door_return(NULL, 0, NULL, 0);
}
