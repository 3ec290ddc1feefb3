/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * supervisor.h: the process that launches applications, and what it shares with
 * httpd.
 *
 *     httpd's parent ---- control: definitions, the error log, stop ----> supervisor
 *     httpd's children -- requests: a verb and an application's name ---> supervisor
 *     httpd's children <------- board: which processes are up ----------- supervisor
 *
 * From the bottom up: each file uses only those above it in this list (scripts/t/layers.t).
 * httpd uses those up to program.c, too; state.h is the supervisor's alone.
 *
 *     definition.c   what an administrator has written of an application
 *     control.c      the messages
 *     calls.c        the table of calls: who runs, who waits
 *     board.c        what is up, as it is shown
 *     name.c         what ps(1) shows
 *     identity.c     tells processes apart that are no children
 *     runtime_dir.c  the directories that doors lie in
 *     program.c      what kind of file a program is
 *     launch.c       starts a process
 *     output.c       what applications print, on its way to the log
 *     state.c        looking things up, and showing them on the board
 *     slot.c         the life of one process
 *     wanted.c       what is to run, and what that means for slots
 *     stray.c        what an earlier supervisor has left behind
 *     ctl.c          the supervisor's own door, for doorctl
 *     supervisor.c   what happens, and whose turn it is
 *
 * The supervisor believes nothing that a child of httpd or an application could
 * have written: what it acts on is in memory of its own, or was checked.
 *
 * Functions return 0, or -1 with errno, unless they say otherwise.
 */
#ifndef MOD_DOOR_SUPERVISOR_H
#define MOD_DOOR_SUPERVISOR_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "calls.h"

/* Has parted from an earlier one when messages, the board or definitions change their form. */
#define SUPERVISOR_VERSION 4

/* ---------------------------------------------------------- definition.c */

#define APP_NAME_MAX      64           /* bytes of an application's name */
#define APP_MAX           128          /* applications */
#define APP_INSTANCES_MAX 64           /* processes of one application that are up at a time */
#define APP_GROUPS_MAX    64           /* supplementary groups */
#define APP_RLIMITS_MAX   8            /* limits that can be set */
#define APP_USER_MAX      63           /* bytes of a user's name, as messages show it */
#define DEFINITION_MAX    (128 * 1024) /* bytes of one definition */

struct app_rlimit {
    int resource; /* RLIMIT_... */
    int is_set;
    rlim_t soft, hard;
    char name[16]; /* as it was written */
};

/* Which file a program was, and which ones are watched besides: others are another program. */
struct app_program_id {
    uint64_t dev, ino, size;
    uint64_t mtime_ns;
};

/*
 * An application as it is to be launched, in one piece of memory that can be
 * sent, and compared with memcmp(): all padding is zero.  The strings follow
 * the struct, each with its NUL: directory, command, argv, env, and those that
 * are left are what is watched.
 */
struct app_definition {
    uint32_t size; /* bytes, strings included */
    uint32_t row;  /* on the board */
    uint32_t argc, envc;
    uint32_t uid, gid;        /* the process's */
    uint32_t door_gid;        /* the group that may call its door: httpd's */
    uint32_t has_credentials; /* 0: it runs as whoever runs httpd */
    uint32_t group_count;
    uint32_t groups[APP_GROUPS_MAX];
    int32_t umask;
    uint32_t instances;
    uint32_t has_overlap;   /* two of it may run for a while */
    uint32_t is_watched;    /* replaced when one of its files is another one */
    uint32_t reload_always; /* replaced at each of httpd's restarts */
    uint32_t has_own_busy;    /* busy_ns is said of it, and not of all */
    uint64_t max_requests;     /* 0: no limit */
    int64_t max_age_ns;        /* 0: no limit */
    int64_t start_ns, stop_ns; /* how long it may take */
    int64_t backoff_min_ns, backoff_max_ns;
    int64_t busy_ns; /* hung if calls wait and nothing moves for so long; 0: never */
    struct app_rlimit rlimits[APP_RLIMITS_MAX];
    struct app_program_id program;
    char name[APP_NAME_MAX + 1];
    char reserved_name[7];
    char user[APP_USER_MAX + 1]; /* its user's name; "" if it has none */
};

/* The definition's strings; freed with free().  They point into it. */
struct app_strings {
    const char *directory;
    const char *command; /* as it was written, for people */
    char **argv;         /* with a NULL at the end; argv[0] is the program's path */
    char **env;
    char **watched; /* paths of files, besides the program */
};

/*
 * A definition with these strings, malloc()ed, size set, everything else as in
 * numbers.  NULL: ENOMEM, E2BIG.
 */
struct app_definition *definition_make(const struct app_definition *numbers,
                                       const struct app_strings *strings);

/* Whether len bytes are a whole definition. */
int definition_is_whole(const void *data, size_t len);

/* NULL: ENOMEM. */
struct app_strings *definition_strings(const struct app_definition *def);

/*
 * Which file path is now, and which ones are watched (NULL: none), where a missing one is
 * one, too; -1 also if the first cannot be run (EACCES).
 */
int definition_identify(const char *path, char *const *watched, struct app_program_id *id);

/* --------------------------------------------------------------- board.c */

#define BOARD_CELLS     1024 /* processes that run at a time */
#define RUNTIME_DIR_MAX 4096 /* bytes of the runtime directory's path */

enum app_state {
    APP_FREE,     /* the row is nobody's */
    APP_DOWN,     /* not to be launched: its definition is wrong */
    APP_STARTING, /* a process is expected to be up soon */
    APP_UP,
    APP_BACKOFF, /* it failed, and waits for its next try */
    APP_DRAINED  /* down until doorctl starts it */
};

/* Of one process, by httpd's children, without locks; what runs and waits there, calls.h tells. */
struct board_cell {
    _Atomic uint64_t serial;  /* of the process, never used again; 0: nobody's */
    _Atomic uint64_t ended;   /* calls that have ended */
    _Atomic uint64_t errors;  /* of those, without an answer */
    _Atomic int64_t waits_ns; /* since when calls have waited and nothing has moved; 0: never */
    _Atomic int64_t seen_ns;  /* when a call found last that it still waits; 0: never */
    _Atomic int64_t pid;
    _Atomic int64_t up_ns;     /* when it was up first; door_now_ns() */
    _Atomic uint32_t is_ready; /* it has said so: it has a runtime that can be asked for counts */
    char padding[68];          /* no cache line for two processes */
};

#define BOARD_EVENTS     8
#define BOARD_EVENT_SIZE 160 /* bytes of its text, with a NUL */

/* Something that has happened to an application, for people: "ended: signal 11 ...". */
struct board_event {
    _Atomic int64_t time_ms; /* since the epoch; 0: nothing yet */
    _Atomic int64_t pid;     /* of the process; 0: none */
    char text[BOARD_EVENT_SIZE]; /* while it is written, some of each of two */
};

struct board_app {
    char name[APP_NAME_MAX + 1]; /* written by httpd's parent when the row is free */
    _Atomic uint32_t state;      /* enum app_state */
    _Atomic uint32_t leaving;    /* processes that come to their end */
    _Atomic uint64_t max_requests;
    _Atomic int64_t start_ns;   /* how long a request may wait for a process */
    _Atomic int64_t retry_ns;   /* in APP_BACKOFF: when the next try is */
    _Atomic uint64_t restarts;  /* processes that were launched in place of another one */
    _Atomic uint64_t crashes;   /* that ended unasked */
    _Atomic int64_t crash_time; /* of the last, in seconds since the epoch; 0: never */
    _Atomic uint32_t turn;      /* which instance is looked at first */
    struct board_event events[BOARD_EVENTS]; /* the last ones, in any order */
    _Atomic uint32_t instances[APP_INSTANCES_MAX]; /* 1 + the index of a cell; 0: none is up */
};

/*
 * A display.  Every child of httpd can write every byte of it: neither the
 * supervisor nor httpd's parent, who may be root, takes a path, an index, a pid or
 * a bound from it.  What children count is a hint: the worst that it can do is to
 * have a process replaced, or shown wrongly.
 */
struct board {
    uint32_t version;
    char runtime_dir[RUNTIME_DIR_MAX]; /* where doors lie; see door_path() */
    struct board_app apps[APP_MAX];
    struct board_cell cells[BOARD_CELLS];
};

/* Shared with all processes forked later.  NULL: ENOMEM. */
struct board *board_make(void);
void board_forget(struct board *board);

/* The row is that application's from now on, which is down. */
void board_name_row(struct board *board, uint32_t row, const char *name);

/* No process is up. */
void board_clear(struct board *board);

/* Whether a call that waits for the process with that serial should go to another one. */
int board_is_better(struct board *board, struct calls *calls, uint32_t row, uint64_t serial);

/*
 * Chooses one, and enters it: the note has its serial as its key, and the phase
 * CALL_ENTERED.  Returns 1 + its cell, and *serial; 0 if none is up.  To be left.
 */
uint32_t board_enter(struct board *board, struct calls *calls, uint32_t row,
                     struct call_note *note, uint64_t *serial);

enum call_end { CALL_ENDED, CALL_FAILED, CALL_TIMED_OUT, CALL_NOT_TAKEN };
/* Returns how many calls the process has had that have ended. */
uint64_t board_leave(struct board *board, uint32_t cell, struct call_note *note,
                     enum call_end how);

/* A call that a thread has taken goes on; a call waits that nobody has taken since then. */
void board_note_progress(struct board *board, uint32_t cell);
void board_note_wait(struct board *board, uint32_t cell, int64_t since_ns);

/* How long calls have waited and nothing has moved; 0: none waits now. */
int64_t board_waited_ns(const struct board_cell *cell, int64_t now_ns);

/* --------------------------------------------------------- runtime_dir.c */

/*
 * A directory that doors lie in, with a lock that tells that it is used.  The
 * supervisor has the one that new processes get, and each process its own: who is
 * the last to release it, removes it.
 */
struct runtime_dir {
    char path[RUNTIME_DIR_MAX];
    size_t parent_len; /* bytes of path */
    int fd, lock_fd;
    unsigned users;
};

/* A new one below parent, which is made if it is missing; NULL with errno. */
struct runtime_dir *runtime_dir_make(const char *parent);
void runtime_dir_release(struct runtime_dir *dir);

/* Whether its name leads to it. */
int runtime_dir_is_there(const struct runtime_dir *dir);

/* Removes those that supervisors have left there that have died, with the processes left in them. */
void runtime_dir_clean(const char *parent);

/* The path of the door of the process with that serial. */
int door_path(const char *runtime_dir, const char *name, uint64_t serial, char *path, size_t size);

/*
 * In it, a directory with a placeholder that a process with that definition may
 * attach its door to, and httpd's group may call.
 */
int door_dir_make(int dir_fd, const struct app_definition *def, uint64_t serial);

/* 1 if a door is attached there. */
int door_dir_is_attached(int dir_fd, const struct app_definition *def, uint64_t serial);

/* Takes it away from whoever could write in it, and then removes it. */
void door_dir_remove(int dir_fd, const struct app_definition *def, uint64_t serial);

/* ------------------------------------------------------------ identity.c */

/* When the process began, in a unit of the system's; 0: it has ended, or nobody tells. */
uint64_t process_began(pid_t pid);

/*
 * Sends a signal, or asks with 0, if is_it() says of the process that it is the right
 * one.  Where the system can, it goes to that very process.  -1 with ESRCH: it is not.
 */
typedef int process_check(pid_t pid, const void *data);
int process_signal(pid_t pid, int signo, process_check *is_it, const void *data);

/* ---------------------------------------------------------------- name.c */

/* What ps(1) is to show, in place of main()'s arguments, which are written over. */
void name_process(char *argv0, const char *name);

/* ------------------------------------------------------------- program.c */

#define PROGRAM_LINE_MAX 256 /* bytes of a script's first line that Linux reads */

enum program_kind {
    PROGRAM_UNREAD, /* it cannot be read, which does not mean that it cannot be run */
    PROGRAM_BINARY,
    PROGRAM_SCRIPT, /* "#!" */
    PROGRAM_TEXT    /* neither, or empty: the system cannot run it */
};

struct program {
    enum program_kind kind;
    int has_return;                         /* a script's first line ends with CR LF, */
    int is_bare;                            /* and nothing stands behind the interpreter */
    int is_cut;                             /* the interpreter goes on behind what is read */
    char interpreter[PROGRAM_LINE_MAX + 1]; /* without the CR */
    char argument[PROGRAM_LINE_MAX + 1];    /* the first, or "" */
};

void program_look(const char *path, struct program *program);

/* -------------------------------------------------------------- launch.c */

struct launched {
    pid_t pid;
    int status_fd; /* struct launch_failure, or the end if the program runs */
    int ready_fd;  /* a byte: it is ready, and will end well when SIGTERM asks it to */
    int output_fd; /* what it prints */
};

/* What a process could not do before its program ran. */
enum launch_step {
    LAUNCH_SESSION = 1,
    LAUNCH_RLIMIT, /* rlimit: which of the definition's */
    LAUNCH_GROUPS,
    LAUNCH_GROUP,
    LAUNCH_USER,
    LAUNCH_ROOT, /* it is still allowed to become root again */
    LAUNCH_DIRECTORY,
    LAUNCH_PROGRAM
};

struct launch_failure {
    int error;
    int step; /* enum launch_step; 0: none */
    int rlimit;
};

/* In words that an administrator can act on. */
void launch_describe(const struct app_definition *def, const struct launch_failure *failure,
                     char *text, size_t size);

/* Starts a process.  The descriptors are non-blocking, and the caller's. */
int launch(const struct app_definition *def, const char *door_path, struct launched *launched);

/* The kernel sends signo to this process when its parent ends; -1 ENOSYS where it does not. */
int end_with_parent(int signo);

/* -------------------------------------------------------------- output.c */

/* Lines that are logged by a thread of their own: a log that blocks, blocks nobody. */
typedef void output_writer(int level, const char *line, int fd, void *data); /* fd -1: the log */

/* In the supervisor, once.  Levels are those of syslog(3). */
int output_start(output_writer *writer, void *data);

/*
 * What processes of that application print goes to fd, which is taken over, from now
 * on: as it is, or is_raw 0 as to the log.  Those that have not been named between
 * two calls of output_end_routes() go to the log.  -1 ENOMEM.
 */
int output_route(const char *name, int fd, int is_raw);
void output_end_routes(void);

/* Waits until all is written, or for so long. */
void output_flush(int64_t timeout_ns);

/* One line; dropped if too many wait, which is told later. */
void output_log(int level, const char *format, ...) __attribute__((__format__(__printf__, 2, 3)));

/* What one process prints: lines are put together here. */
struct output;

/* Of an application's process; takes fd over, which does not block.  NULL: ENOMEM. */
struct output *output_open(const char *name, pid_t pid, int fd);
int output_fd(const struct output *out);

/* Reads what is there: 1, or 0 at the end. */
int output_read(struct output *out, int64_t now_ns);
void output_close(struct output *out);

/* ------------------------------------------------------------- control.c */

enum control_kind {
    CONTROL_DEFINE = 1, /* what is to run, in a file; with a descriptor of the error log, or none */
    CONTROL_RESTART,    /* httpd reads its configuration: CONTROL_DEFINE follows, or all is stopped */
    CONTROL_OUTPUT,     /* before CONTROL_DEFINE: whose lines go to the descriptor, in a file */
    CONTROL_STOP        /* everything is stopped */
};

/* In that file. */
enum control_record {
    RECORD_LOG = 1,     /* struct control_log */
    RECORD_RUNTIME_DIR, /* the directory that the supervisor's own is made in */
    RECORD_DEFINITION, /* struct app_definition; applications without one are stopped, */
    RECORD_KEEP,       /* but not that of this name, which stays as it is */
    RECORD_OUTPUT      /* struct control_output; for CONTROL_OUTPUT */
};

struct control_log {
    int32_t level; /* of syslog(3) */
    char name[];   /* what the log is, with a NUL */
};

struct control_output {
    int32_t is_raw;
    char name[]; /* the application's, with a NUL */
};

/* A file for records, which has no name; NULL: ENOMEM, EMFILE ... */
FILE *control_file(void);
int control_add(FILE *file, enum control_record kind, const void *data, size_t len);

/* The next record's kind, or 0 at the end, or -1 (EPROTO, ENOMEM).  *data is malloc()ed. */
int control_next(FILE *file, void **data, size_t *len);

/* A socket that keeps messages apart: httpd's parent's end, and the supervisor's. */
int control_make(int ends[2]);

/*
 * A message to the supervisor.  file may be
 * NULL, log_fd -1; the file is the supervisor's from then on, the caller still closes
 * it.  Never waits: EAGAIN, too many have not been read.
 */
int control_send(int socket, enum control_kind kind, FILE *file, int log_fd);

/*
 * The next message of the parent's: its kind, or 0 at the end, or -1 with errno: EMFILE,
 * ENOMEM, it was lost; EPERM, another process has sent it.  *file and *log_fd are the caller's, NULL and -1 if none came.
 */
int control_receive(int socket, pid_t parent, FILE **file, int *log_fd);

/* From the supervisor: it has had no room for the last message.  Whether it has said so. */
void control_ask_again(int socket);
int control_is_asked_again(int socket);

/* Whether the supervisor listens no more: it stops, or has ended. */
int control_is_closed(int socket);

/* A verb from one of httpd's children; it does not wait, and may get lost. */
enum request_verb {
    REQUEST_LOOK = 1 /* a call was late or refused, or the limit of calls is reached */
};

struct request_message {
    uint32_t version;
    uint32_t verb;
    char name[APP_NAME_MAX + 1];
};

void request_send(int socket, enum request_verb verb, const char *name);

/* ---------------------------------------------------------- supervisor.c */

struct supervisor_start {
    int control_fd; /* these three are the supervisor's from now on */
    int request_fd;
    int alive_fd; /* of a pipe: its end tells that no child of httpd has the board any more */
    pid_t parent;
    uid_t user; /* httpd's: who may call ctl.c's door, besides root and who runs this */
    struct board *board;
    struct calls *calls;
    struct ledger *ledger;
    const char *runtime_parent; /* the directory that its own is made in */
    output_writer *writer;
    /* The error log is this one now: level, what it is, its descriptor or -1. */
    void (*new_log)(int level, const char *name, int fd, void *data);
    void *data;                          /* of both */
};

/*
 * What a supervisor knows that the next one needs if it dies.  Only httpd's parent
 * and supervisors have it in their memory; no process that another module forks.
 */
struct ledger {
    _Atomic uint64_t last_serial;
    _Atomic int64_t pids[BOARD_CELLS];   /* of the process with that cell, or 0 */
    _Atomic uint64_t began[BOARD_CELLS]; /* process_began(); 0: not known */
    _Atomic int64_t stop_ns[BOARD_CELLS]; /* how long it may take to end */
    _Atomic uint64_t drained[APP_MAX]; /* of the application with that row, if it is drained: its key */
};

struct ledger *ledger_make(void);
void ledger_forget(struct ledger *ledger);

/* Whether a process that is forked has it; and in a child of httpd, where that cannot be told. */
void ledger_share(struct ledger *ledger, int is_shared);
void ledger_leave(struct ledger *ledger);

/* The process's main function; it ends when httpd's parent does, or tells it to. */
_Noreturn void supervisor_run(const struct supervisor_start *start);

#endif
