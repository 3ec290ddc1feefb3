/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * slot.c: the life of an application's process.  If processes fail to come up, or end at
 * once, their slot waits longer and longer before the next try.  A process is up when its
 * door is attached; then its cell is shown on the board.  A process that is to leave is
 * first taken off the board, so that all calls it can still get are known.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "state.h"
#include "tag.h"

#define ATTACH_TICK (10 * MS) /* how often to look for a starting process's door */
#define LAST_READS  16        /* enough to empty a pipe */
#define LEAVE_TICK  (50 * MS) /* how often to count the calls of a leaving process */
#define KILL_AGAIN  (5 * S)
#define SHORT_LIFE  (1 * S) /* a process that ends sooner counts as failed to come up */

/* ---------------------------------------------------------------- launching */

/* Takes a cell for the process; -1 if none is free.  Only the ledger says which are free. */
static int take_cell(struct process *p)
{
    const struct supervisor *sv = p->app->sv;

    for (uint32_t i = 0; i < BOARD_CELLS; i++) {
        struct board_cell *cell = &sv->start.board->cells[i];

        if (atomic_load(&sv->start.ledger->pids[i]) != 0)
            continue;
        p->cell = i;
        atomic_store(&cell->ended, 0);
        atomic_store(&cell->errors, 0);
        atomic_store(&cell->waits_ns, 0);
        atomic_store(&cell->seen_ns, 0);
        atomic_store(&cell->pid, 0);
        atomic_store(&cell->up_ns, 0);
        atomic_store(&cell->is_ready, 0);
        atomic_store(&cell->serial, p->serial);
        return 0;
    }
    errno = EAGAIN;
    return -1;
}

static void free_process(struct process *p)
{
    if (p->status_fd != -1)
        close(p->status_fd);
    if (p->ready_fd != -1)
        close(p->ready_fd);
    output_close(p->output);
    runtime_dir_release(p->dir);
    free(p->def);
    free(p);
}

static struct process *new_process(struct slot *slot, int64_t now)
{
    const struct supervisor *sv = slot->app->sv;
    struct process *p = calloc(1, sizeof(*p));
    const struct app_definition *def = slot->app->def;

    if (p == NULL)
        return NULL;
    if (sv->dir == NULL) {
        free(p);
        errno = ENOENT;
        return NULL;
    }
    p->status_fd = p->ready_fd = -1;
    p->def = malloc(def->size);
    if (p->def == NULL) {
        free(p);
        return NULL;
    }
    memcpy(p->def, def, def->size);
    p->app = slot->app;
    p->slot = slot;
    p->dir = sv->dir;
    p->dir->users++;
    p->deadline_ns = now + def->start_ns;
    p->look_ns = now + ATTACH_TICK;
    p->serial = atomic_fetch_add(&sv->start.ledger->last_serial, 1) + 1;
    return p;
}

static int launch_process(struct process *p)
{
    struct supervisor *sv = p->app->sv;
    struct ledger *ledger = sv->start.ledger;
    struct launched launched;
    char path[RUNTIME_DIR_MAX + APP_NAME_MAX + 64];

    if (take_cell(p) == -1)
        return -1;
    if (door_path(p->dir->path, p->def->name, p->serial, path, sizeof(path)) == -1 ||
        door_dir_make(p->dir->fd, p->def, p->serial) == -1 ||
        launch(p->def, path, &launched) == -1) {
        int error = errno;

        door_dir_remove(p->dir->fd, p->def, p->serial);
        atomic_store(&process_cell(p)->serial, 0);
        errno = error;
        return -1;
    }
    p->pid = launched.pid;
    p->status_fd = launched.status_fd;
    p->ready_fd = launched.ready_fd;
    p->output = output_open(p->def->name, p->pid, launched.output_fd);
    if (p->output == NULL)
        close(launched.output_fd);
    atomic_store(&process_cell(p)->pid, p->pid);
    atomic_store(&ledger->began[p->cell], process_began(p->pid));
    atomic_store(&ledger->stop_ns[p->cell], p->def->stop_ns);
    atomic_store(&ledger->pids[p->cell], p->pid);
    p->next = sv->processes;
    sv->processes = p;
    return 0;
}

/* No pause after the first failure, then backoff-min, doubled each time up to backoff-max. */
static int64_t pause_after(const struct app_definition *def, unsigned failures)
{
    int64_t pause = def->backoff_min_ns;

    if (failures <= 1)
        return 0;
    for (unsigned i = 2; i < failures && pause < def->backoff_max_ns; i++)
        pause *= 2;
    return pause < def->backoff_max_ns ? pause : def->backoff_max_ns;
}

/* "2" or "0.4": at most one decimal place. */
static const char *seconds(int64_t ns, char text[24])
{
    snprintf(text, 24, "%.1f", (double)ns / 1e9);
    if (strcmp(text + strlen(text) - 2, ".0") == 0)
        text[strlen(text) - 2] = '\0';
    return text;
}

/* Notes one more failure of the slot, and sets when its next try is, with slot->plan. */
static void note_failure(struct slot *slot, const char *why, int64_t now)
{
    int64_t pause;
    char text[24];

    slot->failures++;
    snprintf(slot->why, sizeof(slot->why), "%s", why);
    pause = pause_after(slot->app->def, slot->failures);
    slot->retry_ns = now + pause;
    if (pause > 0)
        snprintf(slot->plan, sizeof(slot->plan), ", next try in %s s", seconds(pause, text));
    else
        slot->plan[0] = '\0';
}

/* "failed 4 times (exit code 3), next try in 2 s"; after the first failure only the reason. */
static const char *tell_failure(const struct slot *slot, char *text, size_t size)
{
    if (slot->failures > 1)
        snprintf(text, size, "failed %u times (%s)%s", slot->failures, slot->why, slot->plan);
    else
        snprintf(text, size, "%s%s", slot->why, slot->plan);
    return text;
}

/* Describes why no process could be launched. */
static void describe_error(int error, char *text, size_t size)
{
    const char *hint = "";

    if (error == EAGAIN)
        hint = "; its threads, processes or memory are at their limit: TasksMax= of httpd's systemd "
               "unit, RLIMIT_NPROC of httpd's user";
    else if (error == ENOMEM)
        hint = "; there is no memory: MemoryMax= of httpd's systemd unit, or the machine's";
    else if (error == EMFILE || error == ENFILE)
        hint = "; there are no descriptors: LimitNOFILE= of httpd's systemd unit";
    else if (error == ENOENT)
        hint = "; DoorRuntimeDir is not there, or cannot be written in";
    snprintf(text, size, "%s%s", strerror(error), hint);
}

void slot_fill(struct slot *slot, int64_t now)
{
    struct app_definition *def = slot->app->def;
    struct app_strings *strings;
    struct process *p;

    slot->retry_ns = NEVER;
    /* The slot is filled when the leaving process has ended. */
    if (!def->has_overlap && app_process_count(slot->app) >= slot->app->slot_count)
        return;
    strings = definition_strings(def);
    /* The program may have changed since: its identity must be that of what is launched now. */
    if (strings != NULL)
        definition_identify(strings->argv[0], strings->watched, &def->program);
    free(strings);
    p = new_process(slot, now);
    if (p == NULL || launch_process(p) == -1) {
        char why[REASON_MAX], text[REASON_MAX + 128];

        describe_error(errno, why, sizeof(why));
        app_show_event(slot->app, 0, "cannot be launched: %s", why);
        if (p != NULL)
            free_process(p);
        note_failure(slot, why, now);
        output_log(LOG_ERR, DOORNO(0401) "%s: cannot be launched: %s", def->name,
                   tell_failure(slot, text, sizeof(text)));
        return;
    }
    if (slot->current != NULL)
        slot->successor = p;
    else
        slot->current = p;
}

/* ------------------------------------------------------------------ leaving */

/* Signals the process group: the process and all that it has started and that is still in it. */
static void signal_process(const struct process *p, int signo)
{
    if (kill(-p->pid, signo) == -1)
        kill(p->pid, signo);
}

void process_tell_to_end(struct process *p)
{
    p->is_told = 1;
    kill(p->pid, SIGTERM);
}

/*
 * For a process that is off the board.  SIGTERM is sent at once if the process is known to
 * finish its calls then, and otherwise when it has no calls any more.
 */
static void look_at_leaving(struct process *p, int64_t now)
{
    struct calls_seen calls;

    calls_look(p->app->sv->start.calls, p->serial, now, &calls);
    p->look_ns = NEVER;
    if (calls.inside > 0)
        p->tell_ns = now + p->quiet_ns;
    if (p->is_patient && calls.inside == 0) {
        p->is_patient = 0;
        p->deadline_ns = now + p->def->stop_ns;
    }
    if (now >= p->deadline_ns) {
        if (!p->is_killed)
            output_log(LOG_ERR,
                       DOORNO(0402) "%s[%ld]: has not ended in time (stop-timeout=), killed while %u "
                                    "calls ran",
                       p->def->name, (long)p->pid, calls.inside);
        if (!p->is_killed)
            app_show_event(p->app, p->pid, "killed, it has not ended in time");
        p->is_killed = 1;
        signal_process(p, SIGKILL);
        p->deadline_ns = now + KILL_AGAIN;
    } else if (!p->is_told && (p->is_ready || (calls.inside == 0 && now >= p->tell_ns))) {
        process_tell_to_end(p);
    } else if (!p->is_told) {
        p->look_ns = now + LEAVE_TICK;
    }
    if (p->is_patient)
        p->look_ns = now + LEAVE_TICK;
}

void process_leave(struct process *p, int64_t now)
{
    struct slot *slot = p->slot;

    if (slot != NULL && slot->current == p)
        slot->current = NULL;
    if (slot != NULL && slot->successor == p)
        slot->successor = NULL;
    p->slot = NULL;
    /* A process that never came up has no calls, so it can get SIGTERM at once. */
    if (p->state == STARTING)
        p->is_ready = 1;
    p->state = LEAVING;
    p->is_patient = p->app->is_drained;
    p->deadline_ns = p->is_patient ? NEVER : now + p->def->stop_ns;
    app_show(p->app);
    look_at_leaving(p, now);
}

void slot_empty(struct slot *slot, int64_t now)
{
    if (slot->successor != NULL)
        process_leave(slot->successor, now);
    if (slot->current != NULL)
        process_leave(slot->current, now);
    slot->retry_ns = NEVER;
    slot->is_due = 0;
}

/* -------------------------------------------------------------- replacing */

void slot_replace(struct slot *slot, const char *reason, int64_t now)
{
    const struct app *app = slot->app;

    if (slot->successor != NULL) { /* it was launched with an older definition */
        process_leave(slot->successor, now);
    } else if (slot->current != NULL && slot->current->state == UP) {
        output_log(LOG_NOTICE, "%s[%ld]: is replaced: %s", app->def->name, (long)slot->current->pid,
                   reason);
        atomic_fetch_add(&app_row(app)->restarts, 1);
        app_show_event(slot->app, slot->current->pid, "replaced: %s", reason);
    }
    slot->is_due = 1;
    slot->due_reason = reason;
    if (slot->current != NULL && slot->current->state == STARTING)
        process_leave(slot->current, now);
    if (app->def->has_overlap || slot->current == NULL) {
        slot_fill(slot, now);
    } else {
        slot->failures = 0;
        process_leave(slot->current, now); /* the slot is filled when it has ended */
    }
    app_show(app);
}

void process_come_up(struct process *p, int64_t now)
{
    struct slot *slot = p->slot;
    struct process *old = NULL;

    p->state = UP;
    p->up_ns = now;
    atomic_store(&process_cell(p)->up_ns, now);
    if (slot->successor == p) {
        old = slot->current;
        slot->current = p;
        slot->successor = NULL;
    }
    slot->is_due = 0;
    output_log(LOG_NOTICE, "%s[%ld]: is up", p->def->name, (long)p->pid);
    app_show_event(p->app, p->pid, "up");
    app_show(p->app);
    if (old != NULL)
        process_leave(old, now);
}

/* ------------------------------------------------------------------ the end */

static void describe_end(const struct process *p, int status, char *text, size_t size)
{
    if (p->failure.step != 0)
        launch_describe(p->def, &p->failure, text, size);
    else if (WIFSIGNALED(status))
        snprintf(text, size, "signal %d (%s)%s", WTERMSIG(status), strsignal(WTERMSIG(status)),
                 WCOREDUMP(status) ? ", core dumped" : "");
    else
        snprintf(text, size, "exit code %d", WEXITSTATUS(status));
}

/*
 * The slot has lost its process p.  Returns 0 if the other process of the slot stays, or 1 if
 * a new one must be launched, which counts as a failure.
 */
static int lose(struct slot *slot, const struct process *p, const char *why, int64_t now)
{
    int64_t least = pause_after(p->def, slot->failures);

    if (slot->successor == p)
        slot->successor = NULL;
    else
        slot->current = NULL;
    if (p->state == UP && now - p->up_ns >= (least > SHORT_LIFE ? least : SHORT_LIFE))
        slot->failures = 0;
    if (slot->successor != NULL) {
        slot->current = slot->successor;
        slot->successor = NULL;
        return 0;
    }
    atomic_fetch_add(&app_row(p->app)->restarts, 1);
    note_failure(slot, why, now);
    return 1;
}

/* The process has ended without having been told to. */
static void crash(struct process *p, const char *how, int64_t now)
{
    struct slot *slot = p->slot;
    struct board_app *row = app_row(p->app);
    const char *when = p->state == UP ? "" : " before it was up";
    const char *stays = slot->successor == p ? "; the old process stays" : "";
    char text[REASON_MAX + 128];

    app_show_event(p->app, p->pid, "ended%s: %s", when, how);
    if (lose(slot, p, how, now))
        how = tell_failure(slot, text, sizeof(text));
    output_log(LOG_ERR, DOORNO(0403) "%s[%ld]: ended%s: %s%s", p->def->name, (long)p->pid, when,
               how, stays);
    atomic_fetch_add(&row->crashes, 1);
    atomic_store(&row->crash_time, (int64_t)time(NULL));
}

/*
 * A process whose door has lost its name can be called only by those that have it open, so it
 * is replaced.  Somebody else may have told it to end already, and a second SIGTERM would end
 * it at once.  So SIGTERM is sent only after a time without calls, in which it can end by
 * itself.
 */
static void lose_door(struct process *p, int64_t now)
{
    output_log(LOG_WARNING, DOORNO(0404) "%s[%ld]: its door is gone, the next process is started", p->def->name,
               (long)p->pid);
    lose(p->slot, p, "its door was gone", now);
    app_show_event(p->app, p->pid, "replaced: its door is gone");
    p->slot = NULL;
    p->is_ready = 0;
    p->quiet_ns = S;
    p->tell_ns = now + p->quiet_ns;
    process_leave(p, now);
}

static int has_door(const struct process *p)
{
    return p->dir == p->app->sv->dir && door_dir_is_attached(p->dir->fd, p->def, p->serial);
}

void process_check_doors(struct supervisor *sv, int64_t now)
{
    for (struct process *p = sv->processes; p != NULL; p = p->next)
        if (p->state == UP && p->slot != NULL && !has_door(p))
            lose_door(p, now);
}

static void read_failure(struct process *p)
{
    struct launch_failure failure;

    if (p->status_fd != -1 && read(p->status_fd, &failure, sizeof(failure)) == sizeof(failure))
        p->failure = failure;
}

void process_bury(struct process *p, int status, int64_t now)
{
    struct supervisor *sv = p->app->sv;
    struct process **link = &sv->processes;
    struct app *app = p->app;
    char how[REASON_MAX];

    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
    atomic_store(&sv->start.ledger->pids[p->cell], 0);
    read_failure(p);
    /* Reads its last output, with a limit: other processes may still print to the pipe. */
    for (int i = 0; i < LAST_READS && p->output != NULL && output_read(p->output, now); i++)
        continue;
    describe_end(p, status, how, sizeof(how));
    if (p->slot != NULL)
        crash(p, how, now);
    else
        output_log(LOG_NOTICE, "%s[%ld]: has left: %s", p->def->name, (long)p->pid, how);
    atomic_store(&process_cell(p)->serial, 0);
    door_dir_remove(p->dir->fd, p->def, p->serial);
    free_process(p);
    /* With overlap=off, a slot may have waited for this end. */
    for (unsigned i = 0; i < app->slot_count; i++)
        if (app->slots[i].current == NULL && app->slots[i].retry_ns == NEVER)
            app->slots[i].retry_ns = now;
    app_show(app);
}

/* --------------------------------------------------------- what is to be done */

static void look_at_starting(struct process *p, int64_t now)
{
    char why[64], times[128] = "";

    if (p->is_ready || door_dir_is_attached(p->dir->fd, p->def, p->serial)) {
        process_come_up(p, now);
        return;
    }
    p->look_ns = now + ATTACH_TICK;
    if (now < p->deadline_ns)
        return;
    snprintf(why, sizeof(why), "no door after %.1f s", (double)p->def->start_ns / 1e9);
    note_failure(p->slot, why, now);
    if (p->slot->failures > 1)
        snprintf(times, sizeof(times), "; failed %u times%s", p->slot->failures, p->slot->plan);
    output_log(LOG_ERR, DOORNO(0405) "%s[%ld]: has %s (start-timeout=), is stopped%s%s", p->def->name,
               (long)p->pid, why, times, p->slot->successor == p ? "; the old process stays" : "");
    app_show_event(p->app, p->pid, "stopped: %s", why);
    process_leave(p, now);
}

/*
 * Whether the process hangs: calls have waited for busy_ns without progress, and no running
 * call is within its DoorTimeout, or has none while only DoorBusyTimeout applies.  Logs that.
 */
static int hangs(const struct process *p, const struct app_definition *def, int64_t now)
{
    int64_t waited_ns = board_waited_ns(process_cell(p), now);
    struct calls_seen calls;

    if (def->busy_ns == 0 || waited_ns < def->busy_ns)
        return 0;
    calls_look(p->app->sv->start.calls, p->serial, now, &calls);
    if (calls.is_in_time || (calls.is_untimed && !def->has_own_busy))
        return 0;
    output_log(LOG_ERR,
               DOORNO(0406) "%s[%ld]: no call has ended for %.1f s while %u wait (busy-timeout=), is "
                            "replaced",
               def->name, (long)p->pid, (double)waited_ns / 1e9, calls.waiting);
    return 1;
}

void process_look(struct process *p, int64_t now)
{
    const struct app_definition *def = p->app->def;
    struct slot *slot = p->slot;

    if (!has_door(p)) {
        lose_door(p, now);
        return;
    }
    p->look_ns = NEVER;
    if (def->max_age_ns > 0)
        p->look_ns = p->up_ns + def->max_age_ns;
    if (def->busy_ns > 0 && now + def->busy_ns / 4 < p->look_ns)
        p->look_ns = now + def->busy_ns / 4;
    if (p->asks_for_successor && p->up_ns + SHORT_LIFE < p->look_ns)
        p->look_ns = p->up_ns + SHORT_LIFE;
    if (slot->successor != NULL || slot->is_due) {
        p->look_ns = now + S;
        return;
    }
    if (hangs(p, def, now)) {
        slot_replace(slot, "it hangs", now);
    } else if (def->max_requests > 0 &&
               atomic_load(&process_cell(p)->ended) >= def->max_requests) {
        slot_replace(slot, "it has had max-requests calls", now);
    } else if (def->max_age_ns > 0 && now - p->up_ns >= def->max_age_ns) {
        slot_replace(slot, "it has reached max-age", now);
    } else if (p->asks_for_successor && now - p->up_ns >= SHORT_LIFE) {
        slot_replace(slot, "it has asked for that", now);
    }
}

static void look_at(struct process *p, int64_t now)
{
    if (p->state == STARTING)
        look_at_starting(p, now);
    else if (p->state == UP)
        process_look(p, now);
    else
        look_at_leaving(p, now);
}

void process_look_at_all(struct supervisor *sv, int64_t now)
{
    struct process *p, *next;

    for (p = sv->processes; p != NULL; p = next) {
        next = p->next;
        if (now >= p->look_ns || (p->state != UP && now >= p->deadline_ns))
            look_at(p, now);
    }
}
