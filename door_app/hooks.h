/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * hooks.h: what an application wants to have in each of its server threads; hooks.c.
 */
#ifndef DOOR_APP_HOOKS_H
#define DOOR_APP_HOOKS_H

#include "door_app.h"
#include "thread.h"

/* An application's hooks, and how its threads fare with them; held by these, too. */
struct door_rt_hooks;

/* Held once; NULL with ENOMEM. */
struct door_rt_hooks *door_rt_hooks_create(void);

/* The application is no more: no hook runs from now on.  Gives the hold back. */
void door_rt_hooks_close(struct door_rt_hooks *hooks);

/* 0, or -1 with EEXIST: it has some. */
int door_rt_hooks_set(struct door_rt_hooks *hooks, door_app_thread_start *start,
                      door_app_thread_stop *stop, void *data);

void door_rt_hooks_set_check(struct door_rt_hooks *hooks, door_app_thread_check *check);

/*
 * Has the threads that serve door started before they take calls, where the doors can do
 * that.  One that cannot start, and has waited for idle_ms to do so, ends; 0: none does.
 */
void door_rt_hooks_watch(struct door_rt_hooks *hooks, int door, unsigned idle_ms);

/* Whether the thread may run a handler, for which it is started if nobody has; 0 or 1. */
int door_rt_hooks_ready(struct door_rt_hooks *hooks, struct door_rt_thread *thread);

/* After the handler: if that has called door_app_thread_lost(), the thread starts anew. */
void door_rt_hooks_settle(struct door_rt_thread *thread);

#endif
