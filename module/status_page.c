/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * status_page.c: SetHandler door-status: what doors do, as a page for people, as JSON, and
 * for Prometheus.  The page (status_page.html) has no figures in it: its script fetches the
 * JSON again and again.
 */
#include <string.h>

#include <apr_strings.h>
#include <httpd.h>
#include <http_config.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_script.h>

#include "mod_door.h"
#include "report.h"
#include "report_json.h"
#include "report_prometheus.h"
#include "status_page.h"
#include "tokens.h"
#include "wire.h"

#define HANDLER_NAME "door-status"

/* The Makefile makes this from status_page.html. */
extern const char mod_door_status_html[];

/* Marks where the page needs the nonce with which the browser admits only its script and style. */
#define NONCE "@NONCE@"

static void put_page(request_rec *r, const char *nonce)
{
    const char *from = mod_door_status_html, *place;

    for (; (place = strstr(from, NONCE)) != NULL; from = place + strlen(NONCE)) {
        ap_rwrite(from, (int)(place - from), r);
        ap_rputs(nonce, r);
    }
    ap_rputs(from, r);
}

static int send_html(request_rec *r)
{
    char nonce[DOOR_WIRE_ID_LEN + 1];

    if (mod_door_random_id(nonce) != APR_SUCCESS)
        return HTTP_INTERNAL_SERVER_ERROR;
    ap_set_content_type(r, "text/html; charset=utf-8");
    apr_table_setn(r->headers_out, "Content-Security-Policy",
                   apr_psprintf(r->pool,
                                "default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s';"
                                " connect-src 'self'; img-src data:; base-uri 'none';"
                                " form-action 'none'; frame-ancestors 'none'",
                                nonce, nonce));
    if (!r->header_only)
        put_page(r, nonce);
    return OK;
}

static int send_json(request_rec *r)
{
    ap_set_content_type(r, "application/json");
    if (!r->header_only)
        mod_door_write_json(r, mod_door_report(r));
    return OK;
}

static int send_prometheus(request_rec *r)
{
    ap_set_content_type(r, "text/plain; version=0.0.4; charset=utf-8");
    if (!r->header_only)
        mod_door_write_prometheus(r, mod_door_report(r));
    return OK;
}

static const struct format {
    const char *name;
    int (*send)(request_rec *r);
} formats[] = {{"html", send_html}, {"json", send_json}, {"prometheus", send_prometheus}};

static const struct format *find_format(request_rec *r)
{
    apr_table_t *arguments;
    const char *name;
    apr_size_t i;

    ap_args_to_table(r, &arguments);
    name = apr_table_get(arguments, "format");
    for (i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (name == NULL || !strcmp(name, formats[i].name))
            return &formats[i];
    return NULL;
}

static int refuse_format(request_rec *r)
{
    r->status = HTTP_BAD_REQUEST;
    ap_set_content_type(r, "text/plain; charset=utf-8");
    ap_rputs("door-status: format is html, json or prometheus\n", r);
    return OK;
}

static int handle(request_rec *r)
{
    const struct format *format;

    if (r->handler == NULL || strcmp(r->handler, HANDLER_NAME) != 0)
        return DECLINED;
    ap_allow_standard_methods(r, REPLACE_ALLOW, M_GET, -1);
    if (r->method_number != M_GET)
        return HTTP_METHOD_NOT_ALLOWED;
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "Referrer-Policy", "no-referrer");
    format = find_format(r);
    return format != NULL ? format->send(r) : refuse_format(r);
}

void mod_door_register_status_page(void)
{
    ap_hook_handler(handle, NULL, NULL, APR_HOOK_MIDDLE);
}
