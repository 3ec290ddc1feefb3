/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * record.c: see record.h.
 */
#include "record.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "fork.h"
#include "thread.h"

#define BOTH_UNREFS (DOOR_UNREF | DOOR_UNREF_MULTI)

static pthread_mutex_t instance_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t instance_id; /* 0: not drawn yet */

/* A forked child is another instance. */
static void forked(void)
{
    pthread_mutex_init(&instance_lock, NULL);
    instance_id = 0;
}

/* A random number, so that no two doors of a system have the same one, and no two processes. */
static uint64_t random_id(void)
{
    static _Atomic uint64_t count;
    uint64_t id = 0;

    while (id == 0) {
        if (getrandom(&id, sizeof(id), 0) < 0 && errno != EINTR) /* such as in a sandbox */
            id = ((uint64_t)thread_now_ns() << 24) ^ ((uint64_t)getpid() << 8) ^ ++count;
    }
    return id;
}

uint64_t door_instance_id(void)
{
    static struct fork_part part = {.child = forked};
    uint64_t id;

    fork_register(&part);
    pthread_mutex_lock(&instance_lock);
    if (instance_id == 0)
        instance_id = random_id();
    id = instance_id;
    pthread_mutex_unlock(&instance_lock);
    return id;
}

struct door *door_record(door_server_procedure_t *procedure, void *cookie, door_attr_t attributes,
                         const struct door_server *server)
{
    struct door *door = calloc(1, sizeof(*door));

    if (door == NULL)
        return NULL;
    atomic_init(&door->refs, 1);
    atomic_init(&door->data_max, UINT64_MAX);
    atomic_init(&door->desc_max, attributes & DOOR_REFUSE_DESC ? 0 : INT_MAX);
    door->server = server;
    door->procedure = procedure;
    door->cookie = cookie;
    door->attributes = attributes;
    door->id = random_id();
    return door;
}

void door_hold(struct door *door)
{
    atomic_fetch_add(&door->refs, 1);
}

void door_drop(struct door *door)
{
    if (atomic_fetch_sub(&door->refs, 1) > 1)
        return;
    door->server->freed(door);
    free(door->xcreate);
    free(door);
}

void door_refer(struct door *door)
{
    door_hold(door);
    atomic_fetch_add(&door->references, 1);
}

void door_unrefer(struct door *door)
{
    unsigned left = atomic_fetch_sub(&door->references, 1) - 1;

    if (left == 1 && !atomic_load(&door->revoked) && (door->attributes & BOTH_UNREFS))
        door->server->unreferenced(door);
    if (left == 0)
        door->server->unreachable(door);
    door_drop(door);
}

struct door_reference *door_reference(struct door *door)
{
    struct door_reference *reference = malloc(sizeof(*reference));

    if (reference == NULL)
        return NULL;
    reference->door = door;
    atomic_init(&reference->refs, 1);
    door_refer(door);
    return reference;
}

void door_reference_hold(struct door_reference *reference)
{
    atomic_fetch_add(&reference->refs, 1);
}

void door_reference_release(struct door_reference *reference)
{
    if (atomic_fetch_sub(&reference->refs, 1) > 1)
        return;
    door_unrefer(reference->door);
    free(reference);
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
    if (atomic_load(&door->references) <= 1)
        answer->info.di_attributes |= DOOR_IS_UNREF;
}

/* The parameter with that number, or NULL and EINVAL. */
static _Atomic uint64_t *parameter(struct door *door, int param)
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

/* Some call must fit between the limits; DOOR_REFUSE_DESC allows no descriptors. */
int door_set_limit(struct door *door, int param, size_t val)
{
    _Atomic uint64_t *p = parameter(door, param);

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
    atomic_store(p, val == SIZE_MAX ? UINT64_MAX : val);
    return 0;
}

int door_check_call(const struct door *door, uint64_t arg_size, unsigned desc_count)
{
    if (atomic_load(&door->revoked))
        return EBADF;
    if (arg_size > atomic_load(&door->data_max) || arg_size < atomic_load(&door->data_min))
        return ENOBUFS;
    if (desc_count > 0 && atomic_load(&door->desc_max) == 0)
        return ENOTSUP; /* as with DOOR_REFUSE_DESC, which makes it 0 */
    return desc_count > atomic_load(&door->desc_max) ? ENFILE : 0;
}
