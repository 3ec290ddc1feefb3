/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * pool_size.h: how many threads a pool has, and how many of them are idle; whether threads may
 * be started, or must end; and freeing memory after many have ended.
 */
#ifndef LIBDOOR_POOL_SIZE_H
#define LIBDOOR_POOL_SIZE_H

#include "pool.h"

/*
 * Counts one more thread, which is to be started.  Returns 0, or -1 with EAGAIN if the pool has
 * its maximum.
 */
int pool_reserve_thread(struct pool *pool);

/* Counts one thread less: it has left, or could not be started. */
void pool_lose_thread(struct pool *pool);

/* Whether the pool has its maximum of threads. */
int pool_is_full(struct pool *pool);

/* The number of the pool's threads, and in *most the highest so far. */
unsigned pool_thread_count(struct pool *pool, unsigned *most);

/* Updates the highest number of threads. */
void pool_note_most(struct pool *pool, unsigned count);

/* Whether the thread is beyond the maximum and must end; then it is no longer counted. */
int pool_is_surplus(struct server_thread *t);

/* How long the thread may sleep, in milliseconds; 0: it has been idle for long enough. */
int pool_wait_left_ms(struct server_thread *t);

/* Count the thread as idle, and not any more.  began is the result of pool_begin_idle(). */
uint64_t pool_begin_idle(struct pool *pool);
void pool_end_idle(struct pool *pool, uint64_t began);

/* Like pool_end_idle(), for a thread that is to end, if enough others are idle.  Returns 0 or 1. */
int pool_end_idle_for_good(struct pool *pool, uint64_t began);

/* Frees heap memory after many threads have ended.  Called by an idle thread. */
void pool_trim(struct pool *pool);

#endif
