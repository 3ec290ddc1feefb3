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
    int is_elsewhere; /* httpd limits the requests, so all that come here run at once */
    unsigned max;     /* the limit that the last request brought; 0: none */
    unsigned waiting; /* length of waiters */
    TAILQ_HEAD(, door_rt_waiter) waiters; /* the first to come is the first */
};

/*
 * Waits until the request may run.  Returns 0, 1 if it had to wait, or -1 with EBUSY if it may
 * not run.  A request that has run calls door_rt_depart().
 */
int door_rt_admit(struct door_rt_line *line, struct door_rt_request *req);
void door_rt_depart(struct door_rt_line *line);

#endif
