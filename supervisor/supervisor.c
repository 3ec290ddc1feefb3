/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * supervisor.c: which processes run.  One thread, one poll(2): it wakes for a
 * signal, a message, something that a process prints, or the next deadline.
 *
 * An application has as many slots as it has instances.  A slot has a process
 * that is up (or comes up), and during a replacement the next one:
 *
 *     (nothing) -> starting -> up -> leaving -> (gone)
 *
 * A process that fails to come up, or ends at once, has its slot wait longer
 * and longer for the next try.  A process is up when its door is attached; then
 * its cell is shown on the board.  One that is to leave is taken off the board
 * first, so the calls that it still gets are counted already.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <door_compat.h>

#include "supervisor.h"

#define MS 1000000ll
#define S  (1000 * MS)

#define ATTACH_TICK  (10 * MS)  /* how often a starting process's door is looked for */
#define LEAVE_TICK   (50 * MS)  /* how often the calls of one that is to be ended are counted */
#define WATCH_TICK   (2 * S)    /* how often programs are looked at */
#define ORPHAN_TICK  (1 * S)    /* how often the parent is, where the kernel does not tell */
#define KILL_AGAIN   (5 * S)
#define FLUSH_MAX    (2 * S)
#define SHORT_LIFE   (1 * S)    /* a process that ends sooner has failed to come up */
#define FAILURES_WAITED 2       /* so many in a row, and requests wait for the next try all the same */
#define NEVER        INT64_MAX

enum process_state { STARTING, UP, LEAVING };

struct process {
    struct process *next;
    struct app *app;
    struct slot *slot; /* NULL once it is leaving */
    struct app_definition *def; /* its own copy */
    enum process_state state;
    pid_t pid;
    uint64_t serial;
    uint32_t cell; /* index on the board */
    int is_ready;  /* it has told so: it drains when SIGTERM asks it to */
    int is_told;   /* SIGTERM was sent */
    int is_killed; /* SIGKILL was */
    int64_t started_ns, up_ns;
    int64_t deadline_ns; /* of starting, or leaving */
    int64_t look_ns;     /* when to look again: at its door, or its calls */
    int status_fd, ready_fd;
    struct output *output;
    struct launch_failure failure; /* if it did not even run */
};

struct slot {
    struct app *app;
    struct process *current; /* up, or starting if there was none */
    struct process *successor; /* starting, to take over from current */
    unsigned failures; /* in a row */
    int64_t retry_ns;  /* when to launch the next, or NEVER */
    int is_due;        /* current is to be replaced, at retry_ns if that is set */
    const char *due_reason;
};

struct app {
    struct app *next;
    struct app_definition *def;
    int is_defined;  /* by the messages that come */
    int is_removed;  /* all its processes leave */
    unsigned slot_count;
    struct slot slots[APP_INSTANCES_MAX];
};

static struct {
    struct supervisor_start start;
    struct app *apps;
    struct process *processes;
    int dir_fd;
    int is_stopping;
    int must_ask_parent; /* the kernel does not tell of its end */
    int signal_pipe[2];
    int64_t watch_ns;
    int64_t kill_strays_ns; /* when what an earlier supervisor left is killed, or NEVER */
} sv;

/* ------------------------------------------------------------ the board */

static struct board_app *row_of(const struct app *app)
{
    return &sv.start.board->apps[app->def->row];
}

static struct board_cell *cell_of(const struct process *p)
{
    return &sv.start.board->cells[p->cell];
}

static int64_t retry_time(const struct app *app)
{
    int64_t retry = NEVER;

    for (unsigned i = 0; i < app->slot_count; i++)
        if (app->slots[i].retry_ns < retry)
            retry = app->slots[i].retry_ns;
    return retry;
}

/* What requests without a process are to do. */
static enum app_state state_of(const struct app *app)
{
    int is_starting = 0;

    if (app->is_removed || sv.is_stopping)
        return APP_DOWN;
    for (unsigned i = 0; i < app->slot_count; i++) {
        const struct process *p = app->slots[i].current;

        if (p != NULL && p->state == UP)
            return APP_UP;
        /* Once it has failed to come up nobody is kept waiting for its next try. */
        if (app->slots[i].failures <= FAILURES_WAITED)
            is_starting = 1;
    }
    return is_starting ? APP_STARTING : APP_BACKOFF;
}

static void show(const struct app *app)
{
    struct board_app *row = row_of(app);
    unsigned leaving = 0;

    for (unsigned i = 0; i < APP_INSTANCES_MAX; i++) {
        const struct process *p = i < app->slot_count ? app->slots[i].current : NULL;

        atomic_store(&row->instances[i], p != NULL && p->state == UP ? p->cell + 1 : 0);
    }
    for (const struct process *p = sv.processes; p != NULL; p = p->next)
        leaving += p->app == app && p->state == LEAVING;
    atomic_store(&row->leaving, leaving);
    atomic_store(&row->max_requests, app->def->max_requests);
    atomic_store(&row->start_ns, app->def->start_ns);
    atomic_store(&row->retry_ns, retry_time(app));
    atomic_store(&row->state, state_of(app));
}

/* A cell for the process; -1 if there is none. */
static int take_cell(struct process *p)
{
    for (uint32_t i = 0; i < BOARD_CELLS; i++) {
        struct board_cell *cell = &sv.start.board->cells[i];

        if (atomic_load(&sv.start.ledger->pids[i]) != 0 || atomic_load(&cell->serial) != 0)
            continue;
        p->cell = i;
        atomic_store(&cell->left, 0);
        atomic_store(&cell->entered, 0);
        atomic_store(&cell->errors, 0);
        atomic_store(&cell->timeouts, 0);
        atomic_store(&cell->since_ns, 0);
        atomic_store(&cell->pid, 0);
        atomic_store(&cell->up_ns, 0);
        atomic_store(&cell->is_ready, 0);
        atomic_store(&cell->serial, p->serial);
        return 0;
    }
    errno = EAGAIN;
    return -1;
}

/* ---------------------------------------------------------------- launching */

static void free_process(struct process *p)
{
    if (p->status_fd != -1)
        close(p->status_fd);
    if (p->ready_fd != -1)
        close(p->ready_fd);
    output_close(p->output);
    free(p->def);
    free(p);
}

static struct process *new_process(struct slot *slot, int64_t now)
{
    struct process *p = calloc(1, sizeof(*p));
    const struct app_definition *def = slot->app->def;

    if (p == NULL)
        return NULL;
    p->status_fd = p->ready_fd = -1;
    p->def = malloc(def->size);
    if (p->def == NULL) {
        free(p);
        return NULL;
    }
    memcpy(p->def, def, def->size);
    p->app = slot->app;
    p->slot = slot;
    p->started_ns = now;
    p->deadline_ns = now + def->start_ns;
    p->look_ns = now + ATTACH_TICK;
    p->serial = atomic_fetch_add(&sv.start.board->last_serial, 1) + 1;
    return p;
}

static int launch_process(struct process *p)
{
    struct launched launched;
    char path[sizeof(sv.start.board->runtime_dir) + APP_NAME_MAX + 64];

    if (take_cell(p) == -1)
        return -1;
    if (board_door_path(sv.start.board, p->def->name, p->serial, path, sizeof(path)) == -1 ||
        door_dir_make(sv.dir_fd, p->def, p->serial) == -1 ||
        launch(p->def, path, &launched) == -1) {
        int error = errno;

        door_dir_remove(sv.dir_fd, p->def, p->serial);
        atomic_store(&cell_of(p)->serial, 0);
        errno = error;
        return -1;
    }
    p->pid = launched.pid;
    p->status_fd = launched.status_fd;
    p->ready_fd = launched.ready_fd;
    p->output = output_open(p->def->name, p->pid, launched.output_fd);
    if (p->output == NULL)
        close(launched.output_fd);
    atomic_store(&cell_of(p)->pid, p->pid);
    atomic_store(&sv.start.ledger->pids[p->cell], p->pid);
    p->next = sv.processes;
    sv.processes = p;
    return 0;
}

/* 0, the least, twice as much for each failure more, the most. */
static int64_t pause_after(const struct app_definition *def, unsigned failures)
{
    int64_t pause = def->backoff_min_ns;

    if (failures <= 1)
        return 0;
    for (unsigned i = 2; i < failures && pause < def->backoff_max_ns; i++)
        pause *= 2;
    return pause < def->backoff_max_ns ? pause : def->backoff_max_ns;
}

static void note_failure(struct slot *slot, int64_t now)
{
    int64_t pause;

    slot->failures++;
    pause = pause_after(slot->app->def, slot->failures);
    slot->retry_ns = now + pause;
    if (pause > 0)
        output_log(LOG_ERR, "%s: failed %u times in a row, next try in %.1f s",
                   slot->app->def->name, slot->failures, (double)pause / 1e9);
}

static unsigned count_processes(const struct app *app)
{
    unsigned count = 0;

    for (const struct process *p = sv.processes; p != NULL; p = p->next)
        count += p->app == app;
    return count;
}

/* The slot's process, or the one that is to take over. */
static void fill(struct slot *slot, int64_t now)
{
    struct app_definition *def = slot->app->def;
    struct app_strings *strings;
    struct process *p;

    slot->retry_ns = NEVER;
    /* The end of the one that leaves fills the slot. */
    if (!def->has_overlap && count_processes(slot->app) >= slot->app->slot_count)
        return;
    strings = definition_strings(def);
    /* The program may be another file by now: what is launched is what is there. */
    if (strings != NULL)
        definition_identify(strings->argv[0], &def->program);
    free(strings);
    p = new_process(slot, now);
    if (p == NULL || launch_process(p) == -1) {
        output_log(LOG_ERR, "%s: cannot be launched: %s", def->name, strerror(errno));
        if (p != NULL)
            free_process(p);
        note_failure(slot, now);
        return;
    }
    if (slot->current != NULL)
        slot->successor = p;
    else
        slot->current = p;
}

/* ------------------------------------------------------------------ leaving */

/* Everything in the process's session's first group, which is all it has started. */
static void signal_process(const struct process *p, int signo)
{
    if (kill(-p->pid, signo) == -1)
        kill(p->pid, signo);
}

static void tell_to_end(struct process *p)
{
    p->is_told = 1;
    kill(p->pid, SIGTERM);
}

/*
 * Off the board it is: now it may leave.  One that has not said that it drains
 * when it is told to end, is told when it has no call any more.
 */
static void look_at_leaving(struct process *p, int64_t now)
{
    p->look_ns = NEVER;
    if (now >= p->deadline_ns) {
        if (!p->is_killed)
            output_log(LOG_ERR, "%s[%ld]: has not ended in time, killed with %llu calls",
                       p->def->name, (long)p->pid,
                       (unsigned long long)board_running(cell_of(p)));
        p->is_killed = 1;
        signal_process(p, SIGKILL);
        p->deadline_ns = now + KILL_AGAIN;
    } else if (!p->is_told && (p->is_ready || board_running(cell_of(p)) == 0)) {
        tell_to_end(p);
    } else if (!p->is_told) {
        p->look_ns = now + LEAVE_TICK;
    }
}

static void leave(struct process *p, int64_t now)
{
    struct slot *slot = p->slot;

    if (slot != NULL && slot->current == p)
        slot->current = NULL;
    if (slot != NULL && slot->successor == p)
        slot->successor = NULL;
    p->slot = NULL;
    /* What never came up has no calls that it could end. */
    if (p->state == STARTING)
        p->is_ready = 1;
    p->state = LEAVING;
    p->deadline_ns = now + p->def->stop_ns;
    show(p->app);
    look_at_leaving(p, now);
}

static void empty_slot(struct slot *slot, int64_t now)
{
    if (slot->successor != NULL)
        leave(slot->successor, now);
    if (slot->current != NULL)
        leave(slot->current, now);
    slot->retry_ns = NEVER;
    slot->is_due = 0;
}

/* -------------------------------------------------------------- replacing */

/* Begins to replace the slot's process, for a reason that goes to the log. */
static void replace(struct slot *slot, const char *reason, int64_t now)
{
    const struct app *app = slot->app;

    if (slot->successor != NULL) { /* an older definition's */
        leave(slot->successor, now);
    } else if (slot->current != NULL && slot->current->state == UP) {
        output_log(LOG_NOTICE, "%s[%ld]: is replaced: %s", app->def->name,
                   (long)slot->current->pid, reason);
        atomic_fetch_add(&row_of(app)->restarts, 1);
    }
    slot->is_due = 1;
    slot->due_reason = reason;
    if (slot->current != NULL && slot->current->state == STARTING)
        leave(slot->current, now);
    if (app->def->has_overlap || slot->current == NULL) {
        fill(slot, now);
    } else {
        slot->failures = 0;
        leave(slot->current, now); /* its end fills the slot */
    }
    show(app);
}

static void come_up(struct process *p, int64_t now)
{
    struct slot *slot = p->slot;
    struct process *old = NULL;

    p->state = UP;
    p->up_ns = now;
    atomic_store(&cell_of(p)->up_ns, now);
    if (slot->successor == p) {
        old = slot->current;
        slot->current = p;
        slot->successor = NULL;
    }
    slot->is_due = 0;
    output_log(LOG_NOTICE, "%s[%ld]: is up", p->def->name, (long)p->pid);
    show(p->app);
    if (old != NULL)
        leave(old, now);
}

/* ------------------------------------------------------------------ the end */

static void describe_end(const struct process *p, int status, char *text, size_t size)
{
    if (p->failure.step[0] != '\0')
        snprintf(text, size, "%s failed: %s", p->failure.step, strerror(p->failure.error));
    else if (WIFSIGNALED(status))
        snprintf(text, size, "signal %d (%s)%s", WTERMSIG(status), strsignal(WTERMSIG(status)),
                 WCOREDUMP(status) ? ", core dumped" : "");
    else
        snprintf(text, size, "exit code %d", WEXITSTATUS(status));
}

/* One that was not asked to end has. */
static void crash(struct process *p, const char *how, int64_t now)
{
    struct slot *slot = p->slot;
    struct board_app *row = row_of(p->app);
    int was_up = p->state == UP;
    int64_t least = pause_after(p->def, slot->failures);

    output_log(LOG_ERR, "%s[%ld]: ended%s: %s%s", p->def->name, (long)p->pid,
               was_up ? "" : " before it was up", how,
               slot->successor == p ? "; the old process stays" : "");
    atomic_fetch_add(&row->crashes, 1);
    atomic_store(&row->crash_time, (int64_t)time(NULL));
    if (slot->successor == p)
        slot->successor = NULL;
    else
        slot->current = NULL;
    if (was_up && now - p->up_ns >= (least > SHORT_LIFE ? least : SHORT_LIFE))
        slot->failures = 0;
    if (slot->successor != NULL) { /* what was to take over, does */
        slot->current = slot->successor;
        slot->successor = NULL;
        return;
    }
    atomic_fetch_add(&row->restarts, 1);
    note_failure(slot, now);
}

static void fill_slots(struct app *app, int64_t now)
{
    for (unsigned i = 0; i < app->slot_count; i++) {
        struct slot *slot = &app->slots[i];
        int is_wanted = slot->current == NULL || (slot->is_due && slot->successor == NULL);

        if (is_wanted && slot->retry_ns <= now && !app->is_removed && !sv.is_stopping)
            fill(slot, now);
    }
}

static void remove_app(struct app *app)
{
    struct app **link = &sv.apps;

    while (*link != app)
        link = &(*link)->next;
    *link = app->next;
    atomic_store(&row_of(app)->state, APP_FREE);
    free(app->def);
    free(app);
}

static void read_failure(struct process *p)
{
    struct launch_failure failure;

    if (p->status_fd != -1 && read(p->status_fd, &failure, sizeof(failure)) == sizeof(failure)) {
        p->failure = failure;
        p->failure.step[sizeof(p->failure.step) - 1] = '\0';
    }
}

static void bury(struct process *p, int status, int64_t now)
{
    struct process **link = &sv.processes;
    struct app *app = p->app;
    char how[200];

    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
    atomic_store(&sv.start.ledger->pids[p->cell], 0);
    read_failure(p);
    while (p->output != NULL && output_read(p->output, now) && now - p->started_ns >= 0) {
        struct pollfd more = {.fd = output_fd(p->output), .events = POLLIN};

        if (poll(&more, 1, 0) != 1)
            break;
    }
    describe_end(p, status, how, sizeof(how));
    if (p->slot != NULL)
        crash(p, how, now);
    else
        output_log(LOG_NOTICE, "%s[%ld]: has left: %s", p->def->name, (long)p->pid, how);
    atomic_store(&cell_of(p)->serial, 0);
    door_dir_remove(sv.dir_fd, p->def, p->serial);
    free_process(p);
    /* Without overlap the slot has waited for this. */
    for (unsigned i = 0; i < app->slot_count; i++)
        if (app->slots[i].current == NULL && app->slots[i].retry_ns == NEVER)
            app->slots[i].retry_ns = now;
    show(app);
    if (app->is_removed && count_processes(app) == 0)
        remove_app(app);
}

static void reap(int64_t now)
{
    siginfo_t ended = {0};

    while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid > 0) {
        struct process *p = sv.processes;
        int status;

        /* What it has started and left behind; as long as its number is its own. */
        kill(-ended.si_pid, SIGKILL);
        waitpid(ended.si_pid, &status, 0);
        while (p != NULL && p->pid != ended.si_pid)
            p = p->next;
        if (p != NULL)
            bury(p, status, now);
        ended.si_pid = 0;
    }
}

/* --------------------------------------------------------- what is to be done */

static void look_at_starting(struct process *p, int64_t now)
{
    if (p->is_ready || door_dir_is_attached(sv.dir_fd, p->def, p->serial)) {
        come_up(p, now);
        return;
    }
    p->look_ns = now + ATTACH_TICK;
    if (now < p->deadline_ns)
        return;
    output_log(LOG_ERR, "%s[%ld]: has no door after %.1f s, is stopped%s", p->def->name,
               (long)p->pid, (double)p->def->start_ns / 1e9,
               p->slot->successor == p ? "; the old process stays" : "");
    note_failure(p->slot, now);
    leave(p, now);
}

static void look_at_up(struct process *p, int64_t now)
{
    const struct app_definition *def = p->app->def;
    struct slot *slot = p->slot;
    struct board_cell *cell = cell_of(p);

    p->look_ns = NEVER;
    if (def->max_age_ns > 0)
        p->look_ns = p->up_ns + def->max_age_ns;
    if (def->busy_ns > 0 && now + def->busy_ns / 4 < p->look_ns)
        p->look_ns = now + def->busy_ns / 4;
    if (slot->successor != NULL || slot->is_due) {
        p->look_ns = now + S;
        return;
    }
    if (board_is_hung(cell, def->busy_ns, now)) {
        output_log(LOG_ERR, "%s[%ld]: no call has ended for %.1f s while %llu wait", def->name,
                   (long)p->pid, (double)(now - atomic_load(&cell->since_ns)) / 1e9,
                   (unsigned long long)board_running(cell));
        replace(slot, "it hangs", now);
    } else if (def->max_requests > 0 && atomic_load(&cell->left) >= def->max_requests) {
        replace(slot, "it has had max-requests calls", now);
    } else if (def->max_age_ns > 0 && now - p->up_ns >= def->max_age_ns) {
        replace(slot, "it has reached max-age", now);
    }
}

static void look_at(struct process *p, int64_t now)
{
    if (p->state == STARTING)
        look_at_starting(p, now);
    else if (p->state == UP)
        look_at_up(p, now);
    else
        look_at_leaving(p, now);
}

static void look_at_processes(int64_t now)
{
    struct process *p, *next;

    for (p = sv.processes; p != NULL; p = next) {
        next = p->next;
        if (now >= p->look_ns || (p->state != UP && now >= p->deadline_ns))
            look_at(p, now);
    }
}

/* Programs that are other files than those that run; twice the same, as copying takes a while. */
static void watch(int64_t now)
{
    static struct app_program_id seen[APP_MAX];

    if (now < sv.watch_ns)
        return;
    sv.watch_ns = NEVER;
    for (struct app *app = sv.apps; app != NULL; app = app->next) {
        struct app_strings *strings;
        struct app_program_id id;

        if (!app->def->is_watched || app->is_removed)
            continue;
        sv.watch_ns = now + WATCH_TICK;
        strings = definition_strings(app->def);
        if (strings == NULL)
            continue;
        if (definition_identify(strings->argv[0], &id) == 0 &&
            memcmp(&id, &app->def->program, sizeof(id)) != 0 &&
            memcmp(&id, &seen[app->def->row], sizeof(id)) == 0)
            for (unsigned i = 0; i < app->slot_count; i++)
                replace(&app->slots[i], "its program is another file", now);
        seen[app->def->row] = id;
        free(strings);
    }
}

/* ---------------------------------------------------------- definitions */

static struct app *find_app(const char *name)
{
    struct app *app = sv.apps;

    while (app != NULL && strcmp(app->def->name, name) != 0)
        app = app->next;
    return app;
}

static void set_slots(struct app *app, unsigned count, int64_t now)
{
    for (unsigned i = app->slot_count; i < count; i++)
        app->slots[i] = (struct slot){.app = app, .retry_ns = now};
    for (unsigned i = count; i < app->slot_count; i++)
        empty_slot(&app->slots[i], now);
    app->slot_count = count;
}

static void add_app(struct app_definition *def, int64_t now)
{
    struct app *app = calloc(1, sizeof(*app));

    if (app == NULL) {
        output_log(LOG_ERR, "%s: cannot be launched: %s", def->name, strerror(errno));
        free(def);
        return;
    }
    app->def = def;
    app->is_defined = 1;
    app->next = sv.apps;
    sv.apps = app;
    set_slots(app, def->instances, now);
    show(app);
    fill_slots(app, now);
    show(app);
}

/* Which of its properties does a running process have to be replaced for? */
static int is_other_process(const struct app_definition *a, const struct app_definition *b)
{
    struct app_definition *x, *y;
    int result = 1;

    if (a->size != b->size)
        return 1;
    x = malloc(a->size);
    y = malloc(b->size);
    if (x != NULL && y != NULL) {
        memcpy(x, a, a->size);
        memcpy(y, b, b->size);
        /* The supervisor's own business. */
        x->instances = x->has_overlap = x->is_watched = x->reload_always = 0;
        y->instances = y->has_overlap = y->is_watched = y->reload_always = 0;
        x->max_requests = y->max_requests = 0;
        x->max_age_ns = x->start_ns = x->stop_ns = x->busy_ns = 0;
        y->max_age_ns = y->start_ns = y->stop_ns = y->busy_ns = 0;
        x->backoff_min_ns = x->backoff_max_ns = y->backoff_min_ns = y->backoff_max_ns = 0;
        result = memcmp(x, y, a->size) != 0;
    }
    free(x);
    free(y);
    return result;
}

static void change_app(struct app *app, struct app_definition *def, int64_t now)
{
    int is_other = is_other_process(app->def, def);
    unsigned old_count = app->slot_count;

    free(app->def);
    app->def = def;
    app->is_defined = 1;
    app->is_removed = 0;
    set_slots(app, def->instances, now);
    for (unsigned i = 0; i < app->slot_count && i < old_count; i++) {
        app->slots[i].failures = 0; /* an administrator's new try */
        if (app->slots[i].current == NULL)
            app->slots[i].retry_ns = now;
        else if (is_other || def->reload_always)
            replace(&app->slots[i], is_other ? "its definition or program has changed"
                                             : "httpd was restarted (reload=always)", now);
        if (app->slots[i].current != NULL && app->slots[i].current->state == UP)
            app->slots[i].current->look_ns = now;
    }
    fill_slots(app, now);
    show(app);
}

static void define(void *data, size_t len, int64_t now)
{
    struct app *app;

    if (!definition_is_whole(data, len)) {
        output_log(LOG_ERR, "supervisor: got a definition that is none");
        free(data);
        return;
    }
    app = find_app(((struct app_definition *)data)->name);
    if (app == NULL)
        add_app(data, now);
    else
        change_app(app, data, now);
}

/* Whatever is wrong with its new definition, it goes on with the old one. */
static void keep(const char *name)
{
    struct app *app = find_app(name);

    if (app != NULL)
        app->is_defined = 1;
}

static void begin_definitions(void)
{
    for (struct app *app = sv.apps; app != NULL; app = app->next)
        app->is_defined = 0;
}

static void end_definitions(int64_t now)
{
    struct app *app, *next;

    for (app = sv.apps; app != NULL; app = next) {
        next = app->next;
        if (app->is_defined || app->is_removed)
            continue;
        app->is_removed = 1;
        for (unsigned i = 0; i < app->slot_count; i++)
            empty_slot(&app->slots[i], now);
        show(app);
        if (count_processes(app) == 0)
            remove_app(app);
    }
    sv.watch_ns = now;
}

static void stop(int64_t now)
{
    if (sv.is_stopping)
        return;
    sv.is_stopping = 1;
    for (struct app *app = sv.apps; app != NULL; app = app->next) {
        for (unsigned i = 0; i < app->slot_count; i++)
            empty_slot(&app->slots[i], now);
        show(app);
    }
    /* Nobody is left to call: waiting for calls to end would be for nothing. */
    for (struct process *p = sv.processes; p != NULL; p = p->next)
        if (!p->is_told)
            tell_to_end(p);
}

/* ----------------------------------------------------------------- events */

static void read_control(int64_t now)
{
    void *data;
    size_t len;
    int fd;
    int kind = control_receive(sv.start.control_fd, &data, &len, &fd);

    if (kind == CONTROL_DEFINITION) {
        define(data, len, now);
        data = NULL;
    } else if (kind == CONTROL_BEGIN) {
        begin_definitions();
        if (fd != -1)
            sv.start.new_log(fd, sv.start.data);
        fd = -1;
    } else if (kind == CONTROL_KEEP) {
        keep(data);
    } else if (kind == CONTROL_END) {
        end_definitions(now);
    } else { /* CONTROL_STOP, httpd's parent is gone, or it is a stranger */
        close(sv.start.control_fd);
        sv.start.control_fd = -1;
        stop(now);
    }
    if (fd != -1)
        close(fd);
    free(data);
}

static void read_requests(int64_t now)
{
    struct request_message message;
    struct app *app;

    while (recv(sv.start.request_fd, &message, sizeof(message), MSG_DONTWAIT) ==
           sizeof(message)) {
        message.name[APP_NAME_MAX] = '\0';
        if (message.version != SUPERVISOR_VERSION || message.verb != REQUEST_LOOK)
            continue;
        app = find_app(message.name);
        for (unsigned i = 0; app != NULL && i < app->slot_count; i++)
            if (app->slots[i].current != NULL && app->slots[i].current->state == UP)
                look_at_up(app->slots[i].current, now);
    }
}

static void read_ready(struct process *p, int64_t now)
{
    char byte;
    ssize_t got = read(p->ready_fd, &byte, 1);

    if (got == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    close(p->ready_fd);
    p->ready_fd = -1;
    if (got != 1)
        return;
    p->is_ready = 1;
    atomic_store(&cell_of(p)->is_ready, 1);
    if (p->state == STARTING)
        come_up(p, now);
}

static int is_set(const struct pollfd *fd)
{
    return fd->revents != 0;
}

/* What poll() waits for: the fixed ones, and two for each process. */
struct waiting {
    struct pollfd *fds;
    struct process **of;
    size_t count, cap;
};

static void add(struct waiting *w, int fd, struct process *p)
{
    if (fd == -1 || w->count == w->cap)
        return;
    w->fds[w->count] = (struct pollfd){.fd = fd, .events = POLLIN};
    w->of[w->count++] = p;
}

static int collect(struct waiting *w)
{
    size_t wanted = 3;

    for (struct process *p = sv.processes; p != NULL; p = p->next)
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
    add(w, sv.signal_pipe[0], NULL);
    add(w, sv.start.request_fd, NULL);
    add(w, sv.start.control_fd, NULL);
    for (struct process *p = sv.processes; p != NULL; p = p->next) {
        add(w, p->ready_fd, p);
        add(w, p->output != NULL ? output_fd(p->output) : -1, p);
    }
    return 0;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int timeout_ms(int64_t now)
{
    int64_t next = earlier(sv.watch_ns, sv.kill_strays_ns);

    if (sv.must_ask_parent)
        next = earlier(next, now + ORPHAN_TICK);
    for (const struct process *p = sv.processes; p != NULL; p = p->next) {
        next = earlier(next, p->look_ns);
        if (p->state != UP)
            next = earlier(next, p->deadline_ns);
    }
    for (const struct app *app = sv.apps; app != NULL; app = app->next)
        if (!app->is_removed && !sv.is_stopping)
            next = earlier(next, retry_time(app));
    if (next == NEVER)
        return -1;
    next = next > now ? (next - now + MS - 1) / MS : 0;
    return next < 60000 ? (int)next : 60000;
}

static void take_events(const struct waiting *w, int64_t now)
{
    char signals[64];

    if (is_set(&w->fds[0]) && read(sv.signal_pipe[0], signals, sizeof(signals)) == -1)
        errno = 0; /* nothing was there */
    for (size_t i = 1; i < w->count; i++) {
        struct process *p = w->of[i];

        if (!is_set(&w->fds[i]))
            continue;
        if (p == NULL && w->fds[i].fd == sv.start.request_fd)
            read_requests(now);
        else if (p == NULL)
            read_control(now);
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
    if (write(sv.signal_pipe[1], "", 1) == -1)
        errno = error; /* it is full: there is something to read */
    errno = error;
}

static int catch_signals(void)
{
    struct sigaction action = {.sa_flags = SA_RESTART};
    sigset_t none;

    if (pipe(sv.signal_pipe) == -1)
        return -1;
    for (int i = 0; i < 2; i++) {
        fcntl(sv.signal_pipe[i], F_SETFL, O_NONBLOCK);
        fcntl(sv.signal_pipe[i], F_SETFD, FD_CLOEXEC);
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

/*
 * What an earlier supervisor has launched is no child of ours: it was told to
 * end when that died, and is given the time that an application has for it.
 */
static void find_strays(int64_t now)
{
    sv.kill_strays_ns = NEVER;
    for (uint32_t i = 0; i < BOARD_CELLS; i++)
        if (atomic_load(&sv.start.ledger->pids[i]) != 0)
            sv.kill_strays_ns = now + S; /* when the definitions are there */
    for (uint32_t i = 0; i < BOARD_CELLS; i++)
        atomic_store(&sv.start.board->cells[i].serial, 0);
    for (uint32_t i = 0; i < APP_MAX; i++)
        for (uint32_t k = 0; k < APP_INSTANCES_MAX; k++)
            atomic_store(&sv.start.board->apps[i].instances[k], 0);
}

static int64_t longest_stop(void)
{
    int64_t longest = 0;

    for (const struct app *app = sv.apps; app != NULL; app = app->next)
        if (app->def->stop_ns > longest)
            longest = app->def->stop_ns;
    return longest;
}

static void end_strays(int64_t now)
{
    static int64_t until_ns;
    static int is_told;
    int are_left = 0;

    is_told |= !sv.must_ask_parent; /* then the kernel has done so; twice means at once */

    if (sv.is_stopping)
        until_ns = now;
    if (until_ns == 0)
        until_ns = now + longest_stop();
    for (uint32_t i = 0; i < BOARD_CELLS; i++) {
        pid_t pid = (pid_t)atomic_load(&sv.start.ledger->pids[i]);
        int is_ours = 0;

        for (const struct process *p = sv.processes; p != NULL; p = p->next)
            is_ours |= p->pid == pid;
        if (pid == 0 || is_ours)
            continue;
        if (now < until_ns && kill(pid, is_told ? 0 : SIGTERM) == 0) {
            are_left = 1;
        } else {
            kill(-pid, SIGKILL);
            atomic_store(&sv.start.ledger->pids[i], 0);
        }
    }
    is_told = 1;
    sv.kill_strays_ns = are_left ? now + S : NEVER;
}

static void check_parent(int64_t now)
{
    if (getppid() != sv.start.parent)
        is_told_to_stop = 1;
    if (is_told_to_stop)
        stop(now);
}

static _Noreturn void fail(const char *what)
{
    output_log(LOG_CRIT, "supervisor: %s: %s", what, strerror(errno));
    output_flush(FLUSH_MAX);
    _exit(1);
}

static void work(void)
{
    struct waiting w = {0};

    while (!sv.is_stopping || sv.processes != NULL) {
        int64_t now = door_now_ns();

        check_parent(now);
        reap(now);
        look_at_processes(now);
        watch(now);
        if (now >= sv.kill_strays_ns)
            end_strays(now);
        for (struct app *app = sv.apps; app != NULL; app = app->next) {
            if (retry_time(app) <= now) {
                fill_slots(app, now);
                show(app);
            }
        }
        if (sv.is_stopping && sv.processes == NULL)
            break;
        if (collect(&w) == -1 || poll(w.fds, w.count, timeout_ms(now)) == -1) {
            const struct timespec pause = {.tv_nsec = 10 * MS};

            if (errno != EINTR)
                nanosleep(&pause, NULL); /* no memory: processes end, and it comes back */
            continue;
        }
        take_events(&w, door_now_ns());
    }
}

void supervisor_run(const struct supervisor_start *start)
{
    sv.start = *start;
    sv.watch_ns = NEVER;
    if (catch_signals() == -1 || output_start(start->writer, start->data) == -1)
        _exit(1);
    setsid();
    sv.must_ask_parent = end_with_parent(SIGTERM) == -1;
    find_strays(door_now_ns());
    if (runtime_dir_make(start->runtime_parent, start->board->runtime_dir,
                         sizeof(start->board->runtime_dir), &sv.dir_fd) == -1)
        fail(start->runtime_parent);
    work();
    end_strays(door_now_ns());
    runtime_dir_remove(start->board->runtime_dir, sv.dir_fd);
    output_flush(FLUSH_MAX);
    _exit(0);
}
