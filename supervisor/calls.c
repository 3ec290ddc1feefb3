/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * calls.c: the table of calls; calls.h says who may write what.
 *
 * The line is Lamport's bakery algorithm: a call stands in line before it draws its ticket, so
 * a call with a later ticket cannot overlook it.  No lock in shared memory is used, so a child
 * that is killed at any point does not block others.
 */
#include "calls.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BLOCK_NOTES 32
#define BLOCKS_MAX  4096
#define OWN_MAX     128 /* blocks of one process */

/*
 * A call that no thread took returns at take_by_ns.  On a busy machine its note may show that
 * only so much later.
 */
#define NOTICE_NS 250000000ll

#define DRAW_LOOKS 1000 /* looks at tickets being drawn, until their calls count as earlier */

#define POSTS_MAX 1000 /* that are taken one by one: more are no child's that works */

struct block {
    _Atomic pid_t owner;   /* or 0 */
    _Atomic uint32_t used; /* no note from this index on has been taken */
    struct {
        _Alignas(64) struct call_note note; /* each has its own cache line */
    } notes[BLOCK_NOTES];
};

struct calls {
    _Atomic uint32_t used; /* no block from this index on has had an owner */
    _Atomic uint64_t last_ticket;
    struct block blocks[BLOCKS_MAX]; /* pages that are never touched cost nothing */
};

/* The blocks of this process.  The lock guards adding one. */
static struct {
    pthread_mutex_t lock;
    struct block *blocks[OWN_MAX];
    _Atomic unsigned count;
} own = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local struct call_note *last; /* the note that this thread had last */

struct calls *calls_make(void)
{
    struct calls *calls;

    calls = mmap(NULL, sizeof(*calls), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANON, -1, 0);
    return calls != MAP_FAILED ? calls : NULL;
}

/* ------------------------------------------------------------- blocks */

static unsigned at_most(uint32_t value, unsigned max)
{
    return value < max ? value : max;
}

static unsigned block_count(struct calls *calls)
{
    return at_most(atomic_load(&calls->used), BLOCKS_MAX);
}

static unsigned note_count(struct block *block)
{
    return atomic_load(&block->owner) != 0 ? at_most(atomic_load(&block->used), BLOCK_NOTES) : 0;
}

static void raise_to(_Atomic uint32_t *value, uint32_t least)
{
    uint32_t seen = atomic_load(value);

    while (seen < least && !atomic_compare_exchange_weak(value, &seen, least))
        continue;
}

static void empty(struct block *block)
{
    for (unsigned i = 0; i < BLOCK_NOTES; i++) {
        atomic_store(&block->notes[i].note.key, 0);
        atomic_store(&block->notes[i].note.phase, CALL_NONE);
    }
    atomic_store(&block->used, 0);
    atomic_store(&block->owner, 0);
}

void calls_forget_child(struct calls *calls, pid_t child)
{
    for (unsigned i = 0; i < block_count(calls); i++)
        if (atomic_load(&calls->blocks[i].owner) == child)
            empty(&calls->blocks[i]);
}

void calls_forget_dead(struct calls *calls)
{
    for (unsigned i = 0; i < block_count(calls); i++) {
        pid_t pid = atomic_load(&calls->blocks[i].owner);

        if (pid != 0 && (pid < 0 || (kill(pid, 0) == -1 && errno == ESRCH)))
            empty(&calls->blocks[i]);
    }
}

/* --------------------------------------------------- a call's own note */

static struct call_note *take_of(struct block *block)
{
    for (unsigned i = 0; i < BLOCK_NOTES; i++) {
        struct call_note *note = &block->notes[i].note;
        uint32_t none = CALL_NONE;

        if (!atomic_compare_exchange_strong(&note->phase, &none, CALL_ENTERED))
            continue;
        raise_to(&block->used, i + 1);
        last = note;
        return note;
    }
    return NULL;
}

static struct call_note *take_of_own(void)
{
    struct call_note *note = NULL;
    unsigned count = atomic_load(&own.count);

    for (unsigned i = 0; i < count && note == NULL; i++)
        note = take_of(own.blocks[i]);
    return note;
}

/* Under the lock. */
static int add_block(struct calls *calls)
{
    unsigned count = atomic_load(&own.count);

    for (unsigned i = 0; i < BLOCKS_MAX && count < OWN_MAX; i++) {
        struct block *block = &calls->blocks[i];
        pid_t nobody = 0;

        if (!atomic_compare_exchange_strong(&block->owner, &nobody, getpid()))
            continue;
        for (unsigned k = 0; k < BLOCK_NOTES; k++)
            sem_init(&block->notes[k].note.called, 1, 0);
        raise_to(&calls->used, i + 1);
        own.blocks[count] = block;
        atomic_store(&own.count, count + 1);
        return 1;
    }
    return 0;
}

struct call_note *calls_take(struct calls *calls)
{
    struct call_note *note;
    uint32_t none = CALL_NONE;

    if (last != NULL && atomic_compare_exchange_strong(&last->phase, &none, CALL_ENTERED))
        return last;
    note = take_of_own();
    if (note != NULL)
        return note;
    pthread_mutex_lock(&own.lock);
    note = take_of_own();
    if (note == NULL && add_block(calls))
        note = take_of_own();
    pthread_mutex_unlock(&own.lock);
    return note;
}

void calls_give_back(struct call_note *note)
{
    atomic_store(&note->key, 0);
    atomic_store(&note->ticket, 0);
    atomic_store(&note->deadline_ns, 0);
    atomic_store(&note->phase, CALL_NONE);
}

uint64_t calls_path_key(const char *path)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */

    while (*path != '\0')
        hash = (hash ^ (unsigned char)*path++) * 1099511628211u;
    return hash | UINT64_C(1) << 63; /* never equal to a serial, which is small */
}

/* ----------------------------------------------------------- looking */

/* The next note with that key, or NULL.  *block and *index are the position, and begin at 0. */
static struct call_note *next_of(struct calls *calls, uint64_t key, unsigned *block,
                                 unsigned *index)
{
    for (; *block < block_count(calls); (*block)++, *index = 0) {
        struct block *b = &calls->blocks[*block];
        unsigned count = note_count(b);

        while (*index < count) {
            struct call_note *note = &b->notes[(*index)++].note;

            if (atomic_load(&note->key) == key && atomic_load(&note->phase) != CALL_NONE)
                return note;
        }
    }
    return NULL;
}

/*
 * Waits a moment for a ticket that is being drawn.  Returns 0 if its child has died meanwhile.
 * *looks is how many more looks may be made at all tickets.
 */
static uint64_t ticket_of(const struct call_note *note, unsigned *looks)
{
    uint64_t ticket = atomic_load(&note->ticket);

    for (; ticket == 0 && *looks > 0; (*looks)--) {
        sched_yield();
        ticket = atomic_load(&note->ticket);
    }
    return ticket;
}

static int is_ahead(const struct call_note *other, const struct call_note *note, unsigned *looks)
{
    switch (atomic_load(&other->phase)) {
    case CALL_IN_LINE:
        return ticket_of(other, looks) < atomic_load(&note->ticket);
    case CALL_MADE:
    case CALL_WAITS:
    case CALL_PAUSED:
        return 1;
    default:
        return 0;
    }
}

unsigned calls_ahead(struct calls *calls, const struct call_note *note)
{
    unsigned block = 0, index = 0, count = 0, looks = DRAW_LOOKS;
    const struct call_note *other;

    while ((other = next_of(calls, atomic_load(&note->key), &block, &index)) != NULL)
        count += other != note && is_ahead(other, note, &looks);
    return count;
}

unsigned calls_waiting_ahead(struct calls *calls, const struct call_note *note)
{
    unsigned block = 0, index = 0, count = 0;
    const struct call_note *other;

    while ((other = next_of(calls, atomic_load(&note->key), &block, &index)) != NULL)
        count += other != note && atomic_load(&other->phase) == CALL_WAITS &&
                 atomic_load(&other->ticket) < atomic_load(&note->ticket);
    return count;
}

/* Whether a call that is made has certainly been taken, because it would have returned by now. */
static int is_taken(const struct call_note *note, int64_t now_ns)
{
    return now_ns > atomic_load(&note->take_by_ns) + NOTICE_NS;
}

static void see(const struct call_note *note, int64_t now_ns, struct calls_seen *seen)
{
    uint32_t phase = atomic_load(&note->phase);
    int64_t deadline_ns = atomic_load(&note->deadline_ns);
    int waits = phase == CALL_IN_LINE ||
                (phase == CALL_WAITS && now_ns <= atomic_load(&note->take_by_ns));

    seen->inside++;
    seen->waiting += waits;
    seen->running += !waits && phase >= CALL_MADE;
    if (phase == CALL_PAUSED) {
        seen->is_in_time = 1;
    } else if ((phase == CALL_MADE || phase == CALL_WAITS) && is_taken(note, now_ns)) {
        seen->is_in_time |= deadline_ns > now_ns;
        seen->is_untimed |= deadline_ns == 0;
    }
}

void calls_look(struct calls *calls, uint64_t key, int64_t now_ns, struct calls_seen *seen)
{
    unsigned block = 0, index = 0;
    const struct call_note *note;

    memset(seen, 0, sizeof(*seen));
    while ((note = next_of(calls, key, &block, &index)) != NULL)
        see(note, now_ns, seen);
}

void calls_count(struct calls *calls, const uint64_t *keys, unsigned *counts, unsigned key_count)
{
    memset(counts, 0, key_count * sizeof(*counts));
    for (unsigned b = 0; b < block_count(calls); b++) {
        struct block *block = &calls->blocks[b];

        for (unsigned i = 0; i < note_count(block); i++) {
            uint64_t key = atomic_load(&block->notes[i].note.key);

            for (unsigned k = 0; k < key_count; k++)
                counts[k] += key == keys[k];
        }
    }
}

/* -------------------------------------------------------------- the line */

/* Takes what has been posted.  A broken child can have set the semaphore to any value. */
static void take_posts(struct call_note *note)
{
    for (unsigned i = 0; i < POSTS_MAX; i++)
        if (sem_trywait(&note->called) == -1)
            return;
    sem_init(&note->called, 1, 0);
}

void calls_stand_in_line(struct calls *calls, struct call_note *note)
{
    take_posts(note); /* they were meant for an earlier call */
    atomic_store(&note->ticket, 0);
    atomic_store(&note->phase, CALL_IN_LINE);
    atomic_store(&note->ticket, atomic_fetch_add(&calls->last_ticket, 1) + 1);
}

void calls_begin_to_wait(struct calls *calls, struct call_note *note)
{
    if (calls != NULL && atomic_load(&note->ticket) == 0)
        atomic_store(&note->ticket, atomic_fetch_add(&calls->last_ticket, 1) + 1);
    atomic_store(&note->phase, CALL_WAITS);
}

/* By the clock that nobody sets, where that can be: else who sets it back has us sleep on. */
#if defined(__linux__) && defined(__GLIBC__)
#define WAIT_CLOCK CLOCK_MONOTONIC
#define wait_until(semaphore, until) sem_clockwait(semaphore, CLOCK_MONOTONIC, until)
#else
#define WAIT_CLOCK CLOCK_REALTIME
#define wait_until(semaphore, until) sem_timedwait(semaphore, until)
#endif

void calls_wait(struct call_note *note, unsigned ms)
{
    struct timespec until;

    clock_gettime(WAIT_CLOCK, &until);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += (time_t)(ms / 1000) + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    wait_until(&note->called, &until);
    take_posts(note); /* the caller looks once for all of them */
}

void calls_call_next(struct calls *calls, uint64_t key)
{
    unsigned block = 0, index = 0;
    struct call_note *note, *first = NULL;

    while ((note = next_of(calls, key, &block, &index)) != NULL)
        if (atomic_load(&note->phase) == CALL_IN_LINE &&
            (first == NULL || atomic_load(&note->ticket) < atomic_load(&first->ticket)))
            first = note;
    if (first != NULL)
        sem_post(&first->called);
}
