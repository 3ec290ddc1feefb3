/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * info.c: what can be asked of a descriptor: door_info() and isastream().
 */
#include <door.h>
#include <stropts.h>

#include <errno.h>
#include <string.h>

#include "client.h"
#include "fd.h"
#include "server_thread.h"

/* The door that the calling thread is bound to. */
static int query(door_info_t *info)
{
    struct door *door = server_thread_bound();
    struct msg_answer answer;

    if (door == NULL) {
        errno = EBADF;
        return -1;
    }
    door_describe(door, &answer);
    door_drop(door);
    *info = answer.info;
    info->di_attributes |= DOOR_LOCAL;
    return 0;
}

int door_info(int d, door_info_t *info)
{
    struct msg_answer answer;
    int is_door = fd_is_door(d);

    if (d == DOOR_QUERY)
        return query(info);
    if (is_door != 1) {
        errno = EBADF;
        return -1;
    }
    if (client_ask(d, MSG_INFO, -1, 0, &answer, NULL, NULL, 0) < 0) {
        if (errno != EBADF)
            return -1;
        /* The server is gone, and with it what it alone knew. */
        answer = (struct msg_answer){
            .info = {.di_target = -1, .di_attributes = DOOR_REVOKED}};
    }
    *info = answer.info;
    if (answer.instance_id != 0 && answer.instance_id == door_instance_id())
        info->di_attributes |= DOOR_LOCAL;
    return 0;
}

int isastream(int fd)
{
    int is_door = fd_is_door(fd);

    if (is_door < 0)
        errno = EBADF;
    return is_door;
}
