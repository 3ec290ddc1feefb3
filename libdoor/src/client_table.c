/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client_table.c: see client_table.h.  The table has a reference to each channel while
 * new calls may begin there.
 */
#include "client_table.h"

#include <errno.h>
#include <pthread.h>

#include "fork.h"
#include "thread.h"

#define BUCKET_COUNT 64
#define LOOK_NS 1000000000ll /* longest time of one sleep */

/* Guards the table, and whether each channel in it is opening. */
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static struct client_channel *table[BUCKET_COUNT];

/* In a forked child: its parent's channels, which are never freed, for leak checkers to find. */
static struct client_channel *parents[BUCKET_COUNT];

static void forked(void)
{
    pthread_mutex_init(&table_lock, NULL);
    pthread_cond_init(&opened, NULL);
    for (unsigned i = 0; i < BUCKET_COUNT; i++) {
        parents[i] = table[i];
        table[i] = NULL;
    }
}

static struct fork_part part = {.child = forked};

static struct client_channel **bucket(uint64_t cookie)
{
    return &table[cookie % BUCKET_COUNT];
}

/* Takes the channel out of the table, so that new calls do not find it. */
static void forget(struct client_channel *ch)
{
    int found;

    pthread_mutex_lock(&table_lock);
    struct client_channel **link = bucket(ch->cookie);
    while (*link != NULL && *link != ch)
        link = &(*link)->next;
    found = *link != NULL;
    if (found)
        *link = ch->next;
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&table_lock);
    if (found)
        client_channel_release(ch);
}

static int trim_all(void)
{
    int is_left = 0;

    pthread_mutex_lock(&table_lock);
    for (unsigned i = 0; i < BUCKET_COUNT; i++) {
        for (struct client_channel *ch = table[i]; ch != NULL; ch = ch->next) {
            if (!ch->opening)
                is_left |= client_channel_trim(ch);
        }
    }
    pthread_mutex_unlock(&table_lock);
    return is_left;
}

static void memory_used(void)
{
    loop_repeat(LOOP_MEMORY, trim_all);
}

/* Called and left with table_lock held, which is released while the server answers. */
static int make_channel(int d, uint64_t cookie, int64_t deadline_ns)
{
    static const struct client_events events = {forget, memory_used};
    struct client_channel *ch = client_channel_new(cookie, &events);
    int result, error;

    if (ch == NULL)
        return -1;
    client_channel_hold(ch); /* the table's reference */
    ch->next = *bucket(cookie);
    *bucket(cookie) = ch;
    pthread_mutex_unlock(&table_lock);
    result = client_channel_open(ch, d, deadline_ns);
    error = errno;
    if (result == 0 && atomic_load(&ch->dead)) { /* it ended already */
        error = EBADF;
        result = -1;
    }
    if (result < 0)
        forget(ch);
    pthread_mutex_lock(&table_lock);
    ch->opening = 0;
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&table_lock);
    client_channel_release(ch);
    pthread_mutex_lock(&table_lock);
    errno = error;
    return result;
}

/* With table_lock held.  Returns 1 and a seat, 0 if there is none, -1 if a channel is opening. */
static int find_seat(uint64_t cookie, struct client_seat *seat)
{
    int result = 0;

    for (struct client_channel *ch = *bucket(cookie); ch != NULL; ch = ch->next) {
        if (ch->cookie != cookie)
            continue;
        if (ch->opening)
            result = -1;
        else if (client_channel_take_slot(ch, seat))
            return 1;
    }
    return result;
}

/* With table_lock held, which is released during the wait.  Returns 0, or -1 with ETIMEDOUT. */
static int wait_for_opening(int64_t deadline_ns)
{
    int64_t now_ns = thread_now_ns(), until_ns = now_ns + LOOK_NS;

    if (deadline_ns != 0 && deadline_ns < until_ns)
        until_ns = deadline_ns;
    if (until_ns <= now_ns) {
        errno = ETIMEDOUT;
        return -1;
    }
    thread_wait_until(&opened, &table_lock, until_ns);
    return 0;
}

int client_acquire(int d, uint64_t cookie, int64_t deadline_ns, struct client_seat *seat)
{
    int found, result = 0;

    if (cookie == 0) {
        errno = EBADF;
        return -1;
    }
    if (fork_register(&part) < 0)
        return -1;
    pthread_mutex_lock(&table_lock);
    while (result == 0 && (found = find_seat(cookie, seat)) != 1) {
        if (found < 0) {
            result = wait_for_opening(deadline_ns);
        } else {
            result = loop_start() < 0 ? -1 : make_channel(d, cookie, deadline_ns);
        }
    }
    pthread_mutex_unlock(&table_lock);
    return result;
}
