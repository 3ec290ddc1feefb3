/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * keeper.h: a process that starts and ends a gateway's programs.  It has one
 * thread, and the signal mask and dispositions that the gateway was started with:
 * so have the programs.  It outlives the gateway by the moment that it takes to end
 * them, whatever the gateway died of.  It knows nothing of what they serve.
 *
 * Each program has a listening socket of its own as its stdin, and is the leader of a
 * process group.  Where the kernel has subreapers (Linux), whatever a program has
 * started is found and ended, too, in whatever session it is by then.
 */
#ifndef DOOR_APP_GATEWAYS_KEEPER_H
#define DOOR_APP_GATEWAYS_KEEPER_H

#include <stdint.h>
#include <sys/types.h>

struct keeper_config {
    char **argv;         /* the program; looked for in PATH unless it has a '/' */
    int64_t stop_ms;     /* between SIGTERM and SIGKILL */
    const char *tmp_dir; /* where the directory of the sockets is made; at most 60 bytes */
};

/* The gateway's side. */
struct keeper {
    int fd; /* readable when there is something to report */
    pid_t pid;
    char dir[80]; /* of the sockets; the keeper removes it */
};

enum keeper_event {
    KEEPER_STARTED, /* value is its pid; its socket listens */
    KEEPER_FAILED,  /* it could not be started; value is an errno */
    KEEPER_ENDED    /* value is what waitpid(2) says */
};

struct keeper_report {
    uint32_t id;
    enum keeper_event event;
    int value;
    int pid;
};

/*
 * Makes the keeper.  Call it before there are other threads.  argv stays the caller's.
 *
 * Returns: 0, or -1 and errno.
 */
int keeper_open(struct keeper *keeper, const struct keeper_config *config);

/*
 * Has a program started, or ended (SIGTERM, then SIGKILL); a report tells.  id is the
 * caller's, never used again.
 *
 * Returns: 0, or -1: the keeper is gone.
 * Threads: one at a time.
 */
int keeper_start(struct keeper *keeper, uint32_t id);
int keeper_stop(struct keeper *keeper, uint32_t id);

/* The next report: blocks until there is one.  0, or -1: the keeper is gone. */
int keeper_next(struct keeper *keeper, struct keeper_report *report);

/* Where the program with that id listens: a path of at most sizeof(sun_path) bytes. */
void keeper_path(const struct keeper *keeper, uint32_t id, char *path, size_t cap);

/* Ends all programs and the keeper, and waits for that. */
void keeper_close(struct keeper *keeper);

/*
 * The keeper is gone without being told to: does what it would have done.  The caller has
 * no other children.
 */
void keeper_lost(struct keeper *keeper);

#endif
