/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call_party.h: a load and the processes that carry it: a server, and callers
 * that call it without a pause, threads of one client or each a client process of
 * its own.  They run in windows of time, and stand still in between so that
 * another party can have the machine.
 */
#ifndef BENCH_CALL_PARTY_H
#define BENCH_CALL_PARTY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PARTY_CALLERS_MAX 256
#define PARTY_DOORS_MAX 64

enum transport {
    TRANSPORT_DOOR,     /* door_call(), results into a buffer of the caller's */
    TRANSPORT_DOOR_MAP, /* door_call() without a buffer: each result is a new mapping */
    TRANSPORT_HANDLE,   /* as DOOR, through a handle that the caller keeps */
    TRANSPORT_SOCKET,   /* SOCK_SEQPACKET, a pair and a server thread for each caller */
    TRANSPORT_COPY      /* no server: two memcpy(3) of the result */
};

/* What the server's procedure does. */
enum procedure { PROCEDURE_EMPTY, PROCEDURE_COMPUTE, PROCEDURE_SLEEP };

#define PROCEDURE_COMPUTE_US 20
#define PROCEDURE_SLEEP_US 1000

struct load {
    enum transport transport;
    enum procedure procedure;
    unsigned callers;
    size_t arg_size, result_size; /* bytes */
    int is_by_process;            /* each caller is a process */
    unsigned doors;               /* of the server, called in turn; 0 is 1 */
    const char *library;          /* path of a libdoor.so */
};

/* What a window showed. */
struct window {
    double calls_per_s;
    double cpu_us;    /* per call, of all processes */
    double switches;  /* context switches per call, of all processes */
    double p99_us;    /* 99 of 100 calls took at most that */
    double threads;   /* that ran the procedure */
};

struct party;

/* Finds out how long PROCEDURE_COMPUTE has to compute; once, before any party. */
void party_calibrate(void);

/* Starts the processes; dir is where a door can be given a name.  Exits on failure. */
struct party *party_start(const struct load *load, const char *dir);

/* Lets the callers call for so long. */
struct window party_run(struct party *party, int64_t window_ms);

/* What the server, and all clients together, have of something that /proc tells. */
struct held {
    long server, client;
};
struct held party_sample(const struct party *party, long (*of)(pid_t pid));

/* Ends the processes. */
void party_stop(struct party *party);

#endif
