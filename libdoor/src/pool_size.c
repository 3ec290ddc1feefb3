/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * pool_size.c: see pool_size.h.  This file knows nothing of calls.
 */
#include "pool_size.h"

#include <errno.h>
#include <malloc.h>

#include "prepare.h"
#include "thread.h"

#define LOOK_MS 10000 /* by then an idle thread notices that the program has closed the set */
#define IDLE_KEPT 2   /* an idle thread stays if no more than so many are idle */
#define TRIM_MIN 16   /* after so many ended threads the heap is trimmed */

void pool_note_most(struct pool *pool, unsigned count)
{
    unsigned most = atomic_load(&pool->thread_most);

    while (count > most && !atomic_compare_exchange_weak(&pool->thread_most, &most, count))
        continue;
}

unsigned pool_thread_count(struct pool *pool, unsigned *most)
{
    *most = atomic_load(&pool->thread_most);
    return atomic_load(&pool->thread_count);
}

int pool_reserve_thread(struct pool *pool)
{
    unsigned count = atomic_load(&pool->thread_count), max = atomic_load(&pool->thread_max);

    do {
        if (max != 0 && count >= max) {
            errno = EAGAIN;
            return -1;
        }
    } while (!atomic_compare_exchange_weak(&pool->thread_count, &count, count + 1));
    pool_note_most(pool, count + 1);
    return 0;
}

void pool_lose_thread(struct pool *pool)
{
    atomic_fetch_sub(&pool->thread_count, 1);
    atomic_fetch_add(&pool->ended_count, 1);
}

int pool_is_full(struct pool *pool)
{
    unsigned max = atomic_load(&pool->thread_max);

    return max != 0 && atomic_load(&pool->thread_count) >= max;
}

/* Whether the library may end the thread: not the program's own, nor one of a private door. */
static int may_end(const struct server_thread *t)
{
    return t->is_ours && t->pool->door == NULL;
}

int pool_is_surplus(struct server_thread *t)
{
    unsigned count = atomic_load(&t->pool->thread_count), max = atomic_load(&t->pool->thread_max);

    if (max == 0 || !may_end(t))
        return 0;
    do {
        if (count <= max)
            return 0;
    } while (!atomic_compare_exchange_weak(&t->pool->thread_count, &count, count - 1));
    t->is_counted = 0;
    if (count - 1 > max)
        wait_set_wake(&t->pool->set);
    return 1;
}

/* How long the thread may sleep by its idle time, in milliseconds; 0: it has for long enough. */
static int idle_left_ms(struct server_thread *t)
{
    unsigned idle_ms = atomic_load(&t->pool->idle_ms);
    int64_t left_ms;

    if (idle_ms == 0 || !may_end(t))
        return LOOK_MS;
    if (t->idle_since_ns == 0)
        t->idle_since_ns = thread_now_ns();
    left_ms = (t->idle_since_ns - thread_now_ns()) / 1000000 + idle_ms;
    if (left_ms > LOOK_MS)
        return LOOK_MS;
    return left_ms > 0 ? (int)left_ms : 0;
}

/* A thread that is not prepared wakes earlier, to ask again. */
int pool_wait_left_ms(struct server_thread *t)
{
    int left_ms = idle_left_ms(t);

    return prepare_is_done(t) || left_ms < t->ask_ms ? left_ms : t->ask_ms;
}

uint64_t pool_begin_idle(struct pool *pool)
{
    return atomic_fetch_add(&pool->idle, 1);
}

void pool_end_idle(struct pool *pool, uint64_t began)
{
    uint64_t now = atomic_load(&pool->idle);

    while (now >> 32 == began >> 32 && !atomic_compare_exchange_weak(&pool->idle, &now, now - 1))
        continue;
}

/*
 * The count is changed only if enough other threads are idle.  So calls that come from now on
 * are theirs, and the last of them that is taken has more threads started.
 */
int pool_end_idle_for_good(struct pool *pool, uint64_t began)
{
    uint64_t now = atomic_load(&pool->idle);

    do {
        if (now >> 32 != began >> 32 || (uint32_t)now <= IDLE_KEPT)
            return 0;
    } while (!atomic_compare_exchange_weak(&pool->idle, &now, now - 1));
    return 1;
}

/* Trimming takes milliseconds, so an idle thread does it. */
void pool_trim(struct pool *pool)
{
    if (atomic_load(&pool->ended_count) < TRIM_MIN)
        return;
    atomic_store(&pool->ended_count, 0);
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
