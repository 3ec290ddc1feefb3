/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fd.h: descriptors and sockets: sending and receiving them, telling doors
 * from other files, keeping the library's own out of the program's way.
 * Knows nothing of calls.
 */
#ifndef LIBDOOR_FD_H
#define LIBDOOR_FD_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "closer.h"

/* openat(2) itself: the library's own function of that name opens doors, too. */
int fd_open(int dirfd, const char *path, int oflag);

/*
 * Every descriptor of the library's own is close-on-exec and has a number that
 * open(2) would not hand out soon, if one is left: programs count on low numbers,
 * and close ranges of them.  A forked child closes them: its copies would hide the
 * end of its parent from others.  Takes fd over; returns the new number, or -1 with
 * fd closed.  What a peer sent must have been looked at before: fstat(2) of a FUSE
 * file may wait.
 */
int fd_hide(int fd);

/*
 * A descriptor of the library's own, and what it was when it was made.  The
 * program may close numbers that it does not know, and get them again for
 * files of its own: so each is looked at before it is used.
 */
struct own_fd {
    int fd;          /* -1: none */
    uint64_t cookie; /* of a socket, else 0 and */
    dev_t dev;
    ino_t ino; /* which eventfds and epolls all have the same: never for these */
};

/* Takes fd over and hides it; .fd is -1, with errno, if that fails. */
struct own_fd own_fd(int fd);

/* True if the number still means the same file. */
int own_fd_check(const struct own_fd *own);

/* Closes it, unless the number means another file by now. */
void own_fd_close(struct own_fd *own);

/* The same for a socket of a pair, in which the peer may have put something (closer.h). */
void own_fd_shut(struct own_fd *own, struct closer_account *account);

/* close(2) that keeps errno and accepts -1; not for what a peer sent. */
void fd_close(int fd);

/* closer_let_go() of a descriptor that is on nobody's account. */
void close_foreign(int fd);

/*
 * A door descriptor is one end of a SEQPACKET socket, marked by a receive
 * low-water mark that nobody would choose.  The mark belongs to the open
 * socket and so travels with it through dup, fork, exec and SCM_RIGHTS.
 */
int fd_mark_door(int fd);
int fd_is_door(int fd); /* 1, 0, or -1 with EBADF */

/* The socket's number, which the kernel never uses twice; 0 if fd is no socket. */
uint64_t fd_cookie(int fd);

/* A connected SEQPACKET pair, both ends close-on-exec. */
int fd_pair(int pair[2]);

/*
 * A bell: a pipe, which its owner rings by a byte, and whose other end somebody else
 * has in an epoll, edge-triggered, and never reads.  The owner's descriptor is of its
 * own making and open for both directions: nobody can make it block, or break.
 *
 * fd_bell: the owner's end, hidden; *heard is the other one, to be sent away and closed.
 * -1 and errno.
 * fd_ring: 0, or -1 if own is not that any more.  is_again: it was rung, and not heard;
 * some kernels (Linux 5.5 to 5.13) wake nobody for a byte that comes to others.
 * fd_is_bell: whether a descriptor that came is such another end; never blocks.
 */
struct own_fd fd_bell(int *heard);
int fd_ring(const struct own_fd *own, int is_again);
int fd_is_bell(int fd);

/*
 * One message with up to count descriptors; never blocks, raises no SIGPIPE.
 * Returns 0, or -1 and errno.
 */
int fd_send(int fd, const void *data, size_t len, const int *fds, unsigned count);

/* The same, with ids that the kernel checks: they must be the process's own. */
int fd_send_as(int fd, const void *data, size_t len, const int *fds, unsigned count,
               const struct ucred *ids);

/*
 * One message of exactly len bytes with at most max descriptors (close-on-exec,
 * in fds; their number in *count).  Anything else is EPROTO, and what came with
 * it is closed.  ECONNRESET at the end of the connection; EAGAIN if nothing is
 * there.  Never blocks.
 */
int fd_recv(int fd, void *data, size_t len, int *fds, unsigned max, unsigned *count);

/*
 * The same for letters (mailbox.h).  Of descriptors that this process had no
 * room for none is kept, and *lost is 1.  What is closed is on account (closer.h).
 * *sender is what the kernel vouches for, where SO_PASSCRED is on; its pid is 0 if it
 * told nothing.
 */
int fd_recv_letter(int fd, void *data, size_t len, int *fds, unsigned max, unsigned *count,
                   struct closer_account *account, struct ucred *sender, int *lost);

/*
 * True if the process that made the other end of a connected Unix socket, or listened for
 * it, has not ended, nor does so within that time.
 */
int fd_peer_lives(int fd, int timeout_ms);

/* True if fd is a connected (or listening) Unix SEQPACKET socket. */
int fd_is_seqpacket(int fd, int listening);

#endif
