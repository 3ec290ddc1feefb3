/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fork.c: see fork.h.  fork(2) runs a handler, so that even a child that never uses the
 * library drops what it has of its parent.  _Fork(3) and clone(2) run no handler, and are
 * noticed at the next use.
 */
#include "fork.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

struct fork_page *_Atomic fork_page;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for adding parts */
static struct fork_part *_Atomic parts;
static int has_handler;
static _Atomic unsigned generation;
static _Atomic pid_t pid; /* used with FORK_ASK; otherwise 0 */

/* Resets all parts.  One thread does this, and others wait for it. */
static void renew(void)
{
    struct fork_page *page = atomic_load(&fork_page);
    int child = FORK_IS_CHILD;

    if (!atomic_compare_exchange_strong(&page->state, &child, FORK_RENEWS)) {
        while (atomic_load(&page->state) == FORK_RENEWS)
            sched_yield();
        return;
    }
    pthread_mutex_init(&lock, NULL);
    atomic_fetch_add(&generation, 1);
    for (struct fork_part *part = atomic_load(&parts); part != NULL; part = part->next)
        part->child();
    atomic_store(&page->state, atomic_load(&pid) != 0 ? FORK_ASK : FORK_IS_FINE);
}

static void renew_if_child(void)
{
    struct fork_page *page = atomic_load(&fork_page);
    pid_t here, before = atomic_load(&pid);

    if (page == NULL)
        return;
    if (before != 0 && (here = getpid()) != before &&
        atomic_compare_exchange_strong(&pid, &before, here))
        atomic_store(&page->state, FORK_IS_CHILD);
    if (atomic_load(&page->state) == FORK_IS_CHILD || atomic_load(&page->state) == FORK_RENEWS)
        renew();
}

/* fork(2)'s handler in the child.  Sets the state, as qemu's user emulation wipes no page. */
static void forked(void)
{
    struct fork_page *page = atomic_load(&fork_page);

    if (page == NULL)
        return;
    if (atomic_load(&pid) != 0)
        atomic_store(&pid, getpid());
    atomic_store(&page->state, FORK_IS_CHILD);
    renew();
}

/* Uses no lock, because a child could not reset it yet.  MADV_WIPEONFORK needs Linux 4.14. */
static int make_page(void)
{
    long size = sysconf(_SC_PAGESIZE);
    struct fork_page *page, *none = NULL;

    if (atomic_load(&fork_page) != NULL)
        return 0;
    page = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return -1;
    atomic_init(&page->state, FORK_IS_FINE);
    if (madvise(page, (size_t)size, MADV_WIPEONFORK) < 0) {
        atomic_store(&pid, getpid());
        atomic_store(&page->state, FORK_ASK);
    }
    if (!atomic_compare_exchange_strong(&fork_page, &none, page))
        munmap(page, (size_t)size); /* another thread was quicker */
    return 0;
}

/* With lock held. */
static int add(struct fork_part *part)
{
    if (!has_handler && pthread_atfork(NULL, NULL, forked) != 0)
        return -1;
    has_handler = 1;
    part->next = atomic_load(&parts);
    atomic_store(&parts, part);
    atomic_store_explicit(&part->is_registered, 1, memory_order_release);
    return 0;
}

int fork_register_now(struct fork_part *part)
{
    int result = 0;

    if (make_page() < 0)
        return -1;
    renew_if_child(); /* before the lock: its owner may not exist in this process */
    if (atomic_load(&part->is_registered))
        return 0;
    pthread_mutex_lock(&lock);
    if (!atomic_load(&part->is_registered))
        result = add(part);
    pthread_mutex_unlock(&lock);
    if (result < 0)
        errno = ENOMEM;
    return result;
}

unsigned fork_generation(void)
{
    renew_if_child();
    return atomic_load(&generation);
}
