/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door.c: the doors of this process: making, describing and revoking them.
 */
#include <door.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "fd.h"
#include "fork.h"
#include "pool.h"
#include "server.h"

#define CREATE_ATTRIBUTES (DOOR_REFUSE_DESC | DOOR_NO_CANCEL)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void server_lock(void)
{
    pthread_mutex_lock(&lock);
}

void server_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

/* Drawn at random: no two doors of a system have the same, nor two processes. */
static uint64_t random_id(void)
{
    uint64_t id = 0;

    while (getrandom(&id, sizeof(id), 0) != sizeof(id) || id == 0)
        continue;
    return id;
}

uint64_t door_instance_id(void)
{
    static _Atomic uint64_t instance_id;
    static pid_t pid; /* a forked child is another instance */
    uint64_t id;

    server_lock();
    if (pid != getpid()) {
        pid = getpid();
        atomic_store(&instance_id, random_id());
    }
    id = atomic_load(&instance_id);
    server_unlock();
    return id;
}

void door_hold(struct door *door)
{
    atomic_fetch_add(&door->refs, 1);
}

void door_drop(struct door *door)
{
    if (atomic_fetch_sub(&door->refs, 1) == 1)
        free(door);
}

void door_describe(const struct door *door, struct msg_answer *answer)
{
    *answer = (struct msg_answer){
        .magic = MSG_MAGIC,
        .instance_id = door_instance_id(),
        .info = {.di_target = getpid(),
                 .di_proc = (door_ptr_t)(uintptr_t)door->procedure,
                 .di_data = (door_ptr_t)(uintptr_t)door->cookie,
                 .di_attributes = door->attributes,
                 .di_uniquifier = door->id}};
    if (atomic_load(&door->revoked))
        answer->info.di_attributes |= DOOR_REVOKED;
}

static struct door *new_door(door_server_procedure_t *procedure, void *cookie,
                             door_attr_t attributes, struct pool *pool)
{
    struct door *door = calloc(1, sizeof(*door));

    if (door == NULL)
        return NULL;
    atomic_init(&door->refs, 1);
    door->procedure = procedure;
    door->cookie = cookie;
    door->attributes = attributes;
    door->id = random_id();
    door->pool = pool;
    return door;
}

/* A descriptor for door, whose other end the loop serves. */
static int new_descriptor(struct door *door)
{
    int pair[2], served;

    if (fd_pair(pair) < 0)
        return -1;
    served = fd_hide(pair[1]);
    if (served >= 0 && fd_mark_door(pair[0]) == 0 &&
        connection_add(door, served, fd_cookie(pair[0])) == 0)
        return pair[0];
    fd_close(served);
    fd_close(pair[0]);
    return -1;
}

int door_create(door_server_procedure_t *procedure, void *cookie, uint_t attributes)
{
    struct pool *pool;
    struct door *door;
    int fd;

    if (procedure == NULL || (attributes & ~CREATE_ATTRIBUTES) != 0) {
        errno = EINVAL;
        return -1;
    }
    if (fork_watch() < 0 || loop_start() < 0 || (pool = pool_shared()) == NULL)
        return -1;
    door = new_door(procedure, cookie, attributes, pool);
    if (door == NULL)
        return -1;
    fd = new_descriptor(door);
    door_drop(door);
    return fd;
}

int door_revoke(int d)
{
    struct door *door = door_find_local(d);

    if (door == NULL) {
        errno = fd_is_door(d) == 1 ? EPERM : EBADF;
        return -1;
    }
    atomic_store(&door->revoked, 1);
    door_drop(door);
    return close(d); /* revoking ends the descriptor too, as on illumos */
}
