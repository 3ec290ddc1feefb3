/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * cred.c: the caller's credentials: door_cred(), door_ucred() and the getters.
 *
 * The door's connection only tells which process opened it, perhaps long ago, and the
 * caller may be another one.  So the caller, which sleeps in its call, is asked, and the
 * kernel checks its answer.
 */
#include <door.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "fd.h"
#include "server_thread.h"
#include "thread.h"

#define GROUPS_MAX 65536 /* the kernel's NGROUPS_MAX */

struct ucred_s {
    pid_t pid;
    uid_t euid, ruid, suid;
    gid_t egid, rgid, sgid;
    int group_count; /* -1: not known */
    gid_t groups[];
};

int door_cred(door_cred_t *info)
{
    THREAD_UNCANCELLED;
    struct credentials c;

    if (server_thread_identify(&c) < 0)
        return -1;
    close_foreign(c.socket);
    *info = (door_cred_t){.dc_euid = c.ids[0].uid,
                          .dc_egid = c.ids[0].gid,
                          .dc_ruid = c.ids[1].uid,
                          .dc_rgid = c.ids[1].gid,
                          .dc_pid = c.ids[0].pid};
    return 0;
}

/* Whether the caller has made the socket: one that it got elsewhere tells another one's groups. */
static int is_callers(int fd, const struct ucred *caller)
{
    struct ucred maker;
    socklen_t len = sizeof(maker);

    return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &maker, &len) == 0 &&
           maker.pid == caller->pid && maker.uid == caller->uid && maker.gid == caller->gid;
}

static void fill(ucred_t *uc, const struct credentials *c)
{
    socklen_t len = GROUPS_MAX * sizeof(gid_t);

    uc->pid = c->ids[0].pid;
    uc->euid = c->ids[0].uid;
    uc->egid = c->ids[0].gid;
    uc->ruid = c->ids[1].uid;
    uc->rgid = c->ids[1].gid;
    uc->suid = c->ids[2].uid;
    uc->sgid = c->ids[2].gid;
    uc->group_count = -1;
    if (is_callers(c->socket, &c->ids[0]) &&
        getsockopt(c->socket, SOL_SOCKET, SO_PEERGROUPS, uc->groups, &len) == 0)
        uc->group_count = (int)(len / sizeof(gid_t));
}

int door_ucred(ucred_t **info)
{
    THREAD_UNCANCELLED;
    struct credentials c;
    ucred_t *uc = *info;

    if (server_thread_identify(&c) < 0)
        return -1;
    if (uc == NULL)
        uc = malloc(sizeof(*uc) + GROUPS_MAX * sizeof(gid_t)); /* untouched pages cost nothing */
    if (uc != NULL)
        fill(uc, &c);
    close_foreign(c.socket);
    if (uc == NULL) {
        errno = EAGAIN;
        return -1;
    }
    *info = uc;
    return 0;
}

void ucred_free(ucred_t *uc)
{
    free(uc);
}

uid_t ucred_geteuid(const ucred_t *uc)
{
    return uc->euid;
}

uid_t ucred_getruid(const ucred_t *uc)
{
    return uc->ruid;
}

uid_t ucred_getsuid(const ucred_t *uc)
{
    return uc->suid;
}

gid_t ucred_getegid(const ucred_t *uc)
{
    return uc->egid;
}

gid_t ucred_getrgid(const ucred_t *uc)
{
    return uc->rgid;
}

gid_t ucred_getsgid(const ucred_t *uc)
{
    return uc->sgid;
}

pid_t ucred_getpid(const ucred_t *uc)
{
    return uc->pid;
}

int ucred_getgroups(const ucred_t *uc, const gid_t **groups)
{
    if (uc->group_count < 0) {
        errno = EINVAL;
        return -1;
    }
    *groups = uc->groups;
    return uc->group_count;
}
