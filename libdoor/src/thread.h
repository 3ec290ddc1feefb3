/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * thread.h: starting threads, sleeping on a word of shared memory, and the
 * clock.  Knows nothing of doors.
 */
#ifndef LIBDOOR_THREAD_H
#define LIBDOOR_THREAD_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

/* CLOCK_MONOTONIC, in nanoseconds. */
int64_t thread_now_ns(void);

/* A detached thread with the given signal mask.  0, or -1 and errno. */
int thread_start(void *(*run)(void *), void *arg, const sigset_t *mask);

/* The same with all signals blocked and a small stack: a helper of the library. */
int thread_start_blocked(void *(*run)(void *), void *arg);

/* How many processors the calling thread may run on; at least 1. */
unsigned thread_processor_count(void);

/* Waits for cond until that time of thread_now_ns(): 0, or ETIMEDOUT. */
int thread_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns);

/*
 * Sleeps while *word is expected, at most timeout_ns.  Returns 0 when woken or
 * when *word was something else, -1 with ETIMEDOUT, or EINTR after a signal
 * handler ran.  The word may lie in memory shared between processes.
 *
 * There is always a timeout: without one the kernel restarts the wait behind
 * the program's back after a handler with SA_RESTART.
 */
int futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns);

/* Wakes everyone who sleeps on word. */
void futex_wake(_Atomic uint32_t *word);

/*
 * To the end of its block the thread is not cancelled: what it holds there, locks and
 * slots among them, has no other way out.  First in every function of the API that may
 * come to a cancellation point, close(2) among them; door_return() does it by itself.
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
 * A process that calls its own door maps the shared memory twice.  The atomic
 * operations there order what it does before and after; ThreadSanitizer cannot
 * see that the two addresses are one, and is told.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1 /* as gcc calls it */
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
