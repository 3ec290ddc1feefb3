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
#include <sys/syscall.h>
#include <unistd.h>

#include "pool_size.h"
#include "thread.h"

#ifdef SYS_futex_time64
#define NUMBER_futex64 SYS_futex_time64
#else
#define NUMBER_futex64 SYS_futex
#endif

#define HELD_BACK_MAX_MS 10 /* how long a call may wait for a busy thread */
#define PREPARE_MAX_MS 100  /* and for the only thread, while that prepares itself */
#define THREADS_PER_PROCESSOR 2 /* one may have been interrupted in a call */
#define LATE_FACTOR 4       /* so many times as many run at most, if calls wait too long */
#define LOOK_AGAIN_MS 5     /* if no more would be of use; looking costs time */
#define FEW_THREADS 8       /* so many start at the first look where procedures take turns */
#define LOOKS 3             /* and more when so many looks in a row say so */
#define ASK_MAX 256         /* threads whose state is asked for */
#define STILL_MS 500        /* and procedures that take turns in computing do not move */

#define RUNNING 0ull
#define WAITING 1ull /* for something; or else the address of a futex */

/* What the thread does, as /proc/PID/task/TID/syscall tells, proc(5). */
static uint64_t thread_state(pid_t tid)
{
    char path[64], text[128];
    unsigned long long futex;
    ssize_t len;
    long number;
    int fd;

    snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)tid);
    fd = fd_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return WAITING;
    len = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[len > 0 ? len : 0] = '\0';
    if (strncmp(text, "running", 7) == 0)
        return RUNNING;
    if (sscanf(text, "%ld %llx", &number, &futex) != 2 || futex <= WAITING)
        return WAITING;
    return number == SYS_futex || number == NUMBER_futex64 ? futex : WAITING;
}

/* What a pool's threads do. */
struct census {
    unsigned running;
    unsigned waiting;
    unsigned queued; /* behind another one, for the same futex */
    unsigned turns;  /* for the lock under which they compute one at a time */
};

/* Who waits for one of these waits for its turn to compute. */
static int is_turn(const struct pool *pool, uint64_t futex)
{
    for (unsigned i = 0; i < TURNS_MAX; i++) {
        if (pool->turns[i] == futex)
            return 1;
    }
    return 0;
}

/* The thread has said that it waits for its turn: so this is where one does. */
static void learn_turn(struct pool *pool, uint64_t futex)
{
    if (!is_turn(pool, futex))
        pool->turns[pool->turn_next++ % TURNS_MAX] = futex;
}

static void count_states(uint64_t *states, unsigned count, struct census *census)
{
    for (unsigned i = 0; i < count; i++) {
        int is_first = 1;

        for (unsigned j = 0; states[i] != WAITING && is_first && j < i; j++)
            is_first = states[j] != states[i];
        if (is_first)
            census->waiting++;
        else
            census->queued++;
    }
}

/* What a thread that is in a call does; waits_turn: as it has said. */
static uint64_t state_in_call(struct pool *pool, pid_t tid, int waits_turn)
{
    uint64_t state = thread_state(tid);

    if (waits_turn && state != RUNNING && state != WAITING)
        learn_turn(pool, state);
    return state;
}

/*
 * Counts until enough run, or one waits for its turn.  A thread between two calls counts as
 * running: it sleeps only if nobody calls.
 */
static struct census take_census(struct pool *pool, unsigned enough)
{
    struct census census = {0};
    unsigned count = 0, waiting = 0;
    struct server_thread *t;
    pid_t tids[ASK_MAX];
    int waits_turn[ASK_MAX];
    uint64_t states[ASK_MAX];

    /* Asking takes long: not with the lock, for which the threads would sleep. */
    pthread_mutex_lock(&pool->lock);
    LIST_FOREACH(t, &pool->threads, link) {
        if (atomic_load(&t->in_call) == NULL) {
            census.running++;
        } else if (count < ASK_MAX) {
            waits_turn[count] = atomic_load_explicit(&t->waits_turn, memory_order_relaxed);
            tids[count++] = t->tid;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    while (census.running < enough && census.turns == 0 && count-- > 0) {
        uint64_t state = state_in_call(pool, tids[count], waits_turn[count]);

        if (state == RUNNING)
            census.running++;
        else if (waits_turn[count] || is_turn(pool, state))
            census.turns++;
        else
            states[waiting++] = state;
    }
    count_states(states, waiting, &census);
    return census;
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
    pool->taken_earlier = before;
    pool->taken_before = taken;
    return pending > taken - before;
}

/* What takes turns in computing may well do so for longer than the time in which others move. */
static int is_still(struct pool *pool)
{
    if (atomic_load_explicit(&pool->takes_turns, memory_order_relaxed))
        return pool->still_ticks >= STILL_MS;
    return atomic_load(&pool->taken_count) == pool->taken_earlier;
}

/*
 * How many threads more would be of use.  None if enough for the processors run already, or
 * want to, but for one now and then where that lets calls wait for too long: other
 * processes have the processors.  Those that wait in a procedure tell that more of the kind
 * would wait, too: then as many again.  But in the queue for a lock others would only stand
 * behind them, as long as that moves; if nothing does, they wait for what another call brings.
 */
static unsigned useful_count(struct pool *pool, int is_late)
{
    unsigned enough = THREADS_PER_PROCESSOR * thread_processor_count();
    unsigned most = is_late ? enough * LATE_FACTOR : enough;
    struct census census = take_census(pool, most);

    if (is_still(pool)) {
        census.waiting += census.queued;
        census.queued = 0;
    }
    if (census.running + census.queued >= enough)
        return is_late && census.running < most && census.queued <= census.waiting;
    enough -= census.running + census.queued;
    return census.waiting > enough ? census.waiting : enough;
}

/*
 * The same where procedures compute one at a time: one thread, and none if one waits for its
 * turn.  Nor if one computes while calls get through: it has its turn all the time.
 */
static int is_useful_in_turns(struct pool *pool, int is_moving)
{
    unsigned enough = THREADS_PER_PROCESSOR * thread_processor_count();
    struct census census = take_census(pool, is_moving ? 1 : enough);
    unsigned queued = is_still(pool) ? 0 : census.queued;

    if (census.turns > 0 || (is_moving && census.running > 0))
        return 0;
    return census.running + queued < enough;
}

/*
 * A thread that has been interrupted on its way to its turn looks for a moment like one that
 * waits for something else.  On a busy machine that happens often enough to make a crowd.
 */
static int is_sure(struct pool *pool, int is_useful)
{
    unsigned looks = atomic_load(&pool->thread_count) < FEW_THREADS ? 1 : LOOKS;

    pool->useful_looks = is_useful ? pool->useful_looks + 1 : 0;
    if (pool->useful_looks < looks)
        return 0;
    pool->useful_looks = 0;
    return 1;
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

/* How many threads to start. */
static unsigned wanted(struct pool *pool)
{
    uint64_t taken = atomic_load(&pool->taken_count);
    int is_moving = taken != pool->taken_last;
    unsigned pending, useful;
    int is_late;

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
    if (pool->is_fruitless && pool->depleted_ticks % LOOK_AGAIN_MS != 0)
        return 0;
    is_late = is_held_back(pool, pending);
    if (atomic_load_explicit(&pool->takes_turns, memory_order_relaxed))
        useful = is_sure(pool, is_useful_in_turns(pool, is_moving));
    else
        useful = useful_count(pool, is_late);
    pool->is_fruitless = useful == 0;
    if (pending == 0)
        pending = 1; /* one in reserve */
    return useful < pending ? useful : pending;
}

int pool_grow(struct pool *pool, int (*start)(struct pool *pool))
{
    unsigned count;

    /* Who leaves a full pool has this called again. */
    if (pool_idle_count(pool) > 0 || pool_is_full(pool)) {
        pool->depleted_ticks = pool->useful_looks = 0;
        pool->is_fruitless = 0;
        pool->taken_before = pool->taken_earlier = atomic_load(&pool->taken_count);
        return 0;
    }
    count = wanted(pool);
    for (unsigned i = 0; i < count; i++) {
        if (start(pool) < 0)
            break; /* the callers wait for the threads that there are */
        pool->depleted_ticks = pool->still_ticks = 0;
        pool->taken_before = pool->taken_last;
    }
    return 1;
}
