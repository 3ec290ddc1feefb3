/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * pool.c: how many server threads a pool makes of how many callers, and what that is
 * good for: a table on stdout.  Callers are threads of one process that call again at once;
 * procedures compute, sleep, or hold one lock; two neighbours may have the processors as
 * well.  LD_LIBRARY_PATH has another build of the library in the place of this one.
 */
#include <door.h>
#include <stropts.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALLERS_MAX 1000
#define NEIGHBOURS  2

enum procedure { COMPUTE, SLEEP, LOCK, PROCEDURES };

static const char *const names[] = {"20 us CPU", "1 ms asleep", "one lock, 1 ms"};

static struct shared {
    _Atomic int ready, is_over;
    _Atomic unsigned long calls;
    _Atomic unsigned most; /* procedures at a time */
} *shared;

static char directory[] = "/tmp/bench-pool-XXXXXX", path[64];
static unsigned window_ms = 2000;

static void sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000l}, NULL);
}

static int64_t now_us(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ------------------------------------------------ the server */

static enum procedure procedure;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void serve(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    int64_t until_us = now_us(CLOCK_THREAD_CPUTIME_ID) + 20;

    (void)cookie;
    (void)argp;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    if (procedure == COMPUTE) {
        while (now_us(CLOCK_THREAD_CPUTIME_ID) < until_us)
            continue;
    } else if (procedure == SLEEP) {
        sleep_ms(1);
    } else {
        pthread_mutex_lock(&lock);
        sleep_ms(1);
        pthread_mutex_unlock(&lock);
    }
    door_return(NULL, 0, NULL, 0);
}

static pid_t start_server(enum procedure which)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    procedure = which;
    close(open(path, O_CREAT | O_RDWR, 0600));
    if (fattach(door_create(serve, NULL, DOOR_NO_CANCEL), path) < 0)
        _exit(1);
    shared->ready = 1;
    for (;;)
        pause();
}

/* ------------------------------------------------ the callers, and who disturbs */

static int door;

static void *call_again(void *unused)
{
    while (!shared->is_over) {
        door_arg_t args = {0};
        if (door_call(door, &args) < 0) {
            fprintf(stderr, "bench-pool: door_call: %s\n", strerror(errno));
            _exit(1);
        }
        atomic_fetch_add(&shared->calls, 1);
    }
    return unused;
}

static pid_t start_callers(unsigned count)
{
    pid_t pid = fork();
    pthread_t threads[CALLERS_MAX];
    pthread_attr_t attr;

    if (pid != 0)
        return pid;
    door = open(path, O_RDONLY);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 128 * 1024);
    for (unsigned i = 0; i < count; i++)
        if (pthread_create(&threads[i], &attr, call_again, NULL) != 0)
            _exit(1);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    _exit(0);
}

static pid_t start_neighbour(void)
{
    pid_t pid = fork();

    while (pid == 0)
        continue;
    return pid;
}

static void end(pid_t pid, int signal_number)
{
    if (signal_number != 0)
        kill(pid, signal_number);
    waitpid(pid, NULL, 0);
}

/* ------------------------------------------------ one row */

/* A number of /proc/PID/status, or 0. */
static unsigned long status_of(pid_t pid, const char *name)
{
    char file_name[64], line[256];
    unsigned long value = 0;

    snprintf(file_name, sizeof(file_name), "/proc/%d/status", (int)pid);
    FILE *file = fopen(file_name, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoul(line + strlen(name), NULL, 10);
    if (file != NULL)
        fclose(file);
    return value;
}

/* User and system time of a process, in microseconds. */
static int64_t cpu_us(pid_t pid)
{
    clockid_t clock;

    return clock_getcpuclockid(pid, &clock) == 0 ? now_us(clock) : 0;
}

static void measure(unsigned callers, enum procedure which, unsigned neighbours)
{
    pid_t others[NEIGHBOURS], server, client;
    unsigned long before, early;

    *shared = (struct shared){0};
    server = start_server(which);
    while (!shared->ready)
        sleep_ms(1);
    for (unsigned i = 0; i < neighbours; i++)
        others[i] = start_neighbour();
    client = start_callers(callers);
    sleep_ms(window_ms / 2);
    early = status_of(server, "Threads:");
    before = shared->calls;
    int64_t began_us = now_us(CLOCK_MONOTONIC), cpu = cpu_us(server);
    sleep_ms(window_ms);
    unsigned long calls = shared->calls - before, threads = status_of(server, "Threads:");
    int64_t us = now_us(CLOCK_MONOTONIC) - began_us;
    cpu = cpu_us(server) - cpu;
    shared->is_over = 1;
    end(client, 0);
    end(server, SIGKILL);
    for (unsigned i = 0; i < neighbours; i++)
        end(others[i], SIGKILL);
    unlink(path);
    /* Not the library's own thread, nor the one that waits. */
    printf("| %u | %s | %u | %ld | %ld | %.0f | %.1f |\n", callers, names[which], neighbours,
           (long)early - 2, (long)threads - 2, calls * 1e6 / us, calls > 0 ? (double)cpu / calls : 0);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const unsigned counts[] = {4, 64, 1000};
    unsigned only = 0;
    int option;

    while ((option = getopt(argc, argv, "c:w:")) != -1)
        if (option == 'c')
            only = (unsigned)atoi(optarg);
        else if (option == 'w')
            window_ms = (unsigned)atoi(optarg);
        else
            return 2;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || mkdtemp(directory) == NULL)
        return 1;
    snprintf(path, sizeof(path), "%s/door", directory);
    printf("| callers | procedure | busy neighbours | threads at first | then | calls/s |"
           " server CPU us per call |\n|---:|---|---:|---:|---:|---:|---:|\n");
    for (unsigned neighbours = 0; neighbours <= NEIGHBOURS; neighbours += NEIGHBOURS)
        for (unsigned which = COMPUTE; which < PROCEDURES; which++)
            for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
                if (only == 0 || only == counts[i])
                    measure(counts[i], which, neighbours);
    rmdir(directory);
    return 0;
}
