/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * name.h: opening what has a door's name.  On Linux a name is a listening
 * socket; open(2) on it says ENXIO, and then the calls here do the work.
 */
#ifndef LIBDOOR_NAME_H
#define LIBDOOR_NAME_H

/* What connect(2) finds behind a socket's name. */
enum name_state { NAME_LIVE, NAME_DEAD, NAME_OTHER };

/*
 * Opens the door named path; oflag: O_CLOEXEC and O_NOFOLLOW count.  A door
 * whose server has died is opened too: every call on it says EBADF.  In /proc/self/fd
 * and /dev/fd is what the process has open: that is duplicated.
 * Returns a descriptor or -1: ENXIO path is a socket, but no door; ENODEV it
 * is no socket at all; EACCES, ENOENT, ELOOP, EMFILE ... as open(2).
 */
int name_open(int dirfd, const char *path, int oflag);

/* Whether the socket that path_fd (O_PATH) refers to is a door with a server. */
enum name_state name_probe(int path_fd);

#endif
