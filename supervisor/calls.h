/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * calls.h: the calls that httpd's children make: who runs, who waits, whose turn it is.
 *
 * This one table says so, to httpd's children and to the supervisor; nobody keeps sums.
 * A call has a note in it for as long as it lasts, and only the child that makes the call
 * writes there.  Notes come in blocks, and a block belongs to one child: when httpd's
 * parent hears that a child has ended, however that was, its blocks are empty.  The table
 * is older than configurations, so children of all generations are in it.
 *
 * Every child can write every byte of it: what is read here is a hint, and the worst that
 * a child can do is to have a process replaced, or requests turned away.
 */
#ifndef MOD_DOOR_CALLS_H
#define MOD_DOOR_CALLS_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

enum call_phase {
    CALL_NONE,    /* the note is free */
    CALL_ENTERED, /* it is not made yet: httpd reads the request, or looks for a process */
    CALL_IN_LINE, /* it waits in httpd for its place */
    CALL_MADE,    /* it runs, if it is not withdrawn at take_by_ns */
    CALL_WAITS,   /* the same, and nobody has taken it at an earlier try */
    CALL_PAUSED   /* it runs, and it is httpd's turn: to read from a client, or to send to one */
};

#define CALL_NOT_YET_MADE (INT64_MAX / 2) /* as take_by_ns: it is made in a moment */

struct call_note {
    /* Whom it is for: a process's serial, calls_path_key(), or 0.  No cache line for two threads. */
    _Alignas(64) _Atomic uint64_t key;
    _Atomic uint64_t ticket;     /* its place in the line; 0: it draws one, or needs none */
    _Atomic int64_t take_by_ns;  /* it was taken if it is still made then */
    _Atomic int64_t deadline_ns; /* of DoorTimeout; 0: none, or it is httpd's turn */
    _Atomic uint32_t phase;      /* enum call_phase */
    sem_t called;                /* somebody in the line may have its place now */
};

struct calls;

/* Shared with all processes forked later.  NULL: ENOMEM. */
struct calls *calls_make(void);

/* In httpd's parent: that child has ended; and, once nobody has told, all that have. */
void calls_forget_child(struct calls *calls, pid_t child);
void calls_forget_dead(struct calls *calls);

/* A note for this process, CALL_ENTERED, with no key; NULL if there is none left. */
struct call_note *calls_take(struct calls *calls);
void calls_give_back(struct call_note *note);

/* The key of the door at a path. */
uint64_t calls_path_key(const char *path);

/* ------------------------------------------------------------- the line */

/* The call stands in the line of its key, behind all others: CALL_IN_LINE. */
void calls_stand_in_line(struct calls *calls, struct call_note *note);

/*
 * How many calls of its key run, or stand in the line before it.  The first max calls may
 * run if each of them asks, sees that fewer than max are ahead, and then becomes CALL_MADE:
 * no two of them believe that they have the same place.
 */
unsigned calls_ahead(struct calls *calls, const struct call_note *note);

/* Nobody has taken the call at a try: CALL_WAITS.  How many wait so that have done for longer. */
void calls_begin_to_wait(struct calls *calls, struct call_note *note);
unsigned calls_waiting_ahead(struct calls *calls, const struct call_note *note);

/* Sleeps until somebody calls the note, or for so long; there may be no reason. */
void calls_wait(struct call_note *note, unsigned ms);

/* A place has become free: the first in the line looks. */
void calls_call_next(struct calls *calls, uint64_t key);

/* ----------------------------------------------------------- what is seen */

struct calls_seen {
    unsigned inside;  /* all notes with the key */
    unsigned running; /* of these: made, and not known to wait */
    unsigned waiting; /* in the line, or untaken */
    int is_in_time;   /* a taken call is within its DoorTimeout, or it is httpd's turn */
    int is_untimed;   /* a taken call has no DoorTimeout */
};

void calls_look(struct calls *calls, uint64_t key, int64_t now_ns, struct calls_seen *seen);

/* How many notes there are for each of these keys. */
void calls_count(struct calls *calls, const uint64_t *keys, unsigned *counts, unsigned key_count);

#endif
