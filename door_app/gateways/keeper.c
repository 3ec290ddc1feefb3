/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * keeper.c: see keeper.h.  The gateway holds one end of a socket pair, the keeper
 * the other one.  The end of that is the sign that the gateway is gone.  The gateway may
 * wait for the keeper, which therefore never waits for the gateway.
 */
#include "keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "clock.h"

#define BACKLOG 128
#define MS      1000000LL

struct order {
    uint32_t id;
    enum { START, STOP, STOP_ALL } what;
};

struct program {
    LIST_ENTRY(program) link;
    uint32_t id;
    pid_t pid;       /* and of its group */
    int64_t kill_ns; /* when SIGKILL is due; INT64_MAX: it is not told to end */
};

/* The keeper's own state: it has one thread. */
static LIST_HEAD(, program) programs = LIST_HEAD_INITIALIZER(programs);
static const struct keeper_config *config;
static struct keeper *own;
static sigset_t original_mask;
static int is_ending;

/* What the gateway has not taken yet: it may be waiting for its orders to be taken. */
static struct {
    char *bytes;
    size_t len, cap;
} reports;

void keeper_path(const struct keeper *keeper, uint32_t id, char *path, size_t cap)
{
    snprintf(path, cap, "%s/%u", keeper->dir, id);
}

/* All of len bytes, in messages that are too short for a socket to cut them. */
static int transfer(int fd, void *message, size_t len, int is_sent)
{
    char *at = message;

    while (len > 0) {
        ssize_t some = is_sent ? send(fd, at, len, MSG_NOSIGNAL) : recv(fd, at, len, 0);

        if (some == -1 && errno == EINTR)
            continue;
        if (some <= 0)
            return -1;
        at += some;
        len -= (size_t)some;
    }
    return 0;
}

/* As many reports as the gateway takes now.  That nobody reads them is noticed elsewhere. */
static void send_reports(void)
{
    ssize_t some = send(own->fd, reports.bytes, reports.len, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (some == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    if (some == -1)
        some = (ssize_t)reports.len;
    reports.len -= (size_t)some;
    memmove(reports.bytes, reports.bytes + some, reports.len);
}

/* Room for one more report, or -1. */
static int make_room(void)
{
    size_t cap = 2 * reports.cap + sizeof(struct keeper_report);
    char *bytes;

    if (reports.cap - reports.len >= sizeof(struct keeper_report))
        return 0;
    bytes = realloc(reports.bytes, cap);
    if (bytes == NULL)
        return -1;
    reports.bytes = bytes;
    reports.cap = cap;
    return 0;
}

static void report(uint32_t id, enum keeper_event event, int value, int pid)
{
    struct keeper_report message = {.id = id, .event = event, .value = value, .pid = pid};

    if (make_room() == -1) { /* what there is goes first, however long that takes */
        transfer(own->fd, reports.bytes, reports.len, 1);
        reports.len = 0;
        transfer(own->fd, &message, sizeof(message), 1);
        return;
    }
    memcpy(reports.bytes + reports.len, &message, sizeof(message));
    reports.len += sizeof(message);
    send_reports();
}

/* ---------------------------------------------------------------- to start */

/* Something may have cleaned TMPDIR up: then the directory is made anew, if nobody else has. */
static int bind_at(int fd, uint32_t id)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    keeper_path(own, id, address.sun_path, sizeof(address.sun_path));
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return 0;
    if (errno != ENOENT || mkdir(own->dir, 0700) == -1)
        return -1;
    return bind(fd, (struct sockaddr *)&address, sizeof(address));
}

/* A listening socket, or -1.  The directory is the user's own: nobody else can connect. */
static int listen_at(uint32_t id)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), error;

    if (fd == -1 || (bind_at(fd, id) == 0 && listen(fd, BACKLOG) == 0))
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* In the child: what it is to be, or the errno of why not, to error_fd. */
static void become_program(int listen_fd, int error_fd, pid_t keeper)
{
    int error;

#ifdef PR_SET_PDEATHSIG
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    if (getppid() != keeper)
        _exit(1);
    setpgid(0, 0);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, &original_mask, NULL);
    close(own->fd);
    if (dup2(listen_fd, STDIN_FILENO) != -1) {
        if (listen_fd != STDIN_FILENO)
            close(listen_fd);
        execvp(config->argv[0], config->argv);
    }
    error = errno;
    if (write(error_fd, &error, sizeof(error)) == -1)
        _exit(126);
    _exit(127);
}

/* 0 once it is executed, or the errno of why it is not. */
static int wait_for_exec(int fd)
{
    int error = 0;
    ssize_t len;

    do {
        len = read(fd, &error, sizeof(error));
    } while (len == -1 && errno == EINTR);
    return len == sizeof(error) ? error : 0;
}

/* The program's pid, or -1. */
static pid_t launch(int listen_fd)
{
    pid_t pid, keeper = getpid();
    int fds[2], error;

    if (pipe(fds) == -1)
        return -1;
    fcntl(fds[1], F_SETFD, FD_CLOEXEC);
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        become_program(listen_fd, fds[1], keeper);
    }
    error = pid == -1 ? errno : 0;
    close(fds[1]);
    if (pid != -1) {
        setpgid(pid, pid); /* whoever is first */
        error = wait_for_exec(fds[0]);
    }
    close(fds[0]);
    if (error != 0 && pid != -1)
        waitpid(pid, NULL, 0);
    errno = error;
    return error == 0 ? pid : -1;
}

static void forget_path(uint32_t id)
{
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];

    keeper_path(own, id, path, sizeof(path));
    unlink(path);
}

/* With the sockets of programs whose end nobody has seen. */
static void remove_dir(const struct keeper *keeper)
{
    DIR *dir = opendir(keeper->dir);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir != NULL)
        closedir(dir);
    rmdir(keeper->dir);
}

static void start(uint32_t id)
{
    struct program *program = calloc(1, sizeof(*program));
    int fd = program != NULL ? listen_at(id) : -1;
    int error;

    if (fd != -1)
        program->pid = launch(fd);
    error = fd == -1 || program->pid == -1 ? errno : 0;
    if (fd != -1)
        close(fd);
    if (error != 0) {
        free(program);
        forget_path(id);
        report(id, KEEPER_FAILED, error, 0);
        return;
    }
    program->id = id;
    program->kill_ns = INT64_MAX;
    LIST_INSERT_HEAD(&programs, program, link);
    report(id, KEEPER_STARTED, program->pid, program->pid);
}

/* ---------------------------------------------------------------- to end */

/* The program, which may have left its group, and what it has started. */
static void signal_program(const struct program *program, int signo)
{
    kill(-program->pid, signo);
    kill(program->pid, signo);
}

static void stop(struct program *program)
{
    if (program->kill_ns != INT64_MAX)
        return;
    signal_program(program, SIGTERM);
    signal_program(program, SIGCONT); /* one that somebody has stopped hears of it, too */
    program->kill_ns = now_ns() + config->stop_ms * MS;
}

/* Its number is its group's until it is waited for: nobody else can have it. */
static void reap(void)
{
    struct program *program, *next;
    siginfo_t info = {0};

    for (program = LIST_FIRST(&programs); program != NULL; program = next) {
        int status;

        next = LIST_NEXT(program, link);
        info.si_pid = 0;
        if (waitid(P_PID, (id_t)program->pid, &info, WEXITED | WNOHANG | WNOWAIT) == -1 ||
            info.si_pid == 0)
            continue;
        kill(-program->pid, SIGKILL); /* what it has left */
        waitpid(program->pid, &status, 0);
        forget_path(program->id);
        report(program->id, KEEPER_ENDED, status, program->pid);
        LIST_REMOVE(program, link);
        free(program);
    }
    /* What programs have left in other groups, and now has ended. */
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
        LIST_FOREACH(program, &programs, link)
            if (program->pid == info.si_pid)
                return; /* it has ended since: the next time */
        waitpid(info.si_pid, NULL, WNOHANG);
        info.si_pid = 0;
    }
}

/* Sends SIGKILL to those whose time is over: nanoseconds until the next one's is. */
static int64_t kill_the_late(void)
{
    int64_t now = now_ns(), next = INT64_MAX;
    struct program *program;

    LIST_FOREACH(program, &programs, link) {
        if (program->kill_ns == INT64_MAX)
            continue;
        if (program->kill_ns <= now) {
            signal_program(program, SIGKILL);
            program->kill_ns = now + 1000 * MS; /* and once more: it may fork */
        }
        if (program->kill_ns - now < next)
            next = program->kill_ns - now;
    }
    return next;
}

/* The parent of a process, or -1. */
static long parent_of(const char *pid)
{
    char path[300], text[512], *at;
    long parent = -1;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    file = fopen(path, "re");
    if (file == NULL)
        return -1;
    /* The name, in parentheses, may have anything in it. */
    if (fgets(text, sizeof(text), file) != NULL && (at = strrchr(text, ')')) != NULL &&
        sscanf(at, ") %*c %ld", &parent) != 1)
        parent = -1;
    fclose(file);
    return parent;
}

/* Where there is no /proc as Linux has it, those that the groups do not have are left. */
static void kill_children(void)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        if (strspn(entry->d_name, "0123456789") == strlen(entry->d_name) &&
            parent_of(entry->d_name) == (long)getpid())
            kill((pid_t)atol(entry->d_name), SIGKILL);
    if (dir != NULL)
        closedir(dir);
}

/* With each that ends its children become ours: so it goes on until there are none. */
static void end_children(void)
{
    const struct timespec moment = {.tv_nsec = 2 * MS};

    for (;;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);

        if (pid == -1 && errno == ECHILD)
            return;
        if (pid > 0)
            continue;
        kill_children();
        nanosleep(&moment, NULL);
    }
}

/* ---------------------------------------------------------------- the keeper */

/* 0, or -1: the gateway is gone. */
static int take_order(void)
{
    struct program *program;
    struct order order;

    if (transfer(own->fd, &order, sizeof(order), 0) == -1)
        return -1;
    if (order.what == START && !is_ending)
        start(order.id);
    is_ending |= order.what == STOP_ALL;
    LIST_FOREACH(program, &programs, link)
        if (is_ending || (order.what == STOP && program->id == order.id))
            stop(program);
    return 0;
}

static void on_child(int signo)
{
    (void)signo; /* pselect(2) comes back */
}

static void keep(void)
{
    sigset_t none = original_mask;

    sigdelset(&none, SIGCHLD);
    while (!is_ending || !LIST_EMPTY(&programs)) {
        int64_t wait_ns = kill_the_late();
        struct timespec wait = {.tv_sec = (time_t)(wait_ns / (1000 * MS)),
                                .tv_nsec = (long)(wait_ns % (1000 * MS))};
        fd_set readable, writable;
        int ready;

        FD_ZERO(&readable);
        FD_SET(own->fd, &readable);
        FD_ZERO(&writable);
        if (reports.len > 0)
            FD_SET(own->fd, &writable);
        ready = pselect(own->fd + 1, &readable, &writable, NULL,
                        wait_ns == INT64_MAX ? NULL : &wait, &none);
        if (ready > 0 && FD_ISSET(own->fd, &writable))
            send_reports();
        if (ready > 0 && FD_ISSET(own->fd, &readable) && take_order() == -1)
            break;
        reap();
    }
}

/* The descriptor that says that the gateway is ready is the gateway's alone. */
static void drop_ready_fd(void)
{
    const char *text = getenv("DOOR_READY_FD");

    if (text != NULL && atoi(text) > STDERR_FILENO)
        close(atoi(text));
    unsetenv("DOOR_READY_FD");
}

/* Not in the gateway's group: what ends that one must not end this. */
static void run_keeper(void)
{
    struct sigaction action = {.sa_handler = on_child};
    struct program *program;
    sigset_t child;

    setsid();
#ifdef PR_SET_PDEATHSIG
    prctl(PR_SET_PDEATHSIG, SIGCONT); /* it may be stopped when the gateway ends */
#endif
#ifdef PR_SET_CHILD_SUBREAPER
    prctl(PR_SET_CHILD_SUBREAPER, 1);
#endif
    drop_ready_fd();
    fcntl(own->fd, F_SETFD, FD_CLOEXEC);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &original_mask);
    sigaction(SIGCHLD, &action, NULL);
    keep();
    LIST_FOREACH(program, &programs, link)
        kill(-program->pid, SIGKILL);
    end_children();
    remove_dir(own);
    _exit(0);
}

/* ---------------------------------------------------------------- the gateway */

int keeper_open(struct keeper *keeper, const struct keeper_config *given)
{
    int fds[2];

    snprintf(keeper->dir, sizeof(keeper->dir), "%s/door_fcgi.XXXXXX", given->tmp_dir);
    if (strlen(given->tmp_dir) + sizeof("/door_fcgi.XXXXXX") > sizeof(keeper->dir)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (mkdtemp(keeper->dir) == NULL)
        return -1;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == -1)
        goto out_dir;
#ifdef PR_SET_CHILD_SUBREAPER
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* where the keeper is killed its children become ours */
#endif
    keeper->pid = fork();
    if (keeper->pid == 0) {
        close(fds[0]);
        keeper->fd = fds[1];
        own = keeper;
        config = given;
        run_keeper();
    }
    close(fds[1]);
    keeper->fd = fds[0];
    fcntl(keeper->fd, F_SETFD, FD_CLOEXEC);
    if (keeper->pid != -1)
        return 0;
    close(keeper->fd);
out_dir:
    rmdir(keeper->dir);
    return -1;
}

static int give_order(struct keeper *keeper, uint32_t id, int what)
{
    struct order order = {.id = id, .what = what};

    return transfer(keeper->fd, &order, sizeof(order), 1);
}

int keeper_start(struct keeper *keeper, uint32_t id)
{
    return give_order(keeper, id, START);
}

int keeper_stop(struct keeper *keeper, uint32_t id)
{
    return give_order(keeper, id, STOP);
}

int keeper_next(struct keeper *keeper, struct keeper_report *message)
{
    return transfer(keeper->fd, message, sizeof(*message), 0);
}

void keeper_lost(struct keeper *keeper)
{
    end_children();
    remove_dir(keeper);
}

void keeper_close(struct keeper *keeper)
{
    kill(keeper->pid, SIGCONT);
    give_order(keeper, 0, STOP_ALL);
    while (waitpid(keeper->pid, NULL, 0) == -1 && errno == EINTR)
        continue;
    close(keeper->fd);
}
