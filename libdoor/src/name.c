/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * name.c: see name.h.
 */
#include "name.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <door_compat.h>

#include "fd.h"

#define CONNECT_MAX_S 5 /* a stopped server's queue may be full */

/* A descriptor that is a door's, with nobody at the other end. */
static int dead_door(void)
{
    int pair[2];

    if (fd_pair(pair) < 0)
        return -1;
    close(pair[1]);
    return pair[0];
}

static int is_dead(int fd)
{
    struct pollfd p = {.fd = fd};

    return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP);
}

/* A connected socket.  Through /proc, since sun_path holds 108 bytes only. */
static int connect_to(int path_fd)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = CONNECT_MAX_S}, none = {0};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d", path_fd);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0 &&
        connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none)) == 0)
        return fd;
    fd_close(fd);
    return -1;
}

enum name_state name_probe(int path_fd)
{
    int fd = connect_to(path_fd);

    if (fd >= 0) {
        close(fd);
        return NAME_LIVE;
    }
    if (errno == EPROTOTYPE)
        return NAME_OTHER;
    return errno == ECONNREFUSED ? NAME_DEAD : NAME_LIVE;
}

static int open_socket(int path_fd)
{
    int fd = connect_to(path_fd);

    if (fd < 0 && errno == ECONNREFUSED)
        fd = dead_door();
    if (fd < 0) {
        if (errno == EPROTOTYPE)
            errno = ENXIO;
        return -1;
    }
    if (fd_mark_door(fd) == 0)
        return fd;
    fd_close(fd);
    return -1;
}

int name_open(int dirfd, const char *path, int oflag)
{
    struct stat st;
    int fd = -1;
    /* Out of the way: open(2) returns the lowest number that is free. */
    int path_fd = fd_hide(openat(dirfd, path, O_PATH | O_CLOEXEC | (oflag & O_NOFOLLOW)));

    if (path_fd < 0)
        return -1;
    if (fstat(path_fd, &st) == 0) {
        if (S_ISSOCK(st.st_mode))
            fd = open_socket(path_fd);
        else
            errno = S_ISLNK(st.st_mode) ? ELOOP : ENODEV;
    }
    fd_close(path_fd);
    if (fd >= 0 && !(oflag & O_CLOEXEC))
        fcntl(fd, F_SETFD, 0);
    return fd;
}

int door_openat(int dirfd, const char *path, int oflag)
{
    int fd = name_open(dirfd, path, oflag | O_CLOEXEC);

    if (fd < 0 && errno == ENODEV)
        errno = EINVAL;
    if (fd >= 0 && is_dead(fd)) {
        int refusal = fd_refusal(fd);

        close(fd);
        errno = refusal != 0 ? refusal : EBADF;
        fd = -1;
    }
    return fd;
}
