/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * wait_set.c: see wait_set.h.
 */
#include "wait_set.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "fd.h"

static int is_waker(const struct wait_set *set)
{
    uint64_t cookie = atomic_load(&set->cookie);

    return cookie != 0 && fd_cookie(atomic_load(&set->waker_fd)) == cookie;
}

static int control(const struct wait_set *set, int op, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u64 = WAIT_SET_WAKE};

    return epoll_ctl(atomic_load(&set->epoll_fd), op, atomic_load(&set->waker_fd), &event);
}

/* The socket can always send, so arming it for EPOLLOUT, one-shot, makes one event. */
int wait_set_make(struct wait_set *set)
{
    struct wait_set made = {
        .waker_fd = fd_hide(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
        .epoll_fd = fd_hide(epoll_create1(EPOLL_CLOEXEC)),
    };

    made.cookie = fd_cookie(made.waker_fd);
    if (made.epoll_fd >= 0 && made.cookie != 0 && control(&made, EPOLL_CTL_ADD, 0) == 0) {
        set->epoll_fd = made.epoll_fd;
        set->waker_fd = made.waker_fd;
        set->cookie = made.cookie;
        return 0;
    }
    fd_close(made.epoll_fd);
    fd_close(made.waker_fd);
    return -1;
}

void wait_set_close(struct wait_set *set)
{
    if (wait_set_is_there(set)) {
        fd_close(set->epoll_fd);
        fd_close(set->waker_fd);
    }
    set->epoll_fd = set->waker_fd = -1;
    set->cookie = 0;
}

/* Tries to add the socket.  EEXIST: it is the right epoll.  From another epoll it is removed. */
int wait_set_is_there(const struct wait_set *set)
{
    int saved = errno, is_there = 0;

    if (is_waker(set)) {
        if (control(set, EPOLL_CTL_ADD, 0) == 0)
            control(set, EPOLL_CTL_DEL, 0);
        else
            is_there = errno == EEXIST;
    }
    errno = saved;
    return is_there;
}

int wait_set_wake(const struct wait_set *set)
{
    return is_waker(set) ? control(set, EPOLL_CTL_MOD, EPOLLOUT | EPOLLONESHOT) : -1;
}
