/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fail.h: how functions of the runtime fail.
 */
#ifndef DOOR_APP_FAIL_H
#define DOOR_APP_FAIL_H

#include <errno.h>
#include <stddef.h>

/* Set errno, and return what a failing function returns: -1, or NULL. */
static inline int door_rt_fail(int error)
{
    errno = error;
    return -1;
}

static inline void *door_rt_none(int error)
{
    errno = error;
    return NULL;
}

#endif
