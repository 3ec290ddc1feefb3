/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * mod_door.h: what the files of the httpd module share.  mod_door.c tells the
 * story of a request; config.c reads the directives, mapping.c finds the requests that
 * are a door's, doors.c keeps this child's open doors, batch.c how who calls them is
 * scheduled, limit.c counts requests, request.c makes the message for the application,
 * response.c turns its answer into a checked HTTP response, file.c passes on
 * descriptors, received.c keeps them from keeping httpd busy, lent.c is for memory that
 * the application can still change.
 * apps.c reads what is to be launched, needs.c looks for what that needs, outputs.c opens
 * where what it prints goes, supervision.c keeps the supervisor, instance.c
 * chooses one of a launched application's processes, status.c shows them.
 * While a call runs, the application may call back: response_door.c lets it in,
 * stream.c does what it asks for, body.c reads the request's body for it.
 *
 * Helpers return an apr_status_t (an errno value, or one of enum
 * mod_door_error) or an HTTP status, and do not log: the handler does.
 */
#ifndef MOD_DOOR_H
#define MOD_DOOR_H

#include <sys/types.h>

#include <apr_buckets.h>
#include <apr_hash.h>
#include <apr_tables.h>
#include <apr_time.h>
#include <httpd.h>
#include <ap_mmn.h>
#include <http_config.h>

#include "door_compat.h"
#include "supervisor.h"
#include "wire.h"

/* ap_get_status_line_ex(); a module that calls what is not there ends the child that it runs in. */
#if !AP_MODULE_MAGIC_AT_LEAST(20120211, 96)
#error "mod_door needs httpd 2.4.47 or later"
#endif

/* The one symbol that httpd looks up; everything else is compiled hidden. */
extern __attribute__((visibility("default"))) module AP_MODULE_DECLARE_DATA door_module;

/* What is wrong with an answer, beside what errno can say. */
enum mod_door_error {
    MOD_DOOR_ESTATUS = APR_OS_START_USERERR, /* a status that is not final */
    MOD_DOOR_EHEADER,                        /* a header that HTTP does not allow */
    MOD_DOOR_EHEAD,                          /* too many headers, or too long ones */
    MOD_DOOR_ELENGTH,                        /* Content-Length malformed or repeated */
    MOD_DOOR_ESHORT,                         /* fewer bytes than Content-Length */
    MOD_DOOR_ELONG,                          /* more bytes than Content-Length */
    MOD_DOOR_EFAILED,                        /* the application gave up in the middle */
    MOD_DOOR_ESILENT,                        /* its pipe or socket paused for too long */
    MOD_DOOR_EMISUSE,                        /* what it asks for makes no sense */
    MOD_DOOR_EBUSY,                          /* too many requests of this door run */
    MOD_DOOR_ESTART,                         /* the application has not come up in time */
    MOD_DOOR_EDOWN,                          /* nor will it soon */
    MOD_DOOR_ECUT,                           /* httpd restarts or stops */
    MOD_DOOR_EEXHAUSTED,                     /* it has no descriptors or memory for the request */
    MOD_DOOR_EOWNER,                         /* somebody else has attached the door */
    MOD_DOOR_EUNCLOSED                       /* too many of its descriptors cannot be closed */
};

/* How many descriptors a call of either side may bring: one has a meaning. */
#define MOD_DOOR_DESC_MAX 1

/* ------------------------------------------------------------- config.c */

enum mod_door_protocol { MOD_DOOR_PROTOCOL_UNSET, MOD_DOOR_PROTOCOL_APP, MOD_DOOR_PROTOCOL_RAW };

/* How SCRIPT_NAME is found: what kind of container DoorHandler stands in. */
enum mod_door_mount {
    MOD_DOOR_MOUNT_SERVER,    /* none: the whole server's or virtual host's */
    MOD_DOOR_MOUNT_LOCATION,  /* at a literal URL path; "" is the whole server */
    MOD_DOOR_MOUNT_MATCH,     /* at whatever URL a pattern matches */
    MOD_DOOR_MOUNT_DIRECTORY, /* at whatever URL a literal directory has */
    MOD_DOOR_MOUNT_FILE       /* anything else: the file in the path, as CGI */
};

/* DoorMaxConcurrent and what belongs to it; of a door, wherever it is used. */
struct mod_door_limit {
    int max;                           /* requests that may run at a time; 0 not said */
    int queue_len;                     /* requests that may wait; -1 not said */
    apr_interval_time_t queue_timeout; /* how long; -1 not said */
    unsigned index;                    /* in limit.c's table */
};

#define MOD_DOOR_QUEUE_LEN 100
#define MOD_DOOR_QUEUE_TIMEOUT apr_time_from_sec(5)

/* Per-directory configuration.  Those up to limit belong together, set by one DoorHandler. */
struct mod_door_config {
    const char *path;          /* the door's or application's name; "" none; NULL not said here */
    int is_app;                /* it is an application's */
    enum mod_door_mount mount; /* how to find SCRIPT_NAME */
    const char *mount_path;    /* of location or directory, without a trailing slash */
    const ap_regex_t *mount_regex; /* of a match; NULL: it has wildcards */
    int in_htaccess;           /* path needs a DoorAllow prefix */
    int has_owner;             /* the door at the path must be attached by: */
    uid_t owner;
    struct mod_door_limit limit; /* what is said here; see mod_door_find_limit() */

    const apr_array_header_t *allow; /* prefixes (char *), no trailing slash; NULL not said */
    enum mod_door_protocol protocol;
    apr_interval_time_t timeout; /* -1 not said: the server's Timeout; 0 off */
    int error_override;          /* -1 not said */
};

extern const command_rec mod_door_commands[];

/* DoorBatchScheduling: on unless the configuration says otherwise. */
int mod_door_wants_batch(void);
void mod_door_forget_batch(void);

/* -------------------------------------------------------------- batch.c */

/* For a thread that is about to call a door: sees to the scheduling of its process. */
void mod_door_schedule_caller(void);

void *mod_door_create_config(apr_pool_t *pool, char *dir);
void *mod_door_merge_config(apr_pool_t *pool, void *base, void *add);

/* ------------------------------------------------------------ mapping.c */

/* Begins r->filename of a request that is not mapped onto the disk. */
#define MOD_DOOR_FILE_PREFIX "door:"

void mod_door_register_mapping(void);

/* Whether a door answers this request; once the fixups have run. */
int mod_door_is_ours(const request_rec *r);

/* Whether there is no file that it could be for. */
int mod_door_has_no_file(const request_rec *r);

/* Whether it has more behind a file's name than AcceptPathInfo lets it. */
int mod_door_rejects_path_info(const request_rec *r, const struct mod_door_config *conf);

/* How many bytes of r->uri are SCRIPT_NAME; PATH_INFO is the rest. */
apr_size_t mod_door_script_len(const request_rec *r, const struct mod_door_config *conf);

/* ------------------------------------------------------------ overlap.c */

/* A configuration is about to be read; a DoorHandler stands in a <Location>. */
void mod_door_forget_locations(apr_pool_t *config_pool);
void mod_door_note_location(const struct mod_door_config *conf, const ap_directive_t *where,
                            const server_rec *server);

/* Logs which rules of <Directory> and .htaccess do not apply to these; flags: APLOG_STARTUP or 0. */
void mod_door_warn_of_overlaps(apr_pool_t *temp_pool, server_rec *main_server, int flags);

/* -------------------------------------------------------------- limit.c */

/* A configuration is about to be read, and has been: OK, or a server that does not start. */
void mod_door_forget_limits(apr_pool_t *config_pool);
void mod_door_note_limit(const struct mod_door_config *conf, const ap_directive_t *where);
int mod_door_check_limits(apr_pool_t *config_pool, apr_pool_t *log_pool, apr_pool_t *temp_pool,
                          server_rec *s);

/* The limit of the door at path, or NULL. */
const struct mod_door_limit *mod_door_find_limit(const char *path);

/* In httpd's parent, when the configuration stands; then in each child. */
apr_status_t mod_door_make_limit_table(apr_pool_t *config_pool);
void mod_door_take_row(apr_pool_t *child_pool);

/*
 * 1 if the request is among the first max ones of all children; then it has to
 * leave, too.  A limit of NULL lets all in.
 */
int mod_door_enter_limit(const struct mod_door_limit *limit, unsigned max);
void mod_door_leave_limit(const struct mod_door_limit *limit);

/* -------------------------------------------------------------- needs.c */

/* What an application needs from the system. */
struct mod_door_needs {
    const char *program, *directory; /* paths */
    const char *user, *group;        /* names, or NULL: httpd's */
    char *const *watched;            /* paths, with a NULL at the end; or NULL: none */
};

/*
 * Looks for it, and writes to the definition which program it is and whom it
 * runs as.  NULL, or what is missing.
 */
const char *mod_door_find_needs(apr_pool_t *pool, const struct mod_door_needs *needs,
                                struct app_definition *def);

/* --------------------------------------------------------------- apps.c */

/* A launched application, of this configuration. */
struct mod_door_app {
    const char *name;
    int row;                /* on the board */
    apr_uint32_t instances; /* as many as are to be up */
    struct app_definition *definition; /* NULL: it is wrong, what runs stays */
    int is_told;                       /* the supervisor has that definition */
    const char *output; /* where what it prints goes; NULL: to the server's log */
    int output_fd;      /* that, or -1 */
    int output_is_raw;  /* as it prints it, not as httpd's logs are */
};

/* DoorApp, DoorBusyTimeout, DoorRuntimeDir. */
const char *mod_door_add_app(cmd_parms *cmd, void *config, const char *args);
const char *mod_door_set_busy_timeout(cmd_parms *cmd, void *config, const char *arg);
const char *mod_door_set_runtime_dir(cmd_parms *cmd, void *config, const char *arg);

/* Whether that could be an application's name. */
int mod_door_is_app_name(const char *name);

/* A configuration is about to be read; a DoorHandler names an application; all is read. */
void mod_door_forget_apps(apr_pool_t *config_pool);
void mod_door_note_handler(const char *name, const ap_directive_t *where);
int mod_door_check_apps(apr_pool_t *config_pool, apr_pool_t *log_pool, apr_pool_t *temp_pool,
                        server_rec *s);

/* Logs which have not all that they need; flags: APLOG_STARTUP or 0. */
void mod_door_warn_of_needs(apr_pool_t *temp_pool, server_rec *s, int flags);

/* Looks for that again.  Returns how many applications have a definition now that had none. */
int mod_door_find_apps_again(apr_pool_t *config_pool, server_rec *s);

/* The application of that name, or NULL; all of them, by their names. */
struct mod_door_app *mod_door_find_app(const char *name);
apr_hash_t *mod_door_apps(void);

/* The directory that the supervisor is to make its own in. */
const char *mod_door_runtime_dir(apr_pool_t *pool);

/* ------------------------------------------------------------ outputs.c */

/* What is wrong with an output= that can be opened by its form, or NULL. */
const char *mod_door_check_output(apr_pool_t *pool, server_rec *main_server, const char *output);

/* When httpd has opened its own logs. */
void mod_door_open_outputs(apr_pool_t *config_pool, server_rec *main_server);

/* -------------------------------------------------------- supervision.c */

/* Tells this build of the module from any other one: its version, and a checksum.  The Makefile's. */
extern const char mod_door_build[];
#define MOD_DOOR_BUILD_MAX 64 /* bytes of it that count */

/* A configuration is about to be read: in httpd's parent, which may have a supervisor already. */
void mod_door_find_supervisor(apr_pool_t *config_pool);

/* Whether applications may run already: this is a restart. */
int mod_door_is_supervised(void);

/* In httpd's parent: launches them, or tells the supervisor what is to run now. */
apr_status_t mod_door_launch_apps(server_rec *s);
int mod_door_monitor_supervisor(apr_pool_t *pool, server_rec *s);

/* In a new child: what only httpd's parent may have. */
void mod_door_forget_supervisor(void);

/* What the supervisor shows, or NULL if there is none. */
struct board *mod_door_board(void);

/* Has it look at the application's processes. */
void mod_door_ask_supervisor(const char *name);

/* ----------------------------------------------------------- instance.c */

/* A request's way to a process of an application. */
struct mod_door_instance {
    const struct mod_door_app *app; /* or NULL: the door has a path */
    apr_uint32_t cell;              /* entered on the board, or 0 */
    uint64_t serial;                /* of the process */
    uint64_t refused;               /* of the one that took no calls any more */
    int64_t until_ns;               /* how long it waits for one; 0: it has not waited */
};

struct mod_door_name;

/*
 * Chooses a process that is up, and names its door.  Waits while the
 * application starts: MOD_DOOR_ESTART, _EDOWN.  It is to be left.
 */
apr_status_t mod_door_enter_instance(struct mod_door_instance *in, apr_pool_t *pool,
                                     struct mod_door_name *name);
/* The door of the process with that cell and serial. */
apr_status_t mod_door_name_instance(apr_pool_t *pool, const char *app, apr_uint32_t cell,
                                    uint64_t serial, struct mod_door_name *name);

void mod_door_leave_instance(struct mod_door_instance *in, enum call_end how);

/* When a client that was turned away should come again. */
apr_interval_time_t mod_door_retry_after(const struct mod_door_app *app);

/* -------------------------------------------------------------- doors.c */

/* How a door is to be opened; strings as long-lived as the request. */
struct mod_door_name {
    const char *path;
    apr_size_t trusted_len; /* bytes of path in which symbolic links are followed */
    const char *key;        /* in the table of open doors */
    apr_uint64_t version;   /* a door of another one is not this one; 0: the path tells */
    const char *sender;     /* whom its descriptors are charged to */
    int in_own_dir;         /* whoever serves it owns the directory, and must have attached it */
    int has_owner;          /* this user must have */
    uid_t owner;
};

/* An open door, used by any number of requests at once; see doors.c. */
struct mod_door {
    int fd;
    struct door_handle *handle; /* of fd */
    pid_t pid; /* its server's when it was opened, or -1 */
    dev_t dev; /* of its name then */
    ino_t ino;
    apr_time_t changed; /* the name's change time then */
    apr_time_t checked; /* when the name was last looked at; under the lock */
    unsigned users;     /* requests, and 1 while in the table; under the lock */
    apr_uint64_t version;            /* of the name that it was opened by */
    unsigned sender;                 /* whom its descriptors are charged to */
    int is_attacher_known;           /* the system tells who attached it: */
    uid_t attacher;
    unsigned long serial;            /* tells this child's response doors apart */
    char id[DOOR_WIRE_ID_LEN + 1];   /* names its response door to the application */
    int response_fd;                 /* that, or -1 as long as nobody asked; under the lock */
    char key[];
};

/* Makes the table of open doors; in child_init, before any request. */
apr_status_t mod_door_init(apr_pool_t *child_pool);

/*
 * The name as the configuration gives it.  Returns APR_EACCES if it comes from
 * an .htaccess file and no DoorAllow releases it.
 */
apr_status_t mod_door_find_name(request_rec *r, const struct mod_door_config *conf,
                                struct mod_door_name *name);

/*
 * The door of that name, opened if this child has not done so already; the
 * caller gives it back with mod_door_release().  now is the request's time.
 * Returns APR_SUCCESS, an errno value of door_openat(), or MOD_DOOR_EOWNER; ENOTSUP
 * if its owner is asked for and the system does not tell.
 */
apr_status_t mod_door_acquire(const struct mod_door_name *name, apr_time_t now,
                              struct mod_door **door);

/*
 * For a door that refused a call with EBADF: releases *door, and acquires the
 * one that has the name now.  *door is NULL if that fails.
 */
apr_status_t mod_door_renew(const struct mod_door_name *name, apr_time_t now,
                            struct mod_door **door);

void mod_door_release(struct mod_door *door);

/* Releases a door that nobody is to get any more. */
void mod_door_discard(struct mod_door *door);

/* The door's response door, made when it is first asked for; -1 and errno. */
int mod_door_response_fd(struct mod_door *door);

/* Nobody calls the response door of the door with that serial any more, and no request gets that. */
void mod_door_cut_off(unsigned long serial);

/*
 * door_handle_call() with the signals blocked that httpd sends a child to end
 * it gracefully: they would end the call too.  Returns APR_SUCCESS or errno.
 */
apr_status_t mod_door_invoke(const struct mod_door *door, door_arg_t *args,
                             struct door_terms *terms);

/* ------------------------------------------------------------- status.c */

void mod_door_register_status(void);

/* --------------------------------------------------------------- body.c */

/* The request's body, as far as it has been read. */
struct mod_door_body {
    apr_off_t length;    /* bytes that were announced, or -1 */
    apr_off_t taken;     /* bytes that were read */
    int is_ended;        /* all of it was read, or there is none */
    int is_filtered;     /* content filters may change its length */
    apr_status_t error;  /* why nothing more can be read, or APR_SUCCESS */
    int refused;         /* the HTTP status that an input filter would have sent for it, or 0 */
    apr_bucket_brigade *brigade; /* what a filter gave beyond what was asked for */
};

/* OK, or the HTTP status to answer with. */
int mod_door_body_init(request_rec *r, struct mod_door_body *body);

/*
 * Reads what goes along with the call: what is there, and what a short body
 * that comes at once still lacks.
 */
apr_status_t mod_door_body_prefetch(request_rec *r, struct mod_door_body *body, char *buf,
                                    apr_size_t room, apr_size_t *len);

/*
 * Reads what is there, at most room bytes; with APR_BLOCK_READ it waits for the
 * first.  0 bytes with is_ended is the end.  Returns APR_EAGAIN, or APR_ENOSPC
 * over LimitRequestBody, and what input filters return.
 */
apr_status_t mod_door_body_read(request_rec *r, struct mod_door_body *body, char *buf,
                                apr_size_t room, apr_size_t *len, apr_read_type_e block);

/* What to answer to a body that could not be read: an HTTP status, or AP_FILTER_ERROR. */
int mod_door_body_status(const struct mod_door_body *body);

/* Before the response ends: decides what becomes of a body that was not read. */
void mod_door_body_discard(request_rec *r, struct mod_door_body *body);

/* Before another request answers in this one's place, which then has no body. */
void mod_door_body_abandon(request_rec *r, struct mod_door_body *body);

/* ----------------------------------------------------------- response.c */

/* A response, as far as the application has given it; its strings lie in the request's pool. */
struct mod_door_response {
    int is_begun; /* status and headers are the request's; or one of the two below is set */
    int instead;  /* HTTP status that the handler returns instead, or OK */
    const char *redirect; /* local path that is served instead, or NULL */
    int is_unmet;         /* the client's condition (If-None-Match ...): it gets the head alone */
    int no_body;          /* the client gets none, or no more, of the body */
    int status;
    int has_own_status; /* 200 is what the application has said, and no default */
    struct door_wire_reader fields; /* remaining 0 with DoorProtocol raw */
    const char *content_type;       /* DoorProtocol raw's, otherwise NULL */
    const char *connection;         /* what the Connection fields say, or NULL */
    apr_off_t content_length;       /* or -1 */
    apr_off_t sent;                 /* bytes of body that were passed on */
    apr_status_t error;             /* of passing it on: the client is gone */
};

/* -------------------------------------------------------------- a call */

/*
 * Bytes of the buffer that holds a request's message and then a short answer.
 * APR's allocator keeps blocks of up to 80 KiB in lists by size, its own headers
 * included; pages of one that are not touched cost nothing.
 */
#define MOD_DOOR_BUFFER_LEN (80 * 1024 - 128)

/* An answer that is longer than this is lent, and not copied into the buffer. */
#define MOD_DOOR_COPIED_LEN (8 * 1024)

/* Room for the head and the few fields of a message that carries a body. */
#define MOD_DOOR_HEAD_ROOM 1024

/*
 * One request on its way through a door; the handler's, on its stack.  While
 * the call runs, the thread of the response door that has come with its token
 * has it (response_door.c).
 */
struct mod_door_call {
    request_rec *r;
    const struct mod_door_config *conf;
    _Atomic int64_t deadline_ns; /* of the application; 0: none, or it is not its turn */
    const struct mod_door_limit *limit; /* of the door, or NULL */
    struct mod_door_instance instance;  /* of the application */
    int is_renewed; /* the door at the path has been opened anew */
    char token[DOOR_WIRE_ID_LEN + 1];
    unsigned long serial; /* of the response door that the token is good for */
    int busy;             /* a door thread has the request; response_door.c's lock */
    int client_fd;        /* a copy of the client's socket, or -1; likewise */
    char *buffer;         /* MOD_DOOR_BUFFER_LEN bytes */
    char *arg;            /* the argument: in buffer, or in long_arg */
    apr_size_t arg_len;   /* bytes at arg */
    apr_size_t arg_cap;   /* bytes that have room there */
    char *long_arg;       /* malloc()ed when buffer is too small, otherwise NULL */
    const char *result;   /* the result: in buffer, or lent */
    apr_size_t result_len;
    struct door_loan loan;
    const char *head;      /* a copy of the head of a result that is lent; or NULL */
    apr_size_t head_len;
    unsigned sender; /* of the door that was called */
    int result_fd;   /* a descriptor that came with the result, or -1 */
    struct mod_door_body body;
    struct mod_door_response response;
    apr_bucket_brigade *brigade; /* empty between uses */
    int is_passed;               /* some of the response has gone to the filters */
    apr_status_t complaint; /* what was wrong on the response door, for the log */
    apr_status_t app_error; /* errno of why the application has failed, as it tells, or 0 */
};

/* How long the application may take: for the call, or until it goes on; 0 for ever. */
apr_interval_time_t mod_door_timeout(const struct mod_door_call *call);

/* Gives the application that time from now on. */
void mod_door_set_deadline(struct mod_door_call *call);

/* ------------------------------------------------------------ request.c */

/*
 * Writes the argument of a call: message and the beginning of the body, or the
 * whole body alone with DoorProtocol raw.  Returns OK or the HTTP status to
 * answer with; AP_FILTER_ERROR if that has been done.
 */
int mod_door_write_request(struct mod_door_call *call);

/* The message names this response door from now on. */
void mod_door_name_response_door(struct mod_door_call *call, const struct mod_door *door);

/*
 * Makes the last PART of a body, with the trailers, in the cap bytes at reply, of
 * len bytes that lie behind a head without fields.  Returns its bytes, or 0 if
 * they do not fit.
 */
apr_size_t mod_door_write_last_part(const struct mod_door_call *call, char *reply, apr_size_t cap,
                                    apr_size_t len);

/* ------------------------------------------------ response.c, continued */

/* What an application may say before the body, as much as a client may: door_app.h. */
#define MOD_DOOR_FIELDS_MAX 1000
#define MOD_DOOR_HEAD_MAX   (1024 * 1024) /* bytes of a message's head and fields */

/* APR_SUCCESS, or MOD_DOOR_EHEAD if a message that has been read has too many fields. */
apr_status_t mod_door_check_head(const struct door_wire_reader *message);

/*
 * Checks a message's status and headers, and makes them the request's, unless
 * something else is served instead: see struct mod_door_response.
 */
apr_status_t mod_door_begin(struct mod_door_call *call, struct door_wire_reader message);

/* The same for DoorProtocol raw. */
void mod_door_begin_raw(struct mod_door_call *call);

/* Before a local Location is followed: what of the response's headers stays. */
void mod_door_keep_headers(const struct mod_door_call *call);

/* Sends an interim response (1xx). */
apr_status_t mod_door_send_interim(request_rec *r, struct door_wire_reader message);

/*
 * A bucket of some of the body: of bytes that may be shared with the application,
 * and are there until the brigade has been passed.
 */
apr_bucket *mod_door_body_bucket(const struct mod_door_call *call, const char *bytes,
                                 apr_size_t len);

/*
 * Passes on some of the body, with a FLUSH bucket if asked for; bb is left
 * empty.  APR_SUCCESS also if nobody wants it; MOD_DOOR_ELONG if it was more
 * than Content-Length promised, which was cut.
 */
apr_status_t mod_door_pass(struct mod_door_call *call, apr_bucket_brigade *bb, int flush);

/*
 * Ends the response: with bb, the last of the body, and the trailers among
 * fields.  Returns what a handler returns.
 */
int mod_door_end(struct mod_door_call *call, apr_bucket_brigade *bb,
                 struct door_wire_reader fields);

/* Makes the application's log fields notes of the request, for mod_log_config. */
void mod_door_take_log_fields(request_rec *r, struct door_wire_reader fields);

/* Ends a response that was begun so that the client sees that something is missing. */
int mod_door_end_broken(struct mod_door_call *call, apr_bucket_brigade *bb);

/* APR_SUCCESS, or MOD_DOOR_ESHORT or _ELONG if more bytes make a wrong Content-Length. */
apr_status_t mod_door_check_length(const struct mod_door_call *call, apr_off_t more);

/* --------------------------------------------------------------- lent.c */

/*
 * A bucket of bytes that may change and are there until the brigade has been
 * passed: whoever reads it gets copies, in pieces.
 */
apr_bucket *mod_door_lent_bucket(const char *bytes, apr_size_t len, apr_bucket_alloc_t *list);

/* ------------------------------------------------------------- stream.c */

/* What goes back on the response door. */
struct mod_door_reply {
    char *bytes; /* in storage, or in the door's result buffer */
    apr_size_t len;
    char storage[256];
};

/*
 * Does what a message on the response door asks for.  *fd came along, or is -1;
 * it becomes -1 if it was taken.
 */
void mod_door_serve(struct mod_door_call *call, const struct door_wire_reader *message, int *fd,
                    struct mod_door_reply *reply);

/* What can be told of the client now: DOOR_WIRE_GONE, DOOR_WIRE_MAYBE_GONE, or 0. */
unsigned mod_door_client_state(const struct mod_door_call *call);

/* Makes the reply an ACK. */
void mod_door_ack(struct mod_door_reply *reply, apr_status_t error, unsigned flags);

/* ------------------------------------------------------ response_door.c */

/* Hooks into the end of children. */
void mod_door_register_child_end(void);

apr_status_t mod_door_init_response_doors(apr_pool_t *child_pool);

/* Whether this child is told to end at once. */
int mod_door_is_stopping(void);

/* Random digits. */
apr_status_t mod_door_random_id(char id[DOOR_WIRE_ID_LEN + 1]);

/* A new response door for the calls of that one; -1 and errno. */
int mod_door_make_response_door(const struct mod_door *door);

/* From open to close the response door lets calls in; close waits for the one that is in. */
void mod_door_open_token(struct mod_door_call *call);
void mod_door_close_token(struct mod_door_call *call);

/* ----------------------------------------------------------- received.c */

/*
 * Whoever sends this child descriptors: an application, or who serves the door at a
 * path.  A number below MOD_DOOR_SENDERS, held by each open door of that name; 0 is
 * shared by those that find no room.
 */
#define MOD_DOOR_SENDERS 512

unsigned mod_door_hold_sender(const char *name);
void mod_door_drop_sender(unsigned sender);

/* Whether so many of its descriptors keep threads waiting that it must not be called. */
int mod_door_is_overdrawn(unsigned sender);

enum mod_door_received_kind { MOD_DOOR_FILE, MOD_DOOR_PIPE, MOD_DOOR_SOCKET, MOD_DOOR_OTHER };

/* What a descriptor is, as far as that can be told without waiting for anybody. */
struct mod_door_look {
    enum mod_door_received_kind kind;
    int closes_at_once, reads_at_once; /* if there is something, and it is no pipe */
    apr_off_t size;
};

/* APR_SUCCESS or errno. */
apr_status_t mod_door_look_at(int fd, struct mod_door_look *look);

/* Closes it without waiting for that. */
void mod_door_close_received(unsigned sender, int fd);

/* One that is kept; to be released, by the last user closed. */
struct mod_door_received {
    int fd;
    unsigned sender;
    struct mod_door_look look;
    _Atomic unsigned refs;
};

/* Takes fd over; NULL: no memory. */
struct mod_door_received *mod_door_keep_received(unsigned sender, int fd,
                                                 const struct mod_door_look *look);
void mod_door_release_received(struct mod_door_received *file);

/* Asked a few times a second while somebody waits: an errno value to give up with, or 0. */
typedef apr_status_t mod_door_check(void *data);

/*
 * Reads at most len bytes: of a file at offset, of a pipe or socket what is there.  0
 * bytes are the end.  check may be NULL.  Errors: APR_EAGAIN a pipe or socket has nothing
 * now; MOD_DOOR_ESILENT a file gave nothing for longer than timeout (0: for ever);
 * ECONNABORTED this child ends; check's; those of reading it.
 */
apr_status_t mod_door_read_received(struct mod_door_received *file, char *buf, apr_size_t len,
                                    apr_off_t offset, apr_interval_time_t timeout,
                                    mod_door_check *check, void *data, apr_size_t *got);

/* --------------------------------------------------------------- file.c */

/*
 * What the descriptor stands for, behind the rest of bb; takes fd over.  Of a
 * regular file the part that fields say; of a pipe or socket everything until
 * it ends, which is passed on as it comes.  Errors: MOD_DOOR_EMISUSE,
 * MOD_DOOR_ESILENT it paused for longer than DoorTimeout, those of reading it
 * and of mod_door_pass().
 */
apr_status_t mod_door_add_descriptor(struct mod_door_call *call, apr_bucket_brigade *bb, int fd,
                                     struct door_wire_reader fields);

#endif
