/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call.c: door_call() and its form with a deadline.
 */
#include <door.h>
#include <door_compat.h>

#include "client.h"
#include "fork.h"
#include "thread.h"

int64_t door_now_ns(void)
{
    return thread_now_ns();
}

int door_call_until(int d, door_arg_t *params, const _Atomic int64_t *deadline_ns)
{
    struct client_seat seat;
    int64_t until_ns = deadline_ns == NULL ? 0 : atomic_load(deadline_ns);

    if (fork_watch() < 0 || client_acquire(d, until_ns, &seat) < 0)
        return -1;
    return client_call(seat, params, deadline_ns);
}

int door_call(int d, door_arg_t *params)
{
    return door_call_until(d, params, NULL);
}
