/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call_sample.c: see call_sample.h.
 */
#include "call_sample.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t read_clock_ns(clockid_t clock)
{
    struct timespec now;

    if (clock_gettime(clock, &now) < 0) {
        perror("clock_gettime");
        exit(1);
    }
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t sample_now_ns(void)
{
    return read_clock_ns(CLOCK_MONOTONIC);
}

int64_t sample_cpu_ns(pid_t pid)
{
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0) {
        fprintf(stderr, "process %d has gone\n", (int)pid);
        exit(1);
    }
    return read_clock_ns(clock);
}

/* The sum of the numbers behind "name...:" lines in a proc(5) status file. */
static uint64_t sum_fields(const char *path, const char *name)
{
    char line[256];
    uint64_t sum = 0;
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        char *colon = strchr(line, ':');
        char *found = strstr(line, name);
        if (colon != NULL && found != NULL && found < colon)
            sum += strtoull(colon + 1, NULL, 10);
    }
    fclose(file);
    return sum;
}

uint64_t sample_switches(pid_t pid)
{
    char path[300];
    struct dirent *entry;
    uint64_t sum = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    dir = opendir(path);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%.20s/status", (int)pid, entry->d_name);
        sum += sum_fields(path, "voluntary_ctxt_switches"); /* matches nonvoluntary_ too */
    }
    if (dir != NULL)
        closedir(dir);
    return sum;
}

long sample_resident_kib(pid_t pid)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    return (long)sum_fields(path, "VmRSS");
}

/* Behind "Pss...:" in smaps_rollup, proc(5). */
static long rollup_kib(pid_t pid, const char *name)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    return (long)sum_fields(path, name);
}

long sample_pss_kib(pid_t pid)
{
    return rollup_kib(pid, "Pss:");
}

long sample_pss_shmem_kib(pid_t pid)
{
    return rollup_kib(pid, "Pss_Shmem:");
}

long sample_descriptors(pid_t pid)
{
    char path[64];
    struct dirent *entry;
    long count = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    while (dir != NULL && (entry = readdir(dir)) != NULL)
        count += entry->d_name[0] != '.';
    if (dir != NULL)
        closedir(dir);
    return count;
}
