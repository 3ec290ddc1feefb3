/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * target.c: whom a request calls.
 */
#ifndef MOD_DOOR_TARGET_H
#define MOD_DOOR_TARGET_H

#include "mod_door.h"
#include "app.h"
#include "calls.h"
#include "doors.h"
#include "settings.h"
#include "supervisor.h"

/* Zeroed at first, but for app. */
struct mod_door_target {
    const struct mod_door_app *app; /* or NULL: the door has a path */
    struct mod_door_name name;
    struct mod_door *door; /* open; NULL: not found yet, or not any more */
    pid_t pid;             /* of its server, or of the one before; 0 or -1: not known */
    int is_renewed;        /* the door at the path has been opened anew */
    apr_uint32_t cell;     /* the process is entered on the board, or 0 */
    uint64_t serial;       /* of the process */
    uint64_t refused;      /* of the one that took no calls any more */
    int64_t until_ns;      /* how long it waits for one; 0: it has not waited */
};

/*
 * The name of the door that a path leads to, as the configuration gives it.  APR_EACCES:
 * it comes from .htaccess, and no DoorAllow releases it.
 */
apr_status_t mod_door_name_target(request_rec *r, const struct mod_door_config *conf,
                                  struct mod_door_target *target);

/*
 * Opens the door: the one at the path, or that of a process that is up, where it enters
 * the call's note.  Waits while the application starts: MOD_DOOR_ESTART, _EDOWN.  Of an open
 * door all errors are those of mod_door_acquire().  To be released.
 */
apr_status_t mod_door_find_target(struct mod_door_target *target, struct call_note *note,
                                  request_rec *r);

/*
 * After a call that was refused with EBADF, which no application has seen: the door that
 * has the path now, tried once; or another process's.
 */
apr_status_t mod_door_replace_target(struct mod_door_target *target, struct call_note *note,
                                     request_rec *r);

/* Whether a call that waits should go to another process of the application; goes there. */
int mod_door_is_better_off(const struct mod_door_target *target);
apr_status_t mod_door_move_target(struct mod_door_target *target, struct call_note *note,
                                  request_rec *r);

/* The call has ended: the process is told how.  If that has not been done, it was none. */
void mod_door_leave_process(struct mod_door_target *target, struct call_note *note,
                            enum call_end how);
void mod_door_release_target(struct mod_door_target *target, struct call_note *note);

/* The door of the process with that cell and serial. */
apr_status_t mod_door_name_process(apr_pool_t *pool, const char *app, apr_uint32_t cell,
                                   uint64_t serial, struct mod_door_name *name);

/* When a client that was turned away should come again. */
apr_interval_time_t mod_door_retry_after(const struct mod_door_app *app);

#endif
