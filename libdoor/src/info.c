/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * info.c: information about a descriptor: door_info(), isastream() and the like.
 */
#include <door.h>
#include <door_compat.h>
#include <stropts.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "ask.h"
#include "connection.h"
#include "fd.h"
#include "fork.h"
#include "server_thread.h"
#include "thread.h"

#define ANSWER_MAX_NS 1000000000ll /* longest wait for a server, which may be stopped */
#define KNOWN_COUNT 64

/* The door that the calling thread is bound to. */
static int query(door_info_t *info)
{
    struct door *door = server_thread_bound();
    struct msg_answer answer;

    if (door == NULL) {
        errno = EBADF;
        return -1;
    }
    door_describe(door, &answer);
    door_drop(door);
    *info = answer.info;
    info->di_attributes |= DOOR_LOCAL;
    return 0;
}

/* The last answers of servers, for use when they are gone; by the descriptor's socket. */
static pthread_mutex_t known_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    uint64_t cookie;
    struct door_info info;
} known[KNOWN_COUNT];

/* In a forked child, an entry may be half-written by a thread of the parent. */
static void forked(void)
{
    pthread_mutex_init(&known_lock, NULL);
    memset(known, 0, sizeof(known));
}

static void lock_known(void)
{
    static struct fork_part part = {.child = forked};

    fork_register(&part);
    pthread_mutex_lock(&known_lock);
}

static void remember(uint64_t cookie, const struct door_info *info)
{
    lock_known();
    known[cookie % KNOWN_COUNT].cookie = cookie;
    known[cookie % KNOWN_COUNT].info = *info;
    pthread_mutex_unlock(&known_lock);
}

static struct door_info recall(uint64_t cookie)
{
    struct door_info info = {0};

    lock_known();
    if (known[cookie % KNOWN_COUNT].cookie == cookie)
        info = known[cookie % KNOWN_COUNT].info;
    pthread_mutex_unlock(&known_lock);
    return info;
}

/* Without an answer: fills in what is known without the server. */
static int guess(int d, struct msg_answer *answer)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    int reason = errno;

    if (reason != EBADF && reason != ETIMEDOUT)
        return -1;
    *answer = (struct msg_answer){.info = recall(fd_cookie(d))};
    if (reason == EBADF) {
        answer->info.di_target = -1;
        answer->info.di_attributes |= DOOR_REVOKED;
    } else if (getsockopt(d, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0) {
        answer->info.di_target = peer.pid; /* the server is stopped; the kernel knows its pid */
    }
    return 0;
}

int door_info(int d, door_info_t *info)
{
    THREAD_UNCANCELLED;
    struct msg_answer answer;
    struct door *door;
    int is_door = fd_is_door(d);
    uint64_t cookie = fd_cookie(d);

    if (d == DOOR_QUERY)
        return query(info);
    if (is_door != 1) {
        errno = EBADF;
        return -1;
    }
    if (door_ask(d, MSG_INFO, thread_now_ns() + ANSWER_MAX_NS, &answer, NULL, 0) < 0) {
        if (guess(d, &answer) < 0)
            return -1;
    } else if (fd_cookie(d) == cookie) { /* else another thread has replaced it meanwhile */
        remember(cookie, &answer.info);
    }
    door = door_find_answering(&answer);
    if (door != NULL) {
        door_describe(door, &answer);
        door_drop(door);
        answer.info.di_attributes |= DOOR_LOCAL;
    }
    *info = answer.info;
    return 0;
}

int door_ask_load(int d, struct door_load *load)
{
    THREAD_UNCANCELLED;
    struct msg_answer answer;

    if (fd_is_door(d) != 1) {
        errno = EBADF;
        return -1;
    }
    if (door_ask(d, MSG_INFO, thread_now_ns() + ANSWER_MAX_NS, &answer, NULL, 0) < 0)
        return -1;
    *load = (struct door_load){answer.threads, answer.threads_most, answer.calls};
    return 0;
}

/* The kernel notes the user of listen(2), which fattach() calls. */
int door_attached_by(int d, uid_t *uid)
{
    THREAD_UNCANCELLED;
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (fd_is_door(d) != 1 || getsockopt(d, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
        errno = EBADF;
        return -1;
    }
    *uid = peer.uid;
    return 0;
}

int isastream(int fd)
{
    THREAD_UNCANCELLED;
    int is_door = fd_is_door(fd);

    if (is_door < 0)
        errno = EBADF;
    return is_door;
}
