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
 * with start(), which may fail, if that helps.  Returns after how many milliseconds it is to be
 * called again; 0: when the pool is depleted next.
 */
int pool_grow(struct pool *pool, int (*start)(struct pool *pool));

/* A thread could not be made, or could not begin: the next one is tried after a pause. */
void pool_note_failed(struct pool *pool);

#endif
