/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * clock.h: the present time on a clock that cannot be set.
 */
#ifndef DOOR_APP_GATEWAYS_CLOCK_H
#define DOOR_APP_GATEWAYS_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline int64_t now_ms(void)
{
    return now_ns() / 1000000;
}

#endif
