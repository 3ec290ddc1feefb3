/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * thread.h: illumos' own threads, as far as programs with doors use them, on
 * top of POSIX threads: a thread_t is a pthread_t, as on illumos.  The functions are
 * inline.  The library has them, too, for programs that look up their symbols, such as
 * bindings of other languages.
 *
 * THR_SUSPENDED, thr_suspend() and thr_continue() cannot be made from POSIX threads.
 * They are left out, so that the compiler complains.
 *
 * Functions return 0 or an error number and leave errno alone.  Feature test
 * macros, if any are set, must let <pthread.h> and <signal.h> show what
 * POSIX.1-2008 has.
 */
#ifndef LIBDOOR_ILLUMOS_THREAD_H
#define LIBDOOR_ILLUMOS_THREAD_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>

#include <synch.h>

#ifndef LIBDOOR_THR_INLINE
#define LIBDOOR_THR_INLINE static inline
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef pthread_t thread_t;
typedef pthread_key_t thread_key_t;

/* A key that thr_keycreate_once() has still to make. */
#define THR_ONCE_KEY ((thread_key_t)-1)

/* Flags of thr_create(). */
#define THR_BOUND    0x00000001 /* no effect: every thread has its own kernel thread */
#define THR_NEW_LWP  0x00000002 /* no effect */
#define THR_DETACHED 0x00000040 /* the thread cannot be joined */
#define THR_DAEMON   0x00000100 /* detached; unlike on illumos, it keeps the process alive */

/*
 * stack_base and stack_size may be NULL and 0: the system chooses.  new_thread
 * may be NULL.  EAGAIN, EINVAL.
 */
LIBDOOR_THR_INLINE int thr_create(void *stack_base, size_t stack_size, void *(*start_func)(void *),
                             void *arg, long flags, thread_t *new_thread)
{
    pthread_attr_t attr;
    thread_t thread;
    int error;

    if ((flags & ~(long)(THR_BOUND | THR_NEW_LWP | THR_DETACHED | THR_DAEMON)) != 0)
        return EINVAL;
    error = pthread_attr_init(&attr);
    if (error != 0)
        return error;
    if ((flags & (THR_DETACHED | THR_DAEMON)) != 0)
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (stack_base != NULL)
        error = pthread_attr_setstack(&attr, stack_base, stack_size);
    else if (stack_size > 0)
        error = pthread_attr_setstacksize(&attr, stack_size);
    if (error == 0)
        error = pthread_create(new_thread != NULL ? new_thread : &thread, &attr, start_func, arg);
    pthread_attr_destroy(&attr);
    return error;
}

/* The smallest stack_size, in bytes, that thr_create() accepts.  Not inline. */
size_t thr_min_stack(void);

/*
 * The calling thread's stack: ss_sp is its upper end, as on illumos; ss_size in
 * bytes; ss_flags 0.  ENOMEM, EAGAIN.  Not inline.
 */
int thr_stksegment(stack_t *ss);

LIBDOOR_THR_INLINE thread_t thr_self(void)
{
    return pthread_self();
}

/*
 * departed and status may be NULL.  ENOTSUP if target is 0: POSIX threads cannot wait
 * for any thread that ends first.
 */
LIBDOOR_THR_INLINE int thr_join(thread_t target, thread_t *departed, void **status)
{
    int error;

    if (target == 0)
        return ENOTSUP;
    error = pthread_join(target, status);
    if (error == 0 && departed != NULL)
        *departed = target;
    return error;
}

__attribute__((__noreturn__)) LIBDOOR_THR_INLINE void thr_exit(void *status)
{
    pthread_exit(status);
}

LIBDOOR_THR_INLINE void thr_yield(void)
{
    sched_yield();
}

LIBDOOR_THR_INLINE int thr_kill(thread_t thread, int sig)
{
    return pthread_kill(thread, sig);
}

LIBDOOR_THR_INLINE int thr_sigsetmask(int how, const sigset_t *set, sigset_t *oset)
{
    return pthread_sigmask(how, set, oset);
}

LIBDOOR_THR_INLINE int thr_keycreate(thread_key_t *keyp, void (*destructor)(void *))
{
    return pthread_key_create(keyp, destructor);
}

/* Makes *keyp if it is still THR_ONCE_KEY; any number of threads may try at once. */
LIBDOOR_THR_INLINE int thr_keycreate_once(thread_key_t *keyp, void (*destructor)(void *))
{
    thread_key_t none = THR_ONCE_KEY, key;
    int error;

    if (__atomic_load_n(keyp, __ATOMIC_ACQUIRE) != none)
        return 0;
    error = pthread_key_create(&key, destructor);
    if (error == 0 &&
        !__atomic_compare_exchange_n(keyp, &none, key, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        pthread_key_delete(key); /* another thread was first */
    return error;
}

LIBDOOR_THR_INLINE int thr_setspecific(thread_key_t key, void *value)
{
    return pthread_setspecific(key, value);
}

/* A key that was never created has no value; unlike illumos this is no error. */
LIBDOOR_THR_INLINE int thr_getspecific(thread_key_t key, void **valuep)
{
    *valuep = pthread_getspecific(key);
    return 0;
}

#ifdef __cplusplus
}
#endif

#endif
