/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * server_thread.h: server threads: who has them started, and where they serve.
 */
#ifndef LIBDOOR_SERVER_THREAD_H
#define LIBDOOR_SERVER_THREAD_H

#include "pool.h"

/* door was just made: calls the server creation function where that is due. */
void server_thread_created(struct door *door);

/* The shared pool, which grows as the server creation function lets it; NULL: errno. */
struct pool *server_thread_pool(void);

/* Who called the procedure that the calling thread runs; 0, or -1 with EINVAL. */
int server_thread_identify(struct credentials *credentials);

/* Binds the calling thread to door (a reference) from its next door_return() on. */
int server_thread_bind(struct door *door);

/* The door that the calling thread is bound to, with a reference, or NULL. */
struct door *server_thread_bound(void);

#endif
