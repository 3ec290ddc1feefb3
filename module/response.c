/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * response.c: makes an HTTP response of the application's messages, from beginning to
 * end.  No header is set in the request before all have been checked.  A message's
 * head is in this process's own memory, which the application cannot change any
 * more.  Its strings are still copied, because the request is logged after that memory
 * has gone.  A message's body may be in memory that the application can change.  This
 * file knows nothing of doors.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>

#include "mod_door.h"
#include "body.h"
#include "call_state.h"
#include "lent.h"
#include "response.h"
#include "wire.h"

/* Limits that door_app.h promises.  An application without the runtime may send more. */
#define LOG_FIELDS_MAX 32
#define LOG_NAME_MAX   64
#define LOG_VALUE_MAX  1024

/*
 * The most bytes of Connection, and of Vary, in one response.  Both are searched word by
 * word many times, here and in httpd.
 */
#define LIST_MAX 8190

/* A body up to this length fits into any socket's buffer. */
#define SHORT_LEN 8192

/* ------------------------------------------------------------- checking */

/* Headers of one hop only (RFC 9110, 7.6.1): httpd alone manages the client's connection. */
static int is_hop_by_hop(const char *name)
{
    static const char *const names[] = {"Connection", "Keep-Alive", "Transfer-Encoding",
                                        "TE",         "Trailer",    "Upgrade"};
    apr_size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!ap_cstr_casecmp(name, names[i]))
            return 1;
    return !ap_cstr_casecmpn(name, "Proxy-", 6);
}

/* Whether the field is valid: no control character but a tab.  A wire field never has a NUL. */
static int is_field(const struct door_wire_field *field)
{
    return field->name_len > 0 && *ap_scan_http_token(field->name) == '\0' &&
           *ap_scan_http_field_content(field->value) == '\0';
}

static apr_status_t read_length(const char *value, struct mod_door_response *response)
{
    apr_off_t length;

    if (response->content_length >= 0 || !ap_parse_strict_length(&length, value))
        return MOD_DOOR_ELENGTH;
    response->content_length = length;
    return APR_SUCCESS;
}

/* Several fields of that name form one list. */
static apr_status_t count_list(const struct door_wire_field *field, apr_size_t *len)
{
    *len += field->value_len;
    return *len > LIST_MAX ? MOD_DOOR_EHEADER : APR_SUCCESS;
}

static apr_status_t check_connection(request_rec *r, const struct door_wire_field *field,
                                     struct mod_door_response *response)
{
    const char *list = response->connection;

    response->connection =
        list == NULL ? field->value : apr_pstrcat(r->pool, list, ", ", field->value, NULL);
    return count_list(field, &response->connection_len);
}

static apr_status_t check_field(request_rec *r, const struct door_wire_field *field,
                                struct mod_door_response *response)
{
    if (field->type == DOOR_WIRE_OWN_STATUS)
        response->has_own_status = 1;
    if (field->type != DOOR_WIRE_HEADER)
        return APR_SUCCESS;
    if (!is_field(field))
        return MOD_DOOR_EHEADER;
    if (!ap_cstr_casecmp(field->name, "Content-Length"))
        return read_length(field->value, response);
    if (!ap_cstr_casecmp(field->name, "Connection"))
        return check_connection(r, field, response);
    if (!ap_cstr_casecmp(field->name, "Vary"))
        return count_list(field, &response->vary_len);
    return APR_SUCCESS;
}

apr_status_t mod_door_check_head(const struct door_wire_reader *message)
{
    return message->remaining > MOD_DOOR_FIELDS_MAX ? MOD_DOOR_EHEAD : APR_SUCCESS;
}

/* Copies the message's fields, whose memory will not last, and checks them. */
static apr_status_t keep_fields(request_rec *r, struct door_wire_reader message,
                                struct mod_door_response *response)
{
    apr_size_t len = (apr_size_t)(message.end - message.next);
    struct door_wire_field field;
    apr_status_t error = mod_door_check_head(&message);

    if (error != APR_SUCCESS)
        return error;
    message.next = apr_pmemdup(r->pool, message.next, len);
    message.end = message.next + len;
    response->fields = message;
    while (error == APR_SUCCESS && door_wire_next(&message, &field))
        error = check_field(r, &field, response);
    /* A Content-Length that Connection names is of one hop only, and not sent to the client. */
    if (response->connection != NULL &&
        ap_find_token(r->pool, response->connection, "Content-Length"))
        response->content_length = -1;
    return error;
}

/* Whether HTTP allows this response a body at all. */
static int may_have_body(const struct mod_door_response *response)
{
    return response->status != HTTP_NO_CONTENT && response->status != HTTP_RESET_CONTENT &&
           response->status != HTTP_NOT_MODIFIED;
}

apr_status_t mod_door_check_length(const struct mod_door_call *call, apr_off_t more)
{
    const struct mod_door_response *response = &call->response;

    if (call->r->header_only || response->content_length < 0 || !may_have_body(response))
        return APR_SUCCESS;
    if (response->sent + more < response->content_length)
        return MOD_DOOR_ESHORT;
    if (response->sent + more > response->content_length)
        return MOD_DOOR_ELONG;
    return APR_SUCCESS;
}

/* -------------------------------------------------------------- headers */

static int is_dropped(request_rec *r, const struct mod_door_response *response, const char *name)
{
    if (is_hop_by_hop(name))
        return 1;
    return response->connection != NULL && ap_find_token(r->pool, response->connection, name);
}

/* httpd serves ranges of any complete response, so "Accept-Ranges: none" must prevent that here. */
static void leave_out_ranges(request_rec *r)
{
    const char *ranges = apr_table_get(r->headers_out, "Accept-Ranges");

    /* Not in a subrequest, which shares this filter with its main request. */
    if (ranges != NULL && r->main == NULL && ap_find_token(r->pool, ranges, "none"))
        ap_remove_output_filter_byhandle(r->output_filters, "BYTERANGE");
}

static void set_headers(request_rec *r, const struct mod_door_response *response)
{
    struct door_wire_reader reader = response->fields;
    struct door_wire_field field;

    /* httpd has guessed these from the ending of the URL, which says nothing of this response. */
    r->content_encoding = NULL;
    r->content_languages = NULL;
    ap_set_content_type(r, response->content_type);
    while (door_wire_next(&reader, &field)) {
        if (field.type != DOOR_WIRE_HEADER || is_dropped(r, response, field.name))
            continue;
        if (!ap_cstr_casecmp(field.name, "Content-Type"))
            ap_set_content_type(r, field.value);
        else if (ap_cstr_casecmp(field.name, "Content-Length") != 0)
            apr_table_addn(r->headers_out, field.name, field.value);
    }
    if (response->content_length >= 0 && may_have_body(response))
        ap_set_content_length(r, response->content_length);
    leave_out_ranges(r);
}

static void set_status(request_rec *r, const struct mod_door_response *response)
{
    int status = response->status;

    /* For an ErrorDocument: the error keeps its status, unless the application sets one. */
    if (status == HTTP_OK && (r->status == HTTP_OK || !response->has_own_status))
        return;
    r->status = status;
    /* Without a status line, httpd would turn a status that it does not know into 500. */
    r->status_line = ap_get_status_line_ex(r->pool, status);
}

/*
 * The client's conditions can be checked only if the application has sent a validator.
 * 304 and 412 are sent as normal responses and not as errors, as for httpd's own files:
 * mod_cache, which may have added the condition, and mod_headers need to see them.
 */
static void check_conditions(request_rec *r, struct mod_door_response *response)
{
    int status;

    if (response->status != HTTP_OK || r->method_number != M_GET)
        return;
    if (apr_table_get(r->headers_out, "ETag") == NULL &&
        apr_table_get(r->headers_out, "Last-Modified") == NULL)
        return;
    status = ap_meets_conditions(r);
    if (status == OK)
        return;
    response->status = status;
    response->content_length = -1;
    response->is_unmet = 1;
    apr_table_unset(r->headers_out, "Content-Length");
}

static const char *find_header(const struct mod_door_response *response, const char *name)
{
    struct door_wire_reader reader = response->fields;
    struct door_wire_field field;

    while (door_wire_next(&reader, &field))
        if (field.type == DOOR_WIRE_HEADER && !ap_cstr_casecmp(field.name, name))
            return field.value;
    return NULL;
}

/* A Location without a status has the meaning of RFC 3875, 6.2.2 and 6.2.3. */
static int find_local_location(struct mod_door_response *response)
{
    const char *location = response->status == HTTP_OK ? find_header(response, "Location") : NULL;

    if (location == NULL)
        return 0;
    if (location[0] == '/') {
        response->redirect = location;
        return 1;
    }
    response->status = HTTP_MOVED_TEMPORARILY;
    return 0;
}

/* DoorErrorOverride: httpd's own page, with those headers of the application that clients need. */
static int override(struct mod_door_call *call)
{
    static const char *const names[] = {"WWW-Authenticate", "Retry-After", "Allow"};
    struct mod_door_response *response = &call->response;
    apr_size_t i;

    if (call->conf->error_override != 1 || response->status < 400)
        return 0;
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *value = find_header(response, names[i]);

        if (value != NULL)
            apr_table_setn(call->r->err_headers_out, names[i], value);
    }
    response->instead = response->status;
    return 1;
}

apr_status_t mod_door_begin(struct mod_door_call *call, struct door_wire_reader message)
{
    struct mod_door_response *response = &call->response;
    request_rec *r = call->r;
    apr_status_t error;

    if (message.status < 200 || message.status > 599)
        return MOD_DOOR_ESTATUS;
    memset(response, 0, sizeof(*response));
    response->content_length = -1;
    response->status = message.status;
    error = keep_fields(r, message, response);
    if (error != APR_SUCCESS)
        return error;
    response->is_begun = 1;
    if (find_local_location(response) || override(call)) {
        response->no_body = 1;
        return APR_SUCCESS;
    }
    set_headers(r, response);
    check_conditions(r, response);
    /* For HEAD, httpd keeps the Content-Length only if it sees no body. */
    response->no_body = response->is_unmet || !may_have_body(response) ||
                        (r->header_only && response->content_length >= 0);
    set_status(r, response);
    return APR_SUCCESS;
}

void mod_door_begin_raw(struct mod_door_call *call)
{
    struct mod_door_response *response = &call->response;

    response->is_begun = 1;
    response->status = HTTP_OK;
    response->content_type = "text/plain";
    response->content_length = -1;
    set_headers(call->r, response);
}

/* Whether the header describes the body, which is not sent, or the redirection itself. */
static int is_of_this_body(const char *name)
{
    return !ap_cstr_casecmpn(name, "Content-", 8) || !ap_cstr_casecmp(name, "ETag") ||
           !ap_cstr_casecmp(name, "Last-Modified") || !ap_cstr_casecmp(name, "Accept-Ranges") ||
           !ap_cstr_casecmp(name, "Location");
}

/* Cookies and similar headers reach the client with the final response, as with CGI. */
void mod_door_keep_headers(const struct mod_door_call *call)
{
    struct door_wire_reader reader = call->response.fields;
    request_rec *r = call->r;
    struct door_wire_field field;

    while (door_wire_next(&reader, &field))
        if (field.type == DOOR_WIRE_HEADER && !is_of_this_body(field.name) &&
            !is_dropped(r, &call->response, field.name))
            apr_table_addn(r->err_headers_out, field.name, field.value);
}

/*
 * All interim responses together may be as long as one response's head, because the request's
 * pool keeps the memory of all.
 */
static apr_status_t count_interim(struct mod_door_call *call,
                                  const struct door_wire_reader *message)
{
    call->interim_len += sizeof(struct door_wire_head) + (apr_size_t)(message->end - message->next);
    call->interim_fields += message->remaining;
    return call->interim_len > MOD_DOOR_HEAD_MAX || call->interim_fields > MOD_DOOR_FIELDS_MAX
               ? MOD_DOOR_EHEAD
               : APR_SUCCESS;
}

apr_status_t mod_door_send_interim(struct mod_door_call *call, struct door_wire_reader message)
{
    request_rec *r = call->r;
    struct mod_door_response interim = {.content_length = -1};
    apr_table_t *headers = r->headers_out;
    const char *line = r->status_line;
    int status = r->status;
    struct door_wire_field field;
    apr_status_t error = count_interim(call, &message);

    if (error == APR_SUCCESS)
        error = keep_fields(r, message, &interim);
    /* 101 would change the protocol, and only httpd itself sends 100. */
    if (error == APR_SUCCESS && message.status != 103)
        error = MOD_DOOR_ESTATUS;
    if (error != APR_SUCCESS)
        return error;
    r->headers_out = apr_table_make(r->pool, 4);
    while (door_wire_next(&interim.fields, &field))
        if (field.type == DOOR_WIRE_HEADER && !is_dropped(r, &interim, field.name))
            apr_table_addn(r->headers_out, field.name, field.value);
    r->status = message.status;
    r->status_line = "103 Early Hints";
    ap_send_interim_response(r, 1);
    r->headers_out = headers;
    r->status = status;
    r->status_line = line;
    return APR_SUCCESS;
}

/* ----------------------------------------------------------------- body */

/* Removes what would make the body longer than its Content-Length. */
static apr_status_t cut(const struct mod_door_call *call, apr_bucket_brigade *bb, apr_off_t *len)
{
    apr_off_t room = call->response.content_length - call->response.sent;
    apr_bucket *b;
    apr_status_t error;

    if (mod_door_check_length(call, *len) != MOD_DOOR_ELONG)
        return APR_SUCCESS;
    error = apr_brigade_partition(bb, room, &b);
    if (error != APR_SUCCESS)
        return error;
    while (b != APR_BRIGADE_SENTINEL(bb)) {
        apr_bucket *next = APR_BUCKET_NEXT(b);

        apr_bucket_delete(b);
        b = next;
    }
    *len = room;
    return MOD_DOOR_ELONG;
}

/* A filter that changes the content may read the same bytes more than once. */
static int has_content_filter(const request_rec *r)
{
    return r->output_filters != NULL && r->output_filters->frec->ftype < AP_FTYPE_PROTOCOL;
}

apr_bucket *mod_door_body_bucket(const struct mod_door_call *call, const char *bytes,
                                 apr_size_t len)
{
    apr_bucket_alloc_t *list = call->r->connection->bucket_alloc;

    return has_content_filter(call->r) ? mod_door_lent_bucket(bytes, len, list)
                                       : apr_bucket_transient_create(bytes, len, list);
}

static apr_status_t pass(struct mod_door_call *call, apr_bucket_brigade *bb)
{
    request_rec *r = call->r;
    apr_status_t error = ap_pass_brigade(r->output_filters, bb);

    call->is_passed = 1;
    apr_brigade_cleanup(bb);
    if (error == APR_SUCCESS && r->connection->aborted)
        error = APR_ECONNABORTED;
    if (error != APR_SUCCESS)
        call->response.error = error;
    return error;
}

apr_status_t mod_door_pass(struct mod_door_call *call, apr_bucket_brigade *bb, int flush)
{
    struct mod_door_response *response = &call->response;
    apr_status_t too_long;
    apr_off_t len;

    if (response->error != APR_SUCCESS || response->no_body)
        apr_brigade_cleanup(bb);
    if (response->error != APR_SUCCESS || response->instead != OK || response->redirect != NULL)
        return response->error;
    apr_brigade_length(bb, 0, &len);
    too_long = cut(call, bb, &len);
    if (flush)
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(call->r->connection->bucket_alloc));
    if (!APR_BRIGADE_EMPTY(bb) && pass(call, bb) != APR_SUCCESS)
        return response->error;
    response->sent += len;
    return too_long;
}

/* ------------------------------------------------------------------ end */

/* What the handler returns.  A client that has gone is no failure, and cannot be answered. */
static int result(const struct mod_door_call *call, apr_status_t error)
{
    if (error == APR_SUCCESS || call->r->connection->aborted || call->r->status != HTTP_OK)
        return OK;
    return AP_FILTER_ERROR;
}

static void add_trailers(request_rec *r, struct door_wire_reader fields)
{
    struct door_wire_field field;

    while (door_wire_next(&fields, &field))
        if (field.type == DOOR_WIRE_TRAILER && is_field(&field) && !is_hop_by_hop(field.name))
            apr_table_add(r->trailers_out, field.name, field.value);
}

void mod_door_take_log_fields(request_rec *r, struct door_wire_reader fields)
{
    struct door_wire_field field;
    int count = 0;

    while (door_wire_next(&fields, &field) && count < LOG_FIELDS_MAX) {
        if (field.type != DOOR_WIRE_LOG_FIELD || field.name_len > LOG_NAME_MAX ||
            field.value_len > LOG_VALUE_MAX || !*field.name)
            continue;
        count++;
        /* With a prefix, because httpd and its modules trust some notes of other names. */
        apr_table_set(r->notes, apr_pstrcat(r->pool, "door-", field.name, NULL), field.value);
    }
}

/*
 * Sends what there is, and then ends the response as mod_proxy ends a broken one, so that
 * the client notices that it is incomplete.  The flush sends the headers first; otherwise
 * the error would replace them.
 */
int mod_door_end_broken(struct mod_door_call *call, apr_bucket_brigade *bb)
{
    request_rec *r = call->r;
    apr_bucket_alloc_t *list = r->connection->bucket_alloc;
    apr_status_t error;

    if (call->response.instead != OK)
        return call->response.instead;
    r->no_cache = 1;
    if (r->main != NULL)
        r->main->no_cache = 1;
    error = mod_door_pass(call, bb, 1);
    /*
     * Only after the headers are sent.  Set earlier, it would prevent a chunked body, whose
     * missing end shows that something is wrong.
     */
    r->connection->keepalive = AP_CONN_CLOSE;
    if (error != APR_SUCCESS && error != MOD_DOOR_ELONG)
        return result(call, error);
    APR_BRIGADE_INSERT_TAIL(bb, ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL, r->pool, list));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(list));
    return result(call, pass(call, bb));
}

/*
 * httpd holds a short response back until it has checked for the client's next request, and
 * then gives the connection to its listener thread.  If the response is sent at once, the
 * next request of a busy client has often arrived by then, and this thread can go on with it.
 * The flush goes to the connection's filters, since the request's filters have had their end.
 */
static void send_now(const struct mod_door_call *call, apr_bucket_brigade *bb)
{
    conn_rec *c = call->r->connection;

    if (c->master != NULL || call->r->main != NULL || c->aborted)
        return;
    apr_brigade_cleanup(bb);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(c->bucket_alloc));
    ap_pass_brigade(c->output_filters, bb);
    apr_brigade_cleanup(bb);
}

int mod_door_end(struct mod_door_call *call, apr_bucket_brigade *bb, struct door_wire_reader fields)
{
    struct mod_door_response *response = &call->response;
    request_rec *r = call->r;
    apr_status_t error;
    apr_off_t len;

    mod_door_body_discard(r, &call->body);
    if (response->instead != OK)
        return response->instead;
    if (response->error != APR_SUCCESS)
        return result(call, response->error);
    if (response->no_body)
        apr_brigade_cleanup(bb);
    apr_brigade_length(bb, 0, &len);
    if (mod_door_check_length(call, len) == MOD_DOOR_ESHORT)
        return mod_door_end_broken(call, bb);
    cut(call, bb, &len);
    add_trailers(r, fields);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(r->connection->bucket_alloc));
    error = pass(call, bb);
    if (error == APR_SUCCESS && len <= SHORT_LEN && response->sent == 0)
        send_now(call, bb);
    return result(call, error);
}

/* --------------------------------------------------------------- client */

/*
 * A client that has closed its sending side may still read.  Only a reset, or both sides
 * closed, shows that it is gone.
 */
static unsigned socket_state(conn_rec *c)
{
#ifdef POLLRDHUP
    struct pollfd p = {.events = POLLRDHUP};
#else
    struct pollfd p = {.events = POLLIN};
#endif

    if (apr_os_sock_get(&p.fd, ap_get_conn_socket(c)) != APR_SUCCESS || poll(&p, 1, 0) <= 0)
        return 0;
    if (p.revents & (POLLERR | POLLHUP | POLLNVAL))
        return DOOR_WIRE_GONE;
#ifdef POLLRDHUP
    return DOOR_WIRE_MAYBE_GONE;
#else
    int is_at_end = 0;

    apr_socket_atreadeof(ap_get_conn_socket(c), &is_at_end);
    return is_at_end ? DOOR_WIRE_MAYBE_GONE : 0;
#endif
}

unsigned mod_door_client_state(const struct mod_door_call *call)
{
    conn_rec *c = call->r->connection;

    if (c->aborted || call->response.error != APR_SUCCESS)
        return DOOR_WIRE_GONE;
    /* A stream of HTTP/2 has no socket of its own; c->aborted is all that is known. */
    return c->master == NULL ? socket_state(c) : 0;
}
