/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * work.h: what every peer's application does for a path; the same code for all.
 *
 *     /tiny    24 bytes          /sleep   10 ms, then 24 bytes
 *     /64k     65,536 bytes      /cpu     1 ms of CPU, then 24 bytes
 *     /1m      1,048,576 bytes   /post    the number of bytes that were sent
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORK_GREETING "Well, hello to you too!\n"
#define WORK_MAX      (1024 * 1024)

/* Bytes of the answer's body, once the work is done; -1: /post, which counts what it reads. */
static inline long work(const char *path)
{
    if (strcmp(path, "/64k") == 0)
        return 65536;
    if (strcmp(path, "/1m") == 0)
        return WORK_MAX;
    if (strcmp(path, "/post") == 0)
        return -1;
    if (strcmp(path, "/sleep") == 0) {
        usleep(10000);
    } else if (strcmp(path, "/cpu") == 0) {
        struct timespec began, now;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
        do
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        while ((now.tv_sec - began.tv_sec) * 1000000000L + now.tv_nsec - began.tv_nsec < 1000000);
    }
    return sizeof(WORK_GREETING) - 1;
}

/* The bytes themselves. */
static inline const char *work_bytes(long len)
{
    static char bytes[WORK_MAX];

    if (len == sizeof(WORK_GREETING) - 1)
        return WORK_GREETING;
    if (bytes[WORK_MAX - 1] == 0)
        memset(bytes, 'x', sizeof(bytes));
    return bytes;
}

#endif
