/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * thread.c: see thread.h.
 */
#include "thread.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <unwind.h>

#define HELPER_STACK_SIZE (64 * 1024)

#ifdef __SANITIZE_THREAD__
char thread_handover;
#endif

/*
 * glibc loads the unwinder at the first pthread_cancel(3), and ends the process if it
 * cannot, for want of a descriptor for instance.  So it is linked with.
 */
void *const thread_unwinder __attribute__((used)) = (void *)_Unwind_DeleteException;

int64_t thread_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int start(void *(*run)(void *), void *arg, const sigset_t *mask, size_t stack_size)
{
    pthread_attr_t attr;
    pthread_t thread;
    size_t default_size;
    int error = pthread_attr_init(&attr);

    if (error == 0) {
        pthread_attr_getstacksize(&attr, &default_size);
        pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        pthread_attr_setsigmask_np(&attr, mask);
        if (stack_size > 0)
            pthread_attr_setstacksize(&attr, stack_size);
        error = pthread_create(&thread, &attr, run, arg);
        if (error == EINVAL && stack_size > 0) { /* less than the thread-local variables need */
            pthread_attr_setstacksize(&attr, default_size);
            error = pthread_create(&thread, &attr, run, arg);
        }
        pthread_attr_destroy(&attr);
    }
    errno = error;
    return error == 0 ? 0 : -1;
}

int thread_start(void *(*run)(void *), void *arg, const sigset_t *mask)
{
    return start(run, arg, mask, 0);
}

int thread_start_blocked(void *(*run)(void *), void *arg)
{
    sigset_t all;

    sigfillset(&all);
    return start(run, arg, &all, HELPER_STACK_SIZE);
}

int futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    struct timespec timeout = {.tv_sec = timeout_ns / 1000000000,
                               .tv_nsec = timeout_ns % 1000000000};

    if (syscall(SYS_futex, word, FUTEX_WAIT, expected, &timeout, NULL, 0) == 0 || errno == EAGAIN)
        return 0;
    return -1;
}

void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
