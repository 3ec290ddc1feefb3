/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * prepare.c: see prepare.h.  A thread that is not prepared takes no calls, unless the
 * program says so, and is counted, so that the pool starts no further threads.  This file
 * does not know what the program's function does, or why it fails.
 */
#include "prepare.h"

void prepare_set(struct pool *pool, int (*function)(void *data), void *data)
{
    pthread_mutex_lock(&pool->lock);
    pool->prepare = function;
    pool->prepare_data = data;
    atomic_fetch_add(&pool->preparation, 1);
    pthread_mutex_unlock(&pool->lock);
}

int prepare_is_done(const struct server_thread *t)
{
    return t->preparation == atomic_load_explicit(&t->pool->preparation, memory_order_acquire) ||
           t->pool->door != NULL;
}

void prepare_leave(struct server_thread *t)
{
    if (t->is_unprepared)
        atomic_fetch_sub(&t->pool->unprepared_count, 1);
    t->is_unprepared = 0;
}

void prepare_undo(struct server_thread *t)
{
    t->preparation = 0;
    t->is_checked = 0;
}

/* Calls the function, and returns its result, or 0 if there is none.  *preparation: its number. */
static int ask(struct pool *pool, unsigned *preparation)
{
    int (*function)(void *data);
    void *data;

    pthread_mutex_lock(&pool->lock);
    function = pool->prepare;
    data = pool->prepare_data;
    *preparation = atomic_load(&pool->preparation);
    pthread_mutex_unlock(&pool->lock);
    return function != NULL ? function(data) : 0;
}

int prepare_still(struct server_thread *t)
{
    unsigned preparation;

    t->is_checked = t->is_checked && ask(t->pool, &preparation) < 0;
    return t->is_checked;
}

void prepare_thread(struct server_thread *t)
{
    unsigned preparation;
    int result;

    if (!t->is_unprepared)
        atomic_fetch_add(&t->pool->unprepared_count, 1);
    t->is_unprepared = 1;
    result = ask(t->pool, &preparation);
    t->ask_ms = result < 0 ? -result : result;
    if (result > 0)
        return;
    t->is_checked = result < 0;
    if (result == 0)
        t->preparation = preparation;
    prepare_leave(t);
}
