/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * thread.c: the state of a server thread, which contains the request that it runs.
 * It is made for the thread's first call, and freed when the thread ends.  The doors
 * make and end threads; there may be many of them, and they may be short-lived.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "fail.h"
#include "thread.h"

static _Thread_local struct door_rt_thread *own; /* or NULL */

/* The key's destructor runs when a thread ends. */
static pthread_mutex_t key_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t key;
static _Atomic int has_key; /* it was made; under key_lock */

static _Atomic unsigned long last_number;
static _Atomic unsigned long thread_count;
static _Atomic unsigned long thread_max;

/* Runs when the thread ends, maybe in the middle of a request: a handler may end its thread. */
static void end_thread(void *state)
{
    struct door_rt_thread *thread = state;

    own = NULL;
    if (thread->at_end != NULL)
        thread->at_end(thread);
    if (thread->leave != NULL)
        thread->leave(thread);
    free(thread->req);
    door_rt_arena_free(&thread->arena);
    door_rt_buffer_free(&thread->body);
    free(thread);
    atomic_fetch_sub(&thread_count, 1);
}

/* 0, or an errno value: the program may have all keys that there are, and not for ever. */
static int make_key(void)
{
    int error = 0;

    if (atomic_load(&has_key))
        return 0;
    pthread_mutex_lock(&key_lock);
    if (!has_key)
        error = pthread_key_create(&key, end_thread);
    has_key = error == 0;
    pthread_mutex_unlock(&key_lock);
    return error;
}

static void count_thread(void)
{
    unsigned long count = atomic_fetch_add(&thread_count, 1) + 1;
    unsigned long max = atomic_load(&thread_max);

    while (count > max && !atomic_compare_exchange_weak(&thread_max, &max, count))
        continue;
}

struct door_rt_thread *door_rt_thread(void)
{
    struct door_rt_thread *thread;
    int error;

    if (own != NULL)
        return own;
    thread = calloc(1, sizeof(*thread));
    if (thread == NULL)
        return NULL;
    error = make_key();
    if (error == 0)
        error = pthread_setspecific(key, thread);
    if (error != 0) {
        free(thread);
        errno = error;
        return NULL;
    }
    thread->number = atomic_fetch_add(&last_number, 1) + 1;
    count_thread();
    own = thread;
    return thread;
}

struct door_rt_request *door_rt_request(const struct door_app_request *handle)
{
    if (own != NULL && handle != NULL && own->handle == (uintptr_t)handle)
        return own->req;
    fprintf(stderr, "door_app: a request was used after its handler's return, or on another"
                    " thread\n");
    return door_rt_none(EINVAL);
}

void *door_app_lend(struct door_app_request *handle)
{
    return door_rt_request(handle) != NULL ? own : NULL;
}

int door_app_borrow(void *lent)
{
    if (own != NULL)
        return door_rt_fail(EBUSY);
    own = lent;
    return 0;
}

/* Does nothing on a server thread, whose state is its own and not borrowed. */
void door_app_give_back(void)
{
    if (own != NULL && pthread_getspecific(key) != own)
        own = NULL;
}

unsigned long door_app_thread_number(const struct door_app_request *handle)
{
    return door_rt_request(handle) != NULL ? own->number : 0;
}

unsigned long door_app_thread_count(void)
{
    return atomic_load(&thread_count);
}

unsigned long door_rt_thread_max(void)
{
    return atomic_load(&thread_max);
}
