/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * descriptor.c: descriptors that an application passes, as parts of the response.
 *
 * A regular file's offset is shared with the application and with every other
 * request that sends the same open file, and APR's file bucket seeks before it
 * reads.  So APR's bucket is used only where nothing but sendfile(2) will use it,
 * and where reading cannot block.  Elsewhere a bucket of this file's own type reads
 * with pread(2).  No file is ever mapped: if the application truncated it, the
 * access would kill this child.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <apr_file_io.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <util_filter.h>

#include "mod_door.h"
#include "call_state.h"
#include "descriptor.h"
#include "received.h"
#include "response.h"
#include "tokens.h"
#include "wire.h"

#define READ_LEN (64 * 1024)

/*
 * A part up to this length is read at once.  Otherwise hundreds of short parts, each with
 * an open descriptor, could wait until httpd sends them to the client.
 */
#define SHORT_LEN 8192

/* APR's file buckets keep their files open until the request ends, so a request has few. */
#define SENDFILE_MAX 16

/* --------------------------------------------- a file that is read by pread(2) */

struct shared_file {
    apr_bucket_refcount refcount; /* first, as apr_bucket_shared_*() want it */
    struct mod_door_received *file;
    apr_interval_time_t timeout; /* longest time that one read may take */
};

static void drop_file(struct shared_file *shared)
{
    if (!apr_bucket_shared_destroy(shared))
        return;
    mod_door_release_received(shared->file);
    apr_bucket_free(shared);
}

/* The bucket becomes a heap bucket with the bytes read.  The rest is a new bucket behind it. */
static apr_status_t file_read(apr_bucket *b, const char **data, apr_size_t *len,
                              apr_read_type_e block)
{
    struct shared_file *shared = b->data;
    apr_size_t wanted = b->length < READ_LEN ? b->length : READ_LEN;
    char *buffer = apr_bucket_alloc(READ_LEN, b->list);
    apr_size_t got;
    apr_status_t error = mod_door_read_received(shared->file, buffer, wanted, b->start,
                                                shared->timeout, NULL, NULL, &got);

    (void)block;
    if (error == APR_SUCCESS && got == 0)
        error = APR_EOF; /* it was truncated meanwhile */
    if (error != APR_SUCCESS) {
        apr_bucket_free(buffer);
        *data = NULL;
        *len = 0;
        return error;
    }
    if (got < b->length)
        apr_bucket_split(b, got);
    drop_file(shared);
    apr_bucket_heap_make(b, buffer, READ_LEN, apr_bucket_free);
    b->length = got;
    *data = buffer;
    *len = got;
    return APR_SUCCESS;
}

static void file_destroy(void *data)
{
    drop_file(data);
}

static const apr_bucket_type_t file_type = {
    .name = "DOOR_FILE",
    .num_func = 5,
    .is_metadata = APR_BUCKET_DATA,
    .destroy = file_destroy,
    .read = file_read,
    .setaside = apr_bucket_setaside_noop,
    .split = apr_bucket_shared_split,
    .copy = apr_bucket_shared_copy,
};

static apr_bucket *file_bucket(struct mod_door_received *file, apr_off_t offset, apr_size_t len,
                               apr_interval_time_t timeout, apr_bucket_alloc_t *list)
{
    apr_bucket *b = apr_bucket_alloc(sizeof(*b), list);
    struct shared_file *shared = apr_bucket_alloc(sizeof(*shared), list);

    shared->file = file;
    shared->timeout = timeout;
    APR_BUCKET_INIT(b);
    b->free = apr_bucket_free;
    b->list = list;
    apr_bucket_shared_make(b, shared, offset, len);
    b->type = &file_type;
    return b;
}

/* ------------------------------------------------------------ sendfile */

/* Filters that need the length of a bucket, and never its bytes. */
static int is_transparent(const char *filter)
{
    static const char *const names[] = {"byterange", "content_length", "http_header",
                                        "http_outerror", "chunk", "reqtimeout", "core"};
    apr_size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!strcmp(filter, names[i]))
            return 1;
    return 0;
}

static int is_sendfile_certain(const request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const ap_filter_t *f;

    if (core->enable_sendfile != ENABLE_SENDFILE_ON || r->connection->master != NULL)
        return 0;
    for (f = r->output_filters; f != NULL; f = f->next)
        if (!is_transparent(f->frec->name))
            return 0;
    return 1;
}

/* Takes fd over if it succeeds. */
static apr_status_t add_sendfile(request_rec *r, apr_bucket_brigade *bb, int fd, apr_off_t offset,
                                 apr_off_t len)
{
    apr_file_t *borrowed, *file;
    apr_os_file_t os_file = fd;
    apr_status_t error;

    error = apr_os_file_put(&borrowed, &os_file, APR_FOPEN_READ | APR_FOPEN_SENDFILE_ENABLED,
                            r->pool);
    /* A copy, because a file from apr_os_file_put() is not closed with its pool. */
    if (error == APR_SUCCESS)
        error = apr_file_dup(&file, borrowed, r->pool);
    if (error != APR_SUCCESS)
        return error;
    close(fd);
    apr_bucket_file_enable_mmap(apr_brigade_insert_file(bb, file, offset, len, r->pool), 0);
    return APR_SUCCESS;
}

/* Reads a short part and appends its bytes to bb. */
static apr_status_t add_short(struct mod_door_received *file, apr_bucket_brigade *bb,
                              apr_off_t offset, apr_size_t len, apr_interval_time_t timeout)
{
    char *buffer = apr_bucket_alloc(SHORT_LEN, bb->bucket_alloc);
    apr_status_t error = APR_SUCCESS;
    apr_size_t done = 0, got;

    while (error == APR_SUCCESS && done < len) {
        error = mod_door_read_received(file, buffer + done, len - done,
                                       offset + (apr_off_t)done, timeout, NULL, NULL, &got);
        if (error == APR_SUCCESS && got == 0)
            error = APR_EOF; /* it was truncated meanwhile */
        done += got;
    }
    if (error != APR_SUCCESS) {
        apr_bucket_free(buffer);
        return error;
    }
    APR_BRIGADE_INSERT_TAIL(
        bb, apr_bucket_heap_create(buffer, SHORT_LEN, apr_bucket_free, bb->bucket_alloc));
    APR_BRIGADE_LAST(bb)->length = len;
    return APR_SUCCESS;
}

/* Takes fd over. */
static apr_status_t add_file(struct mod_door_call *call, apr_bucket_brigade *bb, int fd,
                             const struct mod_door_look *look, apr_off_t offset, apr_off_t len)
{
    apr_bucket_alloc_t *list = call->r->connection->bucket_alloc;
    struct mod_door_received *file;

    if (len == 0) {
        mod_door_close_received(call->sender, fd);
        return APR_SUCCESS;
    }
    /* If no descriptor is left for the copy, the file is read instead. */
    if (len > SHORT_LEN && look->reads_at_once && call->sendfile_count < SENDFILE_MAX &&
        is_sendfile_certain(call->r) &&
        add_sendfile(call->r, bb, fd, offset, len) == APR_SUCCESS) {
        call->sendfile_count++;
        return APR_SUCCESS;
    }
    file = mod_door_keep_received(call->sender, fd, look);
    if (file == NULL)
        return ENOMEM;
    if (len <= SHORT_LEN) {
        apr_status_t error =
            add_short(file, bb, offset, (apr_size_t)len, mod_door_timeout(call));

        mod_door_release_received(file);
        return error;
    }
    APR_BRIGADE_INSERT_TAIL(
        bb, file_bucket(file, offset, (apr_size_t)len, mod_door_timeout(call), list));
    return APR_SUCCESS;
}

/* ------------------------------------------------------ pipes and sockets */

/* How often to check, while a pipe or socket is silent, whether the client still waits. */
#define LOOK_MS 250

/*
 * A client that has closed its sending side may have gone, or may still wait for the rest.
 * TCP tells only when something is sent.  When there was nothing to send for this long, the
 * client counts as gone.
 */
#define HALF_CLOSED_MS 2000

/* How long to wait if poll(2) cannot tell when something comes. */
#define LOOK_BLINDLY_MS 10

/* Since when nothing has come from the descriptor that is read. */
struct silence {
    struct mod_door_call *call;
    apr_time_t since;
    int has_begun; /* nothing has come since then, and all that came before has been sent */
};

/* Why reading should stop, or APR_SUCCESS. */
static apr_status_t check_silence(void *data)
{
    const struct silence *silence = data;
    apr_interval_time_t timeout = mod_door_timeout(silence->call);
    apr_interval_time_t passed = mod_door_now() - silence->since;
    unsigned client = mod_door_client_state(silence->call);

    if (mod_door_is_stopping() || client == DOOR_WIRE_GONE ||
        (client == DOOR_WIRE_MAYBE_GONE && passed >= apr_time_from_msec(HALF_CLOSED_MS)))
        return silence->call->response.error = APR_ECONNABORTED;
    return timeout > 0 && passed >= timeout ? MOD_DOOR_ESILENT : APR_SUCCESS;
}

/* Waits until fd is readable.  Returns APR_SUCCESS, or why reading should stop. */
static apr_status_t await(int fd, struct silence *silence)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    apr_status_t error;
    int result;

    while ((result = poll(&p, 1, LOOK_MS)) <= 0) {
        if (result == -1 && errno != EINTR)
            return errno;
        error = check_silence(silence);
        if (error != APR_SUCCESS)
            return error;
    }
    return APR_SUCCESS;
}

static int is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) > 0;
}

/* Sends what bb has, unless the silence has begun before.  The client's time does not count. */
static apr_status_t begin_silence(apr_bucket_brigade *bb, struct silence *silence)
{
    apr_status_t error;

    if (silence->has_begun)
        return APR_SUCCESS;
    error = mod_door_pass(silence->call, bb, 1);
    silence->since = mod_door_now();
    silence->has_begun = 1;
    return error;
}

/*
 * Nothing could be read, though poll(2) said so.  It goes on saying so while a socket's error
 * queue has a message (MSG_ERRQUEUE), which recv(2) does not return.
 */
static apr_status_t look_later(apr_bucket_brigade *bb, struct silence *silence)
{
    apr_status_t error = begin_silence(bb, silence);

    if (error != APR_SUCCESS)
        return error;
    apr_sleep(apr_time_from_msec(LOOK_BLINDLY_MS));
    return check_silence(silence);
}

/* Reads what comes next, and passes it on.  Before it has to wait, it sends what bb has. */
static apr_status_t pass_some(struct mod_door_call *call, apr_bucket_brigade *bb,
                              struct mod_door_received *file, struct silence *silence, int *is_end)
{
    apr_bucket_alloc_t *list = call->r->connection->bucket_alloc;
    apr_status_t error = APR_SUCCESS;
    apr_size_t got = 0;
    char *buffer;

    if (!is_readable(file->fd)) {
        error = begin_silence(bb, silence);
        if (error == APR_SUCCESS)
            error = await(file->fd, silence);
        if (error != APR_SUCCESS)
            return error;
    }
    buffer = apr_bucket_alloc(READ_LEN, list);
    error = mod_door_read_received(file, buffer, READ_LEN, 0, 0, check_silence, silence, &got);
    if (got == 0) {
        apr_bucket_free(buffer);
        *is_end = error == APR_SUCCESS;
        return APR_STATUS_IS_EAGAIN(error) ? look_later(bb, silence) : error;
    }
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_heap_create(buffer, READ_LEN, apr_bucket_free, list));
    APR_BRIGADE_LAST(bb)->length = got;
    error = mod_door_pass(call, bb, 0);
    silence->has_begun = 0;
    silence->since = mod_door_now();
    return error;
}

/* Passes everything on as it comes.  Silence longer than DoorTimeout ends it.  Takes fd over. */
static apr_status_t pass_all(struct mod_door_call *call, apr_bucket_brigade *bb, int fd,
                             const struct mod_door_look *look)
{
    struct mod_door_received *file = mod_door_keep_received(call->sender, fd, look);
    struct silence silence = {.call = call, .since = mod_door_now()};
    apr_status_t error = file != NULL ? APR_SUCCESS : ENOMEM;
    int is_end = 0;

    while (error == APR_SUCCESS && !is_end)
        error = pass_some(call, bb, file, &silence, &is_end);
    if (file != NULL)
        mod_door_release_received(file);
    return error;
}

/* ---------------------------------------------------------------- fields */

static apr_status_t read_number(const char *value, apr_off_t *number)
{
    return ap_parse_strict_length(number, value) ? APR_SUCCESS : MOD_DOOR_EMISUSE;
}

static apr_status_t read_part(struct door_wire_reader fields, apr_off_t *offset, apr_off_t *len)
{
    struct door_wire_field field;
    apr_status_t error = APR_SUCCESS;

    *offset = 0;
    *len = -1;
    while (error == APR_SUCCESS && door_wire_next(&fields, &field)) {
        if (field.type == DOOR_WIRE_FILE_OFFSET)
            error = read_number(field.value, offset);
        else if (field.type == DOOR_WIRE_FILE_LENGTH)
            error = read_number(field.value, len);
    }
    return error;
}

/* Takes fd over. */
static apr_status_t add(struct mod_door_call *call, apr_bucket_brigade *bb, int fd,
                        const struct mod_door_look *look, apr_off_t offset, apr_off_t len)
{
    apr_status_t error = MOD_DOOR_EMISUSE;

    if (look->kind == MOD_DOOR_FILE && offset <= look->size) {
        if (len == -1)
            len = look->size - offset;
        if (len <= look->size - offset)
            return add_file(call, bb, fd, look, offset, len);
    } else if ((look->kind == MOD_DOOR_PIPE || look->kind == MOD_DOOR_SOCKET) && offset == 0 &&
               len == -1) {
        if (!call->r->header_only)
            return pass_all(call, bb, fd, look);
        error = APR_SUCCESS;
    }
    mod_door_close_received(call->sender, fd);
    return error;
}

apr_status_t mod_door_add_descriptor(struct mod_door_call *call, apr_bucket_brigade *bb, int fd,
                                     struct door_wire_reader fields)
{
    struct mod_door_look look;
    apr_off_t offset, len;
    apr_status_t error = read_part(fields, &offset, &len);

    if (error == APR_SUCCESS && !call->response.no_body) /* otherwise nobody wants it */
        error = mod_door_look_at(fd, &look);
    if (error == APR_SUCCESS && !call->response.no_body)
        return add(call, bb, fd, &look, offset, len);
    mod_door_close_received(call->sender, fd);
    return call->response.no_body ? APR_SUCCESS : error;
}
