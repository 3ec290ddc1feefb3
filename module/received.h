/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * received.c: the descriptors that applications send.
 */
#ifndef MOD_DOOR_RECEIVED_H
#define MOD_DOOR_RECEIVED_H

#include "mod_door.h"

/*
 * Whoever sends this child descriptors: an application, or who serves the door at a
 * path.  A number below MOD_DOOR_SENDERS, held by each open door of that name; 0 is
 * shared by those that find no room.
 */
#define MOD_DOOR_SENDERS 512

unsigned mod_door_hold_sender(const char *name);
void mod_door_drop_sender(unsigned sender);

/* Whether so many of its descriptors keep threads waiting that it must not be called. */
int mod_door_is_overdrawn(unsigned sender);

enum mod_door_received_kind { MOD_DOOR_FILE, MOD_DOOR_PIPE, MOD_DOOR_SOCKET, MOD_DOOR_OTHER };

/* What a descriptor is, as far as that can be told without waiting for anybody. */
struct mod_door_look {
    enum mod_door_received_kind kind;
    int closes_at_once, reads_at_once; /* if there is something, and it is no pipe */
    apr_off_t size;
};

/* APR_SUCCESS or errno. */
apr_status_t mod_door_look_at(int fd, struct mod_door_look *look);

/* Closes it without waiting for that. */
void mod_door_close_received(unsigned sender, int fd);

/* One that is kept; to be released, by the last user closed. */
struct mod_door_received {
    int fd;
    unsigned sender;
    struct mod_door_look look;
    _Atomic unsigned refs;
};

/* Takes fd over; NULL: no memory. */
struct mod_door_received *mod_door_keep_received(unsigned sender, int fd,
                                                 const struct mod_door_look *look);
void mod_door_release_received(struct mod_door_received *file);

/* Asked a few times a second while somebody waits: an errno value to give up with, or 0. */
typedef apr_status_t mod_door_check(void *data);

/*
 * Reads at most len bytes: of a file at offset, of a pipe or socket what is there.  0
 * bytes are the end.  check may be NULL.  Errors: APR_EAGAIN a pipe or socket has nothing
 * now; MOD_DOOR_ESILENT a file gave nothing for longer than timeout (0: for ever);
 * ECONNABORTED this child ends; check's; those of reading it.
 */
apr_status_t mod_door_read_received(struct mod_door_received *file, char *buf, apr_size_t len,
                                    apr_off_t offset, apr_interval_time_t timeout,
                                    mod_door_check *check, void *data, apr_size_t *got);

#endif
