/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * app.h: an application: its parts and its counts; app.c.
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
    const char *method; /* stored behind path; "": any method, and path is a prefix */
    size_t path_len;
    door_app_handler *handler;
    void *data;
    char path[]; /* a prefix without a '/' at its end, or a pattern such as "/a/{b}" */
};

struct door_rt_hook {
    struct door_rt_hook *next;
    door_app_hook *hook;
    void *data;
};

/* A directory whose files are served. */
struct door_rt_directory {
    struct door_rt_directory *next;
    int fd;
    size_t prefix_len; /* bytes of the path in front of the file's name */
};

/* The handler for questions of one role. */
struct door_rt_guard {
    door_app_handler *handler; /* or NULL */
    void *data;
};

/* Nothing is added once it runs.  Routes and hooks are in the order in which they were added. */
struct door_app {
    struct door_rt_route *routes;
    struct door_rt_hook *hooks; /* door_app_before() */
    struct door_rt_page *pages;
    struct door_rt_directory *directories;
    struct door_rt_guard guards[DOOR_APP_ACCESS_CHECKER + 1];
    struct door_rt_line line;
    struct door_rt_hooks *thread_hooks; /* with one reference */
    int has_thread_max;                 /* the program has called door_app_set_threads() */
    unsigned thread_max;                /* 0: no maximum */
    int takes_turns;                    /* handlers compute one at a time */
    unsigned thread_idle_ms;            /* 0: idle threads do not end */
    char mistake[200];                  /* why it is incomplete; "" if it is complete */
    _Atomic int is_stopping;            /* it was told to end */
    _Atomic unsigned long long started; /* calls that have entered the procedure */
    _Atomic unsigned long long ended;   /* calls whose answer is made, or never will be */
    _Atomic unsigned long long served;  /* requests that have ended */
};

/*
 * Keeps the text of why app is incomplete, if it is the first one: which function was called
 * how, and what is wrong.  Returns -1 with errno error, or ENOMEM if app is NULL.
 */
int door_rt_mistake(struct door_app *app, int error, const char *format, ...) DOOR_APP_PRINTF(3, 4);

#endif
