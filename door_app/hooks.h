/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * hooks.h: the hooks that run in each server thread; hooks.c.
 */
#ifndef DOOR_APP_HOOKS_H
#define DOOR_APP_HOOKS_H

#include "door_app.h"
#include "thread.h"

/* An application's hooks, and the state of its threads.  The threads have references, too. */
struct door_rt_hooks;

/* With one reference; NULL with ENOMEM. */
struct door_rt_hooks *door_rt_hooks_create(void);

/* Before the application is freed: no hook runs any more.  Drops the application's reference. */
void door_rt_hooks_close(struct door_rt_hooks *hooks);

/* Returns 0, or -1 with EEXIST if there are hooks already. */
int door_rt_hooks_set(struct door_rt_hooks *hooks, door_app_thread_start *start,
                      door_app_thread_stop *stop, void *data);

void door_rt_hooks_set_check(struct door_rt_hooks *hooks, door_app_thread_check *check);

/*
 * Has the start hook run on each thread that serves door before the thread takes calls, if the
 * doors can do that.  A thread whose start hook has failed for idle_ms ends; 0: none ends.
 */
void door_rt_hooks_watch(struct door_rt_hooks *hooks, int door, unsigned idle_ms);

/* Whether the thread may run a handler (1 or 0).  Runs the start hook if the doors have not. */
int door_rt_hooks_ready(struct door_rt_hooks *hooks, struct door_rt_thread *thread);

/* After the handler: if it has called door_app_thread_lost(), the thread stops and starts again. */
void door_rt_hooks_settle(struct door_rt_thread *thread);

#endif
