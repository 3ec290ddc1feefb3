/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * pool.c: see pool.h.
 */
#include "pool.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fd.h"

#define STREAK_MAX 16 /* calls from one client while others may wait */
#define KICK 0        /* the kick's event; channels' ids start at 1 */
#define PLACES_MIN 16

static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pool *shared;

static int grow_shared(void)
{
    return pool_grow(shared);
}

static void destroy(struct pool *pool)
{
    fd_close(pool->epoll_fd);
    fd_close(pool->kick_fd);
    free(pool->channels);
    free(pool);
}

static int watch_bell(struct pool *pool, int fd, uint64_t id)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = id};

    return epoll_ctl(pool->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static struct pool *create(void)
{
    struct pool *pool = calloc(1, sizeof(*pool));

    if (pool == NULL)
        return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    STAILQ_INIT(&pool->ready);
    LIST_INIT(&pool->threads);
    pthread_sigmask(SIG_SETMASK, NULL, &pool->signal_mask);
    pool->epoll_fd = fd_hide(epoll_create1(EPOLL_CLOEXEC));
    pool->kick_fd = fd_hide(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (pool->epoll_fd >= 0 && pool->kick_fd >= 0 && watch_bell(pool, pool->kick_fd, KICK) == 0)
        return pool;
    int error = errno;
    destroy(pool);
    errno = error;
    return NULL;
}

struct pool *pool_shared(void)
{
    struct pool *pool;

    pthread_mutex_lock(&shared_lock);
    pool = shared;
    if (pool == NULL) {
        pool = create();
        if (pool != NULL && server_thread_start(pool) < 0) {
            destroy(pool);
            pool = NULL;
            errno = EAGAIN;
        }
        shared = pool;
    }
    pthread_mutex_unlock(&shared_lock);
    return pool;
}

/* The ids of the channels that are there must not share a place. */
static int grow_places(struct pool *pool)
{
    unsigned places = pool->channel_places == 0 ? PLACES_MIN : pool->channel_places * 2;
    struct server_channel **channels = calloc(places, sizeof(*channels));

    if (channels == NULL)
        return -1;
    for (unsigned i = 0; i < pool->channel_places; i++) {
        if (pool->channels[i] != NULL)
            channels[pool->channels[i]->id % places] = pool->channels[i];
    }
    free(pool->channels);
    pool->channels = channels;
    pool->channel_places = places;
    return 0;
}

/* A new id whose place is free; half the places at least stay free. */
static int give_id(struct pool *pool, struct server_channel *ch)
{
    unsigned used = 0;

    for (unsigned i = 0; i < pool->channel_places; i++)
        used += pool->channels[i] != NULL;
    if (2 * used >= pool->channel_places && grow_places(pool) < 0)
        return -1;
    do {
        ch->id = ++pool->next_id;
    } while (pool->channels[ch->id % pool->channel_places] != NULL);
    pool->channels[ch->id % pool->channel_places] = ch;
    return 0;
}

int pool_add_channel(struct pool *pool, struct server_channel *ch)
{
    int result;

    pthread_mutex_lock(&pool->lock);
    result = give_id(pool, ch);
    if (result == 0 && watch_bell(pool, ch->bell_fd, ch->id) < 0) {
        pool->channels[ch->id % pool->channel_places] = NULL;
        result = -1;
    }
    pthread_mutex_unlock(&pool->lock);
    return result;
}

void pool_remove_channel(struct pool *pool, struct server_channel *ch)
{
    int was_ready;

    pthread_mutex_lock(&pool->lock);
    epoll_ctl(pool->epoll_fd, EPOLL_CTL_DEL, ch->bell_fd, NULL);
    pool->channels[ch->id % pool->channel_places] = NULL;
    was_ready = ch->is_ready;
    if (was_ready) {
        STAILQ_REMOVE(&pool->ready, ch, server_channel, ready_link);
        ch->is_ready = 0;
        atomic_fetch_sub(&pool->ready_count, 1);
    }
    pthread_mutex_unlock(&pool->lock);
    if (was_ready)
        server_channel_release(ch);
}

/* The channel that rang, with a reference, unless it has gone since. */
static struct server_channel *find_channel(struct pool *pool, uint64_t id)
{
    struct server_channel *ch;

    pthread_mutex_lock(&pool->lock);
    ch = pool->channels[id % pool->channel_places];
    if (ch != NULL && ch->id == id)
        server_channel_hold(ch);
    else
        ch = NULL;
    pthread_mutex_unlock(&pool->lock);
    return ch;
}

static struct server_channel *pop_ready(struct pool *pool)
{
    struct server_channel *ch;

    if (atomic_load(&pool->ready_count) == 0)
        return NULL;
    pthread_mutex_lock(&pool->lock);
    ch = STAILQ_FIRST(&pool->ready);
    if (ch != NULL) {
        STAILQ_REMOVE_HEAD(&pool->ready, ready_link);
        ch->is_ready = 0;
        atomic_fetch_sub(&pool->ready_count, 1);
    }
    pthread_mutex_unlock(&pool->lock);
    return ch;
}

/* Somebody else is to look at ch: its calls are more than this thread's one. */
static void push_ready(struct pool *pool, struct server_channel *ch)
{
    uint64_t one = 1;

    pthread_mutex_lock(&pool->lock);
    if (!ch->is_ready && pool->channels[ch->id % pool->channel_places] == ch) {
        server_channel_hold(ch);
        ch->is_ready = 1;
        STAILQ_INSERT_TAIL(&pool->ready, ch, ready_link);
        atomic_fetch_add(&pool->ready_count, 1);
    }
    pthread_mutex_unlock(&pool->lock);
    if (atomic_load(&pool->idle_count) > 0 && write(pool->kick_fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: somebody was kicked already */
}

/* A channel that has calls, with a reference, or NULL; timeout_ms -1 waits. */
static struct server_channel *next_channel(struct pool *pool, int timeout_ms)
{
    struct epoll_event event;
    struct server_channel *ch;
    int count = 0;

    /* Idle first, then the queue: who fills it looks the other way round. */
    atomic_fetch_add(&pool->idle_count, 1);
    ch = pop_ready(pool);
    if (ch == NULL)
        count = epoll_wait(pool->epoll_fd, &event, 1, timeout_ms);
    unsigned still_idle = atomic_fetch_sub(&pool->idle_count, 1) - 1;
    if (count == 1 && event.data.u64 == KICK)
        ch = pop_ready(pool);
    else if (count == 1)
        ch = find_channel(pool, event.data.u64);
    if (ch != NULL && count == 1 && event.data.u64 != KICK)
        server_channel_heard(ch);
    if (ch != NULL && still_idle == 0)
        loop_tick(grow_shared);
    return ch;
}

/* After a streak, others come first: what is left of this channel queues up. */
static void change_channel(struct server_thread *t)
{
    struct server_channel *other = next_channel(t->pool, 0);

    t->streak = 0;
    if (other == NULL)
        return;
    if (server_channel_pending(t->hot) > 0)
        push_ready(t->pool, t->hot);
    server_channel_release(t->hot);
    t->hot = other;
}

void pool_take_call(struct server_thread *t)
{
    for (;;) {
        int fresh = 0;

        if (t->hot == NULL) {
            t->hot = next_channel(t->pool, -1);
            t->streak = 0;
            fresh = 1;
        } else if (t->streak >= STREAK_MAX) {
            change_channel(t);
            fresh = 1;
        }
        if (t->hot == NULL)
            continue;
        int slot = server_channel_take(t->hot);
        if (slot < 0) {
            server_channel_release(t->hot);
            t->hot = NULL;
            continue;
        }
        /* Who was woken wakes the next one; who came by itself need not. */
        if (fresh && server_channel_pending(t->hot) > 0)
            push_ready(t->pool, t->hot);
        t->streak++;
        t->slot = (unsigned)slot;
        t->channel = t->hot;
        server_channel_hold(t->channel);
        atomic_fetch_add(&t->pool->taken_count, 1);
        return;
    }
}

void pool_add_thread(struct pool *pool, struct server_thread *thread)
{
    pthread_mutex_lock(&pool->lock);
    LIST_INSERT_HEAD(&pool->threads, thread, link);
    pthread_mutex_unlock(&pool->lock);
}

void pool_remove_thread(struct server_thread *thread)
{
    pthread_mutex_lock(&thread->pool->lock);
    LIST_REMOVE(thread, link);
    pthread_mutex_unlock(&thread->pool->lock);
}

void pool_forked(void)
{
    pthread_mutex_init(&shared_lock, NULL);
    if (shared != NULL)
        destroy(shared);
    shared = NULL;
}
