/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * stream.c: what a handler says and asks before it returns: calls of the
 * response door of the httpd process that waits for it.  They are made on the
 * handler's own thread, one at a time; when httpd does not let us in any more,
 * the client is gone for this handler.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "app.h"

/* How long an answer to "is the client there?" is good for. */
#define CLIENT_KNOWN_NS 100000000

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int door_rt_lost(struct door_rt_request *req)
{
    if (errno == EBADF || errno == EINTR)
        door_rt_caller_forget(req->caller);
    if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS &&
        errno != EAGAIN)
        errno = EPIPE;
    return -1;
}

int door_rt_read_reply(struct door_wire_reader *answer, const char *reply, size_t len, char *head,
                       size_t cap)
{
    size_t head_len = door_wire_head_len(reply, len);

    if (head_len > cap)
        return door_rt_fail(EPROTO);
    memcpy(head, reply, head_len);
    return door_wire_read_copied(answer, DOOR_WIRE_ANY, head, head_len, reply, len);
}

int door_rt_take_ack(struct door_rt_request *req, const struct door_wire_reader *answer)
{
    if (answer->kind != DOOR_WIRE_ACK)
        return door_rt_fail(EPROTO);
    if (answer->flags & DOOR_WIRE_NO_BODY)
        req->no_body = 1;
    errno = answer->status == ESTALE ? EPIPE : answer->status;
    return answer->status == 0 ? 0 : -1;
}

int door_rt_call(struct door_rt_request *req, door_arg_t *arg, struct door_wire_reader *answer)
{
    char reply[256];
    sigset_t before;
    int error = 0, result;

    door_rt_parts_settle(req);
    arg->rbuf = reply;
    arg->rsize = sizeof(reply);
    door_rt_hold_signals(&before);
    result = door_handle_call(door_rt_caller_handle(req->caller), arg, NULL);
    door_rt_let_signals(&before);
    if (result == -1)
        return door_rt_lost(req);
    if (door_wire_read(answer, DOOR_WIRE_ACK, arg->data_ptr, arg->data_size) == -1)
        error = EPROTO;
    else if (door_rt_take_ack(req, answer) == -1)
        error = errno;
    if (arg->rbuf != reply)
        munmap(arg->rbuf, arg->rsize);
    errno = error;
    return error == 0 ? 0 : -1;
}

/* The message goes with the file, which is closed here whatever becomes of the call. */
static int send_message(struct door_rt_request *req, char *message, size_t len)
{
    struct door_wire_reader answer;
    int fd = req->file.fd;
    door_desc_t desc = {.d_attributes = DOOR_DESCRIPTOR, .d_data.d_desc.d_descriptor = fd};
    door_arg_t arg = {
        .data_ptr = message, .data_size = len, .desc_ptr = &desc, .desc_num = fd != -1};
    int result = door_rt_call(req, &arg, &answer);
    int error = errno;

    req->file.fd = -1;
    if (fd != -1)
        close(fd);
    errno = error;
    return result;
}

int door_rt_send(struct door_rt_request *req, unsigned flags)
{
    enum door_wire_kind kind = req->is_begun ? DOOR_WIRE_PART : DOOR_WIRE_RESPONSE;
    char *message;
    size_t len;
    int result;

    if (req->caller == NULL)
        return door_rt_fail(ENOTSUP);
    if (door_rt_message(req, kind, flags, &message, &len) == -1) {
        req->failed = errno;
        return -1;
    }
    if (req->file.fd == -1 && door_rt_parts_have_room(req))
        result = door_rt_parts_send(req, message, len);
    else
        result = send_message(req, message, len);
    if (result == -1 && req->failed == 0)
        req->failed = errno;
    if (flags & DOOR_WIRE_FLUSH)
        door_rt_parts_settle(req);
    req->is_begun = 1; /* if it has failed, too, as far as this handler is concerned */
    req->thread->body.len = 0;
    errno = req->failed;
    return req->failed == 0 ? 0 : -1;
}

size_t door_rt_ask_message(const struct door_rt_request *req, enum door_wire_kind kind,
                           unsigned flags, char *message)
{
    struct door_wire_writer writer;

    door_wire_begin(&writer, message, DOOR_RT_ASK_MAX);
    door_wire_field(&writer, DOOR_WIRE_TOKEN, "", 0, req->part[DOOR_WIRE_TOKEN], DOOR_WIRE_ID_LEN);
    return door_wire_end(&writer, kind, 0, flags, 0);
}

/* ---------------------------------------------------------------- client */

int door_app_client_gone(struct door_app_request *handle)
{
    struct door_rt_request *req = door_rt_request(handle);
    struct door_wire_reader answer = {0};
    char message[DOOR_RT_ASK_MAX];
    door_arg_t arg = {.data_ptr = message};

    if (req == NULL)
        return DOOR_APP_CLIENT_GONE;
    if (req->failed == EPIPE || req->failed == ETIMEDOUT)
        req->client = DOOR_APP_CLIENT_GONE;
    if (req->caller == NULL || req->client == DOOR_APP_CLIENT_GONE ||
        now_ns() - req->asked_ns < CLIENT_KNOWN_NS)
        return req->client;
    arg.data_size = door_rt_ask_message(req, DOOR_WIRE_ASK, 0, message);
    if (door_rt_call(req, &arg, &answer) == -1)
        req->client = errno == EPIPE ? DOOR_APP_CLIENT_GONE : req->client;
    else if (answer.flags & DOOR_WIRE_GONE)
        req->client = DOOR_APP_CLIENT_GONE;
    else if (answer.flags & DOOR_WIRE_MAYBE_GONE)
        req->client = DOOR_APP_CLIENT_MAYBE_GONE;
    req->asked_ns = now_ns();
    return req->client;
}

/* ---------------------------------------------------------------- interim */

int door_app_early_hints(struct door_app_request *handle)
{
    struct door_rt_request *req = door_rt_request(handle);
    struct door_wire_writer writer = {0};
    struct door_wire_reader answer;
    door_arg_t arg = {0};
    size_t links = 0;

    if (req == NULL)
        return -1;
    if (req->caller == NULL || req->is_begun)
        return door_rt_fail(req->caller == NULL ? ENOTSUP : EALREADY);
    for (int pass = 0; pass < 2; pass++) { /* to measure, and to write */
        door_wire_begin(&writer, arg.data_ptr, arg.data_size);
        door_wire_field(&writer, DOOR_WIRE_TOKEN, "", 0, req->part[DOOR_WIRE_TOKEN],
                        DOOR_WIRE_ID_LEN);
        for (const struct door_rt_header *h = req->headers; h != NULL; h = h->next) {
            if (!door_rt_same_name(h->name, "Link"))
                continue;
            door_wire_field(&writer, DOOR_WIRE_HEADER, h->name, strlen(h->name), h->value,
                            strlen(h->value));
            links++;
        }
        if (pass == 0 && (links == 0 || writer.len == SIZE_MAX))
            return door_rt_fail(EINVAL);
        if (pass == 0)
            arg.data_ptr = door_rt_alloc(&req->thread->arena, writer.len);
        if (arg.data_ptr == NULL)
            return -1;
        arg.data_size = writer.len;
    }
    door_wire_end(&writer, DOOR_WIRE_RESPONSE, 103, DOOR_WIRE_FLUSH, 0);
    return door_rt_call(req, &arg, &answer);
}
