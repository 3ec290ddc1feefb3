/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * closer.h: lets go of descriptors that a peer sent.  close(2) of such a one may
 * wait for as long as the peer likes: for a FUSE file's server, a lingering TCP
 * socket, a Unix socket in whose queue such a one lies.  So that happens on a few
 * threads that may wait, and what waits is charged to who sent it.
 *
 * No look at a descriptor can tell that its close will not wait: fstat(2) itself
 * asks a FUSE server, and something may be put into a socket's queue afterwards.
 * The one exception is a socket of our own that was shut down: closer_shut().
 *
 * Knows nothing of doors.  Every function may be called from any thread, never
 * waits for a peer, and leaves errno alone.
 */
#ifndef LIBDOOR_CLOSER_H
#define LIBDOOR_CLOSER_H

#include <sys/types.h>

/* At most: threads in a process, those on accounts of one user; on one account it is one. */
#define CLOSER_THREADS_MAX 8
#define CLOSER_USER_THREADS_MAX 2

/* Descriptors of an account that may wait: more than a message can carry (SCM_MAX_FD). */
#define CLOSER_WAITING_MAX 256

/* How an account stands. */
enum closer_state {
    CLOSER_FINE,
    CLOSER_BEHIND, /* more wait than that: receive nothing from the peer for a moment */
    CLOSER_STUCK   /* and for a second none of them could be closed: be done with the peer */
};

/*
 * A sender's account.  Users are kept apart: who has many accounts gets no more
 * threads for that.  NULL stands for an account of nobody in particular.
 */
struct closer_account;

/* For descriptors of a process of this user; NULL if there is no memory. */
struct closer_account *closer_account_create(uid_t user);

/* What waits there is closed all the same.  NULL is allowed. */
void closer_account_drop(struct closer_account *a);

/*
 * Takes fd over, and closes it soon; -1 is allowed.  Tells how the account stands
 * then.  CLOSER_STUCK also if there is no place for it: then it stays open.
 */
enum closer_state closer_let_go(struct closer_account *a, int fd);

/*
 * The same for a Unix SEQPACKET or STREAM socket of our own: no peer has a copy of it, but one
 * may have put something into it.  Shuts it down, in both directions, and closes it
 * at once if nothing is in it.
 */
enum closer_state closer_shut(struct closer_account *a, int fd);

enum closer_state closer_state(struct closer_account *a);

/* Has the function called once, on some thread, when the next descriptor has been closed. */
void closer_when_closed(void (*function)(void));

/*
 * Whoever can call a function again and again until it returns 0 says so here: it
 * is needed when no thread can be started.
 */
void closer_set_repeat(void (*repeat)(int (*function)(void)));

#endif
