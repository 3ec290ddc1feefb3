/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * pool_size.c: see pool_size.h.  Knows nothing of calls.
 */
#include "pool_size.h"

#include <errno.h>
#include <malloc.h>

#include "prepare.h"
#include "thread.h"

#define LOOK_MS 10000 /* an idle thread sees then that the program has closed the set */
#define IDLE_KEPT 2   /* a thread that has nothing to do stays if so many or fewer are idle */
#define TRIM_MIN 16   /* threads whose end is worth a look at the heap */

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

/* The program's own threads stay, and those that are bound to a private door. */
static int may_end(const struct server_thread *t)
{
    return t->is_ours && t->pool->door == NULL;
}

/* The thread is one more than there may be, and is counted no more. */
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

/* How long the thread may sleep, in milliseconds; 0: it has slept for long enough. */
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

/* The same of one that is to ask before whether it is prepared. */
int pool_wait_left_ms(struct server_thread *t)
{
    int left_ms = idle_left_ms(t);

    return prepare_is_done(t) || left_ms < t->ask_ms ? left_ms : t->ask_ms;
}

/* Counts the thread as idle: what pool_end_idle() gets. */
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
 * Stops counting the thread as idle if enough others are, of which the last to be taken
 * has more started.  So what comes from now on is theirs.
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

/*
 * After many have ended: what they have left in the heap goes back to the system.  That takes
 * milliseconds, for which somebody who has nothing to do is the right one.
 */
void pool_trim(struct pool *pool)
{
    if (atomic_load(&pool->ended_count) < TRIM_MIN)
        return;
    atomic_store(&pool->ended_count, 0);
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
