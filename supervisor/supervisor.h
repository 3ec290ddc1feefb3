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
 * Each file uses only those above it in this list (scripts/t/layers.t).  httpd itself also
 * uses those from definition.c to program.c; only the supervisor's files include state.h.
 *
 *     definition.c   an application's definition, as one piece of memory
 *     control.c      the messages
 *     calls.c        the table of calls: which run, and which wait
 *     board.c        the board: which processes are up
 *     name.c         what ps(1) shows
 *     identity.c     makes sure that a pid still belongs to the same process
 *     runtime_dir.c  the directories that contain doors
 *     program.c      what kind of file a program is
 *     launch.c       starts a process
 *     output.c       what applications print, on its way to the log
 *     state.c        looks things up, and shows them on the board
 *     slot.c         the life of one process
 *     wanted.c       which applications are to run, and what that means for slots
 *     stray.c        what an earlier supervisor has left behind
 *     ctl.c          the supervisor's own door, for doorctl
 *     supervisor.c   the main loop and its events
 *
 * The supervisor trusts nothing that a child of httpd or an application could have
 * written: it acts only on its own memory, and on what it has checked.
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

/* Raised whenever the form of messages, the board or definitions changes. */
#define SUPERVISOR_VERSION 4

/* ---------------------------------------------------------- definition.c */

#define APP_NAME_MAX      64           /* bytes of an application's name */
#define APP_MAX           128          /* applications */
#define APP_INSTANCES_MAX 64           /* processes of one application that are up at once */
#define APP_GROUPS_MAX    64           /* supplementary groups */
#define APP_RLIMITS_MAX   8            /* limits that can be set */
#define APP_USER_MAX      63           /* bytes of a user's name, as messages show it */
#define DEFINITION_MAX    (128 * 1024) /* bytes of one definition */

struct app_rlimit {
    int resource; /* RLIMIT_... */
    int is_set;
    rlim_t soft, hard;
    char name[16]; /* as in the configuration */
};

/* Identifies the files of a program and of watch=.  If one of them changes, this does, too. */
struct app_program_id {
    uint64_t dev, ino, size;
    uint64_t mtime_ns;
};

/*
 * An application as it is to be launched, in one piece of memory that can be sent, and
 * compared with memcmp(): all padding is zero.  The strings follow the struct, each with
 * its NUL: directory, command, argv, env, and then the paths that are watched.
 */
struct app_definition {
    uint32_t size; /* bytes, strings included */
    uint32_t row;  /* on the board */
    uint32_t argc, envc;
    uint32_t uid, gid;        /* that the process gets */
    uint32_t door_gid;        /* the group that may call its door, which is httpd's */
    uint32_t has_credentials; /* 0: it keeps the user and groups that run httpd */
    uint32_t group_count;
    uint32_t groups[APP_GROUPS_MAX];
    int32_t umask;
    uint32_t instances;
    uint32_t has_overlap;   /* the old and the new process may run at the same time */
    uint32_t is_watched;    /* replaced when one of its files changes */
    uint32_t reload_always; /* replaced at each restart of httpd */
    uint32_t has_own_busy;    /* busy_ns is from busy-timeout=, not from DoorBusyTimeout */
    uint64_t max_requests;     /* 0: no limit */
    int64_t max_age_ns;        /* 0: no limit */
    int64_t start_ns, stop_ns; /* how long starting and stopping may take */
    int64_t backoff_min_ns, backoff_max_ns;
    int64_t busy_ns; /* it hangs if calls wait this long without progress; 0: never */
    struct app_rlimit rlimits[APP_RLIMITS_MAX];
    struct app_program_id program;
    char name[APP_NAME_MAX + 1];
    char reserved_name[7];
    char user[APP_USER_MAX + 1]; /* the user's name, for messages; "" if there is none */
};

/* The definition's strings.  They point into the definition; free() frees this struct alone. */
struct app_strings {
    const char *directory;
    const char *command; /* as in the configuration, for messages */
    char **argv;         /* ended by a NULL; argv[0] is the program's path */
    char **env;
    char **watched; /* paths of files beside the program */
};

/*
 * Makes a definition with these strings; all members but size, argc and envc are copied from
 * numbers.  The caller frees it with free().  Returns NULL and errno: ENOMEM, E2BIG.
 */
struct app_definition *definition_make(const struct app_definition *numbers,
                                       const struct app_strings *strings);

/* Whether len bytes are a whole definition. */
int definition_is_whole(const void *data, size_t len);

/* Returns NULL if there is no memory. */
struct app_strings *definition_strings(const struct app_definition *def);

/*
 * Identifies the program at path and the watched files (NULL: none) as they are now.  A watched
 * file may be missing.  Returns -1 if the program is missing, or cannot be run (EACCES).
 */
int definition_identify(const char *path, char *const *watched, struct app_program_id *id);

/* --------------------------------------------------------------- board.c */

#define BOARD_CELLS     1024 /* processes that run at once */
#define RUNTIME_DIR_MAX 4096 /* bytes of the runtime directory's path */

enum app_state {
    APP_FREE,     /* the row belongs to no application */
    APP_DOWN,     /* it is not to be launched: removed, or without a valid definition */
    APP_STARTING, /* a process is expected to be up soon */
    APP_UP,
    APP_BACKOFF, /* it has failed, and waits for its next try */
    APP_DRAINED  /* down until doorctl starts it */
};

/*
 * One process.  httpd's children count here, without locks.  What runs and waits in the
 * process is in the table of calls (calls.h).
 */
struct board_cell {
    _Atomic uint64_t serial;  /* of the process, never reused; 0: the cell is free */
    _Atomic uint64_t ended;   /* calls that have ended */
    _Atomic uint64_t errors;  /* those of them that failed or timed out */
    _Atomic int64_t waits_ns; /* since when calls have waited without progress; 0: never */
    _Atomic int64_t seen_ns;  /* when a waiting call was last noted here; 0: never */
    _Atomic int64_t pid;
    _Atomic int64_t up_ns;     /* when it came up; door_now_ns() */
    _Atomic uint32_t is_ready; /* it has reported ready, so its runtime can be asked for counts */
    char padding[68];          /* so that two processes share no cache line */
};

#define BOARD_EVENTS     8
#define BOARD_EVENT_SIZE 160 /* bytes of the text, with a NUL */

/* Something that has happened to an application, for people: "ended: signal 11 ...". */
struct board_event {
    _Atomic int64_t time_ms; /* since the epoch; 0: nothing yet */
    _Atomic int64_t pid;     /* of the process; 0: none */
    char text[BOARD_EVENT_SIZE]; /* may be half old and half new while it is written */
};

struct board_app {
    char name[APP_NAME_MAX + 1]; /* written by httpd's parent while the row is free */
    _Atomic uint32_t state;      /* enum app_state */
    _Atomic uint32_t leaving;    /* processes that are ending */
    _Atomic uint64_t max_requests;
    _Atomic int64_t start_ns;   /* how long a request may wait for a process */
    _Atomic int64_t retry_ns;   /* when the next try is; INT64_MAX: none is planned */
    _Atomic uint64_t restarts;  /* processes that were launched in place of another one */
    _Atomic uint64_t crashes;   /* processes that ended unasked */
    _Atomic int64_t crash_time; /* of the last crash, in seconds since the epoch; 0: never */
    _Atomic uint32_t turn;      /* grows with each choice of an instance, which begins there */
    struct board_event events[BOARD_EVENTS]; /* the last ones, in any order */
    _Atomic uint32_t instances[APP_INSTANCES_MAX]; /* 1 + the index of a cell; 0: none is up */
};

/*
 * A display.  Every child of httpd can write every byte of it, so neither the supervisor
 * nor httpd's parent, which may be root, takes a path, an index, a pid or a bound from it.
 * The children's counts are only hints: wrong ones can at worst have a process replaced,
 * or shown wrongly.
 */
struct board {
    uint32_t version;
    char runtime_dir[RUNTIME_DIR_MAX]; /* the directory with the doors; see door_path() */
    struct board_app apps[APP_MAX];
    struct board_cell cells[BOARD_CELLS];
};

/* Shared with all processes that are forked later.  Returns NULL if there is no memory. */
struct board *board_make(void);
void board_forget(struct board *board);

/* Gives the row to the application with that name, and shows it as down. */
void board_name_row(struct board *board, uint32_t row, const char *name);

/* Shows that no process is up. */
void board_clear(struct board *board);

/* Whether a call that waits for the process with that serial should go to another one. */
int board_is_better(struct board *board, struct calls *calls, uint32_t row, uint64_t serial);

/*
 * Chooses a process and enters it: the note gets the process's serial as its key, and the
 * phase CALL_ENTERED.  Returns 1 + the index of the cell, and *serial; 0 if no process is
 * up.  The caller leaves the process with board_leave().
 */
uint32_t board_enter(struct board *board, struct calls *calls, uint32_t row,
                     struct call_note *note, uint64_t *serial);

enum call_end { CALL_ENDED, CALL_FAILED, CALL_TIMED_OUT, CALL_NOT_TAKEN };
/* Leaves the process after a call.  Returns how many of the process's calls have ended. */
uint64_t board_leave(struct board *board, uint32_t cell, struct call_note *note,
                     enum call_end how);

/* Notes that a call makes progress; or that a call has waited since then for a thread. */
void board_note_progress(struct board *board, uint32_t cell);
void board_note_wait(struct board *board, uint32_t cell, int64_t since_ns);

/* How long calls have waited without progress; 0: none waits now. */
int64_t board_waited_ns(const struct board_cell *cell, int64_t now_ns);

/* --------------------------------------------------------- runtime_dir.c */

/*
 * A directory that contains doors, and a lock file that shows that it is in use.  The
 * supervisor and each process whose door is in the directory are its users.  The last
 * release removes it.
 */
struct runtime_dir {
    char path[RUNTIME_DIR_MAX];
    size_t parent_len; /* bytes of path */
    int fd, lock_fd;
    unsigned users;
};

/* Makes a new directory in parent, which is made if it is missing.  Returns NULL and errno. */
struct runtime_dir *runtime_dir_make(const char *parent);
void runtime_dir_release(struct runtime_dir *dir);

/* Whether the directory still has its name. */
int runtime_dir_is_there(const struct runtime_dir *dir);

/* Removes directories in parent whose supervisors have died, and kills processes left of them. */
void runtime_dir_clean(const char *parent);

#define DOOR_PATH_REST_MAX 32 /* bytes of a door's path beside runtime_dir and name, and the 0 */

/* Writes the path of the door of the process with that serial.  Returns 0, or -1: ENAMETOOLONG. */
int door_path(const char *runtime_dir, const char *name, uint64_t serial, char *path, size_t size);

/*
 * Makes a directory for one process in the runtime directory, with a placeholder file.  The
 * process may attach its door there, and httpd's group may call the door.
 */
int door_dir_make(int dir_fd, const struct app_definition *def, uint64_t serial);

/* 1 if a door is attached there. */
int door_dir_is_attached(int dir_fd, const struct app_definition *def, uint64_t serial);

/* Takes the directory's ownership from the application first, and then removes it. */
void door_dir_remove(int dir_fd, const struct app_definition *def, uint64_t serial);

/* ------------------------------------------------------------ identity.c */

/* When the process began, in the system's own unit; 0: it has ended, or that is not known. */
uint64_t process_began(pid_t pid);

/*
 * Sends a signal (0: only checks) if is_it() says that the process is the right one.  On Linux
 * the signal cannot reach another process that gets the same pid meanwhile.  Returns -1 with
 * ESRCH if it is not the right process.
 */
typedef int process_check(pid_t pid, const void *data);
int process_signal(pid_t pid, int signo, process_check *is_it, const void *data);

/* ---------------------------------------------------------------- name.c */

/* Sets what ps(1) shows.  This overwrites the memory of main()'s arguments. */
void name_process(char *argv0, const char *name);

/* ------------------------------------------------------------- program.c */

#define PROGRAM_LINE_MAX 256 /* bytes of a script's first line that Linux reads */

enum program_kind {
    PROGRAM_UNREAD, /* it cannot be read, but perhaps it can be run */
    PROGRAM_BINARY,
    PROGRAM_SCRIPT, /* "#!" */
    PROGRAM_TEXT    /* neither of these, or empty: the system cannot run it */
};

struct program {
    enum program_kind kind;
    int has_return;                         /* a script's first line ends with CR LF */
    int is_bare;                            /* the interpreter has no argument */
    int is_cut;                             /* the interpreter's path is longer than was read */
    char interpreter[PROGRAM_LINE_MAX + 1]; /* without a CR */
    char argument[PROGRAM_LINE_MAX + 1];    /* the first argument, or "" */
};

void program_look(const char *path, struct program *program);

/* -------------------------------------------------------------- launch.c */

struct launched {
    pid_t pid;
    int status_fd; /* brings a struct launch_failure, or end of file once the program runs */
    int ready_fd;  /* a byte: the process is ready, and finishes its calls on SIGTERM */
    int output_fd; /* what the process prints */
};

/* The step that failed before the program ran. */
enum launch_step {
    LAUNCH_SESSION = 1,
    LAUNCH_RLIMIT, /* launch_failure.rlimit is the index in the definition */
    LAUNCH_GROUPS,
    LAUNCH_GROUP,
    LAUNCH_USER,
    LAUNCH_ROOT, /* the process could still become root again */
    LAUNCH_DIRECTORY,
    LAUNCH_PROGRAM
};

struct launch_failure {
    int error;
    int step; /* enum launch_step; 0: none */
    int rlimit;
};

/* Describes the failure in words that tell an administrator what to do. */
void launch_describe(const struct app_definition *def, const struct launch_failure *failure,
                     char *text, size_t size);

/* Starts a process.  Its descriptors are non-blocking, and the caller closes them. */
int launch(const struct app_definition *def, const char *door_path, struct launched *launched);

/* Has the kernel send signo to this process when its parent ends; -1 with ENOSYS elsewhere. */
int end_with_parent(int signo);

/* -------------------------------------------------------------- output.c */

/* A thread of its own writes all lines, so a log that blocks delays nothing else. */
typedef void output_writer(int level, const char *line, int fd, void *data); /* fd -1: the log */

/* Called once, in the supervisor.  Levels are those of syslog(3). */
int output_start(output_writer *writer, void *data);

/*
 * From now on, what that application's processes print goes to fd, which is taken over: as
 * printed if is_raw, otherwise as log lines.  output_end_routes() sends applications that
 * were not routed since its last call back to the error log.  Returns -1 with ENOMEM.
 */
int output_route(const char *name, int fd, int is_raw);
void output_end_routes(void);

/* Waits until all is written, but at most timeout_ns. */
void output_flush(int64_t timeout_ns);

/* Logs one line.  It is dropped if too many lines wait, and a later line tells how many were. */
void output_log(int level, const char *format, ...) __attribute__((__format__(__printf__, 2, 3)));

/* What one process prints, collected into lines. */
struct output;

/* Takes over fd, which must not block.  Returns NULL, and leaves fd, if there is no memory. */
struct output *output_open(const char *name, pid_t pid, int fd);
int output_fd(const struct output *out);

/* Reads what is there.  Returns 1, or 0 at the end. */
int output_read(struct output *out, int64_t now_ns);
void output_close(struct output *out);

/* ------------------------------------------------------------- control.c */

enum control_kind {
    CONTROL_DEFINE = 1, /* a file with what is to run; maybe the error log's descriptor */
    CONTROL_RESTART,    /* httpd restarts; if no CONTROL_DEFINE follows, applications are stopped */
    CONTROL_OUTPUT,     /* a file with one RECORD_OUTPUT, and the descriptor to write to */
    CONTROL_STOP        /* stop everything */
};

/* The records in such a file. */
enum control_record {
    RECORD_LOG = 1,     /* struct control_log */
    RECORD_RUNTIME_DIR, /* path in which the supervisor makes its own directory */
    RECORD_DEFINITION, /* struct app_definition; other applications are stopped, except */
    RECORD_KEEP,       /* the one with this name, which stays as it is */
    RECORD_OUTPUT      /* struct control_output, in CONTROL_OUTPUT */
};

struct control_log {
    int32_t level; /* of syslog(3) */
    char name[];   /* ErrorLog's name for it, with a NUL */
};

struct control_output {
    int32_t is_raw;
    char name[]; /* the application's, with a NUL */
};

/* Makes a file for records, which has no name.  Returns NULL and errno: ENOMEM, EMFILE ... */
FILE *control_file(void);
int control_add(FILE *file, enum control_record kind, const void *data, size_t len);

/*
 * Reads the next record.  Returns its kind, 0 at the end, or -1 with EPROTO or ENOMEM.  The
 * caller frees *data with free(); a NUL follows its len bytes.
 */
int control_next(FILE *file, void **data, size_t *len);

/* Makes a socket pair that keeps message boundaries: httpd's parent's end, the supervisor's end. */
int control_make(int ends[2]);

/*
 * Sends a message to the supervisor.  file may be NULL, and log_fd -1.  The supervisor gets
 * copies of the descriptors; the caller still closes its own, and does not write to file any
 * more.  Never waits: EAGAIN if too many messages have not been read.
 */
int control_send(int socket, enum control_kind kind, FILE *file, int log_fd);

/*
 * Receives the next message.  Returns its kind, 0 at the end, or -1 and errno: EMFILE or ENOMEM
 * if the message was lost, EPERM if a process other than parent has sent it.  The caller closes
 * *file and *log_fd, which are NULL and -1 if none came.
 */
int control_receive(int socket, pid_t parent, FILE **file, int *log_fd);

/* The supervisor asks for the last message again; httpd's parent sees whether it does. */
void control_ask_again(int socket);
int control_is_asked_again(int socket);

/* Whether the supervisor has closed its end: it stops, or has ended. */
int control_is_closed(int socket);

/* What a child of httpd can ask for.  Sending does not wait, and the request may get lost. */
enum request_verb {
    REQUEST_LOOK = 1 /* check an application: a call was late or refused, or max-requests reached */
};

struct request_message {
    uint32_t version;
    uint32_t verb;
    char name[APP_NAME_MAX + 1];
};

void request_send(int socket, enum request_verb verb, const char *name);

/* ---------------------------------------------------------- supervisor.c */

struct supervisor_start {
    int control_fd; /* the supervisor takes over these three */
    int request_fd;
    int alive_fd; /* of a pipe: end of file means that no child of httpd has the board any more */
    pid_t parent;
    uid_t user; /* httpd's user, who may call ctl.c's door, as root and this process's user may */
    struct board *board;
    struct calls *calls;
    struct ledger *ledger;
    const char *runtime_parent; /* the directory in which it makes its own */
    output_writer *writer;
    /* Called when there is a new error log: level, name, descriptor (taken over) or -1. */
    void (*new_log)(int level, const char *name, int fd, void *data);
    void *data;                          /* for writer and new_log */
};

/*
 * What the next supervisor needs to know if this one dies.  Only httpd's parent and
 * supervisors have it in their memory, and no process that another module forks.
 */
struct ledger {
    _Atomic uint64_t last_serial;
    _Atomic int64_t pids[BOARD_CELLS];   /* of the process with that cell, or 0 */
    _Atomic uint64_t began[BOARD_CELLS]; /* process_began(); 0: not known */
    _Atomic int64_t stop_ns[BOARD_CELLS]; /* how long the process may take to end */
    _Atomic uint64_t drained[APP_MAX]; /* calls_path_key() of the row's drained application, or 0 */
};

struct ledger *ledger_make(void);
void ledger_forget(struct ledger *ledger);

/*
 * ledger_share() sets whether processes that are forked from now on have the ledger.  Where the
 * system cannot do that, ledger_leave() removes it in a child of httpd.
 */
void ledger_share(struct ledger *ledger, int is_shared);
void ledger_leave(struct ledger *ledger);

/* The supervisor's main function.  It ends when httpd's parent ends or asks for it. */
_Noreturn void supervisor_run(const struct supervisor_start *start);

#endif
