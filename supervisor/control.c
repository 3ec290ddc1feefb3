/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * control.c: the messages from httpd's parent to the supervisor, on a socket of their
 * own, and the requests of httpd's children, as datagrams.  Processes that httpd's parent
 * forks for other modules inherit its end of the socket.  So where the system tells which
 * process has sent a message, only those of the parent count.
 *
 * What is to run is written to a file without a name, and the message has only the file's
 * descriptor.  So a message is small, arrives whole or not at all, and sending it never
 * waits for the supervisor.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "supervisor.h"

#define FDS_MAX 2

#ifdef SCM_CREDENTIALS
#define SENDER_SPACE CMSG_SPACE(sizeof(struct ucred))
#else
#define SENDER_SPACE 0
#endif

struct control_head {
    uint32_t version;
    uint32_t kind;
    uint32_t has_file, has_log;
};

struct record_head {
    uint32_t kind;
    uint32_t len; /* bytes that follow */
};

union fd_space {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(FDS_MAX * sizeof(int)) + SENDER_SPACE];
};

/* ---------------------------------------------------------------- the file */

FILE *control_file(void)
{
#ifdef MFD_CLOEXEC
    int fd = memfd_create("mod_door", MFD_CLOEXEC);
    FILE *file = fd != -1 ? fdopen(fd, "w+") : NULL;

    if (file == NULL && fd != -1)
        close(fd);
    return file;
#else
    return tmpfile();
#endif
}

int control_add(FILE *file, enum control_record kind, const void *data, size_t len)
{
    struct record_head head = {.kind = (uint32_t)kind, .len = (uint32_t)len};

    return fwrite(&head, sizeof(head), 1, file) == 1 && fwrite(data, 1, len, file) == len ? 0 : -1;
}

int control_next(FILE *file, void **data, size_t *len)
{
    struct record_head head;

    *data = NULL;
    errno = EPROTO;
    if (fread(&head, sizeof(head), 1, file) != 1)
        return ferror(file) ? -1 : 0;
    if (head.len > DEFINITION_MAX)
        return -1;
    *len = head.len;
    *data = malloc(head.len + 1);
    if (*data == NULL)
        return -1;
    ((char *)*data)[head.len] = '\0';
    if (fread(*data, 1, head.len, file) == head.len)
        return (int)head.kind;
    free(*data);
    *data = NULL;
    return -1;
}

/* -------------------------------------------------------------- the message */

static void attach_fds(struct msghdr *message, union fd_space *space, const int *fds, size_t count)
{
    struct cmsghdr *header;

    if (count == 0)
        return;
    memset(space, 0, sizeof(*space));
    message->msg_control = space->bytes;
    message->msg_controllen = CMSG_SPACE(count * sizeof(int));
    header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
}

int control_make(int ends[2])
{
#ifdef SCM_CREDENTIALS
    const int on = 1;
#endif

    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == -1)
        return -1;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
#ifdef SCM_CREDENTIALS
    setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
#endif
    return 0;
}

int control_send(int socket, enum control_kind kind, FILE *file, int log_fd)
{
    struct control_head head = {.version = SUPERVISOR_VERSION, .kind = (uint32_t)kind};
    struct iovec part = {.iov_base = &head, .iov_len = sizeof(head)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    union fd_space space;
    int fds[FDS_MAX];
    size_t count = 0;
    ssize_t sent;

    if (file != NULL) {
        if (fflush(file) == EOF || ferror(file) || fseek(file, 0, SEEK_SET) == -1)
            return -1;
        fds[count++] = fileno(file);
        head.has_file = 1;
    }
    if (log_fd != -1) {
        fds[count++] = log_fd;
        head.has_log = 1;
    }
    attach_fds(&message, &space, fds, count);
    do
        sent = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent == -1 && errno == EINTR);
    return sent == (ssize_t)sizeof(head) ? 0 : -1;
}

/*
 * Takes the descriptors and returns their number.  *sender becomes the sender's pid if the
 * system tells it, and stays as it is otherwise.
 */
static size_t take_fds(struct msghdr *message, int fds[FDS_MAX], pid_t *sender)
{
    struct cmsghdr *header;
    size_t count = 0;

    (void)sender; /* not used on systems without SCM_CREDENTIALS */
    for (header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET)
            continue;
        if (header->cmsg_type == SCM_RIGHTS) {
            count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(fds, CMSG_DATA(header), count * sizeof(int));
        }
#ifdef SCM_CREDENTIALS
        if (header->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;

            memcpy(&who, CMSG_DATA(header), sizeof(who));
            *sender = who.pid;
        }
#endif
    }
    return count;
}

static int use_fds(const struct control_head *head, const int *fds, size_t count, FILE **file,
                   int *log_fd)
{
    if (count != (size_t)(head->has_file != 0) + (head->has_log != 0)) {
        errno = EMFILE; /* the system has dropped descriptors for which there was no room */
        return -1;
    }
    if (head->has_file && (*file = fdopen(fds[0], "r")) == NULL)
        return -1;
    if (head->has_log)
        *log_fd = fds[count - 1];
    return 0;
}

int control_receive(int socket, pid_t parent, FILE **file, int *log_fd)
{
    struct control_head head;
    struct iovec part = {.iov_base = &head, .iov_len = sizeof(head)};
    union fd_space space;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = space.bytes,
                             .msg_controllen = sizeof(space.bytes)};
    ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT);
    int fds[FDS_MAX];
    pid_t sender = parent;
    size_t count;
    int error;

    *file = NULL;
    *log_fd = -1;
    if (got <= 0)
        return (int)got;
    count = take_fds(&message, fds, &sender);
    errno = sender != parent ? EPERM : EPROTO;
    if (sender == parent && got == (ssize_t)sizeof(head) && head.version == SUPERVISOR_VERSION &&
        use_fds(&head, fds, count, file, log_fd) == 0)
        return (int)head.kind;
    error = errno;
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    errno = error;
    return -1;
}

void control_ask_again(int socket)
{
    send(socket, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int control_is_asked_again(int socket)
{
    char byte;

    return recv(socket, &byte, 1, MSG_DONTWAIT) == 1;
}

int control_is_closed(int socket)
{
    char byte;

    return recv(socket, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
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
