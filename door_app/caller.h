/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * caller.h: the response doors of httpd's processes; caller.c.
 */
#ifndef DOOR_APP_CALLER_H
#define DOOR_APP_CALLER_H

#include <signal.h>

#include <door.h>
#include <door_compat.h>

/* An httpd process's response door.  It stays open while somebody has a reference. */
struct door_rt_caller;

/* The response door with that id, with a reference; NULL if it is not known. */
struct door_rt_caller *door_rt_caller_find(const char *id);

/*
 * Adds a response door that has come as fd, and takes fd over, also in case of an error.
 * Returns the door with that id, with a reference, or NULL and errno: EBADF fd is no door,
 * or its server is gone; EMFILE, ENFILE, ENOMEM, EAGAIN; EMFILE also if the table is full
 * of doors in use.
 */
struct door_rt_caller *door_rt_caller_add(const char *id, int fd);
void door_rt_caller_release(struct door_rt_caller *caller);
struct door_handle *door_rt_caller_handle(const struct door_rt_caller *caller);

/* Takes the door out of the table, since its process is gone. */
void door_rt_caller_forget(struct door_rt_caller *caller);

/*
 * Block the thread's signals around a call, and restore them.  A call that a signal interrupts
 * would still have an effect, so none may be interrupted.  errno stays.
 */
void door_rt_hold_signals(sigset_t *before);
void door_rt_let_signals(const sigset_t *before);

/* The most bytes of a short message; door_rt_caller_add() checks that there is room for one. */
#define DOOR_RT_ASK_MAX 128

#endif
