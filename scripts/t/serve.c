/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * serve.c: serves a door under the name in argv[1] while the command in argv[2]
 * and so on runs, and ends as that did.  Without a command it opens the name itself,
 * by way of a library that knows nothing of doors, and calls.
 */
#include <door.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int open_elsewhere(const char *path);

static void answer(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)cookie;
    (void)argp;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    door_return("served", 7, NULL, 0);
}

static int call(const char *path)
{
    char buf[100];
    door_arg_t arg = {.rbuf = buf, .rsize = sizeof(buf)};
    int d = open_elsewhere(path);

    if (d < 0 || door_call(d, &arg) != 0) {
        perror("serve");
        return 1;
    }
    puts(arg.data_ptr);
    return 0;
}

static int run(char **command)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        execvp(command[0], command);
        _exit(127);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}

int main(int argc, char **argv)
{
    int d = door_create(answer, NULL, 0), status;

    if (argc < 2 || d < 0 || close(creat(argv[1], 0600)) != 0 || fattach(d, argv[1]) != 0) {
        perror("serve");
        return 2;
    }
    status = argc > 2 ? run(argv + 2) : call(argv[1]);
    return fdetach(argv[1]) == 0 ? status : 3;
}
