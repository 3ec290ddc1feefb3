/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * target.c: which door a request calls.
 */
#ifndef MOD_DOOR_TARGET_H
#define MOD_DOOR_TARGET_H

#include "mod_door.h"
#include "app.h"
#include "calls.h"
#include "doors.h"
#include "settings.h"
#include "supervisor.h"

/* All but app begins as zero. */
struct mod_door_target {
    const struct mod_door_app *app; /* or NULL: the door has a path */
    struct mod_door_name name;
    struct mod_door *door; /* the open door; NULL: not found yet, or released */
    pid_t pid;             /* of the door's last known server; 0 or -1: not known */
    int is_renewed;        /* the door at the path has been opened again */
    apr_uint32_t cell;     /* number of the process's cell on the board; 0: not entered there */
    uint64_t serial;       /* of the process */
    uint64_t refused;      /* serial of the process that has refused the call */
    int64_t until_ns;      /* when waiting for a process ends; 0: it has not waited */
};

/*
 * Sets target->name for the door at the path of the configuration.  APR_EACCES: the path
 * comes from .htaccess, and no DoorAllow permits it.
 */
apr_status_t mod_door_name_target(request_rec *r, const struct mod_door_config *conf,
                                  struct mod_door_target *target);

/*
 * Opens the door at the path, or chooses a process of the application, enters the call's note
 * there and opens its door.  Waits while the application starts.  The caller releases the
 * target.  Errors: MOD_DOOR_ESTART, MOD_DOOR_EDOWN, MOD_DOOR_EDRAINED, and those of
 * mod_door_acquire().
 */
apr_status_t mod_door_find_target(struct mod_door_target *target, struct call_note *note,
                                  request_rec *r);

/*
 * After a call that was refused with EBADF, and so did not reach the application: opens the
 * door that has the path now, which is tried once, or the door of another process.
 */
apr_status_t mod_door_replace_target(struct mod_door_target *target, struct call_note *note,
                                     request_rec *r);

/* Whether a waiting call should go to another process of the application. */
int mod_door_is_better_off(const struct mod_door_target *target);

/* Goes to another process of the application. */
apr_status_t mod_door_move_target(struct mod_door_target *target, struct call_note *note,
                                  request_rec *r);

/*
 * Leaves the process after the call, which is counted there by how it ended.
 * mod_door_release_target() does this for a call that was never made.
 */
void mod_door_leave_process(struct mod_door_target *target, struct call_note *note,
                            enum call_end how);
void mod_door_release_target(struct mod_door_target *target, struct call_note *note);

/* The name of the door of the process with that cell and serial. */
apr_status_t mod_door_name_process(apr_pool_t *pool, const char *app, apr_uint32_t cell,
                                   uint64_t serial, struct mod_door_name *name);

/* After how long a client that was turned away should try again. */
apr_interval_time_t mod_door_retry_after(const struct mod_door_app *app);

#endif
