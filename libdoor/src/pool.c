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
#include "fork.h"
#include "server_thread.h"
#include "thread.h"

#define STREAK_MAX 16 /* calls from one client while others may wait */

/*
 * A thread whose last procedures were as quick as that looks out while the next
 * one runs, too: waking another thread takes longer.  If it is not, callers
 * ring when they have waited for RING_AGAIN_NS.
 */
#define QUICK_NS 5000
#define QUICK_MIN 16
#define KICK 0        /* the kick's event; channels' ids start at 1 */
#define PLACES_MIN 16

static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pool *shared;

static void forked(void)
{
    pthread_mutex_init(&shared_lock, NULL);
    shared = NULL;
}

static int grow_shared(void)
{
    return pool_grow(shared);
}

static int is_shared(struct pool *pool)
{
    return pool == shared;
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
    atomic_init(&pool->refs, 1);
    STAILQ_INIT(&pool->ready);
    STAILQ_INIT(&pool->unreferenced);
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
    static struct fork_part part = {.child = forked};
    struct pool *pool;

    if (fork_register(&part) < 0)
        return NULL;
    pthread_mutex_lock(&shared_lock);
    if (shared == NULL)
        shared = create();
    pool = shared;
    pthread_mutex_unlock(&shared_lock);
    return pool;
}

struct pool *pool_create(struct door *door)
{
    struct pool *pool = create();

    if (pool != NULL)
        pool->door = door;
    return pool;
}

void pool_hold(struct pool *pool)
{
    atomic_fetch_add(&pool->refs, 1);
}

void pool_drop(struct pool *pool)
{
    if (atomic_fetch_sub(&pool->refs, 1) == 1)
        destroy(pool);
}

static void kick(struct pool *pool)
{
    uint64_t one = 1;

    if (write(pool->kick_fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: somebody was kicked already */
}

void pool_close(struct pool *pool)
{
    atomic_store(&pool->closed, 1);
    kick(pool);
}

void pool_revoke(struct pool *pool, const struct door *door)
{
    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->channel_places; i++) {
        if (pool->channels[i] != NULL && pool->channels[i]->door == door)
            server_channel_revoke(pool->channels[i]);
    }
    pthread_mutex_unlock(&pool->lock);
    if (door->owns_pool)
        pool_close(pool);
}

unsigned pool_running(struct pool *pool, const struct door *door)
{
    unsigned count = 0;

    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->channel_places; i++) {
        if (pool->channels[i] != NULL && pool->channels[i]->door == door)
            count += atomic_load(&pool->channels[i]->running);
    }
    pthread_mutex_unlock(&pool->lock);
    return count;
}

void pool_check(struct pool *pool)
{
    if (is_shared(pool) && server_thread_is_builtin())
        loop_repeat(LOOP_GROW, grow_shared);
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

void pool_tell_unreferenced(struct pool *pool, struct door *door)
{
    int once = (door->attributes & DOOR_UNREF_MULTI) == 0;

    pthread_mutex_lock(&pool->lock);
    if (!door->unref_queued && !(once && door->unref_done)) {
        door->unref_queued = door->unref_done = 1;
        door_hold(door);
        STAILQ_INSERT_TAIL(&pool->unreferenced, door, unref_link);
        atomic_fetch_add(&pool->ready_count, 1);
    }
    pthread_mutex_unlock(&pool->lock);
    kick(pool);
    pool_check(pool);
}

static struct door *pop_unreferenced(struct pool *pool)
{
    struct door *door;

    if (atomic_load(&pool->ready_count) == 0)
        return NULL;
    pthread_mutex_lock(&pool->lock);
    door = STAILQ_FIRST(&pool->unreferenced);
    if (door != NULL) {
        STAILQ_REMOVE_HEAD(&pool->unreferenced, unref_link);
        door->unref_queued = 0;
        atomic_fetch_sub(&pool->ready_count, 1);
    }
    pthread_mutex_unlock(&pool->lock);
    return door;
}

/* Somebody else is to look at ch: its calls are more than this thread's one. */
static void push_ready(struct pool *pool, struct server_channel *ch)
{
    pthread_mutex_lock(&pool->lock);
    if (!ch->is_ready && pool->channels[ch->id % pool->channel_places] == ch) {
        server_channel_hold(ch);
        ch->is_ready = 1;
        STAILQ_INSERT_TAIL(&pool->ready, ch, ready_link);
        atomic_fetch_add(&pool->ready_count, 1);
    }
    pthread_mutex_unlock(&pool->lock);
    if (atomic_load(&pool->idle_count) > 0)
        kick(pool);
}

/* The channel that rings, with a reference, or NULL; timeout_ms -1 waits. */
static struct server_channel *listen_for_bell(struct pool *pool, int timeout_ms)
{
    struct epoll_event event;
    struct server_channel *ch = NULL;
    int count = epoll_wait(pool->epoll_fd, &event, 1, timeout_ms);

    if (count < 0 && errno != EINTR)
        atomic_store(&pool->closed, 1); /* the program has closed our descriptors */
    if (count == 1 && event.data.u64 != KICK)
        ch = find_channel(pool, event.data.u64);
    if (ch != NULL)
        server_channel_heard(ch);
    return ch;
}

/* Waits for a channel that has calls, with a reference; or NULL. */
static struct server_channel *next_channel(struct pool *pool)
{
    struct server_channel *ch = NULL;

    /* Idle first, then the queues: who fills them looks the other way round. */
    atomic_fetch_add(&pool->idle_count, 1);
    if (atomic_load(&pool->ready_count) == 0 && !atomic_load(&pool->closed))
        ch = listen_for_bell(pool, -1);
    atomic_fetch_sub(&pool->idle_count, 1);
    return ch != NULL ? ch : pop_ready(pool);
}

static int is_quick(const struct server_thread *t)
{
    return t->quick_count >= QUICK_MIN;
}

void pool_look_out(struct server_thread *t)
{
    if (t->hot == NULL || t->hot != t->channel)
        return;
    t->quick_count = thread_now_ns() - t->began_ns < QUICK_NS ? t->quick_count + 1 : 0;
    if (!t->looks_out)
        t->looks_out = server_channel_look_out(t->hot);
}

/* From now on callers ring again; who calls before is seen by who looks after. */
static void look(struct server_thread *t)
{
    if (t->looks_out)
        server_channel_heard(t->hot);
    t->looks_out = 0;
}

void pool_leave_channel(struct server_thread *t)
{
    if (t->hot == NULL)
        return;
    look(t);
    if (server_channel_pending(t->hot) > 0)
        push_ready(t->pool, t->hot);
    server_channel_release(t->hot);
    t->hot = NULL;
}

/*
 * After a streak, others come first: what is left of this channel queues up behind
 * them.  The bell is asked whatever stands in the queue: channels that have many
 * calls always do, and who rings would never get there.
 */
static void change_channel(struct server_thread *t)
{
    struct server_channel *rings;

    look(t);
    t->streak = 0;
    rings = listen_for_bell(t->pool, 0);
    if (rings == NULL && atomic_load(&t->pool->ready_count) == 0)
        return;
    if (rings != NULL) {
        push_ready(t->pool, rings);
        server_channel_release(rings);
    }
    if (server_channel_pending(t->hot) > 0)
        push_ready(t->pool, t->hot);
    server_channel_release(t->hot);
    t->hot = pop_ready(t->pool);
}

/* One call from the thread's channel, if there is any. */
static int take_from_hot(struct server_thread *t, int was_woken)
{
    int slot = -1, looked_out = t->looks_out;

    if (looked_out && is_quick(t))
        slot = server_channel_take(t->hot); /* and goes on looking out */
    if (slot < 0) {
        look(t);
        slot = server_channel_take(t->hot);
    }
    if (slot < 0) {
        server_channel_release(t->hot);
        t->hot = NULL;
        return 0;
    }
    /* Who was woken, or kept others from it, wakes the next one, unless it is back at once. */
    if (!t->looks_out && (was_woken || looked_out) && server_channel_pending(t->hot) > 0)
        push_ready(t->pool, t->hot);
    t->streak++;
    t->slot = (unsigned)slot;
    t->channel = t->hot;
    server_channel_hold(t->channel);
    atomic_fetch_add(&t->pool->taken_count, 1);
    return 1;
}

static void mark_depleted(struct server_thread *t)
{
    t->depleted = atomic_load(&t->pool->idle_count) == 0;
    if (t->depleted)
        pool_check(t->pool);
}

int pool_take_call(struct server_thread *t)
{
    for (;;) {
        int was_woken = t->hot == NULL || t->streak >= STREAK_MAX;

        if (atomic_load(&t->pool->closed)) {
            kick(t->pool); /* and so on, until nobody sleeps there any more */
            return -1;
        }
        if (t->hot == NULL) {
            t->hot = next_channel(t->pool);
            t->streak = 0;
        } else if (t->streak >= STREAK_MAX) {
            change_channel(t);
        }
        t->unreferenced = was_woken ? pop_unreferenced(t->pool) : NULL;
        if (t->unreferenced != NULL && t->hot != NULL)
            push_ready(t->pool, t->hot);
        if (t->unreferenced == NULL && (t->hot == NULL || !take_from_hot(t, was_woken)))
            continue;
        mark_depleted(t);
        return 0;
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

void pool_cancel_calls(struct pool *pool, struct server_channel *ch, int slot)
{
    struct server_thread *t;

    pthread_mutex_lock(&pool->lock);
    LIST_FOREACH(t, &pool->threads, link) {
        if (t->cancellable == ch && (slot < 0 || t->slot == (unsigned)slot) && !t->cancelled) {
            t->cancelled = 1;
            pthread_cancel(t->pthread);
        }
    }
    pthread_mutex_unlock(&pool->lock);
}
