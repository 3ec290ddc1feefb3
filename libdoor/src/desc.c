/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * desc.c: see desc.h.
 */
#include "desc.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <door_compat.h>

#include "ask.h"
#include "connection.h"
#include "fd.h"
#include "layout.h"
#include "thread.h"

/* For all doors in a call together, because their servers may be hostile. */
#define DESCRIBE_MAX_NS 1000000000ll

static int fd_of(const door_desc_t *desc)
{
    return desc->d_data.d_desc.d_descriptor;
}

static int prepare_one(const door_desc_t *desc, int *fd)
{
    struct door *door;

    *fd = fd_of(desc);
    if ((desc->d_attributes & DOOR_DESCRIPTOR) == 0) {
        errno = EINVAL;
        return -1;
    }
    if (fcntl(*fd, F_GETFD) < 0)
        return -1;
    door = door_find_local(*fd);
    if (door == NULL)
        return 0;
    *fd = door_new_descriptor(door);
    door_drop(door);
    return *fd < 0 ? -1 : 0;
}

int desc_prepare(const door_desc_t *descs, unsigned count, int *fds)
{
    for (unsigned i = 0; i < count; i++) {
        if (prepare_one(&descs[i], &fds[i]) < 0) {
            int error = errno;
            desc_unprepare(descs, i, fds);
            errno = error;
            return -1;
        }
    }
    return 0;
}

void desc_unprepare(const door_desc_t *descs, unsigned count, const int *fds)
{
    for (unsigned i = 0; i < count; i++) {
        if (fds[i] != fd_of(&descs[i]))
            fd_close(fds[i]);
    }
}

void desc_release(const door_desc_t *descs, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (descs[i].d_attributes & DOOR_RELEASE)
            fd_close(fd_of(&descs[i]));
    }
}

static void describe(int fd, door_desc_t *desc, int64_t deadline_ns)
{
    struct msg_answer answer;
    struct door *door;

    if (fd_is_door(fd) != 1)
        return;
    door = door_find_local(fd);
    if (door == NULL) {
        if (door_ask(fd, MSG_INFO, deadline_ns, &answer, NULL, 0) < 0) {
            desc->d_attributes |= DOOR_REVOKED;
            return;
        }
        door = door_find_answering(&answer);
    }
    if (door != NULL) {
        door_describe(door, &answer);
        door_drop(door);
        desc->d_attributes |= DOOR_LOCAL;
    }
    desc->d_attributes |= answer.info.di_attributes;
    desc->d_data.d_desc.d_id = answer.info.di_uniquifier;
}

void desc_receive(const int *fds, unsigned count, int are_plain, door_desc_t *descs)
{
    int64_t deadline_ns = thread_now_ns() + DESCRIBE_MAX_NS;

    for (unsigned i = 0; i < count; i++) {
        descs[i] = (door_desc_t){.d_attributes = DOOR_DESCRIPTOR,
                                 .d_data.d_desc.d_descriptor = fds[i]};
        fcntl(fds[i], F_SETFD, 0);
        if (!are_plain)
            describe(fds[i], &descs[i], deadline_ns);
    }
}

void door_close_received(int fd)
{
    THREAD_UNCANCELLED;
    close_foreign(fd);
}
