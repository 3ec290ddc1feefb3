/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgi_pool.h: FastCGI programs that are kept running, and who may use which.  A seat
 * is room for one request at a time, with the connection that is kept for it.  Either
 * each seat has a program of its own, or all of them share one that has children of
 * its own.  Nothing here knows what a request is.
 */
#ifndef DOOR_APP_GATEWAYS_FCGI_POOL_H
#define DOOR_APP_GATEWAYS_FCGI_POOL_H

#include <stdint.h>

#include "fcgi_protocol.h"
#include "keeper.h"

#define FCGI_IN_MAX  16384 /* bytes that are read at a time */
#define FCGI_TICK_MS 1000

struct fcgi_pool_config {
    struct keeper_config keeper;
    unsigned seats;
    int is_shared;          /* one program, with as many children, has them all */
    uint64_t max_requests;  /* after so many a program is replaced; 0: never */
    unsigned queue_length;  /* how many may wait for a seat */
    int64_t queue_ms;       /* and how long */
};

struct fcgi_pool;
struct fcgi_program;
struct fcgi_place;

struct fcgi_seat {
    /* Whoever has taken the seat owns these. */
    int fd; /* a read that finds nothing ends after FCGI_TICK_MS; -1: not connected */
    struct fcgi_reader reader;
    unsigned char in[FCGI_IN_MAX];

    /* The pool's, under its lock. */
    struct fcgi_place *place;
    struct fcgi_program *program; /* that fd is connected with, or NULL */
    struct fcgi_seat *next;       /* free, the last one that was used first */
    int is_busy;
};

/* What becomes of a seat that is given back. */
enum fcgi_outcome {
    FCGI_KEEP,   /* the connection is good for another request */
    FCGI_CLOSE,  /* it is not */
    FCGI_REPLACE /* nor is the program */
};

/*
 * Makes the keeper and has the programs started.  Call it before there are other
 * threads.  What config names stays the caller's, and has to live as long as the pool.
 *
 * Returns: the pool, or NULL and errno.
 */
struct fcgi_pool *fcgi_pool_open(const struct fcgi_pool_config *config);

/*
 * A seat whose program is up, the caller's until it gives it back.
 *
 * Blocks:  while there is none, first come, first served.
 * Returns: it, or NULL: EBUSY too many wait, or the time is over; ENOENT no program is up,
 *          nor about to be.
 * Threads: any.
 */
struct fcgi_seat *fcgi_pool_take(struct fcgi_pool *pool);

/*
 * Connects a seat that has been taken, or finds that it still is.
 *
 * Returns: 0, or -1 and errno: give it back with FCGI_CLOSE.
 */
int fcgi_pool_connect(struct fcgi_pool *pool, struct fcgi_seat *seat);

/* Threads: the one that has taken it. */
void fcgi_pool_give_back(struct fcgi_pool *pool, struct fcgi_seat *seat,
                         enum fcgi_outcome outcome);

/* The process of the program that the seat is connected with; 0: none. */
int fcgi_pool_pid(struct fcgi_pool *pool, const struct fcgi_seat *seat);

/* Ends the programs and all that they have started.  No seat may be taken. */
void fcgi_pool_close(struct fcgi_pool *pool);

#endif
