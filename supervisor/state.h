/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * state.h: the supervisor's state, which supervisor.c owns.  The main thread uses it, and
 * while the main thread sleeps, the thread of ctl.c; ctl.c's lock guards it.
 *
 * An application has as many slots as it has instances.  A slot has a process that is up
 * or starting, and during a replacement also the next process:
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
    struct slot *slot;          /* NULL once the process is leaving */
    struct app_definition *def; /* a copy, as it was launched */
    enum process_state state;
    pid_t pid;
    uint64_t serial;
    uint32_t cell;           /* index on the board */
    struct runtime_dir *dir; /* where its door is */
    int is_ready;            /* it has reported ready, so it finishes its calls on SIGTERM */
    int asks_for_successor;  /* it has asked to be replaced */
    int is_told;             /* SIGTERM was sent */
    int is_killed;           /* SIGKILL was sent */
    int is_patient;          /* stop-timeout begins only when its calls have ended */
    int64_t up_ns;
    int64_t deadline_ns; /* for starting, or leaving */
    int64_t look_ns;     /* when to look again at its door or its calls */
    int64_t quiet_ns;    /* how long it must be without calls before SIGTERM */
    int64_t tell_ns;     /* when it will have been without calls for so long */
    int status_fd, ready_fd;
    struct output *output;
    struct launch_failure failure; /* why the program could not be run, if step is set */
};

struct slot {
    struct app *app;
    struct process *current;   /* up, or the first one that is starting */
    struct process *successor; /* starting, to replace current */
    unsigned failures;         /* in a row */
    char why[REASON_MAX];      /* the reason of the last failure */
    char plan[80];             /* when the next try is, for the log line */
    int64_t retry_ns;          /* when to launch the next process, or NEVER */
    int is_due;                /* current is to be replaced, at retry_ns if that is set */
    const char *due_reason;
};

struct app {
    struct app *next;
    struct supervisor *sv; /* the supervisor that it belongs to */
    struct app_definition *def;
    int is_defined;             /* the definitions that are being read contain it */
    int is_removed;             /* all its processes leave, and then it is freed */
    int is_drained;             /* all its processes leave, and none starts until doorctl says so */
    int has_row;                /* def->row is its own; no later application has taken it */
    struct app_program_id seen; /* the program's files as they were at the last look */
    uint32_t event_count; /* events that have been shown */
    unsigned slot_count;
    struct slot slots[APP_INSTANCES_MAX];
};

struct supervisor {
    struct supervisor_start start;
    struct app *apps;
    struct process *processes;
    struct runtime_dir *dir;              /* for new processes; NULL if it cannot be made */
    char runtime_parent[RUNTIME_DIR_MAX]; /* where dir is to be made */
    int is_stopping;
    int is_left;         /* httpd runs without mod_door now, but may load it again */
    int must_ask_parent; /* the kernel does not signal the parent's end, so it is polled for */
    int64_t
        left_ns; /* during a restart: by when CONTROL_DEFINE must have come; otherwise NEVER */
    int64_t watch_ns;       /* when programs are looked at next, or NEVER */
    int64_t check_ns;       /* when doors and their directory are checked next */
    int64_t kill_strays_ns; /* when processes of an earlier supervisor are looked at, or NEVER */
};

/* --------------------------------------------------------------- state.c */

/* The application of that name, or NULL. */
struct app *app_find(const struct supervisor *sv, const char *name);

unsigned app_process_count(const struct app *app);

/* The state that the board shows, by which requests know whether to wait. */
enum app_state app_state_of(const struct app *app);

/* When the next slot is to be filled, or NEVER. */
int64_t app_retry_ns(const struct app *app);

/* The process's cell on the board. */
struct board_cell *process_cell(const struct process *p);

/* The application's row on the board; a dummy if it is removed and a later one has its row. */
struct board_app *app_row(const struct app *app);

/* Updates the application's row. */
void app_show(const struct app *app);

/* Shows an event of the application, or of its process with that pid (or 0). */
void app_show_event(struct app *app, pid_t pid, const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4)));

/* ---------------------------------------------------------------- slot.c */

/* Launches the slot's process, or the one that is to replace it. */
void slot_fill(struct slot *slot, int64_t now);

/* Begins to replace the slot's process.  The reason goes to the log, and must stay valid. */
void slot_replace(struct slot *slot, const char *reason, int64_t now);

/* Lets the slot's processes leave. */
void slot_empty(struct slot *slot, int64_t now);

/* The process is up: shows it, and lets the one leave that it replaces. */
void process_come_up(struct process *p, int64_t now);

/* Sends SIGTERM. */
void process_tell_to_end(struct process *p);

/* Replaces a process that is up if there is a reason. */
void process_look(struct process *p, int64_t now);

/* Looks at all processes whose time for that has come. */
void process_look_at_all(struct supervisor *sv, int64_t now);

/* Replaces processes that are up and whose door is gone. */
void process_check_doors(struct supervisor *sv, int64_t now);

/* For a process that has ended, with that status of waitpid(2): frees it. */
void process_bury(struct process *p, int status, int64_t now);

/* ----------------------------------------------------------------- wanted.c */

/* Take the records that control.c reads.  app_define() takes data over; -1: ENOMEM. */
void app_begin_definitions(struct supervisor *sv);
int app_define(struct supervisor *sv, void *data, size_t len, int64_t now);
void app_keep(struct supervisor *sv, const char *name);
void app_end_definitions(struct supervisor *sv, int64_t now);
void app_stop_all(struct supervisor *sv, int64_t now);

/*
 * httpd's parent has closed the control socket, since another build of the module has a
 * supervisor of its own.  Applications go on for those children of httpd that have this
 * supervisor's board, except with overlap=off: those must not run twice, and leave.
 */
void app_leave(struct supervisor *sv, int64_t now);

/* httpd runs without mod_door now: all applications leave. */
void app_leave_all(struct supervisor *sv, int64_t now);

/* The requests of doorctl(8).  They return an enum ctl_result. */
int app_restart(struct app *app, int64_t now);
int app_drain(struct app *app, int64_t now);
int app_start(struct app *app, int64_t now);

/* Launches processes that are due. */
void app_fill(struct app *app, int64_t now);

/* Makes processes due at once that wait for their next try. */
void app_try_again(struct supervisor *sv, int64_t now);

/* Replaces processes whose watched files have changed. */
void app_watch(struct supervisor *sv, int64_t now);

/* Buries processes that have ended. */
void app_reap(struct supervisor *sv, int64_t now);

/* --------------------------------------------------------------- stray.c */

/* Find, and then end, processes that an earlier supervisor has left behind. */
void stray_find(struct supervisor *sv, int64_t now);
void stray_end(struct supervisor *sv, int64_t now);

/* ----------------------------------------------------------------- ctl.c */

/* Makes the supervisor's own door.  wake_fd: a byte written to it wakes the main thread. */
void ctl_open(struct supervisor *sv, int wake_fd);

/* The main thread holds the lock except while it sleeps. */
void ctl_lock(void);
void ctl_unlock(void);

/* Attaches the door in the current runtime directory if it is not attached there. */
void ctl_check_name(const struct supervisor *sv);

/* Detaches the door. */
void ctl_close(const struct supervisor *sv);

#endif
