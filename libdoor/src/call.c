/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call.c: door_call(), and calls through a handle with struct door_terms.
 */
#include <door.h>
#include <door_compat.h>

#include <sys/mman.h>

#include "client_call.h"
#include "client_table.h"
#include "fd.h"
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

    if (client_acquire(d, fd_cookie(d), 0, &seat) < 0)
        return -1;
    return client_call(seat, params, &terms);
}

/* By when the call must have a seat: until then it cannot be taken, so take_by_ns counts, too. */
static int64_t seat_by(const struct door_terms *terms)
{
    int64_t deadline_ns = terms->deadline_ns == NULL ? 0 : atomic_load(terms->deadline_ns);

    if (terms->take_by_ns == 0 || (deadline_ns != 0 && deadline_ns < terms->take_by_ns))
        return deadline_ns;
    return terms->take_by_ns;
}

int door_handle_call(struct door_handle *handle, door_arg_t *params, struct door_terms *terms)
{
    THREAD_UNCANCELLED;
    struct door_terms none = {.deadline_ns = NULL};
    struct client_seat seat;

    if (terms == NULL)
        terms = &none;
    terms->was_taken = 0;
    if (terms->loan != NULL)
        *terms->loan = (struct door_loan){NULL, 0, NULL, 0};
    if (handle_acquire(handle, seat_by(terms), &seat) < 0)
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
