/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * settings.h: what the directives say of a place.
 */
#ifndef MOD_DOOR_SETTINGS_H
#define MOD_DOOR_SETTINGS_H

#include <string.h>

#include "mod_door.h"

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
};

#define MOD_DOOR_QUEUE_LEN     100
#define MOD_DOOR_QUEUE_TIMEOUT apr_time_from_sec(5)

/* Who is asked whether requests may pass. */
enum { MOD_DOOR_AUTHENTICATOR, MOD_DOOR_AUTHORIZER, MOD_DOOR_ACCESS_CHECKER, MOD_DOOR_ROLES };

struct mod_door_guard {
    const char *path;     /* the door's or application's name; "" none; NULL not said here */
    int is_app;           /* it is an application's */
    int in_htaccess;      /* path needs a DoorAllow prefix */
    int is_authoritative; /* -1 not said: yes */
};

/* Per-directory configuration.  Those up to limit belong together, set by one DoorHandler. */
struct mod_door_config {
    const char *path;          /* the door's or application's name; "" none; NULL not said here */
    int is_app;                /* it is an application's */
    enum mod_door_mount mount; /* how to find SCRIPT_NAME */
    const char *mount_path;    /* of location or directory, without a trailing slash */
    const ap_regex_t *mount_regex; /* of a match; NULL: it has wildcards */
    int in_htaccess;               /* path needs a DoorAllow prefix */
    int has_owner;                 /* the door at the path must be attached by: */
    uid_t owner;
    struct mod_door_limit limit; /* what is said here; see mod_door_find_limit() */

    const apr_array_header_t *allow; /* prefixes (char *), no trailing slash; NULL not said */
    enum mod_door_protocol protocol;
    apr_interval_time_t timeout; /* -1 not said: the server's Timeout; 0 off */
    int error_override;          /* -1 not said */

    struct mod_door_guard guards[MOD_DOOR_ROLES];
    int is_provider;      /* AuthBasicProvider names us; -1 not said */
    int may_fall_through; /* AuthBasicAuthoritative or AuthFormAuthoritative is Off; -1 not said */
};

/* What holds for the request. */
static inline const struct mod_door_config *mod_door_config_of(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &door_module);
}

/* Whether path is that directory, or lies below it. */
static inline int mod_door_is_below(const char *path, const char *directory)
{
    apr_size_t len = strlen(directory);

    return !strncmp(path, directory, len) && (path[len] == '/' || path[len] == '\0');
}

#endif
