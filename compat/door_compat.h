/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door_compat.h: the few things that mod_door and door_app need beside the
 * doors API.  On Linux libdoor has them; on illumos compat/illumos.c does, on
 * top of what the system offers.
 */
#ifndef DOOR_COMPAT_H
#define DOOR_COMPAT_H

#include <stdatomic.h>
#include <stdint.h>

#include <door.h>

/*
 * open(path, O_RDONLY | O_CLOEXEC | oflag) on a door's name, relative to the
 * directory dirfd (or AT_FDCWD).  Of oflag O_NOFOLLOW has a meaning.
 *
 * Returns a descriptor that the caller closes, or -1 and errno: ENOENT, EACCES,
 * ELOOP ... as open(2); ENXIO or EINVAL if path is something else than a door;
 * EBADF if the name is a door's but its server is gone.
 * Threads: any.  May block as open(2) does.
 */
int door_openat(int dirfd, const char *path, int oflag);

/* The present time on the clock that deadlines are in, in nanoseconds. */
int64_t door_now_ns(void);

/*
 * door_call() that gives up at a time: *deadline_ns, or never while that is 0.
 * Another thread may move the deadline while the call runs; a deadline that was
 * moved later is honoured, one moved earlier may be noticed up to a second
 * late.
 *
 * Errors: ETIMEDOUT, the call was given up, whether or not it was taken (the
 * server thread goes on to its own end and its result is discarded); all of
 * door_call()'s.  Signals that the calling thread handles end it with EINTR.
 * Threads: any.
 */
int door_call_until(int d, door_arg_t *params, const _Atomic int64_t *deadline_ns);

#endif
