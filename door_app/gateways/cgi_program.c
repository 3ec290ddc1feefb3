/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * cgi_program.c: see cgi_program.h.  One thread waits for all programs that have not
 * ended with their output; it looks now and then, as that is rare, and waits for none of
 * them.  A program that is killed keeps its number until its group has got its SIGKILL.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <door_app.h>

#include "cgi_program.h"
#include "clock.h"

#define KILL_MS 2000 /* between SIGTERM and SIGKILL */
#define LOOK_NS 20000000L

/* ---------------------------------------------------------------- the ends */

struct ending {
    STAILQ_ENTRY(ending) link;
    pid_t pid;
    int64_t until_ms; /* then it is told to end, or killed */
    int is_told, is_killed;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    STAILQ_HEAD(, ending) list;
    int linger_ms;
} ends = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .more = PTHREAD_COND_INITIALIZER,
          .list = STAILQ_HEAD_INITIALIZER(ends.list)};

static void wait_for(pid_t pid, int flags, int *is_over)
{
    pid_t ended;

    do
        ended = waitpid(pid, NULL, flags);
    while (ended == -1 && errno == EINTR);
    *is_over = ended != 0;
}

/* The program, which may have left its group, and what it has started. */
static void signal_program(pid_t pid, int signo)
{
    kill(-pid, signo);
    kill(pid, signo);
}

/* With the lock held: whether that one has come to its end. */
static int look_at(struct ending *ending)
{
    int is_over = 0;

    if (!ending->is_told || ending->is_killed)
        wait_for(ending->pid, WNOHANG, &is_over);
    if (is_over || now_ms() < ending->until_ms)
        return is_over;
    signal_program(ending->pid, ending->is_told ? SIGKILL : SIGTERM);
    if (ending->is_told) { /* that may take its time, and then it is done once more */
        ending->is_killed = 1;
        ending->until_ms = now_ms() + KILL_MS;
        return 0;
    }
    door_app_log(NULL, LOG_WARNING, "door_cgi: pid %d is told to end: it goes on without output",
                 (int)ending->pid);
    ending->is_told = 1;
    ending->until_ms = now_ms() + KILL_MS;
    return 0;
}

static void look_at_all(void)
{
    STAILQ_HEAD(, ending) left = STAILQ_HEAD_INITIALIZER(left);
    struct ending *ending;

    while ((ending = STAILQ_FIRST(&ends.list)) != NULL) {
        STAILQ_REMOVE_HEAD(&ends.list, link);
        if (look_at(ending))
            free(ending);
        else
            STAILQ_INSERT_TAIL(&left, ending, link);
    }
    STAILQ_CONCAT(&ends.list, &left);
}

static void *wait_for_ends(void *unused)
{
    const struct timespec pause = {.tv_nsec = LOOK_NS};

    (void)unused;
    for (;;) {
        pthread_mutex_lock(&ends.lock);
        while (STAILQ_EMPTY(&ends.list))
            pthread_cond_wait(&ends.more, &ends.lock);
        look_at_all();
        pthread_mutex_unlock(&ends.lock);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* Without memory it is waited for here. */
static void wait_elsewhere(pid_t pid, int is_told)
{
    struct ending *ending = malloc(sizeof(*ending));
    int is_over;

    if (ending == NULL) {
        signal_program(pid, SIGKILL);
        wait_for(pid, 0, &is_over);
        return;
    }
    pthread_mutex_lock(&ends.lock);
    *ending = (struct ending){
        .pid = pid, .until_ms = now_ms() + (is_told ? KILL_MS : ends.linger_ms), .is_told = is_told};
    STAILQ_INSERT_TAIL(&ends.list, ending, link);
    pthread_cond_signal(&ends.more);
    pthread_mutex_unlock(&ends.lock);
}

int cgi_program_prepare(int linger_ms)
{
    pthread_t thread;
    sigset_t all, before;
    int error;

    ends.linger_ms = linger_ms;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, NULL, wait_for_ends, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return error == 0 ? 0 : -1;
}

void cgi_program_close(int *fd)
{
    if (*fd != -1)
        close(*fd);
    *fd = -1;
}

void cgi_program_leave(struct cgi_program *program)
{
    int is_over;

    cgi_program_close(&program->in);
    cgi_program_close(&program->out);
    wait_for(program->pid, WNOHANG, &is_over);
    if (!is_over)
        wait_elsewhere(program->pid, 0);
}

void cgi_program_kill(struct cgi_program *program)
{
    cgi_program_close(&program->in);
    cgi_program_close(&program->out);
    signal_program(program->pid, SIGTERM);
    wait_elsewhere(program->pid, 1);
}

void cgi_program_kill_all(void)
{
    struct ending *ending;

    pthread_mutex_lock(&ends.lock);
    STAILQ_FOREACH(ending, &ends.list, link)
        signal_program(ending->pid, SIGKILL);
    pthread_mutex_unlock(&ends.lock);
}

/* ---------------------------------------------------------------- the start */

/* Other threads start programs meanwhile, which must not have them. */
struct pipes {
    int in[2], out[2]; /* to read from, to write to */
};

static int open_pipes(struct pipes *pipes, int has_input)
{
    *pipes = (struct pipes){{-1, -1}, {-1, -1}};
    if (has_input && pipe2(pipes->in, O_CLOEXEC) == -1)
        return -1;
    if (!has_input && (pipes->in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) == -1)
        return -1;
    if (pipe2(pipes->out, O_CLOEXEC) == -1)
        return -1;
    if (has_input)
        fcntl(pipes->in[1], F_SETFL, O_NONBLOCK);
    fcntl(pipes->out[0], F_SETFL, O_NONBLOCK);
    return 0;
}

/* SIGPIPE is ours to ignore, and not the program's. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t defaults;
    int error;

    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    error = posix_spawnattr_setsigdefault(attributes, &defaults);
    if (error == 0)
        error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    return error;
}

static int set_actions(posix_spawn_file_actions_t *actions, const struct pipes *pipes,
                       const char *directory)
{
    int error = posix_spawn_file_actions_adddup2(actions, pipes->in[0], STDIN_FILENO);

    if (error == 0)
        error = posix_spawn_file_actions_adddup2(actions, pipes->out[1], STDOUT_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_addchdir_np(actions, directory);
    return error;
}

/* 0 or errno. */
static int spawn(pid_t *pid, const struct pipes *pipes, char *const argv[], char *const env[],
                 const char *directory)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = posix_spawn_file_actions_init(&actions);

    if (error != 0)
        return error;
    error = posix_spawnattr_init(&attributes);
    if (error == 0) {
        error = set_attributes(&attributes);
        if (error == 0)
            error = set_actions(&actions, pipes, directory);
        if (error == 0)
            error = posix_spawn(pid, argv[0], &actions, &attributes, argv, env);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int cgi_program_start(struct cgi_program *program, char *const argv[], char *const env[],
                      const char *directory, int has_input)
{
    struct pipes pipes;
    int error = open_pipes(&pipes, has_input) == 0 ? 0 : errno;

    if (error == 0)
        error = spawn(&program->pid, &pipes, argv, env, directory);
    cgi_program_close(&pipes.in[0]);
    cgi_program_close(&pipes.out[1]);
    if (error != 0) {
        cgi_program_close(&pipes.in[1]);
        cgi_program_close(&pipes.out[0]);
    }
    program->in = pipes.in[1];
    program->out = pipes.out[0];
    errno = error;
    return error == 0 ? 0 : -1;
}
