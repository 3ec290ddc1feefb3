/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * handle.c: see handle.h.  The first call makes or finds the channel, because a call has a
 * deadline; making a handle does not ask the server.
 */
#include "handle.h"

#include <errno.h>
#include <stdlib.h>

#include "client_table.h"
#include "fd.h"
#include "fork.h"
#include "thread.h"

struct door_handle {
    int d;           /* the caller's descriptor, which must stay open */
    uint64_t cookie; /* of its socket */
    unsigned generation;
    struct client_channel *_Atomic ch; /* with a reference, or NULL; set once */
};

struct door_handle *door_handle_open(int d)
{
    THREAD_UNCANCELLED;
    uint64_t cookie = fd_cookie(d);
    struct door_handle *handle;

    if (cookie == 0 || fd_is_door(d) != 1) {
        errno = EBADF;
        return NULL;
    }
    handle = malloc(sizeof(*handle));
    if (handle != NULL)
        *handle =
            (struct door_handle){.d = d, .cookie = cookie, .generation = fork_generation()};
    return handle;
}

void door_handle_close(struct door_handle *handle)
{
    THREAD_UNCANCELLED;
    int saved = errno;
    struct client_channel *ch = handle != NULL ? atomic_load(&handle->ch) : NULL;

    if (ch != NULL && handle->generation == fork_generation())
        client_channel_release(ch);
    free(handle);
    errno = saved;
}

/* Keeps the first channel that a call has used. */
static void keep(struct door_handle *handle, struct client_channel *ch)
{
    struct client_channel *none = NULL;

    if (atomic_load(&handle->ch) != NULL)
        return;
    client_channel_hold(ch);
    if (!atomic_compare_exchange_strong(&handle->ch, &none, ch))
        client_channel_release(ch); /* another thread was quicker */
}

int handle_acquire(struct door_handle *handle, int64_t deadline_ns, struct client_seat *seat)
{
    struct client_channel *ch = atomic_load(&handle->ch);

    if (handle->generation != fork_generation()) {
        errno = EBADF; /* the handle is the parent's of this forked process */
        return -1;
    }
    if (ch == NULL || !client_channel_take_slot(ch, seat)) {
        if (client_acquire(handle->d, handle->cookie, deadline_ns, seat) < 0)
            return -1;
        keep(handle, seat->ch);
    }
    return 0;
}
