/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * raw.c: an application on bare doors, as on illumos: no runtime, no protocol.
 * httpd calls it with "DoorProtocol raw": the argument is the request's body,
 * the result is the answer.  Its first argument, or DOOR_PATH in the
 * environment, is the name of its door.
 */
#include <door.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stropts.h>
#include <unistd.h>

static void answer(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    char *message = cookie;

    (void)argp;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    door_return(message, strlen(message), NULL, 0);
}

static int fail(const char *what)
{
    perror(what);
    return 1;
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : getenv("DOOR_PATH");
    int door;
    int fd;

    if (path == NULL) {
        fprintf(stderr, "usage: %s PATH\n", argv[0]);
        return 1;
    }
    door = door_create(answer, "Well, hello to you too!\n", DOOR_REFUSE_DESC);
    if (door == -1)
        return fail("door_create");
    fd = creat(path, 0660);
    if (fd == -1)
        return fail(path);
    close(fd);
    if (fattach(door, path) == -1)
        return fail("fattach");
    for (;;)
        pause();
}
