/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * ctl.c: the supervisor's own door, which doorctl(8) calls.  The door has exactly one
 * thread, so calls are served one after another.  The thread works under a lock that the
 * supervisor's main thread releases only while it sleeps.
 *
 * The system tells who calls.  Root, the supervisor's own user and httpd's user may call,
 * and the door's mode says the same.  A request has a fixed size, and no answer waits for
 * an outcome.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stropts.h>
#include <sys/stat.h>
#include <syslog.h>
#include <ucred.h>
#include <unistd.h>

#include <door.h>
#include <door_compat.h>

#include "ctl.h"
#include "state.h"
#include "tag.h"

static struct {
    pthread_mutex_t lock; /* guards all state of state.h, and the door's descriptor */
    struct supervisor *sv;
    int door; /* or -1 */
    int has_thread;
    struct ctl_reply *reply; /* the last reply; door_return() has copied it by the next call */
    int wake_fd; /* a byte written to it wakes the main thread */
} ctl = {.lock = PTHREAD_MUTEX_INITIALIZER, .door = -1};

/* ---------------------------------------------------------------- the answer */

static int64_t left_ns(int64_t at, int64_t now)
{
    if (at == NEVER)
        return -1;
    return at > now ? at - now : 0;
}

static void describe_app(const struct app *app, struct ctl_app *out, int64_t now)
{
    const struct board_app *row = app_row(app);

    memcpy(out->name, app->def->name, sizeof(out->name));
    out->state = app_state_of(app);
    out->instances = app->slot_count;
    out->restarts = atomic_load(&row->restarts);
    out->crashes = atomic_load(&row->crashes);
    out->retry_ns = left_ns(app_retry_ns(app), now);
    for (unsigned i = 0; i < app->slot_count; i++) {
        const struct slot *slot = &app->slots[i];

        out->restarts_due += slot->is_due || slot->successor != NULL;
        if (slot->failures <= out->failures)
            continue;
        out->failures = slot->failures;
        strncpy(out->why, slot->why, sizeof(out->why) - 1);
    }
}

static void describe_process(const struct process *p, struct ctl_process *out, int64_t now)
{
    static const uint32_t states[] = {
        [STARTING] = CTL_STARTING, [UP] = CTL_UP, [LEAVING] = CTL_LEAVING};
    struct calls_seen calls;

    calls_look(p->app->sv->start.calls, p->serial, now, &calls);
    out->state = states[p->state];
    out->pid = p->pid;
    out->serial = p->serial;
    out->up_ns = p->up_ns > 0 ? now - p->up_ns : -1;
    out->ended = atomic_load(&process_cell(p)->ended);
    out->running = calls.running;
    out->waiting = calls.waiting;
}

static int is_asked_for(const struct app *app, const struct ctl_request *request)
{
    return !app->is_removed && (request->name[0] == '\0' || strcmp(app->def->name, request->name) == 0);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct ctl_app *)a)->name, ((const struct ctl_app *)b)->name);
}

/*
 * Makes the reply: the application asked for, or all of them, with their processes.  Returns
 * its size, or 0 if there is no memory.
 */
static size_t fill(const struct supervisor *sv, const struct ctl_request *request, int64_t now)
{
    size_t size = sizeof(struct ctl_reply) + APP_MAX * sizeof(struct ctl_app) +
                  BOARD_CELLS * sizeof(struct ctl_process);
    struct ctl_reply *reply = calloc(1, size);
    struct ctl_app *apps = (struct ctl_app *)(reply + 1);
    struct ctl_process *processes;

    if (reply == NULL)
        return 0;
    ctl.reply = reply;
    for (const struct app *app = sv->apps; app != NULL && reply->app_count < APP_MAX; app = app->next)
        if (is_asked_for(app, request))
            describe_app(app, &apps[reply->app_count++], now);
    qsort(apps, reply->app_count, sizeof(*apps), compare_names);
    processes = (struct ctl_process *)(apps + reply->app_count);
    for (const struct process *p = sv->processes; p != NULL; p = p->next) {
        uint32_t i = 0;

        while (i < reply->app_count && strcmp(apps[i].name, p->app->def->name) != 0)
            i++;
        if (i == reply->app_count || reply->process_count == BOARD_CELLS)
            continue;
        describe_process(p, &processes[reply->process_count], now);
        processes[reply->process_count++].app = i;
    }
    return (size_t)((char *)(processes + reply->process_count) - (char *)reply);
}

/* ---------------------------------------------------------------- the call */

static enum ctl_result act(struct supervisor *sv, const struct ctl_request *request, int64_t now)
{
    struct app *app = app_find(sv, request->name);

    if (request->verb == CTL_LIST && request->name[0] == '\0')
        return CTL_OK;
    if (app == NULL || app->is_removed)
        return CTL_UNKNOWN;
    switch (request->verb) {
    case CTL_LIST:
        return CTL_OK;
    case CTL_RESTART:
        return app_restart(app, now);
    case CTL_DRAIN:
        return app_drain(app, now);
    case CTL_START:
        return app_start(app, now);
    default:
        return CTL_MALFORMED;
    }
}

static int may_call(const struct supervisor *sv)
{
    ucred_t *caller = NULL;
    uid_t uid;

    if (door_ucred(&caller) == -1)
        return 0;
    uid = ucred_geteuid(caller);
    ucred_free(caller);
    return uid == 0 || uid == geteuid() || uid == sv->start.user;
}

/* With the lock held.  Makes ctl.reply, which stays until the next call, and returns its size. */
static size_t answer(struct supervisor *sv, const struct ctl_request *request,
                     enum ctl_result result)
{
    static struct ctl_reply without;
    int64_t now = door_now_ns();
    uint64_t serial = atomic_load(&sv->start.ledger->last_serial);
    size_t size = 0;

    if (ctl.reply != &without)
        free(ctl.reply);
    ctl.reply = &without;
    if (result == CTL_OK && (sv->is_stopping || sv->start.control_fd == -1))
        result = CTL_STOPPING;
    if (result == CTL_OK)
        result = act(sv, request, now);
    if (result == CTL_OK) {
        size = fill(sv, request, now);
        result = size > 0 ? CTL_OK : CTL_NO_MEMORY;
    }
    ctl.reply->version = CTL_VERSION;
    ctl.reply->result = (uint32_t)result;
    ctl.reply->serial = serial;
    return size > 0 ? size : sizeof(without);
}

/*
 * The door's procedure.  It must not return, because that would end the thread.  With the
 * thread, the kernel would end each process that the thread has launched; see end_with_parent().
 */
static void serve(void *cookie, char *arg, size_t size, door_desc_t *descs, uint_t desc_count)
{
    static struct ctl_reply no_memory = {.version = CTL_VERSION, .result = CTL_NO_MEMORY};
    struct ctl_request request;
    enum ctl_result result = CTL_MALFORMED;

    (void)cookie;
    (void)descs; /* none come: DOOR_REFUSE_DESC */
    (void)desc_count;
    memset(&request, 0, sizeof(request));
    if (arg != NULL && size == sizeof(request)) {
        memcpy(&request, arg, sizeof(request));
        request.name[APP_NAME_MAX] = '\0';
        if (request.version == CTL_VERSION)
            result = CTL_OK;
    }
    if (!may_call(ctl.sv))
        result = CTL_DENIED;
    pthread_mutex_lock(&ctl.lock);
    size = answer(ctl.sv, &request, result);
    pthread_mutex_unlock(&ctl.lock);
    if (write(ctl.wake_fd, "", 1) == -1)
        errno = 0; /* the pipe is full, so the main thread will wake */
    door_return((char *)ctl.reply, size, NULL, 0);
    /* door_return() comes back if the reply could not be sent: it was too large. */
    door_return((char *)&no_memory, sizeof(no_memory), NULL, 0);
}

/* ---------------------------------------------------------------- the thread */

static void *run_server(void *unused)
{
    (void)unused;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_mutex_lock(&ctl.lock); /* waits until ctl_open() has set ctl.door */
    pthread_mutex_unlock(&ctl.lock);
    if (door_bind(ctl.door) == 0)
        door_return(NULL, 0, NULL, 0);
    return NULL;
}

/* Makes the one thread.  It blocks all signals, so that the main thread gets them. */
static void make_server(door_info_t *info)
{
    pthread_t thread;
    sigset_t all, old;

    if (info == NULL || ctl.has_thread)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    ctl.has_thread = pthread_create(&thread, NULL, run_server, NULL) == 0;
    if (ctl.has_thread)
        pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void ctl_lock(void)
{
    pthread_mutex_lock(&ctl.lock);
}

void ctl_unlock(void)
{
    pthread_mutex_unlock(&ctl.lock);
}

void ctl_open(struct supervisor *sv, int wake_fd)
{
    ctl.sv = sv;
    ctl.wake_fd = wake_fd;
    door_server_create(make_server);
    ctl.door = door_create(serve, NULL, DOOR_PRIVATE | DOOR_REFUSE_DESC | DOOR_NO_CANCEL);
    if (ctl.door != -1)
        door_setparam(ctl.door, DOOR_PARAM_DATA_MAX, sizeof(struct ctl_request));
    if (ctl.door == -1 || !ctl.has_thread)
        output_log(LOG_WARNING, DOORNO(0509) "supervisor: doorctl cannot reach it: %s",
                   strerror(errno));
}

/* ---------------------------------------------------------------- the name */

static int name_it(const struct runtime_dir *dir, char path[RUNTIME_DIR_MAX + 16])
{
    return ctl.door != -1 && ctl.has_thread && dir != NULL &&
           snprintf(path, RUNTIME_DIR_MAX + 16, "%s/" CTL_DOOR, dir->path) > 0;
}

/* Nobody else can write in that directory, so the file of that name is the supervisor's own. */
static int attach(const struct runtime_dir *dir, const char *path, uid_t user)
{
    int fd = openat(dir->fd, CTL_DOOR, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    int result = fd;

    if (fd != -1 && geteuid() == 0)
        result = fchown(fd, user, (gid_t)-1);
    if (fd != -1)
        close(fd);
    if (result == -1)
        return -1;
    do
        result = fattach(ctl.door, path);
    while (result == -1 && errno == EINTR); /* SIGCHLD may interrupt it */
    return result;
}

void ctl_check_name(const struct supervisor *sv)
{
    static int told; /* the errno that was logged last */
    char path[RUNTIME_DIR_MAX + 16];
    struct stat st;

    if (!name_it(sv->dir, path) ||
        (fstatat(sv->dir->fd, CTL_DOOR, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode)))
        return;
    if (attach(sv->dir, path, sv->start.user) == 0) {
        told = 0;
        return;
    }
    if (errno != told)
        output_log(LOG_WARNING, DOORNO(0510) "supervisor: doorctl cannot reach it at %s: %s", path,
                   strerror(errno));
    told = errno;
}

void ctl_close(const struct supervisor *sv)
{
    char path[RUNTIME_DIR_MAX + 16];

    if (name_it(sv->dir, path))
        fdetach(path);
    if (sv->dir != NULL)
        unlinkat(sv->dir->fd, CTL_DOOR, 0);
}
