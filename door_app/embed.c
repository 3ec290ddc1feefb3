/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * embed.c: what the runtime of another language needs besides: to give a response
 * up when its code has failed, and to say that a thread waits for the language's
 * own lock.  Knows of no language.
 */
#include <errno.h>

#include <door_compat.h>

#include "app.h"

int door_app_abort(struct door_app_request *handle)
{
    struct door_rt_request *req = door_rt_request(handle);

    if (req == NULL)
        return -1;
    if (req->failed == 0)
        req->failed = ECANCELED;
    return 0;
}

void door_app_waits_for_lock(int waits)
{
    door_waits_for_lock(waits);
}
