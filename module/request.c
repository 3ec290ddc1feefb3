/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * request.c: the argument of a call, made directly from the request_rec: a message
 * of wire.h with the body behind it.  No table of CGI variables is made here: the
 * application's runtime computes from the message only those variables that the
 * application asks for.  What httpd hides from CGI programs is not sent.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_script.h>

#include "mod_door.h"
#include "body.h"
#include "call_state.h"
#include "settings.h"
#include "doors.h"
#include "limit.h"
#include "mapping.h"
#include "request.h"
#include "tokens.h"
#include "wire.h"

/* At most so much of the body goes along with the message. */
#define INLINE_BODY_LEN (64 * 1024)

/* How much is read at a time when the whole body must be read. */
#define READ_LEN (64 * 1024)

static void put_bytes(struct door_wire_writer *w, enum door_wire_type type, const char *value,
                      apr_size_t len)
{
    door_wire_field(w, type, "", 0, value, len);
}

static void put(struct door_wire_writer *w, enum door_wire_type type, const char *value)
{
    if (value != NULL)
        put_bytes(w, type, value, strlen(value));
}

static void put_named(struct door_wire_writer *w, enum door_wire_type type, const char *name,
                      const char *value)
{
    if (value != NULL)
        door_wire_field(w, type, name, strlen(name), value, strlen(value));
}

static void put_number(struct door_wire_writer *w, enum door_wire_type type, apr_int64_t number)
{
    char digits[24];
    int len = apr_snprintf(digits, sizeof(digits), "%" APR_INT64_T_FMT, number);

    put_bytes(w, type, digits, (apr_size_t)len);
}

/* ----------------------------------------------------------------- path */

/* If the URL is not mapped to a file, this is the file that it would have in DocumentRoot. */
static const char *script_filename(request_rec *r, apr_size_t script_len)
{
    if (!mod_door_has_no_file(r))
        return r->filename;
    return apr_pstrcat(r->pool, ap_document_root(r), apr_pstrmemdup(r->pool, r->uri, script_len),
                       NULL);
}

/*
 * PATH_INFO as a file name (RFC 3875, 4.1.6).  If the request's URL is mapped to the disk,
 * PATH_INFO is mapped like a URL, with Alias and the like, as for CGI programs.  If that gives
 * no file name (a rewrite in .htaccess may not), and for a door in a <Location>, for which
 * nothing on the disk is looked at, it is PATH_INFO below DocumentRoot.
 */
static const char *path_translated(request_rec *r, const char *path_info)
{
    const char *path = NULL;
    request_rec *sub;

    if (!mod_door_has_no_file(r)) {
        sub = ap_sub_req_lookup_uri(ap_escape_uri(r->pool, path_info), r, NULL);
        if (sub->filename != NULL && ap_os_is_path_absolute(r->pool, sub->filename))
            path = apr_pstrcat(r->pool, sub->filename, sub->path_info, NULL);
        ap_destroy_sub_req(sub);
    }
    return path != NULL ? path : apr_pstrcat(r->pool, ap_document_root(r), path_info, NULL);
}

/* For a question SCRIPT_NAME is the whole path: it is not decided yet who answers the request. */
static void put_path(const struct mod_door_call *call, struct door_wire_writer *w)
{
    request_rec *r = call->r;
    apr_size_t len = call->question != NULL ? strlen(r->uri) : mod_door_script_len(r, call->conf);
    const char *path_info = r->uri + len;

    put_bytes(w, DOOR_WIRE_SCRIPT_NAME, r->uri, len);
    put(w, DOOR_WIRE_PATH_INFO, path_info);
    if (*path_info != '\0')
        put(w, DOOR_WIRE_PATH_TRANSLATED, path_translated(r, path_info));
    put(w, DOOR_WIRE_SCRIPT_FILENAME, script_filename(r, len));
    put(w, DOOR_WIRE_DOCUMENT_ROOT, ap_document_root(r));
    put(w, DOOR_WIRE_CONTEXT_PREFIX, ap_context_prefix(r));
    put(w, DOOR_WIRE_CONTEXT_DOCUMENT_ROOT, ap_context_document_root(r));
}

/* ---------------------------------------------------------------- fields */

/* The second word of the request line.  Internal redirects do not change it. */
static void put_target(const request_rec *r, struct door_wire_writer *w)
{
    const char *target = r->the_request != NULL ? r->the_request : "";

    target += strcspn(target, " ");
    target += strspn(target, " ");
    put_bytes(w, DOOR_WIRE_TARGET, target, strcspn(target, " "));
}

static void put_server(request_rec *r, struct door_wire_writer *w)
{
    /* The name may be the client's Host field, so it is escaped, as httpd does for CGI. */
    put(w, DOOR_WIRE_SERVER_NAME, ap_escape_html(r->pool, ap_get_server_name_for_url(r)));
    put_number(w, DOOR_WIRE_SERVER_PORT, ap_get_server_port(r));
    put(w, DOOR_WIRE_SERVER_ADDR, r->connection->local_ip);
    put(w, DOOR_WIRE_SERVER_SOFTWARE, ap_get_server_banner());
    put(w, DOOR_WIRE_SERVER_ADMIN, r->server->server_admin);
    put_named(w, DOOR_WIRE_ENV, "SERVER_SIGNATURE", ap_psignature("", r));
}

static void put_client(request_rec *r, struct door_wire_writer *w)
{
    put(w, DOOR_WIRE_REMOTE_ADDR, r->useragent_ip);
    put_number(w, DOOR_WIRE_REMOTE_PORT, r->connection->client_addr->port);
    put(w, DOOR_WIRE_REMOTE_HOST, ap_get_useragent_host(r, REMOTE_HOST, NULL));
    put(w, DOOR_WIRE_REMOTE_USER, r->user);
    put(w, DOOR_WIRE_REMOTE_IDENT, ap_get_remote_logname(r));
    put(w, DOOR_WIRE_AUTH_TYPE, r->ap_auth_type);
}

/*
 * A header Proxy would become HTTP_PROXY, which many libraries take for their own
 * configuration.  Passwords are for httpd only, unless CGIPassAuth is On.
 */
static int is_withheld(const char *name, int pass_auth)
{
    if (!ap_cstr_casecmp(name, "Proxy"))
        return 1;
    return !pass_auth && (!ap_cstr_casecmp(name, "Authorization") ||
                          !ap_cstr_casecmp(name, "Proxy-Authorization"));
}

/*
 * Content-Length is sent only if it is the length that the application will read (RFC 3875,
 * 4.1.2).  A filter such as DEFLATE would change it.
 */
static void put_headers(const struct mod_door_call *call, const core_dir_config *core,
                        struct door_wire_writer *w)
{
    const apr_array_header_t *headers = apr_table_elts(call->r->headers_in);
    int pass_auth = core->cgi_pass_auth == AP_CGI_PASS_AUTH_ON;
    int hide_length = call->question != NULL || (call->body.is_filtered && !call->body.is_ended);
    int i;

    for (i = 0; i < headers->nelts; i++) {
        const apr_table_entry_t *header = &APR_ARRAY_IDX(headers, i, apr_table_entry_t);

        if (header->key != NULL && !is_withheld(header->key, pass_auth) &&
            !(hide_length && !ap_cstr_casecmp(header->key, "Content-Length")) &&
            !(call->question != NULL && !ap_cstr_casecmp(header->key, "Transfer-Encoding")))
            put_named(w, DOOR_WIRE_HEADER, header->key, header->val);
    }
}

/* For an internal redirect, mostly to an error page: what the request was before. */
static void put_redirect(request_rec *r, const core_dir_config *core, struct door_wire_writer *w)
{
    const request_rec *back = r->prev;
    const char *url = r->prev->uri;

    if (core->qualify_redirect_url == AP_CORE_CONFIG_ON && url != NULL)
        url = ap_construct_url(r->pool, url, r);
    put_named(w, DOOR_WIRE_ENV, "REDIRECT_URL", url);
    put_named(w, DOOR_WIRE_ENV, "REDIRECT_QUERY_STRING", r->prev->args);
    while (back != NULL && back->user == NULL)
        back = back->prev;
    if (r->user == NULL && back != NULL)
        put_named(w, DOOR_WIRE_ENV, "REDIRECT_REMOTE_USER", back->user);
}

/* The name as httpd gives it to CGI programs: only letters, digits and '_'. */
static const char *variable_name(apr_pool_t *pool, const char *name)
{
    char *copy = NULL;
    apr_size_t i;

    for (i = 0; name[i] != '\0'; i++) {
        if (i > 0 ? apr_isalnum(name[i]) : apr_isalpha(name[i]))
            continue;
        if (name[i] == '_')
            continue;
        if (copy == NULL)
            copy = apr_pstrdup(pool, name);
        copy[i] = '_';
    }
    return copy != NULL ? copy : name;
}

static void put_env(request_rec *r, const core_dir_config *core, struct door_wire_writer *w)
{
    const apr_array_header_t *env = apr_table_elts(r->subprocess_env);
    int i;

    for (i = 0; i < env->nelts; i++) {
        const apr_table_entry_t *variable = &APR_ARRAY_IDX(env, i, apr_table_entry_t);

        if (variable->key != NULL)
            put_named(w, DOOR_WIRE_ENV, variable_name(r->pool, variable->key), variable->val);
    }
    if (r->prev != NULL)
        put_redirect(r, core, w);
}

/* The role, and variables that only questions have; the variables are those of mod_fcgid. */
static void put_question(const struct mod_door_call *call, struct door_wire_writer *w)
{
    const struct mod_door_question *question = call->question;
    apr_interval_time_t timeout = mod_door_timeout(call);

    put(w, DOOR_WIRE_ROLE, question->role);
    if (timeout > 0)
        put_number(w, DOOR_WIRE_WAIT_MS, apr_time_as_msec(timeout + 999));
    put_named(w, DOOR_WIRE_ENV, "FCGI_APACHE_ROLE", question->apache_role);
    put_named(w, DOOR_WIRE_ENV, "REMOTE_PASSWD", question->password);
}

/* These fields come first, so that mod_door_name_response_door() knows where the id is. */
static void put_names(const struct mod_door_call *call, struct door_wire_writer *w)
{
    static const char unnamed[DOOR_WIRE_ID_LEN] = "00000000000000000000000000000000";

    put_bytes(w, DOOR_WIRE_DOOR, unnamed, DOOR_WIRE_ID_LEN);
    put_bytes(w, DOOR_WIRE_TOKEN, call->token, DOOR_WIRE_ID_LEN);
}

void mod_door_name_response_door(struct mod_door_call *call, const struct mod_door *door)
{
    memcpy(call->arg + sizeof(struct door_wire_head) + sizeof(struct door_wire_field_head) + 1,
           door->id, DOOR_WIRE_ID_LEN);
}

static void put_limit(const struct mod_door_limit *limit, struct door_wire_writer *w)
{
    put_number(w, DOOR_WIRE_MAX_CONCURRENT, limit->max);
    put_number(w, DOOR_WIRE_QUEUE_LENGTH, limit->queue_len);
    put_number(w, DOOR_WIRE_QUEUE_TIMEOUT, apr_time_as_msec(limit->queue_timeout));
}

static void put_request(const struct mod_door_call *call, struct door_wire_writer *w)
{
    request_rec *r = call->r;
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);

    if (mod_door_has_token(call))
        put_names(call, w);
    put(w, DOOR_WIRE_METHOD, r->method);
    put_target(r, w);
    put_path(call, w);
    put(w, DOOR_WIRE_QUERY, r->args);
    put(w, DOOR_WIRE_PROTOCOL, r->protocol);
    put(w, DOOR_WIRE_SCHEME, ap_http_scheme(r));
    put_server(r, w);
    put_client(r, w);
    put_headers(call, core, w);
    if (call->question != NULL)
        put_question(call, w);
    put_env(r, core, w);
    if (call->limit != NULL)
        put_limit(call->limit, w);
}

static void put_trailers(const request_rec *r, struct door_wire_writer *w)
{
    const apr_array_header_t *trailers = apr_table_elts(r->trailers_in);
    int i;

    for (i = 0; i < trailers->nelts; i++) {
        const apr_table_entry_t *trailer = &APR_ARRAY_IDX(trailers, i, apr_table_entry_t);

        if (trailer->key != NULL)
            put_named(w, DOOR_WIRE_TRAILER, trailer->key, trailer->val);
    }
}

/* -------------------------------------------------------------- together */

/* Makes room for so many more bytes behind the argument.  Returns OK or an HTTP status. */
static int reserve(struct mod_door_call *call, apr_size_t more)
{
    apr_size_t wanted = call->arg_cap;
    char *grown;

    if (more <= call->arg_cap - call->arg_len)
        return OK;
    while (wanted - call->arg_len < more) {
        if (wanted > SIZE_MAX / 2)
            return HTTP_REQUEST_ENTITY_TOO_LARGE;
        wanted *= 2;
    }
    grown = realloc(call->long_arg, wanted);
    if (grown == NULL)
        return HTTP_SERVICE_UNAVAILABLE;
    if (call->long_arg == NULL)
        memcpy(grown, call->arg, call->arg_len);
    call->arg = call->long_arg = grown;
    call->arg_cap = wanted;
    return OK;
}

/* With DoorProtocol raw, the argument is the whole body. */
static int write_raw(struct mod_door_call *call)
{
    int status = OK;

    while (status == OK && !call->body.is_ended) {
        apr_size_t len = 0;
        apr_status_t error = APR_SUCCESS;

        status = reserve(call, READ_LEN);
        if (status == OK)
            error = mod_door_body_read(call->r, &call->body, call->arg + call->arg_len,
                                       call->arg_cap - call->arg_len, &len, APR_BLOCK_READ);
        if (error != APR_SUCCESS)
            status = mod_door_body_status(&call->body);
        call->arg_len += len;
    }
    return status;
}

/* Writes the message's fields, to the buffer, or to long_arg if they are too long for it. */
static int write_fields(struct mod_door_call *call, struct door_wire_writer *w)
{
    int status;

    door_wire_begin(w, call->arg, call->arg_cap);
    put_request(call, w);
    if (w->len <= call->arg_cap)
        return OK;
    /* The message's length fields have 32 bits, so a larger buffer would not help. */
    if (w->len >= UINT32_MAX)
        return HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
    status = reserve(call, w->len);
    if (status != OK)
        return status;
    door_wire_begin(w, call->arg, call->arg_cap);
    put_request(call, w);
    return OK;
}

/*
 * Trailers are known only when the body has been read, but their place is before it.  If the
 * body is in the buffer, it is copied elsewhere to make room; trailers are rare.
 */
static int insert_trailers(struct mod_door_call *call, struct door_wire_writer *w)
{
    unsigned count = call->pieces.count;
    struct iovec *last = count > 0 ? &call->pieces.at[count - 1] : NULL;
    struct door_wire_writer measured = *w;
    int status;

    measured.cap = 0;
    put_trailers(call->r, &measured);
    if (measured.len == w->len)
        return OK;
    if (measured.len >= UINT32_MAX)
        return HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
    if (last != NULL && last->iov_base == call->arg + w->len)
        last->iov_base = apr_pmemdup(call->r->pool, last->iov_base, last->iov_len);
    status = reserve(call, measured.len - w->len);
    if (status != OK)
        return status;
    w->buf = call->arg;
    w->cap = call->arg_cap;
    put_trailers(call->r, w);
    call->arg_len = w->len;
    return OK;
}

/* Reads the beginning of the body, behind the message's fields. */
static int read_body(struct mod_door_call *call, struct door_wire_writer *w)
{
    apr_size_t room = call->arg_cap - call->arg_len;
    apr_status_t error;

    if (call->body.is_ended)
        return OK;
    error = mod_door_body_prefetch(call->r, &call->body, call->arg + call->arg_len,
                                   room < INLINE_BODY_LEN ? room : INLINE_BODY_LEN, &call->pieces);
    if (error != APR_SUCCESS)
        return mod_door_body_status(&call->body);
    return call->body.is_ended ? insert_trailers(call, w) : OK;
}

int mod_door_write_request(struct mod_door_call *call)
{
    struct door_wire_writer w = {0};
    int status;

    call->arg = call->buffer;
    call->arg_len = 0;
    call->arg_cap = MOD_DOOR_BUFFER_LEN;
    if (call->conf->protocol == MOD_DOOR_PROTOCOL_RAW)
        return write_raw(call);
    mod_door_body_show(call->r, &call->body);
    status = write_fields(call, &w);
    if (status != OK)
        return status;
    call->arg_len = w.len;
    status = read_body(call, &w);
    if (status != OK)
        return status;
    w.buf = call->arg;
    w.cap = call->arg_cap;
    if (door_wire_end(&w, DOOR_WIRE_REQUEST, 0, call->body.is_ended ? 0 : DOOR_WIRE_MORE,
                      call->pieces.len) == 0)
        return HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
    return OK;
}

apr_size_t mod_door_write_last_part(const struct mod_door_call *call, char *reply, apr_size_t cap,
                                    apr_size_t len)
{
    struct door_wire_writer w;
    apr_size_t head_len;

    door_wire_begin(&w, NULL, 0);
    head_len = w.len;
    put_trailers(call->r, &w);
    if (w.len > cap - len)
        return 0;
    memmove(reply + w.len, reply + head_len, len);
    door_wire_begin(&w, reply, cap);
    put_trailers(call->r, &w);
    return door_wire_end(&w, DOOR_WIRE_PART, 0, 0, len) + len;
}
