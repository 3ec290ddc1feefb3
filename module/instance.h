/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * instance.c: a process of a launched application for a request.
 */
#ifndef MOD_DOOR_INSTANCE_H
#define MOD_DOOR_INSTANCE_H

#include "mod_door.h"
#include "app.h"
#include "doors.h"
#include "supervisor.h"

/* A request's way to a process of an application. */
struct mod_door_instance {
    const struct mod_door_app *app; /* or NULL: the door has a path */
    apr_uint32_t cell;              /* entered on the board, or 0 */
    uint64_t serial;                /* of the process */
    uint64_t refused;               /* of the one that took no calls any more */
    int64_t until_ns;               /* how long it waits for one; 0: it has not waited */
};

/*
 * Chooses a process that is up, enters the note there, and names its door.  Waits while
 * the application starts: MOD_DOOR_ESTART, _EDOWN.  It is to be left.
 */
apr_status_t mod_door_enter_instance(struct mod_door_instance *in, struct call_note *note,
                                     apr_pool_t *pool, struct mod_door_name *name);

/* Whether a call that waits should go to another process of the application. */
int mod_door_is_better_off(const struct mod_door_instance *in);

/* The door of the process with that cell and serial. */
apr_status_t mod_door_name_instance(apr_pool_t *pool, const char *app, apr_uint32_t cell,
                                    uint64_t serial, struct mod_door_name *name);

void mod_door_leave_instance(struct mod_door_instance *in, struct call_note *note,
                             enum call_end how);

/* When a client that was turned away should come again. */
apr_interval_time_t mod_door_retry_after(const struct mod_door_app *app);

#endif
