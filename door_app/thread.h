/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * thread.h: a server thread's state; thread.c.
 *
 * The thread's state contains the request that the thread runs, and all memory that
 * the request needs; the next request uses both again.  So nothing leaks when
 * door_return() does not return, or when a handler ends its thread.
 */
#ifndef DOOR_APP_THREAD_H
#define DOOR_APP_THREAD_H

#include <stdint.h>

#include "door_app.h"
#include "memory.h"

struct door_rt_hooks;
struct door_rt_request;

/* Used by its thread only. */
struct door_rt_thread {
    unsigned long number;
    struct door_app *serving; /* the application whose handler runs here, or NULL */
    void (*at_end)(struct door_rt_thread *thread); /* called when the thread ends, for serving */
    struct door_rt_hooks *hooks; /* with a reference, or NULL; hooks.c's, as the next six */
    int is_hooked;               /* the start hook has succeeded here */
    int is_lacking;              /* the start hook has failed here, and that is counted */
    int64_t lacking_since_ns;
    int is_restarting; /* the start hook will run again at once, and that is counted */
    int is_lost; /* door_app_thread_lost() was called */
    void (*leave)(struct door_rt_thread *thread); /* called when the thread ends, or NULL */
    struct door_rt_arena arena;
    struct door_rt_buffer body;
    uintptr_t handle;            /* of the request that runs here, or 0 */
    struct door_rt_request *req; /* malloc()ed; NULL before the first one */
};

/* The calling thread's state, which is made on first use; NULL with ENOMEM or EAGAIN. */
struct door_rt_thread *door_rt_thread(void);

/* The request with that handle if this thread runs it, otherwise NULL with EINVAL. */
struct door_rt_request *door_rt_request(const struct door_app_request *handle);

/* The most server threads that have existed at once. */
unsigned long door_rt_thread_max(void);

#endif
