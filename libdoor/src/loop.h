/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * loop.h: the library's helper thread.  It waits for everything that is not a call:
 * new connections, requests on door descriptors, ends of peer processes.  It never
 * blocks on a peer, and has all signals blocked.  This file knows nothing of doors.
 */
#ifndef LIBDOOR_LOOP_H
#define LIBDOOR_LOOP_H

#include <stdint.h>
#include <sys/queue.h>

/*
 * A descriptor to wait for.  From loop_add() on it belongs to the loop thread: only
 * ready() may remove and free it.  To end it, another thread calls shutdown(2) on the
 * socket, so that ready() gets EPOLLHUP; or loop_end(), if the descriptor may be lost.
 * The members from is_added on are guarded by the loop's lock.
 */
struct watch {
    int fd;
    void (*ready)(struct watch *w, uint32_t events);
    uint32_t events;         /* as given to loop_add() */
    int is_added;
    struct watch *next_end;  /* in the list of watches that end */
    int is_ending;
    int is_paused;           /* in the list of watches that loop_pause() has set aside */
    LIST_ENTRY(watch) paused_link;
};

/* Starts the thread if it does not run.  Returns 0, or -1 and errno: EAGAIN, EMFILE, ENOMEM. */
int loop_start(void);

/* Adds w (level-triggered); loop_start() must have succeeded.  Returns 0, or -1 and errno. */
int loop_add(struct watch *w, uint32_t events);

/*
 * Has ready() called at least once more, with EPOLLHUP, unless the loop has removed w.  May be
 * called from any thread for which w still exists.
 */
void loop_end(struct watch *w);

/* Whether w->fd is still the file that was added; the program may have closed it. */
int loop_has(struct watch *w);

/* In the loop thread: stops waiting for w; its descriptor stays open. */
void loop_remove(struct watch *w);

/*
 * In the loop thread: does not wait for w for a tenth of a second.  EPOLLHUP and EPOLLERR are
 * still reported, again and again, so ready() must end w then.
 */
void loop_pause(struct watch *w);

/* From any thread: ends all pauses now. */
void loop_resume(void);

/* The loop's timers.  Each of them calls one function. */
enum loop_timer {
    LOOP_GROW,    /* every millisecond */
    LOOP_MEMORY, /* every second */
    LOOP_CLOSER,  /* every tenth of a second */
    LOOP_TIMER_COUNT
};

/*
 * Has the loop call function() at the timer's rate until it returns 0.  More than 1 is after how
 * many periods it is to be called next.  May be called from any thread.  Costs nothing, and wakes
 * nobody, if the function is to be called again anyway.
 */
void loop_repeat(enum loop_timer timer, int (*function)(void));

#endif
