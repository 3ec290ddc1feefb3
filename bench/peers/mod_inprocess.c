/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * mod_inprocess.c: the limit: the same answers, made inside httpd.  The handler
 * inprocess-flush has each sent at once, as mod_door has short ones: how much of
 * a difference is that and not the way to the application.
 */
#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_protocol.h>
#include <apr_portable.h>
#include <apr_strings.h>

#include "work.h"

static void count(request_rec *r)
{
    char buf[WORK_PIECE];
    long sum = 0, got;

    if (ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK) == OK && ap_should_client_block(r)) {
        while ((got = ap_get_client_block(r, buf, sizeof(buf))) > 0)
            sum += got;
    }
    ap_rprintf(r, "%ld\n", sum);
}

static void bytes(request_rec *r, long len, long piece)
{
    ap_set_content_length(r, len);
    for (; len > 0; len -= piece)
        if (ap_rwrite(work_bytes(piece), (int)piece, r) == -1)
            return;
}

static void file(request_rec *r)
{
    long len;
    int fd = work_file(&len);
    apr_file_t *opened;
    apr_size_t sent;

    if (fd == -1)
        return;
    apr_os_file_put(&opened, &fd, APR_FOPEN_READ | APR_FOPEN_SENDFILE_ENABLED, r->pool);
    ap_set_content_length(r, len);
    ap_send_fd(opened, r, 0, (apr_size_t)len, &sent);
    ap_rflush(r); /* the bucket must not outlive the descriptor */
    close(fd);
}

static void events(request_rec *r, long count)
{
    char event[64];

    ap_set_content_type(r, "text/event-stream");
    for (; count > 0; count--) {
        int len = work_event(event, sizeof(event));

        if (ap_rwrite(event, len, r) == -1 || ap_rflush(r) == -1)
            return;
    }
}

static int answer(request_rec *r)
{
    struct work todo;
    int is_flushed = r->handler != NULL && strcmp(r->handler, "inprocess-flush") == 0;

    if (r->handler == NULL || (!is_flushed && strcmp(r->handler, "inprocess") != 0))
        return DECLINED;
    todo = work(strrchr(r->uri, '/'));
    ap_set_content_type(r, "text/plain");
    if (todo.kind == WORK_COUNT)
        count(r);
    else if (todo.kind == WORK_FILE)
        file(r);
    else if (todo.kind == WORK_EVENTS)
        events(r, todo.len);
    else
        bytes(r, todo.len, todo.kind == WORK_PIECES ? WORK_PIECE : todo.len);
    if (is_flushed)
        ap_rflush(r);
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
