/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fd.c: see fd.h.
 */
#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "thread.h"

#define DOOR_MARK 0x646f6f72 /* "door" */
#define FD_BATCH_MAX 253     /* SCM_MAX_FD, unix(7) */
#define HIDE_FROM 512

void fd_close(int fd)
{
    int saved = errno;

    if (fd >= 0)
        close(fd);
    errno = saved;
}

/* Lingering is the peer's wish; a thread for each such socket would be its weapon. */
static void *close_here(void *fd)
{
    struct linger none = {0};

    setsockopt((int)(intptr_t)fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close((int)(intptr_t)fd);
    return NULL;
}

void close_foreign(int fd)
{
    int saved = errno;

    if (fd >= 0 && thread_start_blocked(close_here, (void *)(intptr_t)fd) < 0)
        fd_close(fd);
    errno = saved;
}

int fd_hide(int fd)
{
    struct rlimit limit;
    int from = HIDE_FROM, hidden;

    if (fd < 0)
        return -1;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 2 * HIDE_FROM)
        from = (int)limit.rlim_cur / 2;
    if (fd >= from)
        return fd;
    hidden = fcntl(fd, F_DUPFD_CLOEXEC, from);
    if (hidden < 0 && (errno == EINVAL || errno == EMFILE))
        return fd; /* no number is left up there */
    fd_close(fd);
    return hidden;
}

struct own_fd own_fd(int fd)
{
    struct own_fd own = {.fd = fd_hide(fd)};
    struct stat st;

    if (own.fd >= 0 && fstat(own.fd, &st) == 0) {
        own.dev = st.st_dev;
        own.ino = st.st_ino;
    }
    return own;
}

int own_fd_check(const struct own_fd *own)
{
    struct stat st;

    return own->fd >= 0 && fstat(own->fd, &st) == 0 && st.st_dev == own->dev &&
           st.st_ino == own->ino;
}

void own_fd_close(struct own_fd *own)
{
    if (own_fd_check(own))
        fd_close(own->fd);
    own->fd = -1;
}

int fd_mark_door(int fd)
{
    int mark = DOOR_MARK;

    return setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark));
}

int fd_is_door(int fd)
{
    int mark = 0;
    socklen_t len = sizeof(mark);

    if (getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &mark, &len) < 0)
        return errno == EBADF ? -1 : 0;
    return mark == DOOR_MARK && fd_is_seqpacket(fd, 0);
}

uint64_t fd_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof(cookie);

    if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) < 0)
        return 0;
    return cookie;
}

int fd_pair(int pair[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int socket_option(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -1 : value;
}

int fd_is_seqpacket(int fd, int listening)
{
    return socket_option(fd, SO_DOMAIN) == AF_UNIX &&
           socket_option(fd, SO_TYPE) == SOCK_SEQPACKET &&
           socket_option(fd, SO_ACCEPTCONN) == listening;
}

/* Room for what can come with one message. */
union control {
    char space[CMSG_SPACE(FD_BATCH_MAX * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
    struct cmsghdr align;
};

/* Appends one item to what goes with msg. */
static void put_control(struct msghdr *msg, int type, const void *data, size_t len)
{
    struct cmsghdr *c = (struct cmsghdr *)((char *)msg->msg_control + msg->msg_controllen);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(c), data, len);
    msg->msg_controllen += CMSG_SPACE(len);
}

int fd_send_as(int fd, const void *data, size_t len, const int *fds, unsigned count,
               const struct ucred *ids)
{
    union control control = {0};
    struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};

    if (count > FD_BATCH_MAX) {
        errno = EINVAL;
        return -1;
    }
    if (count > 0)
        put_control(&msg, SCM_RIGHTS, fds, count * sizeof(int));
    if (ids != NULL)
        put_control(&msg, SCM_CREDENTIALS, ids, sizeof(*ids));
    return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

int fd_send(int fd, const void *data, size_t len, const int *fds, unsigned count)
{
    return fd_send_as(fd, data, len, fds, count, NULL);
}

/* The descriptors in one item; those over max are closed. */
static unsigned take_fds(const struct cmsghdr *c, int *fds, unsigned taken, unsigned max)
{
    unsigned count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

    for (unsigned i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
        if (taken < max)
            fds[taken++] = fd;
        else
            close_foreign(fd);
    }
    return taken;
}

int fd_recv_letter(int fd, void *data, size_t len, int *fds, unsigned max, unsigned *count,
                   struct ucred *sender, int *lost)
{
    union control control;
    struct iovec iov = {.iov_base = data, .iov_len = len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    ssize_t got;

    *count = 0;
    *sender = (struct ucred){0};
    got = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0)
        return -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            *count = take_fds(c, fds, *count, max);
        else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
            memcpy(sender, CMSG_DATA(c), sizeof(*sender));
    }
    *lost = (msg.msg_flags & MSG_CTRUNC) != 0;
    if ((size_t)got == len && (msg.msg_flags & MSG_TRUNC) == 0 && !*lost)
        return 0;
    while (*count > 0)
        close_foreign(fds[--*count]);
    if (*lost && (size_t)got == len)
        return 0;
    errno = got == 0 ? ECONNRESET : EPROTO;
    return -1;
}

int fd_recv(int fd, void *data, size_t len, int *fds, unsigned max, unsigned *count)
{
    struct ucred sender;
    int lost;

    if (fd_recv_letter(fd, data, len, fds, max, count, &sender, &lost) < 0)
        return -1;
    if (!lost)
        return 0;
    errno = EMFILE; /* nothing else keeps descriptors from those who have room for all that can come */
    return -1;
}

struct refusal {
    uint32_t mark;
    int32_t error;
};

void fd_refuse(int fd, int error)
{
    struct refusal refusal = {DOOR_MARK, error};

    fd_send(fd, &refusal, sizeof(refusal), NULL, 0);
}

int fd_refusal(int fd)
{
    struct refusal refusal;

    /* The error that the connection's end has left is told first. */
    for (int i = 0; i < 2; i++)
        if (recv(fd, &refusal, sizeof(refusal), MSG_PEEK | MSG_DONTWAIT) == sizeof(refusal) &&
            refusal.mark == DOOR_MARK && refusal.error > 0)
            return refusal.error;
    return 0;
}
