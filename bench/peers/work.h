/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * work.h: what every peer's application does for a path; the same code for all.
 *
 *     /tiny    24 bytes          /sleep     10 ms, then 24 bytes
 *     /64k     65,536 bytes      /cpu       1 ms of CPU, then 24 bytes
 *     /1m      1,048,576 bytes   /post      the number of bytes that were sent
 *     /big-N   N MiB, written in pieces of 64 KiB
 *     /file    the file that BENCH_FILE names, by its descriptor where that can be
 *     /events-N  N server-sent events, each flushed; the time at which it was written is in it
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WORK_GREETING "Well, hello to you too!\n"
#define WORK_MAX      (1024 * 1024)
#define WORK_PIECE    65536
#define WORK_EVENT_MS 100

enum work_kind {
    WORK_BYTES,  /* answer with work_bytes() at once */
    WORK_COUNT,  /* read the body, answer with the number of its bytes */
    WORK_PIECES, /* answer with len bytes, a piece at a time */
    WORK_FILE,   /* answer with work_file() */
    WORK_EVENTS  /* len times work_event(), each sent at once */
};

struct work {
    enum work_kind kind;
    long len;
};

static inline void work_compute(long us)
{
    struct timespec began, now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    while ((now.tv_sec - began.tv_sec) * 1000000000L + now.tv_nsec - began.tv_nsec < us * 1000);
}

/* What is to be answered; sleeping and computing are done when this returns. */
static inline struct work work(const char *path)
{
    struct work work = {WORK_BYTES, sizeof(WORK_GREETING) - 1};

    if (path == NULL || strcmp(path, "/tiny") == 0)
        return work;
    if (strcmp(path, "/64k") == 0)
        work.len = 65536;
    else if (strcmp(path, "/1m") == 0)
        work.len = WORK_MAX;
    else if (strcmp(path, "/sleep") == 0)
        usleep(10000);
    else if (strcmp(path, "/cpu") == 0)
        work_compute(1000);
    else if (strcmp(path, "/post") == 0)
        work.kind = WORK_COUNT;
    else if (strcmp(path, "/file") == 0)
        work.kind = WORK_FILE;
    else if (strncmp(path, "/big-", 5) == 0)
        work = (struct work){WORK_PIECES, atol(path + 5) * 1024 * 1024};
    else if (strncmp(path, "/events-", 8) == 0)
        work = (struct work){WORK_EVENTS, atol(path + 8)};
    return work;
}

/* The bytes themselves, up to WORK_MAX. */
static inline const char *work_bytes(long len)
{
    static char bytes[WORK_MAX];

    if (len == sizeof(WORK_GREETING) - 1)
        return WORK_GREETING;
    if (bytes[WORK_MAX - 1] == 0)
        memset(bytes, 'x', sizeof(bytes));
    return bytes;
}

/* Waits until the next event is due, and returns the length of its text in buf. */
static inline int work_event(char *buf, size_t size)
{
    struct timespec now;

    usleep(WORK_EVENT_MS * 1000);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return snprintf(buf, size, "data: %ld.%09ld\n\n", (long)now.tv_sec, now.tv_nsec);
}

/* The file, and how long it is; or -1. */
static inline int work_file(long *len)
{
    const char *name = getenv("BENCH_FILE");
    int fd = name != NULL ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    struct stat st = {0};

    if (fd != -1)
        fstat(fd, &st);
    *len = (long)st.st_size;
    return fd;
}

#endif
