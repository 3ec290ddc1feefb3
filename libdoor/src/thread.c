/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * thread.c: see thread.h.
 */
#include "thread.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/time_types.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

#define HELPER_STACK_SIZE (64 * 1024)
#define PROCESSORS_MAX (1 << 20) /* more than any kernel is built for */

#ifdef __SANITIZE_THREAD__
char thread_handover;
#endif

#ifdef __GLIBC__
/*
 * glibc loads the unwinder at the first pthread_cancel(3), and aborts the process if that
 * fails, for example without a free descriptor.  So this links the unwinder.
 */
void *const thread_unwinder __attribute__((used)) = (void *)_Unwind_DeleteException;
#endif

int64_t thread_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A thread's beginning: all signals are blocked until it sets its own mask. */
struct birth {
    void *(*run)(void *);
    void *arg;
    sigset_t mask;
};

static void *begin(void *arg)
{
    struct birth birth = *(struct birth *)arg;

    free(arg);
    pthread_sigmask(SIG_SETMASK, &birth.mask, NULL);
    return birth.run(birth.arg);
}

/* Creates a thread in which all signals are blocked.  Returns 0, or an errno. */
static int create(void *(*run)(void *), void *arg, size_t stack_size)
{
    sigset_t all, old;
    pthread_attr_t attr;
    pthread_t thread;
    size_t default_size;
    int error = pthread_attr_init(&attr);

    if (error != 0)
        return error;
    pthread_attr_getstacksize(&attr, &default_size);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (stack_size > 0)
        pthread_attr_setstacksize(&attr, stack_size);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&thread, &attr, run, arg);
    if (error == EINVAL && stack_size > 0) { /* too small for the thread-local variables */
        pthread_attr_setstacksize(&attr, default_size);
        error = pthread_create(&thread, &attr, run, arg);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return error;
}

int thread_start(void *(*run)(void *), void *arg, const sigset_t *mask)
{
    struct birth *birth = malloc(sizeof(*birth));
    int error;

    if (birth == NULL)
        return -1;
    *birth = (struct birth){run, arg, *mask};
    error = create(begin, birth, 0);
    if (error == 0)
        return 0;
    free(birth);
    errno = error;
    return -1;
}

/*
 * glibc makes an arena for each thread that calls malloc(3) or free(3), and opens a file to find
 * out how many there may be.  Meanwhile open(2) does not return the lowest number that is free, on
 * which a program without threads of its own may rely.
 */
int thread_start_blocked(void *(*run)(void *), void *arg)
{
    int error = create(run, arg, HELPER_STACK_SIZE);

    if (error == 0)
        return 0;
    errno = error;
    return -1;
}

/* Counts with a set of so many processors.  -1 and errno; EINVAL: the set may be too small. */
static int processors_of(int most)
{
    size_t size = CPU_ALLOC_SIZE(most);
    cpu_set_t *set = CPU_ALLOC(most);
    int count = -1;

    if (set != NULL && sched_getaffinity(0, size, set) == 0)
        count = CPU_COUNT_S(size, set);
    int error = errno;
    CPU_FREE(set);
    errno = error;
    return count;
}

unsigned thread_processor_count(void)
{
    int count = -1;

    errno = EINVAL;
    for (int most = CPU_SETSIZE; count < 0 && errno == EINVAL && most <= PROCESSORS_MAX; most *= 2)
        count = processors_of(most);
    return count > 0 ? (unsigned)count : 1;
}

int thread_wait_until(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_ns)
{
#ifdef __GLIBC__
    struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};

    return pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &until);
#else
    struct timespec until; /* this clock can be set, which changes the length of the wait */

    clock_gettime(CLOCK_REALTIME, &until);
    until_ns += (int64_t)until.tv_sec * 1000000000 + until.tv_nsec - thread_now_ns();
    until = (struct timespec){.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    return pthread_cond_timedwait(cond, mutex, &until);
#endif
}

int futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    /* SYS_futex takes this type, whatever the size of time_t is. */
    struct __kernel_old_timespec timeout = {.tv_sec = timeout_ns / 1000000000,
                                            .tv_nsec = timeout_ns % 1000000000};

    if (syscall(SYS_futex, word, FUTEX_WAIT, expected, &timeout, NULL, 0) == 0 || errno == EAGAIN)
        return 0;
    return -1;
}

void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
