/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * crowd.c: a program for DoorProtocol raw that tells how many calls have run in it at a
 * time.  It is launched, or serves the door at a path.
 *
 *     "N"      sleeps N milliseconds, and answers pid=P
 *     "most"   most=M, of all calls before this one
 *
 *     crowd [DOOR]
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <door.h>
#include <stropts.h>

static _Atomic int running, most;

static void sleep_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    while (nanosleep(&left, &left) == -1 && errno == EINTR)
        continue;
}

static void serve(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    char text[64] = "";
    int now = atomic_fetch_add(&running, 1) + 1, seen = atomic_load(&most);

    (void)cookie;
    (void)dp;
    (void)n_desc;
    if (arg_size == 4 && memcmp(argp, "most", 4) == 0) {
        snprintf(text, sizeof(text), "most=%d\n", seen);
    } else {
        memcpy(text, argp, arg_size < sizeof(text) ? arg_size : sizeof(text) - 1);
        while (seen < now && !atomic_compare_exchange_weak(&most, &seen, now))
            continue;
        sleep_ms(strtol(text, NULL, 10));
        snprintf(text, sizeof(text), "pid=%ld\n", (long)getpid());
    }
    atomic_fetch_sub(&running, 1);
    (void)door_return(text, strlen(text), NULL, 0);
    (void)door_return(NULL, 0, NULL, 0);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : getenv("DOOR_PATH");
    int door = door_create(serve, NULL, DOOR_REFUSE_DESC);
    int fd = path != NULL ? open(path, O_RDWR | O_CREAT, 0600) : -1;

    if (fd >= 0)
        close(fd);
    if (door < 0 || path == NULL || fattach(door, path) != 0) {
        perror("crowd");
        return 1;
    }
    for (;;)
        pause();
}
