/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * caller.c: the response doors of the httpd processes that have called, by the
 * ids that their requests name.  One process's door comes once and is kept
 * until the process has gone; that is noticed when a call to it fails, or when
 * others come: each newcomer has two of the old ones looked at, so that dead
 * ones do not pile up and nobody has to look at all.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "app.h"

#define BUCKET_COUNT 256
#define CALLERS_MAX  4096
#define LOOK_AT      2

struct door_rt_caller {
    struct door_rt_caller *next; /* in its bucket */
    TAILQ_ENTRY(door_rt_caller) link; /* in known */
    unsigned refs;               /* requests, and 1 while in the table; under the lock */
    int is_known;                /* in the table; under the lock */
    int fd;
    char id[DOOR_WIRE_ID_LEN + 1];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct door_rt_caller *buckets[BUCKET_COUNT];
static TAILQ_HEAD(, door_rt_caller) known = TAILQ_HEAD_INITIALIZER(known);
static unsigned known_count;

static struct door_rt_caller **bucket_of(const char *id)
{
    unsigned hash = 0;

    for (int i = 0; i < 4; i++) /* they are random digits */
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

/* With the lock held: the last one closes it. */
static void release(struct door_rt_caller *caller)
{
    if (--caller->refs > 0)
        return;
    close(caller->fd);
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
    if (caller != NULL)
        caller->refs++;
    pthread_mutex_unlock(&lock);
    return caller;
}

static int is_dead(int fd)
{
    struct door_info info;

    return door_info(fd, &info) == -1 || info.di_target == -1 ||
           (info.di_attributes & DOOR_REVOKED) != 0;
}

/* The one that was not looked at for longest, held. */
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
        if (is_dead(caller->fd)) /* asks another process: not under the lock */
            door_rt_caller_forget(caller);
        door_rt_caller_release(caller);
    }
}

struct door_rt_caller *door_rt_caller_add(const char *id, int fd)
{
    struct door_rt_caller *caller;
    struct door_rt_caller *added = is_id(id) && !is_dead(fd) ? malloc(sizeof(*added)) : NULL;

    if (added == NULL) {
        close(fd);
        return NULL;
    }
    look_for_the_dead();
    pthread_mutex_lock(&lock);
    caller = find(id);
    if (caller == NULL && known_count < CALLERS_MAX) {
        caller = added;
        caller->next = *bucket_of(id);
        caller->refs = 1;
        caller->is_known = 1;
        caller->fd = fd;
        memcpy(caller->id, id, sizeof(caller->id));
        *bucket_of(id) = caller;
        TAILQ_INSERT_TAIL(&known, caller, link);
        known_count++;
    }
    if (caller != NULL)
        caller->refs++;
    pthread_mutex_unlock(&lock);
    if (caller != added) {
        free(added);
        close(fd);
    }
    return caller;
}

void door_rt_caller_release(struct door_rt_caller *caller)
{
    pthread_mutex_lock(&lock);
    release(caller);
    pthread_mutex_unlock(&lock);
}

int door_rt_caller_fd(const struct door_rt_caller *caller)
{
    return caller->fd;
}

void door_rt_caller_forget(struct door_rt_caller *caller)
{
    pthread_mutex_lock(&lock);
    forget(caller);
    pthread_mutex_unlock(&lock);
}

int door_rt_caller_has_room(void)
{
    int has_room;

    pthread_mutex_lock(&lock);
    has_room = known_count < CALLERS_MAX;
    pthread_mutex_unlock(&lock);
    return has_room;
}
