/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * handle.c: see handle.h.  The first call makes or finds the channel, because a call has a
 * deadline; making a handle does not ask the server.
 */
#include "handle.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "client_table.h"
#include "fd.h"
#include "fork.h"
#include "thread.h"

struct door_handle {
    int d;           /* the caller's descriptor, which must stay open */
    uint64_t cookie; /* of its socket */
    unsigned generation;
    pthread_mutex_t lock;
    struct client_channel *ch; /* with a reference, or NULL; under lock */
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
    if (handle == NULL)
        return NULL;
    *handle = (struct door_handle){.d = d, .cookie = cookie, .generation = fork_generation()};
    pthread_mutex_init(&handle->lock, NULL);
    return handle;
}

void door_handle_close(struct door_handle *handle)
{
    THREAD_UNCANCELLED;
    int saved = errno;
    struct client_channel *ch = handle != NULL ? handle->ch : NULL;

    if (ch != NULL && handle->generation == fork_generation())
        client_channel_release(ch);
    free(handle);
    errno = saved;
}

/* Takes a seat in the channel that is kept, and gives that channel up if it has ended. */
static int take_kept(struct door_handle *handle, struct client_seat *seat)
{
    struct client_channel *ended = NULL;
    int is_taken = 0;

    pthread_mutex_lock(&handle->lock);
    if (handle->ch != NULL)
        is_taken = client_channel_take_slot(handle->ch, seat);
    if (handle->ch != NULL && !is_taken && atomic_load(&handle->ch->dead)) {
        ended = handle->ch;
        handle->ch = NULL;
    }
    pthread_mutex_unlock(&handle->lock);
    if (ended != NULL)
        client_channel_release(ended);
    return is_taken;
}

/* Keeps the channel, unless there is one that has no seat left just now. */
static void keep(struct door_handle *handle, struct client_channel *ch)
{
    pthread_mutex_lock(&handle->lock);
    if (handle->ch == NULL) {
        client_channel_hold(ch);
        handle->ch = ch;
    }
    pthread_mutex_unlock(&handle->lock);
}

int handle_acquire(struct door_handle *handle, int64_t deadline_ns, struct client_seat *seat)
{
    if (handle->generation != fork_generation()) {
        errno = EBADF; /* the handle is the parent's of this forked process */
        return -1;
    }
    if (take_kept(handle, seat))
        return 0;
    if (client_acquire(handle->d, handle->cookie, deadline_ns, seat) < 0)
        return -1;
    keep(handle, seat->ch);
    return 0;
}
