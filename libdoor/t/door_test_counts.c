/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door_test_counts.c: how many descriptors, threads and how much memory a process has, and
 * how often a thread has slept.
 * The counts come from /proc, which Linux and illumos lay out differently.
 *
 * A process under a sanitizer has descriptors that no test and no door has opened: with
 * its first report, also with one that is suppressed, it starts a symbolizer and talks to
 * it through two pipes, and what it prints goes to a log file that stays open.  No count
 * here has them, so a report between two counts changes nothing.
 */
#include "door_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYMBOLIZER      "llvm-symbolizer" /* how the kernel cuts the names of all its versions */
#define SYMBOLIZERS_MAX 64                /* that run at the same time, of all processes */
#define LOG_PATH        "log_path="       /* the option of all sanitizers */

static bool is_number(const struct dirent *entry)
{
    return entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
}

/* -- what a sanitizer has opened -- */

/* The pipes that symbolizers read and write, by the names that the kernel gives them. */
struct symbolizers {
    char pipes[2 * SYMBOLIZERS_MAX][32];
    int count; /* -1: not looked for yet */
};

/* What the descriptor behind this path is, "" if it is closed. */
static void read_link(const char *path, char *name, size_t size)
{
    ssize_t len = readlink(path, name, size - 1);

    name[len < 0 ? 0 : len] = '\0';
}

static bool is_pipe(const char *name)
{
    return strncmp(name, "pipe:", strlen("pipe:")) == 0;
}

static bool is_symbolizer(const char *pid)
{
    char path[64], name[32] = "";
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    if (fgets(name, sizeof(name), f) == NULL)
        name[0] = '\0';
    fclose(f);
    return strncmp(name, SYMBOLIZER, strlen(SYMBOLIZER)) == 0;
}

static void find_symbolizers(struct symbolizers *s)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;

    s->count = 0;
    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL && s->count <= 2 * SYMBOLIZERS_MAX - 2) {
        if (!is_number(entry) || !is_symbolizer(entry->d_name))
            continue;
        for (int fd = 0; fd < 2; fd++) {
            char path[64];

            snprintf(path, sizeof(path), "/proc/%.20s/fd/%d", entry->d_name, fd);
            read_link(path, s->pipes[s->count], sizeof(s->pipes[0]));
            s->count += is_pipe(s->pipes[s->count]);
        }
    }
    closedir(dir);
}

static bool is_to_symbolizer(const char *name, struct symbolizers *s)
{
    if (!is_pipe(name))
        return false;
    if (s->count < 0)
        find_symbolizers(s);
    for (int i = 0; i < s->count; i++)
        if (strcmp(name, s->pipes[i]) == 0)
            return true;
    return false;
}

/* A log's name is what the options say, and the process's number. */
static bool is_log(const char *name)
{
    static const char *const options[] = {"ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"};

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        const char *value = getenv(options[i]);
        const char *path = value == NULL ? NULL : strstr(value, LOG_PATH);

        if (path == NULL)
            continue;
        path += strlen(LOG_PATH);
        if (strncmp(name, path, strcspn(path, " :")) == 0)
            return true;
    }
    return false;
}

/* True if a sanitizer has opened the descriptor of which /proc/PID/fd has this entry. */
static bool is_sanitizers(const char *dir, const char *entry, struct symbolizers *s)
{
    char path[96], name[512];

    if (!door_test_sanitized() || (entry[0] <= '2' && entry[1] == '\0'))
        return false;
    snprintf(path, sizeof(path), "%s/%.20s", dir, entry);
    read_link(path, name, sizeof(name));
    return is_to_symbolizer(name, s) || is_log(name);
}

/* -- counting -- */

static int count_fds(const char *path)
{
    struct symbolizers symbolizers = {.count = -1};
    DIR *dir = opendir(path);
    struct dirent *entry;
    int count = 0;

    if (dir == NULL)
        return -1;
    while ((entry = readdir(dir)) != NULL)
        count += is_number(entry) && !is_sanitizers(path, entry->d_name, &symbolizers);
    closedir(dir);
    return count;
}

int door_test_fd_count(void)
{
    int count = count_fds("/proc/self/fd");
    long limit = sysconf(_SC_OPEN_MAX);

    if (count >= 0)
        return count - 1; /* the directory's own */
    count = 0;
    for (long fd = 0; fd < limit && fd < 65536; fd++)
        count += fcntl((int)fd, F_GETFD) >= 0;
    return count;
}

int door_test_fd_count_of(pid_t pid)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
    return count_fds(path);
}

struct settle {
    pid_t pid;
    int at_most;
};

static bool fds_settled(void *arg)
{
    struct settle *s = arg;
    int count = s->pid == 0 ? door_test_fd_count() : door_test_fd_count_of(s->pid);

    return count <= s->at_most;
}

bool door_test_fds_settle(pid_t pid, int at_most)
{
    struct settle s = {pid, at_most};

    return door_test_await(fds_settled, &s);
}

/* How many entries of the directory are numbers; stores up to max of them.  -1: there is none. */
static int list_numbers(const char *path, pid_t *numbers, int max)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int count = 0;

    if (dir == NULL)
        return -1;
    while ((entry = readdir(dir)) != NULL) {
        if (is_number(entry) && count++ < max)
            numbers[count - 1] = (pid_t)atol(entry->d_name);
    }
    closedir(dir);
    return count;
}

int door_test_threads(pid_t pid, pid_t *tids, int max)
{
    char path[64];
    int count;

    snprintf(path, sizeof(path), "/proc/%ld/task", (long)pid);
    count = list_numbers(path, tids, max);
    if (count >= 0)
        return count;
    snprintf(path, sizeof(path), "/proc/%ld/lwp", (long)pid);
    return list_numbers(path, tids, max);
}

int door_test_thread_count(pid_t pid)
{
    return door_test_threads(pid, NULL, 0);
}

long door_test_sleeps(pid_t pid, pid_t tid)
{
    char path[64], line[128];
    long count = -1;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%ld/task/%ld/status", (long)pid, (long)tid);
    f = fopen(path, "r");
    if (f == NULL)
        return -1;
    while (count < 0 && fgets(line, sizeof(line), f) != NULL)
        sscanf(line, "voluntary_ctxt_switches: %ld", &count);
    fclose(f);
    return count;
}

long door_test_resident_kb(pid_t pid)
{
    char path[64];
    long total, resident;
    FILE *f;
    int n;

    snprintf(path, sizeof(path), "/proc/%ld/statm", (long)pid);
    f = fopen(path, "r");
    if (f == NULL)
        return -1;
    n = fscanf(f, "%ld %ld", &total, &resident);
    fclose(f);
    return n == 2 ? resident * (sysconf(_SC_PAGESIZE) / 1024) : -1;
}
