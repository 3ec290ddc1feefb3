/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * prepare.h: door_prepare_threads(): a function of the program that runs in each thread of
 * the shared pool before the thread takes calls.
 */
#ifndef LIBDOOR_PREPARE_H
#define LIBDOOR_PREPARE_H

#include "pool.h"

/* Sets the function for all threads, also for existing ones. */
void prepare_set(struct pool *pool, int (*function)(void *data), void *data);

/* Whether the thread may take calls without asking.  If not, prepare_still() comes next. */
int prepare_is_done(const struct server_thread *t);

/* Asks, quickly, whether the thread is still prepared.  If not, prepare_thread() comes next. */
int prepare_still(struct server_thread *t);

/*
 * Calls the function.  That may take long, or end the thread, so the thread must hold nothing
 * that others wait for.
 */
void prepare_thread(struct server_thread *t);

/* Has the thread prepared again before its next call. */
void prepare_undo(struct server_thread *t);

/* When the thread leaves the pool, prepared or not. */
void prepare_leave(struct server_thread *t);

#endif
