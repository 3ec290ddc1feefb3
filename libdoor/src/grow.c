/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * grow.c: see grow.h.
 *
 * illumos starts a thread whenever the last idle one is taken.  That is right if
 * procedures block, and wrong if they compute: more threads than processors only add
 * context switches.  So new threads are started while existing ones wait for something,
 * but not while they run (or want to), unless callers would have to wait too long.
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
#define PREPARE_MAX_MS 100  /* how long a call may wait for the only thread to be prepared */
#define THREADS_PER_PROCESSOR 2 /* one may be preempted in a call */
#define LATE_FACTOR 4       /* up to this many times more threads run if calls wait too long */
#define PAUSE_MAX_MS 4      /* between looks while the pool is depleted only for moments */
#define LOOK_AGAIN_MS 5     /* after a look that found no use for more; looking costs time */
#define FEW_THREADS 8       /* when procedures take turns: so many threads need only one look */
#define LOOKS 3             /* and more threads need so many looks in a row */
#define ASK_MAX 256         /* the most threads whose state is read */
#define FAILED_MAX_MS 1000  /* longest pause after threads that could not be made or begin */
#define STILL_MS 500        /* after this, calls that take turns count as not moving */

/* A thread's state; any other value is the address of the futex for which it waits. */
#define RUNNING 0ull
#define WAITING 1ull /* for something that is no futex */

/* The thread's state, from /proc/PID/task/TID/syscall (proc(5)). */
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

/* How many of a pool's threads are in which state. */
struct census {
    unsigned running;
    unsigned waiting;
    unsigned queued; /* wait for the same futex as another one */
    unsigned turns;  /* wait for the lock under which they compute one at a time */
};

/* Whether threads wait at this futex for their turn to compute. */
static int is_turn(const struct pool *pool, uint64_t futex)
{
    for (unsigned i = 0; i < TURNS_MAX; i++) {
        if (pool->turns[i] == futex)
            return 1;
    }
    return 0;
}

/* Remembers a futex at which a thread waits that has said it waits for its turn. */
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

/* The state of a thread in a call.  waits_turn: the thread has said that it waits for its turn. */
static uint64_t state_in_call(struct pool *pool, pid_t tid, int waits_turn)
{
    uint64_t state = thread_state(tid);

    if (waits_turn && state != RUNNING && state != WAITING)
        learn_turn(pool, state);
    return state;
}

/*
 * Counts until enough threads run, or one waits for its turn.  A thread between two calls counts
 * as running: it sleeps only if there are no calls.
 */
static struct census take_census(struct pool *pool, unsigned enough)
{
    struct census census = {0};
    unsigned count = 0, waiting = 0;
    struct server_thread *t;
    pid_t tids[ASK_MAX];
    int waits_turn[ASK_MAX];
    uint64_t states[ASK_MAX];

    /* States are read without the lock: that takes long, and the threads need the lock. */
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
 * Whether the waiting calls would wait too long, by the calls that were taken in the last
 * HELD_BACK_MAX_MS.  Only checked once in that time: in a single millisecond no call may be
 * taken at all, because another process has the processors.
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

/* Whether no calls are taken.  Procedures that take turns may compute for longer than others. */
static int is_still(struct pool *pool)
{
    if (atomic_load_explicit(&pool->takes_turns, memory_order_relaxed))
        return pool->still_ticks >= STILL_MS;
    return atomic_load(&pool->taken_count) == pool->taken_earlier;
}

/*
 * How many more threads would be of use.  None if enough for the processors run already, or
 * want to; except one now and then if calls wait too long, because other processes have the
 * processors.  If threads wait in a procedure, new threads will probably wait, too, so as many
 * again are started.  But threads in the queue of a lock are no reason: others would only stand
 * behind them.  If nothing moves, though, they may wait for what another call does.
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
 * The same if procedures compute one at a time: one more thread is of use, but not if a thread
 * waits for its turn, nor if one computes while calls are taken, since it keeps its turn.
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
 * Asks for several looks in a row that say the same.  A thread that is preempted before it waits
 * for its turn looks for a moment as if it waited for something else.  On a busy machine, this
 * happens so often that many useless threads would be started.
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
 * Whether no thread is to be started because some are being prepared, or cannot be: another one
 * would not do better.  But if it is the only thread and that takes long, another one is needed
 * to refuse calls.
 */
static int is_preparing(struct pool *pool, unsigned pending)
{
    unsigned count = atomic_load(&pool->unprepared_count);
    int is_alone = count == 1 && atomic_load(&pool->thread_count) == 1;

    return count > 0 && !(is_alone && pending > 0 && pool->depleted_ticks >= PREPARE_MAX_MS);
}

void pool_note_failed(struct pool *pool)
{
    atomic_store(&pool->failed_ns, thread_now_ns());
    atomic_fetch_add(&pool->failed_count, 1);
}

/*
 * Whether no thread is to be started yet because the last ones could not be made, or could not
 * begin, for example without a key for thread-specific data.  The pause doubles with each of them.
 */
static int is_too_soon(struct pool *pool)
{
    unsigned failed = atomic_load(&pool->failed_count), pause_ms = 1;

    if (failed == 0)
        return 0;
    for (; failed > 0 && pause_ms < FAILED_MAX_MS; failed--)
        pause_ms *= 2;
    return thread_now_ns() - atomic_load(&pool->failed_ns) < pause_ms * 1000000ll;
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
        return 0; /* depleted only for a moment */
    if (atomic_load(&pool->starting_count) > 0)
        return 0; /* new threads wait for a processor, and so would others */
    if (is_too_soon(pool))
        return 0;
    pending = pending_count(pool);
    if (is_preparing(pool, pending))
        return 0;
    if (pending == 0 && is_moving)
        return 0; /* no call waits, and calls are taken */
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

/*
 * When to look again while a thread is idle.  Short calls may take the last idle thread thousands
 * of times a second; having the loop woken for each would cost more than the call.  So the timer
 * goes on, ever more slowly, for as long as that happens.
 */
static int pause_of_grown(struct pool *pool, int was_depleted)
{
    if (!was_depleted)
        pool->pause_ticks = 0;
    else if (pool->pause_ticks == 0)
        pool->pause_ticks = 1;
    else if (pool->pause_ticks < PAUSE_MAX_MS)
        pool->pause_ticks *= 2;
    return (int)pool->pause_ticks;
}

int pool_grow(struct pool *pool, int (*start)(struct pool *pool))
{
    int was_depleted = atomic_exchange(&pool->was_depleted, 0);
    unsigned count;

    /* A thread that leaves a full pool has this called again. */
    if (pool_idle_count(pool) > 0 || pool_is_full(pool)) {
        pool->depleted_ticks = pool->useful_looks = 0;
        pool->is_fruitless = 0;
        pool->taken_before = pool->taken_earlier = atomic_load(&pool->taken_count);
        return pause_of_grown(pool, was_depleted);
    }
    count = wanted(pool);
    for (unsigned i = 0; i < count; i++) {
        int error = start(pool);

        pool->depleted_ticks = pool->still_ticks = 0;
        pool->taken_before = pool->taken_last;
        if (error < 0) { /* callers must wait for the existing threads */
            pool_note_failed(pool);
            break;
        }
    }
    return 1;
}
