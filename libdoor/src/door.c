/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door.c: the doors of this process: making, describing and revoking them.
 */
#include <door.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "client.h"
#include "fd.h"
#include "fork.h"
#include "pool.h"
#include "server.h"
#include "server_thread.h"

#define CREATE_ATTRIBUTES \
    (DOOR_UNREF | DOOR_UNREF_MULTI | DOOR_PRIVATE | DOOR_REFUSE_DESC | DOOR_NO_CANCEL)

#define BOTH_UNREFS (DOOR_UNREF | DOOR_UNREF_MULTI)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void server_lock(void)
{
    pthread_mutex_lock(&lock);
}

void server_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

void server_lock_forked(void)
{
    pthread_mutex_init(&lock, NULL);
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
    static uint64_t instance_id;
    static pid_t pid; /* a forked child is another instance */
    uint64_t id;

    server_lock();
    if (pid != getpid()) {
        pid = getpid();
        instance_id = random_id();
    }
    id = instance_id;
    server_unlock();
    return id;
}

void door_hold(struct door *door)
{
    atomic_fetch_add(&door->refs, 1);
}

void door_drop(struct door *door)
{
    if (atomic_fetch_sub(&door->refs, 1) > 1)
        return;
    if (door->owns_pool)
        pool_drop(door->pool);
    free(door->xcreate);
    free(door);
}

void door_refer(struct door *door, int is_creators)
{
    door_hold(door);
    atomic_fetch_add(&door->reachable, 1);
    if (!is_creators)
        atomic_fetch_add(&door->foreign, 1);
}

void door_unrefer(struct door *door, int is_creators)
{
    if (!is_creators && atomic_fetch_sub(&door->foreign, 1) == 1 &&
        !atomic_load(&door->revoked) && (door->attributes & BOTH_UNREFS))
        pool_tell_unreferenced(door->pool, door);
    if (atomic_fetch_sub(&door->reachable, 1) == 1 && door->owns_pool)
        pool_close(door->pool); /* nobody can ever call those who serve it */
    door_drop(door);
}

void door_describe(const struct door *door, struct msg_answer *answer)
{
    *answer = (struct msg_answer){
        .magic = MSG_MAGIC,
        .instance_id = door_instance_id(),
        .data_max = atomic_load(&door->data_max),
        .data_min = atomic_load(&door->data_min),
        .desc_max = atomic_load(&door->desc_max),
        .info = {.di_target = getpid(),
                 .di_proc = (door_ptr_t)(uintptr_t)door->procedure,
                 .di_data = (door_ptr_t)(uintptr_t)door->cookie,
                 .di_attributes = door->attributes,
                 .di_uniquifier = door->id}};
    if (atomic_load(&door->is_hidden))
        answer->info.di_proc = answer->info.di_data = 0;
    if (atomic_load(&door->revoked))
        answer->info.di_attributes |= DOOR_REVOKED;
    if (atomic_load(&door->foreign) == 0)
        answer->info.di_attributes |= DOOR_IS_UNREF;
}

static struct door *new_door(door_server_procedure_t *procedure, void *cookie,
                             door_attr_t attributes)
{
    struct door *door = calloc(1, sizeof(*door));

    if (door == NULL)
        return NULL;
    atomic_init(&door->refs, 1);
    atomic_init(&door->data_max, SIZE_MAX);
    atomic_init(&door->desc_max, attributes & DOOR_REFUSE_DESC ? 0 : INT_MAX);
    door->procedure = procedure;
    door->cookie = cookie;
    door->attributes = attributes;
    door->id = random_id();
    door->owns_pool = (attributes & DOOR_PRIVATE) != 0;
    door->pool = door->owns_pool ? pool_create(door) : pool_shared();
    if (door->pool != NULL)
        return door;
    int error = errno;
    free(door);
    errno = error;
    return NULL;
}

/* A descriptor for door, whose other end the loop serves. */
int door_new_descriptor(struct door *door, int is_creators)
{
    int pair[2], served;

    if (fd_pair(pair) < 0)
        return -1;
    served = fd_hide(pair[1]);
    if (served >= 0 && fd_mark_door(pair[0]) == 0 &&
        connection_add(door, served, fd_cookie(pair[0]), is_creators) == 0)
        return pair[0];
    fd_close(served);
    fd_close(pair[0]);
    return -1;
}

int door_make(door_server_procedure_t *procedure, void *cookie, door_attr_t attributes,
              struct door **made)
{
    struct door *door;
    int fd;

    if (procedure == NULL || (attributes & BOTH_UNREFS) == BOTH_UNREFS) {
        errno = EINVAL;
        return -1;
    }
    if (server_channel_allowed() < 0 || fork_watch() < 0 || loop_start() < 0)
        return -1;
    door = new_door(procedure, cookie, attributes);
    if (door == NULL)
        return -1;
    fd = door_new_descriptor(door, 1);
    if (fd >= 0)
        *made = door;
    else
        door_drop(door);
    return fd;
}

int door_create(door_server_procedure_t *procedure, void *cookie, uint_t attributes)
{
    struct door *door;
    int fd;

    if ((attributes & ~CREATE_ATTRIBUTES) != 0) {
        errno = EINVAL;
        return -1;
    }
    fd = door_make(procedure, cookie, attributes, &door);
    if (fd >= 0) {
        server_thread_created(door);
        door_drop(door);
    }
    return fd;
}

int door_revoke(int d)
{
    struct door *door = door_find_own(d);

    if (door == NULL) {
        errno = fd_is_door(d) == 1 ? EPERM : EBADF;
        return -1;
    }
    atomic_store(&door->revoked, 1);
    pool_revoke(door->pool, door);
    door_drop(door);
    return close(d); /* revoking ends the descriptor too, as on illumos */
}

/* The parameter of door that param names, or NULL and EINVAL. */
static _Atomic size_t *parameter(struct door *door, int param)
{
    switch (param) {
    case DOOR_PARAM_DATA_MAX:
        return &door->data_max;
    case DOOR_PARAM_DATA_MIN:
        return &door->data_min;
    case DOOR_PARAM_DESC_MAX:
        return &door->desc_max;
    default:
        errno = EINVAL;
        return NULL;
    }
}

int door_getparam(int d, int param, size_t *out)
{
    struct msg_answer answer;

    if (param < DOOR_PARAM_DESC_MAX || param > DOOR_PARAM_DATA_MIN) {
        errno = EINVAL;
        return -1;
    }
    if (fd_is_door(d) != 1) {
        errno = EBADF;
        return -1;
    }
    if (client_ask(d, MSG_INFO, -1, 0, &answer, NULL, 0) < 0)
        return -1;
    if (answer.info.di_attributes & DOOR_REVOKED) {
        errno = EBADF;
        return -1;
    }
    *out = param == DOOR_PARAM_DATA_MAX   ? answer.data_max
           : param == DOOR_PARAM_DATA_MIN ? answer.data_min
                                          : answer.desc_max;
    return 0;
}

/* The limits must leave room for a call; descriptors are off with the attribute. */
static int set_parameter(struct door *door, int param, size_t val)
{
    _Atomic size_t *p = parameter(door, param);

    if (p == NULL)
        return -1;
    if (atomic_load(&door->revoked)) {
        errno = EBADF;
        return -1;
    }
    if ((param == DOOR_PARAM_DATA_MAX && val < atomic_load(&door->data_min)) ||
        (param == DOOR_PARAM_DATA_MIN && val > atomic_load(&door->data_max))) {
        errno = EINVAL;
        return -1;
    }
    if (param == DOOR_PARAM_DESC_MAX && val > INT_MAX) {
        errno = ERANGE;
        return -1;
    }
    if (param == DOOR_PARAM_DESC_MAX && val > 0 && (door->attributes & DOOR_REFUSE_DESC)) {
        errno = ENOTSUP;
        return -1;
    }
    atomic_store(p, val);
    return 0;
}

int door_setparam(int d, int param, size_t val)
{
    struct door *door = door_find_own(d);
    int result;

    if (door == NULL) {
        errno = fd_is_door(d) == 1 ? EPERM : EBADF;
        return -1;
    }
    result = set_parameter(door, param, val);
    door_drop(door);
    return result;
}

int door_share_arguments(int d)
{
    struct door *door = door_find_own(d);

    if (door == NULL) {
        errno = EBADF;
        return -1;
    }
    atomic_store(&door->shares_arguments, 1);
    door_drop(door);
    return 0;
}

int door_hide_procedure(int d)
{
    struct door *door = door_find_own(d);

    if (door == NULL) {
        errno = EBADF;
        return -1;
    }
    atomic_store(&door->is_hidden, 1);
    door_drop(door);
    return 0;
}

int door_running_calls(int d)
{
    struct door *door = door_find_local(d);
    unsigned count;

    if (door == NULL) {
        errno = EBADF;
        return -1;
    }
    count = pool_running(door->pool, door);
    door_drop(door);
    return (int)count;
}
