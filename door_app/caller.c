/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * caller.c: the response doors of the httpd processes that have called, by the ids
 * in their requests.  A process sends its door once, and it is kept until the process
 * has gone.  That is noticed when a call to the door fails, or when new doors come:
 * for each new door, two old ones are checked, so that dead ones do not pile up and
 * no single request has to check all.
 *
 * A caller can invent any number of doors, so this table is only a cache.  When it is
 * full, the door that was unused for longest is dropped, and the next request of its
 * process is asked to send it again.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>

#include "caller.h"
#include "fail.h"
#include "wire.h"

#define BUCKET_COUNT 256
#define CALLERS_MAX  4096
#define LOOK_AT      2

struct door_rt_caller {
    struct door_rt_caller *next; /* in its bucket */
    TAILQ_ENTRY(door_rt_caller) link; /* in known */
    TAILQ_ENTRY(door_rt_caller) use;  /* in used */
    unsigned refs;               /* requests, and 1 while in the table; under the lock */
    int is_known;                /* it is in the table; under the lock */
    int fd;
    struct door_handle *handle; /* of fd */
    char id[DOOR_WIRE_ID_LEN + 1];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct door_rt_caller *buckets[BUCKET_COUNT];
static TAILQ_HEAD(, door_rt_caller) known = TAILQ_HEAD_INITIALIZER(known); /* next to check first */
static TAILQ_HEAD(, door_rt_caller) used = TAILQ_HEAD_INITIALIZER(used); /* least recent first */
static unsigned known_count;

static struct door_rt_caller **bucket_of(const char *id)
{
    unsigned hash = 0;

    for (int i = 0; i < 4; i++) /* ids are random digits */
        hash = hash * 16 + (unsigned char)id[i];
    return &buckets[hash % BUCKET_COUNT];
}

static struct door_rt_caller *find(const char *id)
{
    struct door_rt_caller *caller = *bucket_of(id);

    while (caller != NULL && strcmp(caller->id, id) != 0)
        caller = caller->next;
    return caller;
}

void door_rt_hold_signals(sigset_t *before)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

void door_rt_let_signals(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* With the lock held: the last release closes the door. */
static void release(struct door_rt_caller *caller)
{
    if (--caller->refs > 0)
        return;
    door_handle_close(caller->handle);
    door_close_received(caller->fd);
    free(caller);
}

static void forget(struct door_rt_caller *caller)
{
    struct door_rt_caller **link = bucket_of(caller->id);

    if (!caller->is_known)
        return;
    while (*link != caller)
        link = &(*link)->next;
    *link = caller->next;
    TAILQ_REMOVE(&known, caller, link);
    TAILQ_REMOVE(&used, caller, use);
    caller->is_known = 0;
    known_count--;
    release(caller);
}

static int is_id(const char *id)
{
    return id != NULL && strlen(id) == DOOR_WIRE_ID_LEN;
}

struct door_rt_caller *door_rt_caller_find(const char *id)
{
    struct door_rt_caller *caller = NULL;

    if (!is_id(id))
        return NULL;
    pthread_mutex_lock(&lock);
    caller = find(id);
    if (caller != NULL) {
        caller->refs++;
        TAILQ_REMOVE(&used, caller, use);
        TAILQ_INSERT_TAIL(&used, caller, use);
    }
    pthread_mutex_unlock(&lock);
    return caller;
}

/* Whether the door's server is gone: 1 or 0, or -1 if that cannot be found out. */
static int is_dead(int fd)
{
    struct door_info info;

    if (door_info(fd, &info) == -1)
        return errno == EBADF ? 1 : -1;
    return info.di_target == -1 || (info.di_attributes & DOOR_REVOKED) != 0;
}

/* The door that was not checked for longest, with a reference. */
static struct door_rt_caller *next_to_look_at(void)
{
    struct door_rt_caller *caller;

    pthread_mutex_lock(&lock);
    caller = TAILQ_FIRST(&known);
    if (caller != NULL) {
        TAILQ_REMOVE(&known, caller, link);
        TAILQ_INSERT_TAIL(&known, caller, link);
        caller->refs++;
    }
    pthread_mutex_unlock(&lock);
    return caller;
}

static void look_for_the_dead(void)
{
    for (int i = 0; i < LOOK_AT; i++) {
        struct door_rt_caller *caller = next_to_look_at();

        if (caller == NULL)
            return;
        if (is_dead(caller->fd) == 1) /* not under the lock: this asks another process */
            door_rt_caller_forget(caller);
        door_rt_caller_release(caller);
    }
}

/*
 * The most doors that are kept: a quarter of the descriptors that the process may have, as
 * dropped doors take a moment to be closed.
 */
static unsigned callers_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == -1 || limit.rlim_cur / 4 > CALLERS_MAX)
        return CALLERS_MAX;
    return limit.rlim_cur > 4 ? (unsigned)limit.rlim_cur / 4 : 1;
}

/* With the lock held: makes room for one more.  Returns -1 if all doors are in use. */
static int make_room(unsigned max)
{
    struct door_rt_caller *caller = TAILQ_FIRST(&used);

    while (known_count >= max && caller != NULL) {
        struct door_rt_caller *next = TAILQ_NEXT(caller, use);

        if (caller->refs == 1) /* only the table has a reference */
            forget(caller);
        caller = next;
    }
    return known_count < max ? 0 : door_rt_fail(EMFILE);
}

/* With the lock held: enters the door into the table, which gets the one reference. */
static void enter(struct door_rt_caller *caller, const char *id, int fd,
                  struct door_handle *handle)
{
    caller->refs = 1;
    caller->is_known = 1;
    caller->fd = fd;
    caller->handle = handle;
    memcpy(caller->id, id, sizeof(caller->id));
    caller->next = *bucket_of(id);
    *bucket_of(id) = caller;
    TAILQ_INSERT_TAIL(&known, caller, link);
    TAILQ_INSERT_TAIL(&used, caller, use);
    known_count++;
}

/* Opens the door for calls.  Returns NULL if its server is gone, or resources are missing. */
static struct door_handle *open_door(int fd)
{
    struct door_handle *handle;
    struct door_async *call;
    sigset_t before;
    int dead;

    door_rt_hold_signals(&before);
    dead = is_dead(fd);
    handle = dead == 0 ? door_handle_open(fd) : NULL;
    call = handle != NULL ? door_async_open(handle, DOOR_RT_ASK_MAX) : NULL;
    door_rt_let_signals(&before);
    if (dead == 1)
        return door_rt_none(EBADF);
    if (call == NULL) {
        door_handle_close(handle);
        return NULL;
    }
    door_async_close(call);
    return handle;
}

struct door_rt_caller *door_rt_caller_add(const char *id, int fd)
{
    unsigned max = callers_max();
    struct door_rt_caller *caller = NULL, *added = NULL;
    struct door_handle *handle = NULL;
    int error = 0;

    if (!is_id(id))
        error = EBADF;
    else if ((handle = open_door(fd)) == NULL || (added = malloc(sizeof(*added))) == NULL)
        error = errno;
    if (error != 0) {
        door_handle_close(handle);
        door_close_received(fd);
        return door_rt_none(error);
    }
    look_for_the_dead();
    pthread_mutex_lock(&lock);
    caller = find(id);
    if (caller == NULL && make_room(max) == 0) {
        caller = added;
        enter(caller, id, fd, handle);
    }
    if (caller != NULL)
        caller->refs++;
    pthread_mutex_unlock(&lock);
    if (caller != added) {
        free(added);
        door_handle_close(handle);
        door_close_received(fd);
    }
    return caller != NULL ? caller : door_rt_none(EMFILE);
}

void door_rt_caller_release(struct door_rt_caller *caller)
{
    pthread_mutex_lock(&lock);
    release(caller);
    pthread_mutex_unlock(&lock);
}

struct door_handle *door_rt_caller_handle(const struct door_rt_caller *caller)
{
    return caller->handle;
}

void door_rt_caller_forget(struct door_rt_caller *caller)
{
    pthread_mutex_lock(&lock);
    forget(caller);
    pthread_mutex_unlock(&lock);
}
