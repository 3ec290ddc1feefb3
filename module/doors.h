/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * doors.c: this child's open doors.
 */
#ifndef MOD_DOOR_DOORS_H
#define MOD_DOOR_DOORS_H

#include "mod_door.h"
#include "settings.h"
#include "wire.h"

/* How a door is to be opened; strings as long-lived as the request. */
struct mod_door_name {
    const char *path;
    apr_size_t trusted_len; /* bytes of path in which symbolic links are followed */
    const char *key;        /* in the table of open doors */
    apr_uint64_t version;   /* a door of another one is not this one; 0: the path tells */
    const char *sender;     /* whom its descriptors are charged to */
    int in_own_dir;         /* whoever serves it owns the directory, and must have attached it */
    int has_owner;          /* this user must have */
    uid_t owner;
};

/* An open door, used by any number of requests at once; see doors.c. */
struct mod_door {
    int fd;
    struct door_handle *handle; /* of fd */
    pid_t pid;                  /* its server's when it was opened, or -1 */
    dev_t dev;                  /* of its name then */
    ino_t ino;
    apr_time_t changed;    /* the name's change time then */
    apr_time_t checked;    /* when the name was last looked at; under the lock */
    unsigned users;        /* requests, and 1 while in the table; under the lock */
    apr_uint64_t version;  /* of the name that it was opened by */
    unsigned sender;       /* whom its descriptors are charged to */
    int is_attacher_known; /* the system tells who attached it: */
    uid_t attacher;
    unsigned long serial;          /* tells this child's response doors apart */
    char id[DOOR_WIRE_ID_LEN + 1]; /* names its response door to the application */
    int response_fd;               /* that, or -1 as long as nobody asked; under the lock */
    char key[];
};

/* Makes the table of open doors; in child_init, before any request. */
apr_status_t mod_door_init(apr_pool_t *child_pool);

/*
 * The door of that name, opened if this child has not done so already; the
 * caller gives it back with mod_door_release().  now is the request's time.
 * Returns APR_SUCCESS, an errno value of door_openat(), or MOD_DOOR_EOWNER; ENOTSUP
 * if its owner is asked for and the system does not tell.
 */
apr_status_t mod_door_acquire(const struct mod_door_name *name, apr_time_t now,
                              struct mod_door **door);

/*
 * For a door that refused a call with EBADF: releases *door, and acquires the
 * one that has the name now.  *door is NULL if that fails.
 */
apr_status_t mod_door_renew(const struct mod_door_name *name, apr_time_t now,
                            struct mod_door **door);

void mod_door_release(struct mod_door *door);

/* Releases a door that nobody is to get any more. */
void mod_door_discard(struct mod_door *door);

/* The door's response door, made when it is first asked for; -1 and errno. */
typedef int mod_door_response_maker(const struct mod_door *door);
int mod_door_response_fd(struct mod_door *door, mod_door_response_maker *make);

/* Nobody calls the response door of the door with that serial any more, and no request gets that.
 */
void mod_door_cut_off(unsigned long serial);

/*
 * door_handle_call() with the signals blocked that httpd sends a child to end
 * it gracefully: they would end the call too.  Returns APR_SUCCESS or errno.
 */
apr_status_t mod_door_invoke(const struct mod_door *door, door_arg_t *args,
                             struct door_terms *terms);

#endif
