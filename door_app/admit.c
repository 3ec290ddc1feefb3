/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * admit.c: how many requests run at a time, where httpd's configuration limits
 * that.  Those above the limit stand in line on their own server threads: first
 * come, first served, and not for ever.  It is done here and not in httpd
 * because only here it is known when a thread is really through with a request,
 * whatever has become of the httpd process that it came from.
 */
#include <errno.h>
#include <time.h>

#include "app.h"

struct door_rt_waiter { /* on its thread's stack */
    struct door_rt_waiter *next;
    pthread_cond_t called;
    int is_called; /* it runs, and is counted */
};

static void append(struct door_rt_line *line, struct door_rt_waiter *waiter)
{
    if (line->last != NULL)
        line->last->next = waiter;
    else
        line->first = waiter;
    line->last = waiter;
    line->waiting++;
}

static void take_out(struct door_rt_line *line, struct door_rt_waiter *waiter)
{
    struct door_rt_waiter *before = NULL;
    struct door_rt_waiter *at = line->first;

    for (; at != waiter; at = at->next)
        before = at;
    if (before != NULL)
        before->next = waiter->next;
    else
        line->first = waiter->next;
    if (line->last == waiter)
        line->last = before;
    line->waiting--;
}

static int is_full(const struct door_rt_line *line)
{
    return line->max > 0 && line->running >= line->max;
}

/* With the lock held: as many as may run, run. */
static void call_next(struct door_rt_line *line)
{
    while (line->first != NULL && !is_full(line)) {
        struct door_rt_waiter *waiter = line->first;

        take_out(line, waiter);
        waiter->is_called = 1;
        line->running++;
        pthread_cond_signal(&waiter->called);
    }
}

static struct timespec later(uint64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return until;
}

/* With the lock held, which it gives up while it waits. */
static int wait_in_line(struct door_rt_line *line, uint64_t timeout_ms)
{
    struct timespec until = later(timeout_ms);
    struct door_rt_waiter waiter = {0};
    pthread_condattr_t clock;
    int error = 0;

    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&waiter.called, &clock);
    pthread_condattr_destroy(&clock);
    append(line, &waiter);
    while (!waiter.is_called && error == 0)
        error = pthread_cond_timedwait(&waiter.called, &line->lock, &until);
    if (!waiter.is_called)
        take_out(line, &waiter);
    pthread_cond_destroy(&waiter.called);
    return waiter.is_called ? 1 : -1;
}

int door_rt_admit(struct door_rt_line *line, struct door_rt_request *req)
{
    uint64_t max = 0, queue_len = 0, timeout_ms = 0;
    int is_limited = door_rt_number(req, DOOR_WIRE_MAX_CONCURRENT, &max) == 0 && max > 0;
    int result = 0;

    door_rt_number(req, DOOR_WIRE_QUEUE_LENGTH, &queue_len);
    door_rt_number(req, DOOR_WIRE_QUEUE_TIMEOUT, &timeout_ms);
    pthread_mutex_lock(&line->lock);
    if (is_limited)
        line->max = max < UINT32_MAX ? (unsigned)max : UINT32_MAX;
    call_next(line); /* the limit may be higher than it was */
    if (!is_limited || (!is_full(line) && line->first == NULL))
        line->running++;
    else if (line->waiting >= queue_len || timeout_ms == 0)
        result = -1;
    else
        result = wait_in_line(line, timeout_ms < UINT32_MAX ? timeout_ms : UINT32_MAX);
    pthread_mutex_unlock(&line->lock);
    if (result == -1)
        errno = EBUSY;
    return result;
}

void door_rt_depart(struct door_rt_line *line)
{
    pthread_mutex_lock(&line->lock);
    line->running--;
    call_next(line);
    pthread_mutex_unlock(&line->lock);
}
