/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * settings.h: the per-directory configuration, and what belongs to it.
 */
#ifndef MOD_DOOR_SETTINGS_H
#define MOD_DOOR_SETTINGS_H

#include <string.h>

#include "mod_door.h"

enum mod_door_protocol { MOD_DOOR_PROTOCOL_UNSET, MOD_DOOR_PROTOCOL_APP, MOD_DOOR_PROTOCOL_RAW };

/* How SCRIPT_NAME is found.  It depends on the kind of container around DoorHandler. */
enum mod_door_mount {
    MOD_DOOR_MOUNT_SERVER,    /* none: the whole server or virtual host */
    MOD_DOOR_MOUNT_LOCATION,  /* a literal URL path; "" is the whole server */
    MOD_DOOR_MOUNT_MATCH,     /* a pattern for URLs */
    MOD_DOOR_MOUNT_DIRECTORY, /* a literal directory, whatever its URL is */
    MOD_DOOR_MOUNT_FILE       /* anything else: SCRIPT_NAME ends at the file, as for CGI */
};

/* DoorMaxConcurrent and what belongs to it.  A door has one limit, wherever it is used. */
struct mod_door_limit {
    int max;                           /* requests that may run at a time; 0: not set */
    int queue_len;                     /* requests that may wait; -1: not set */
    apr_interval_time_t queue_timeout; /* how long they may wait; -1: not set */
};

#define MOD_DOOR_QUEUE_LEN     100
#define MOD_DOOR_QUEUE_TIMEOUT apr_time_from_sec(5)

/* The roles of an application that is asked whether requests may pass. */
enum { MOD_DOOR_AUTHENTICATOR, MOD_DOOR_AUTHORIZER, MOD_DOOR_ACCESS_CHECKER, MOD_DOOR_ROLES };

struct mod_door_guard {
    const char *path;     /* path of a door or name of an application; "" none; NULL not set */
    int is_app;           /* path is the name of an application */
    int in_htaccess;      /* path needs a DoorAllow prefix */
    int is_authoritative; /* -1 not set: yes */
};

/* Per-directory configuration.  The members up to limit belong to one DoorHandler. */
struct mod_door_config {
    const char *path;          /* path of a door or name of an application; "" none; NULL not set */
    int is_app;                /* path is the name of an application */
    enum mod_door_mount mount; /* how to find SCRIPT_NAME */
    const char *mount_path;    /* of a location or directory, without a trailing slash */
    const ap_regex_t *mount_regex; /* of MOD_DOOR_MOUNT_MATCH; NULL: a path with wildcards */
    int in_htaccess;               /* path needs a DoorAllow prefix */
    int has_owner;                 /* the user "owner" must have attached the door at the path */
    uid_t owner;
    struct mod_door_limit limit; /* as set here; mod_door_find_limit() has the door's */

    const apr_array_header_t *allow; /* prefixes (char *), no trailing slash; NULL not set */
    enum mod_door_protocol protocol;
    apr_interval_time_t timeout; /* -1 not set: the server's Timeout; 0 off */
    int error_override;          /* -1 not set */

    struct mod_door_guard guards[MOD_DOOR_ROLES];
    int is_provider;      /* AuthBasicProvider names "door"; -1 not set */
    int may_fall_through; /* AuthBasicAuthoritative or AuthFormAuthoritative is Off; -1 not set */
};

/* The configuration for the request. */
static inline const struct mod_door_config *mod_door_config_of(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &door_module);
}

/* Whether path is the directory, or lies below it. */
static inline int mod_door_is_below(const char *path, const char *directory)
{
    apr_size_t len = strlen(directory);

    return !strncmp(path, directory, len) && (path[len] == '/' || path[len] == '\0');
}

#endif
