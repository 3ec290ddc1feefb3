/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * grow.c: when a pool gets another thread.  Runs in the loop thread, once a
 * millisecond for as long as the pool has no idle thread.
 *
 * illumos starts a thread whenever the last idle one is taken.  That is right
 * when procedures block and wrong when they compute: more threads than
 * processors only add context switches.  So: threads that wait make room for
 * new ones, threads that run (or want to) do not, unless callers would have to
 * wait too long all the same.
 */
#include "server_thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sched.h>
#include <unistd.h>

#define HELD_BACK_MAX_MS 10 /* how long a call may wait for a busy thread */
#define START_MAX 64        /* threads in one go */

/* The state letter of /proc/PID/task/TID/stat, proc(5); 'S' if it is not told. */
static char thread_state(pid_t tid)
{
    char path[64], stat[128];
    ssize_t len;
    int fd;

    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 'S';
    len = read(fd, stat, sizeof(stat) - 1);
    close(fd);
    stat[len > 0 ? len : 0] = '\0';
    char *end = strrchr(stat, ')'); /* the name before it may hold anything */
    return end != NULL && end[1] == ' ' ? end[2] : 'S';
}

static unsigned processor_count(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        return 1;
    return (unsigned)CPU_COUNT(&set);
}

/*
 * True if there are as many threads as processors that run, or want to.  One
 * between two calls counts: it sleeps only if nobody calls.
 */
static int is_saturated(struct pool *pool)
{
    unsigned running = 0, enough = processor_count();
    struct server_thread *t;

    pthread_mutex_lock(&pool->lock);
    LIST_FOREACH(t, &pool->threads, link) {
        if (!atomic_load(&t->in_call) || thread_state(t->tid) == 'R')
            running++;
        if (running >= enough)
            break;
    }
    pthread_mutex_unlock(&pool->lock);
    return running >= enough;
}

static unsigned pending_count(struct pool *pool)
{
    unsigned count = 0;

    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < pool->channel_places; i++) {
        if (pool->channels[i] != NULL)
            count += server_channel_pending(pool->channels[i]);
    }
    pthread_mutex_unlock(&pool->lock);
    return count;
}

/* How many threads to start, given what waits and how fast it goes. */
static unsigned wanted(struct pool *pool, unsigned pending, uint64_t taken)
{
    uint64_t wait_ms = pending / (taken > 0 ? taken : 1);

    if (pool->depleted_ticks < 2)
        return 0; /* a moment only */
    if (!is_saturated(pool))
        return pending == 0 ? 1 : pending < START_MAX ? pending : START_MAX;
    if (pending > 0 && taken > 0 && wait_ms > HELD_BACK_MAX_MS)
        return 1;
    if (pending > 0 && taken == 0 && pool->depleted_ticks > HELD_BACK_MAX_MS)
        return 1;
    return 0;
}

int pool_grow(struct pool *pool)
{
    uint64_t taken = atomic_load(&pool->taken_count);
    unsigned start;

    if (atomic_load(&pool->idle_count) > 0) {
        pool->depleted_ticks = 0;
        return 0;
    }
    pool->depleted_ticks++;
    start = wanted(pool, pending_count(pool), taken - pool->taken_before);
    pool->taken_before = taken;
    for (unsigned i = 0; i < start; i++) {
        if (server_thread_start(pool) < 0)
            break; /* the callers wait for the threads that there are */
        pool->depleted_ticks = 0;
    }
    return 1;
}
