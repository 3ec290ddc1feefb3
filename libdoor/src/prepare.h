/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * prepare.h: what the program does in each thread of the shared pool before that takes
 * calls, door_prepare_threads().
 */
#ifndef LIBDOOR_PREPARE_H
#define LIBDOOR_PREPARE_H

#include "pool.h"

/* What threads are prepared with from now on; those that are there, too. */
void prepare_set(struct pool *pool, int (*function)(void *data), void *data);

/* Whether the thread may take calls without a word; if not, prepare_still() is to be asked. */
int prepare_is_done(const struct server_thread *t);

/* Whether it is prepared as it was, which takes no time; if not, it is to prepare itself. */
int prepare_still(struct server_thread *t);

/* The thread holds nothing that others wait for: this may take long, or end it. */
void prepare_thread(struct server_thread *t);

/* It is to be prepared anew. */
void prepare_undo(struct server_thread *t);

/* The thread leaves the pool, prepared or not. */
void prepare_leave(struct server_thread *t);

#endif
