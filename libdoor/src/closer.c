/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * closer.c: see closer.h.  Accounts with something to close stand in line.  A thread
 * takes one descriptor of the first account whose user has not too many threads already,
 * and then the account goes to the end of the line.
 */
#include "closer.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fork.h"
#include "thread.h"

#define PARCELS_MAX 16384 /* descriptors that wait in all; the full array takes 128 KiB */
#define IDLE_NS 1000000000ll /* how long a thread waits for more */
#define STUCK_NS 1000000000ll
#define NOBODY ((uid_t)-2) /* -1 is a user that is not known */

/* A waiting descriptor.  Indices begin at 1; 0 means none. */
struct parcel {
    int fd;
    unsigned next;
};

struct closer_account {
    STAILQ_ENTRY(closer_account) link; /* in line, while is_in_line */
    uid_t user;
    unsigned refs; /* one of its owner, and one for each waiting descriptor */
    unsigned first, last;
    unsigned waiting;    /* descriptors, including the one that is being closed */
    int64_t progress_ns; /* when the last one was closed, or the first one came */
    int is_in_line, is_busy;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all of it */
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static STAILQ_HEAD(line, closer_account) line = STAILQ_HEAD_INITIALIZER(line);
static struct closer_account *busy[CLOSER_THREADS_MAX]; /* by thread; NULL: not closing */
static unsigned thread_count, idle_count, starting_count; /* the last two are part of the first */

/* Parcels from never_used on were never touched, and take no memory. */
static struct parcel parcels[PARCELS_MAX + 1];
static unsigned free_parcel, never_used = 1;

static struct closer_account nobody = {.user = NOBODY, .refs = 1};

static void (*_Atomic repeat)(int (*function)(void));
static void (*_Atomic when_closed)(void);

/* ------------------------------------------------ with lock held: who is next */

static unsigned threads_of(uid_t user)
{
    unsigned count = 0;

    for (unsigned i = 0; i < CLOSER_THREADS_MAX; i++)
        count += busy[i] != NULL && busy[i]->user == user;
    return count;
}

/* The first account in line that may have a thread, or NULL. */
static struct closer_account *find_next(void)
{
    struct closer_account *a;

    STAILQ_FOREACH(a, &line, link) {
        if (threads_of(a->user) < CLOSER_USER_THREADS_MAX)
            return a;
    }
    return NULL;
}

static void stand_in_line(struct closer_account *a)
{
    if (a->is_in_line || a->is_busy || a->first == 0)
        return;
    STAILQ_INSERT_TAIL(&line, a, link);
    a->is_in_line = 1;
}

static void drop(struct closer_account *a)
{
    if (--a->refs == 0)
        free(a);
}

static unsigned new_parcel(void)
{
    unsigned parcel = free_parcel;

    if (parcel != 0)
        free_parcel = parcels[parcel].next;
    else if (never_used <= PARCELS_MAX)
        parcel = never_used++;
    return parcel;
}

/* If no parcel is left, fd stays open: that is better than to block here. */
static int put(struct closer_account *a, int fd)
{
    unsigned parcel = new_parcel();

    if (parcel == 0)
        return -1;
    parcels[parcel] = (struct parcel){.fd = fd};
    if (a->first == 0)
        a->first = parcel;
    else
        parcels[a->last].next = parcel;
    a->last = parcel;
    if (a->waiting++ == 0)
        a->progress_ns = thread_now_ns();
    a->refs++;
    stand_in_line(a);
    return 0;
}

static enum closer_state state(const struct closer_account *a)
{
    if (a->waiting <= CLOSER_WAITING_MAX)
        return CLOSER_FINE;
    return thread_now_ns() - a->progress_ns < STUCK_NS ? CLOSER_BEHIND : CLOSER_STUCK;
}

static int take(struct closer_account *a)
{
    unsigned parcel = a->first;
    int fd = parcels[parcel].fd;

    a->first = parcels[parcel].next;
    parcels[parcel].next = free_parcel;
    free_parcel = parcel;
    return fd;
}

/* ------------------------------------------------ the threads */

static void *run(void *arg);

/* With lock held: makes sure that the next account in line gets a thread.  -1: it could not. */
static int see_to_line(void)
{
    if (starting_count > 0 || find_next() == NULL)
        return 0; /* the starting thread will do so */
    if (idle_count > 0) {
        pthread_cond_signal(&work);
        return 0;
    }
    if (thread_count >= CLOSER_THREADS_MAX)
        return 0;
    if (thread_start_blocked(run, NULL) < 0)
        return -1;
    thread_count++;
    starting_count++;
    return 0;
}

static int try_again(void)
{
    int result;

    pthread_mutex_lock(&lock);
    result = see_to_line();
    pthread_mutex_unlock(&lock);
    return result < 0;
}

static void ask_for_repeat(void)
{
    void (*again)(int (*function)(void)) = atomic_load(&repeat);

    if (again != NULL)
        again(try_again);
}

/* Switches off lingering, which the peer may have set.  Sockets in a queue may still linger. */
static void close_here(int fd)
{
    struct linger none = {0};
    void (*function)(void);

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close(fd);
    function = atomic_exchange(&when_closed, NULL);
    if (function != NULL)
        function();
}

/* With lock held, which is released during close(2). */
static void close_one(struct closer_account *a)
{
    unsigned place = 0;
    int fd = take(a), is_short;

    while (busy[place] != NULL)
        place++;
    STAILQ_REMOVE(&line, a, closer_account, link);
    a->is_in_line = 0;
    a->is_busy = 1;
    busy[place] = a;
    is_short = see_to_line() < 0; /* this thread may be blocked for long */
    pthread_mutex_unlock(&lock);
    if (is_short)
        ask_for_repeat();
    close_here(fd);
    pthread_mutex_lock(&lock);
    busy[place] = NULL;
    a->is_busy = 0;
    a->waiting--;
    a->progress_ns = thread_now_ns();
    stand_in_line(a);
    drop(a);
}

/* With lock held: waits for work.  Returns 0, or ETIMEDOUT if there was none for IDLE_NS. */
static int wait_for_work(void)
{
    int64_t until_ns = thread_now_ns() + IDLE_NS;
    int error = 0;

    idle_count++;
    while (error == 0 && find_next() == NULL)
        error = thread_wait_until(&work, &lock, until_ns);
    idle_count--;
    return find_next() != NULL ? 0 : error;
}

static void *run(void *arg)
{
    pthread_mutex_lock(&lock);
    starting_count--;
    do {
        struct closer_account *a;

        while ((a = find_next()) != NULL)
            close_one(a);
    } while (wait_for_work() == 0);
    thread_count--;
    pthread_mutex_unlock(&lock);
    return arg;
}

/* ------------------------------------------------ for the others */

/* Descriptors that wait stay open in a forked child. */
static void forked(void)
{
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&work, NULL);
    STAILQ_INIT(&line);
    for (unsigned i = 0; i < CLOSER_THREADS_MAX; i++)
        busy[i] = NULL;
    thread_count = idle_count = starting_count = 0;
    free_parcel = 0;
    never_used = 1;
    atomic_store(&when_closed, NULL);
    nobody = (struct closer_account){.user = NOBODY, .refs = 1};
}

static void enter(void)
{
    static struct fork_part part = {.child = forked};

    fork_register(&part);
    pthread_mutex_lock(&lock);
}

struct closer_account *closer_account_create(uid_t user)
{
    struct closer_account *a = calloc(1, sizeof(*a));

    if (a != NULL)
        *a = (struct closer_account){.user = user, .refs = 1};
    return a;
}

void closer_account_drop(struct closer_account *a)
{
    int saved = errno;

    if (a == NULL)
        return;
    enter();
    drop(a);
    pthread_mutex_unlock(&lock);
    errno = saved;
}

enum closer_state closer_let_go(struct closer_account *a, int fd)
{
    int saved = errno, is_short;
    enum closer_state result;

    if (a == NULL)
        a = &nobody;
    enter();
    result = fd < 0 || put(a, fd) == 0 ? state(a) : CLOSER_STUCK;
    is_short = see_to_line() < 0;
    pthread_mutex_unlock(&lock);
    if (is_short)
        ask_for_repeat();
    errno = saved;
    return result;
}

enum closer_state closer_state(struct closer_account *a)
{
    enum closer_state result;

    enter();
    result = state(a != NULL ? a : &nobody);
    pthread_mutex_unlock(&lock);
    return result;
}

static int option(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -1 : value;
}

/*
 * After shutdown(2) nothing can be put into a socket's queue, so an empty one stays empty.  A
 * message without bytes looks like the end; but with SO_PASSCRED each message has credentials,
 * for which there is no room here, and so sets MSG_CTRUNC.  If a peer had a copy of the socket
 * this could block: a reader whose memory is not there yet blocks other readers.
 */
static int is_empty_for_good(int fd)
{
    struct msghdr msg = {0};
    int on = 1, type = option(fd, SO_TYPE);
    char byte; /* what is in a stream has one */

    if (option(fd, SO_DOMAIN) != AF_UNIX || option(fd, SO_ACCEPTCONN) != 0)
        return 0;
    if (type == SOCK_STREAM)
        return shutdown(fd, SHUT_RDWR) == 0 &&
               recv(fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) == 0;
    return type == SOCK_SEQPACKET &&
           setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0 &&
           shutdown(fd, SHUT_RDWR) == 0 &&
           recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT) == 0 && (msg.msg_flags & MSG_CTRUNC) == 0;
}

enum closer_state closer_shut(struct closer_account *a, int fd)
{
    int saved = errno;

    if (fd >= 0 && is_empty_for_good(fd)) {
        close(fd);
        fd = -1;
    }
    errno = saved;
    return closer_let_go(a, fd);
}

void closer_when_closed(void (*function)(void))
{
    atomic_store(&when_closed, function);
}

void closer_set_repeat(void (*function)(int (*function)(void)))
{
    atomic_store(&repeat, function);
}
