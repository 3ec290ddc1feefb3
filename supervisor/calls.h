/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * calls.h: the calls that httpd's children make: which run, which wait, and which is next.
 *
 * This one table tells httpd's children and the supervisor; there are no sums that could
 * become wrong.  A call has a note in the table while it lasts, and only the child that makes
 * the call writes there.  Notes come in blocks, and a block belongs to one child.  When a
 * child has ended in any way, httpd's parent empties its blocks.  The table outlives
 * restarts, so children of all generations are in it.
 *
 * Every child can write every byte of the table, so what it says is only a hint.  At worst
 * a child can have a process replaced, or requests turned away.
 */
#ifndef MOD_DOOR_CALLS_H
#define MOD_DOOR_CALLS_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

enum call_phase {
    CALL_NONE,    /* the note is free */
    CALL_ENTERED, /* not made yet: httpd reads the request, or looks for a process */
    CALL_IN_LINE, /* waits in httpd for a place */
    CALL_MADE,    /* made; it runs, unless no thread has taken it by take_by_ns */
    CALL_WAITS,   /* made again, after a try that no thread took */
    CALL_PAUSED   /* runs, but httpd's turn: it reads from the client, or sends to it */
};

#define CALL_NOT_YET_MADE (INT64_MAX / 2) /* as take_by_ns: it will be made in a moment */

struct call_note {
    _Atomic uint64_t key;        /* the target: a process's serial, calls_path_key(), or 0 */
    _Atomic uint64_t ticket;     /* its place in the line; 0: being drawn, or none */
    _Atomic int64_t take_by_ns;  /* a call that is still made after this time has been taken */
    _Atomic int64_t deadline_ns; /* of DoorTimeout; 0: none, or it is httpd's turn */
    _Atomic uint32_t phase;      /* enum call_phase */
    sem_t called;                /* posted to wake a call in line, which may have a place now */
};

struct calls;

/* Shared with all processes that are forked later.  Returns NULL if there is no memory. */
struct calls *calls_make(void);

/* In httpd's parent: forgets the calls of a child that has ended; or of all that have ended. */
void calls_forget_child(struct calls *calls, pid_t child);
void calls_forget_dead(struct calls *calls);

/* Takes a note for this process, in CALL_ENTERED and without a key.  NULL if none is left. */
struct call_note *calls_take(struct calls *calls);
void calls_give_back(struct call_note *note);

/* The key of the door at a path, which is a hash of it. */
uint64_t calls_path_key(const char *path);

/* ------------------------------------------------------------- the line */

/* Puts the call at the end of its key's line, in CALL_IN_LINE. */
void calls_stand_in_line(struct calls *calls, struct call_note *note);

/*
 * How many other calls with its key run, or stand in line before it.  A call may run if fewer
 * than max are ahead of it; then it becomes CALL_MADE.  No two calls can take the same place
 * in this way.
 */
unsigned calls_ahead(struct calls *calls, const struct call_note *note);

/* Notes that no thread took the call: CALL_WAITS. */
void calls_begin_to_wait(struct calls *calls, struct call_note *note);

/* How many calls in CALL_WAITS have begun to wait before this one. */
unsigned calls_waiting_ahead(struct calls *calls, const struct call_note *note);

/* Sleeps until the note is called, or at most ms milliseconds.  May wake without a reason. */
void calls_wait(struct call_note *note, unsigned ms);

/* Wakes the first call in line, after a place has become free. */
void calls_call_next(struct calls *calls, uint64_t key);

/* ----------------------------------------------------------- what is seen */

struct calls_seen {
    unsigned inside;  /* all notes with the key */
    unsigned running; /* those of them that are made, and not known to wait */
    unsigned waiting; /* those of them in line, or not taken by a thread */
    int is_in_time;   /* some taken call is within its DoorTimeout, or in httpd's turn */
    int is_untimed;   /* some taken call has no DoorTimeout */
};

void calls_look(struct calls *calls, uint64_t key, int64_t now_ns, struct calls_seen *seen);

/* Counts the notes with each of these keys. */
void calls_count(struct calls *calls, const uint64_t *keys, unsigned *counts, unsigned key_count);

#endif
