/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * pool_size.h: how many threads a pool has, and which of them sleep: who may be started, who
 * is to end, and what is given back when many have ended.
 */
#ifndef LIBDOOR_POOL_SIZE_H
#define LIBDOOR_POOL_SIZE_H

#include "pool.h"

/*
 * One more thread is to be started for the pool, which counts as one of it from now on:
 * 0, or -1 with EAGAIN, it has as many as it may.  And it will not come after all.
 */
int pool_reserve_thread(struct pool *pool);
void pool_lose_thread(struct pool *pool);

/* Whether it has as many threads as it may. */
int pool_is_full(struct pool *pool);

/* How many it has, and the most that it has had. */
unsigned pool_thread_count(struct pool *pool, unsigned *most);

/* It has so many now. */
void pool_note_most(struct pool *pool, unsigned count);

/* The thread is one more than there may be, and is counted no more. */
int pool_is_surplus(struct server_thread *t);

/* How long the thread may sleep, in milliseconds; 0: it has had nothing to do for long enough. */
int pool_wait_left_ms(struct server_thread *t);

/* Counts the thread as idle, and no more: began is what the first one has returned. */
uint64_t pool_begin_idle(struct pool *pool);
void pool_end_idle(struct pool *pool, uint64_t began);

/* The same for good, if enough others are idle; 0 or 1. */
int pool_end_idle_for_good(struct pool *pool, uint64_t began);

/* A thread that has nothing to do gives back what many that have ended have left. */
void pool_trim(struct pool *pool);

#endif
