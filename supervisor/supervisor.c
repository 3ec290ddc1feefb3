/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * supervisor.c: the supervisor's main loop.  It has one poll(2), which wakes for a signal,
 * a message, output of a process, or the next deadline.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <door_compat.h>

#include "state.h"
#include "tag.h"

#define ORPHAN_TICK                                                                                \
    (1 * S) /* how often to check for the parent, if the kernel does not signal its end            \
             */
#define FLUSH_MAX    (2 * S)
#define REQUESTS_MAX 64
#define RESTART_MAX  (30 * S) /* how long httpd may take to read its configuration */
#define CHECK_TICK   (1 * S)  /* how often to check doors and their directory */

static int signal_pipe[2];

/* ----------------------------------------------------------------- events */

static int take_record(struct supervisor *sv, int kind, void *data, size_t len, int *log_fd,
                       int64_t now)
{
    const struct control_log *log = data;

    if (kind == RECORD_DEFINITION)
        return app_define(sv, data, len, now);
    if (kind == RECORD_KEEP) {
        app_keep(sv, data);
    } else if (kind == RECORD_RUNTIME_DIR && len < sizeof(sv->runtime_parent)) {
        memcpy(sv->runtime_parent, data, len + 1);
        sv->check_ns = now;
    } else if (kind == RECORD_LOG && len > sizeof(*log)) {
        sv->start.new_log(log->level, log->name, *log_fd, sv->start.data);
        *log_fd = -1;
    }
    free(data);
    return 0;
}

/* Takes the records of what is to run from now on.  Returns -1 if not all could be taken. */
static int take_records(struct supervisor *sv, FILE *file, int *log_fd, int64_t now)
{
    void *data;
    size_t len;
    int kind, error = 0;

    sv->left_ns = NEVER;
    sv->is_left = 0;
    app_begin_definitions(sv);
    while ((kind = control_next(file, &data, &len)) > 0)
        if (take_record(sv, kind, data, len, log_fd, now) == -1)
            error = errno;
    if (kind == -1)
        return -1; /* the rest is missing, so no application may be stopped for being absent */
    output_end_routes();
    app_end_definitions(sv, now);
    errno = error;
    return error == 0 ? 0 : -1;
}

static int take_output(FILE *file, int *fd)
{
    struct control_output *output;
    void *data;
    size_t len;
    int kind = control_next(file, &data, &len);
    int result = -1;

    output = data;
    if (kind == RECORD_OUTPUT && len > sizeof(*output) && *fd != -1) {
        result = output_route(output->name, *fd, output->is_raw);
        *fd = -1;
    }
    free(data);
    return result;
}

/* Returns -1 if not all could be taken. */
static int take_file(struct supervisor *sv, int kind, FILE *file, int *log_fd, int64_t now)
{
    if (file == NULL || sv->is_stopping)
        return 0;
    if (kind == CONTROL_OUTPUT)
        return take_output(file, log_fd);
    return kind == CONTROL_DEFINE ? take_records(sv, file, log_fd, now) : 0;
}

static void stop_listening(struct supervisor *sv, int kind, int64_t now)
{
    ctl_close(sv); /* the next supervisor has a door of its own */
    close(sv->start.control_fd);
    sv->start.control_fd = -1;
    sv->left_ns = NEVER; /* no CONTROL_DEFINE can come any more */
    if (kind == CONTROL_STOP)
        app_stop_all(sv, now);
    else
        app_leave(sv, now);
}

static void read_control(struct supervisor *sv, int64_t now)
{
    FILE *file;
    int log_fd;
    int kind = control_receive(sv->start.control_fd, sv->start.parent, &file, &log_fd);

    if (kind == -1 && errno == EPERM) {
        output_log(LOG_ERR, DOORNO(0502) "supervisor: a message that is not from httpd's parent is ignored");
        return;
    }
    if (kind == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    if (kind == -1 || take_file(sv, kind, file, &log_fd, now) == -1) {
        output_log(LOG_ERR, DOORNO(0503) "supervisor: cannot read all of what is to run; httpd is asked for it "
                                         "again: %s",
                   strerror(errno));
        control_ask_again(sv->start.control_fd);
    } else if (kind == CONTROL_RESTART) {
        sv->left_ns = now + RESTART_MAX;
    } else if (kind == CONTROL_STOP || kind == 0) { /* 0: the parent is gone, or left this one */
        stop_listening(sv, kind, now);
    }
    if (file != NULL)
        fclose(file);
    if (log_fd != -1)
        close(log_fd);
}

/* httpd's parent has another supervisor, and the last child that knew of this one has ended. */
static void lose_children(struct supervisor *sv, int64_t now)
{
    close(sv->start.alive_fd);
    sv->start.alive_fd = -1;
    app_stop_all(sv, now);
}

/* Reads at most REQUESTS_MAX, so that a child that asks without end cannot block the loop. */
static void read_requests(struct supervisor *sv, int64_t now)
{
    struct request_message message;
    struct app *app;
    int left = REQUESTS_MAX;

    while (left-- > 0 &&
           recv(sv->start.request_fd, &message, sizeof(message), MSG_DONTWAIT) == sizeof(message)) {
        message.name[APP_NAME_MAX] = '\0';
        if (message.version != SUPERVISOR_VERSION || message.verb != REQUEST_LOOK)
            continue;
        app = app_find(sv, message.name);
        for (unsigned i = 0; app != NULL && i < app->slot_count; i++)
            if (app->slots[i].current != NULL && app->slots[i].current->state == UP)
                process_look(app->slots[i].current, now);
    }
}

/* The first byte means that the process is ready, and a second one that it asks to be replaced. */
static void read_ready(struct process *p, int64_t now)
{
    char byte;
    ssize_t got = read(p->ready_fd, &byte, 1);

    if (got == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got != 1 || p->is_ready) {
        close(p->ready_fd);
        p->ready_fd = -1;
    }
    if (got == 1 && p->is_ready) {
        p->asks_for_successor = 1;
        p->look_ns = now;
    }
    if (got != 1 || p->is_ready)
        return;
    p->is_ready = 1;
    atomic_store(&process_cell(p)->is_ready, 1);
    if (p->state == STARTING)
        process_come_up(p, now);
}

static int is_set(const struct pollfd *fd)
{
    return fd->revents != 0;
}

/* What poll() waits for: some fixed descriptors, and two for each process. */
struct waiting {
    struct pollfd *fds;
    struct process **of;
    size_t count, cap;
};

static void add(struct waiting *w, int fd, short events, struct process *p)
{
    if (fd == -1 || w->count == w->cap)
        return;
    w->fds[w->count] = (struct pollfd){.fd = fd, .events = events};
    w->of[w->count++] = p;
}

static int collect(struct supervisor *sv, struct waiting *w)
{
    size_t wanted = 4;

    for (struct process *p = sv->processes; p != NULL; p = p->next)
        wanted += 2;
    if (wanted > w->cap) {
        struct pollfd *fds = realloc(w->fds, wanted * sizeof(*fds));
        struct process **of;

        if (fds == NULL)
            return -1;
        w->fds = fds;
        of = realloc(w->of, wanted * sizeof(struct process *));
        if (of == NULL)
            return -1;
        w->of = of;
        w->cap = wanted;
    }
    w->count = 0;
    add(w, signal_pipe[0], POLLIN, NULL);
    add(w, sv->start.request_fd, POLLIN, NULL);
    add(w, sv->start.control_fd, POLLIN, NULL);
    if (sv->start.control_fd == -1) /* only for its end, not POLLIN: children can write to it */
        add(w, sv->start.alive_fd, 0, NULL);
    for (struct process *p = sv->processes; p != NULL; p = p->next) {
        add(w, p->ready_fd, POLLIN, p);
        add(w, p->output != NULL ? output_fd(p->output) : -1, POLLIN, p);
    }
    return 0;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int timeout_ms(const struct supervisor *sv, int64_t now)
{
    int64_t next =
        earlier(earlier(sv->watch_ns, sv->kill_strays_ns), earlier(sv->check_ns, sv->left_ns));

    if (sv->must_ask_parent)
        next = earlier(next, now + ORPHAN_TICK);
    for (const struct process *p = sv->processes; p != NULL; p = p->next) {
        next = earlier(next, p->look_ns);
        if (p->state != UP)
            next = earlier(next, p->deadline_ns);
    }
    for (const struct app *app = sv->apps; app != NULL; app = app->next)
        if (!app->is_removed && !sv->is_stopping)
            next = earlier(next, app_retry_ns(app));
    if (next == NEVER)
        return -1;
    next = next > now ? (next - now + MS - 1) / MS : 0;
    return next < 60000 ? (int)next : 60000;
}

static void take_events(struct supervisor *sv, const struct waiting *w, int64_t now)
{
    char signals[64];

    if (is_set(&w->fds[0]) && read(signal_pipe[0], signals, sizeof(signals)) == -1)
        errno = 0; /* nothing to read */
    for (size_t i = 1; i < w->count; i++) {
        struct process *p = w->of[i];

        if (!is_set(&w->fds[i]))
            continue;
        if (p == NULL && w->fds[i].fd == sv->start.request_fd)
            read_requests(sv, now);
        else if (p == NULL && w->fds[i].fd == sv->start.alive_fd)
            lose_children(sv, now);
        else if (p == NULL)
            read_control(sv, now);
        else if (w->fds[i].fd == p->ready_fd)
            read_ready(p, now);
        else if (p->output != NULL && w->fds[i].fd == output_fd(p->output) &&
                 !output_read(p->output, now)) {
            output_close(p->output);
            p->output = NULL;
        }
    }
}

/* ---------------------------------------------------------------- signals */

static volatile sig_atomic_t is_told_to_stop;

static void on_signal(int signo)
{
    int error = errno;

    if (signo == SIGTERM)
        is_told_to_stop = 1;
    if (write(signal_pipe[1], "", 1) == -1)
        errno = error; /* the pipe is full, so poll() will wake */
    errno = error;
}

static int catch_signals(void)
{
    struct sigaction action = {.sa_flags = SA_RESTART};
    sigset_t none;

    if (pipe(signal_pipe) == -1)
        return -1;
    for (int i = 0; i < 2; i++) {
        fcntl(signal_pipe[i], F_SETFL, O_NONBLOCK);
        fcntl(signal_pipe[i], F_SETFD, FD_CLOEXEC);
    }
    sigemptyset(&action.sa_mask);
    action.sa_handler = SIG_IGN;
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    sigaction(SIGWINCH, &action, NULL);
    sigaction(SIGPIPE, &action, NULL);
    action.sa_handler = on_signal;
    sigaction(SIGCHLD, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL);
}

/* -------------------------------------------------------------- the process */

static void check_parent(struct supervisor *sv, int64_t now)
{
    if (getppid() != sv->start.parent)
        is_told_to_stop = 1;
    if (is_told_to_stop)
        app_stop_all(sv, now);
}

static int is_dir_right(const struct supervisor *sv)
{
    return sv->dir != NULL && sv->dir->parent_len == strlen(sv->runtime_parent) &&
           strncmp(sv->dir->path, sv->runtime_parent, sv->dir->parent_len) == 0 &&
           runtime_dir_is_there(sv->dir);
}

/*
 * Makes a new runtime directory if the old one was removed, as programs that clean up /tmp
 * may do, or if DoorRuntimeDir has changed.
 */
static void check_dir(struct supervisor *sv, int64_t now)
{
    static int told; /* the errno that was logged last */
    struct runtime_dir *dir, *old = sv->dir;

    if (is_dir_right(sv))
        return;
    dir = runtime_dir_make(sv->runtime_parent);
    if (dir == NULL) {
        if (errno != told)
            output_log(LOG_CRIT,
                       DOORNO(0504) "supervisor: cannot make a directory for doors in %s: %s; it is tried again",
                       sv->runtime_parent, strerror(errno));
        told = errno;
        return;
    }
    told = 0;
    if (old != NULL)
        output_log(LOG_WARNING, DOORNO(0505) "supervisor: %s: %s, doors are in %s from now on", old->path,
                   runtime_dir_is_there(old) ? "DoorRuntimeDir has changed" : "it is gone",
                   dir->path);
    sv->dir = dir;
    memcpy(sv->start.board->runtime_dir, dir->path, sizeof(dir->path));
    runtime_dir_release(old);
    app_try_again(sv, now);
}

static void check_names(struct supervisor *sv, int64_t now)
{
    sv->check_ns = sv->is_stopping ? NEVER : now + CHECK_TICK;
    if (sv->is_stopping)
        return;
    check_dir(sv, now);
    if (sv->start.control_fd != -1)
        ctl_check_name(sv);
    process_check_doors(sv, now);
}

static int is_done(const struct supervisor *sv)
{
    return (sv->is_stopping || sv->is_left) && sv->processes == NULL && sv->kill_strays_ns == NEVER;
}

/* poll(2).  Meanwhile ctl.c's thread may change the state, but it frees no process. */
static int sleep_until_event(const struct waiting *w, int ms)
{
    int result, error;

    ctl_unlock();
    result = poll(w->fds, w->count, ms);
    error = errno;
    ctl_lock();
    errno = error;
    return result;
}

static void work(struct supervisor *sv)
{
    struct waiting w = {0};

    while (!is_done(sv)) {
        int64_t now = door_now_ns();

        check_parent(sv, now);
        app_reap(sv, now);
        if (now >= sv->check_ns)
            check_names(sv, now);
        if (now >= sv->left_ns) {
            sv->left_ns = NEVER;
            sv->is_left = 1;
            app_leave_all(sv, now);
        }
        process_look_at_all(sv, now);
        app_watch(sv, now);
        if (now >= sv->kill_strays_ns)
            stray_end(sv, now);
        for (struct app *app = sv->apps; app != NULL; app = app->next) {
            if (app_retry_ns(app) <= now) {
                app_fill(app, now);
                app_show(app);
            }
        }
        if (is_done(sv))
            break;
        if (collect(sv, &w) == -1 || sleep_until_event(&w, timeout_ms(sv, now)) == -1) {
            if (errno != EINTR)
                sleep_until_event(&(struct waiting){0}, 10); /* no memory: try again soon */
            continue;
        }
        take_events(sv, &w, door_now_ns());
    }
    free(w.fds);
    free(w.of);
}

void supervisor_run(const struct supervisor_start *start)
{
    struct supervisor state = {.start = *start, .watch_ns = NEVER, .left_ns = NEVER};
    struct supervisor *sv = &state;

    strncpy(sv->runtime_parent, start->runtime_parent, sizeof(sv->runtime_parent) - 1);
    if (catch_signals() == -1 || output_start(start->writer, start->data) == -1)
        _exit(1);
    setsid();
    sv->must_ask_parent = end_with_parent(SIGTERM) == -1;
    stray_find(sv, door_now_ns());
    ctl_lock();
    ctl_open(sv, signal_pipe[1]);
    work(sv);
    runtime_dir_release(sv->dir);
    output_flush(FLUSH_MAX);
    _exit(0);
}
