/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * quota.c: see quota.h.
 */
#include "quota.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fork.h"

#define BUCKET_COUNT 256

/* Exists while it holds something. */
struct quota_account {
    LIST_ENTRY(quota_account) link;
    uint32_t id; /* pid, or uid */
    unsigned held;
};

LIST_HEAD(bucket, quota_account);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below; no lock after it */
static struct bucket users[BUCKET_COUNT], processes[BUCKET_COUNT];
static unsigned long long all_held;

static void forked(void)
{
    pthread_mutex_init(&lock, NULL);
    for (unsigned i = 0; i < BUCKET_COUNT; i++) {
        LIST_INIT(&users[i]);
        LIST_INIT(&processes[i]);
    }
    all_held = 0;
}

static void enter(void)
{
    static struct fork_part part = {.child = forked};

    fork_register(&part);
    pthread_mutex_lock(&lock);
}

static unsigned long long budget(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    return limit.rlim_cur / 4 * 3;
}

static struct quota_account *find(struct bucket *table, uint32_t id)
{
    struct bucket *bucket = &table[id % BUCKET_COUNT];
    struct quota_account *a;

    LIST_FOREACH(a, bucket, link) {
        if (a->id == id)
            return a;
    }
    a = calloc(1, sizeof(*a));
    if (a != NULL) {
        a->id = id;
        LIST_INSERT_HEAD(bucket, a, link);
    }
    return a;
}

static void drop_if_empty(struct quota_account *a)
{
    if (a == NULL || a->held > 0)
        return;
    LIST_REMOVE(a, link);
    free(a);
}

static int has_room(const struct quota_share *share)
{
    unsigned long long all = budget(), after = all_held + share->count, left;

    if (after > all)
        return 0;
    left = all - after;
    if (share->process != NULL && share->process->held + share->count > left / 2)
        return 0;
    return share->user->held + share->count <= left * 4;
}

static void charge(const struct quota_share *share)
{
    share->user->held += share->count;
    if (share->process != NULL)
        share->process->held += share->count;
    all_held += share->count;
}

int quota_take(struct quota_share *share, const struct ucred *who, unsigned count)
{
    int error = 0;

    enter();
    share->count = count;
    share->user = find(users, who->uid);
    share->process = who->pid != 0 ? find(processes, (uint32_t)who->pid) : NULL;
    if (share->user == NULL || (who->pid != 0 && share->process == NULL))
        error = ENOMEM;
    else if (who->pid != getpid() && !has_room(share))
        error = EMFILE;
    if (error == 0) {
        charge(share);
    } else {
        drop_if_empty(share->user);
        drop_if_empty(share->process);
        *share = (struct quota_share){0};
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return error == 0 ? 0 : -1;
}

void quota_give_back(struct quota_share *share)
{
    if (share->count == 0)
        return;
    enter();
    all_held -= share->count;
    share->user->held -= share->count;
    drop_if_empty(share->user);
    if (share->process != NULL) {
        share->process->held -= share->count;
        drop_if_empty(share->process);
    }
    pthread_mutex_unlock(&lock);
    *share = (struct quota_share){0};
}
