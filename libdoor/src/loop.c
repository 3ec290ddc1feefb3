/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * loop.c: see loop.h.
 */
#include "loop.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "closer.h"
#include "fd.h"
#include "fork.h"
#include "thread.h"

#define PAUSE_MS 100
#define PAUSED_MAX 16

static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static struct own_fd epoll = {.fd = -1}; /* changed under start_lock, when a thread starts */
static struct own_fd wake = {.fd = -1};
static _Atomic unsigned generation; /* of the thread that runs: an older one leaves */

static struct timer {
    int period_ms;
    int (*_Atomic function)(void); /* NULL: it does not want to be called */
    int64_t last_ns;               /* when it was called last; loop thread only */
} timers[LOOP_TIMER_COUNT] = {
    [LOOP_GROW] = {.period_ms = 1},
    [LOOP_WINDOWS] = {.period_ms = 1000},
    [LOOP_BATCH] = {.period_ms = 1000},
    [LOOP_CLOSER] = {.period_ms = 100},
};

/* What was written before loop_add() is seen by ready(): epoll itself promises nothing. */
static _Atomic unsigned added;

/* Watches that loop_pause() set aside; the loop thread's own. */
static struct watch *paused[PAUSED_MAX];
static unsigned paused_count;

static void forked(void)
{
    epoll.fd = wake.fd = -1; /* fd_hide(): closed */
    paused_count = 0;
    for (int i = 0; i < LOOP_TIMER_COUNT; i++)
        atomic_store(&timers[i].function, NULL);
    pthread_mutex_init(&start_lock, NULL);
}

static struct fork_part part = {.child = forked};

static void resume_paused(void)
{
    while (paused_count > 0) {
        struct watch *w = paused[--paused_count];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = w};
        epoll_ctl(epoll.fd, EPOLL_CTL_MOD, w->fd, &event);
    }
}

void loop_pause(struct watch *w)
{
    struct epoll_event event = {.events = 0, .data.ptr = w};

    if (paused_count < PAUSED_MAX && epoll_ctl(epoll.fd, EPOLL_CTL_MOD, w->fd, &event) == 0)
        paused[paused_count++] = w;
}

static int wait_ms(void)
{
    int wait = paused_count > 0 ? PAUSE_MS : INT_MAX;

    for (int i = 0; i < LOOP_TIMER_COUNT; i++) {
        if (atomic_load(&timers[i].function) != NULL && timers[i].period_ms < wait)
            wait = timers[i].period_ms;
    }
    return wait < INT_MAX ? wait : -1;
}

static void run_timer(struct timer *t, int64_t now_ns)
{
    int (*function)(void);

    if (now_ns - t->last_ns < t->period_ms * 1000000ll)
        return;
    t->last_ns = now_ns;
    function = atomic_exchange(&t->function, NULL);
    if (function != NULL && function())
        atomic_store(&t->function, function);
}

/* By the clock, not by epoll's timeout: a flood of events must not stop it. */
static void run_timers(void)
{
    static int64_t resumed_ns;
    int64_t now_ns = thread_now_ns();

    for (int i = 0; i < LOOP_TIMER_COUNT; i++)
        run_timer(&timers[i], now_ns);
    if (now_ns - resumed_ns >= PAUSE_MS * 1000000) {
        resumed_ns = now_ns;
        resume_paused();
    }
}

static void drain_wake(void)
{
    uint64_t rings;

    while (read(wake.fd, &rings, sizeof(rings)) > 0)
        continue;
}

static void *run(void *mine)
{
    for (;;) {
        struct epoll_event event;
        /* One event at a time: a watch that goes leaves no stale event behind. */
        int count = epoll_wait(epoll.fd, &event, 1, wait_ms());

        if (count < 0 && errno != EINTR)
            return NULL; /* the program has closed our descriptors */
        if ((unsigned)(uintptr_t)mine != atomic_load(&generation))
            return NULL;
        if (count == 1 && event.data.ptr == NULL) {
            drain_wake();
        } else if (count == 1) {
            struct watch *w = event.data.ptr;
            atomic_load(&added);
            w->ready(w, event.events);
        }
        run_timers();
    }
}

/* Whatever was watched before is gone, with the descriptors themselves. */
static int make_descriptors(void)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    own_fd_close(&epoll);
    own_fd_close(&wake);
    paused_count = 0;
    wake = own_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    epoll = own_fd(epoll_create1(EPOLL_CLOEXEC));
    if (wake.fd < 0 || epoll.fd < 0)
        return -1;
    return epoll_ctl(epoll.fd, EPOLL_CTL_ADD, wake.fd, &event);
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
    if (!own_fd_check(&epoll) || !own_fd_check(&wake)) {
        unsigned mine = atomic_fetch_add(&generation, 1) + 1;
        result = make_descriptors();
        if (result == 0)
            result = thread_start_blocked(run, (void *)(uintptr_t)mine);
        if (result < 0) {
            int error = errno;
            own_fd_close(&epoll);
            errno = error;
        }
    }
    pthread_mutex_unlock(&start_lock);
    return result;
}

int loop_add(struct watch *w, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = w};

    atomic_fetch_add(&added, 1);
    return epoll_ctl(epoll.fd, EPOLL_CTL_ADD, w->fd, &event);
}

void loop_remove(struct watch *w)
{
    epoll_ctl(epoll.fd, EPOLL_CTL_DEL, w->fd, NULL);
    for (unsigned i = 0; i < paused_count; i++) {
        if (paused[i] == w)
            paused[i--] = paused[--paused_count];
    }
}

void loop_repeat(enum loop_timer timer, int (*function)(void))
{
    struct timer *t = &timers[timer];
    uint64_t one = 1;

    fork_register(&part);
    if (atomic_load(&t->function) == function)
        return;
    if (atomic_exchange(&t->function, function) == NULL && write(wake.fd, &one, sizeof(one)) < 0)
        return; /* the counter is full: a wake-up is on its way anyway */
}
