/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * admit.c: limits how many requests run at a time, if httpd's configuration sets a limit
 * and no maximum of threads enforces it: because the doors have none (illumos), or httpd
 * did not start the program and so could not set one.  Requests above the limit wait in
 * line on their own server threads: first come, first served, with a time limit.  This is
 * done here and not in httpd because only the application knows when a thread has really
 * finished a request, even if the httpd process that sent it has died.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "admit.h"
#include "fail.h"

struct door_rt_waiter { /* on the waiting thread's stack */
    TAILQ_ENTRY(door_rt_waiter) link;
    pthread_cond_t called;
    int is_called; /* the request may run, and is counted in running */
};

static int is_full(const struct door_rt_line *line)
{
    return line->max > 0 && line->running >= line->max;
}

static void leave(struct door_rt_line *line, struct door_rt_waiter *waiter)
{
    TAILQ_REMOVE(&line->waiters, waiter, link);
    line->waiting--;
}

/* With the lock held: wakes as many waiters as may run. */
static void call_next(struct door_rt_line *line)
{
    while (line->waiting > 0 && !is_full(line)) {
        struct door_rt_waiter *waiter = TAILQ_FIRST(&line->waiters);

        leave(line, waiter);
        waiter->is_called = 1;
        line->running++;
        pthread_cond_signal(&waiter->called);
    }
}

/* With the lock held, which is released during the wait.  Returns 1, or -1 if the time is over. */
static int wait_in_line(struct door_rt_line *line, uint64_t timeout_ms)
{
    struct door_rt_waiter waiter = {.is_called = 0};
    pthread_condattr_t monotonic;
    struct timespec until;
    long ns;
    int error = 0;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&waiter.called, &monotonic);
    pthread_condattr_destroy(&monotonic);
    clock_gettime(CLOCK_MONOTONIC, &until);
    ns = until.tv_nsec + (long)(timeout_ms % 1000) * 1000000;
    until.tv_sec += (time_t)(timeout_ms / 1000) + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    TAILQ_INSERT_TAIL(&line->waiters, &waiter, link);
    line->waiting++;
    while (!waiter.is_called && error == 0)
        error = pthread_cond_timedwait(&waiter.called, &line->lock, &until);
    if (!waiter.is_called)
        leave(line, &waiter);
    pthread_cond_destroy(&waiter.called);
    return waiter.is_called ? 1 : -1;
}

int door_rt_admit(struct door_rt_line *line, struct door_rt_request *req)
{
    uint64_t max = line->is_elsewhere ? 0 : door_rt_number(req, DOOR_WIRE_MAX_CONCURRENT);
    uint64_t timeout_ms = door_rt_number(req, DOOR_WIRE_QUEUE_TIMEOUT);
    int result = 0;

    pthread_mutex_lock(&line->lock);
    if (max > 0)
        line->max = max < UINT32_MAX ? (unsigned)max : UINT32_MAX;
    call_next(line); /* the limit may have grown */
    if (max == 0 || !is_full(line))
        line->running++;
    else if (line->waiting >= door_rt_number(req, DOOR_WIRE_QUEUE_LENGTH) || timeout_ms == 0)
        result = -1;
    else
        result = wait_in_line(line, timeout_ms < UINT32_MAX ? timeout_ms : UINT32_MAX);
    pthread_mutex_unlock(&line->lock);
    return result == -1 ? door_rt_fail(EBUSY) : result;
}

void door_rt_depart(struct door_rt_line *line)
{
    pthread_mutex_lock(&line->lock);
    line->running--;
    call_next(line);
    pthread_mutex_unlock(&line->lock);
}
