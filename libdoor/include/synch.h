/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * synch.h: the mutexes and condition variables of illumos' own threads, as far
 * as programs with doors use them, on top of POSIX threads.  All of it is inline,
 * and nothing is in the library.
 *
 * Zeroed memory is a valid mutex_t or cond_t, as on illumos.  Functions return
 * 0 or an error number and leave errno alone.  Feature test macros, if any are
 * set, must let <pthread.h> show what POSIX.1-2008 has.
 */
#ifndef LIBDOOR_SYNCH_H
#define LIBDOOR_SYNCH_H

#include <errno.h>
#include <pthread.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef pthread_mutex_t mutex_t;
typedef pthread_cond_t cond_t;
typedef struct timespec timestruc_t;

#define DEFAULTMUTEX PTHREAD_MUTEX_INITIALIZER
#define DEFAULTCV    PTHREAD_COND_INITIALIZER

/* Types of mutex_init() and cond_init(): which threads share it, and the kind of a mutex. */
#define USYNC_THREAD    0x00 /* the threads of this process */
#define USYNC_PROCESS   0x01 /* several processes: it is in memory that they share */
#define LOCK_NORMAL     0x00
#define LOCK_ERRORCHECK 0x02
#define LOCK_RECURSIVE  0x04
#define LOCK_ROBUST     0x40 /* mutex_lock() returns EOWNERDEAD if its owner has died */

static inline int mutex_init(mutex_t *mp, int type, void *arg)
{
    pthread_mutexattr_t attr;
    int error;

    (void)arg;
    if ((type & ~(USYNC_PROCESS | LOCK_ERRORCHECK | LOCK_RECURSIVE | LOCK_ROBUST)) != 0)
        return EINVAL;
    error = pthread_mutexattr_init(&attr);
    if (error != 0)
        return error;
    pthread_mutexattr_settype(&attr, (type & LOCK_RECURSIVE) != 0    ? PTHREAD_MUTEX_RECURSIVE
                                     : (type & LOCK_ERRORCHECK) != 0 ? PTHREAD_MUTEX_ERRORCHECK
                                                                     : PTHREAD_MUTEX_NORMAL);
    if ((type & USYNC_PROCESS) != 0)
        pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    if ((type & LOCK_ROBUST) != 0)
        pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    error = pthread_mutex_init(mp, &attr);
    pthread_mutexattr_destroy(&attr);
    return error;
}

static inline int mutex_destroy(mutex_t *mp)
{
    return pthread_mutex_destroy(mp);
}

static inline int mutex_lock(mutex_t *mp)
{
    return pthread_mutex_lock(mp);
}

static inline int mutex_trylock(mutex_t *mp)
{
    return pthread_mutex_trylock(mp);
}

static inline int mutex_unlock(mutex_t *mp)
{
    return pthread_mutex_unlock(mp);
}

static inline int mutex_consistent(mutex_t *mp)
{
    return pthread_mutex_consistent(mp);
}

static inline int cond_init(cond_t *cvp, int type, void *arg)
{
    pthread_condattr_t attr;
    int error;

    (void)arg;
    if ((type & ~USYNC_PROCESS) != 0)
        return EINVAL;
    error = pthread_condattr_init(&attr);
    if (error != 0)
        return error;
    if ((type & USYNC_PROCESS) != 0)
        pthread_condattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    error = pthread_cond_init(cvp, &attr);
    pthread_condattr_destroy(&attr);
    return error;
}

static inline int cond_destroy(cond_t *cvp)
{
    return pthread_cond_destroy(cvp);
}

static inline int cond_wait(cond_t *cvp, mutex_t *mp)
{
    return pthread_cond_wait(cvp, mp);
}

/* Waits until abstime on CLOCK_REALTIME.  Returns ETIME then, as on illumos. */
static inline int cond_timedwait(cond_t *cvp, mutex_t *mp, const timestruc_t *abstime)
{
    int error = pthread_cond_timedwait(cvp, mp, abstime);

    return error == ETIMEDOUT ? ETIME : error;
}

static inline int cond_signal(cond_t *cvp)
{
    return pthread_cond_signal(cvp);
}

static inline int cond_broadcast(cond_t *cvp)
{
    return pthread_cond_broadcast(cvp);
}

#ifdef __cplusplus
}
#endif

#endif
