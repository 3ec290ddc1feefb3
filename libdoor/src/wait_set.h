/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * wait_set.h: an epoll of the library's own, and a socket in it that wakes who waits
 * there.  All epolls have the same inode, so its number alone proves nothing; that the
 * socket, which is known by its cookie, is in it does.  Nothing is ever written.
 */
#ifndef LIBDOOR_WAIT_SET_H
#define LIBDOOR_WAIT_SET_H

#include <stdatomic.h>
#include <stdint.h>

struct wait_set {
    _Atomic int epoll_fd;    /* -1: none; as the next two, changed by wait_set_make() only */
    _Atomic int waker_fd;
    _Atomic uint64_t cookie; /* of that socket */
};

/* What comes out of epoll_wait(2) when somebody is woken. */
#define WAIT_SET_WAKE 0

/*
 * 0, or -1 with errno, and what was there stays.  Numbers that were there are not closed:
 * they are somebody else's by now, or nobody's.
 */
int wait_set_make(struct wait_set *set);

/* Closes them, if they are still there. */
void wait_set_close(struct wait_set *set);

/* Whether both numbers are still what they were. */
int wait_set_is_there(const struct wait_set *set);

/* Wakes one; two before the first is heard are one.  -1: it is not there any more. */
int wait_set_wake(const struct wait_set *set);

#endif
