/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * body.c: the request's body: what of it goes along with the call, what the
 * application reads later, and what becomes of the rest.  Nothing is read
 * ahead of the application beyond what fits into one call.  Knows nothing of
 * doors and messages.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include <apr_portable.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>

#include "mod_door.h"

/*
 * How long a short body is waited for, which most clients send right behind the
 * head: an application's thread should not have to.  One that waits for the
 * response before it sends the rest loses no more than this.
 */
#define SHORT_BODY_WAIT_MS 100

/* An unread rest up to this long is read and dropped, so that the connection can go on. */
#define DISCARD_MAX (64 * 1024)

int mod_door_body_init(request_rec *r, struct mod_door_body *body)
{
    const char *announced = apr_table_get(r->headers_in, "Content-Length");
    apr_off_t limit = ap_get_limit_req_body(r);

    body->length = -1;
    body->is_ended = !ap_request_has_body(r);
    if (announced != NULL && !ap_parse_strict_length(&body->length, announced))
        body->length = -1;
    if (body->is_ended)
        return OK;
    if (limit > 0 && body->length > limit)
        return HTTP_REQUEST_ENTITY_TOO_LARGE;
    body->brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    return OK;
}

static apr_status_t fail(struct mod_door_body *body, apr_status_t error)
{
    body->error = error;
    return error;
}

/* Moves what the brigade has to buf, at most room bytes; *len counts. */
static apr_status_t drain(struct mod_door_body *body, char *buf, apr_size_t room, apr_size_t *len)
{
    while (!APR_BRIGADE_EMPTY(body->brigade) && !body->is_ended && *len < room) {
        apr_bucket *b = APR_BRIGADE_FIRST(body->brigade);
        const char *data;
        apr_size_t data_len;
        apr_status_t error;

        if (!APR_BUCKET_IS_METADATA(b)) {
            error = apr_bucket_read(b, &data, &data_len, APR_BLOCK_READ);
            if (error == APR_SUCCESS && data_len > room - *len) {
                data_len = room - *len;
                error = apr_bucket_split(b, data_len);
            }
            if (error != APR_SUCCESS)
                return error;
            memcpy(buf + *len, data, data_len);
            *len += data_len;
        }
        body->is_ended = APR_BUCKET_IS_EOS(b);
        apr_bucket_delete(b);
    }
    return APR_SUCCESS;
}

apr_status_t mod_door_body_read(request_rec *r, struct mod_door_body *body, char *buf,
                                apr_size_t room, apr_size_t *len, apr_read_type_e block)
{
    apr_off_t limit = ap_get_limit_req_body(r);
    apr_status_t error = APR_SUCCESS;

    *len = 0;
    if (body->error != APR_SUCCESS)
        return body->error;
    while (!body->is_ended && *len < room) {
        if (APR_BRIGADE_EMPTY(body->brigade))
            error = ap_get_brigade(r->input_filters, body->brigade, AP_MODE_READBYTES,
                                   *len > 0 ? APR_NONBLOCK_READ : block, (apr_off_t)(room - *len));
        if (error == APR_SUCCESS && APR_BRIGADE_EMPTY(body->brigade))
            error = APR_EAGAIN; /* how some filters say it */
        if (error == APR_SUCCESS)
            error = drain(body, buf, room, len);
        if (error != APR_SUCCESS)
            break;
    }
    body->taken += (apr_off_t)*len;
    if (limit > 0 && body->taken > limit) /* what all inputs do is not relied on */
        return fail(body, APR_ENOSPC);
    if (APR_STATUS_IS_EAGAIN(error))
        return *len > 0 ? APR_SUCCESS : APR_EAGAIN;
    if (error != APR_SUCCESS)
        return fail(body, error);
    return APR_SUCCESS;
}

/* Whether something may have come on the client's socket after at most timeout_ms. */
static int wait_for_client(request_rec *r, int timeout_ms)
{
    struct pollfd p = {.events = POLLIN};

    if (r->connection->master != NULL) /* a stream of HTTP/2 has no socket to wait for */
        return 0;
    return apr_os_sock_get(&p.fd, ap_get_conn_socket(r->connection)) == APR_SUCCESS &&
           poll(&p, 1, timeout_ms) == 1;
}

apr_status_t mod_door_body_prefetch(request_rec *r, struct mod_door_body *body, char *buf,
                                    apr_size_t room, apr_size_t *len)
{
    apr_time_t until = apr_time_now() + apr_time_from_msec(SHORT_BODY_WAIT_MS);
    apr_status_t error = APR_SUCCESS;
    apr_size_t more;

    *len = 0;
    /* Reading would send the 100 (Continue): that is the application's to decide. */
    if (r->expecting_100)
        return APR_SUCCESS;
    while (!body->is_ended && *len < room) {
        error = mod_door_body_read(r, body, buf + *len, room - *len, &more, APR_NONBLOCK_READ);
        *len += more;
        if (error == APR_SUCCESS)
            continue;
        if (!APR_STATUS_IS_EAGAIN(error))
            return error;
        apr_interval_time_t left = until - apr_time_now();
        if (body->length < 0 || body->length > (apr_off_t)room || left <= 0 ||
            !wait_for_client(r, (int)apr_time_as_msec(left) + 1))
            return APR_SUCCESS;
    }
    return APR_SUCCESS;
}

/* What httpd reads and drops after the response by itself it may; more ends the connection. */
void mod_door_body_discard(request_rec *r, struct mod_door_body *body)
{
    char dropped[8192];
    apr_size_t total = 0;
    apr_size_t len;

    if (body->is_ended || r->expecting_100) /* then httpd closes the connection */
        return;
    if (body->error == APR_SUCCESS && body->length >= 0 &&
        body->length - body->taken <= DISCARD_MAX)
        return;
    while (body->length < 0 && !body->is_ended && total < DISCARD_MAX &&
           mod_door_body_read(r, body, dropped, sizeof(dropped), &len, APR_NONBLOCK_READ) ==
               APR_SUCCESS)
        total += len;
    if (!body->is_ended)
        r->connection->keepalive = AP_CONN_CLOSE;
}
