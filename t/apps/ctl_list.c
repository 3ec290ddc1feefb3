/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * ctl_list.c: asks the supervisor's door for a list at each line that comes, of the
 * application that the line names or of all; prints the answer's result and how many
 * applications there are in it.  All calls go one way into the door, which stays open.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <door.h>

#include "../../supervisor/ctl.h"

static void list(int door, const char *name)
{
    static char buffer[256];
    struct ctl_request request = {.version = CTL_VERSION, .verb = CTL_LIST};
    door_arg_t arg = {.data_ptr = (char *)&request, .data_size = sizeof(request), .rbuf = buffer,
                      .rsize = sizeof(buffer)};
    struct ctl_reply reply;

    memcpy(request.name, name, strlen(name) + 1);
    if (door_call(door, &arg) == -1) {
        printf("%s\n", strerror(errno));
        return;
    }
    memcpy(&reply, arg.data_ptr, sizeof(reply));
    if (arg.rbuf != buffer)
        munmap(arg.rbuf, arg.rsize);
    printf("result %u, %u applications\n", reply.result, reply.app_count);
}

int main(int argc, char **argv)
{
    int door = argc > 1 ? open(argv[1], O_RDONLY) : -1;
    char name[APP_NAME_MAX + 1];

    while (door != -1 && fgets(name, sizeof(name), stdin) != NULL) {
        name[strcspn(name, "\n")] = '\0';
        list(door, name);
        fflush(stdout);
    }
    return door == -1;
}
