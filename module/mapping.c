/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * mapping.c: which requests go to doors, and what SCRIPT_NAME is.
 *
 * DoorHandler works like SetHandler: the fixups decide, when all sections have been
 * merged.  If the DoorHandler is in a <Location>, the URL is not mapped to the disk
 * at all, and no files are looked at.
 */
#include <string.h>

#include <apr_strings.h>
#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_request.h>
#include <util_script.h>

#include "mod_door.h"
#include "settings.h"
#include "mapping.h"

#define HANDLER_NAME "door"

static int has_door(const struct mod_door_config *conf)
{
    return conf->path != NULL && *conf->path != '\0';
}

int mod_door_is_ours(const request_rec *r)
{
    return r->handler != NULL && !strcmp(r->handler, HANDLER_NAME) &&
           has_door(mod_door_config_of(r));
}

/* ---------------------------------------------------------- SCRIPT_NAME */

/*
 * How many bytes at the beginning of the URL match the path, in whole components; -1 if it
 * does not match.  With MergeSlashes Off the URL may have several slashes where <Location>
 * has one.
 */
static apr_ssize_t match_begin(const char *uri, const char *path)
{
    const char *at = uri;

    for (; *path != '\0'; path++) {
        if (*at++ != *path)
            return -1;
        while (*path == '/' && *at == '/')
            at++;
    }
    return *at == '/' || *at == '\0' ? at - uri : -1;
}

/* How many bytes of the URL are before the path at its end; -1 if it does not end with the path. */
static apr_ssize_t match_end(const char *uri, const char *path)
{
    const char *at = uri + strlen(uri);
    const char *from = path + strlen(path);

    while (from > path) {
        if (at == uri || *--at != *--from)
            return -1;
        while (*from == '/' && at > uri && at[-1] == '/')
            at--;
    }
    return at - uri;
}

/*
 * For a door in <Directory>: the length of the directory's own URL.  The URL and the file
 * name must have the same text behind the directory.  Returns -1 if they differ (an Alias
 * for a single file, a rewritten name).
 */
static apr_ssize_t directory_len(const request_rec *r, const char *directory)
{
    apr_size_t len = strlen(directory);
    apr_size_t uri_len = strlen(r->uri);
    const char *path_info = r->path_info != NULL ? r->path_info : "";
    const char *file;

    if (r->filename == NULL || strncmp(r->filename, directory, len) != 0)
        return -1;
    file = r->filename + len;
    if (*file != '/' && *file != '\0')
        return -1;
    /* The directory itself: httpd adds a slash to the file name, even if the URL has none. */
    if (*path_info == '\0' && !strcmp(file, "/") && uri_len > 0 && r->uri[uri_len - 1] != '/')
        return (apr_ssize_t)uri_len;
    return match_end(r->uri, apr_pstrcat(r->pool, file, path_info, NULL));
}

/*
 * For a door in <LocationMatch>: the length up to the end of the component in which the
 * match ends.  Slashes at the end belong to PATH_INFO.
 */
static apr_ssize_t match_len(const request_rec *r, const ap_regex_t *regex)
{
    ap_regmatch_t match;
    apr_size_t len;

    if (regex == NULL) /* <Location> with wildcards: httpd has matched all of the URL */
        return (apr_ssize_t)strlen(r->uri);
    if (ap_regexec(regex, r->uri, 1, &match, 0) != 0 || match.rm_eo < 0)
        return -1;
    len = (apr_size_t)match.rm_eo;
    if (len > 0 && r->uri[len - 1] != '/')
        len += strcspn(r->uri + len, "/");
    while (len > 0 && r->uri[len - 1] == '/')
        len--;
    return (apr_ssize_t)len;
}

apr_size_t mod_door_script_len(const request_rec *r, const struct mod_door_config *conf)
{
    apr_ssize_t len = -1;

    switch (conf->mount) {
    case MOD_DOOR_MOUNT_SERVER:
        len = 0;
        break;
    case MOD_DOOR_MOUNT_LOCATION:
        len = match_begin(r->uri, conf->mount_path);
        break;
    case MOD_DOOR_MOUNT_MATCH:
        len = match_len(r, conf->mount_regex);
        break;
    case MOD_DOOR_MOUNT_DIRECTORY:
        len = directory_len(r, conf->mount_path);
        break;
    case MOD_DOOR_MOUNT_FILE:
        break;
    }
    if (len >= 0)
        return (apr_size_t)len;
    if (r->path_info == NULL || *r->path_info == '\0')
        return strlen(r->uri);
    return (apr_size_t)ap_find_path_info(r->uri, r->path_info);
}

/* AcceptPathInfo has a meaning only where the URL is mapped to a file. */
int mod_door_rejects_path_info(const request_rec *r, const struct mod_door_config *conf)
{
    return (conf->mount == MOD_DOOR_MOUNT_DIRECTORY || conf->mount == MOD_DOOR_MOUNT_FILE) &&
           r->used_path_info == AP_REQ_REJECT_PATH_INFO && r->path_info != NULL &&
           *r->path_info != '\0';
}

/* ----------------------------------------------------------------- hooks */

static char is_not_mapped; /* its address marks a request that is not mapped to the disk */

int mod_door_has_no_file(const request_rec *r)
{
    return r->filename == NULL ||
           !strncmp(r->filename, MOD_DOOR_FILE_PREFIX, strlen(MOD_DOOR_FILE_PREFIX));
}

/*
 * Runs after Alias and mod_rewrite, and not for a URL that they have mapped.  If mod_rewrite
 * has only changed the URL ([PT]), <Location> was looked up for the old URL, so this looks
 * again.
 */
static int translate(request_rec *r)
{
    const struct mod_door_config *conf;
    apr_size_t len;
    int status;

    if (r->proxyreq || r->uri == NULL || *r->uri != '/')
        return DECLINED;
    if (r->uri != r->parsed_uri.path) {
        r->per_dir_config = r->server->lookup_defaults;
        status = ap_location_walk(r);
        if (status == OK)
            status = ap_if_walk(r);
        if (status != OK)
            return status;
    }
    conf = mod_door_config_of(r);
    if (!has_door(conf) ||
        (conf->mount != MOD_DOOR_MOUNT_LOCATION && conf->mount != MOD_DOOR_MOUNT_MATCH))
        return DECLINED;
    len = mod_door_script_len(r, conf);
    r->filename =
        apr_pstrcat(r->pool, MOD_DOOR_FILE_PREFIX, apr_pstrmemdup(r->pool, r->uri, len), NULL);
    r->path_info = apr_pstrdup(r->pool, r->uri + len);
    ap_set_module_config(r->request_config, &door_module, &is_not_mapped);
    return OK;
}

/*
 * Replaces the core's walk over directories.  It relies on translate()'s mark, because here
 * per_dir_config does not have the settings of <Location>.
 */
static int map_to_storage(request_rec *r)
{
    return ap_get_module_config(r->request_config, &door_module) == &is_not_mapped ? OK : DECLINED;
}

/* After the core's own SetHandler, and before mod_rewrite, which may set another handler. */
static int claim_request(request_rec *r)
{
    if (has_door(mod_door_config_of(r)))
        r->handler = HANDLER_NAME;
    return DECLINED;
}

/*
 * Makes a door's URL look like that of a regular file to mod_dir and mod_speling, whose
 * fixups run after this one.  Otherwise mod_dir would redirect a directory's URL to one with
 * a slash or to an index file, mod_speling would search for similar names of missing files,
 * and mod_dir would not accept the URL for DirectoryIndex or FallbackResource.
 */
static int show_file(request_rec *r)
{
    if (mod_door_is_ours(r))
        r->finfo.filetype = APR_REG;
    return DECLINED;
}

void mod_door_register_mapping(void)
{
    static const char *const before_vhost_alias[] = {"mod_vhost_alias.c", NULL};
    static const char *const after_core[] = {"core.c", NULL};
    static const char *const before_mod_dir[] = {"mod_dir.c", "mod_speling.c", NULL};

    /* mod_vhost_alias maps to a DocumentRoot, so it must come later, like the core. */
    ap_hook_translate_name(translate, NULL, before_vhost_alias, APR_HOOK_LAST);
    /* Last: the core must answer TRACE and OPTIONS * first. */
    ap_hook_map_to_storage(map_to_storage, NULL, NULL, APR_HOOK_LAST);
    ap_hook_fixups(claim_request, after_core, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_fixups(show_file, NULL, before_mod_dir, APR_HOOK_LAST);
}
