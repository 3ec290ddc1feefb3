/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * wait.c: waits for the request's body and for a descriptor at once.  The body arrives
 * in httpd, so httpd waits for both, and gets the descriptor with the call.  If no more
 * of the body can come, this process waits for the descriptor itself.
 */
#include <errno.h>
#include <poll.h>
#include <sys/stat.h>

#include "body.h"
#include "door_app.h"
#include "fail.h"

#define NS_PER_MS 1000000

/* The longest wait that httpd is asked for at a time. */
#define ASK_MS 60000

struct until {
    int is_limited;
    int64_t ns;
};

/* Milliseconds until then, rounded up, but at most max. */
static int left(const struct until *until, int max)
{
    int64_t ns = until->ns - door_now_ns();

    if (!until->is_limited || ns > (int64_t)max * NS_PER_MS)
        return max;
    return ns > 0 ? (int)((ns + NS_PER_MS - 1) / NS_PER_MS) : 0;
}

static int check_fd(int fd)
{
    struct stat st;

    if (fd == -1)
        return 0;
    if (fstat(fd, &st) == -1)
        return -1;
    return S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) ? 0 : door_rt_fail(EINVAL);
}

/* Waits for fd.  Returns 1 if it can be read or has ended, 0 if not, or -1. */
static int wait_for_fd(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int count = poll(&p, 1, timeout_ms);

    if (count == -1)
        return errno == EINTR ? 0 : -1;
    return count;
}

/* What is ready now, or becomes ready within the time. */
static int wait_once(struct door_rt_request *req, int fd, int timeout_ms)
{
    int body = door_rt_body_is_at_hand(req);
    int is_over = !body && (!req->body_more || req->body_error != 0);
    int is_readable = wait_for_fd(fd, is_over ? timeout_ms : 0);

    if (!body && !is_over && is_readable != -1) {
        body = is_readable ? door_rt_channel_wait(&req->channel, -1, 0)
                           : door_rt_channel_wait(&req->channel, fd, timeout_ms);
        is_readable = wait_for_fd(fd, 0);
    }
    if (body == -1 || is_readable == -1)
        return -1;
    return (body ? DOOR_APP_BODY_READY : 0) | (is_readable ? DOOR_APP_FD_READY : 0);
}

int door_app_wait(struct door_app_request *handle, int fd, int timeout_ms)
{
    struct door_rt_request *req = door_rt_request(handle);
    struct until until = {timeout_ms >= 0, door_now_ns() + (int64_t)timeout_ms * NS_PER_MS};
    int ready;

    if (req == NULL || check_fd(fd) == -1)
        return -1;
    if (fd == -1 && req->body_end_is_told && !until.is_limited)
        return door_rt_fail(EINVAL);
    if (req->channel.caller == NULL && req->body_more && req->body_len == 0)
        return door_rt_fail(ENOTSUP);
    do
        ready = wait_once(req, fd, left(&until, ASK_MS));
    while (ready == 0 && left(&until, ASK_MS) > 0);
    return ready;
}
