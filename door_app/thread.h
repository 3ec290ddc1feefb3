/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * thread.h: a server thread's state; thread.c.
 *
 * A request lives on its server thread: the thread's state holds it, and all
 * memory that it needs comes from there, to be used again by the next one.
 * That is how nothing is lost when door_return() does not come back, when a
 * handler ends its thread, or when one returns early.
 */
#ifndef DOOR_APP_THREAD_H
#define DOOR_APP_THREAD_H

#include <stdint.h>

#include "door_app.h"
#include "memory.h"

struct door_rt_hooks;
struct door_rt_request;

/* Its own, until it ends. */
struct door_rt_thread {
    unsigned long number;
    struct door_app *serving; /* while a handler runs */
    void (*at_end)(struct door_rt_thread *thread); /* for that, when the thread ends */
    struct door_rt_hooks *hooks; /* hooks.c's, as all that follows; held, or NULL */
    int is_hooked;               /* the start hook has succeeded here */
    int is_lacking;              /* it has not, and that is counted */
    int64_t lacking_since_ns;
    int is_restarting; /* it will be started at once, and that is counted */
    int is_lost; /* what it has set up; the handler says so */
    void (*leave)(struct door_rt_thread *thread); /* when the thread ends, or NULL */
    struct door_rt_arena arena;
    struct door_rt_buffer body;
    uintptr_t handle;            /* of the request that runs here, or 0 */
    struct door_rt_request *req; /* malloc()ed; NULL before the first one */
};

/* The calling thread's state, made on first use; NULL with ENOMEM, EAGAIN. */
struct door_rt_thread *door_rt_thread(void);

/* The request of that handle if this thread runs it, otherwise NULL with EINVAL. */
struct door_rt_request *door_rt_request(const struct door_app_request *handle);

/* The most that there have been at a time. */
unsigned long door_rt_thread_max(void);

#endif
