/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * xcreate.c: door_xcreate(): private doors whose threads the program creates.  Each
 * thread runs a start function of the library, which binds it to the door.
 *
 * The program's creation function is not trusted: if it never has the start function
 * called, or has it called twice, that is an error and not a crash.
 */
#include <door.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "create.h"
#include "fork.h"
#include "server_thread.h"
#include "thread.h"

#define START_MAX_NS 10000000000 /* how long a created thread may take to begin */

struct xcreate {
    door_xcreate_server_func_t *create;
    door_xcreate_thrsetup_func_t *setup;
    void *cookie;
};

/*
 * A thread that is to start.  The thread that waits for it owns this, and keeps it in the list
 * meanwhile.  A thread that begins with a pointer that is not in the list has come too late,
 * or a second time, or with a wrong argument.
 */
struct start {
    LIST_ENTRY(start) link;
    struct door *door; /* with a reference, until a thread takes that over; then NULL */
    int bound;         /* 0: not yet, 1: the thread is bound, -1: that failed */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the list, and what is in it */
static pthread_cond_t bound = PTHREAD_COND_INITIALIZER;
static LIST_HEAD(, start) starts = LIST_HEAD_INITIALIZER(starts);

static void forked(void)
{
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&bound, NULL);
    LIST_INIT(&starts);
}

static void lock_starts(void)
{
    static struct fork_part part = {.child = forked};

    fork_register(&part);
    pthread_mutex_lock(&lock);
}

/* With lock held: the start that arg points to, or NULL if it is not in the list. */
static struct start *find_start(const void *arg)
{
    struct start *s;

    LIST_FOREACH(s, &starts, link) {
        if (s == arg)
            return s;
    }
    return NULL;
}

/* The door to serve, with a reference; NULL if no thread waits for this one. */
static struct door *begin(const void *arg)
{
    struct start *s;
    struct door *door = NULL;

    lock_starts();
    s = find_start(arg);
    if (s != NULL) {
        door = s->door;
        s->door = NULL;
    }
    pthread_mutex_unlock(&lock);
    return door;
}

static void tell_bound(const void *arg, int result)
{
    struct start *s;

    lock_starts();
    s = find_start(arg);
    if (s != NULL)
        s->bound = result;
    pthread_cond_broadcast(&bound);
    pthread_mutex_unlock(&lock);
}

/* Binds this thread, drops the reference to door, and tells the waiting thread.  0 or -1. */
static int bind_to(struct door *door, const void *arg)
{
    THREAD_UNCANCELLED;
    int result = server_thread_bind(door);

    door_drop(door);
    tell_bound(arg, result == 0 ? 1 : -1);
    return result;
}

static void drop(void *door)
{
    door_drop(door);
}

/* The start function, which the program's new thread must run. */
static void *start_thread(void *arg)
{
    struct door *door = begin(arg);
    struct xcreate *x;

    if (door == NULL)
        return NULL;
    x = door->xcreate;
    pthread_cleanup_push(drop, door); /* setup() may end or cancel the thread */
    if (x->setup != NULL)
        x->setup(x->cookie);
    else
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cleanup_pop(0);
    if (bind_to(door, arg) == 0)
        door_return(NULL, 0, NULL, 0);
    return NULL;
}

/* With lock held: waits until the thread is bound.  Returns 0, or -1 with EPIPE. */
static int wait_until_bound(struct start *s)
{
    int64_t until_ns = thread_now_ns() + START_MAX_NS;
    int error = 0;

    while (s->bound == 0 && error != ETIMEDOUT)
        error = thread_wait_until(&bound, &lock, until_ns);
    if (s->bound > 0)
        return 0;
    errno = EPIPE;
    return -1;
}

/*
 * Asks the program for one thread.  Returns 0 when the thread serves; -1 with EINVAL (the
 * program creates none, or its answer is not valid), EPIPE (it has failed).
 */
static int create_one(struct door *door, door_info_t *info)
{
    struct start s = {.door = door};
    int answered, result = -1;

    door_hold(door);
    lock_starts();
    LIST_INSERT_HEAD(&starts, &s, link);
    pthread_mutex_unlock(&lock);
    answered = door->xcreate->create(info, start_thread, &s, door->xcreate->cookie);
    lock_starts();
    errno = answered == -1 ? EPIPE : EINVAL;
    if (answered == 1)
        result = wait_until_bound(&s);
    LIST_REMOVE(&s, link);
    pthread_mutex_unlock(&lock);
    if (s.door != NULL)
        door_drop(s.door);
    return result;
}

static void depleted(struct door *door)
{
    if ((door->attributes & DOOR_NO_DEPLETION_CB) == 0)
        create_one(door, &door->told_depleted);
}

static int create_threads(struct door *door, int nthread)
{
    for (int i = 0; i < nthread; i++) {
        if (create_one(door, &door->told) < 0)
            return -1;
    }
    return 0;
}

int door_xcreate(door_server_procedure_t *procedure, void *cookie, uint_t attributes,
                 door_xcreate_server_func_t *create, door_xcreate_thrsetup_func_t *setup,
                 void *crcookie, int nthread)
{
    THREAD_UNCANCELLED;
    const door_attr_t allowed = DOOR_UNREF | DOOR_UNREF_MULTI | DOOR_PRIVATE | DOOR_REFUSE_DESC |
                                DOOR_NO_CANCEL | DOOR_NO_DEPLETION_CB;
    struct xcreate *x;
    struct door *door;
    int d;

    if ((attributes & ~allowed) != 0 || create == NULL || nthread < 1) {
        errno = EINVAL;
        return -1;
    }
    x = malloc(sizeof(*x));
    if (x == NULL)
        return -1;
    *x = (struct xcreate){create, setup, crcookie};
    d = door_make(procedure, cookie, attributes | DOOR_PRIVATE | DOOR_PRIVCREATE, &door);
    if (d < 0) {
        free(x);
        return -1;
    }
    door->xcreate = x; /* the door owns it now */
    door->depleted = depleted;
    if (create_threads(door, nthread) < 0) {
        int error = errno;
        door_revoke(d);
        errno = error;
        d = -1;
    }
    door_drop(door);
    return d;
}
