/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * name.c: see name.h.
 */
#include "name.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <door_compat.h>

#include "fd.h"
#include "thread.h"

#define ENDING_MS 100 /* how long a process may still exist after its door has ended */
#define CONNECT_MAX_S 5 /* longest wait if the queue of a stopped server is full */

const char *name_in_proc(char path[NAME_PROC_SIZE], int fd)
{
    snprintf(path, NAME_PROC_SIZE, "/proc/self/fd/%d", fd);
    return path;
}

void name_kept(char kept[NAME_KEPT_SIZE], ino_t socket)
{
    snprintf(kept, NAME_KEPT_SIZE, ".door-placeholder.%llu", (unsigned long long)socket);
}

mode_t name_mode(mode_t mode)
{
    return (mode & 0777 & ~0222u) | (mode & 0444) >> 1;
}

int name_is_socket(int fd)
{
    struct stat st;

    return (fcntl(fd, F_GETFL) & O_PATH) && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* A descriptor of a door whose server is gone: a socket whose other end is closed. */
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

/* A socket that is connected to the name.  Uses a path in /proc, as sun_path has only 108 bytes. */
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

/* Finds a door in the directory entries of /proc/self/fd that is the socket st; or -1. */
static int pick_door(const char *list, ssize_t len, const struct stat *st)
{
    for (ssize_t at = 0; at < len;) {
        const struct dirent64 *entry = (const struct dirent64 *)(list + at);
        int fd = atoi(entry->d_name);
        struct stat other;

        if (entry->d_ino != 0 && fstat(fd, &other) == 0 && other.st_ino == st->st_ino &&
            other.st_dev == st->st_dev && fd_is_door(fd) == 1)
            return fd;
        at += entry->d_reclen;
    }
    return -1;
}

/*
 * Duplicates a door descriptor of this process.  Uses system calls only, because open(2) may be
 * called in a signal handler.
 */
static int open_again(const struct stat *st)
{
    _Alignas(struct dirent64) char list[4096];
    int dir = fd_hide(fd_open(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), fd = -1;
    ssize_t len;

    while (fd < 0 && dir >= 0 && (len = syscall(SYS_getdents64, dir, list, sizeof(list))) > 0)
        fd = pick_door(list, len, st);
    fd_close(dir);
    if (fd >= 0)
        return fcntl(fd, F_DUPFD_CLOEXEC, 0);
    errno = ENXIO;
    return -1;
}

/* Whether a socket has no name in a file system, so that the path was one in /proc/PID/fd. */
static int is_nameless(int path_fd)
{
    struct statfs fs;

    return fstatfs(path_fd, &fs) == 0 && fs.f_type == SOCKFS_MAGIC;
}

int name_open(int dirfd, const char *path, int oflag)
{
    THREAD_UNCANCELLED;
    struct stat st;
    int fd = -1;
    /* Hidden, because open(2) must return the lowest number that is free. */
    int path_fd = fd_hide(fd_open(dirfd, path, O_PATH | O_CLOEXEC | (oflag & O_NOFOLLOW)));

    if (path_fd < 0)
        return -1;
    if (fstat(path_fd, &st) == 0) {
        if (S_ISSOCK(st.st_mode))
            fd = is_nameless(path_fd) ? open_again(&st) : open_socket(path_fd);
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
    THREAD_UNCANCELLED;
    int fd = name_open(dirfd, path, oflag | O_CLOEXEC);

    if (fd < 0 && errno == ENODEV)
        errno = EINVAL;
    if (fd >= 0 && is_dead(fd)) {
        int lives = fd_peer_lives(fd, ENDING_MS);

        close(fd);
        errno = lives ? EMFILE : EBADF; /* EMFILE: the server has turned this client away */
        fd = -1;
    }
    return fd;
}
