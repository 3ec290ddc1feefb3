/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * state.h: what the supervisor knows; supervisor.c owns it.  Its main thread uses it, and
 * ctl.c's while that one sleeps, under ctl.c's lock.
 *
 * An application has as many slots as it has instances.  A slot has a process
 * that is up (or comes up), and during a replacement the next one:
 *
 *     (nothing) -> starting -> up -> leaving -> (gone)
 *
 * Times are door_now_ns()'s.
 */
#ifndef MOD_DOOR_SUPERVISOR_STATE_H
#define MOD_DOOR_SUPERVISOR_STATE_H

#include "supervisor.h"

#define MS    1000000ll
#define S     (1000 * MS)
#define NEVER INT64_MAX

#define REASON_MAX 640 /* bytes of why a process has failed */

enum process_state { STARTING, UP, LEAVING };

struct process {
    struct process *next;
    struct app *app;
    struct slot *slot;          /* NULL once it is leaving */
    struct app_definition *def; /* its own copy */
    enum process_state state;
    pid_t pid;
    uint64_t serial;
    uint32_t cell;           /* index on the board */
    struct runtime_dir *dir; /* where its door is */
    int is_ready;            /* it has told so: it drains when SIGTERM asks it to */
    int asks_for_successor;  /* it wants another process in its place */
    int is_told;             /* SIGTERM was sent */
    int is_killed;           /* SIGKILL was */
    int is_patient;          /* it may leave as slowly as its calls like: the time runs after these */
    int64_t up_ns;
    int64_t deadline_ns; /* of starting, or leaving */
    int64_t look_ns;     /* when to look again: at its door, or its calls */
    int64_t quiet_ns;    /* it has to be without calls for so long until it is told to end */
    int64_t tell_ns;     /* when that is so */
    int status_fd, ready_fd;
    struct output *output;
    struct launch_failure failure; /* if it did not even run */
};

struct slot {
    struct app *app;
    struct process *current;   /* up, or starting if there was none */
    struct process *successor; /* starting, to take over from current */
    unsigned failures;         /* in a row */
    char why[REASON_MAX];      /* of the last of these, */
    char plan[80];             /* and what is done about it, as the log tells */
    int64_t retry_ns;          /* when to launch the next, or NEVER */
    int is_due;                /* current is to be replaced, at retry_ns if that is set */
    const char *due_reason;
};

struct app {
    struct app *next;
    struct supervisor *sv; /* whose it is */
    struct app_definition *def;
    int is_defined;             /* by the messages that come */
    int is_removed;             /* all its processes leave */
    int is_drained;             /* the same, until doorctl starts it */
    int has_row;                /* def->row is its own, and not that of one that came later */
    struct app_program_id seen; /* which file its program was when it was looked at last */
    uint32_t event_count; /* that have been shown */
    unsigned slot_count;
    struct slot slots[APP_INSTANCES_MAX];
};

struct supervisor {
    struct supervisor_start start;
    struct app *apps;
    struct process *processes;
    struct runtime_dir *dir;              /* for new processes; or NULL, it cannot be made */
    char runtime_parent[RUNTIME_DIR_MAX]; /* where it is to be made */
    int is_stopping;
    int is_left;         /* httpd has no mod_door any more; it may have it again */
    int must_ask_parent; /* the kernel does not tell of its end */
    int64_t
        left_ns; /* when httpd should have told what is to run since it reads its configuration */
    int64_t watch_ns;
    int64_t check_ns;       /* when doors and their directory are looked for */
    int64_t kill_strays_ns; /* when what an earlier supervisor left is killed, or NEVER */
};

/* --------------------------------------------------------------- state.c */

/* NULL: there is none. */
struct app *app_find(const struct supervisor *sv, const char *name);

unsigned app_process_count(const struct app *app);

/* What requests without a process are to do. */
enum app_state app_state_of(const struct app *app);

/* When the next slot is to be filled, or NEVER. */
int64_t app_retry_ns(const struct app *app);

/* Where what is counted of the process is shown. */
struct board_cell *process_cell(const struct process *p);

/* Where the application is shown; one that is removed may have had to give its row away. */
struct board_app *app_row(const struct app *app);

/* Brings that up to date. */
void app_show(const struct app *app);

/* Shows what has happened to it, or to a process of it (pid; or 0). */
void app_show_event(struct app *app, pid_t pid, const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4)));

/* ---------------------------------------------------------------- slot.c */

/* Launches the slot's process, or the one that is to take over. */
void slot_fill(struct slot *slot, int64_t now);

/* Begins to replace the slot's process, for a reason that goes to the log. */
void slot_replace(struct slot *slot, const char *reason, int64_t now);
void slot_empty(struct slot *slot, int64_t now);

void process_come_up(struct process *p, int64_t now);
void process_tell_to_end(struct process *p);

/* Whether one that is up is to be replaced; all whose time to be looked at has come. */
void process_look(struct process *p, int64_t now);
void process_look_at_all(struct supervisor *sv, int64_t now);

/* Those that are up and have no door any more. */
void process_check_doors(struct supervisor *sv, int64_t now);

/* It has ended, with that status of waitpid(2): frees it. */
void process_bury(struct process *p, int status, int64_t now);

/* ----------------------------------------------------------------- wanted.c */

/* What control.c brings; app_define() takes data over.  -1: ENOMEM. */
void app_begin_definitions(struct supervisor *sv);
int app_define(struct supervisor *sv, void *data, size_t len, int64_t now);
void app_keep(struct supervisor *sv, const char *name);
void app_end_definitions(struct supervisor *sv, int64_t now);
void app_stop_all(struct supervisor *sv, int64_t now);

/*
 * Nothing more is told: another build of the module has a supervisor of its own.
 * What runs goes on for httpd's children that have this one's board, but what must
 * not run twice makes room.
 */
void app_leave(struct supervisor *sv, int64_t now);

/* httpd runs without mod_door now. */
void app_leave_all(struct supervisor *sv, int64_t now);

/* What doorctl(8) asks for; enum ctl_result. */
int app_restart(struct app *app, int64_t now);
int app_drain(struct app *app, int64_t now);
int app_start(struct app *app, int64_t now);

/* Launches what is due. */
void app_fill(struct app *app, int64_t now);

/* What could not be launched is tried anew at once. */
void app_try_again(struct supervisor *sv, int64_t now);

/* Programs that are other files than those that run. */
void app_watch(struct supervisor *sv, int64_t now);

/* Processes that have ended. */
void app_reap(struct supervisor *sv, int64_t now);

/* --------------------------------------------------------------- stray.c */

/* What an earlier supervisor has left behind. */
void stray_find(struct supervisor *sv, int64_t now);
void stray_end(struct supervisor *sv, int64_t now);

/* ----------------------------------------------------------------- ctl.c */

/* Makes the supervisor's own door; wake_fd: a byte to it wakes the main thread. */
void ctl_open(struct supervisor *sv, int wake_fd);

/* The main thread holds the lock, but while it sleeps. */
void ctl_lock(void);
void ctl_unlock(void);

/* Sees to it that the door has its name in the directory that is used now; takes it away. */
void ctl_check_name(const struct supervisor *sv);
void ctl_close(const struct supervisor *sv);

#endif
