/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * request.c: the argument of a call, straight from the request_rec: the message
 * of wire.h with the body behind it.  No table of CGI variables is made here;
 * the application's runtime computes from the message those that it is asked
 * for.  What httpd would hide from a CGI program is not sent.  Knows nothing
 * of doors.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_script.h>

#include "mod_door.h"

/* How much of a body is asked for at a time. */
#define READ_LEN (64 * 1024)

/* No more than this is allocated for a body because its Content-Length says so. */
#define TRUSTED_BODY_LEN (1024 * 1024)

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

static void put_port(struct door_wire_writer *w, enum door_wire_type type, apr_port_t port)
{
    char digits[8];
    int len = apr_snprintf(digits, sizeof(digits), "%u", (unsigned)port);

    put_bytes(w, type, digits, (apr_size_t)len);
}

/* ----------------------------------------------------------------- path */

/* Whether a path of len bytes begins with whole components of prefix. */
static int has_prefix(const char *path, const char *prefix, apr_size_t prefix_len)
{
    return !strncmp(path, prefix, prefix_len) &&
           (path[prefix_len] == '/' || path[prefix_len] == '\0');
}

/*
 * For a door in <Directory>: what the URL has behind the directory's own one is
 * what the file name has behind the directory.  Returns -1 if they differ (an
 * Alias for a single file, a rewritten name).
 */
static apr_ssize_t directory_script_len(const request_rec *r, const char *directory)
{
    const char *path_info = r->path_info != NULL ? r->path_info : "";
    apr_size_t directory_len = strlen(directory);
    apr_size_t uri_len = strlen(r->uri);
    apr_size_t info_len = strlen(path_info);
    apr_size_t file_len;
    const char *file;

    if (r->filename == NULL || !has_prefix(r->filename, directory, directory_len))
        return -1;
    file = r->filename + directory_len;
    file_len = strlen(file);
    /* The directory itself: httpd adds a slash that the URL need not have. */
    if (info_len == 0 && !strcmp(file, "/") && uri_len > 0 && r->uri[uri_len - 1] != '/')
        return (apr_ssize_t)uri_len;
    if (file_len + info_len > uri_len)
        return -1;
    if (strcmp(r->uri + uri_len - info_len, path_info) != 0 ||
        strncmp(r->uri + uri_len - info_len - file_len, file, file_len) != 0)
        return -1;
    return (apr_ssize_t)(uri_len - info_len - file_len);
}

/* How much of r->uri is SCRIPT_NAME; PATH_INFO is the rest. */
static apr_size_t script_len(const request_rec *r, const struct mod_door_config *conf)
{
    apr_ssize_t len;

    if (conf->mount == MOD_DOOR_MOUNT_LOCATION) {
        len = (apr_ssize_t)strlen(conf->mount_path);
        if (has_prefix(r->uri, conf->mount_path, (apr_size_t)len))
            return (apr_size_t)len;
    }
    if (conf->mount == MOD_DOOR_MOUNT_DIRECTORY) {
        len = directory_script_len(r, conf->mount_path);
        if (len >= 0)
            return (apr_size_t)len;
    }
    if (r->path_info == NULL || *r->path_info == '\0')
        return strlen(r->uri);
    return (apr_size_t)ap_find_path_info(r->uri, r->path_info);
}

static void put_path(request_rec *r, const struct mod_door_config *conf, struct door_wire_writer *w)
{
    apr_size_t len = script_len(r, conf);
    const char *path_info = r->uri + len;

    put_bytes(w, DOOR_WIRE_SCRIPT_NAME, r->uri, len);
    put(w, DOOR_WIRE_PATH_INFO, path_info);
    /* Without the subrequest that CGI makes for it: an Alias in PATH_INFO has no effect. */
    if (*path_info != '\0')
        put(w, DOOR_WIRE_PATH_TRANSLATED,
            apr_pstrcat(r->pool, ap_document_root(r), path_info, NULL));
    put(w, DOOR_WIRE_SCRIPT_FILENAME, r->filename);
    put(w, DOOR_WIRE_DOCUMENT_ROOT, ap_document_root(r));
    put(w, DOOR_WIRE_CONTEXT_PREFIX, ap_context_prefix(r));
    put(w, DOOR_WIRE_CONTEXT_DOCUMENT_ROOT, ap_context_document_root(r));
}

/* ---------------------------------------------------------------- fields */

/* The second word of the request line, which internal redirects leave as it was. */
static void put_target(const request_rec *r, struct door_wire_writer *w)
{
    const char *target = r->the_request != NULL ? r->the_request : "";

    target += strcspn(target, " ");
    target += strspn(target, " ");
    put_bytes(w, DOOR_WIRE_TARGET, target, strcspn(target, " "));
}

static void put_server(request_rec *r, struct door_wire_writer *w)
{
    /* It may be the client's Host field: escaped like everywhere in httpd. */
    put(w, DOOR_WIRE_SERVER_NAME, ap_escape_html(r->pool, ap_get_server_name_for_url(r)));
    put_port(w, DOOR_WIRE_SERVER_PORT, ap_get_server_port(r));
    put(w, DOOR_WIRE_SERVER_ADDR, r->connection->local_ip);
    put(w, DOOR_WIRE_SERVER_SOFTWARE, ap_get_server_banner());
    put(w, DOOR_WIRE_SERVER_ADMIN, r->server->server_admin);
}

static void put_client(request_rec *r, struct door_wire_writer *w)
{
    put(w, DOOR_WIRE_REMOTE_ADDR, r->useragent_ip);
    put_port(w, DOOR_WIRE_REMOTE_PORT, r->connection->client_addr->port);
    put(w, DOOR_WIRE_REMOTE_HOST, ap_get_useragent_host(r, REMOTE_HOST, NULL));
    put(w, DOOR_WIRE_REMOTE_USER, r->user);
    put(w, DOOR_WIRE_REMOTE_IDENT, ap_get_remote_logname(r));
    put(w, DOOR_WIRE_AUTH_TYPE, r->ap_auth_type);
}

/*
 * Proxy would become HTTP_PROXY, which many libraries take for their own
 * configuration; passwords are the server's business unless it says otherwise.
 */
static int is_withheld(const char *name, int pass_auth)
{
    if (!ap_cstr_casecmp(name, "Proxy"))
        return 1;
    return !pass_auth && (!ap_cstr_casecmp(name, "Authorization") ||
                          !ap_cstr_casecmp(name, "Proxy-Authorization"));
}

static void put_headers(const request_rec *r, const core_dir_config *core,
                        struct door_wire_writer *w)
{
    const apr_array_header_t *headers = apr_table_elts(r->headers_in);
    int pass_auth = core->cgi_pass_auth == AP_CGI_PASS_AUTH_ON;
    int i;

    for (i = 0; i < headers->nelts; i++) {
        const apr_table_entry_t *header = &APR_ARRAY_IDX(headers, i, apr_table_entry_t);

        if (header->key != NULL && !is_withheld(header->key, pass_auth))
            put_named(w, DOOR_WIRE_HEADER, header->key, header->val);
    }
}

/* What a request was before it was redirected to this one, above all for error pages. */
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

static void put_env(request_rec *r, const core_dir_config *core, struct door_wire_writer *w)
{
    const apr_array_header_t *env = apr_table_elts(r->subprocess_env);
    int i;

    for (i = 0; i < env->nelts; i++) {
        const apr_table_entry_t *variable = &APR_ARRAY_IDX(env, i, apr_table_entry_t);

        if (variable->key != NULL)
            put_named(w, DOOR_WIRE_ENV, variable->key, variable->val);
    }
    if (r->prev != NULL)
        put_redirect(r, core, w);
}

static void put_request(request_rec *r, const struct mod_door_config *conf,
                        struct door_wire_writer *w)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);

    put(w, DOOR_WIRE_METHOD, r->method);
    put_target(r, w);
    put_path(r, conf, w);
    put(w, DOOR_WIRE_QUERY, r->args);
    put(w, DOOR_WIRE_PROTOCOL, r->protocol);
    put(w, DOOR_WIRE_SCHEME, ap_http_scheme(r));
    put_server(r, w);
    put_client(r, w);
    put_headers(r, core, w);
    put_env(r, core, w);
}

/* ----------------------------------------------------------------- body */

/* Makes room for more bytes behind the argument; *cap is what it has. */
static int reserve(struct mod_door_call *call, apr_size_t *cap, apr_size_t more)
{
    apr_size_t wanted = *cap;
    char *grown;

    if (more <= *cap - call->arg_len)
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
    *cap = wanted;
    return OK;
}

/* Appends a brigade's data; *eos becomes 1 at the body's end. */
static int append(struct mod_door_call *call, apr_size_t *cap, apr_bucket_brigade *bb, int *eos)
{
    apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_size_t len;
        apr_status_t error;
        int status;

        if (APR_BUCKET_IS_EOS(b)) {
            *eos = 1;
            return OK;
        }
        if (APR_BUCKET_IS_METADATA(b))
            continue;
        error = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);
        if (error != APR_SUCCESS)
            return ap_map_http_request_error(error, HTTP_BAD_REQUEST);
        status = reserve(call, cap, len);
        if (status != OK)
            return status;
        memcpy(call->arg + call->arg_len, data, len);
        call->arg_len += len;
    }
    return OK;
}

/* httpd's own filter enforces the limit for HTTP/1; what other inputs do is not relied on. */
static int is_over_limit(const request_rec *r, apr_size_t body_len)
{
    apr_off_t limit = ap_get_limit_req_body(r);

    return limit > 0 && body_len > (apr_uint64_t)limit;
}

static int read_body(request_rec *r, struct mod_door_call *call, apr_size_t *cap)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_size_t head_len = call->arg_len;
    const char *announced = apr_table_get(r->headers_in, "Content-Length");
    apr_off_t body_len;
    int eos = 0;
    int status = OK;

    if (announced != NULL && ap_parse_strict_length(&body_len, announced))
        status = reserve(call, cap,
                         body_len < TRUSTED_BODY_LEN ? (apr_size_t)body_len : TRUSTED_BODY_LEN);
    while (status == OK && !eos) {
        apr_status_t error =
            ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, READ_LEN);

        if (error != APR_SUCCESS)
            status = ap_map_http_request_error(error, HTTP_BAD_REQUEST);
        else
            status = append(call, cap, bb, &eos);
        if (status == OK && is_over_limit(r, call->arg_len - head_len))
            status = HTTP_REQUEST_ENTITY_TOO_LARGE;
        apr_brigade_cleanup(bb);
    }
    apr_brigade_destroy(bb);
    return status;
}

/* -------------------------------------------------------------- together */

/* The message's head in the buffer, or in long_arg if it is too long for that. */
static int write_head(request_rec *r, const struct mod_door_config *conf,
                      struct mod_door_call *call, apr_size_t *cap, struct door_wire_writer *w)
{
    int status;

    door_wire_begin(w, call->arg, *cap);
    put_request(r, conf, w);
    if (w->len > *cap) {
        /* Beyond what the length fields can say: no allocation could help. */
        if (w->len >= UINT32_MAX)
            return HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
        status = reserve(call, cap, w->len);
        if (status != OK)
            return status;
        door_wire_begin(w, call->arg, *cap);
        put_request(r, conf, w);
    }
    call->arg_len = w->len;
    return OK;
}

int mod_door_write_request(request_rec *r, const struct mod_door_config *conf,
                           struct mod_door_call *call)
{
    struct door_wire_writer w = {0};
    apr_size_t cap = MOD_DOOR_BUFFER_LEN;
    apr_size_t head_len;
    int is_raw = conf->protocol == MOD_DOOR_PROTOCOL_RAW;
    int status = OK;

    call->arg = call->buffer;
    call->arg_len = 0;
    if (!is_raw)
        status = write_head(r, conf, call, &cap, &w);
    head_len = call->arg_len;
    if (status == OK && ap_request_has_body(r))
        status = read_body(r, call, &cap);
    if (status != OK || is_raw)
        return status;
    /* The body's length is known only now, and growing may have moved the head. */
    w.buf = call->arg;
    w.cap = cap;
    if (door_wire_end(&w, DOOR_WIRE_REQUEST, 0, 0, call->arg_len - head_len) == 0)
        return HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
    return OK;
}
