/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * batch.c: see batch.h.
 */
#include "batch.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "fd.h"
#include "fork.h"
#include "loop.h"
#include "thread.h"

#define WATCHED_MAX 32        /* threads whose waiting is looked at */
#define WAIT_MAX_NS 200000ull /* on average, before each time that they run */
#define SLICES_MIN 20         /* fewer say nothing */
#define PAUSE_MIN_NS 4000000000ll /* until it is tried again */
#define PAUSE_MAX_NS 64000000000ll

static _Atomic int is_batch = 1;     /* what is to be */
static _Atomic int is_watching;
static _Thread_local int is_put; /* this thread has been, and not by its program */

static struct watched {
    _Atomic int tid; /* 0: a free place */
    unsigned long long waited_ns, slices; /* so far; loop thread only */
} watched[WATCHED_MAX];

/* Loop thread only. */
static int64_t again_ns;              /* when it is tried again */
static int64_t pause_ns = PAUSE_MIN_NS;
static int was_good;                  /* seconds in a row */

static void watch_thread(int tid)
{
    for (int i = 0; i < WATCHED_MAX; i++) {
        int none = 0;
        if (atomic_compare_exchange_strong(&watched[i].tid, &none, tid))
            return;
    }
}

/* schedstat of proc(5): time on a processor, time waited for one, how often it ran. */
static int read_schedstat(int tid, unsigned long long *waited_ns, unsigned long long *slices)
{
    char path[64], text[96];
    ssize_t len;
    int fd;

    snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", tid);
    fd = fd_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    len = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[len > 0 ? len : 0] = '\0';
    return sscanf(text, "%*u %llu %llu", waited_ns, slices) == 2 ? 0 : -1;
}

/* How often the watched threads have run since the last time, and how long they waited for it. */
static unsigned long long take_slices(unsigned long long *waited_ns)
{
    unsigned long long slices = 0;

    *waited_ns = 0;
    for (int i = 0; i < WATCHED_MAX; i++) {
        struct watched *w = &watched[i];
        unsigned long long now_waited_ns, now_slices;
        int tid = atomic_load(&w->tid);

        if (tid == 0)
            continue;
        if (read_schedstat(tid, &now_waited_ns, &now_slices) < 0) {
            w->waited_ns = w->slices = 0;
            atomic_store(&w->tid, 0); /* it has ended */
            continue;
        }
        if (w->slices > 0 && now_slices >= w->slices) {
            slices += now_slices - w->slices;
            *waited_ns += now_waited_ns - w->waited_ns;
        }
        w->waited_ns = now_waited_ns;
        w->slices = now_slices;
    }
    return slices;
}

/* Between the default policy and this one; what has another keeps it. */
static void set_policy(int batch)
{
    const struct sched_param param = {0};
    int now = sched_getscheduler(0);
    int flags = now & SCHED_RESET_ON_FORK; /* not everybody may take it away */

    if (now != -1 && (now & ~SCHED_RESET_ON_FORK) == (batch ? SCHED_OTHER : SCHED_BATCH) &&
        sched_setscheduler(0, (batch ? SCHED_BATCH : SCHED_OTHER) | flags, &param) == 0)
        is_put = batch;
}

static void forked(void)
{
    for (int i = 0; i < WATCHED_MAX; i++) {
        watched[i].waited_ns = watched[i].slices = 0;
        atomic_store(&watched[i].tid, 0);
    }
    atomic_store(&is_watching, 0);
    atomic_store(&is_batch, 1);
    /* Not for what a procedure starts: SCHED_RESET_ON_FORK concerns real-time policies alone. */
    if (is_put)
        set_policy(0);
}

static struct fork_part part = {.child = forked};

/* Once a second while there are calls. */
static int look(void)
{
    unsigned long long waited_ns, slices = take_slices(&waited_ns);
    int is_bad = slices >= SLICES_MIN && waited_ns / slices > WAIT_MAX_NS;
    int64_t now_ns = thread_now_ns();

    if (!atomic_load(&is_batch)) {
        if (now_ns >= again_ns)
            atomic_store(&is_batch, 1);
    } else if (is_bad) {
        again_ns = now_ns + pause_ns;
        pause_ns = pause_ns < PAUSE_MAX_NS ? 2 * pause_ns : PAUSE_MAX_NS;
        was_good = 0;
        atomic_store(&is_batch, 0);
    } else if (slices >= SLICES_MIN && ++was_good >= 8) {
        pause_ns = PAUSE_MIN_NS;
    }
    atomic_store(&is_watching, slices > 0);
    return slices > 0;
}

static void watch(void)
{
    if (!atomic_load(&is_watching) && !atomic_exchange(&is_watching, 1))
        loop_repeat(LOOP_BATCH, look);
}

void batch_follow(struct batch_thread *t)
{
    fork_register(&part);
    int wanted = atomic_load(&is_batch);

    if (!t->is_known)
        watch_thread(gettid());
    if (!t->is_known || t->is_batch != wanted)
        set_policy(wanted);
    t->is_known = 1;
    t->is_batch = wanted;
    watch();
}
