/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * hostile.h: one end of the transport in raw form, for tests that break its
 * rules.  Knows the library's private headers, and uses none of its code for
 * calls: what it sends is what the test says.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm.h"

/* A client's way into a server, made by hand.  -1 and NULL: not there. */
struct hostile_peer {
    int door;
    int control;
    int memory;
    int bell;
    char *shm;
    int receiver; /* a server's: where the client reads; letters go there, once it is had */
};

/* A connected socket, as open(2) of a door's name leaves it. */
int hostile_connect(const char *path);

/* A MSG_* request with these descriptors; false if it could not be sent. */
bool hostile_request(int door, unsigned op, const int *fds, unsigned count);

/* One readable (or ended) socket within timeout_ms. */
bool hostile_wait_readable(int fd, int timeout_ms);

/* Asks for a channel and maps it.  false: the server did not give one. */
bool hostile_open(struct hostile_peer *p, const char *path);
bool hostile_open_channel(struct hostile_peer *p); /* on p->door, which is open */
void hostile_close(struct hostile_peer *p);

struct shm_head *hostile_head(struct hostile_peer *p);
struct shm_slot *hostile_slot(struct hostile_peer *p, unsigned slot);
void hostile_ring(struct hostile_peer *p);

/* The slot's call has an argument of size bytes, where the library would put it. */
void hostile_argument(struct hostile_peer *p, unsigned slot, uint64_t size);

/* Marks the slot's call as pending and rings. */
void hostile_start(struct hostile_peer *p, unsigned slot);

/* The same for a call that says which slot's is to follow. */
void hostile_start_before(struct hostile_peer *p, unsigned slot, uint32_t next);

/* Until the slot is in that state; false if it is not within timeout_ms. */
bool hostile_await(struct hostile_peer *p, unsigned slot, unsigned state, int timeout_ms);

/* Puts the slot into that state, and wakes the server that waits for it. */
void hostile_answer(struct hostile_peer *p, unsigned slot, unsigned state);

/* The errno of the reply in slot, or -1 if none came within timeout_ms. */
int hostile_reply(struct hostile_peer *p, unsigned slot, int timeout_ms);

/* True if the server ends the channel within timeout_ms. */
bool hostile_is_dropped(struct hostile_peer *p, int timeout_ms);

/* A letter with count descriptors; false if the socket takes no more. */
bool hostile_letter(struct hostile_peer *p, unsigned kind, unsigned slot, uint32_t call,
                    const int *fds, unsigned count);

/*
 * A TCP socket whose last close(2) blocks for half a minute: it lingers, and
 * what was written to it is never read.  *peer is the reading end: closing it
 * lets such a close end.
 */
int hostile_lingering(int *peer);

/*
 * A page into which, and from which, the kernel cannot copy before *helper is closed: a system
 * call waits until then, with what it holds.  NULL: the system does not let us have one.
 */
void *hostile_memory_that_waits(int *helper);

/* A socket that listens at the name, as a server's own does. */
int hostile_listen(const char *name);

/* A Unix socket that has fd, which it takes over, in its queue: its close closes that too. */
int hostile_nest(int fd);

#endif
