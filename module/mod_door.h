/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * mod_door.h: what the files of the httpd module share.  mod_door.c tells the
 * story of a request; config.c reads the directives, doors.c keeps this
 * child's open doors, request.c makes the message for the application,
 * response.c turns its answer into a checked HTTP response, bucket.c owns
 * answers that came as a mapping.
 *
 * Helpers return an apr_status_t (an errno value, or one of enum
 * mod_door_error) or an HTTP status, and do not log: the handler does.
 */
#ifndef MOD_DOOR_H
#define MOD_DOOR_H

#include <sys/types.h>

#include <apr_buckets.h>
#include <apr_tables.h>
#include <apr_time.h>
#include <httpd.h>
#include <http_config.h>

#include "door_compat.h"
#include "wire.h"

/* The one symbol that httpd looks up; everything else is compiled hidden. */
extern __attribute__((visibility("default"))) module AP_MODULE_DECLARE_DATA door_module;

/* What is wrong with an answer, beside what errno can say. */
enum mod_door_error {
    MOD_DOOR_ESTATUS = APR_OS_START_USERERR, /* a status that is not final */
    MOD_DOOR_EHEADER,                        /* a header that HTTP does not allow */
    MOD_DOOR_ELENGTH,                        /* Content-Length malformed or repeated */
    MOD_DOOR_ESHORT,                         /* fewer bytes than Content-Length */
    MOD_DOOR_ELONG                           /* more bytes than Content-Length */
};

/* ------------------------------------------------------------- config.c */

enum mod_door_protocol { MOD_DOOR_PROTOCOL_UNSET, MOD_DOOR_PROTOCOL_APP, MOD_DOOR_PROTOCOL_RAW };

/* How SCRIPT_NAME is found: what kind of container DoorHandler stands in. */
enum mod_door_mount {
    MOD_DOOR_MOUNT_LOCATION,  /* at a literal URL path; "" is the whole server */
    MOD_DOOR_MOUNT_DIRECTORY, /* at whatever URL a literal directory has */
    MOD_DOOR_MOUNT_FILE       /* anything else: the file in the path, as CGI */
};

/* Per-directory configuration.  The first four belong together, set by one DoorHandler. */
struct mod_door_config {
    const char *path;          /* the door's name; "" none; NULL not said here */
    enum mod_door_mount mount; /* how to find SCRIPT_NAME */
    const char *mount_path;    /* of location or directory, without a trailing slash */
    int in_htaccess;           /* path needs a DoorAllow prefix */

    const apr_array_header_t *allow; /* prefixes (char *), no trailing slash; NULL not said */
    enum mod_door_protocol protocol;
    apr_interval_time_t timeout; /* -1 not said: the server's Timeout; 0 off */
};

extern const command_rec mod_door_commands[];

void *mod_door_create_config(apr_pool_t *pool, char *dir);
void *mod_door_merge_config(apr_pool_t *pool, void *base, void *add);

/* -------------------------------------------------------------- doors.c */

/* How a door is to be opened; strings as long-lived as the request. */
struct mod_door_name {
    const char *path;
    apr_size_t trusted_len; /* bytes of path in which symbolic links are followed */
    const char *key;        /* in the table of open doors */
};

/* An open door, used by any number of requests at once; see doors.c. */
struct mod_door {
    int fd;
    pid_t pid; /* its server's when it was opened, or -1 */
    dev_t dev; /* of its name then */
    ino_t ino;
    apr_time_t changed; /* the name's change time then */
    apr_time_t checked; /* when the name was last looked at; under the lock */
    unsigned users;     /* requests, and 1 while in the table; under the lock */
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
 * Returns APR_SUCCESS or an errno value of door_openat().
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

/*
 * door_call_until() with the signals blocked that httpd sends a child to end
 * it gracefully: they would end the call too.  Returns APR_SUCCESS or errno.
 */
apr_status_t mod_door_invoke(const struct mod_door *door, door_arg_t *args,
                             const _Atomic int64_t *deadline_ns);

/* ------------------------------------------------------------ request.c */

/*
 * Bytes of the buffer that holds a request's message and then its answer.  An
 * answer that is longer comes as a fresh mapping, whose page faults and
 * unmapping cost more than the rest of the request.  APR's allocator keeps
 * blocks of up to 80 KiB in lists by size, the bucket's and its own headers
 * included; pages of one that are not touched cost nothing.
 */
#define MOD_DOOR_BUFFER_LEN (80 * 1024 - 128)

/* One call of a door: the handler's, on its stack. */
struct mod_door_call {
    char *buffer;       /* MOD_DOOR_BUFFER_LEN bytes; NULL once a bucket owns it */
    char *arg;          /* the argument: in buffer, or in long_arg */
    apr_size_t arg_len; /* bytes at arg */
    char *long_arg;     /* malloc()ed when buffer is too small, otherwise NULL */
    const char *result; /* the result: in buffer, or in mapping */
    apr_size_t result_len;
    void *mapping; /* of a result longer than buffer; NULL once a bucket owns it */
    apr_size_t mapping_len;
};

/*
 * Writes the argument of a call: message and body, or the body alone with
 * DoorProtocol raw.  Reads the body to its end.  Returns OK or the HTTP status
 * to answer with; AP_FILTER_ERROR if that has been done.
 */
int mod_door_write_request(request_rec *r, const struct mod_door_config *conf,
                           struct mod_door_call *call);

/* ----------------------------------------------------------- response.c */

/* An answer that has been checked; its strings lie in the request's pool. */
struct mod_door_response {
    int status;
    struct door_wire_reader fields; /* remaining 0 with DoorProtocol raw */
    const char *content_type;       /* DoorProtocol raw's, otherwise NULL */
    const char *connection;         /* what the Connection fields say, or NULL */
    apr_off_t content_length;       /* or -1 */
    apr_size_t body_offset;         /* in the call's result */
    apr_size_t body_len;
};

/* Checks the call's result.  Changes nothing of the request. */
apr_status_t mod_door_read_response(request_rec *r, const struct mod_door_config *conf,
                                    const struct mod_door_call *call,
                                    struct mod_door_response *response);

/*
 * APR_SUCCESS, or MOD_DOOR_ESHORT or MOD_DOOR_ELONG if the body's length is not
 * what Content-Length promised: sending deals with it, the log should tell.
 */
apr_status_t mod_door_check_length(const request_rec *r, const struct mod_door_response *response);

/*
 * Sets status and headers and passes the body on; the result's memory goes with
 * it.  Returns what a handler returns.
 */
int mod_door_send_response(request_rec *r, const struct mod_door_response *response,
                           struct mod_door_call *call);

/* ------------------------------------------------------------- bucket.c */

/* A bucket of len bytes at offset in a mapping, which is unmapped with its last copy. */
apr_bucket *mod_door_mapping_bucket(void *mapping, apr_size_t mapping_len, apr_size_t offset,
                                    apr_size_t len, apr_bucket_alloc_t *list);

#endif
