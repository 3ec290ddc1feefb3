/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * app.h: an application: what it consists of, and what it counts; app.c.
 */
#ifndef DOOR_APP_APP_H
#define DOOR_APP_APP_H

#include <stdatomic.h>
#include <stddef.h>

#include "admit.h"
#include "door_app.h"

struct door_rt_route {
    struct door_rt_route *next;
    const char *method; /* behind the path; "": of a prefix, with any method */
    size_t path_len;
    door_app_handler *handler;
    void *data;
    char path[]; /* a prefix, with no '/' at the end; or a pattern: "/a/{b}" */
};

struct door_app {
    struct door_rt_route *routes; /* in the order in which they were added; fixed once it runs */
    struct door_rt_line line;
    door_app_thread_hook *start_thread, *stop_thread; /* or NULL */
    void *thread_data;
    int error;                          /* of a door_app_handle() that failed, or 0 */
    _Atomic unsigned long long started; /* calls that entered the procedure */
    _Atomic unsigned long long ended;   /* calls whose answer is made, or never will be */
    _Atomic unsigned long long served;  /* requests that have ended */
};

/* Remembers why app is incomplete: -1 with that errno, or ENOMEM if there is no app. */
int door_rt_mistake(struct door_app *app, int error);

#endif
