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
#include <sys/mman.h>

#include "batch.h"
#include "client.h"
#include "closer.h"
#include "loop.h"
#include "pool.h"
#include "server.h"
#include "server_thread.h"

/*
 * A page that a forked child finds empty, however it was forked: _Fork(2) and
 * clone(2) run no handlers.
 */
static char *not_forked;

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

/* Each of them makes its locks anew: whoever held one is not here. */
static void after_in_child(void)
{
    *not_forked = 1;
    closer_forked(); /* the others may let something go */
    client_forked();
    connection_forked();
    server_thread_forked();
    pool_forked();
    loop_forked();
    batch_forked();
}

static int result;

static void watch(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    result = ENOMEM;
    if (page == MAP_FAILED || madvise(page, 4096, MADV_WIPEONFORK) < 0)
        return;
    not_forked = page;
    *not_forked = 1;
    result = pthread_atfork(before, after_in_parent, after_in_child);
}

int fork_watch(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, watch);
    if (result == 0 && *not_forked == 0)
        after_in_child();
    errno = result;
    return result == 0 ? 0 : -1;
}
