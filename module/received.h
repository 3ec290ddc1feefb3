/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * received.c: the descriptors that applications send.
 */
#ifndef MOD_DOOR_RECEIVED_H
#define MOD_DOOR_RECEIVED_H

#include "mod_door.h"

/*
 * A sender is an application, or the server of the door at a path, that sends descriptors
 * to this child.  It is a number below MOD_DOOR_SENDERS, which each open door of that name
 * holds.  Senders for which there is no room share the number 0.
 */
#define MOD_DOOR_SENDERS 512

/* Once in each child, before anything else here. */
void mod_door_init_received(void);

unsigned mod_door_hold_sender(const char *name);
void mod_door_drop_sender(unsigned sender);

/* Whether threads wait for so many of the sender's descriptors that it must not be called. */
int mod_door_is_overdrawn(unsigned sender);

enum mod_door_received_kind { MOD_DOOR_FILE, MOD_DOOR_PIPE, MOD_DOOR_SOCKET, MOD_DOOR_OTHER };

/* What a descriptor is, as far as this can be found out without waiting for other processes. */
struct mod_door_look {
    enum mod_door_received_kind kind;
    int closes_at_once, reads_at_once; /* without blocking; the second is never set for a pipe */
    apr_off_t size;                    /* bytes, of a file */
};

/* Returns APR_SUCCESS or an errno value. */
apr_status_t mod_door_look_at(int fd, struct mod_door_look *look);

/* Closes the descriptor, and does not wait even if close(2) does. */
void mod_door_close_received(unsigned sender, int fd);

/* A descriptor that is kept.  The last release closes it. */
struct mod_door_received {
    int fd;
    unsigned sender;
    struct mod_door_look look;
    _Atomic unsigned refs;
};

/* Takes fd over, with one reference.  Returns NULL, and closes fd, if there is no memory. */
struct mod_door_received *mod_door_keep_received(unsigned sender, int fd,
                                                 const struct mod_door_look *look);
void mod_door_release_received(struct mod_door_received *file);

/* Called a few times a second during a wait.  Returns 0, or an error with which to give up. */
typedef apr_status_t mod_door_check(void *data);

/*
 * Reads at most len bytes: of a file at offset, of a pipe or socket what is there.  *got
 * is 0 at the end.  check may be NULL.  Errors: APR_EAGAIN a pipe or socket has nothing
 * now; MOD_DOOR_ESILENT reading took longer than timeout (0: no limit); ECONNABORTED
 * this child ends; ENOMEM; errors of check, and of reading.
 */
apr_status_t mod_door_read_received(struct mod_door_received *file, char *buf, apr_size_t len,
                                    apr_off_t offset, apr_interval_time_t timeout,
                                    mod_door_check *check, void *data, apr_size_t *got);

#endif
