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

/* An httpd process's response door; its handle is open while it is held. */
struct door_rt_caller;

/* Held, or NULL if it is not known. */
struct door_rt_caller *door_rt_caller_find(const char *id);

/*
 * Takes fd over, which is closed if it is known already or cannot be kept.  Held, and can
 * be called; or NULL: EBADF it is no door, or its server is gone; EMFILE, ENFILE, ENOMEM,
 * EAGAIN, and EMFILE also if all that there is room for are held.
 */
struct door_rt_caller *door_rt_caller_add(const char *id, int fd);
void door_rt_caller_release(struct door_rt_caller *caller);
struct door_handle *door_rt_caller_handle(const struct door_rt_caller *caller);

/* Its process is gone: nobody finds it any more. */
void door_rt_caller_forget(struct door_rt_caller *caller);

/*
 * A call that a signal ended early would have been made all the same: around one the thread
 * has no signals.  errno stays.
 */
void door_rt_hold_signals(sigset_t *before);
void door_rt_let_signals(const sigset_t *before);

/* A short call of it is this long at most: caller.c sees that there is room for one. */
#define DOOR_RT_ASK_MAX 128

#endif
