/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * handle.c: see handle.h.  The first call makes or finds the channel, because a call has a
 * deadline; making a handle does not ask the server.
 */
#include "handle.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "client_table.h"
#include "fd.h"
#include "fork.h"
#include "thread.h"

/* A channel that the handle keeps, with a reference. */
struct way {
    struct client_channel *ch;
    struct way *next; /* among those that are given up */
};

struct door_handle {
    int d;           /* the caller's descriptor, which must stay open */
    uint64_t cookie; /* of its socket */
    unsigned generation;
    struct way *_Atomic way;      /* or NULL */
    struct way *_Atomic given_up; /* a thread that is inside may still use them */
    _Atomic unsigned inside;      /* threads that may use a way */
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
    return handle;
}

static void drop(struct way *w)
{
    while (w != NULL) {
        struct way *next = w->next;

        client_channel_release(w->ch);
        free(w);
        w = next;
    }
}

void door_handle_close(struct door_handle *handle)
{
    THREAD_UNCANCELLED;
    int saved = errno;

    if (handle != NULL && handle->generation == fork_generation()) {
        drop(atomic_load(&handle->way));
        drop(atomic_load(&handle->given_up));
    }
    free(handle);
    errno = saved;
}

static void put_given_up(struct door_handle *handle, struct way *first)
{
    struct way *last = first;

    while (last->next != NULL)
        last = last->next;
    last->next = atomic_load(&handle->given_up);
    while (!atomic_compare_exchange_weak(&handle->given_up, &last->next, first))
        continue;
}

/*
 * What is taken out here was given up before.  If then nobody else is inside, nobody has it: who
 * enters later does not find it.  Without a lock, as all of a program's calls come this way.
 */
static void leave(struct door_handle *handle)
{
    struct way *ended = NULL;

    if (atomic_load(&handle->given_up) != NULL)
        ended = atomic_exchange(&handle->given_up, NULL);
    if (atomic_fetch_sub(&handle->inside, 1) == 1)
        drop(ended);
    else if (ended != NULL)
        put_given_up(handle, ended);
}

/* Takes a seat in the channel that is kept, and gives that channel up if it has ended. */
static int take_kept(struct door_handle *handle, struct client_seat *seat)
{
    struct way *way;
    int is_taken = 0;

    atomic_fetch_add(&handle->inside, 1);
    way = atomic_load(&handle->way);
    if (way != NULL)
        is_taken = client_channel_take_slot(way->ch, seat);
    if (way != NULL && !is_taken && atomic_load(&way->ch->dead) &&
        atomic_compare_exchange_strong(&handle->way, &way, NULL))
        put_given_up(handle, way);
    leave(handle);
    return is_taken;
}

/* Keeps the channel, unless there is one that has no seat left just now; or no memory. */
static void keep(struct door_handle *handle, struct client_channel *ch)
{
    struct way *none = NULL, *way;

    if (atomic_load(&handle->way) != NULL || (way = malloc(sizeof(*way))) == NULL)
        return;
    client_channel_hold(ch);
    *way = (struct way){.ch = ch};
    if (!atomic_compare_exchange_strong(&handle->way, &none, way))
        drop(way);
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
