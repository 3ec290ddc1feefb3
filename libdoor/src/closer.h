/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * closer.h: closes descriptors that a peer has sent.  close(2) of such a descriptor may
 * block for as long as the peer likes: because of the server of a FUSE file, a lingering
 * TCP socket, or a Unix socket that has such descriptors in its queue.  So a few threads
 * that may block do this, and waiting descriptors are charged to their sender.
 *
 * It cannot be found out in advance that close(2) of a descriptor will not block: fstat(2)
 * itself asks a FUSE server, and something may be put into a socket's queue afterwards.
 * The one exception is a socket of the library's own that was shut down: closer_shut().
 *
 * This file knows nothing of doors.  Every function may be called from any thread, never
 * waits for a peer, and leaves errno alone.
 */
#ifndef LIBDOOR_CLOSER_H
#define LIBDOOR_CLOSER_H

#include <sys/types.h>

/* The most threads of a process, and for one user's accounts.  One account has one at most. */
#define CLOSER_THREADS_MAX 8
#define CLOSER_USER_THREADS_MAX 2

/* How many descriptors of an account may wait: more than a message can carry (SCM_MAX_FD). */
#define CLOSER_WAITING_MAX 256

/* The state of an account. */
enum closer_state {
    CLOSER_FINE,
    CLOSER_BEHIND, /* more than CLOSER_WAITING_MAX wait: receive nothing from the peer for now */
    CLOSER_STUCK   /* and none could be closed for a second: close the peer's connection */
};

/*
 * A sender's account.  Threads are limited by user, so a user with many accounts gets no more
 * of them.  NULL stands for an account of no particular sender.
 */
struct closer_account;

/* An account for a process of this user.  Returns NULL if there is no memory. */
struct closer_account *closer_account_create(uid_t user);

/* Drops an account (or NULL).  Its waiting descriptors are still closed. */
void closer_account_drop(struct closer_account *a);

/*
 * Takes fd (or -1) over, and closes it soon.  Returns the state of the account then.  If there
 * is no place for fd, it stays open, and CLOSER_STUCK is returned.
 */
enum closer_state closer_let_go(struct closer_account *a, int fd);

/*
 * The same for a Unix SEQPACKET or STREAM socket of the library's own.  No peer has a copy of
 * it, but one may have put something into it.  Shuts it down in both directions, and closes
 * it at once if it is empty.
 */
enum closer_state closer_shut(struct closer_account *a, int fd);

enum closer_state closer_state(struct closer_account *a);

/* Has the function called once, on some thread, when the next descriptor has been closed. */
void closer_when_closed(void (*function)(void));

/*
 * Sets the function by which the closer can have one of its own called again and again until
 * that returns 0.  It is needed when no thread can be started.
 */
void closer_set_repeat(void (*repeat)(int (*function)(void)));

#endif
