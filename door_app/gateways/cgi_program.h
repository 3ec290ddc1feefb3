/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * cgi_program.h: a process that answers one request: its start, with a pipe to its stdin
 * and one from its stdout, and its end.  It leads a process group of its own.  Knows
 * nothing of requests and of CGI.
 */
#ifndef DOOR_APP_GATEWAYS_CGI_PROGRAM_H
#define DOOR_APP_GATEWAYS_CGI_PROGRAM_H

#include <sys/types.h>

struct cgi_program {
    pid_t pid;
    int in;  /* to its stdin, or -1; a write does not wait */
    int out; /* from its stdout; likewise */
};

/* Starts what waits for programs' ends, which may take this long after their last output. */
int cgi_program_prepare(int linger_ms);

/*
 * Starts one in that directory; stderr is ours.  Without has_input its stdin is empty.
 * It has the signal mask of the thread, and the dispositions of the process.
 *
 * Returns: 0, or -1 and errno.
 * Threads: any, as with the others.
 */
int cgi_program_start(struct cgi_program *program, char *const argv[], char *const env[],
                      const char *directory, int has_input);

/* Closes a pipe, if it is there. */
void cgi_program_close(int *fd);

/* It has said all: closes its pipes, and waits for it elsewhere if it has not ended. */
void cgi_program_leave(struct cgi_program *program);

/* Ends it and its process group: SIGTERM, SIGKILL after two seconds.  Does not wait. */
void cgi_program_kill(struct cgi_program *program);

/* Ends those that are waited for, at once. */
void cgi_program_kill_all(void);

#endif
