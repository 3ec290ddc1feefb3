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

/* How a door is to be opened.  The strings must live as long as the request. */
struct mod_door_name {
    const char *path;
    apr_size_t trusted_len; /* bytes of path in which symbolic links are followed */
    const char *key;        /* in the table of open doors */
    apr_uint64_t version;   /* an open door must have the same; 0: the path is checked instead */
    const char *sender;     /* whom its descriptors are charged to */
    int in_own_dir;         /* the owner of the directory must have attached the door */
    int has_owner;          /* the user "owner" must have attached the door */
    uid_t owner;
};

/* An open door, used by any number of requests at once; see doors.c. */
struct mod_door {
    int fd;
    struct door_handle *handle; /* of fd */
    pid_t pid;                  /* its server's when it was opened, or -1 */
    dev_t dev;                  /* of its name when it was opened */
    ino_t ino;
    apr_time_t changed;    /* the name's change time when it was opened */
    apr_time_t checked;    /* when the name was last looked at; under the lock */
    unsigned users;        /* requests, and 1 while in the table; under the lock */
    apr_uint64_t version;  /* of the name with which it was opened */
    unsigned sender;       /* whom its descriptors are charged to */
    int is_attacher_known; /* the system tells who attached it */
    uid_t attacher;
    unsigned long serial;          /* identifies its response door within this child */
    char id[DOOR_WIRE_ID_LEN + 1]; /* identifies its response door to the application */
    int response_fd;               /* the response door; -1 until it is made; under the lock */
    char key[];
};

/* Makes the table of open doors; in child_init, before any request. */
apr_status_t mod_door_init(apr_pool_t *child_pool);

/*
 * Finds the open door of that name, or opens it.  The caller gives it back with
 * mod_door_release().  now is the request's time.  Returns APR_SUCCESS, an errno value
 * of door_openat(), MOD_DOOR_EOWNER, or ENOTSUP if the name has an owner and the system
 * does not tell who attached the door.
 */
apr_status_t mod_door_acquire(const struct mod_door_name *name, apr_time_t now,
                              struct mod_door **door);

/*
 * For a door that refused a call with EBADF: releases *door, and acquires the door
 * that has the name now.  *door becomes NULL if that fails.
 */
apr_status_t mod_door_renew(const struct mod_door_name *name, apr_time_t now,
                            struct mod_door **door);

void mod_door_release(struct mod_door *door);

/* Releases a door, and takes it out of the table so that no later request gets it. */
void mod_door_discard(struct mod_door *door);

/* The door's response door, which is made at the first call; or -1 and errno. */
typedef int mod_door_response_maker(const struct mod_door *door);
int mod_door_response_fd(struct mod_door *door, mod_door_response_maker *make);

/* Revokes the response door of the door with that serial, and takes the door out of the table. */
void mod_door_cut_off(unsigned long serial);

/*
 * door_handle_call(), with those signals blocked by which httpd ends a child gracefully:
 * they would interrupt the call.  Returns APR_SUCCESS or an errno value.
 */
apr_status_t mod_door_invoke(const struct mod_door *door, door_arg_t *args,
                             struct door_terms *terms);

#endif
