/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * grow.h: decides when a pool gets another thread.
 */
#ifndef LIBDOOR_GROW_H
#define LIBDOOR_GROW_H

#include "pool.h"

/*
 * The loop calls this once a millisecond while the pool has no idle thread.  Starts threads
 * with start(), which may fail, if that helps.  Returns non-zero to be called again.
 */
int pool_grow(struct pool *pool, int (*start)(struct pool *pool));

#endif
