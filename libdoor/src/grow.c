/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * grow.c: see grow.h.
 *
 * illumos starts a thread whenever the last idle one is taken.  That is right
 * when procedures block and wrong when they compute: more threads than
 * processors only add context switches.  So: threads that wait make room for
 * new ones, threads that run (or want to) do not, unless callers would have to
 * wait too long all the same.
 */
#include "grow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "thread.h"

#define HELD_BACK_MAX_MS 10 /* how long a call may wait for a busy thread */
#define PREPARE_MAX_MS 100  /* and for the only thread, while that prepares itself */
#define THREADS_PER_PROCESSOR 2 /* one may have been interrupted in a call */
#define ASK_MAX 256         /* threads whose state is asked for */
#define UNLOCKED_TICKS 3    /* in a row, and the lock that all share is free, mostly */
#define STILL_MAX_MS 500    /* who holds a lock for so long does not let others compute */

/* The state letter of /proc/PID/task/TID/stat, proc(5); 'S' if it is not told. */
static char thread_state(pid_t tid)
{
    char path[64], stat[128];
    ssize_t len;
    int fd;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
    fd = fd_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 'S';
    len = read(fd, stat, sizeof(stat) - 1);
    close(fd);
    stat[len > 0 ? len : 0] = '\0';
    char *end = strrchr(stat, ')'); /* the name before it may hold anything */
    return end != NULL && end[1] == ' ' ? end[2] : 'S';
}

/* The pool's threads, as they were a moment ago. */
struct look {
    unsigned between; /* between two calls */
    unsigned count;   /* in procedures: so many of them, at most, are in tids */
    int is_waiting;   /* one of these waits for the program's lock, as it has told */
    pid_t tids[ASK_MAX];
};

/* Asking for states takes long: not with the lock, for which the threads would sleep. */
static void look_at(struct pool *pool, struct look *look)
{
    struct server_thread *t;

    look->between = look->count = 0;
    look->is_waiting = 0;
    pthread_mutex_lock(&pool->lock);
    LIST_FOREACH(t, &pool->threads, link) {
        look->is_waiting |= atomic_load_explicit(&t->waits_for_lock, memory_order_relaxed);
        if (!atomic_load(&t->in_call))
            look->between++;
        else if (look->count < ASK_MAX)
            look->tids[look->count++] = t->tid;
    }
    pthread_mutex_unlock(&pool->lock);
}

/*
 * How many threads more could run at once: none if enough for the
 * processors run already, or want to.  A thread between two calls counts as
 * running: it sleeps only if nobody calls.  Those that wait in a procedure
 * tell that more of the kind would wait, too: then as many again.
 */
static unsigned useful_count(struct pool *pool)
{
    unsigned enough = THREADS_PER_PROCESSOR * thread_processor_count();
    unsigned running, waiting = 0;
    struct look look;

    look_at(pool, &look);
    running = look.between;
    while (running < enough && look.count > 0) {
        if (thread_state(look.tids[--look.count]) == 'R')
            running++;
        else
            waiting++;
    }
    if (running >= enough)
        return 0;
    return waiting > enough - running ? waiting : enough - running;
}

static unsigned pending_count(struct pool *pool)
{
    unsigned count = 0;

    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->channel_places; i++) {
        if (pool->channels[i] != NULL)
            count += server_channel_pending(pool->channels[i]);
    }
    pthread_mutex_unlock(&pool->lock);
    return count;
}

/*
 * True if what waits would wait too long: once in so many milliseconds, and
 * then by what was done in all of them.  In a single one nothing may be done
 * at all because some other process has the processors.
 */
static int is_held_back(struct pool *pool, unsigned pending)
{
    uint64_t taken = atomic_load(&pool->taken_count);
    uint64_t before = pool->taken_before;

    if (pool->depleted_ticks % HELD_BACK_MAX_MS != 0)
        return 0;
    pool->taken_before = taken;
    return pending > taken - before;
}

/*
 * True if one more thread would wait for the program's lock.  Procedures tell that they wait
 * for it when they begin; who has had it, and has to wait again, need not be able to tell.
 * So it is taken as long as any of them runs.
 */
static int is_locked_out(struct pool *pool)
{
    struct look look;

    look_at(pool, &look);
    while (!look.is_waiting && look.count > 0)
        look.is_waiting = thread_state(look.tids[--look.count]) == 'R';
    return look.is_waiting;
}

/*
 * True if threads prepare themselves, for which another one would have to wait as well, or
 * cannot.  If that is the only thread, another one is to say so, where that takes long.
 */
static int is_preparing(struct pool *pool, unsigned pending)
{
    unsigned count = atomic_load(&pool->unprepared_count);
    int is_alone = count == 1 && atomic_load(&pool->thread_count) == 1;

    return count > 0 && !(is_alone && pending > 0 && pool->depleted_ticks >= PREPARE_MAX_MS);
}

/*
 * How many threads to start where all share a lock: one at a time, and not because the lock
 * was nobody's for a moment, when it went from one to another.
 */
static unsigned wanted_with_lock(struct pool *pool, unsigned pending)
{
    if (!is_locked_out(pool))
        return ++pool->unlocked_ticks >= UNLOCKED_TICKS;
    pool->unlocked_ticks = 0;
    if (pool->still_ticks < STILL_MAX_MS || pending == 0)
        return 0;
    pool->still_ticks = 0;
    return 1;
}

/* How many threads to start. */
static unsigned wanted(struct pool *pool)
{
    uint64_t taken = atomic_load(&pool->taken_count);
    int is_moving = taken != pool->taken_last;
    unsigned pending, useful;

    pool->taken_last = taken;
    pool->still_ticks = is_moving ? 0 : pool->still_ticks + 1;
    if (++pool->depleted_ticks < 2)
        return 0; /* a moment only */
    if (atomic_load(&pool->starting_count) > 0)
        return 0; /* they wait for a processor: so would others */
    pending = pending_count(pool);
    if (is_preparing(pool, pending))
        return 0;
    if (pending == 0 && is_moving)
        return 0; /* nobody waits, and calls get through */
    if (atomic_load_explicit(&pool->has_lock, memory_order_relaxed))
        return wanted_with_lock(pool, pending);
    if (is_held_back(pool, pending))
        return 1;
    useful = useful_count(pool);
    if (pending == 0)
        pending = 1; /* one in reserve */
    return useful < pending ? useful : pending;
}

int pool_grow(struct pool *pool, int (*start)(struct pool *pool))
{
    unsigned count;

    /* Who leaves a full pool has this called again. */
    if (pool_idle_count(pool) > 0 || pool_is_full(pool)) {
        pool->depleted_ticks = 0;
        pool->taken_before = atomic_load(&pool->taken_count);
        return 0;
    }
    count = wanted(pool);
    for (unsigned i = 0; i < count; i++) {
        if (start(pool) < 0)
            break; /* the callers wait for the threads that there are */
        pool->depleted_ticks = 0;
        pool->taken_before = pool->taken_last;
    }
    return 1;
}
