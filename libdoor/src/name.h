/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * name.h: opening what has a door's name.  On Linux a name is a listening
 * socket; open(2) on it says ENXIO, and then the calls here do the work.
 */
#ifndef LIBDOOR_NAME_H
#define LIBDOOR_NAME_H

#include <sys/types.h>

/* The path by which /proc/self/fd leads to fd; written to path, and returned. */
#define NAME_PROC_SIZE 32
const char *name_in_proc(char path[NAME_PROC_SIZE], int fd);

/*
 * The name of the placeholder while a socket of that inode has its name.  Whatever
 * the socket is called, then, the placeholder beside it is found.
 */
#define NAME_KEPT_SIZE 40
void name_kept(char kept[NAME_KEPT_SIZE], ino_t socket);

/* The permissions of a name: who may read may call; connect(2) asks for writing. */
mode_t name_mode(mode_t mode);

/* Whether fd is an O_PATH descriptor of a socket: reading, closing it never block. */
int name_is_socket(int fd);

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
