/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * body.c: the request's body: which part goes along with the call, what the
 * application reads later, and what happens to the rest.  Nothing is read ahead
 * of the application beyond what fits into one call.  When an input filter of
 * httpd refuses a body, the HTTP status of its answer is kept for the handler.
 * This file knows nothing of doors and messages.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include <apr_portable.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>

#include "mod_door.h"
#include "body.h"

/*
 * How long to wait for a short body.  Most clients send it right behind the head, and
 * then no thread of the application has to wait for it.  A client that waits for the
 * response before it sends the rest loses only this time.
 */
#define SHORT_BODY_WAIT_MS 100

/* How much is read to find out whether there is something.  It stays in the brigade. */
#define LOOK_LEN (8 * 1024)

/* A shorter body is copied: that costs less than pieces do. */
#define PIECES_FROM (16 * 1024)

/* How much mod_door_body_show() reads. */
#define SHOWN_LEN 8192

/* An unread rest up to this length is read and dropped, so that the connection can stay open. */
#define DISCARD_MAX (64 * 1024)

int mod_door_body_init(request_rec *r, struct mod_door_body *body)
{
    const char *announced = apr_table_get(r->headers_in, "Content-Length");
    apr_off_t limit = ap_get_limit_req_body(r);

    body->length = -1;
    body->is_ended = !ap_request_has_body(r);
    body->is_filtered = r->input_filters != r->proto_input_filters;
    if (announced != NULL && !ap_parse_strict_length(&body->length, announced))
        body->length = -1;
    if (body->is_ended)
        return OK;
    if (limit > 0 && body->length > limit)
        return HTTP_REQUEST_ENTITY_TOO_LARGE;
    body->brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    return OK;
}

/* ----------------------------------------------------------- reading */

static apr_status_t note_error(struct mod_door_body *body, apr_status_t error)
{
    body->error = error;
    return error;
}

/*
 * An output filter that is in place while a body is read.  httpd's HTTP_IN answers a
 * body over LimitRequestBody, or a broken chunk, by itself: it passes an error bucket
 * and an EOS to the output filters, even if a response has begun.  Other input filters
 * do the same.  This filter removes such an answer and notes its status.
 */
static apr_status_t catch_answer(ap_filter_t *f, apr_bucket_brigade *bb)
{
    struct mod_door_body *body = f->ctx;
    apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b))
        if (AP_BUCKET_IS_ERROR(b)) {
            body->refused = ((ap_bucket_error *)b->data)->status;
            apr_brigade_cleanup(bb);
            return AP_FILTER_ERROR;
        }
    return ap_pass_brigade(f->next, bb);
}

static ap_filter_rec_t catcher = {
    .name = "door_catch_answer",
    .filter_func.out_func = catch_answer,
    .ftype = AP_FTYPE_RESOURCE,
};

/* Searches the list, since filters may have been added before or behind this one. */
static void unlink_filter(ap_filter_t **at, const ap_filter_t *filter)
{
    while (*at != NULL && *at != filter)
        at = &(*at)->next;
    if (*at != NULL)
        *at = filter->next;
}

/* Reads from the input filters into the body's brigade, which is empty. */
static apr_status_t fill(request_rec *r, struct mod_door_body *body, apr_read_type_e block,
                         apr_size_t len)
{
    /* Without a request: otherwise ap_pass_brigade() would set its eos_sent at the filter's EOS. */
    ap_filter_t filter = {
        .frec = &catcher, .ctx = body, .next = r->output_filters, .c = r->connection};
    apr_status_t error;

    r->output_filters = &filter;
    error =
        ap_get_brigade(r->input_filters, body->brigade, AP_MODE_READBYTES, block, (apr_off_t)len);
    unlink_filter(&r->output_filters, &filter);
    if (body->refused == 0)
        return error;
    apr_brigade_cleanup(body->brigade);
    return body->refused == HTTP_REQUEST_ENTITY_TOO_LARGE ? APR_ENOSPC : APR_EGENERAL;
}

/* Where bytes of the body go. */
struct sink {
    char *buf;
    apr_size_t copied;              /* bytes in buf */
    struct mod_door_pieces *pieces; /* or NULL: all bytes are copied */
    apr_size_t len, room;           /* bytes so far, in buf and pieces, and at most */
};

/* Returns 1 if the bucket has become a piece, 0 if its bytes must be copied. */
static int keep_bucket(request_rec *r, const struct sink *sink, apr_bucket *b)
{
    struct mod_door_pieces *pieces = sink->pieces;
    const char *data;
    apr_size_t len;

    if (pieces == NULL || pieces->count == MOD_DOOR_PIECES_MAX || sink->copied > 0 ||
        b->length == 0 || apr_bucket_setaside(b, r->pool) != APR_SUCCESS ||
        apr_bucket_read(b, &data, &len, APR_BLOCK_READ) != APR_SUCCESS) /* setaside may move it */
        return 0;
    APR_BUCKET_REMOVE(b);
    APR_BRIGADE_INSERT_TAIL(pieces->brigade, b);
    pieces->at[pieces->count++] = (struct iovec){(void *)data, len};
    return 1;
}

/* Takes the bytes of the first bucket, or as many as there is room for. */
static apr_status_t take_bucket(request_rec *r, struct sink *sink, apr_bucket *b)
{
    const char *data;
    apr_size_t len;
    apr_status_t error = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);

    if (error == APR_SUCCESS && len > sink->room - sink->len) {
        len = sink->room - sink->len;
        error = apr_bucket_split(b, len);
    }
    if (error != APR_SUCCESS)
        return error;
    sink->len += len;
    if (keep_bucket(r, sink, b))
        return APR_SUCCESS;
    memcpy(sink->buf + sink->copied, data, len);
    sink->copied += len;
    apr_bucket_delete(b);
    return APR_SUCCESS;
}

/*
 * Moves the brigade's bytes into the sink.  Notices the end of the body even if the sink is
 * full with the last byte, so that an application that has all of it need not ask for more.
 */
static apr_status_t drain(request_rec *r, struct mod_door_body *body, struct sink *sink)
{
    apr_status_t error = APR_SUCCESS;

    while (error == APR_SUCCESS && !APR_BRIGADE_EMPTY(body->brigade) && !body->is_ended) {
        apr_bucket *b = APR_BRIGADE_FIRST(body->brigade);

        if (APR_BUCKET_IS_METADATA(b)) {
            body->is_ended = APR_BUCKET_IS_EOS(b);
            apr_bucket_delete(b);
        } else if (sink->len < sink->room) {
            error = take_bucket(r, sink, b);
        } else {
            break;
        }
    }
    return error;
}

/* Like mod_door_body_read(), into the sink.  *len is the number of bytes read by this call. */
static apr_status_t read_into(request_rec *r, struct mod_door_body *body, struct sink *sink,
                              apr_size_t *len, apr_read_type_e block)
{
    apr_off_t limit = ap_get_limit_req_body(r);
    apr_size_t before = sink->len;
    apr_status_t error = APR_SUCCESS;

    *len = 0;
    if (body->error != APR_SUCCESS)
        return body->error;
    while (!body->is_ended && sink->len < sink->room) {
        apr_read_type_e how = sink->len > before ? APR_NONBLOCK_READ : block;

        if (APR_BRIGADE_EMPTY(body->brigade))
            error = fill(r, body, how, sink->room - sink->len);
        if (error == APR_SUCCESS && APR_BRIGADE_EMPTY(body->brigade)) {
            /* A filter has read something, but has no output yet. */
            if (how == APR_BLOCK_READ)
                continue;
            error = APR_EAGAIN;
        }
        if (error == APR_SUCCESS)
            error = drain(r, body, sink);
        if (error != APR_SUCCESS)
            break;
    }
    *len = sink->len - before;
    body->taken += (apr_off_t)*len;
    if (limit > 0 && body->taken > limit) /* not every input filter checks it */
        return note_error(body, APR_ENOSPC);
    if (APR_STATUS_IS_EAGAIN(error))
        return *len > 0 ? APR_SUCCESS : APR_EAGAIN;
    if (error != APR_SUCCESS)
        return note_error(body, error);
    return APR_SUCCESS;
}

apr_status_t mod_door_body_read(request_rec *r, struct mod_door_body *body, char *buf,
                                apr_size_t room, apr_size_t *len, apr_read_type_e block)
{
    struct sink sink = {.buf = buf, .room = room};

    return read_into(r, body, &sink, len, block);
}

int mod_door_body_is_ready(request_rec *r, struct mod_door_body *body)
{
    apr_status_t error;

    if (body->is_ended || body->error != APR_SUCCESS || !APR_BRIGADE_EMPTY(body->brigade))
        return 1;
    error = fill(r, body, APR_NONBLOCK_READ, LOOK_LEN);
    if (error != APR_SUCCESS && !APR_STATUS_IS_EAGAIN(error))
        note_error(body, error);
    return body->error != APR_SUCCESS || !APR_BRIGADE_EMPTY(body->brigade);
}

/* A read that does not wait makes HTTP_IN send no 100 (Continue). */
void mod_door_body_show(request_rec *r, struct mod_door_body *body)
{
    apr_status_t error;

    if (body->is_ended || !body->is_filtered)
        return;
    error = fill(r, body, APR_NONBLOCK_READ, SHOWN_LEN);
    if (error != APR_SUCCESS && !APR_STATUS_IS_EAGAIN(error))
        body->error = error;
    body->is_filtered = r->input_filters != r->proto_input_filters;
}

int mod_door_body_status(const struct mod_door_body *body)
{
    if (body->refused != 0)
        return body->refused;
    return ap_map_http_request_error(body->error, HTTP_BAD_REQUEST);
}

/* Waits at most timeout_ms.  Returns whether something may have come on the client's socket. */
static int wait_for_client(request_rec *r, int timeout_ms)
{
    struct pollfd p = {.events = POLLIN};

    if (r->connection->master != NULL) /* a stream of HTTP/2 has no socket to wait for */
        return 0;
    return apr_os_sock_get(&p.fd, ap_get_conn_socket(r->connection)) == APR_SUCCESS &&
           poll(&p, 1, timeout_ms) == 1;
}

/* Reads what is there, and waits a moment for the rest of a body that fits. */
static apr_status_t prefetch(request_rec *r, struct mod_door_body *body, struct sink *sink)
{
    apr_time_t until = mod_door_now() + apr_time_from_msec(SHORT_BODY_WAIT_MS);
    apr_size_t more;

    /* Reading would send the 100 (Continue), and the application is to decide about that. */
    if (r->expecting_100)
        return APR_SUCCESS;
    while (!body->is_ended && sink->len < sink->room) {
        apr_status_t error = read_into(r, body, sink, &more, APR_NONBLOCK_READ);
        apr_interval_time_t left = until - mod_door_now();

        if (error == APR_SUCCESS)
            continue;
        if (!APR_STATUS_IS_EAGAIN(error))
            return error;
        if (body->length < 0 || body->length > (apr_off_t)sink->room || left <= 0 ||
            !wait_for_client(r, (int)apr_time_as_msec(left) + 1))
            return APR_SUCCESS;
    }
    return APR_SUCCESS;
}

apr_status_t mod_door_body_prefetch(request_rec *r, struct mod_door_body *body, char *buf,
                                    apr_size_t room, struct mod_door_pieces *pieces)
{
    int is_long = body->length > PIECES_FROM;
    struct sink sink = {.buf = buf, .room = room, .pieces = is_long ? pieces : NULL};
    apr_status_t error;

    if (is_long)
        pieces->brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    error = prefetch(r, body, &sink);
    if (sink.copied > 0)
        pieces->at[pieces->count++] = (struct iovec){buf, sink.copied};
    pieces->len = sink.len;
    return error;
}

void mod_door_body_free_pieces(struct mod_door_pieces *pieces)
{
    if (pieces->brigade != NULL)
        apr_brigade_cleanup(pieces->brigade);
    pieces->count = 0;
}

/* ------------------------------------------------- what nobody has read */

/* Drops what has arrived, up to DISCARD_MAX.  If that is not all, the connection will close. */
static void drop(request_rec *r, struct mod_door_body *body)
{
    char dropped[1024]; /* see new_call() in mod_door.c */
    apr_size_t total = 0;
    apr_size_t len;

    while (!body->is_ended && total < DISCARD_MAX &&
           mod_door_body_read(r, body, dropped, sizeof(dropped), &len, APR_NONBLOCK_READ) ==
               APR_SUCCESS)
        total += len;
    if (!body->is_ended)
        r->connection->keepalive = AP_CONN_CLOSE;
}

/* A short rest that needs no special care is left to httpd, which drops it after the response. */
void mod_door_body_discard(request_rec *r, struct mod_door_body *body)
{
    if (body->is_ended || r->expecting_100) /* then httpd closes the connection */
        return;
    if (body->error == APR_SUCCESS && !body->is_filtered && body->length >= 0 &&
        body->length - body->taken <= DISCARD_MAX)
        return;
    drop(r, body);
}

/*
 * The rest is dropped before Content-Length and Transfer-Encoding are removed: HTTP_IN looks
 * at them at its first read, and without them would take the rest for the next request.
 */
void mod_door_body_abandon(request_rec *r, struct mod_door_body *body)
{
    if (body->brigade != NULL && !r->expecting_100)
        drop(r, body);
    else if (!body->is_ended)
        r->connection->keepalive = AP_CONN_CLOSE;
    apr_table_unset(r->headers_in, "Content-Length");
    apr_table_unset(r->headers_in, "Transfer-Encoding");
    *body = (struct mod_door_body){.is_ended = 1, .length = -1};
}
