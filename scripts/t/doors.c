/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * doors.c: server and client as they are written on illumos, in one program.
 * The installation test builds it with nothing but what pkg-config says.
 */
#include <door.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stropts.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static void server_proc(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    char answer[100];

    (void)dp;
    (void)n_desc;
    (void)snprintf(answer, sizeof(answer), "%s, %.*s", (char *)cookie, (int)arg_size, argp);
    (void)door_return(answer, strlen(answer) + 1, NULL, 0);
}

static void serve(const char *path, int ready)
{
    int fd;
    int did = door_create(server_proc, "hello", 0);

    if (did < 0 || (fd = creat(path, 0600)) < 0 || close(fd) != 0 || fattach(did, path) != 0) {
        perror("server");
        _exit(1);
    }
    if (write(ready, "x", 1) != 1)
        _exit(1);
    for (;;)
        (void)pause();
}

static int call(const char *path)
{
    char buf[100] = "client";
    door_arg_t arg = {.data_ptr = buf, .data_size = 6, .rbuf = buf, .rsize = sizeof(buf)};
    struct stat st;
    int fd = open(path, O_RDONLY);

    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISDOOR(st.st_mode) || isastream(fd) != 1 ||
        door_call(fd, &arg) != 0) {
        perror("client");
        return 1;
    }
    (void)printf("%s\n", arg.data_ptr);
    return close(fd) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    int ready[2];
    char byte;
    int status = 1;
    pid_t server;

    if (argc != 2 || pipe(ready) != 0)
        return 2;
    server = fork();
    if (server == 0)
        serve(argv[1], ready[1]);
    (void)close(ready[1]);
    if (server > 0 && read(ready[0], &byte, 1) == 1)
        status = call(argv[1]);
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
    (void)unlink(argv[1]);
    return status;
}
