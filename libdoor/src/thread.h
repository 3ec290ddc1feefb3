/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * thread.h: starts threads, sleeps on a word of shared memory, and reads the clock.
 * This file knows nothing of doors.
 */
#ifndef LIBDOOR_THREAD_H
#define LIBDOOR_THREAD_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

/* CLOCK_MONOTONIC, in nanoseconds. */
int64_t thread_now_ns(void);

/* Starts a detached thread with the given signal mask.  Returns 0, or -1 and errno. */
int thread_start(void *(*run)(void *), void *arg, const sigset_t *mask);

/*
 * The same for a helper of the library, with all signals blocked and a small stack.  The
 * beginning of such a thread takes no memory of malloc(3)'s.
 */
int thread_start_blocked(void *(*run)(void *), void *arg);

/* How many processors the calling thread may run on; at least 1. */
unsigned thread_processor_count(void);

/* Waits for cond until that time of thread_now_ns().  Returns 0, or ETIMEDOUT. */
int thread_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns);

/*
 * Sleeps while *word is expected, at most timeout_ns.  Returns 0 when woken or if *word
 * was different, or -1 with ETIMEDOUT, or with EINTR after a signal handler ran.  The
 * word may be in memory shared between processes.
 *
 * There is always a timeout: without one, the kernel would restart the wait by itself
 * after a handler with SA_RESTART.
 */
int futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns);

/* Wakes all threads that sleep on word. */
void futex_wake(_Atomic uint32_t *word);

/*
 * Disables cancellation to the end of the block: locks, slots and the like that the thread
 * holds would otherwise never be released.  It comes first in every function of the API that
 * may reach a cancellation point, such as close(2).  door_return() does this by itself.
 */
#define THREAD_UNCANCELLED \
    __attribute__((cleanup(thread_set_cancel), unused)) int cancel_state = thread_no_cancel()

static inline int thread_no_cancel(void)
{
    int state;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    return state;
}

static inline void thread_set_cancel(const int *state)
{
    pthread_setcancelstate(*state, NULL);
}

/*
 * A process that calls its own door maps the shared memory twice.  The atomic operations
 * there order its accesses.  ThreadSanitizer does not know that the two addresses are the
 * same memory, so these tell it of that order.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1 /* gcc's name for it */
#endif
#endif
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *address);
void __tsan_release(void *address);
extern char thread_handover;
#define thread_publish() __tsan_release(&thread_handover)
#define thread_observe() __tsan_acquire(&thread_handover)
#else
#define thread_publish() ((void)0)
#define thread_observe() ((void)0)
#endif

#endif
