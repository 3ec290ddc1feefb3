/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * server_thread.c: a server thread's life: take a call, run the procedure,
 * reply in door_return(), and start again with a clean stack.
 */
#include <door.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fork.h"
#include "pool.h"
#include "server.h"
#include "thread.h"

static _Thread_local struct server_thread *self; /* NULL: not a server thread */

/* Ends the current call, if there is one: error, or 0 and a result in its place. */
static void end_call(struct server_thread *t, int error)
{
    struct server_channel *ch = t->channel;

    if (ch == NULL)
        return;
    t->channel = NULL;
    atomic_store_explicit(&t->in_call, 0, memory_order_relaxed);
    server_channel_reply(ch, t->slot, error);
    server_channel_release(ch);
}

/* The thread ends, in a call or not: its caller must not wait for ever. */
static void thread_died(void *arg)
{
    struct server_thread *t = arg;

    self = NULL;
    end_call(t, EINTR);
    if (t->hot != NULL)
        server_channel_release(t->hot);
    if (t->arguments_cap > 0)
        munmap(t->arguments, t->arguments_cap);
    pool_remove_thread(t);
    free(t);
}

/*
 * A woken server thread should not push its waker off the processor: the waker
 * is about to sleep anyway.  Not inherited by what the procedure forks.
 */
static void yield_to_wakers(void)
{
    struct sched_param param = {0};

    if (sched_getscheduler(0) == SCHED_OTHER)
        sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &param);
}

static void run_call(struct server_thread *t)
{
    struct door *door = t->channel->door;
    char *argp;
    size_t arg_size;

    if (atomic_load(&door->revoked)) {
        end_call(t, EBADF);
        return;
    }
    if (server_channel_arguments(t->channel, t->slot, &t->arguments, &t->arguments_cap, &argp,
                                 &arg_size) < 0) {
        end_call(t, errno);
        return;
    }
    atomic_store_explicit(&t->in_call, 1, memory_order_relaxed);
    door->procedure(door->cookie, argp, arg_size, NULL, 0);
    pthread_exit(NULL); /* it should have ended in door_return(): so it is on illumos */
}

/*
 * Never returns.  Each round registers the cleanup handler anew: taking it
 * away again also drops what a procedure that left through door_return() had
 * registered on the stack that is gone.
 */
static void serve(struct server_thread *t)
{
    for (;;) {
        pthread_cleanup_push(thread_died, t);
        if (_setjmp(t->base) == 0) {
            pool_take_call(t);
            run_call(t);
        }
        pthread_cleanup_pop(0);
    }
}

/* Makes the calling thread a server thread; returns only on error, with errno. */
static int become_server(struct pool *pool)
{
    struct server_thread *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return -1;
    t->pool = pool;
    t->tid = gettid();
    pool_add_thread(pool, t);
    self = t;
    serve(t);
    return 0;
}

static void *run(void *pool)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    yield_to_wakers();
    become_server(pool);
    return NULL;
}

int server_thread_start(struct pool *pool)
{
    return thread_start(run, pool, &pool->signal_mask);
}

void server_thread_forked(void)
{
    self = NULL; /* a procedure forked: its child answers nobody */
}

int door_return(char *data_ptr, size_t data_size, door_desc_t *desc_ptr, uint_t num_desc)
{
    struct server_thread *t = self;

    (void)desc_ptr;
    if (num_desc > 0 || (data_size > 0 && data_ptr == NULL)) {
        errno = EINVAL;
        return -1;
    }
    if (t == NULL) {
        struct pool *pool = fork_watch() < 0 || loop_start() < 0 ? NULL : pool_shared();
        return pool == NULL ? -1 : become_server(pool);
    }
    if (t->channel != NULL) {
        if (server_channel_result(t->channel, t->slot, data_ptr, data_size) < 0)
            return -1;
        end_call(t, 0);
    }
    _longjmp(t->base, 1);
}
