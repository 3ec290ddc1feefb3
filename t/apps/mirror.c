/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * mirror.c: a program for DoorProtocol raw whose result is its argument, so that a
 * client decides what httpd gets to see.  Knows nothing of HTTP or the wire format.
 *
 *     "count"       calls=N descriptors=N, of all calls before this one
 *     "descriptor"  answers "descriptor", with an open file beside it
 *     "slow"        answers "slow" after three seconds
 *
 *     mirror DOOR
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <door.h>
#include <stropts.h>

static _Atomic unsigned long calls, descriptors;
static const char *own_path;

static int is_text(const char *argp, size_t arg_size, const char *text)
{
    return arg_size == strlen(text) && memcmp(argp, text, arg_size) == 0;
}

static void answer(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    door_desc_t passed = {.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE};
    char text[64];

    (void)cookie;
    for (uint_t i = 0; i < n_desc; i++)
        close(dp[i].d_data.d_desc.d_descriptor);
    if (is_text(argp, arg_size, "count")) {
        snprintf(text, sizeof(text), "calls=%lu descriptors=%lu\n", calls, descriptors);
        (void)door_return(text, strlen(text), NULL, 0);
    }
    calls++;
    descriptors += n_desc;
    if (is_text(argp, arg_size, "slow")) {
        sleep(3);
    }
    if (is_text(argp, arg_size, "descriptor")) {
        passed.d_data.d_desc.d_descriptor = open(own_path, O_RDONLY | O_CLOEXEC);
        (void)door_return(argp, arg_size, &passed, 1);
    }
    (void)door_return(argp, arg_size, NULL, 0);
    (void)door_return(NULL, 0, NULL, 0);
}

int main(int argc, char **argv)
{
    int door, fd;

    if (argc != 2) {
        fprintf(stderr, "usage: mirror DOOR\n");
        return 2;
    }
    own_path = argv[0];
    door = door_create(answer, NULL, 0);
    fd = open(argv[1], O_RDWR | O_CREAT, 0600);
    if (fd >= 0)
        close(fd);
    if (door < 0 || fattach(door, argv[1]) != 0) {
        fprintf(stderr, "mirror: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    for (;;)
        pause();
}
