/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * ctl_nonsense.c: calls the supervisor's door with requests of any size and content, a
 * name without an end, verbs and versions that there are not, and descriptors; counts
 * the answers that refuse.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <door.h>

#include "../../supervisor/ctl.h"

#define TIMES 2000

static unsigned seed = 1;

static unsigned any(unsigned below)
{
    seed = seed * 1103515245u + 12345u;
    return seed / 65536u % below;
}

/* Of six kinds; their size. */
static size_t make(char *bytes, int kind)
{
    struct ctl_request request = {.version = CTL_VERSION, .verb = CTL_DRAIN};

    for (size_t i = 0; i < 4096; i++)
        bytes[i] = (char)any(256);
    if (kind == 0)
        return any(4096);
    if (kind == 1)
        return 0;
    memset(request.name, 'x', sizeof(request.name)); /* no end */
    memset(request.reserved, 'x', sizeof(request.reserved));
    if (kind == 2)
        request.version = 2 + any(1000);
    if (kind == 3) {
        request.verb = 5 + any(1000);
        strcpy(request.name, "shop");
    }
    memcpy(bytes, &request, sizeof(request));
    return sizeof(request) - (kind == 4 ? 1 : 0);
}

static int is_refused(int door, int kind)
{
    char bytes[4096], result[256];
    door_desc_t desc = {.d_attributes = DOOR_DESCRIPTOR, .d_data.d_desc.d_descriptor = STDERR_FILENO};
    door_arg_t arg = {.data_ptr = bytes, .data_size = make(bytes, kind), .rbuf = result,
                      .rsize = sizeof(result)};
    struct ctl_reply reply;

    if (kind == 5) {
        arg.desc_ptr = &desc;
        arg.desc_num = 1;
    }
    if (door_call(door, &arg) == -1)
        return errno == ENOBUFS || errno == ENOTSUP;
    if (arg.data_size < sizeof(reply))
        return 0;
    memcpy(&reply, arg.data_ptr, sizeof(reply));
    return reply.result == CTL_MALFORMED || reply.result == CTL_UNKNOWN;
}

int main(int argc, char **argv)
{
    int door = argc > 1 ? open(argv[1], O_RDONLY) : -1;
    int refused = 0;

    for (int i = 0; door != -1 && i < TIMES; i++)
        refused += is_refused(door, i % 6);
    printf("%d refused\n", refused);
    return door == -1;
}
