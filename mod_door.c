/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * mod_door.c: httpd answers requests by calling doors.  This file is the story
 * of one request, from the hooks that claim it to the response, and the one
 * place that logs failures and gives them their HTTP status.
 *
 * httpd's parent opens no door and runs no thread of ours: the table of doors
 * is made in each child, and a door is opened at its first request there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>

#include "module/mod_door.h"

APLOG_USE_MODULE(door);

#define HANDLER_NAME "door"

/* -------------------------------------------------------------- failures */

static const struct failure {
    apr_status_t error;
    int status;
    const char *reason;
} failures[] = {
    {EBADF, HTTP_SERVICE_UNAVAILABLE, "its application is not running"},
    {ENOENT, HTTP_SERVICE_UNAVAILABLE, "no such door"},
    {ENXIO, HTTP_SERVICE_UNAVAILABLE, "that is not a door"},
    {EINVAL, HTTP_SERVICE_UNAVAILABLE, "that is not a door"},
    {EPROTO, HTTP_SERVICE_UNAVAILABLE, "its application has another version of the doors library"},
    {EINTR, HTTP_BAD_GATEWAY, "the application ended during the call"},
    {ETIMEDOUT, HTTP_GATEWAY_TIME_OUT, "no answer within DoorTimeout"},
    {ENOBUFS, HTTP_REQUEST_ENTITY_TOO_LARGE, "the application takes no request of this size"},
    {E2BIG, HTTP_REQUEST_ENTITY_TOO_LARGE, "the request is larger than a call can carry"},
    {EOVERFLOW, HTTP_BAD_GATEWAY, "the answer is larger than a call can carry"},
    {EBADMSG, HTTP_BAD_GATEWAY, "the answer is no complete message"},
    {EPROTONOSUPPORT, HTTP_BAD_GATEWAY, "the answer is in another version of the protocol"},
    {MOD_DOOR_ESTATUS, HTTP_BAD_GATEWAY, "the answer's status is not in 200..599"},
    {MOD_DOOR_EHEADER, HTTP_BAD_GATEWAY, "the answer has an invalid header"},
    {MOD_DOOR_ELENGTH, HTTP_BAD_GATEWAY, "the answer's Content-Length is invalid or repeated"},
    {MOD_DOOR_ESHORT, 0, "the answer is shorter than its Content-Length; connection closed"},
    {MOD_DOOR_ELONG, 0, "the answer is longer than its Content-Length; cut"},
};

/* EACCES, EMFILE, ENOMEM, EAGAIN and the like say it themselves. */
static const struct failure other_failure = {0, HTTP_SERVICE_UNAVAILABLE,
                                             "it cannot be opened or called"};

static const struct failure *find_failure(apr_status_t error)
{
    apr_size_t i;

    for (i = 0; i < sizeof(failures) / sizeof(failures[0]); i++)
        if (failures[i].error == error)
            return &failures[i];
    return &other_failure;
}

/* Tells the log why a call came to nothing; returns the HTTP status that fits. */
static int fail(request_rec *r, const char *path, pid_t pid, apr_status_t error)
{
    const struct failure *failure = find_failure(error);
    apr_status_t known = error < APR_OS_START_USERERR ? error : APR_SUCCESS;

    if (pid > 0)
        ap_log_rerror(APLOG_MARK, APLOG_ERR, known, r, "door %s, server pid %ld: %s", path,
                      (long)pid, failure->reason);
    else
        ap_log_rerror(APLOG_MARK, APLOG_ERR, known, r, "door %s: %s", path, failure->reason);
    return failure->status;
}

/* ---------------------------------------------------------------- calling */

/*
 * The call, whose result goes into call.  One that was refused with EBADF has
 * not been seen by any application, so the door that has the name now is tried
 * once.  *door may become another one, or NULL.
 */
static apr_status_t call_door(request_rec *r, const struct mod_door_name *name,
                              apr_interval_time_t timeout, struct mod_door_call *call,
                              struct mod_door **door, door_arg_t *args)
{
    const door_arg_t argument = {
        .data_ptr = call->arg_len > 0 ? call->arg : NULL,
        .data_size = call->arg_len,
        .rbuf = call->buffer,
        .rsize = MOD_DOOR_BUFFER_LEN,
    };
    _Atomic int64_t deadline_ns = timeout > 0 ? door_now_ns() + (int64_t)timeout * 1000 : 0;
    apr_status_t error;

    *args = argument;
    error = mod_door_invoke(*door, args, &deadline_ns);
    if (error != EBADF)
        return error;
    error = mod_door_renew(name, r->request_time, door);
    if (error != APR_SUCCESS)
        return error;
    *args = argument;
    return mod_door_invoke(*door, args, &deadline_ns);
}

/* Takes note of where the result is.  Descriptors have no meaning in it: they are closed. */
static void keep_result(const door_arg_t *args, struct mod_door_call *call)
{
    uint_t i;

    for (i = 0; i < args->desc_num; i++)
        if (args->desc_ptr[i].d_attributes & DOOR_DESCRIPTOR)
            close(args->desc_ptr[i].d_data.d_desc.d_descriptor);
    call->result = args->data_ptr;
    call->result_len = args->data_size;
    if (args->rbuf != call->buffer) {
        call->mapping = args->rbuf;
        call->mapping_len = args->rsize;
    }
}

/* Frees what no bucket has taken over. */
static void free_call(struct mod_door_call *call)
{
    free(call->long_arg);
    if (call->mapping != NULL)
        munmap(call->mapping, call->mapping_len);
    if (call->buffer != NULL)
        apr_bucket_free(call->buffer);
}

/* The request through an open door and back; *door may become another one, or NULL. */
static int exchange(request_rec *r, const struct mod_door_config *conf,
                    const struct mod_door_name *name, struct mod_door_call *call,
                    struct mod_door **door)
{
    apr_interval_time_t timeout = conf->timeout >= 0 ? conf->timeout : r->server->timeout;
    struct mod_door_response response;
    door_arg_t args;
    apr_status_t error;
    pid_t pid = (*door)->pid;
    int status = mod_door_write_request(r, conf, call);

    if (status != OK) {
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                      "door %s: not called, the request could not be read or is too large",
                      name->path);
        return status;
    }
    error = call_door(r, name, timeout, call, door, &args);
    /* Not kept while a slow client takes the answer. */
    free(call->long_arg);
    call->long_arg = NULL;
    if (*door != NULL)
        pid = (*door)->pid;
    if (error != APR_SUCCESS)
        return fail(r, name->path, pid, error);
    keep_result(&args, call);
    error = mod_door_read_response(r, conf, call, &response);
    if (error != APR_SUCCESS)
        return fail(r, name->path, pid, error);
    error = mod_door_check_length(r, &response);
    if (error != APR_SUCCESS)
        fail(r, name->path, pid, error);
    return mod_door_send_response(r, &response, call);
}

/* ------------------------------------------------------------------ hooks */

static const struct mod_door_config *config_of(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &door_module);
}

static int has_door(const struct mod_door_config *conf)
{
    return conf->path != NULL && *conf->path != '\0';
}

static int is_ours(const request_rec *r)
{
    return r->handler != NULL && !strcmp(r->handler, HANDLER_NAME) && has_door(config_of(r));
}

static int answer(request_rec *r)
{
    const struct mod_door_config *conf = config_of(r);
    struct mod_door_call call = {0};
    struct mod_door_name name;
    struct mod_door *door;
    apr_status_t error;
    int status;

    if (!is_ours(r))
        return DECLINED;
    if (mod_door_find_name(r, conf, &name) != APR_SUCCESS) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "door %s, named in .htaccess: no DoorAllow releases it here", conf->path);
        return HTTP_FORBIDDEN;
    }
    /* Before the body is read: without an application nobody need send it. */
    error = mod_door_acquire(&name, r->request_time, &door);
    if (error != APR_SUCCESS)
        return fail(r, name.path, -1, error);
    call.buffer = apr_bucket_alloc(MOD_DOOR_BUFFER_LEN, r->connection->bucket_alloc);
    status = exchange(r, conf, &name, &call, &door);
    free_call(&call);
    if (door != NULL)
        mod_door_release(door);
    return status;
}

/*
 * DoorHandler is a SetHandler: it comes after the core's own and before
 * mod_rewrite, which may decide otherwise.
 */
static int set_handler(request_rec *r)
{
    if (has_door(config_of(r)))
        r->handler = HANDLER_NAME;
    return DECLINED;
}

/*
 * mod_dir would redirect a directory's URL to one with a slash, or to an index
 * file, whoever handles it.  All walks are done by now: that there is a
 * directory at this place says nothing about a request for a door.
 */
static int hide_directory(request_rec *r)
{
    if (r->finfo.filetype == APR_DIR && is_ours(r))
        r->finfo.filetype = APR_NOFILE;
    return DECLINED;
}

static void start_child(apr_pool_t *pool, server_rec *s)
{
    apr_status_t error = mod_door_init(pool);

    if (error == APR_SUCCESS)
        return;
    ap_log_error(APLOG_MARK, APLOG_CRIT, error, s, "door: no table of open doors");
    exit(APEXIT_CHILDFATAL);
}

static void register_hooks(apr_pool_t *pool)
{
    static const char *const after_core[] = {"core.c", NULL};
    static const char *const before_mod_dir[] = {"mod_dir.c", NULL};

    (void)pool;
    ap_hook_child_init(start_child, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_fixups(set_handler, after_core, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_fixups(hide_directory, NULL, before_mod_dir, APR_HOOK_LAST);
    ap_hook_handler(answer, NULL, NULL, APR_HOOK_MIDDLE);
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
