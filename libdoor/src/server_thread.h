/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * server_thread.h: server threads: how they are started, and which doors they serve.
 */
#ifndef LIBDOOR_SERVER_THREAD_H
#define LIBDOOR_SERVER_THREAD_H

#include "pool.h"

/* For a door that was just made: calls the server creation function if that is due. */
void server_thread_created(struct door *door);

/* The shared pool, for which the server creation function starts threads; NULL and errno. */
struct pool *server_thread_pool(void);

/* The credentials of the calling thread's caller.  Returns 0, or -1 with EINVAL. */
int server_thread_identify(struct credentials *credentials);

/* Binds the calling thread to door, with a reference, from its next door_return() on. */
int server_thread_bind(struct door *door);

/* The door that the calling thread is bound to, with a reference, or NULL. */
struct door *server_thread_bound(void);

#endif
