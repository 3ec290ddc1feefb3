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
#include "hooks.h"
#include "refuse.h"

struct door_rt_route {
    struct door_rt_route *next;
    const char *method; /* behind the path; "": of a prefix, with any method */
    size_t path_len;
    door_app_handler *handler;
    void *data;
    char path[]; /* a prefix, with no '/' at the end; or a pattern: "/a/{b}" */
};

struct door_rt_hook {
    struct door_rt_hook *next;
    door_app_hook *hook;
    void *data;
};

/* Of files that clients may have. */
struct door_rt_directory {
    struct door_rt_directory *next;
    int fd;
    size_t prefix_len; /* of the path, in front of the file's name */
};

/* Answers questions of one role. */
struct door_rt_guard {
    door_app_handler *handler; /* or NULL */
    void *data;
};

/* The lists are in the order in which they were added, and fixed once it runs. */
struct door_app {
    struct door_rt_route *routes;
    struct door_rt_hook *hooks; /* before handlers */
    struct door_rt_page *pages;
    struct door_rt_directory *directories;
    struct door_rt_guard guards[DOOR_APP_ACCESS_CHECKER + 1];
    struct door_rt_line line;
    struct door_rt_hooks *thread_hooks; /* held */
    int has_thread_max;                 /* the program says so */
    unsigned thread_max;                /* 0: as many as the doors like */
    int takes_turns;                    /* handlers compute one at a time */
    unsigned thread_idle_ms;            /* 0: none ends */
    char mistake[200];                  /* why it is incomplete; "" if it is not */
    _Atomic int is_stopping;            /* it was told to end */
    _Atomic unsigned long long started; /* calls that entered the procedure */
    _Atomic unsigned long long ended;   /* calls whose answer is made, or never will be */
    _Atomic unsigned long long served;  /* requests that have ended */
};

/*
 * Remembers why app is incomplete, the first time: -1 with that errno, or ENOMEM if
 * there is no app.  The text says which function was called how, and what is wrong.
 */
int door_rt_mistake(struct door_app *app, int error, const char *format, ...) DOOR_APP_PRINTF(3, 4);

#endif
