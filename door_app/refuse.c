/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * refuse.c: answers with an error: with the application's own page for the status, or a
 * line of text.  door_app_refuse() first throws away what the handler has written.
 */
#include <errno.h>
#include <unistd.h>

#include "fail.h"
#include "fields.h"
#include "refuse.h"
#include "request.h"

void door_rt_keep(struct door_rt_request *req)
{
    req->kept.status = req->status;
    req->kept.has_own_status = req->has_own_status;
    if (door_rt_list_copy(&req->thread->arena, &req->kept.headers, req->headers) == -1 ||
        door_rt_list_copy(&req->thread->arena, &req->kept.trailers, req->trailers) == -1)
        req->channel.failed = errno;
}

int door_app_reset(struct door_app_request *handle)
{
    struct door_rt_request *req = door_rt_request(handle);

    if (req == NULL)
        return -1;
    if (req->is_begun)
        return door_rt_fail(EALREADY);
    if (req->channel.failed == ECANCELED) /* the response was given up */
        return door_rt_fail(ECANCELED);
    if (door_rt_list_copy(&req->thread->arena, &req->headers, req->kept.headers) == -1 ||
        door_rt_list_copy(&req->thread->arena, &req->trailers, req->kept.trailers) == -1)
        return -1;
    req->status = req->kept.status;
    req->has_own_status = req->kept.has_own_status;
    req->written = 0;
    req->reserved = 0;
    req->is_excess = 0;
    if (req->file.fd != -1)
        close(req->file.fd);
    req->file.fd = -1;
    req->channel.buffer->len = 0;
    req->channel.failed = 0;
    return 0;
}

/* While a page is made, there is no other: a page that refuses must not call pages again. */
static const struct door_rt_page *find_page(const struct door_rt_request *req, int status)
{
    const struct door_rt_page *page = req->is_refused ? NULL : req->pages;

    while (page != NULL && page->status != status)
        page = page->next;
    return page;
}

int door_rt_has_page(const struct door_rt_request *req, int status)
{
    return find_page(req, status) != NULL;
}

void door_rt_refuse(struct door_rt_request *req, int status, const char *text)
{
    struct door_app_request *handle = door_rt_handle(req);
    const struct door_rt_page *page = find_page(req, status);

    if (door_app_status(handle, status) == -1)
        return;
    if (page != NULL) {
        req->is_refused = 1;
        page->handler(handle, page->data);
    } else {
        door_app_printf(handle, "%s\n", text);
    }
}

int door_app_refuse(struct door_app_request *handle, int status, const char *text)
{
    struct door_rt_request *req = door_rt_request(handle);

    if (req == NULL)
        return -1;
    if (status < 400 || status > 599 || text == NULL)
        return door_rt_fail(EINVAL);
    if (door_app_reset(handle) == -1)
        return -1;
    door_rt_refuse(req, status, text);
    return 0;
}
