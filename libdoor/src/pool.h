/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * pool.h: the threads that serve doors, and how they find their next call.
 *
 * A pool's idle threads sleep in one epoll, which wakes the one that slept
 * last.  A thread that has finished a call looks at the same channel's map
 * before it sleeps, so that under load calls need no wake-up at all.
 */
#ifndef LIBDOOR_POOL_H
#define LIBDOOR_POOL_H

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "server_channel.h"
#include "wait_set.h"

struct server_thread;

#define TURNS_MAX 8 /* a mutex and a condition variable have up to four futexes in glibc */

struct pool {
    pthread_mutex_t lock;
    _Atomic unsigned refs;            /* of the library (shared pool), its door, its threads */
    struct door *door;                /* the private door; NULL in the shared pool */
    void (*check)(struct pool *pool); /* called if it may have too few threads; or NULL */
    _Atomic int closed;               /* its private door is revoked, or gone */
    struct wait_set set;              /* where idle threads wait; remade under lock if lost */
    _Atomic int64_t looked_ns;        /* when set was last checked */
    sigset_t signal_mask;             /* of the threads that the library starts */
    struct server_channel **channels; /* by id, modulo the number of places */
    unsigned channel_places;
    uint64_t next_id;
    STAILQ_HEAD(, server_channel) ready; /* have calls for which no thread was woken */
    STAILQ_HEAD(, door) unreferenced;    /* doors for DOOR_UNREF, with a reference each */
    LIST_HEAD(, server_thread) threads;
    _Atomic unsigned ready_count; /* elements of both queues */
    /* Threads that sleep, or are about to; from bit 32 on: how often set was made. */
    _Atomic uint64_t idle;
    _Atomic unsigned starting_count; /* threads of the library that have not run yet */
    _Atomic unsigned failed_count;   /* how many could not be made or begin, since the last that could */
    _Atomic int64_t failed_ns;       /* when that was last */
    _Atomic unsigned thread_count;   /* of threads, with those that are being started */
    _Atomic unsigned thread_max;     /* the library starts no more than these; 0: no maximum */
    _Atomic unsigned idle_ms;        /* the library's own threads end after so long; 0: never */
    _Atomic unsigned ended_count;    /* threads that have left since the heap was trimmed */
    _Atomic unsigned thread_most;    /* the highest thread_count so far */
    int (*prepare)(void *data);      /* of prepare.c, under lock, as its data */
    void *prepare_data;
    _Atomic unsigned preparation;      /* counts how often prepare was set */
    _Atomic unsigned unprepared_count; /* threads that were asked and are not prepared */
    _Atomic uint64_t taken_count; /* calls taken so far */
    _Atomic int was_depleted;     /* it may have had too few threads since the last tick */
    /* The rest but takes_turns is used by the loop thread only. */
    uint64_t taken_last;          /* taken_count at the last tick */
    uint64_t taken_before;        /* taken_count at the last check of is_held_back() */
    uint64_t taken_earlier;       /* taken_count at the check before that */
    unsigned depleted_ticks;      /* ticks in a row without an idle thread */
    unsigned pause_ticks;         /* between looks while it is depleted for moments; 0: it is not */
    _Atomic int takes_turns;      /* its procedures compute one at a time */
    uint64_t turns[TURNS_MAX];    /* futexes at which they wait for their turn */
    unsigned turn_next;           /* where the next one is stored */
    unsigned still_ticks;         /* ticks in a row without a call taken */
    int is_fruitless;             /* the last look found no use for another thread */
    unsigned useful_looks;        /* looks in a row that found a use for one */
};

/* A server thread between two calls, and the call it runs. */
struct server_thread {
    LIST_ENTRY(server_thread) link; /* pool->threads, under its lock */
    pthread_t pthread;
    struct pool *pool;      /* where it serves, with a reference; NULL: nowhere yet */
    struct door *bound;     /* by door_bind(), with a reference, or NULL */
    int is_ours;            /* the library has started it, and may end it */
    int is_counted;         /* in a pool's thread_count */
    int64_t idle_since_ns;  /* since when it has had nothing to do; 0: not idle until now */
    pid_t tid;                  /* the kernel's number of the thread */
    unsigned generation;        /* fork_generation() */
    unsigned preparation;       /* the pool->preparation for which it is prepared */
    int is_unprepared;          /* in pool->unprepared_count */
    int is_checked;             /* it is prepared, but must ask again before each call */
    int ask_ms;                 /* after so long it must ask again */
    struct server_channel *hot; /* the channel where it first looks for the next call */
    unsigned streak;            /* calls in a row from hot */
    int looks_out;              /* callers of hot need not ring: this thread will look */
    int64_t began_ns;           /* when the procedure began */
    unsigned quick_count;       /* calls in a row with a very quick procedure */
    struct server_channel *channel; /* of the running call, or NULL */
    unsigned slot;                  /* of that call */
    struct door *unreferenced;      /* a door to call for DOOR_UNREF, instead of a client's call */
    int depleted;                   /* the call has taken the pool's last idle thread */
    struct door *_Atomic in_call;   /* whose procedure runs, or NULL; other threads read this */
    _Atomic int waits_turn;         /* the procedure waits for its turn to compute, as it says */
    int cancel_enabled;             /* whether the procedure begins with cancellation enabled */
    struct server_channel *cancellable; /* whose call may be cancelled; under pool->lock */
    int cancelled;                      /* the call was cancelled; under pool->lock */
    uint32_t call_number;           /* the client's number of the call */
    door_desc_t *descs;             /* argument descriptors, malloc()ed, or NULL */
    char *arguments;                /* buffer for arguments, mmap()ed */
    size_t arguments_cap;
    int shares_window;              /* the arguments are in the slot's window */
    jmp_buf base;                   /* where door_return() jumps to */
};

/*
 * The pool of all doors that are not private.  The first call makes it.  check is called, in
 * any thread, whenever the pool may have too few threads.  Returns NULL and errno if it fails.
 */
struct pool *pool_shared(void (*check)(struct pool *pool));

/* Makes a private door's pool, with a reference.  Returns NULL and errno if it fails. */
struct pool *pool_create(struct door *door);
void pool_hold(struct pool *pool);
void pool_drop(struct pool *pool);

/*
 * The pool's door, to which the caller has a reference, takes no more calls: wakes idle threads,
 * which leave the pool.
 */
void pool_close(struct pool *pool);

/* Revokes the channels of door, which is revoked. */
void pool_revoke(struct pool *pool, const struct door *door);

/* Has a thread of the pool call the door's procedure for DOOR_UNREF. */
void pool_tell_unreferenced(struct pool *pool, struct door *door);

/* Calls pool->check unless the pool is full; for when it may need more threads. */
void pool_check(struct pool *pool);

/* How many of the pool's threads wait for a call. */
unsigned pool_idle_count(struct pool *pool);

/*
 * Makes a channel to the reference's door, for whose calls the pool's threads look.  Its
 * descriptors are charged to who.  Takes bell_fd over.  The loop owns the channel.
 * *client_control becomes the client's end, which the caller sends and closes.  Returns NULL
 * and errno if it fails: EMFILE over quota, EPROTO bell_fd is no bell.
 */
struct server_channel *pool_open_channel(struct door_reference *reference,
                                         const struct ucred *who, int bell_fd,
                                         int *client_control);

/* How many threads run the door's procedure, even if their callers are gone. */
unsigned pool_busy_count(struct pool *pool, const struct door *door);

/* How many calls of door were taken and have no reply yet. */
unsigned pool_running(struct pool *pool, const struct door *door);

/*
 * Waits for something to do.  Sets thread->channel (with a reference) and thread->slot for a
 * call, or thread->unreferenced.  Returns -1 if the pool is closed, or the thread is to end.
 */
int pool_take_call(struct server_thread *thread);

/*
 * The thread is about to reply: until pool_take_call() or pool_leave_channel(),
 * one of which must follow, callers of its channel need not ring.
 */
void pool_look_out(struct server_thread *thread);
void pool_leave_channel(struct server_thread *thread);

/*
 * From now on the procedure is cancelled if the caller gives up, where the procedure allows that.
 * It is cancelled at once if the caller has given up while the thread was on its way to it.
 */
void pool_let_cancel(struct server_thread *thread);

/* Each thread calls prepare before it takes its next call. */
void pool_prepare_threads(struct pool *pool, int (*prepare)(void *data), void *data);

/* Sets the maximum of threads and the idle time.  Idle threads beyond the maximum end. */
void pool_set_threads(struct pool *pool, unsigned max, unsigned idle_ms);

void pool_add_thread(struct pool *pool, struct server_thread *thread);
void pool_remove_thread(struct server_thread *thread);

#endif
