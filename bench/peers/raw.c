/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * raw.c: an application on bare <door.h>; it knows no paths and always greets.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <stropts.h>
#include <unistd.h>

#include <door.h>

#include "work.h"

static void answer(void *cookie, char *data, size_t len, door_desc_t *desc, uint_t count)
{
    (void)cookie, (void)data, (void)len, (void)desc, (void)count;
    door_return(WORK_GREETING, sizeof(WORK_GREETING) - 1, NULL, 0);
}

int main(void)
{
    int door = door_create(answer, NULL, 0);

    if (door == -1 || fattach(door, getenv("DOOR_PATH")) == -1)
        return 1;
    for (;;)
        pause();
}
