/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * async.c: the asynchronous calls of door_compat.h, which are begun first and ended later.
 * Each has a seat that it keeps from call to call.
 */
#include <door.h>
#include <door_compat.h>

#include <errno.h>
#include <stdlib.h>

#include "client_call.h"
#include "handle.h"
#include "thread.h"

struct door_async {
    struct client_seat seat; /* channel NULL: the seat is lost */
    size_t size;             /* bytes of the buffer */
    int runs;
    int was_queued; /* behind another call */
    int error;      /* errno of the last call; 0: its result follows */
    char *result;
    size_t result_size;
};

/* The seat has a reference to its channel, so the handle may be closed first. */
struct door_async *door_async_open(struct door_handle *handle, size_t size)
{
    THREAD_UNCANCELLED;
    struct door_async *call = calloc(1, sizeof(*call));

    if (call == NULL || handle_acquire(handle, 0, &call->seat) < 0) {
        free(call);
        return NULL;
    }
    call->size = size;
    call->error = EINVAL; /* until a call has ended */
    if (client_buffer(call->seat, size) != NULL)
        return call;
    door_async_close(call);
    return NULL;
}

char *door_async_buffer(struct door_async *call)
{
    THREAD_UNCANCELLED;
    if (call->seat.ch != NULL)
        return client_buffer(call->seat, call->size);
    errno = EINVAL;
    return NULL;
}

int door_async_begin(struct door_async *call, const char *data, size_t len,
                     const struct door_async *behind)
{
    THREAD_UNCANCELLED;
    int is_queued = behind != NULL && behind->runs;

    if (call->runs || call->seat.ch == NULL) {
        errno = EINVAL;
        return -1;
    }
    if (is_queued && behind->seat.ch != call->seat.ch) {
        errno = EBUSY;
        return -1;
    }
    call->error = EINVAL;
    call->was_queued = is_queued;
    if (client_begin(call->seat, data, len, is_queued ? behind->seat.slot : SHM_NEXT_NONE) < 0)
        return -1;
    call->runs = 1;
    return 0;
}

int door_async_is_over(const struct door_async *call)
{
    return !call->runs || client_is_over(call->seat);
}

int door_async_end(struct door_async *call, char **result, size_t *result_size)
{
    THREAD_UNCANCELLED;
    if (call->runs)
        call->error =
            client_end(&call->seat, call->was_queued, &call->result, &call->result_size) < 0 ? errno
                                                                                             : 0;
    call->runs = 0;
    *result = call->result;
    *result_size = call->result_size;
    errno = call->error;
    return call->error == 0 ? 0 : -1;
}

void door_async_close(struct door_async *call)
{
    THREAD_UNCANCELLED;
    if (call != NULL && call->seat.ch != NULL)
        client_leave(call->seat, call->runs, call->was_queued);
    free(call);
}
