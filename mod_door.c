/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * mod_door.c: httpd answers requests by calling doors.  This file is the story
 * of one request, from the hooks that claim it to the response.  It is also the
 * one place that logs failures and gives them their HTTP status.
 *
 * httpd's parent opens no door and runs no thread of this module: each child makes
 * its own table of doors, and opens a door at the first request for it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mpm_common.h>

#include "module/mod_door.h"
#include "module/access.h"
#include "module/definitions.h"
#include "module/body.h"
#include "module/call.h"
#include "module/call_state.h"
#include "module/config.h"
#include "module/descriptor.h"
#include "module/doors.h"
#include "module/limit.h"
#include "module/mapping.h"
#include "module/outputs.h"
#include "module/overlap.h"
#include "module/received.h"
#include "module/request.h"
#include "module/response.h"
#include "module/shared_calls.h"
#include "module/shared_figures.h"
#include "module/status.h"
#include "module/status_page.h"
#include "module/story.h"
#include "module/supervision.h"
#include "module/target.h"
#include "module/tokens.h"
#include "module/unasked.h"
#include "tag.h"
#include "wire.h"

APLOG_USE_MODULE(door);

/* -------------------------------------------------------------- failures */

#define TAG_LEN (sizeof(DOORNO(0101)) - 1)

static const struct failure {
    apr_status_t error;
    int status;
    const char *reason; /* with its tag */
} failures[] = {
    {EBADF, HTTP_SERVICE_UNAVAILABLE, DOORNO(0101) "its application is not running"},
    {ENOENT, HTTP_SERVICE_UNAVAILABLE, DOORNO(0102) "no such door"},
    {ENXIO, HTTP_SERVICE_UNAVAILABLE, DOORNO(0103) "that is not a door, or its application has ended"},
    {EINVAL, HTTP_SERVICE_UNAVAILABLE, DOORNO(0104) "that is not a door"},
    {ELOOP, HTTP_SERVICE_UNAVAILABLE,
     DOORNO(0105) "its name is a symbolic link, which is not followed there"},
    {EACCES, HTTP_SERVICE_UNAVAILABLE,
     DOORNO(0106) "httpd's user may not call it: it must be allowed to write to the door (on illumos, "
                  "to read it), and to search each directory above"},
    {MOD_DOOR_EOWNER, HTTP_SERVICE_UNAVAILABLE,
     DOORNO(0107) "not called: another user has attached the door that has its name (owner= of "
                  "DoorHandler)"},
    {EPROTO, HTTP_SERVICE_UNAVAILABLE,
     DOORNO(0108) "its application has another version of the doors library"},
    {EINTR, HTTP_BAD_GATEWAY, DOORNO(0109) "the application ended during the call"},
    {ETIMEDOUT, HTTP_GATEWAY_TIME_OUT, DOORNO(0110) "no answer within DoorTimeout"},
    {ENOBUFS, HTTP_REQUEST_ENTITY_TOO_LARGE,
     DOORNO(0111) "the application takes no request of this size"},
    {E2BIG, HTTP_REQUEST_ENTITY_TOO_LARGE,
     DOORNO(0112) "the request is larger than a call can carry"},
    {EOVERFLOW, HTTP_BAD_GATEWAY, DOORNO(0113) "the answer is larger than a call can carry"},
    {EBADMSG, HTTP_BAD_GATEWAY,
     DOORNO(0114) "the answer is no complete message (a program without the runtime needs "
                  "DoorProtocol raw)"},
    {EPROTONOSUPPORT, HTTP_BAD_GATEWAY,
     DOORNO(0115) "the answer is in another version of the protocol"},
    {EPERM, HTTP_BAD_GATEWAY,
     DOORNO(0116) "the application ended a response that it had not begun, or began a second one"},
    {MOD_DOOR_EFAILED, HTTP_BAD_GATEWAY, DOORNO(0117) "the application gave up in mid-response"},
    {MOD_DOOR_ESILENT, HTTP_GATEWAY_TIME_OUT,
     DOORNO(0118) "its pipe or socket paused for over DoorTimeout"},
    {MOD_DOOR_EROLE, HTTP_BAD_GATEWAY,
     DOORNO(0119) "the answer does not say whether the request may pass: the application has no "
                  "handler for that, or it failed"},
    {MOD_DOOR_EMISUSE, HTTP_BAD_GATEWAY,
     DOORNO(0120) "the application broke the protocol: it began the response twice, sent a part before "
                  "the beginning, or sent a descriptor that cannot be passed on"},
    {MOD_DOOR_EEXHAUSTED, HTTP_SERVICE_UNAVAILABLE,
     DOORNO(0121) "not answered: the application has run out of something"},
    {MOD_DOOR_EUNCLOSED, HTTP_SERVICE_UNAVAILABLE,
     DOORNO(0122) "not called: too many descriptors that it has sent cannot be read or closed"},
    {MOD_DOOR_EBUSY, HTTP_SERVICE_UNAVAILABLE,
     DOORNO(0123) "too many requests run and wait already (DoorMaxConcurrent, DoorQueueLength, "
                  "DoorQueueTimeout; threads= of DoorApp)"},
    {MOD_DOOR_ESTART, HTTP_SERVICE_UNAVAILABLE,
     DOORNO(0124) "it has not come up within its start-timeout"},
    {MOD_DOOR_EDOWN, HTTP_SERVICE_UNAVAILABLE,
     DOORNO(0125) "it is not running, and will not be at once; an earlier line tells why"},
    {MOD_DOOR_EDRAINED, HTTP_SERVICE_UNAVAILABLE,
     DOORNO(0126) "it has been drained, until doorctl start"},
    {MOD_DOOR_EGONE, HTTP_SERVICE_UNAVAILABLE, DOORNO(0127) "its client has gone while it waited"},
    {MOD_DOOR_ECUT, HTTP_SERVICE_UNAVAILABLE,
     DOORNO(0128) "this process of httpd ends, and waits no longer"},
    {MOD_DOOR_ESTATUS, HTTP_BAD_GATEWAY, DOORNO(0129) "the answer's status is not in 200..599"},
    {MOD_DOOR_EHEADER, HTTP_BAD_GATEWAY,
     DOORNO(0130) "the answer has an invalid header, or over 8,190 bytes of Connection or Vary"},
    {MOD_DOOR_EHEAD, HTTP_BAD_GATEWAY,
     DOORNO(0131) "the answer has over 1,000 header fields, or 1 MiB of them"},
    {MOD_DOOR_ELENGTH, HTTP_BAD_GATEWAY,
     DOORNO(0132) "the answer's Content-Length is invalid or repeated"},
    {MOD_DOOR_ESHORT, 0,
     DOORNO(0133) "the answer is shorter than its Content-Length; connection closed"},
    {MOD_DOOR_ELONG, 0, DOORNO(0134) "the answer is longer than its Content-Length; cut"},
};

/* Of ENOSPC, ECONNREFUSED and other errors, for which the system's error text is enough. */
static const struct failure other_failure = {0, HTTP_SERVICE_UNAVAILABLE,
                                             DOORNO(0135) "it cannot be opened or called"};

/* What has run out, and the settings that limit it.  It can be httpd's or the application's. */
static const char *what_is_short(apr_status_t error)
{
    switch (error) {
    case EAGAIN:
        return "; its threads or memory are at their limit (RLimitNPROC= and RLimitMEM= of DoorApp, "
               "TasksMax= of a systemd unit)";
    case ENOMEM:
        return "; its memory is at its limit (RLimitMEM= of DoorApp, MemoryMax= of a systemd unit)";
    case EMFILE:
        return "; its descriptors, or those of httpd's child, are at their limit (RLimitNOFILE= of "
               "DoorApp, LimitNOFILE= of a systemd unit)";
    case ENFILE:
        return "; the system has no descriptors left (fs.file-max)";
    case EFBIG:
        return "; its files may not be large enough (RLimitFSIZE= of DoorApp)";
    default:
        return "";
    }
}

static const struct failure *find_failure(apr_status_t error)
{
    apr_size_t i;

    for (i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
        if (failures[i].error == error)
            return &failures[i];
    return &other_failure;
}

/* Sets Retry-After: when a client that was turned away should come again. */
static void set_retry_after(const struct mod_door_call *call, apr_status_t error)
{
    apr_interval_time_t wait;
    apr_int64_t seconds;

    if (error == MOD_DOOR_EBUSY)
        wait = call->limit != NULL ? call->limit->queue_timeout : MOD_DOOR_QUEUE_TIMEOUT;
    else if (call->target.app != NULL && (error == MOD_DOOR_EDOWN || error == MOD_DOOR_ESTART))
        wait = mod_door_retry_after(call->target.app);
    else
        return;
    seconds = apr_time_sec(wait + apr_time_from_sec(1) - 1);
    apr_table_setn(call->r->err_headers_out, "Retry-After",
                   apr_psprintf(call->r->pool, "%" APR_INT64_T_FMT, seconds > 0 ? seconds : 1));
}

/* With PrivateTmp=, systemd gives httpd a /tmp of its own. */
static const char *hint(const char *path, apr_status_t error)
{
    if (error == ENOENT && (!strncmp(path, "/tmp/", 5) || !strncmp(path, "/var/tmp/", 9)))
        return " (if there is, httpd may have a /tmp of its own: PrivateTmp of its systemd unit)";
    return "";
}

/*
 * Whether the error comes from a restart or stop of httpd, which ends running calls,
 * waits for applications, and unfinished responses.  The applications are not at fault.
 */
static int is_cut(apr_status_t error)
{
    return mod_door_is_stopping() &&
           (error == ETIMEDOUT || error == EINTR || error == MOD_DOOR_ESTART ||
            error == MOD_DOOR_ECUT || error == MOD_DOOR_EFAILED || error == MOD_DOOR_ESHORT ||
            error == MOD_DOOR_ESILENT);
}

/*
 * Logs why a call failed, and returns the HTTP status for it.  The system's text for an
 * errno is logged only where it fits: the doors API uses some errnos in a meaning of its own.
 */
static int fail(struct mod_door_call *call, apr_status_t error)
{
    const struct mod_door_target *target = &call->target;
    const struct failure *failure = find_failure(is_cut(error) ? MOD_DOOR_ECUT : error);
    apr_status_t known = failure == &other_failure || error == ENOENT ? error : call->app_error;
    int level = is_cut(error) || error == MOD_DOOR_EGONE ? APLOG_INFO
                : error == MOD_DOOR_EDRAINED             ? APLOG_WARNING
                                                         : APLOG_ERR;
    const char *reason = failure->reason + TAG_LEN;
    const char *process = "";

    if (known == EINTR) /* "Interrupted system call" explains nothing */
        known = APR_SUCCESS;
    if (target->pid > 0)
        process = apr_psprintf(call->r->pool, ", server pid %ld", (long)target->pid);
    call->failure = is_cut(error) ? MOD_DOOR_ECUT : error;
    set_retry_after(call, error);
    ap_log_rerror(APLOG_MARK, level, known, call->r, "%.*s%s %s%s: %s%s%s", (int)TAG_LEN,
                  failure->reason, target->app != NULL ? "application" : "door",
                  target->app != NULL ? target->app->name : target->name.path, process, reason,
                  what_is_short(known), hint(target->name.path, error));
    return failure->status;
}

/* --------------------------------------------------------------- answering */

/* The error of an application that says itself that it has not answered, or not to the end. */
static apr_status_t read_failure(struct mod_door_call *call, const struct door_wire_reader *message)
{
    static const int exhausted[] = {EMFILE, ENFILE, ENOMEM, EAGAIN, ENOBUFS, ENOSPC, ENOSYS};
    apr_size_t i;

    call->app_error = message->status;
    for (i = 0; i < sizeof(exhausted) / sizeof(exhausted[0]); i++)
        if (message->status == exhausted[i] && !call->response.is_begun)
            return MOD_DOOR_EEXHAUSTED;
    if (message->kind == DOOR_WIRE_BUSY && call->app_error == APR_SUCCESS)
        return MOD_DOOR_EBUSY;
    return MOD_DOOR_EFAILED;
}

/* Checks the result, and begins the response if that has not been done on the response door. */
static apr_status_t read_result(struct mod_door_call *call, struct door_wire_reader *message)
{
    if (mod_door_is_raw(call)) {
        memset(message, 0, sizeof(*message));
        message->body = call->result;
        message->body_len = call->result_len;
        mod_door_begin_raw(call);
        return APR_SUCCESS;
    }
    if (call->complaint != APR_SUCCESS && call->complaint != MOD_DOOR_ELONG)
        return call->complaint;
    if (mod_door_read_message(call, DOOR_WIRE_ANY, message) == -1)
        return errno;
    if (mod_door_check_head(message) != APR_SUCCESS)
        return MOD_DOOR_EHEAD;
    if (message->kind == DOOR_WIRE_RESPONSE || message->kind == DOOR_WIRE_END)
        mod_door_take_log_fields(call->r, *message);
    mod_door_take_served(call, *message);
    if ((message->kind == DOOR_WIRE_BUSY && !call->response.is_begun) ||
        (message->kind == DOOR_WIRE_END && message->flags & DOOR_WIRE_FAILED))
        return read_failure(call, message);
    if (message->kind == DOOR_WIRE_RESPONSE && !call->response.is_begun)
        return mod_door_begin(call, *message);
    if (message->kind != DOOR_WIRE_END || !call->response.is_begun)
        return message->kind == DOOR_WIRE_END || message->kind == DOOR_WIRE_RESPONSE ? EPERM
                                                                                     : EBADMSG;
    return APR_SUCCESS;
}

/*
 * Appends the end of the response to bb.  *wrong_length becomes APR_SUCCESS, or what is
 * wrong with the response's length, which is no error here.
 */
static apr_status_t take_end(struct mod_door_call *call, const struct door_wire_reader *message,
                             apr_bucket_brigade *bb, apr_status_t *wrong_length)
{
    apr_status_t error = APR_SUCCESS;
    apr_off_t len;

    if (message->body_len > 0)
        APR_BRIGADE_INSERT_TAIL(
            bb, mod_door_body_bucket(call, message->body, (apr_size_t)message->body_len));
    if (call->result_fd != -1) {
        error = mod_door_add_descriptor(call, bb, call->result_fd, *message);
        call->result_fd = -1;
    }
    apr_brigade_length(bb, 0, &len);
    *wrong_length = message->flags & DOOR_WIRE_EXCESS || call->complaint == MOD_DOOR_ELONG
                        ? MOD_DOOR_ELONG
                        : mod_door_check_length(call, len);
    return error;
}

/*
 * For a local Location: the response is that of another request, made with GET.  If the
 * client has sent HEAD, r->header_only still holds, and the response has no body.
 */
static int follow_location(struct mod_door_call *call)
{
    request_rec *r = call->r;

    mod_door_keep_headers(call);
    mod_door_body_abandon(r, &call->body);
    r->method = "GET";
    r->method_number = M_GET;
    ap_internal_redirect(call->response.redirect, r);
    return OK;
}

/* Ends the response after a call that ended with error.  Returns what the handler returns. */
static int answer(struct mod_door_call *call, apr_status_t error)
{
    struct mod_door_response *response = &call->response;
    struct door_wire_reader message = {0};
    apr_status_t wrong_length = APR_SUCCESS;
    int status;

    if (error == APR_SUCCESS)
        error = read_result(call, &message);
    /* If the body could not be read, the client is told so, unless a response has begun. */
    if (call->body.error != APR_SUCCESS && !call->is_passed)
        return mod_door_body_status(&call->body);
    if (error == APR_SUCCESS)
        error = take_end(call, &message, call->brigade, &wrong_length);
    if (response->error != APR_SUCCESS) {
        apr_brigade_cleanup(call->brigade);
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, response->error, call->r,
                      "door %s: the client went in mid-response", call->target.name.path);
    } else if (error != APR_SUCCESS) {
        status = fail(call, error);
        if (!response->is_begun || response->redirect != NULL)
            return status;
        return mod_door_end_broken(call, call->brigade);
    } else if (wrong_length != APR_SUCCESS) {
        fail(call, wrong_length);
    }
    if (response->redirect != NULL)
        return follow_location(call);
    return mod_door_end(call, call->brigade, message);
}

/*
 * Reads the answer to a question after the call, which has ended with error.  Nothing of it
 * goes to the client.  Returns OK, or an HTTP status.
 */
static int take_answer(struct mod_door_call *call, apr_status_t error)
{
    struct door_wire_reader message;

    if (error == APR_SUCCESS)
        error = call->complaint;
    if (error == APR_SUCCESS && mod_door_read_message(call, DOOR_WIRE_ANY, &message) == -1)
        error = errno;
    if (error == APR_SUCCESS)
        mod_door_take_served(call, message);
    if (error == APR_SUCCESS)
        error = message.kind == DOOR_WIRE_RESPONSE
                    ? mod_door_read_answer(call->r, message, call->question)
                : message.kind == DOOR_WIRE_BUSY || message.kind == DOOR_WIRE_END
                    ? read_failure(call, &message)
                    : EBADMSG;
    return error == APR_SUCCESS ? OK : fail(call, error);
}

static enum call_end how_it_ended(apr_status_t error)
{
    switch (error) {
    case APR_SUCCESS:
        return CALL_ENDED;
    case ETIMEDOUT:
        return CALL_TIMED_OUT;
    case MOD_DOOR_EBUSY:
    case MOD_DOOR_EGONE:
    case MOD_DOOR_ECUT:
    case MOD_DOOR_EUNCLOSED:
        return CALL_NOT_TAKEN;
    default:
        return CALL_FAILED;
    }
}

/* ------------------------------------------------------------ the handler */

/* Finds out which door to call.  Returns OK, or what the handler is to return. */
static int choose_target(struct mod_door_call *call)
{
    request_rec *r = call->r;
    const struct mod_door_config *conf = call->conf;

    if (mod_door_rejects_path_info(r, conf))
        return HTTP_NOT_FOUND;
    if (mod_door_name_target(r, conf, &call->target) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      DOORNO(0136) "door %s, named in .htaccess: no DoorAllow permits it here", conf->path);
        return HTTP_FORBIDDEN;
    }
    if (conf->is_app && (call->target.app = mod_door_find_app(conf->path)) == NULL)
        return fail(call, MOD_DOOR_EDOWN);
    call->limit = mod_door_find_limit(conf->path);
    return OK;
}

/* Opens the door and writes the message for it.  Returns OK, or what the handler is to return. */
static int prepare(struct mod_door_call *call)
{
    request_rec *r = call->r;
    apr_status_t error;
    int status = choose_target(call);

    if (status != OK)
        return status;
    mod_door_begin_call(call);
    /* Before the body is read: without an application, the client need not send it. */
    error = mod_door_find_target(&call->target, call->note, r);
    if (error == APR_SUCCESS)
        error = mod_door_random_id(call->token);
    if (error != APR_SUCCESS)
        return fail(call, error);
    call->buffer = apr_bucket_alloc(MOD_DOOR_BUFFER_LEN, r->connection->bucket_alloc);
    call->brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    status = mod_door_write_request(call);
    if (status != OK)
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      "door %s: not called, the request could not be read or is too large",
                      call->target.name.path);
    return status;
}

/* Makes the call.  Most of a long response is sent to the client while the call runs. */
static apr_status_t make_call(struct mod_door_call *call)
{
    apr_status_t error = mod_door_call_application(call);

    call->ended_ns = door_now_ns();
    mod_door_leave_limit(call);
    mod_door_leave_process(&call->target, call->note, how_it_ended(error));
    /* This memory is not kept while a slow client takes the response. */
    free(call->long_arg);
    call->long_arg = NULL;
    mod_door_body_free_pieces(&call->pieces);
    return error;
}

/* Whether r is for an ErrorDocument: an internal redirect to one keeps the error's status. */
static int is_error_page(const request_rec *r)
{
    return r->prev != NULL && ap_is_HTTP_ERROR(r->status);
}

/*
 * Not on the stack: httpd's requests go round among hundreds of threads, each of which keeps the
 * stack that it has touched, and all share the pools' memory.
 */
static struct mod_door_call *new_call(request_rec *r, const struct mod_door_config *conf)
{
    struct mod_door_call *call = apr_pcalloc(r->pool, sizeof(*call));

    call->r = r;
    call->conf = conf;
    call->result_fd = -1;
    return call;
}

/* Lets go of all that the call has but its memory. */
static void finish(struct mod_door_call *call, int status)
{
    mod_door_release_target(&call->target, call->note);
    mod_door_tell_story(call, status);
    mod_door_free_call(call);
}

/* The handler, as httpd calls it. */
static int handle(request_rec *r)
{
    struct mod_door_call *call;
    int status;

    if (!mod_door_is_ours(r))
        return DECLINED;
    call = new_call(r, mod_door_config_of(r));
    r->finfo.filetype = APR_NOFILE; /* the date of a file with this name is not the response's */
    status = mod_door_body_init(r, &call->body);
    if (is_error_page(r)) {
        mod_door_body_abandon(r, &call->body);
        status = OK;
    }
    if (status == OK)
        status = prepare(call);
    if (status == OK)
        status = answer(call, make_call(call));
    finish(call, status);
    if (ap_is_HTTP_ERROR(status)) /* the ErrorDocument may be answered by a door, too */
        mod_door_body_abandon(r, &call->body);
    return status;
}

/* Asks an application a question (access.c).  The request's body stays for the handler. */
static int ask(request_rec *r, const struct mod_door_config *conf,
               struct mod_door_question *question)
{
    struct mod_door_call *call = new_call(r, conf);
    int status;

    call->question = question;
    call->body.length = -1;
    call->body.is_ended = 1;
    status = prepare(call);
    if (status == OK)
        status = take_answer(call, make_call(call));
    finish(call, status);
    return status;
}

/*
 * Keeps this module loaded until the process ends: threads of the doors may run its code
 * even after httpd's pools are destroyed.  The parent has no such threads, and unloads the
 * module at each restart.
 */
static void stay_loaded(void)
{
    Dl_info self;

    if (dladdr(&door_module, &self) != 0)
        dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

static void start_child(apr_pool_t *pool, server_rec *s)
{
    apr_status_t error = mod_door_init(pool);

    mod_door_init_received();
    stay_loaded();
    if (error == APR_SUCCESS)
        error = mod_door_init_tokens(pool);
    mod_door_forget_supervisor();
    if (error == APR_SUCCESS)
        return;
    ap_log_error(APLOG_MARK, APLOG_CRIT, error, s,
                 DOORNO(0301) "door: no table of open doors can be made; this child of httpd ends");
    exit(APEXIT_CHILDFATAL);
}

static int forget_config(apr_pool_t *pool, apr_pool_t *log_pool, apr_pool_t *temp_pool)
{
    (void)log_pool;
    (void)temp_pool;
    mod_door_forget_limits(pool);
    mod_door_forget_apps(pool);
    mod_door_forget_locations(pool);
    mod_door_forget_guards(pool);
    mod_door_find_supervisor(pool);
    return OK;
}

static int make_tables(apr_pool_t *pool, apr_pool_t *log_pool, apr_pool_t *temp_pool, server_rec *s)
{
    apr_status_t error = mod_door_make_calls();

    if (error == APR_SUCCESS)
        error = mod_door_make_figures();
    (void)pool;
    (void)log_pool;
    (void)temp_pool;
    if (error == APR_SUCCESS)
        return OK;
    ap_log_error(APLOG_MARK, APLOG_CRIT, error, s,
                 DOORNO(0302) "door: cannot make the memory that all children share");
    return HTTP_INTERNAL_SERVER_ERROR;
}

/* httpd -t prints the warnings that a start would log. */
static int warn_in_test(apr_pool_t *pool, apr_pool_t *log_pool, apr_pool_t *temp_pool,
                        server_rec *s)
{
    (void)pool;
    (void)log_pool;
    if (ap_state_query(AP_SQ_RUN_MODE) != AP_SQ_RM_CONFIG_TEST)
        return OK;
    mod_door_warn_of_overlaps(temp_pool, s, APLOG_STARTUP);
    mod_door_warn_of_unasked(temp_pool, s, APLOG_STARTUP);
    mod_door_warn_of_needs(temp_pool, s, APLOG_STARTUP);
    return OK;
}

/* Does nothing while httpd reads the configuration for the first time, only to check it. */
static int launch_apps(apr_pool_t *pool, apr_pool_t *log_pool, apr_pool_t *temp_pool, server_rec *s)
{
    apr_status_t error = APR_SUCCESS;

    (void)log_pool;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG)
        return OK;
    mod_door_warn_of_overlaps(temp_pool, s, 0);
    mod_door_warn_of_unasked(temp_pool, s, 0);
    mod_door_warn_of_needs(temp_pool, s, 0);
    mod_door_open_outputs(pool, s, mod_door_apps());
    error =
        mod_door_launch_apps(s, &(struct mod_door_wanted){.apps = mod_door_apps(),
                                                          .runtime_dir = mod_door_runtime_dir(pool),
                                                          .find_again = mod_door_find_apps_again});
    if (error == APR_SUCCESS)
        return OK;
    ap_log_error(APLOG_MARK, APLOG_CRIT, error, s,
                 DOORNO(0303) "door: cannot start the supervisor, which launches the applications");
    return HTTP_INTERNAL_SERVER_ERROR;
}

static void register_hooks(apr_pool_t *pool)
{
    ap_hook_pre_config(forget_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(mod_door_check_limits, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(mod_door_check_apps, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_check_config(warn_in_test, NULL, NULL, APR_HOOK_LAST);
    ap_hook_post_config(make_tables, NULL, NULL, APR_HOOK_MIDDLE);
    /* Last: no application is launched if another module rejects the configuration. */
    ap_hook_post_config(launch_apps, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_monitor(mod_door_monitor_supervisor, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_status(mod_door_note_child, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(start_child, NULL, NULL, APR_HOOK_MIDDLE);
    mod_door_register_child_end();
    mod_door_register_status();
    mod_door_register_status_page();
    mod_door_register_mapping();
    mod_door_register_access(pool, ask);
    ap_hook_handler(handle, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA door_module = {
    STANDARD20_MODULE_STUFF,
    mod_door_create_config, /* per directory */
    mod_door_merge_config,
    NULL, /* per server: nothing */
    NULL,
    mod_door_commands,
    register_hooks,
    AP_MODULE_FLAG_NONE,
};
