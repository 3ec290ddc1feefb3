/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * thr.c: the functions of <thread.h> as symbols, for programs that look up names and
 * have no header, and the two functions that are not inline.
 */
#define LIBDOOR_THR_INLINE
#pragma GCC visibility push(default)
#include <thread.h>
#pragma GCC visibility pop

#include <unistd.h>

#include "thread.h"

size_t thr_min_stack(void)
{
    return (size_t)sysconf(_SC_THREAD_STACK_MIN);
}

int thr_stksegment(stack_t *ss)
{
    THREAD_UNCANCELLED;
    pthread_attr_t attr;
    void *low;
    int error = pthread_getattr_np(pthread_self(), &attr);

    if (error != 0)
        return error;
    error = pthread_attr_getstack(&attr, &low, &ss->ss_size);
    pthread_attr_destroy(&attr);
    ss->ss_sp = (char *)low + ss->ss_size;
    ss->ss_flags = 0;
    return error;
}
