/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call.c: door_call() and its forms with a deadline and with large data.
 */
#include <door.h>
#include <door_compat.h>

#include <sys/mman.h>

#include "batch.h"
#include "client.h"
#include "thread.h"

int64_t door_now_ns(void)
{
    return thread_now_ns();
}

static int call(int d, door_arg_t *params, const _Atomic int64_t *deadline_ns,
                struct door_loan *loan)
{
    struct client_seat seat;
    int64_t until_ns = deadline_ns == NULL ? 0 : atomic_load(deadline_ns);

    if (client_acquire(d, until_ns, &seat) < 0)
        return -1;
    batch_note_caller();
    return client_call(seat, params, deadline_ns, loan);
}

int door_call_until(int d, door_arg_t *params, const _Atomic int64_t *deadline_ns)
{
    return call(d, params, deadline_ns, NULL);
}

int door_call_lend(int d, door_arg_t *params, const _Atomic int64_t *deadline_ns,
                   struct door_loan *loan)
{
    *loan = (struct door_loan){NULL, 0, NULL, 0};
    return call(d, params, deadline_ns, loan);
}

void door_end_loan(struct door_loan *loan)
{
    if (loan->owner != NULL)
        client_leave((struct client_seat){loan->owner, loan->slot}, 0, 0);
    if (loan->mapping != NULL)
        munmap(loan->mapping, loan->mapping_size);
    *loan = (struct door_loan){NULL, 0, NULL, 0};
}

int door_call(int d, door_arg_t *params)
{
    return door_call_until(d, params, NULL);
}
