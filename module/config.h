/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * config.c: the directives.
 */
#ifndef MOD_DOOR_CONFIG_H
#define MOD_DOOR_CONFIG_H

#include "mod_door.h"
#include "limit.h"

enum mod_door_protocol { MOD_DOOR_PROTOCOL_UNSET, MOD_DOOR_PROTOCOL_APP, MOD_DOOR_PROTOCOL_RAW };

/* How SCRIPT_NAME is found: what kind of container DoorHandler stands in. */
enum mod_door_mount {
    MOD_DOOR_MOUNT_SERVER,    /* none: the whole server's or virtual host's */
    MOD_DOOR_MOUNT_LOCATION,  /* at a literal URL path; "" is the whole server */
    MOD_DOOR_MOUNT_MATCH,     /* at whatever URL a pattern matches */
    MOD_DOOR_MOUNT_DIRECTORY, /* at whatever URL a literal directory has */
    MOD_DOOR_MOUNT_FILE       /* anything else: the file in the path, as CGI */
};

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
void *mod_door_create_config(apr_pool_t *pool, char *dir);
void *mod_door_merge_config(apr_pool_t *pool, void *base, void *add);

/* DoorBatchScheduling: on unless the configuration says otherwise. */
int mod_door_wants_batch(void);
void mod_door_forget_batch(void);

#endif
