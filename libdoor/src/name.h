/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * name.h: opens doors by their names.  On Linux a name is a listening socket.
 * open(2) on it fails with ENXIO, and then these functions open it.
 */
#ifndef LIBDOOR_NAME_H
#define LIBDOOR_NAME_H

#include <sys/types.h>

/* Writes the path of fd in /proc/self/fd to path, and returns it. */
#define NAME_PROC_SIZE 32
const char *name_in_proc(char path[NAME_PROC_SIZE], int fd);

/*
 * The placeholder's name while the socket with that inode has its own name.  So the
 * placeholder can be found even if the socket is renamed.
 */
#define NAME_KEPT_SIZE 40
void name_kept(char kept[NAME_KEPT_SIZE], ino_t socket);

/*
 * The permissions of a door's name: whoever may read the file may call the door, for which
 * connect(2) needs write permission.
 */
mode_t name_mode(mode_t mode);

/* Whether fd is an O_PATH descriptor of a socket, so that reading and closing it never block. */
int name_is_socket(int fd);

/* What is behind a socket's name: a door with a server, one without, or another socket. */
enum name_state { NAME_LIVE, NAME_DEAD, NAME_OTHER };

/*
 * Opens the door named path.  Of oflag, only O_CLOEXEC and O_NOFOLLOW have an effect.  A
 * door whose server has died is opened, too, and calls on it fail with EBADF.  A path in
 * /proc/self/fd or /dev/fd duplicates the process's own descriptor.
 * Returns a descriptor, or -1 and errno: ENXIO path is a socket, but no door; ENODEV it
 * is no socket at all; EACCES, ENOENT, ELOOP, EMFILE ... as open(2).
 */
int name_open(int dirfd, const char *path, int oflag);

/* Whether the socket that path_fd (O_PATH) refers to is a door with a server. */
enum name_state name_probe(int path_fd);

#endif
