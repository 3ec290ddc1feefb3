/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * create.c: making, revoking and limiting doors.
 */
#include "create.h"

#include <door_compat.h>

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include "ask.h"
#include "connection.h"
#include "fd.h"
#include "pool.h"
#include "server_thread.h"
#include "thread.h"

#define CREATE_ATTRIBUTES \
    (DOOR_UNREF | DOOR_UNREF_MULTI | DOOR_PRIVATE | DOOR_REFUSE_DESC | DOOR_NO_CANCEL)

#define BOTH_UNREFS (DOOR_UNREF | DOOR_UNREF_MULTI)

static void unreferenced(struct door *door)
{
    pool_tell_unreferenced(door->pool, door);
}

static void unreachable(struct door *door)
{
    if (door->owns_pool)
        pool_close(door->pool); /* no client can call its threads any more */
}

static void freed(struct door *door)
{
    if (door->owns_pool && door->pool != NULL)
        pool_drop(door->pool);
}

static struct door *new_door(door_server_procedure_t *procedure, void *cookie,
                             door_attr_t attributes)
{
    static const struct door_server server = {unreferenced, unreachable, freed};
    struct door *door = door_record(procedure, cookie, attributes, &server);

    if (door == NULL)
        return NULL;
    door->owns_pool = (attributes & DOOR_PRIVATE) != 0;
    door->pool = door->owns_pool ? pool_create(door) : server_thread_pool();
    if (door->pool != NULL)
        return door;
    int error = errno;
    door_drop(door);
    errno = error;
    return NULL;
}

/* Fills in the infos for creation functions.  Threads may read them from now on without a lock. */
static void tell(struct door *door)
{
    struct msg_answer answer;

    door_describe(door, &answer);
    door->told = answer.info;
    door->told.di_attributes |= DOOR_LOCAL;
    door->told_depleted = door->told;
    door->told_depleted.di_attributes &= ~(door_attr_t)DOOR_IS_UNREF; /* some client calls it */
    if (door->attributes & DOOR_PRIVCREATE)
        door->told_depleted.di_attributes |= DOOR_DEPLETION_CB;
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
    if (server_channel_allowed() < 0 || loop_start() < 0)
        return -1;
    door = new_door(procedure, cookie, attributes);
    if (door == NULL)
        return -1;
    fd = door_new_descriptor(door);
    if (fd < 0) {
        door_drop(door);
        return -1;
    }
    tell(door);
    *made = door;
    return fd;
}

int door_create(door_server_procedure_t *procedure, void *cookie, uint_t attributes)
{
    THREAD_UNCANCELLED;
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
    THREAD_UNCANCELLED;
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

int door_getparam(int d, int param, size_t *out)
{
    THREAD_UNCANCELLED;
    struct msg_answer answer;
    uint64_t value;

    if (param < DOOR_PARAM_DESC_MAX || param > DOOR_PARAM_DATA_MIN) {
        errno = EINVAL;
        return -1;
    }
    if (fd_is_door(d) != 1) {
        errno = EBADF;
        return -1;
    }
    if (door_ask(d, MSG_INFO, 0, &answer, NULL, 0) < 0)
        return -1;
    if (answer.info.di_attributes & DOOR_REVOKED) {
        errno = EBADF;
        return -1;
    }
    value = param == DOOR_PARAM_DATA_MAX   ? answer.data_max
            : param == DOOR_PARAM_DATA_MIN ? answer.data_min
                                           : answer.desc_max;
    if (value != UINT64_MAX && value > SIZE_MAX) { /* only in 32-bit processes */
        errno = EOVERFLOW;
        return -1;
    }
    *out = (size_t)value; /* UINT64_MAX, no limit, becomes SIZE_MAX */
    return 0;
}

int door_setparam(int d, int param, size_t val)
{
    THREAD_UNCANCELLED;
    struct door *door = door_find_own(d);
    int result;

    if (door == NULL) {
        errno = fd_is_door(d) == 1 ? EPERM : EBADF;
        return -1;
    }
    result = door_set_limit(door, param, val);
    door_drop(door);
    return result;
}

int door_share_arguments(int d)
{
    THREAD_UNCANCELLED;
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
    THREAD_UNCANCELLED;
    struct door *door = door_find_own(d);

    if (door == NULL) {
        errno = EBADF;
        return -1;
    }
    atomic_store(&door->is_hidden, 1);
    door_drop(door);
    return 0;
}

/* A door of this process that is not private, with a reference; or NULL with EBADF or ENOTSUP. */
static struct door *find_shared(int d)
{
    struct door *door = door_find_own(d);

    if (door == NULL) {
        errno = EBADF;
    } else if (door->owns_pool) {
        door_drop(door);
        errno = ENOTSUP;
        door = NULL;
    }
    return door;
}

int door_set_threads(int d, unsigned max, unsigned idle_ms)
{
    THREAD_UNCANCELLED;
    struct door *door = find_shared(d);

    if (door == NULL)
        return -1;
    pool_set_threads(door->pool, max, idle_ms);
    door_drop(door);
    return 0;
}

int door_take_turns(int d)
{
    THREAD_UNCANCELLED;
    struct door *door = find_shared(d);

    if (door == NULL)
        return -1;
    atomic_store(&door->pool->takes_turns, 1);
    door_drop(door);
    return 0;
}

int door_prepare_threads(int d, int (*prepare)(void *data), void *data)
{
    THREAD_UNCANCELLED;
    struct door *door = find_shared(d);

    if (door == NULL)
        return -1;
    pool_prepare_threads(door->pool, prepare, data);
    door_drop(door);
    return 0;
}

int door_running_calls(int d)
{
    THREAD_UNCANCELLED;
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
