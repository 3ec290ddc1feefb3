/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * batch.c: a child of httpd that calls doors has its threads scheduled as
 * SCHED_BATCH, sched(7), from its first call on, while that pays
 * (DoorBatchScheduling).
 *
 * A call is a row of threads that wake one another, and who wakes is about to
 * sleep: where the woken one preempts it, each step costs a switch more.  A
 * SCHED_BATCH thread preempts nobody.  That goes for all threads of the child:
 * the listener is woken for each request as well.  But neither does such a thread
 * preempt one of somebody else's that only computes, and then waits for
 * milliseconds where it would have had to wait for none.  So threads that call
 * look once a second how long they have had to wait for a processor.
 */
#include <sched.h>

#include "mod_door.h"
#include "batch.h"

static int is_wanted; /* by the configuration */

void mod_door_want_batch(int on)
{
    is_wanted = on;
}

#ifdef SCHED_BATCH

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_NS      1000000000ll
#define WAIT_MAX_NS  200000ull /* on average, before each time that a thread runs */
#define SLICES_MIN   20        /* fewer times say nothing */
#define GOOD_MIN     8         /* looks in a row, and the next pause is a short one again */
#define PAUSE_MIN_NS 4000000000ll /* until it is tried again */
#define PAUSE_MAX_NS 64000000000ll

static struct {
    int is_ours; /* it had the default policy, and now has what is decided here */
    _Atomic int64_t look_ns; /* when it is decided next */
    _Atomic unsigned long long waited_ns, slices; /* of threads that call, since the last time */
} process;

/* Who decides has the lock. */
static pthread_mutex_t deciding = PTHREAD_MUTEX_INITIALIZER;
static int is_batch;
static int64_t again_ns;    /* when it is tried again, if it is not */
static int64_t pause_ns = PAUSE_MIN_NS;
static unsigned good_count; /* looks in a row that found little waiting */

/* Of this thread: when it looks next, and what it has told already. */
static _Thread_local struct {
    int64_t look_ns;
    unsigned long long waited_ns, slices;
} own;

/* ---------------------------------------------------------------- the policy */

/* Between the default policy and this one: a thread that has another keeps it. */
static void set_policy(int tid, int batch)
{
    const struct sched_param param = {0};
    int now = sched_getscheduler(tid);
    int flags = now & SCHED_RESET_ON_FORK; /* not everybody may take it away */

    if (now != -1 && (now & ~SCHED_RESET_ON_FORK) == (batch ? SCHED_OTHER : SCHED_BATCH))
        sched_setscheduler(tid, (batch ? SCHED_BATCH : SCHED_OTHER) | flags, &param);
}

/* Threads that start later inherit it from those that are there. */
static void change(int batch)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;

    is_batch = batch;
    while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
        int tid = atoi(entry->d_name);

        if (tid > 0)
            set_policy(tid, batch);
    }
    if (tasks != NULL)
        closedir(tasks);
}

/*
 * What a request starts, as a CGI program, is nothing of ours.  The kernel's
 * SCHED_RESET_ON_FORK does not help: it concerns real-time policies alone.
 */
static void leave_in_forked(void)
{
    if (process.is_ours)
        set_policy(0, 0);
    process.is_ours = 0;
}

static void begin(void)
{
    process.is_ours = (sched_getscheduler(0) & ~SCHED_RESET_ON_FORK) == SCHED_OTHER &&
                      pthread_atfork(NULL, NULL, leave_in_forked) == 0;
    if (process.is_ours)
        change(1);
}

/* -------------------------------------------------------------- while it pays */

/* schedstat of proc(5): time on a processor, time waited for one, how often it ran. */
static int read_schedstat(unsigned long long *waited_ns, unsigned long long *slices)
{
    char text[96];
    ssize_t len;
    int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);

    if (fd == -1)
        return -1;
    len = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[len > 0 ? len : 0] = '\0';
    return sscanf(text, "%*u %llu %llu", waited_ns, slices) == 2 ? 0 : -1;
}

/* What it has not told yet; of its life before its first call it tells nothing. */
static void tell(void)
{
    unsigned long long waited_ns, slices;

    if (read_schedstat(&waited_ns, &slices) == -1)
        return;
    if (own.look_ns != 0) {
        atomic_fetch_add(&process.waited_ns, waited_ns - own.waited_ns);
        atomic_fetch_add(&process.slices, slices - own.slices);
    }
    own.waited_ns = waited_ns;
    own.slices = slices;
}

static void decide(int64_t now_ns)
{
    unsigned long long slices = atomic_load(&process.slices), waited_ns;

    if (!is_batch ? now_ns < again_ns : slices < SLICES_MIN)
        return;
    waited_ns = atomic_exchange(&process.waited_ns, 0);
    atomic_fetch_sub(&process.slices, slices);
    if (!is_batch) {
        change(1);
    } else if (waited_ns / slices > WAIT_MAX_NS) {
        again_ns = now_ns + pause_ns;
        pause_ns = pause_ns < PAUSE_MAX_NS ? 2 * pause_ns : PAUSE_MAX_NS;
        good_count = 0;
        change(0);
    } else if (++good_count >= GOOD_MIN) {
        pause_ns = PAUSE_MIN_NS;
    }
}

void mod_door_schedule_caller(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int64_t now_ns;

    if (!is_wanted)
        return;
    pthread_once(&once, begin);
    if (!process.is_ours)
        return;
    now_ns = door_now_ns();
    if (now_ns < own.look_ns)
        return;
    tell();
    own.look_ns = now_ns + LOOK_NS;
    if (now_ns < atomic_load(&process.look_ns) || pthread_mutex_trylock(&deciding) != 0)
        return;
    decide(now_ns);
    atomic_store(&process.look_ns, now_ns + LOOK_NS);
    pthread_mutex_unlock(&deciding);
}

#else

/* The system's own doors hand the processor over from caller to server and back. */
void mod_door_schedule_caller(void)
{
}

#endif
