/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * ask.c: see ask.h.  Other processes may share the door's descriptor, so the answer comes
 * on a socket that is sent along with the request.
 */
#include "ask.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "thread.h"

#define ENDING_MS 100 /* how long the kernel may take to close an ended process's descriptors */
#define POLL_MAX_NS 1000000000ll /* longest time of one sleep */

static int64_t sooner_ns(int64_t deadline_ns)
{
    int64_t left_ns = deadline_ns == 0 ? POLL_MAX_NS : deadline_ns - thread_now_ns();

    return left_ns < POLL_MAX_NS ? left_ns : POLL_MAX_NS;
}

/* Waits until fd has one of the events.  Returns 0, or -1 with EINTR or ETIMEDOUT. */
static int await(int fd, short events, int64_t deadline_ns)
{
    struct pollfd p = {.fd = fd, .events = events};

    for (;;) {
        int64_t left_ns = sooner_ns(deadline_ns);
        if (left_ns <= 0) {
            errno = ETIMEDOUT;
            return -1;
        }
        struct timespec timeout = {.tv_sec = left_ns / 1000000000,
                                   .tv_nsec = left_ns % 1000000000};
        int count = ppoll(&p, 1, &timeout, NULL);
        if (count != 0)
            return count < 0 ? -1 : 0;
    }
}

static int send_request(int d, enum msg_op op, const int *fds, unsigned count, int64_t deadline_ns)
{
    struct msg_request request = {.magic = MSG_MAGIC, .version = SHM_VERSION, .op = (uint16_t)op};
    /* Without this, the kernel would tell the real ids. */
    struct ucred ids = {getpid(), geteuid(), getegid()};

    while (fd_send_as(d, &request, sizeof(request), fds, count, &ids) < 0) {
        switch (errno) {
        case EAGAIN:
            if (await(d, POLLOUT, deadline_ns) < 0)
                return -1;
            break;
        case EPIPE:
        case ECONNRESET:
        case ENOTCONN:
        case ECONNREFUSED:
            errno = ECONNRESET;
            return -1;
        case ETOOMANYREFS:
            errno = EMFILE;
            return -1;
        default:
            return -1;
        }
    }
    return 0;
}

/*
 * The errno for a request whose socket was closed without an answer.  EBADF: the server is
 * gone; its end may show only a moment later.  EMFILE: the server lives, but had no
 * descriptors left for the answer's socket or for this connection.
 */
static int why_unanswered(int d)
{
    struct pollfd p = {.fd = d};

    if (poll(&p, 1, ENDING_MS) == 0)
        return EMFILE;
    return fd_peer_lives(d, ENDING_MS) ? EMFILE : EBADF;
}

static int receive_answer(int fd, int64_t deadline_ns, struct msg_answer *answer, int *fds,
                          unsigned wanted)
{
    unsigned count;

    while (fd_recv(fd, answer, sizeof(*answer), fds, wanted, &count) < 0) {
        if (errno != EAGAIN || await(fd, POLLIN, deadline_ns) < 0)
            return -1;
    }
    answer->info.di_attributes &= ~(door_attr_t)DOOR_LOCAL; /* that is not the server's to say */
    if (answer->magic == MSG_MAGIC && answer->error == 0 && count == wanted)
        return 0;
    while (count > 0)
        close_foreign(fds[--count]);
    errno = answer->magic != MSG_MAGIC || answer->error == 0 ? EPROTO
                                                             : shm_errno((uint32_t)answer->error);
    return -1;
}

/* passed[0] becomes the socket for the answer; the other passed descriptors are the caller's. */
static int ask_with(int d, enum msg_op op, int *passed, unsigned pass_count, int64_t deadline_ns,
                    struct msg_answer *answer, int *fds, unsigned count)
{
    int pair[2], result;

    if (fd_pair(pair) < 0)
        return -1;
    passed[0] = pair[1];
    result = send_request(d, op, passed, pass_count, deadline_ns);
    fd_close(pair[1]);
    if (result == 0)
        result = receive_answer(pair[0], deadline_ns, answer, fds, count);
    fd_close(pair[0]);
    if (result < 0 && errno == ECONNRESET)
        errno = why_unanswered(d);
    return result;
}

int door_ask(int d, enum msg_op op, int64_t deadline_ns, struct msg_answer *answer, int *fds,
             unsigned count)
{
    return ask_with(d, op, (int[]){-1}, 1, deadline_ns, answer, fds, count);
}

int door_ask_open(int d, int bell_fd, int64_t deadline_ns, struct msg_answer *answer, int fds[2])
{
    return ask_with(d, MSG_OPEN, (int[]){-1, bell_fd}, 2, deadline_ns, answer, fds, 2);
}

int door_ask_attach(int d, int listening_fd, int path_fd, struct msg_answer *answer)
{
    return ask_with(d, MSG_ATTACH, (int[]){-1, listening_fd, path_fd}, 3, 0, answer, NULL, 0);
}
