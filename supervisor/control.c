/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * control.c: the messages from httpd's parent, on a stream socket that nobody
 * else has, and the verbs of its children, on datagrams.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "supervisor.h"

#define SEND_TIMEOUT_MS 10000

struct control_head {
    uint32_t version;
    uint32_t kind;
    uint32_t len; /* bytes that follow */
    uint32_t has_fd;
};

union fd_space {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
};

/* --------------------------------------------------------------- sending */

static int wait_for(int socket, short events)
{
    struct pollfd p = {.fd = socket, .events = events};
    int result;

    while ((result = poll(&p, 1, SEND_TIMEOUT_MS)) == -1 && errno == EINTR)
        continue;
    if (result == 0)
        errno = EAGAIN;
    return result > 0 ? 0 : -1;
}

static void attach_fd(struct msghdr *message, union fd_space *space, int fd)
{
    struct cmsghdr *header;

    memset(space, 0, sizeof(*space));
    message->msg_control = space->bytes;
    message->msg_controllen = sizeof(space->bytes);
    header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
}

static int send_all(int socket, const char *data, size_t len, int fd)
{
    union fd_space space;

    while (len > 0) {
        struct iovec part = {.iov_base = (char *)data, .iov_len = len};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        ssize_t sent;

        if (fd != -1)
            attach_fd(&message, &space, fd);
        sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent == -1 && errno == EAGAIN && wait_for(socket, POLLOUT) == 0)
            continue;
        if (sent == -1 && errno == EINTR)
            continue;
        if (sent == -1)
            return -1;
        fd = -1;
        data += sent;
        len -= (size_t)sent;
    }
    return 0;
}

int control_send(int socket, enum control_kind kind, const void *data, size_t len, int fd)
{
    struct control_head head = {.version = SUPERVISOR_VERSION,
                                .kind = (uint32_t)kind,
                                .len = (uint32_t)len,
                                .has_fd = fd != -1};

    if (send_all(socket, (const char *)&head, sizeof(head), fd) == -1)
        return -1;
    return send_all(socket, data, len, -1);
}

/* ------------------------------------------------------------- receiving */

static int take_fd(struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd = -1;

    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return fd;
}

/* All len bytes; 0 at the end, also if that is in the middle. */
static int receive_all(int socket, char *data, size_t len, int *fd)
{
    while (len > 0) {
        union fd_space space;
        struct iovec part = {.iov_base = data, .iov_len = len};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        ssize_t got;
        int taken;

        message.msg_control = space.bytes;
        message.msg_controllen = sizeof(space.bytes);
        got = recvmsg(socket, &message, MSG_DONTWAIT);
        if (got == -1 && errno == EAGAIN && wait_for(socket, POLLIN) == 0)
            continue;
        if (got == -1 && errno == EINTR)
            continue;
        if (got <= 0)
            return (int)got;
        taken = take_fd(&message);
        if (taken != -1 && fd != NULL && *fd == -1)
            *fd = taken;
        else if (taken != -1)
            close(taken);
        data += got;
        len -= (size_t)got;
    }
    return 1;
}

int control_receive(int socket, void **data, size_t *len, int *fd)
{
    struct control_head head;
    int result;

    *data = NULL;
    *fd = -1;
    result = receive_all(socket, (char *)&head, sizeof(head), fd);
    if (result <= 0)
        return result;
    if (head.version != SUPERVISOR_VERSION || head.len > DEFINITION_MAX) {
        errno = EPROTO;
        return -1;
    }
    *len = head.len;
    *data = malloc(head.len + 1);
    if (*data == NULL)
        return -1;
    ((char *)*data)[head.len] = '\0';
    result = receive_all(socket, *data, head.len, NULL);
    return result == 1 ? (int)head.kind : result;
}

/* ---------------------------------------------------------------- verbs */

void request_send(int socket, enum request_verb verb, const char *name)
{
    struct request_message message;

    memset(&message, 0, sizeof(message));
    message.version = SUPERVISOR_VERSION;
    message.verb = verb;
    strncpy(message.name, name, APP_NAME_MAX);
    send(socket, &message, sizeof(message), MSG_DONTWAIT | MSG_NOSIGNAL);
}
