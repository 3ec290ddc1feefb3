/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * response.c: the result of a call as an HTTP response.  Nothing of it reaches
 * the request before all of it has been checked.  The result is this process's
 * own memory, which the application cannot change any more; the strings are
 * still copied, because the request is logged after its body's memory has gone.
 * Knows nothing of doors.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>

#include "mod_door.h"

/* ------------------------------------------------------------- checking */

/* Between application and httpd only (RFC 9110, 7.6.1); the connection to the client is httpd's. */
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

/* No CR, LF or any other control character but a tab; a NUL cannot be in a wire field. */
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

static apr_status_t check_field(request_rec *r, const struct door_wire_field *field,
                                struct mod_door_response *response)
{
    if (field->type != DOOR_WIRE_HEADER)
        return APR_SUCCESS;
    if (!is_field(field))
        return MOD_DOOR_EHEADER;
    if (!ap_cstr_casecmp(field->name, "Content-Length"))
        return read_length(field->value, response);
    if (!ap_cstr_casecmp(field->name, "Connection"))
        response->connection =
            response->connection == NULL
                ? field->value
                : apr_pstrcat(r->pool, response->connection, ", ", field->value, NULL);
    return APR_SUCCESS;
}

static apr_status_t read_message(request_rec *r, const struct mod_door_call *call,
                                 struct mod_door_response *response)
{
    struct door_wire_reader reader;
    struct door_wire_field field;
    apr_size_t head_len;
    const char *copy;
    apr_status_t error = APR_SUCCESS;

    if (door_wire_read(&reader, DOOR_WIRE_RESPONSE, call->result, call->result_len) == -1)
        return errno;
    if (reader.status < 200 || reader.status > 599)
        return MOD_DOOR_ESTATUS;
    head_len = (apr_size_t)(reader.end - call->result);
    copy = apr_pmemdup(r->pool, call->result, head_len);
    reader.next = copy + (reader.next - call->result);
    reader.end = copy + head_len;
    response->status = reader.status;
    response->body_offset = head_len;
    response->body_len = (apr_size_t)reader.body_len;
    response->fields = reader;
    while (error == APR_SUCCESS && door_wire_next(&reader, &field))
        error = check_field(r, &field, response);
    /* One that concerns the hop between application and httpd concerns nobody else. */
    if (response->connection != NULL &&
        ap_find_token(r->pool, response->connection, "Content-Length"))
        response->content_length = -1;
    return error;
}

apr_status_t mod_door_read_response(request_rec *r, const struct mod_door_config *conf,
                                    const struct mod_door_call *call,
                                    struct mod_door_response *response)
{
    memset(response, 0, sizeof(*response));
    response->content_length = -1;
    if (conf->protocol != MOD_DOOR_PROTOCOL_RAW)
        return read_message(r, call, response);
    response->status = HTTP_OK;
    response->content_type = "text/plain";
    response->body_len = call->result_len;
    return APR_SUCCESS;
}

/* Whether HTTP allows this response a body at all. */
static int may_have_body(const struct mod_door_response *response)
{
    return response->status != HTTP_NO_CONTENT && response->status != HTTP_RESET_CONTENT &&
           response->status != HTTP_NOT_MODIFIED;
}

apr_status_t mod_door_check_length(const request_rec *r, const struct mod_door_response *response)
{
    if (r->header_only || response->content_length < 0 || !may_have_body(response))
        return APR_SUCCESS;
    if (response->body_len < (apr_uint64_t)response->content_length)
        return MOD_DOOR_ESHORT;
    if (response->body_len > (apr_uint64_t)response->content_length)
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

static void set_headers(request_rec *r, const struct mod_door_response *response)
{
    struct door_wire_reader reader = response->fields;
    struct door_wire_field field;

    /* What httpd guessed from the URL's ending is no property of this answer. */
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
}

static void set_status(request_rec *r, const struct mod_door_response *response)
{
    /* A page for an ErrorDocument: as with a file, the error keeps its status. */
    if (response->status == HTTP_OK)
        return;
    r->status = response->status;
    /* httpd turns a status that it has no words for into 500, unless there is a line. */
    r->status_line = ap_get_status_line_ex(r->pool, response->status);
}

/* Only what the application itself gave a validator can be compared with the client's. */
static int check_conditions(request_rec *r, const struct mod_door_response *response)
{
    if (response->status != HTTP_OK || r->method_number != M_GET)
        return OK;
    if (apr_table_get(r->headers_out, "ETag") == NULL &&
        apr_table_get(r->headers_out, "Last-Modified") == NULL)
        return OK;
    return ap_meets_conditions(r);
}

/* ----------------------------------------------------------------- body */

/* A body up to this long is cheaper copied than the whole buffer kept for a slow client. */
#define COPIED_LEN 4096

/* The first len bytes of the body, in a bucket that owns them. */
static apr_bucket *take_body(const struct mod_door_response *response, struct mod_door_call *call,
                             apr_size_t len, apr_bucket_alloc_t *list)
{
    apr_bucket *b;

    if (call->mapping != NULL) {
        apr_size_t start = (apr_size_t)(call->result - (char *)call->mapping);

        b = mod_door_mapping_bucket(call->mapping, call->mapping_len, start + response->body_offset,
                                    len, list);
        call->mapping = NULL;
        return b;
    }
    if (len <= COPIED_LEN)
        return apr_bucket_heap_create(call->result + response->body_offset, len, NULL, list);
    b = apr_bucket_heap_create(call->buffer, MOD_DOOR_BUFFER_LEN, apr_bucket_free, list);
    b->start = (call->result - call->buffer) + (apr_off_t)response->body_offset;
    b->length = len;
    call->buffer = NULL;
    return b;
}

/* How much of the body is for the client; httpd itself drops what is left of it after HEAD. */
static apr_size_t sent_len(const request_rec *r, const struct mod_door_response *response)
{
    if (!may_have_body(response))
        return 0;
    /* Without a body httpd leaves the length that is told to HEAD as it is. */
    if (r->header_only && response->content_length >= 0)
        return 0;
    if (response->content_length < 0 ||
        response->body_len <= (apr_uint64_t)response->content_length)
        return response->body_len;
    return (apr_size_t)response->content_length;
}

/*
 * Sends what there is, and then ends the response the way a broken proxy
 * response ends: the client sees that something is missing.  The flush has the
 * headers gone before the error comes, which otherwise would replace them.
 */
static apr_status_t pass_short(request_rec *r, apr_bucket_brigade *bb)
{
    apr_bucket_alloc_t *list = r->connection->bucket_alloc;
    apr_status_t error;

    r->connection->keepalive = AP_CONN_CLOSE;
    r->no_cache = 1;
    if (r->main != NULL)
        r->main->no_cache = 1;
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(list));
    error = ap_pass_brigade(r->output_filters, bb);
    apr_brigade_cleanup(bb);
    if (error != APR_SUCCESS)
        return error;
    APR_BRIGADE_INSERT_TAIL(bb, ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL, r->pool, list));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(list));
    return ap_pass_brigade(r->output_filters, bb);
}

int mod_door_send_response(request_rec *r, const struct mod_door_response *response,
                           struct mod_door_call *call)
{
    apr_bucket_alloc_t *list = r->connection->bucket_alloc;
    apr_bucket_brigade *bb;
    apr_size_t len = sent_len(r, response);
    apr_status_t error;
    int status;

    set_headers(r, response);
    status = check_conditions(r, response);
    if (status != OK)
        return status;
    set_status(r, response);
    bb = apr_brigade_create(r->pool, list);
    if (len > 0)
        APR_BRIGADE_INSERT_TAIL(bb, take_body(response, call, len, list));
    if (mod_door_check_length(r, response) == MOD_DOOR_ESHORT) {
        error = pass_short(r, bb);
    } else {
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(list));
        error = ap_pass_brigade(r->output_filters, bb);
    }
    /* A client that has gone is no failure of ours; nothing can be said to it. */
    if (error == APR_SUCCESS || r->connection->aborted || r->status != HTTP_OK)
        return OK;
    return AP_FILTER_ERROR;
}
