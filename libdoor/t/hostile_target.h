/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * hostile_target.h: the server that hostile clients attack, and what has to be
 * true of it afterwards.  One per test.
 */
#ifndef HOSTILE_TARGET_H
#define HOSTILE_TARGET_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "door_test.h"

/* A well-behaved call takes no longer, whatever others do. */
#define TARGET_SERVES_MS (door_test_sanitized() ? 10000 : 1000)

/* What its procedure does; the answer is the request, with another count. */
enum target_op {
    TARGET_ECHO,       /* count is the last byte of the argument, if it is longer */
    TARGET_BLOCK,      /* posts entered, waits for released */
    TARGET_GIVE_DESCS, /* replies with count descriptors */
    TARGET_IDENTIFY,   /* count is what door_cred() returned */
    TARGET_GROUPS      /* count is what ucred_getgroups() returned; -2: door_ucred() failed */
};

struct target_request {
    uint32_t op;
    uint32_t count;
};

struct target_shared {
    sem_t entered;
    sem_t released;
    _Atomic long finished;
};

extern struct target_shared *target_shared;
extern const char *target_path;
extern pid_t target_pid;

/* Set before target_start(): its threads have cancellation enabled. */
extern bool target_is_cancelable;

/* Starts the server; fd_limit: its RLIMIT_NOFILE, or 0 for what is. */
void target_start(unsigned fd_limit);

/* The errno of a well-behaved client's call; from a process of its own. */
int target_call(void);

/* Requires that it is 0. */
void target_serves(void);

/* Closes fd, whose other copy the held server has: its closing must not block calls. */
void target_serves_after_close(int fd, int peer);

/* As target_call(), as an unprivileged user if we are root. */
int target_call_unprivileged(void);

/* The hostile client has closed everything: requires that so has the server. */
void target_is_clean(void);

/* The server sees nothing of what is sent until it goes on. */
void target_hold(void);
void target_go_on(void);

#endif
