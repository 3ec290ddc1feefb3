/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * admit.h: a door's line of requests; admit.c.
 */
#ifndef DOOR_APP_ADMIT_H
#define DOOR_APP_ADMIT_H

#include <pthread.h>
#include <sys/queue.h>

#include "request.h"

struct door_rt_line {
    pthread_mutex_t lock;
    unsigned running;
    int is_elsewhere; /* httpd keeps it: whoever gets here runs */
    unsigned max;     /* what the last request said; 0: no limit */
    unsigned waiting;
    TAILQ_HEAD(, door_rt_waiter) waiters; /* as many, first come first */
};

/* In its turn, which it gives back with depart; 0, 1 if it had to wait, or -1 with EBUSY. */
int door_rt_admit(struct door_rt_line *line, struct door_rt_request *req);
void door_rt_depart(struct door_rt_line *line);

#endif
