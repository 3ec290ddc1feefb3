/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * pool.c: see pool.h.
 */
#include "pool.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "fd.h"
#include "fork.h"
#include "loop.h"
#include "pool_size.h"
#include "prepare.h"
#include "thread.h"

#define STREAK_MAX 16 /* calls from one client while others may wait */

/*
 * A thread whose last QUICK_MIN procedures were this quick also looks out while it runs the
 * next one, because waking another thread takes longer.  If that procedure is not quick, its
 * channel's callers ring after RING_AGAIN_NS.
 */
#define QUICK_NS 5000
#define QUICK_MIN 16
#define PLACES_MIN 16
#define LOOK_NS 1000000ll /* for so long after a check, the wait set is assumed to be there */
#define REPAIR_MS 10
#define IDLE_MS 10000 /* the default of idle_ms */

static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pool *shared;

static void forked(void)
{
    pthread_mutex_init(&shared_lock, NULL);
    shared = NULL;
}

/*
 * Wakes one idle thread.  Two kicks may wake only one thread; that thread passes them on while
 * there is more to do.
 */
static void kick(struct pool *pool)
{
    wait_set_wake(&pool->set);
}

/* For a thread that may have been kicked and is busy from now on, or ends. */
static void pass_kick_on(struct pool *pool)
{
    if (atomic_load(&pool->ready_count) > 0 && pool_idle_count(pool) > 0)
        kick(pool);
}

static void destroy(struct pool *pool)
{
    wait_set_close(&pool->set);
    free(pool->channels);
    free(pool);
}

static int watch_bell(struct pool *pool, struct server_channel *ch)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = ch->id};

    return epoll_ctl(pool->set.epoll_fd, EPOLL_CTL_ADD, ch->bell.fd, &event);
}

/*
 * With the lock held: makes a new wait set if the program has closed the old one's descriptors.
 * Threads that sleep in the old set wake up by themselves later; until then they do not count
 * as idle, and others may have to be started.
 */
static int repair(struct pool *pool)
{
    if (wait_set_is_there(&pool->set))
        return 0;
    if (wait_set_make(&pool->set) < 0)
        return -1;
    atomic_store(&pool->idle, ((atomic_load(&pool->idle) >> 32) + 1) << 32);
    for (unsigned i = 0; i < pool->channel_places; i++) {
        if (pool->channels[i] != NULL && own_fd_check(&pool->channels[i]->bell))
            watch_bell(pool, pool->channels[i]);
    }
    kick(pool); /* for what is queued already */
    pool_check(pool);
    return 0;
}

static struct pool *create(struct door *door, void (*check)(struct pool *pool))
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
    pool->door = door;
    pool->check = check;
    atomic_init(&pool->idle_ms, IDLE_MS);
    if (wait_set_make(&pool->set) == 0)
        return pool;
    int error = errno;
    free(pool);
    errno = error;
    return NULL;
}

struct pool *pool_shared(void (*check)(struct pool *pool))
{
    static struct fork_part part = {.child = forked};
    struct pool *pool;

    if (fork_register(&part) < 0)
        return NULL;
    pthread_mutex_lock(&shared_lock);
    if (shared == NULL)
        shared = create(NULL, check);
    pool = shared;
    pthread_mutex_unlock(&shared_lock);
    return pool;
}

struct pool *pool_create(struct door *door)
{
    return create(door, NULL);
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

unsigned pool_idle_count(struct pool *pool)
{
    return (uint32_t)atomic_load(&pool->idle);
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

unsigned pool_busy_count(struct pool *pool, const struct door *door)
{
    struct server_thread *t;
    unsigned count = 0;

    pthread_mutex_lock(&pool->lock);
    LIST_FOREACH(t, &pool->threads, link)
        count += atomic_load(&t->in_call) == door;
    pthread_mutex_unlock(&pool->lock);
    return count;
}

void pool_check(struct pool *pool)
{
    if (pool->check == NULL || pool_is_full(pool))
        return;
    atomic_store(&pool->was_depleted, 1);
    pool->check(pool);
}

/* Doubles the places.  Channels never share a place afterwards, as they did not before. */
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

/* Gives the channel a new id whose place is free.  At least half of the places stay free. */
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

static int add_channel(struct pool *pool, struct server_channel *ch)
{
    int result;

    pthread_mutex_lock(&pool->lock);
    result = repair(pool) < 0 ? -1 : give_id(pool, ch);
    if (result == 0 && watch_bell(pool, ch) < 0) {
        pool->channels[ch->id % pool->channel_places] = NULL;
        result = -1;
    }
    pthread_mutex_unlock(&pool->lock);
    return result;
}

static void remove_channel(struct pool *pool, struct server_channel *ch)
{
    int was_ready;

    pthread_mutex_lock(&pool->lock);
    if (own_fd_check(&ch->bell))
        epoll_ctl(pool->set.epoll_fd, EPOLL_CTL_DEL, ch->bell.fd, NULL);
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

/* With the lock held: cancels a thread whose call may be cancelled, once. */
static void cancel(struct server_thread *t)
{
    if (t->cancelled)
        return;
    t->cancelled = 1;
    pthread_cancel(t->pthread);
}

static void channel_ended(struct server_channel *ch)
{
    struct pool *pool = ch->door->pool;
    struct server_thread *t;

    remove_channel(pool, ch);
    pthread_mutex_lock(&pool->lock);
    LIST_FOREACH(t, &pool->threads, link) {
        if (t->cancellable == ch)
            cancel(t);
    }
    pthread_mutex_unlock(&pool->lock);
}

/* Cancels only that call, and not the slot's next one, which may run by now. */
static void call_abandoned(struct server_channel *ch, unsigned slot, uint32_t call)
{
    struct pool *pool = ch->door->pool;
    struct server_thread *t;

    pthread_mutex_lock(&pool->lock);
    ch->given_up[slot] = 1 + (int64_t)call;
    LIST_FOREACH(t, &pool->threads, link) {
        if (t->cancellable == ch && t->slot == slot && t->call_number == call)
            cancel(t);
    }
    pthread_mutex_unlock(&pool->lock);
}

void pool_let_cancel(struct server_thread *t)
{
    struct server_channel *ch = t->channel;

    pthread_mutex_lock(&t->pool->lock);
    t->cancellable = ch;
    if (atomic_load(&ch->gone) || ch->given_up[t->slot] == 1 + (int64_t)t->call_number)
        cancel(t);
    pthread_mutex_unlock(&t->pool->lock);
}

struct server_channel *pool_open_channel(struct door_reference *reference,
                                         const struct ucred *who, int bell_fd,
                                         int *client_control)
{
    static const struct channel_events events = {channel_ended, call_abandoned};
    struct server_channel *ch =
        server_channel_create(reference, who, bell_fd, &events, client_control);
    struct pool *pool = reference->door->pool;
    int error;

    if (ch == NULL)
        return NULL;
    if (add_channel(pool, ch) == 0) {
        if (server_channel_watch(ch) == 0)
            return ch;
        error = errno;
        remove_channel(pool, ch);
    } else {
        error = errno;
    }
    fd_close(*client_control);
    server_channel_release(ch);
    errno = error;
    return NULL;
}

/* The channel with that id, with a reference; NULL if it is gone. */
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
    if (!atomic_load(&pool->closed) && !door->unref_queued && !(once && door->unref_done)) {
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

/* Nobody takes what is queued any more.  The door and its pool would keep each other. */
void pool_close(struct pool *pool)
{
    struct door *door;

    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->closed, 1);
    pthread_mutex_unlock(&pool->lock);
    while ((door = pop_unreferenced(pool)) != NULL)
        door_drop(door);
    kick(pool);
}

/* Queues ch for other threads, since it has more calls than this thread takes. */
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
    if (pool_idle_count(pool) > 0)
        kick(pool);
}

/* The program has closed the pool's descriptors: makes new ones, or pauses if that fails. */
static void repair_or_wait(struct pool *pool)
{
    int result;

    pthread_mutex_lock(&pool->lock);
    result = repair(pool);
    pthread_mutex_unlock(&pool->lock);
    if (result < 0)
        poll(NULL, 0, REPAIR_MS);
}

/* Whether the wait set is still there.  To save time, this is checked at most every LOOK_NS. */
static int is_set_there(struct pool *pool)
{
    int64_t now_ns = thread_now_ns();

    if (now_ns - atomic_load_explicit(&pool->looked_ns, memory_order_relaxed) < LOOK_NS)
        return 1;
    atomic_store_explicit(&pool->looked_ns, now_ns, memory_order_relaxed);
    return wait_set_is_there(&pool->set);
}

/* Waits for a bell.  Returns the channel that rings, with a reference, or NULL. */
static struct server_channel *listen_for_bell(struct pool *pool, int timeout_ms)
{
    struct epoll_event event;
    struct server_channel *ch = NULL;
    int count = is_set_there(pool) ? epoll_wait(pool->set.epoll_fd, &event, 1, timeout_ms) : -1;

    if (count < 0 && errno != EINTR)
        repair_or_wait(pool);
    if (count == 1 && event.data.u64 != WAIT_SET_WAKE)
        ch = find_channel(pool, event.data.u64);
    if (ch != NULL)
        server_channel_heard(ch);
    return ch;
}

void pool_set_threads(struct pool *pool, unsigned max, unsigned idle_ms)
{
    atomic_store(&pool->thread_max, max);
    atomic_store(&pool->idle_ms, idle_ms);
    kick(pool); /* a sleeping thread checks both again, and kicks the next one */
    pool_check(pool);
}

void pool_prepare_threads(struct pool *pool, int (*prepare)(void *data), void *data)
{
    prepare_set(pool, prepare, data);
    kick(pool); /* sleeping threads begin at once, others before their next call */
}

/*
 * Waits for a channel with calls, and returns it with a reference; or NULL.  *is_over: the
 * thread has been idle so long that it is to end.  *has_slept: time may have passed.
 */
static struct server_channel *next_channel(struct server_thread *t, int *is_over, int *has_slept)
{
    struct pool *pool = t->pool;
    struct server_channel *ch = NULL;
    uint64_t began = pool_begin_idle(pool);
    int wait_ms = pool_wait_left_ms(t);

    if (wait_ms == 0) {
        *is_over = pool_end_idle_for_good(pool, began);
        if (!*is_over)
            pool_end_idle(pool, began);
        *has_slept = 1;
        t->idle_since_ns = 0;
        if (!*is_over)
            pool_trim(pool); /* this thread stays, as one of the last few, and has time */
        return NULL;
    }
    /* Counted as idle before the queues are checked; a thread that fills them does the reverse. */
    *has_slept = atomic_load(&pool->ready_count) == 0 && !atomic_load(&pool->closed);
    if (*has_slept)
        ch = listen_for_bell(pool, wait_ms);
    pool_end_idle(pool, began);
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

/* Callers must ring again from now on.  The caller of this looks for earlier calls afterwards. */
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
 * After a streak of calls from one channel, others come first, and this channel goes to the end
 * of the queue.  Bells are checked even if channels are queued: channels with many calls are
 * always queued, and one that rings would never be served.
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

/* Takes one call from the thread's hot channel, if there is one. */
static int take_from_hot(struct server_thread *t, int was_woken)
{
    int slot = -1, looked_out = t->looks_out;

    if (looked_out && is_quick(t))
        slot = server_channel_take(t->hot); /* goes on looking out */
    if (slot < 0) {
        look(t);
        slot = server_channel_take(t->hot);
    }
    if (slot < 0) {
        server_channel_release(t->hot);
        t->hot = NULL;
        return 0;
    }
    /* If the wake-up, or looking out, has kept other threads asleep, wakes one for more calls. */
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
    t->depleted = pool_idle_count(t->pool) == 0;
    if (t->depleted)
        pool_check(t->pool);
}

/* Prepares the thread.  Leaves its channel first, since this may take long, or end the thread. */
static void prepare(struct server_thread *t)
{
    if (prepare_still(t))
        return;
    pool_leave_channel(t);
    pass_kick_on(t->pool);
    pool_check(t->pool);
    prepare_thread(t);
}

int pool_take_call(struct server_thread *t)
{
    int is_over = 0, must_ask = 1;

    t->idle_since_ns = 0;
    for (;;) {
        int was_woken;

        if (is_over || pool_is_surplus(t)) {
            pass_kick_on(t->pool);
            return -1;
        }
        if (atomic_load(&t->pool->closed)) {
            kick(t->pool); /* each thread wakes the next one, until none sleeps there */
            return -1;
        }
        if (must_ask && !prepare_is_done(t)) {
            prepare(t);
            must_ask = 0;
        }
        was_woken = t->hot == NULL || t->streak >= STREAK_MAX;
        if (t->hot == NULL) {
            t->hot = next_channel(t, &is_over, &must_ask);
            t->streak = 0;
            if (must_ask && !prepare_is_done(t) && !prepare_still(t))
                continue; /* it has slept, so its preparation may be out of date */
        } else if (t->streak >= STREAK_MAX) {
            change_channel(t);
        }
        t->unreferenced = was_woken ? pop_unreferenced(t->pool) : NULL;
        if (t->unreferenced != NULL && t->hot != NULL)
            push_ready(t->pool, t->hot);
        if (t->unreferenced == NULL && (t->hot == NULL || !take_from_hot(t, was_woken)))
            continue;
        if (was_woken)
            pass_kick_on(t->pool);
        mark_depleted(t);
        return 0;
    }
}

void pool_add_thread(struct pool *pool, struct server_thread *thread)
{
    pthread_mutex_lock(&pool->lock);
    LIST_INSERT_HEAD(&pool->threads, thread, link);
    pthread_mutex_unlock(&pool->lock);
    if (!thread->is_counted)
        pool_note_most(pool, atomic_fetch_add(&pool->thread_count, 1) + 1);
    thread->is_counted = 1;
}

void pool_remove_thread(struct server_thread *thread)
{
    prepare_leave(thread);
    thread->preparation = 0; /* its next pool has other numbers */
    pthread_mutex_lock(&thread->pool->lock);
    LIST_REMOVE(thread, link);
    pthread_mutex_unlock(&thread->pool->lock);
    if (thread->is_counted)
        pool_lose_thread(thread->pool);
    thread->is_counted = 0;
}
