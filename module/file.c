/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * file.c: descriptors that an application passes, as parts of the response.
 *
 * A regular file's offset is shared with the application and with every other
 * request that sends the same open file, and APR's own file bucket seeks before
 * it reads.  So that one is used only where nothing but sendfile(2) will touch
 * it; elsewhere a bucket of this file reads with pread(2).  Nothing is ever
 * mapped: a file that the application truncates would kill this child.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_file_io.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <util_filter.h>

#include "mod_door.h"

#define READ_LEN (64 * 1024)

/* --------------------------------------------- a file that is read by pread(2) */

struct shared_file {
    apr_bucket_refcount refcount; /* first, as apr_bucket_shared_*() want it */
    int fd;
};

/* The bucket becomes the bytes that were read, and what is left one behind it. */
static apr_status_t file_read(apr_bucket *b, const char **data, apr_size_t *len,
                              apr_read_type_e block)
{
    struct shared_file *shared = b->data;
    apr_size_t wanted = b->length < READ_LEN ? b->length : READ_LEN;
    char *buffer = apr_bucket_alloc(READ_LEN, b->list);
    ssize_t got;

    (void)block;
    do
        got = pread(shared->fd, buffer, wanted, b->start);
    while (got == -1 && errno == EINTR);
    if (got <= 0) {
        apr_status_t error = got == 0 ? APR_EOF : errno; /* it was truncated meanwhile */

        apr_bucket_free(buffer);
        *data = NULL;
        *len = 0;
        return error;
    }
    if ((apr_size_t)got < b->length)
        apr_bucket_split(b, (apr_size_t)got);
    if (apr_bucket_shared_destroy(shared)) {
        close(shared->fd);
        apr_bucket_free(shared);
    }
    apr_bucket_heap_make(b, buffer, READ_LEN, apr_bucket_free);
    b->length = (apr_size_t)got;
    *data = buffer;
    *len = (apr_size_t)got;
    return APR_SUCCESS;
}

static void file_destroy(void *data)
{
    struct shared_file *shared = data;

    if (apr_bucket_shared_destroy(shared)) {
        close(shared->fd);
        apr_bucket_free(shared);
    }
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

static apr_bucket *file_bucket(int fd, apr_off_t offset, apr_size_t len, apr_bucket_alloc_t *list)
{
    apr_bucket *b = apr_bucket_alloc(sizeof(*b), list);
    struct shared_file *shared = apr_bucket_alloc(sizeof(*shared), list);

    shared->fd = fd;
    APR_BUCKET_INIT(b);
    b->free = apr_bucket_free;
    b->list = list;
    apr_bucket_shared_make(b, shared, offset, len);
    b->type = &file_type;
    return b;
}

/* ------------------------------------------------------------ sendfile */

/* Filters that look at a bucket's length, not into it. */
static int is_transparent(const char *filter)
{
    static const char *const names[] = {"byterange", "content_length", "http_header",
                                        "http_outerror", "chunk", "core"};
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

/* Takes fd over. */
static apr_status_t add_sendfile(request_rec *r, apr_bucket_brigade *bb, int fd, apr_off_t offset,
                                 apr_off_t len)
{
    apr_file_t *borrowed, *file;
    apr_os_file_t os_file = fd;
    apr_status_t error;

    error = apr_os_file_put(&borrowed, &os_file, APR_FOPEN_READ | APR_FOPEN_SENDFILE_ENABLED,
                            r->pool);
    /* A copy, because that one is closed with its pool wherever it goes. */
    if (error == APR_SUCCESS)
        error = apr_file_dup(&file, borrowed, r->pool);
    close(fd);
    if (error == APR_SUCCESS)
        apr_bucket_file_enable_mmap(apr_brigade_insert_file(bb, file, offset, len, r->pool), 0);
    return error;
}

/* Takes fd over. */
static apr_status_t add_file(request_rec *r, apr_bucket_brigade *bb, int fd, apr_off_t offset,
                             apr_off_t len)
{
    apr_bucket_alloc_t *list = r->connection->bucket_alloc;

    if (len > 0 && is_sendfile_certain(r))
        return add_sendfile(r, bb, fd, offset, len);
    if (len > 0)
        APR_BRIGADE_INSERT_TAIL(bb, file_bucket(fd, offset, (apr_size_t)len, list));
    else
        close(fd);
    return APR_SUCCESS;
}

/* ------------------------------------------------------ pipes and sockets */

/* Readable after at most timeout: 1, 0, or -1 and errno. */
static int wait_readable(int fd, apr_interval_time_t timeout)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int result;

    do
        result = poll(&p, 1, timeout > 0 ? (int)apr_time_as_msec(timeout) + 1 : (int)timeout);
    while (result == -1 && errno == EINTR);
    return result;
}

/* Everything that comes, at once; silence for longer than DoorTimeout ends it. */
static apr_status_t pass_all(struct mod_door_call *call, apr_bucket_brigade *bb, int fd)
{
    apr_bucket_alloc_t *list = call->r->connection->bucket_alloc;
    apr_interval_time_t timeout = mod_door_timeout(call);
    apr_status_t error = APR_SUCCESS;

    while (error == APR_SUCCESS) {
        char *buffer;
        ssize_t got;
        int is_ready = wait_readable(fd, 0);

        if (is_ready == 0) {
            error = mod_door_pass(call, bb, 1);
            if (error == APR_SUCCESS)
                is_ready = wait_readable(fd, timeout > 0 ? timeout : -1);
            if (is_ready == 0)
                return error != APR_SUCCESS ? error : MOD_DOOR_ESILENT;
        }
        if (is_ready == -1)
            return errno;
        buffer = apr_bucket_alloc(READ_LEN, list);
        got = read(fd, buffer, READ_LEN);
        if (got <= 0) {
            error = got == 0 ? APR_SUCCESS : errno;
            apr_bucket_free(buffer);
            if (error == EINTR || error == EAGAIN) {
                error = APR_SUCCESS;
                continue;
            }
            return error;
        }
        APR_BRIGADE_INSERT_TAIL(bb,
                                apr_bucket_heap_create(buffer, READ_LEN, apr_bucket_free, list));
        APR_BRIGADE_LAST(bb)->length = (apr_size_t)got;
        error = mod_door_pass(call, bb, 0);
    }
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

apr_status_t mod_door_add_descriptor(struct mod_door_call *call, apr_bucket_brigade *bb, int fd,
                                     struct door_wire_reader fields)
{
    apr_off_t offset, len;
    struct stat st;
    apr_status_t error = read_part(fields, &offset, &len);

    if (call->response.no_body) { /* nobody wants it */
        close(fd);
        return APR_SUCCESS;
    }
    if (error == APR_SUCCESS && fstat(fd, &st) == -1)
        error = errno;
    if (error == APR_SUCCESS && S_ISREG(st.st_mode)) {
        if (offset <= st.st_size && len == -1)
            len = st.st_size - offset;
        if (offset <= st.st_size && len <= st.st_size - offset)
            return add_file(call->r, bb, fd, offset, len);
        error = MOD_DOOR_EMISUSE;
    } else if (error == APR_SUCCESS && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))) {
        if (offset != 0 || len != -1)
            error = MOD_DOOR_EMISUSE;
        else if (!call->r->header_only)
            error = pass_all(call, bb, fd);
    } else if (error == APR_SUCCESS) {
        error = MOD_DOOR_EMISUSE;
    }
    close(fd);
    return error;
}
