/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call.c: door_call(), and calls through a handle, with all that may be said of them.
 */
#include <door.h>
#include <door_compat.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "client_call.h"
#include "client_table.h"
#include "handle.h"
#include "thread.h"

int64_t door_now_ns(void)
{
    return thread_now_ns();
}

int door_call(int d, door_arg_t *params)
{
    THREAD_UNCANCELLED;
    struct door_terms terms = {.desc_max = MAILBOX_MAX};
    struct client_seat seat;

    if (client_acquire(d, 0, &seat) < 0)
        return -1;
    return client_call(seat, params, &terms);
}

/* ------------------------------------------------ through a handle */

struct door_handle *door_handle_open(int d)
{
    THREAD_UNCANCELLED;
    struct door_handle *handle;
    struct client_seat seat;

    if (client_acquire(d, 0, &seat) < 0)
        return NULL;
    handle = malloc(sizeof(*handle));
    if (handle != NULL) {
        *handle = (struct door_handle){.d = d, .ch = seat.ch};
        client_channel_hold(seat.ch);
    }
    client_give_back(seat);
    return handle;
}

void door_handle_close(struct door_handle *handle)
{
    THREAD_UNCANCELLED;
    int saved = errno;

    if (handle != NULL)
        client_channel_release(handle->ch);
    free(handle);
    errno = saved;
}

/*
 * From the channel that the handle has, if there is a slot; otherwise the door has, or
 * gets, another one, if the number still means that door.
 */
int handle_acquire(const struct door_handle *handle, int64_t deadline_ns,
                   struct client_seat *seat)
{
    if (!client_channel_take_slot(handle->ch, seat)) {
        if (client_acquire(handle->d, deadline_ns, seat) < 0)
            return -1;
        if (seat->ch->cookie != handle->ch->cookie) {
            client_give_back(*seat);
            errno = EBADF;
            return -1;
        }
    }
    return 0;
}

int door_handle_call(struct door_handle *handle, door_arg_t *params, struct door_terms *terms)
{
    THREAD_UNCANCELLED;
    struct client_seat seat;

    terms->was_taken = 0;
    if (terms->loan != NULL)
        *terms->loan = (struct door_loan){NULL, 0, NULL, 0};
    if (handle_acquire(handle, terms->deadline_ns == NULL ? 0 : atomic_load(terms->deadline_ns),
                       &seat) < 0)
        return -1;
    return client_call(seat, params, terms);
}

void door_end_loan(struct door_loan *loan)
{
    THREAD_UNCANCELLED;

    if (loan->owner != NULL)
        client_leave((struct client_seat){loan->owner, loan->slot}, 0, 0);
    if (loan->mapping != NULL)
        munmap(loan->mapping, loan->mapping_size);
    *loan = (struct door_loan){NULL, 0, NULL, 0};
}

int door_call_lend(int d, door_arg_t *params, const _Atomic int64_t *deadline_ns,
                   struct door_loan *loan)
{
    THREAD_UNCANCELLED;
    struct door_terms terms = {.deadline_ns = deadline_ns, .loan = loan, .desc_max = MAILBOX_MAX};
    struct client_seat seat;

    if (loan != NULL)
        *loan = (struct door_loan){NULL, 0, NULL, 0};
    if (client_acquire(d, deadline_ns == NULL ? 0 : atomic_load(deadline_ns), &seat) < 0)
        return -1;
    return client_call(seat, params, &terms);
}

int door_call_until(int d, door_arg_t *params, const _Atomic int64_t *deadline_ns)
{
    return door_call_lend(d, params, deadline_ns, NULL);
}
