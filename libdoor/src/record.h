/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * record.h: what a process keeps of each of its doors: what the door is, who refers
 * to it, and its limits.  Knows nothing of descriptors, channels and threads; who
 * serves the door hands down what is to happen at the ends.
 *
 * Two counts: refs keeps the memory; references counts what could still call: each
 * name, and each open descriptor for as long as it or a call that came by it lasts.
 * The creator's is one like any other: DOOR_UNREF is when two become one.  Any thread
 * may take references and give them back.
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

/* What follows from the ends of its counts. */
struct door_server {
    void (*unreferenced)(struct door *door); /* one reference is left */
    void (*unreachable)(struct door *door);  /* nobody can ever call */
    void (*freed)(struct door *door);
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
    void (*depleted)(struct door *door); /* likewise: a call has its last idle thread */
    /* What creation functions get, and keep for as long as the door lives: as it was made. */
    door_info_t told, told_depleted;
    STAILQ_ENTRY(door) unref_link; /* pool->unreferenced, under pool->lock */
    int unref_queued;              /* under pool->lock */
    int unref_done;                /* under pool->lock: DOOR_UNREF tells once */
};

/* A record with one reference, without a pool.  NULL and errno. */
struct door *door_record(door_server_procedure_t *procedure, void *cookie, door_attr_t attributes,
                         const struct door_server *server);
void door_hold(struct door *door);
void door_drop(struct door *door); /* the last one frees it */

/* One more that could call, which keeps the memory, too, and one fewer. */
void door_refer(struct door *door);
void door_unrefer(struct door *door);

/* One of these for a descriptor and all calls that come by it; the last to go is its end. */
struct door_reference {
    struct door *door;
    _Atomic unsigned refs;
};

struct door_reference *door_reference(struct door *door); /* NULL: ENOMEM */
void door_reference_hold(struct door_reference *reference);
void door_reference_release(struct door_reference *reference);

/* A number of this process's own, drawn at random; a forked child has another. */
uint64_t door_instance_id(void);

/* Fills in what the door's server tells anybody who asks. */
void door_describe(const struct door *door, struct msg_answer *answer);

/*
 * Sets a parameter, door_setparam(3C).  0, or -1 with EINVAL, EBADF it is revoked,
 * ERANGE, ENOTSUP.
 */
int door_set_limit(struct door *door, int param, size_t val);

/* 0, or the errno for a call that the limits rule out. */
int door_check_call(const struct door *door, uint64_t arg_size, unsigned desc_count);

#endif
