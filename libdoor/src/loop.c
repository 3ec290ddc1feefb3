/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * loop.c: see loop.h.
 */
#include "loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "closer.h"
#include "fd.h"
#include "fork.h"
#include "thread.h"
#include "wait_set.h"

#define PAUSE_MS 100
#define LOOK_MS 60000 /* by then a thread notices that the program has closed its descriptors */

static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static struct wait_set set = {.epoll_fd = -1, .waker_fd = -1}; /* made when a thread starts */
static _Atomic unsigned generation; /* of the current loop thread; an older one ends */

static struct timer {
    int period_ms;
    int periods;                   /* so many from the last call to the next; loop thread only */
    int (*_Atomic function)(void); /* NULL: nothing to call */
    int64_t last_ns;               /* when it was called last; loop thread only */
} timers[LOOP_TIMER_COUNT] = {
    [LOOP_GROW] = {.period_ms = 1, .periods = 1},
    [LOOP_MEMORY] = {.period_ms = 1000, .periods = 1},
    [LOOP_CLOSER] = {.period_ms = 100, .periods = 1},
};

/* Makes writes before loop_add() visible in ready(); epoll itself does not promise that. */
static _Atomic unsigned added;

/* Watches that loop_pause() has set aside.  Locked, since another loop thread may be started. */
static LIST_HEAD(, watch) paused = LIST_HEAD_INITIALIZER(paused); /* under end_lock */
static _Atomic unsigned paused_count;
static _Atomic int must_resume; /* end the pauses now */

/* Watches whose ready() is to get EPOLLHUP, even if epoll does not report it. */
static pthread_mutex_t end_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the lists, and is_added */
static struct watch *ending;

static void forked(void)
{
    set.epoll_fd = set.waker_fd = -1; /* fd.c has closed them */
    set.cookie = 0;
    ending = NULL;
    LIST_INIT(&paused);
    paused_count = 0;
    must_resume = 0;
    for (int i = 0; i < LOOP_TIMER_COUNT; i++)
        atomic_store(&timers[i].function, NULL);
    pthread_mutex_init(&start_lock, NULL);
    pthread_mutex_init(&end_lock, NULL);
}

static struct fork_part part = {.child = forked};

static void end_pause(struct watch *w)
{
    if (!w->is_paused)
        return;
    LIST_REMOVE(w, paused_link);
    w->is_paused = 0;
    paused_count--;
}

static struct watch *next_paused(void)
{
    struct watch *w;

    pthread_mutex_lock(&end_lock);
    w = LIST_FIRST(&paused);
    if (w != NULL)
        end_pause(w);
    pthread_mutex_unlock(&end_lock);
    return w;
}

static void resume_paused(void)
{
    struct watch *w;

    while ((w = next_paused()) != NULL) {
        struct epoll_event event = {.events = w->events, .data.ptr = w};
        epoll_ctl(set.epoll_fd, EPOLL_CTL_MOD, w->fd, &event);
    }
}

void loop_pause(struct watch *w)
{
    struct epoll_event event = {.events = 0, .data.ptr = w};

    pthread_mutex_lock(&end_lock);
    if (!w->is_paused && epoll_ctl(set.epoll_fd, EPOLL_CTL_MOD, w->fd, &event) == 0) {
        LIST_INSERT_HEAD(&paused, w, paused_link);
        w->is_paused = 1;
        paused_count++;
    }
    pthread_mutex_unlock(&end_lock);
}

void loop_resume(void)
{
    atomic_store(&must_resume, 1);
    wait_set_wake(&set);
}

static int pause_ms(const struct timer *t)
{
    return t->period_ms * t->periods;
}

static int wait_ms(void)
{
    int wait = paused_count > 0 ? PAUSE_MS : LOOK_MS;

    for (int i = 0; i < LOOP_TIMER_COUNT; i++) {
        if (atomic_load(&timers[i].function) != NULL && pause_ms(&timers[i]) < wait)
            wait = pause_ms(&timers[i]);
    }
    return wait;
}

static void run_timer(struct timer *t, int64_t now_ns)
{
    int (*function)(void);
    int periods;

    if (now_ns - t->last_ns < pause_ms(t) * 1000000ll)
        return;
    t->last_ns = now_ns;
    function = atomic_exchange(&t->function, NULL);
    periods = function != NULL ? function() : 0;
    t->periods = periods > 0 ? periods : 1;
    if (periods > 0)
        atomic_store(&t->function, function);
}

/* Timers go by the clock and not by epoll's timeout, so that a flood of events cannot stop them. */
static void run_timers(void)
{
    static int64_t resumed_ns;
    int64_t now_ns = thread_now_ns();

    for (int i = 0; i < LOOP_TIMER_COUNT; i++)
        run_timer(&timers[i], now_ns);
    if (atomic_exchange(&must_resume, 0) || now_ns - resumed_ns >= PAUSE_MS * 1000000) {
        resumed_ns = now_ns;
        resume_paused();
    }
}

static struct watch *next_ending(void)
{
    struct watch *w;

    pthread_mutex_lock(&end_lock);
    w = ending;
    if (w != NULL) {
        ending = w->next_end;
        w->is_ending = 0;
    }
    pthread_mutex_unlock(&end_lock);
    return w;
}

static void end_watches(void)
{
    struct watch *w;

    while ((w = next_ending()) != NULL)
        w->ready(w, EPOLLHUP);
}

static void *run(void *mine)
{
    for (;;) {
        struct epoll_event event;
        int count;

        if ((unsigned)(uintptr_t)mine != atomic_load(&generation) || !wait_set_is_there(&set))
            return NULL; /* the program has closed the loop's descriptors */
        /* One event at a time, so that there is no stale event of a watch that was freed. */
        count = epoll_wait(set.epoll_fd, &event, 1, wait_ms());
        if (count < 0 && errno != EINTR)
            return NULL;
        if ((unsigned)(uintptr_t)mine != atomic_load(&generation))
            return NULL;
        if (count == 1 && event.data.ptr != NULL) {
            struct watch *w = event.data.ptr;
            atomic_load(&added);
            w->ready(w, event.events);
        }
        end_watches();
        run_timers();
    }
}

/* Makes a new wait set and thread.  Earlier watches are lost, as their descriptors are. */
static int start_thread(void)
{
    unsigned mine = atomic_fetch_add(&generation, 1) + 1;

    while (next_paused() != NULL)
        continue;
    if (wait_set_make(&set) < 0)
        return -1;
    if (thread_start_blocked(run, (void *)(uintptr_t)mine) == 0)
        return 0;
    wait_set_close(&set);
    return -1;
}

static void repeat_closer(int (*function)(void))
{
    loop_repeat(LOOP_CLOSER, function);
}

int loop_start(void)
{
    int result = 0;

    if (fork_register(&part) < 0)
        return -1;
    pthread_mutex_lock(&start_lock);
    closer_set_repeat(repeat_closer);
    if (!wait_set_is_there(&set))
        result = start_thread();
    pthread_mutex_unlock(&start_lock);
    return result;
}

static void set_added(struct watch *w, int is_added)
{
    pthread_mutex_lock(&end_lock);
    w->is_added = is_added;
    pthread_mutex_unlock(&end_lock);
}

int loop_add(struct watch *w, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = w};

    w->events = events;
    set_added(w, 1);
    atomic_fetch_add(&added, 1);
    if (epoll_ctl(set.epoll_fd, EPOLL_CTL_ADD, w->fd, &event) == 0)
        return 0;
    set_added(w, 0);
    return -1;
}

void loop_end(struct watch *w)
{
    int is_news;

    pthread_mutex_lock(&end_lock);
    is_news = w->is_added && !w->is_ending;
    if (is_news) {
        w->is_ending = 1;
        w->next_end = ending;
        ending = w;
    }
    pthread_mutex_unlock(&end_lock);
    if (is_news && wait_set_wake(&set) < 0 && loop_start() == 0)
        wait_set_wake(&set);
}

/* The kernel identifies a watch by its number and its file, so this fails for another file. */
int loop_has(struct watch *w)
{
    struct epoll_event event = {.events = w->events, .data.ptr = w};

    return epoll_ctl(set.epoll_fd, EPOLL_CTL_MOD, w->fd, &event) == 0;
}

void loop_remove(struct watch *w)
{
    epoll_ctl(set.epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    pthread_mutex_lock(&end_lock);
    w->is_added = 0;
    end_pause(w);
    for (struct watch **link = &ending; *link != NULL; link = &(*link)->next_end) {
        if (*link == w) {
            *link = w->next_end;
            break;
        }
    }
    w->is_ending = 0;
    pthread_mutex_unlock(&end_lock);
}

void loop_repeat(enum loop_timer timer, int (*function)(void))
{
    struct timer *t = &timers[timer];

    fork_register(&part);
    if (atomic_load(&t->function) != function &&
        atomic_exchange(&t->function, function) == NULL)
        wait_set_wake(&set);
}
