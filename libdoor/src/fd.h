/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fd.h: descriptors and sockets: sends and receives them, tells doors from other
 * files, and keeps the library's own descriptors out of the program's way.  This
 * file knows nothing of calls.
 */
#ifndef LIBDOOR_FD_H
#define LIBDOOR_FD_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "closer.h"

/* The system call openat(2): the library's own function of that name also opens doors. */
int fd_open(int dirfd, const char *path, int oflag);

/*
 * Moves fd to a high number that open(2) does not return soon, if one is left: programs
 * rely on low numbers, and close ranges of them.  Every descriptor of the library's own is
 * hidden in this way, and close-on-exec.  A forked child closes them, because its copies
 * would hide the end of its parent from peers.  Takes fd over.  Returns the new number, or
 * -1 with fd closed.  A descriptor from a peer must have been checked before: fstat(2) of
 * a FUSE file may block.
 */
int fd_hide(int fd);

/*
 * A descriptor of the library's own, and the identity of its file.  The program may close
 * numbers that it does not know, and reuse them for its own files, so the identity is
 * checked before each use.
 */
struct own_fd {
    int fd;          /* -1: none */
    uint64_t cookie; /* of a socket; otherwise 0, and the next two are set */
    dev_t dev;
    ino_t ino; /* not for eventfds and epolls, which all have the same inode */
};

/* Takes fd over and hides it.  If that fails, .fd is -1, with errno. */
struct own_fd own_fd(int fd);

/* Whether the number still means the same file. */
int own_fd_check(const struct own_fd *own);

/* Closes it, unless the number means another file now. */
void own_fd_close(struct own_fd *own);

/* The same for a socket of a pair, into which the peer may have put something (closer.h). */
void own_fd_shut(struct own_fd *own, struct closer_account *account);

/* close(2) that keeps errno and accepts -1.  Not for a descriptor that a peer has sent. */
void fd_close(int fd);

/* closer_let_go() with no account. */
void close_foreign(int fd);

/*
 * A door descriptor is one end of a SEQPACKET socket pair.  It is marked by a receive
 * low-water mark that no program would choose.  The mark belongs to the open socket, so it
 * stays through dup, fork, exec and SCM_RIGHTS.
 */
int fd_mark_door(int fd);
int fd_is_door(int fd); /* 1, 0, or -1 with EBADF */

/* The socket's number, which the kernel never reuses; 0 if fd is no socket. */
uint64_t fd_cookie(int fd);

/* A connected SEQPACKET pair, both ends close-on-exec. */
int fd_pair(int pair[2]);

/*
 * A bell is a pipe.  Its owner rings it by writing a byte.  The other process has the read end
 * in an epoll, edge-triggered, and never reads.  The owner opens its own descriptor for both
 * directions, so no peer can fill it or break it.  But one that reads it into memory that is not
 * there yet (userfaultfd(2), FUSE) holds the pipe's lock meanwhile, and the owner waits for it.
 *
 * fd_bell: makes a bell, and returns the owner's end, hidden; its .fd is -1, with errno, if that
 * fails.  *heard is the read end, which the caller sends away and closes.
 * fd_ring: rings.  Returns 0, or -1 if the descriptor is lost.  is_again: the bell was rung
 * before and not heard, because some kernels (Linux 5.5 to 5.13) report no event for a further
 * byte in the pipe.
 * fd_is_bell: whether a received descriptor is a bell's read end; never blocks.
 */
struct own_fd fd_bell(int *heard);
int fd_ring(const struct own_fd *own, int is_again);
int fd_is_bell(int fd);

/*
 * Sends one message with count descriptors.  Never blocks, and raises no SIGPIPE.
 * Returns 0, or -1 and errno.
 */
int fd_send(int fd, const void *data, size_t len, const int *fds, unsigned count);

/* The same, with ids.  The kernel checks that they are the process's own. */
int fd_send_as(int fd, const void *data, size_t len, const int *fds, unsigned count,
               const struct ucred *ids);

/*
 * Receives one message of exactly len bytes with at most max descriptors (close-on-exec,
 * in fds; their number in *count).  Any other message is EPROTO, and its descriptors are
 * closed.  ECONNRESET at the end of the connection; EAGAIN if no message is there.  Never
 * blocks.
 */
int fd_recv(int fd, void *data, size_t len, int *fds, unsigned max, unsigned *count);

/*
 * The same for letters (mailbox.h).  If this process had no room for all descriptors, none
 * is kept, and *lost becomes 1.  Descriptors are closed on account (closer.h).  *sender is
 * set by the kernel if SO_PASSCRED is on; otherwise its pid is 0.
 */
int fd_recv_letter(int fd, void *data, size_t len, int *fds, unsigned max, unsigned *count,
                   struct closer_account *account, struct ucred *sender, int *lost);

/*
 * Whether the process that made the other end of a connected Unix socket, or listened for
 * it, still runs, and does not end within that time.
 */
int fd_peer_lives(int fd, int timeout_ms);

/* Whether fd is a Unix SEQPACKET socket that is connected or, if asked for, listening. */
int fd_is_seqpacket(int fd, int listening);

#endif
