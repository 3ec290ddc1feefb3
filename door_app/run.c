/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * run.c: an application's life: gives its door a name, waits until it is told to
 * stop, and lets running calls end.  This file knows nothing of requests.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stropts.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <door_compat.h>

#include "app.h"
#include "caller.h"
#include "fail.h"
#include "serve.h"

#define PLACEHOLDER_MODE 0660
#define DRAIN_TICK_NS    50000000L

/*
 * Stop signals within this time count as one: when a parent ends, Linux sends the signal of
 * PR_SET_PDEATHSIG for each of the parent's threads.
 */
#define STOP_ONCE_NS 1000000000LL

/* Keeps leak checkers quiet: a program need not destroy its application. */
static struct door_app *volatile last_run;

static int complain(const char *path, const char *what, int error)
{
    fprintf(stderr, "door_app: %s: %s: %s\n", path, what, strerror(error));
    return -1;
}

/* ---------------------------------------------------------------- to be told */

/*
 * The stop signals are handled and not blocked.  So programs that a handler starts, by whatever
 * function, get the signal mask and the dispositions that the application was started with.
 */
static const int stop_signals[] = {SIGTERM, SIGINT};

#define STOP_SIGNALS (sizeof(stop_signals) / sizeof(stop_signals[0]))

static struct {
    pid_t pid; /* of the application, not of a child that it has forked */
    sem_t told; /* posted for each stop signal */
    _Atomic int is_listening, is_asked; /* told can be posted; door_app_stop() was called */
    struct sigaction before[STOP_SIGNALS];
    sigset_t mask; /* the signal mask before */
} stop;

/* In a forked child, maybe before exec: restores the old disposition, and raises the signal. */
static void pass_on(int signo)
{
    for (size_t i = 0; i < STOP_SIGNALS; i++)
        if (stop_signals[i] == signo)
            sigaction(signo, &stop.before[i], NULL);
    raise(signo);
}

static void note_stop(int signo)
{
    int error = errno;

    if (getpid() == stop.pid)
        sem_post(&stop.told);
    else
        pass_on(signo);
    errno = error;
}

/* A shell starts background programs with SIGINT ignored, and then it stays ignored. */
static void begin_listening(void)
{
    struct sigaction action = {.sa_handler = note_stop, .sa_flags = SA_RESTART};
    sigset_t set;

    stop.pid = getpid();
    sem_init(&stop.told, 0, 0);
    sigemptyset(&set);
    for (size_t i = 0; i < STOP_SIGNALS; i++) {
        sigaction(stop_signals[i], NULL, &stop.before[i]);
        if (stop_signals[i] == SIGINT && stop.before[i].sa_handler == SIG_IGN)
            continue;
        sigaction(stop_signals[i], &action, NULL);
        sigaddset(&set, stop_signals[i]);
    }
    pthread_sigmask(SIG_UNBLOCK, &set, &stop.mask);
    atomic_store(&stop.is_listening, 1);
    if (atomic_load(&stop.is_asked))
        sem_post(&stop.told);
}

static void end_listening(void)
{
    atomic_store(&stop.is_listening, 0);
    atomic_store(&stop.is_asked, 0);
    for (size_t i = 0; i < STOP_SIGNALS; i++)
        sigaction(stop_signals[i], &stop.before[i], NULL);
    pthread_sigmask(SIG_SETMASK, &stop.mask, NULL);
}

void door_app_stop(void)
{
    atomic_store(&stop.is_asked, 1);
    if (atomic_load(&stop.is_listening) && getpid() == stop.pid)
        sem_post(&stop.told);
}

/* Whether there was another stop signal since the last look. */
static int was_told(void)
{
    int count = 0;

    while (sem_trywait(&stop.told) == 0)
        count++;
    return count > 0;
}

/* ---------------------------------------------------------------- the door */

/* An application needs a few descriptors for each process that calls it. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit); /* if this fails, the old limit stays */
    }
}

/* With O_EXCL, because opening an existing file could block. */
static int make_placeholder(const char *path)
{
    int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, PLACEHOLDER_MODE);

    if (fd == -1)
        return errno == EEXIST ? 0 : complain(path, "cannot create", errno);
    close(fd);
    return 0;
}

/*
 * If httpd has started the program, it sets the maximum of threads (the program may set a lower
 * one), and keeps the line of waiting requests.
 */
static void limit_threads(struct door_app *app, int door)
{
    const char *text = getenv("DOOR_APP_THREADS");
    unsigned max = app->thread_max, told;
    char rest;
    int is_told = text != NULL && sscanf(text, "%u%c", &told, &rest) == 1 && told > 0;

    if (is_told && (!app->has_thread_max || max == 0 || told < max))
        max = told;
    if (door_set_threads(door, max, app->thread_idle_ms) == 0 && is_told)
        app->line.is_elsewhere = 1;
    if (app->takes_turns)
        door_take_turns(door); /* else the doors would start useless threads */
    door_rt_hooks_watch(app->thread_hooks, door, app->thread_idle_ms);
}

void door_app_wait_turn(int is_waiting)
{
    door_wait_turn(is_waiting); /* it may fail: on illumos, or if this is no server thread */
}

/* The server threads inherit the signal mask with which door_app_run() was called. */
static int create_door(struct door_app *app)
{
    sigset_t now;
    int door;

    pthread_sigmask(SIG_SETMASK, &stop.mask, &now);
    door = door_create(door_rt_serve, app, DOOR_NO_CANCEL);
    if (door != -1)
        door_share_arguments(door);
    if (door != -1)
        limit_threads(app, door);
    pthread_sigmask(SIG_SETMASK, &now, NULL);
    if (door != -1)
        door_setparam(door, DOOR_PARAM_DESC_MAX, 1);
    return door;
}

/*
 * A program may get signals often, such as those of a profiler.  They wait while the door gets
 * its name, and while it loses it.
 */
static int attach(int door, const char *path)
{
    sigset_t before;
    int result;

    door_rt_hold_signals(&before);
    result = fattach(door, path);
    door_rt_let_signals(&before);
    return result;
}

/* Returns the door, which has the name path, or -1. */
static int open_door(struct door_app *app, const char *path)
{
    int door;

    if (make_placeholder(path) == -1)
        return -1;
    door = create_door(app);
    if (door == -1)
        return complain(path, "cannot create a door", errno);
    if (attach(door, path) == -1) {
        complain(path, errno == EBUSY ? "another server has it" : "cannot attach", errno);
        door_revoke(door);
        return -1;
    }
    return door;
}

/* Whether path still leads to this door.  Another process may have taken the name over. */
static int is_named(int door, const char *path)
{
    struct door_info ours;
    struct door_info named;
    int fd = door_openat(AT_FDCWD, path, 0);
    int same;

    if (fd == -1)
        return 0;
    same = door_info(fd, &named) == 0 && door_info(door, &ours) == 0 &&
           named.di_uniquifier == ours.di_uniquifier;
    close(fd);
    return same;
}

static void detach(int door, const char *path)
{
    sigset_t before;

    door_rt_hold_signals(&before);
    if (is_named(door, path) && fdetach(path) == -1)
        complain(path, "cannot detach", errno);
    door_rt_let_signals(&before);
}

/*
 * Waits until running calls have ended.  Returns 0, or -1 after another stop signal.  On
 * illumos, calls that a thread has taken but not begun, and replies that are being sent,
 * cannot be counted.  Both mostly take microseconds, so there two quiet ticks in a row are
 * needed.
 */
static int drain(struct door_app *app, int door)
{
    const struct timespec tick = {.tv_nsec = DRAIN_TICK_NS};
    unsigned long long quiet_at = ~0ULL; /* how many calls had ended at the last quiet tick */
    int64_t told_ns = door_now_ns();

    for (;;) {
        int running = door_running_calls(door);
        /* Read before started: if they are equal, no call runs. */
        unsigned long long ended = atomic_load(&app->ended);

        if (running <= 0 && ended == atomic_load(&app->started)) {
            if (running == 0 || quiet_at == ended)
                return 0;
            quiet_at = ended;
        }
        nanosleep(&tick, NULL);
        if (was_told() && door_now_ns() - told_ns >= STOP_ONCE_NS)
            return -1;
    }
}

static int close_door(struct door_app *app, int door, const char *path)
{
    int revoked = dup(door); /* door_revoke() closes its own descriptor */
    int result;

    detach(door, path);
    door_revoke(door);
    result = drain(app, revoked);
    close(revoked);
    if (result == 0)
        return 0;
    fprintf(stderr, "door_app: %s: told to stop twice, gave up %llu running request(s)\n", path,
            atomic_load(&app->started) - atomic_load(&app->ended));
    return -1;
}

/* The descriptor to which a byte is written once the door has its name; or -1. */
static int ready_fd(void)
{
    const char *text = getenv("DOOR_READY_FD");
    char rest;
    int fd;

    if (text == NULL || sscanf(text, "%d%c", &fd, &rest) != 1)
        return -1;
    /* Programs that this one starts must not have it. */
    unsetenv("DOOR_READY_FD");
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? fd : -1;
}

static _Atomic int supervisor_fd = -1; /* for door_app_ask_replacement(); set by report_ready() */
static _Atomic int has_asked;

/* Reports that the door is ready, if it has the name that DOOR_PATH says. */
static void report_ready(int fd, const char *path, const char *expected)
{
    int is_expected = fd != -1 && expected != NULL && strcmp(expected, path) == 0;

    if (is_expected && write(fd, "\n", 1) == 1) {
        atomic_store(&supervisor_fd, fd);
        return;
    }
    if (is_expected)
        complain(path, "cannot tell that it is ready", errno);
    if (fd != -1)
        close(fd);
}

/* Writes to a pipe whose reader may be gone, without getting a SIGPIPE. */
static int tell(int fd)
{
    const struct timespec now = {0};
    sigset_t pipe_signal, before;
    int result, error;

    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    result = write(fd, "\n", 1) == 1 ? 0 : -1;
    error = errno;
    if (result == -1 && error == EPIPE)
        sigtimedwait(&pipe_signal, NULL, &now);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return result;
}

int door_app_ask_replacement(void)
{
    int fd = atomic_exchange(&supervisor_fd, -1);
    int result, error;

    if (fd == -1)
        return atomic_load(&has_asked) ? 0 : door_rt_fail(ENOTSUP);
    atomic_store(&has_asked, 1);
    result = tell(fd);
    error = errno;
    close(fd);
    errno = error;
    return result;
}

static int serve(struct door_app *app, const char *path)
{
    const char *expected = getenv("DOOR_PATH"); /* now: handlers may change the environment */
    int ready = ready_fd();
    int door = open_door(app, path);

    if (door == -1)
        return -1;
    report_ready(ready, path, expected);
    while (sem_wait(&stop.told) == -1)
        continue;
    atomic_store(&app->is_stopping, 1);
    return close_door(app, door, path);
}

int door_app_run(struct door_app *app, const char *path)
{
    int result;

    if (path == NULL)
        path = getenv("DOOR_PATH");
    if (path == NULL || path[0] == '\0') {
        fprintf(stderr, "door_app: no path for the door: give one, or set DOOR_PATH\n");
        return 1;
    }
    if (app == NULL || app->mistake[0] != '\0') {
        fprintf(stderr, "door_app: %s: the application is incomplete: %s\n", path,
                app == NULL ? strerror(ENOMEM) : app->mistake);
        return 1;
    }
    last_run = app;
    /* So that a crash loses no lines: to a pipe, stdio would write only full buffers. */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    raise_descriptor_limit();
    begin_listening();
    result = serve(app, path);
    end_listening();
    return result == 0 ? 0 : 1;
}
