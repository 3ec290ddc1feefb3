/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * record.h: what a process keeps of each of its doors: what the door is, its counts
 * of references, and its limits.  This file knows nothing of descriptors, channels and
 * threads: functions that are passed down say what happens when the counts run out.
 *
 * There are two counts.  refs keeps the memory.  references counts what could still
 * call: each name, and each open descriptor while it or a call through it exists.  The
 * creator's descriptor counts like any other, so DOOR_UNREF is when two become one.  Any
 * thread may take and drop references.
 */
#ifndef LIBDOOR_RECORD_H
#define LIBDOOR_RECORD_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <door.h>

#include "shm.h"

struct door;
struct pool;

/* Called when the counts run out. */
struct door_server {
    void (*unreferenced)(struct door *door); /* one of references is left */
    void (*unreachable)(struct door *door);  /* references is 0, so no calls can come any more */
    void (*freed)(struct door *door);        /* refs is 0, before the memory is freed */
};

struct door {
    _Atomic unsigned refs;
    _Atomic unsigned references;
    const struct door_server *server;
    door_server_procedure_t *procedure;
    void *cookie;
    door_attr_t attributes; /* as given to door_create() */
    door_id_t id;
    _Atomic uint64_t data_max, data_min; /* bytes of argument data; UINT64_MAX: no limit */
    _Atomic uint64_t desc_max;           /* argument descriptors */
    _Atomic int revoked;
    _Atomic int shares_arguments; /* door_share_arguments() */
    _Atomic int is_hidden;        /* door_hide_procedure() */
    struct pool *pool;
    int owns_pool; /* DOOR_PRIVATE */
    struct xcreate *xcreate; /* of door_xcreate(), owned; else NULL */
    void (*depleted)(struct door *door); /* of door_xcreate(): a call has the last idle thread */
    /* For creation functions, which may keep the pointers.  Never changed after the creation. */
    door_info_t told, told_depleted;
    STAILQ_ENTRY(door) unref_link; /* pool->unreferenced, under pool->lock */
    int unref_queued;              /* under pool->lock */
    int unref_done;                /* under pool->lock; DOOR_UNREF calls only once */
};

/* Makes a record with one of refs, and without a pool.  Returns NULL and errno if it fails. */
struct door *door_record(door_server_procedure_t *procedure, void *cookie, door_attr_t attributes,
                         const struct door_server *server);
void door_hold(struct door *door);
void door_drop(struct door *door); /* the last drop frees it */

/* Count one more, or one less, of references; each of them also has one of refs. */
void door_refer(struct door *door);
void door_unrefer(struct door *door);

/* One of references, shared by a descriptor and its channels.  The last release gives it up. */
struct door_reference {
    struct door *door;
    _Atomic unsigned refs;
};

struct door_reference *door_reference(struct door *door); /* NULL if there is no memory */
void door_reference_hold(struct door_reference *reference);
void door_reference_release(struct door_reference *reference);

/* A random number that identifies this process; a forked child has another one. */
uint64_t door_instance_id(void);

/* Fills in what the door's server answers to MSG_INFO. */
void door_describe(const struct door *door, struct msg_answer *answer);

/*
 * Sets a parameter of door_setparam(3C).  Returns 0, or -1 with EINVAL, EBADF (the door is
 * revoked), ERANGE, ENOTSUP.
 */
int door_set_limit(struct door *door, int param, size_t val);

/* Returns 0, or the errno for a call that the limits do not allow. */
int door_check_call(const struct door *door, uint64_t arg_size, unsigned desc_count);

#endif
