/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * hooks.c: the hooks that set up each server thread, with a connection, for example.
 * A thread whose start hook has failed ("lacking") takes no calls; threads that have
 * started take them.  Lacking threads try again, one after the other, with a growing
 * pause.  While no thread has started, one lacking thread stands in: it takes the calls,
 * and they are refused.  This file does not know what the hooks set up, nor what a
 * request is.
 */
#include "hooks.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <door_compat.h>

#include "fail.h"

#define PAUSE_MIN_MS 20
#define PAUSE_MAX_MS 1000
#define CHECK_MS     10000 /* how often an idle thread is checked */
#define NS_PER_MS    1000000ll
#define END          INT_MAX

enum state { EVERY, SOME, NONE }; /* of the threads have started */

struct door_rt_hooks {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* on the monotonic clock */
    unsigned holds;         /* references: of the application, the doors, and each thread */
    door_app_thread_start *start;
    door_app_thread_stop *stop;
    door_app_thread_check *check; /* or NULL */
    void *data;
    int is_closed;
    unsigned running; /* hooks that run now */
    int is_watched; /* the doors have the start hook run on new threads */
    unsigned idle_ms;
    unsigned having, lacking;        /* threads that have started; whose start hook has failed */
    unsigned restarting;             /* threads that have stopped, and will start at once */
    int is_trying;                   /* a lacking thread runs its start hook now */
    struct door_rt_thread *stand_in; /* or NULL */
    unsigned pause_ms;               /* between tries of lacking threads; 0: there are none */
    int64_t retry_ns;                /* when the next of these tries may be */
    enum state told;                 /* the state that was printed last */
    char why[256];                   /* why the last start hook failed */
};

static _Thread_local char reason[256]; /* of door_app_thread_failed(); "": errno is the reason */

/* ------------------------------------------------ the application's side */

struct door_rt_hooks *door_rt_hooks_create(void)
{
    struct door_rt_hooks *hooks = calloc(1, sizeof(*hooks));
    pthread_condattr_t monotonic;

    if (hooks == NULL)
        return NULL;
    pthread_mutex_init(&hooks->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&hooks->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    hooks->holds = 1;
    return hooks;
}

/* With the lock held, which is released: drops a reference. */
static void drop(struct door_rt_hooks *hooks)
{
    unsigned holds = --hooks->holds;

    pthread_mutex_unlock(&hooks->lock);
    if (holds > 0)
        return;
    pthread_cond_destroy(&hooks->changed);
    pthread_mutex_destroy(&hooks->lock);
    free(hooks);
}

void door_rt_hooks_close(struct door_rt_hooks *hooks)
{
    pthread_mutex_lock(&hooks->lock);
    hooks->is_closed = 1;
    pthread_cond_broadcast(&hooks->changed);
    while (hooks->running > 0)
        pthread_cond_wait(&hooks->changed, &hooks->lock);
    drop(hooks);
}

/* With the lock held, which is released while the hook runs. */
static void begin_hook(struct door_rt_hooks *hooks)
{
    hooks->running++;
    pthread_mutex_unlock(&hooks->lock);
}

static void end_hook(struct door_rt_hooks *hooks)
{
    pthread_mutex_lock(&hooks->lock);
    if (--hooks->running == 0 && hooks->is_closed)
        pthread_cond_broadcast(&hooks->changed);
}

int door_rt_hooks_set(struct door_rt_hooks *hooks, door_app_thread_start *start,
                      door_app_thread_stop *stop, void *data)
{
    if (hooks->start != NULL || hooks->stop != NULL)
        return door_rt_fail(EEXIST);
    hooks->start = start;
    hooks->stop = stop;
    hooks->data = data;
    return 0;
}

void door_rt_hooks_set_check(struct door_rt_hooks *hooks, door_app_thread_check *check)
{
    hooks->check = check;
}

int door_app_thread_failed(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    for (char *c = reason; *c != '\0'; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    return door_rt_fail(EAGAIN);
}

/* ------------------------------------------------ what is told */

/* With the lock held: prints one line for each change of the state. */
static void tell(struct door_rt_hooks *hooks)
{
    enum state state = hooks->lacking == 0 ? EVERY : hooks->having > 0 ? SOME : NONE;
    enum state before = hooks->told;

    if (state == before)
        return;
    hooks->told = state;
    if (state == NONE)
        fprintf(stderr, "door_app: no server thread can start: %s; requests get 503\n", hooks->why);
    else if (state == SOME && before == EVERY)
        fprintf(stderr, "door_app: a server thread cannot start: %s; others have its calls\n",
                hooks->why);
    else if (state == SOME)
        fprintf(stderr, "door_app: some server threads can start again\n");
    else
        fprintf(stderr, "door_app: no server thread is left that cannot start\n");
}

/* ------------------------------------------------ one thread */

/* With the lock held, as for the next three functions. */
static void lack_no_more(struct door_rt_hooks *hooks, struct door_rt_thread *thread)
{
    if (thread->is_lacking && --hooks->lacking == 0)
        hooks->pause_ms = 0;
    thread->is_lacking = 0;
    if (hooks->stand_in == thread)
        hooks->stand_in = NULL;
}

static void restart_no_more(struct door_rt_hooks *hooks, struct door_rt_thread *thread)
{
    hooks->restarting -= thread->is_restarting != 0;
    thread->is_restarting = 0;
}

static void note_success(struct door_rt_hooks *hooks, struct door_rt_thread *thread)
{
    thread->is_hooked = 1;
    hooks->having++;
    if (hooks->pause_ms > 0) {
        hooks->pause_ms = PAUSE_MIN_MS;
        hooks->retry_ns = door_now_ns(); /* the next lacking thread may try at once */
    }
    lack_no_more(hooks, thread);
}

static void note_failure(struct door_rt_hooks *hooks, struct door_rt_thread *thread, int was_first,
                         int error)
{
    int64_t now_ns = door_now_ns();

    snprintf(hooks->why, sizeof(hooks->why), "%s", reason[0] != '\0' ? reason : strerror(error));
    if (!thread->is_lacking) {
        thread->is_lacking = 1;
        thread->lacking_since_ns = now_ns;
        hooks->lacking++;
    }
    if (!was_first || hooks->pause_ms == 0) { /* first tries of several threads count as one */
        hooks->pause_ms = hooks->pause_ms == 0 ? PAUSE_MIN_MS : hooks->pause_ms * 2;
        if (hooks->pause_ms > PAUSE_MAX_MS)
            hooks->pause_ms = PAUSE_MAX_MS;
        hooks->retry_ns = now_ns + hooks->pause_ms * NS_PER_MS;
    }
}

/* With the lock held, which is released meanwhile: runs the start hook.  Returns 0 or -1. */
static int start(struct door_rt_hooks *hooks, struct door_rt_thread *thread)
{
    int is_first = !thread->is_lacking, error = 0;

    hooks->is_trying |= !is_first;
    if (hooks->stand_in == thread) { /* the hook may take long, so another thread stands in */
        hooks->stand_in = NULL;
        pthread_cond_broadcast(&hooks->changed);
    }
    reason[0] = '\0';
    if (hooks->start != NULL && !hooks->is_closed) {
        begin_hook(hooks);
        error = hooks->start(hooks->data) == 0 ? 0 : errno != 0 ? errno : EAGAIN;
        end_hook(hooks);
    }
    restart_no_more(hooks, thread);
    if (!is_first)
        hooks->is_trying = 0;
    if (error == 0)
        note_success(hooks, thread);
    else
        note_failure(hooks, thread, is_first, error);
    tell(hooks);
    pthread_cond_broadcast(&hooks->changed);
    return error == 0 ? 0 : -1;
}

/* A thread's first try is made at once; later ones are made one after the other. */
static int may_try(const struct door_rt_hooks *hooks, const struct door_rt_thread *thread)
{
    return !thread->is_lacking || (!hooks->is_trying && door_now_ns() >= hooks->retry_ns);
}

/* With the lock held, which is released meanwhile: runs the stop hook if the thread has started. */
static void stop(struct door_rt_hooks *hooks, struct door_rt_thread *thread)
{
    if (!thread->is_hooked)
        return;
    thread->is_hooked = 0;
    hooks->having--;
    pthread_cond_broadcast(&hooks->changed); /* it may have been the last that had started */
    if (hooks->stop == NULL || hooks->is_closed)
        return;
    begin_hook(hooks);
    hooks->stop(hooks->data);
    end_hook(hooks);
}

/* Stops a thread that will start again at once. */
static void stop_to_restart(struct door_rt_hooks *hooks, struct door_rt_thread *thread)
{
    pthread_mutex_lock(&hooks->lock);
    if (hooks->is_watched && !thread->is_restarting)
        hooks->restarting++;
    thread->is_restarting = hooks->is_watched;
    stop(hooks, thread);
    pthread_mutex_unlock(&hooks->lock);
}

/* When the thread ends. */
static void leave(struct door_rt_thread *thread)
{
    struct door_rt_hooks *hooks = thread->hooks;

    if (hooks == NULL)
        return;
    pthread_mutex_lock(&hooks->lock);
    stop(hooks, thread);
    lack_no_more(hooks, thread);
    restart_no_more(hooks, thread);
    tell(hooks);
    pthread_cond_broadcast(&hooks->changed);
    thread->hooks = NULL;
    drop(hooks);
}

/* Makes these hooks the thread's own, with a reference. */
static void enter(struct door_rt_hooks *hooks, struct door_rt_thread *thread)
{
    if (thread->hooks == hooks)
        return;
    leave(thread);
    pthread_mutex_lock(&hooks->lock);
    hooks->holds++;
    pthread_mutex_unlock(&hooks->lock);
    thread->hooks = hooks;
    thread->leave = leave;
}

/* ------------------------------------------------ before it takes calls */

/* Whether a lacking thread has waited so long that it can end, since others take the calls. */
static int is_needless(const struct door_rt_hooks *hooks, const struct door_rt_thread *thread)
{
    return hooks->idle_ms > 0 &&
           door_now_ns() - thread->lacking_since_ns >= hooks->idle_ms * NS_PER_MS;
}

static void wait_for_turn(struct door_rt_hooks *hooks)
{
    int64_t until_ns = door_now_ns() + PAUSE_MAX_MS * NS_PER_MS;

    if (!hooks->is_trying && hooks->retry_ns < until_ns)
        until_ns = hooks->retry_ns;
    struct timespec until = {.tv_sec = (time_t)(until_ns / 1000 / NS_PER_MS),
                             .tv_nsec = (long)(until_ns % (1000 * NS_PER_MS))};
    pthread_cond_timedwait(&hooks->changed, &hooks->lock, &until);
}

static int left_ms(const struct door_rt_hooks *hooks)
{
    int64_t left_ns = hooks->retry_ns - door_now_ns();

    return hooks->is_trying || left_ns >= PAUSE_MAX_MS * NS_PER_MS ? PAUSE_MAX_MS
           : left_ns > 0                                           ? (int)(left_ns / NS_PER_MS) + 1
                                                                   : 1;
}

/*
 * With the lock held: readies a thread for calls; returns what door_prepare_threads() wants, or
 * END if the thread is to end.
 */
static int prepare(struct door_rt_hooks *hooks, struct door_rt_thread *thread)
{
    for (;;) {
        if (hooks->is_closed)
            return 0;
        if (thread->is_hooked || (may_try(hooks, thread) && start(hooks, thread) == 0))
            return hooks->check != NULL ? -CHECK_MS : 0;
        if (may_try(hooks, thread))
            continue;
        if (hooks->having == 0 && hooks->restarting == 0 &&
            (hooks->stand_in == NULL || hooks->stand_in == thread)) {
            hooks->stand_in = thread;
            return left_ms(hooks);
        }
        if (hooks->stand_in == thread)
            hooks->stand_in = NULL;
        if (is_needless(hooks, thread))
            return END;
        wait_for_turn(hooks);
    }
}

/* The same for a thread that has started: runs the check.  A call may wait for this. */
static int check(struct door_rt_hooks *hooks, struct door_rt_thread *thread)
{
    int is_good = 1;

    pthread_mutex_lock(&hooks->lock);
    if (!hooks->is_closed) {
        begin_hook(hooks);
        is_good = hooks->check(hooks->data) == 0;
        end_hook(hooks);
    }
    pthread_mutex_unlock(&hooks->lock);
    if (is_good)
        return -CHECK_MS;
    stop_to_restart(hooks, thread);
    return 1;
}

static int prepare_thread(void *data)
{
    struct door_rt_hooks *hooks = data;
    struct door_rt_thread *thread = door_rt_thread();
    int result;

    if (thread == NULL)
        return PAUSE_MAX_MS; /* no memory: calls on this thread are refused */
    enter(hooks, thread);
    if (thread->is_hooked && hooks->check != NULL)
        return check(hooks, thread);
    pthread_mutex_lock(&hooks->lock);
    result = prepare(hooks, thread);
    pthread_mutex_unlock(&hooks->lock);
    if (result == END)
        pthread_exit(NULL);
    return result;
}

void door_rt_hooks_watch(struct door_rt_hooks *hooks, int door, unsigned idle_ms)
{
    hooks->idle_ms = idle_ms;
    if (hooks->start == NULL && hooks->check == NULL)
        return;
    hooks->holds++;
    hooks->is_watched = 1;
    if (door_prepare_threads(door, prepare_thread, hooks) == 0)
        return;
    hooks->is_watched = 0;
    hooks->holds--;
}

/* ------------------------------------------------ in a call */

int door_rt_hooks_ready(struct door_rt_hooks *hooks, struct door_rt_thread *thread)
{
    int is_ready;

    enter(hooks, thread);
    if (thread->is_hooked && !hooks->is_watched && hooks->check != NULL)
        check(hooks, thread);
    if (thread->is_hooked)
        return 1;
    pthread_mutex_lock(&hooks->lock);
    is_ready = !hooks->is_watched && may_try(hooks, thread) && start(hooks, thread) == 0;
    pthread_mutex_unlock(&hooks->lock);
    return is_ready;
}

int door_app_thread_lost(struct door_app_request *req)
{
    struct door_rt_thread *thread = door_rt_request(req) != NULL ? door_rt_thread() : NULL;

    if (thread == NULL)
        return -1;
    thread->is_lost = 1;
    return 0;
}

void door_rt_hooks_settle(struct door_rt_thread *thread)
{
    struct door_rt_hooks *hooks = thread->hooks;

    if (!thread->is_lost)
        return;
    thread->is_lost = 0;
    stop_to_restart(hooks, thread);
    if (hooks->is_watched)
        door_prepare_again();
}
