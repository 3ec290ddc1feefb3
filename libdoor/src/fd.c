/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fd.c: see fd.h.
 */
#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "closer.h"
#include "fork.h"

#define DOOR_MARK 0x646f6f72 /* "door" */
#define FD_BATCH_MAX 253     /* SCM_MAX_FD, unix(7) */
#define HIDE_FROM 512
#define OWN_MAX 65536
#define BELL_SIZE 4096 /* bytes; the least that a pipe can have */

/*
 * What fd_hide() has seen at each number: a socket's cookie, or a device and an inode.
 * Numbers from OWN_MAX on are not noted, and stay open in a forked child.  Pages that are
 * never written cost nothing.
 */
static struct own_number {
    _Atomic uint64_t id, dev; /* id 0: nothing */
} own_numbers[OWN_MAX];
static _Atomic int own_end; /* one more than the highest number that is noted */

int fd_open(int dirfd, const char *path, int oflag)
{
    return (int)syscall(SYS_openat, dirfd, path, oflag | O_LARGEFILE);
}

/* The cookie or inode of fd; 0 if it has none. */
static uint64_t identify(int fd, uint64_t *dev)
{
    uint64_t cookie = fd_cookie(fd);
    struct stat st;

    *dev = 0;
    if (cookie != 0 || fstat(fd, &st) < 0)
        return cookie;
    *dev = st.st_dev;
    return st.st_ino;
}

/* Closes the number, unless the program has closed it and it is another file now. */
static void close_own_number(int fd)
{
    uint64_t dev, id = atomic_exchange(&own_numbers[fd].id, 0);

    if (id != 0 && identify(fd, &dev) == id && dev == atomic_load(&own_numbers[fd].dev))
        close(fd);
}

static void forked(void)
{
    int saved = errno;

    for (int fd = atomic_exchange(&own_end, 0) - 1; fd >= 0; fd--)
        close_own_number(fd);
    errno = saved;
}

static void note_own(int fd)
{
    static struct fork_part part = {.child = forked};
    int end = atomic_load(&own_end);
    uint64_t dev, id;

    if (fd < 0 || fd >= OWN_MAX || fork_register(&part) < 0)
        return;
    id = identify(fd, &dev);
    atomic_store(&own_numbers[fd].dev, dev);
    atomic_store(&own_numbers[fd].id, id);
    while (end <= fd && !atomic_compare_exchange_weak(&own_end, &end, fd + 1))
        continue;
}

void fd_close(int fd)
{
    int saved = errno;

    if (fd >= 0 && fd < OWN_MAX)
        atomic_store(&own_numbers[fd].id, 0);
    if (fd >= 0)
        close(fd);
    errno = saved;
}

void close_foreign(int fd)
{
    closer_let_go(NULL, fd);
}

/* Returns fd, or a copy with a high number. */
static int hide(int fd)
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
        return fd; /* no high number is left */
    fd_close(fd);
    return hidden;
}

int fd_hide(int fd)
{
    int hidden = hide(fd);

    note_own(hidden);
    return hidden;
}

struct own_fd own_fd(int fd)
{
    struct own_fd own = {.fd = fd_hide(fd)};
    struct stat st;

    if (own.fd < 0)
        return own;
    own.cookie = fd_cookie(own.fd);
    if (own.cookie == 0 && fstat(own.fd, &st) == 0) {
        own.dev = st.st_dev;
        own.ino = st.st_ino;
    }
    return own;
}

int own_fd_check(const struct own_fd *own)
{
    struct stat st;

    if (own->cookie != 0)
        return fd_cookie(own->fd) == own->cookie;
    return own->fd >= 0 && fstat(own->fd, &st) == 0 && st.st_dev == own->dev &&
           st.st_ino == own->ino;
}

void own_fd_close(struct own_fd *own)
{
    if (own_fd_check(own))
        fd_close(own->fd);
    own->fd = -1;
}

void own_fd_shut(struct own_fd *own, struct closer_account *account)
{
    if (own_fd_check(own))
        closer_shut(account, own->fd);
    own->fd = -1;
}

int fd_mark_door(int fd)
{
    int mark = DOOR_MARK;

    /*
     * Answers never come on this socket, so read(2) finds the end of the file.  write(2)
     * must not block, even if the server is stopped.
     */
    if (shutdown(fd, SHUT_RD) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return -1;
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

/* Before Linux 5.3, each network namespace counted its sockets separately. */
static int cookies_are_unique(void)
{
    static _Atomic int known; /* 1, or -1: they are not */
    struct utsname system;
    int major = 0, minor = 0;

    if (known == 0 && uname(&system) == 0)
        sscanf(system.release, "%d.%d", &major, &minor);
    if (known == 0)
        known = major > 5 || (major == 5 && minor >= 3) ? 1 : -1;
    return known > 0;
}

/*
 * Without unique cookies, and under qemu's user emulation, which has no SO_COOKIE, this is the
 * inode number of the socket.  No two sockets have the same one at the same time.
 */
uint64_t fd_cookie(int fd)
{
    uint64_t cookie = 0;
    int type;
    socklen_t len = sizeof(cookie), type_len = sizeof(type);
    struct stat st;

    if (cookies_are_unique() &&
        getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0)
        return cookie;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) < 0)
        return 0; /* also for an O_PATH descriptor of a socket's name */
    return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

int fd_pair(int pair[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

struct own_fd fd_bell(int *heard)
{
    struct own_fd own = {.fd = -1};
    char path[32];
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return own;
    fcntl(ends[1], F_SETPIPE_SZ, BELL_SIZE); /* if this fails, the pipe is larger */
    snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[1]);
    own = own_fd(fd_open(AT_FDCWD, path, O_RDWR | O_NONBLOCK | O_CLOEXEC));
    fd_close(ends[1]);
    if (own.fd < 0)
        fd_close(ends[0]);
    else
        *heard = ends[0];
    return own;
}

/* Empties a full pipe before it writes again, so that epoll reports a new event. */
int fd_ring(const struct own_fd *own, int is_again)
{
    char old[256]; /* small: each thread that rings keeps the stack that it touched */

    if (!own_fd_check(own))
        return -1;
    if (!is_again && write(own->fd, "", 1) == 1)
        return 0;
    if (!is_again && errno == ENOMEM)
        return 0; /* the waiting caller will ring again */
    if (!is_again && errno != EAGAIN)
        return -1;
    while (read(own->fd, old, sizeof(old)) > 0)
        continue;
    return write(own->fd, "", 1) == 1 || errno == EAGAIN || errno == ENOMEM ? 0 : -1;
}

int fd_is_bell(int fd)
{
    static const char pipe_name[] = "pipe:[";
    char path[32], name[sizeof(pipe_name)];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return readlink(path, name, sizeof(name)) == sizeof(name) &&
           memcmp(name, pipe_name, sizeof(pipe_name) - 1) == 0 &&
           (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
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

/* Appends one item to the control data of msg. */
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

/* Takes the descriptors of one item, and closes those beyond max. */
static unsigned take_fds(const struct cmsghdr *c, int *fds, unsigned taken, unsigned max,
                         struct closer_account *account)
{
    unsigned count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));

    for (unsigned i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
        if (taken < max)
            fds[taken++] = fd;
        else
            closer_let_go(account, fd);
    }
    return taken;
}

/* recvmsg(2), with descriptors (those beyond max are closed) and the sender's credentials. */
static ssize_t receive(int fd, void *data, size_t len, int *fds, unsigned max, unsigned *count,
                       struct closer_account *account, struct ucred *sender, int *flags)
{
    union control control;
    struct iovec iov = {.iov_base = data, .iov_len = len};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    ssize_t got = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    *count = 0;
    if (got < 0)
        return -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            *count = take_fds(c, fds, *count, max, account);
        else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS)
            memcpy(sender, CMSG_DATA(c), sizeof(*sender));
    }
    *flags = msg.msg_flags;
    return got;
}

/*
 * Asks the kernel again at the end: it first looks for a message and then for the end, so it
 * reports the end too early if a message and the end come in between.  After the end no message
 * comes, so the second answer is right.
 */
static ssize_t receive_or_end(int fd, void *data, size_t len, int *fds, unsigned max,
                              unsigned *count, struct closer_account *account,
                              struct ucred *sender, int *flags)
{
    ssize_t got = receive(fd, data, len, fds, max, count, account, sender, flags);

    if (got != 0 || *count != 0)
        return got;
    got = receive(fd, data, len, fds, max, count, account, sender, flags);
    return got < 0 && errno == EAGAIN ? 0 : got; /* the first was a message without bytes */
}

int fd_recv_letter(int fd, void *data, size_t len, int *fds, unsigned max, unsigned *count,
                   struct closer_account *account, struct ucred *sender, int *lost)
{
    int flags = 0;
    ssize_t got;

    *sender = (struct ucred){0};
    got = receive_or_end(fd, data, len, fds, max, count, account, sender, &flags);
    if (got < 0)
        return -1;
    *lost = (flags & MSG_CTRUNC) != 0;
    if ((size_t)got == len && (flags & MSG_TRUNC) == 0 && !*lost)
        return 0;
    while (*count > 0)
        closer_let_go(account, fds[--*count]);
    if (*lost && (size_t)got == len)
        return 0;
    errno = got == 0 ? ECONNRESET : EPROTO;
    return -1;
}

int fd_recv(int fd, void *data, size_t len, int *fds, unsigned max, unsigned *count)
{
    struct ucred sender;
    int lost;

    if (fd_recv_letter(fd, data, len, fds, max, count, NULL, &sender, &lost) < 0)
        return -1;
    if (!lost)
        return 0;
    errno = EMFILE; /* there was room for all that can come, so this is the only reason */
    return -1;
}

int fd_peer_lives(int fd, int timeout_ms)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    struct pollfd p = {.events = POLLIN};
    int lives;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.pid <= 0 ||
        peer.pid == getpid()) /* the name of a dead server is opened as a pair of this process */
        return 0;
    p.fd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
    if (p.fd < 0)
        return errno != ESRCH && errno != EINVAL && errno != ENOSYS && errno != EPERM;
    lives = poll(&p, 1, timeout_ms) == 0;
    fd_close(p.fd);
    return lives;
}
