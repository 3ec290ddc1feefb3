/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fork.c: see fork.h.  The child has one thread and none of the parent's
 * helpers, shares no memory with the parent's peers, and must not keep their
 * sockets open, which would hide the parent's end from them.
 */
#include "fork.h"

#include <errno.h>
#include <pthread.h>

#include "client.h"
#include "loop.h"
#include "pool.h"
#include "server.h"
#include "server_thread.h"

static void before(void)
{
    server_lock();
    client_lock();
}

static void after_in_parent(void)
{
    client_unlock();
    server_unlock();
}

static void after_in_child(void)
{
    client_forked();
    connection_forked();
    server_thread_forked();
    pool_forked();
    loop_forked();
    client_unlock();
    server_unlock();
}

static int result;

static void watch(void)
{
    result = pthread_atfork(before, after_in_parent, after_in_child);
}

int fork_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, watch);
    errno = result;
    return result == 0 ? 0 : -1;
}
