/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * wait_set.h: an epoll of the library's own, and a socket in it that wakes threads that
 * wait there.  All epolls have the same inode, so an epoll cannot be identified by itself;
 * it is the right one if the socket, which has a cookie, is in it.  Nothing is ever sent.
 */
#ifndef LIBDOOR_WAIT_SET_H
#define LIBDOOR_WAIT_SET_H

#include <stdatomic.h>
#include <stdint.h>

struct wait_set {
    _Atomic int epoll_fd;    /* -1: none; like the next two, set by make and close only */
    _Atomic int waker_fd;
    _Atomic uint64_t cookie; /* of the socket waker_fd */
};

/* The data of epoll_wait(2)'s event for a wake-up. */
#define WAIT_SET_WAKE 0

/*
 * Makes a set.  Returns 0, or -1 with errno; then set has not changed.  Old descriptors are
 * not closed: their numbers may be the program's by now.
 */
int wait_set_make(struct wait_set *set);

/* Closes the set, if its descriptors are still there. */
void wait_set_close(struct wait_set *set);

/* Whether both descriptors are still there. */
int wait_set_is_there(const struct wait_set *set);

/*
 * Wakes one thread.  Two wake-ups before a thread has noticed the first count as one.  Returns
 * -1 if the set is not there any more.
 */
int wait_set_wake(const struct wait_set *set);

#endif
