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
    _Atomic unsigned refs;            /* the shared pool's own, its door's, bound threads' */
    struct door *door;                /* whose calls keep it; NULL in the shared pool */
    void (*check)(struct pool *pool); /* it may have too few threads; or NULL */
    _Atomic int closed;               /* its private door is revoked, or gone */
    struct wait_set set;              /* of idle threads; made anew under lock, when lost */
    _Atomic int64_t looked_ns;        /* when it was there */
    sigset_t signal_mask;             /* of the threads that the library starts */
    struct server_channel **channels; /* by id, modulo the number of places */
    unsigned channel_places;
    uint64_t next_id;
    STAILQ_HEAD(, server_channel) ready; /* have calls that nobody was woken for */
    STAILQ_HEAD(, door) unreferenced;    /* doors to be told so, with a reference each */
    LIST_HEAD(, server_thread) threads;
    _Atomic unsigned ready_count; /* in both queues */
    /* Threads that sleep, or are about to; from bit 32 on: how often set was made. */
    _Atomic uint64_t idle;
    _Atomic unsigned starting_count; /* threads of the library's that have not run yet */
    _Atomic unsigned thread_count;   /* in threads, and those that are to come there */
    _Atomic unsigned thread_max;     /* the library starts none beyond it; 0: no such */
    _Atomic unsigned idle_ms;        /* after which the library's own end; 0: never */
    _Atomic unsigned ended_count;    /* threads that have left since the heap was trimmed */
    _Atomic unsigned thread_most;    /* the highest thread_count so far */
    int (*prepare)(void *data);      /* prepare.c's, under lock, with its data */
    void *prepare_data;
    _Atomic unsigned preparation;      /* counts the times that it was set */
    _Atomic unsigned unprepared_count; /* threads that have asked and are not prepared */
    _Atomic uint64_t taken_count; /* calls taken so far */
    uint64_t taken_last;          /* at the last tick; loop thread only */
    uint64_t taken_before;        /* some ticks ago; loop thread only */
    uint64_t taken_earlier;       /* and the time before; loop thread only */
    unsigned depleted_ticks;      /* in a row; loop thread only */
    _Atomic int takes_turns;      /* its procedures compute one at a time */
    uint64_t turns[TURNS_MAX];    /* the futexes that they waited for then; loop thread only */
    unsigned turn_next;           /* whose place the next one takes; loop thread only */
    unsigned still_ticks;         /* in a row without a call taken; loop thread only */
    int is_fruitless;             /* no thread more was of use; loop thread only */
    unsigned useful_looks;        /* in a row in which one would have been; loop thread only */
};

/* A server thread between two calls, and the call it runs. */
struct server_thread {
    LIST_ENTRY(server_thread) link; /* pool->threads, under its lock */
    pthread_t pthread;
    struct pool *pool;      /* where it serves, with a reference; NULL: nowhere yet */
    struct door *bound;     /* by door_bind(), with a reference, or NULL */
    int is_ours;            /* the library has started it, and may end it */
    int is_counted;         /* in a pool's thread_count */
    int64_t idle_since_ns;  /* it has had nothing to do since then; 0: it has, or had just now */
    pid_t tid;                  /* the kernel's number of it */
    unsigned generation;        /* fork_generation() */
    unsigned preparation;       /* it is prepared as of pool->preparation */
    int is_unprepared;          /* in pool->unprepared_count */
    int is_checked;             /* it is prepared, and asks again before each call */
    int ask_ms;                 /* it asks again after so long */
    struct server_channel *hot; /* where the next call is looked for first */
    unsigned streak;            /* calls in a row from there */
    int looks_out;              /* its callers do not ring: this thread will look */
    int64_t began_ns;           /* the procedure */
    unsigned quick_count;       /* calls in a row whose procedure took next to no time */
    struct server_channel *channel; /* of the call that runs, or NULL */
    unsigned slot;                  /* of that call */
    struct door *unreferenced;      /* to be told so, instead of a call */
    int depleted;                   /* it took the pool's last idle thread */
    struct door *_Atomic in_call;   /* whose procedure runs, or NULL; for others to see */
    _Atomic int waits_turn;         /* to compute, as the procedure has said */
    int cancel_enabled;             /* in the procedure, to begin with */
    struct server_channel *cancellable; /* whose call may be cancelled; under pool->lock */
    int cancelled;                      /* it was; under pool->lock */
    uint32_t call_number;           /* of it, as its client counts */
    door_desc_t *descs;             /* its argument descriptors, malloc'ed, or NULL */
    char *arguments;                /* buffer for its arguments, mmap'ed */
    size_t arguments_cap;
    int shares_window;              /* its arguments lie in the slot's window */
    jmp_buf base;                   /* where door_return() goes back to */
};

/*
 * The pool of all doors that are not private, made at the first call.  check: called
 * whenever it may have too few threads, in any thread.  NULL: errno.
 */
struct pool *pool_shared(void (*check)(struct pool *pool));

/* A private door's pool, with a reference.  NULL and errno. */
struct pool *pool_create(struct door *door);
void pool_hold(struct pool *pool);
void pool_drop(struct pool *pool);

/* Its door takes no more calls: who is idle there wakes up and leaves. */
void pool_close(struct pool *pool);

/* door is revoked: so are its channels. */
void pool_revoke(struct pool *pool, const struct door *door);

/* Has one of the pool's threads tell door that nobody refers to it any more. */
void pool_tell_unreferenced(struct pool *pool, struct door *door);

/* A server thread has come or gone: look whether the pool needs more. */
void pool_check(struct pool *pool);

/* How many of its threads wait for a call. */
unsigned pool_idle_count(struct pool *pool);

/*
 * A new channel to the door of that reference, whose calls the pool's threads take, at the expense of who
 * asked for it; the loop's from here on.  Takes bell_fd over.  *client_control: the
 * client's end, for the caller to send and close.  NULL and errno: EMFILE over quota,
 * EPROTO that is no bell.
 */
struct server_channel *pool_open_channel(struct door_reference *reference,
                                         const struct ucred *who, int bell_fd,
                                         int *client_control);

/* How many threads run its procedure, whatever has become of their callers. */
unsigned pool_busy_count(struct pool *pool, const struct door *door);

/* How many calls of door have been taken, and have not been replied to. */
unsigned pool_running(struct pool *pool, const struct door *door);

/*
 * Waits for something to do: sets thread->channel (a reference) and ->slot for
 * a call, or thread->unreferenced.  -1 if the pool is closed, or the thread is to end.
 */
int pool_take_call(struct server_thread *thread);

/*
 * The thread is about to reply: until pool_take_call() or pool_leave_channel(),
 * one of which must follow, callers of its channel need not ring.
 */
void pool_look_out(struct server_thread *thread);
void pool_leave_channel(struct server_thread *thread);

/*
 * Who gives up the thread's call has it cancelled from now on, where it allows that; at once
 * if that was done while the thread was on its way to the procedure.
 */
void pool_let_cancel(struct server_thread *thread);

/* Each thread prepares itself before it takes its next call. */
void pool_prepare_threads(struct pool *pool, int (*prepare)(void *data), void *data);

/* From now on; its idle threads that are more than that end. */
void pool_set_threads(struct pool *pool, unsigned max, unsigned idle_ms);

void pool_add_thread(struct pool *pool, struct server_thread *thread);
void pool_remove_thread(struct server_thread *thread);

#endif
