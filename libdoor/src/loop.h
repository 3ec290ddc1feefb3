/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * loop.h: the library's one helper thread.  It waits for everything that is
 * not a call: new connections, requests on door descriptors, the end of
 * processes at the other side.  It never blocks on a peer, and blocks all
 * signals.  Knows nothing of doors.
 */
#ifndef LIBDOOR_LOOP_H
#define LIBDOOR_LOOP_H

#include <stdint.h>
#include <sys/queue.h>

/*
 * Something to wait for.  From loop_add() on it belongs to the loop thread:
 * only ready() may remove and free it.  Another thread that wants it gone
 * calls shutdown(2) on the socket, and ready() sees EPOLLHUP; or loop_end(), if
 * the descriptor may be lost.
 */
struct watch {
    int fd;
    void (*ready)(struct watch *w, uint32_t events);
    uint32_t events;         /* as loop_add() got them */
    int is_added;            /* under the loop's lock */
    struct watch *next_end;  /* likewise: in its list of those that end */
    int is_ending;
    int is_paused;           /* likewise: in its list of those that loop_pause() set aside */
    LIST_ENTRY(watch) paused_link;
};

/* Starts the thread unless it runs.  0, or -1 and errno EAGAIN, EMFILE, ENOMEM. */
int loop_start(void);

/* Adds w (level-triggered); loop_start() must have succeeded. */
int loop_add(struct watch *w, uint32_t events);

/*
 * Any thread, which knows that w is there: ready() is called once more at least, with
 * EPOLLHUP, unless the loop has removed it.
 */
void loop_end(struct watch *w);

/* Whether w->fd is still what loop_add() got; the program may have closed it. */
int loop_has(struct watch *w);

/* In the loop thread: stops waiting for w; its descriptor stays open. */
void loop_remove(struct watch *w);

/*
 * In the loop thread: do not wait for w for the next tenth of a second.  EPOLLHUP and
 * EPOLLERR are told of all the same, again and again: then ready() must end it.
 */
void loop_pause(struct watch *w);

/* From any thread: all that is set aside so is waited for again now. */
void loop_resume(void);

/* What the loop does again and again, each of them with one function. */
enum loop_timer {
    LOOP_GROW,    /* every millisecond */
    LOOP_MEMORY, /* every second */
    LOOP_CLOSER,  /* every tenth of a second */
    LOOP_TIMER_COUNT
};

/*
 * Has the loop call function() so often for as long as it returns non-zero.  May
 * be called from any thread.
 */
void loop_repeat(enum loop_timer timer, int (*function)(void));

#endif
