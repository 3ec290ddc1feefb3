/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * identity.c: identifies a process that is not a child of this one, by its pid and the
 * time when it began.  The pid alone could belong to a newer process.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/pidfd.h>
#endif

#include "supervisor.h"

#define STATE_FIELD 3  /* in /proc/PID/stat (proc(5)), counted from 1 */
#define BEGAN_FIELD 22 /* starttime, in clock ticks since the system's start */

uint64_t process_began(pid_t pid)
{
    char path[64], text[1024];
    char *at;
    ssize_t len = -1;
    int fd;

    snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd != -1) {
        len = read(fd, text, sizeof(text) - 1);
        close(fd);
    }
    text[len > 0 ? len : 0] = '\0';
    at = strrchr(text, ')'); /* the end of the name, which may contain anything */
    if (at == NULL || strncmp(at, ") Z", 3) == 0 || strncmp(at, ") X", 3) == 0)
        return 0; /* a zombie has ended */
    for (int field = STATE_FIELD - 1; field < BEGAN_FIELD && at != NULL; field++)
        at = strchr(at + 1, ' ');
    return at != NULL ? strtoull(at, NULL, 10) : 0;
}

/* A descriptor of the process that has the pid now, or -1: ENOSYS, ESRCH. */
static int hold(pid_t pid)
{
#ifdef __linux__
    return pidfd_open(pid, 0);
#else
    (void)pid;
    errno = ENOSYS;
    return -1;
#endif
}

static int signal_held(int held, pid_t pid, int signo)
{
#ifdef __linux__
    if (held != -1)
        return pidfd_send_signal(held, signo, NULL, 0);
#else
    (void)held;
#endif
    return kill(pid, signo);
}

int process_signal(pid_t pid, int signo, process_check *is_it, const void *data)
{
    int held = hold(pid); /* first, so that the process that is checked also gets the signal */
    int result = -1;
    int error;

    if (held != -1 || errno != ESRCH) {
        errno = ESRCH;
        if (is_it(pid, data))
            result = signal_held(held, pid, signo);
    }
    error = errno;
    if (held != -1)
        close(held);
    errno = error;
    return result;
}
