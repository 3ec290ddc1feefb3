/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * mod_inprocess.c: the limit: the same answers, made inside httpd.
 */
#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_protocol.h>
#include <apr_strings.h>

#include "work.h"

static long discard(request_rec *r)
{
    char buf[65536];
    long sum = 0, got;

    if (ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK) != OK || !ap_should_client_block(r))
        return 0;
    while ((got = ap_get_client_block(r, buf, sizeof(buf))) > 0)
        sum += got;
    return sum;
}

static int answer(request_rec *r)
{
    long len;

    if (r->handler == NULL || strcmp(r->handler, "inprocess") != 0)
        return DECLINED;
    len = work(strrchr(r->uri, '/'));
    ap_set_content_type(r, "text/plain");
    if (len == -1) {
        ap_rprintf(r, "%ld\n", discard(r));
        return OK;
    }
    ap_set_content_length(r, len);
    ap_rwrite(work_bytes(len), (int)len, r);
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_handler(answer, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(inprocess) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, AP_MODULE_FLAG_NONE,
};
