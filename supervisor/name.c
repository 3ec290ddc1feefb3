/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * name.c: sets what ps(1) shows of this process, where the system allows it.
 *
 * On Linux the arguments are one piece of memory at the end of the stack, with the
 * environment behind them (execve(2)).  A name that is longer than the arguments continues
 * into the environment.  The kernel also reads on there if it finds no NUL at the end of
 * the arguments (proc(5), /proc/PID/cmdline).
 */
#include <string.h>

#include "supervisor.h"

#ifdef __linux__

#include <sys/mman.h>
#include <sys/prctl.h>

#define ARGUMENTS_MAX (6l * 1024 * 1024) /* bytes of arguments and environment, on Linux */

extern char **environ;

/* Moves the environment, whose memory will be overwritten.  Returns -1 if there is no memory. */
static int move_environment(void)
{
    size_t count = 0, size = sizeof(char *);
    char **moved, *at;

    for (; environ[count] != NULL; count++)
        size += sizeof(char *) + strlen(environ[count]) + 1;
    moved = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (moved == MAP_FAILED)
        return -1;
    at = (char *)(moved + count + 1);
    for (size_t i = 0; i < count; i++) {
        moved[i] = at;
        at = stpcpy(at, environ[i]) + 1;
    }
    environ = moved; /* never freed */
    return 0;
}

void name_process(char *argv0, const char *name)
{
    char *end = argv0 + strlen(argv0) + 1;
    size_t len = strlen(name);

    prctl(PR_SET_NAME, "door-supervisor");
    if (environ[0] >= end && environ[0] - argv0 < ARGUMENTS_MAX) {
        end = environ[0];
        for (int i = 0; environ[i] == end; i++)
            end += strlen(end) + 1;
    }
    if (move_environment() == -1)
        return;
    if (len >= (size_t)(end - argv0))
        len = (size_t)(end - argv0) - 1;
    memset(argv0, 0, (size_t)(end - argv0));
    memcpy(argv0, name, len);
}

#else

void name_process(char *argv0, const char *name)
{
    (void)argv0;
    (void)name;
}

#endif
