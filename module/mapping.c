/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * mapping.c: which requests are a door's, and what SCRIPT_NAME is.
 *
 * DoorHandler is a SetHandler: it is decided in the fixups, when all sections
 * have been merged.  A URL whose door stands in a <Location> is not a file's
 * name besides: it is not mapped onto the disk, and nothing there is looked at.
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
 * How many bytes of the URL are the path, as whole components; -1 none.  With
 * MergeSlashes Off the URL may have several slashes where <Location> has one.
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

/* How many bytes of the URL are before the path that it ends with; -1 it does not. */
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
 * For a door in <Directory>: what the URL has behind the directory's own one is
 * what the file name has behind the directory.  Returns -1 if they differ (an
 * Alias for a single file, a rewritten name).
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
    /* The directory itself: httpd adds a slash that the URL need not have. */
    if (*path_info == '\0' && !strcmp(file, "/") && uri_len > 0 && r->uri[uri_len - 1] != '/')
        return (apr_ssize_t)uri_len;
    return match_end(r->uri, apr_pstrcat(r->pool, file, path_info, NULL));
}

/*
 * For a door in <LocationMatch>: up to the end of the match, and of the
 * component that this is in; slashes at the end are PATH_INFO's.
 */
static apr_ssize_t match_len(const request_rec *r, const ap_regex_t *regex)
{
    ap_regmatch_t match;
    apr_size_t len;

    if (regex == NULL) /* <Location> with wildcards: httpd has compared all of the URL */
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

/* AcceptPathInfo Off, where there is a file that something can be behind. */
int mod_door_rejects_path_info(const request_rec *r, const struct mod_door_config *conf)
{
    return (conf->mount == MOD_DOOR_MOUNT_DIRECTORY || conf->mount == MOD_DOOR_MOUNT_FILE) &&
           r->used_path_info == AP_REQ_REJECT_PATH_INFO && r->path_info != NULL &&
           *r->path_info != '\0';
}

/* ----------------------------------------------------------------- hooks */

static char is_not_mapped; /* its address: a request's note for itself */

int mod_door_has_no_file(const request_rec *r)
{
    return r->filename == NULL ||
           !strncmp(r->filename, MOD_DOOR_FILE_PREFIX, strlen(MOD_DOOR_FILE_PREFIX));
}

/*
 * After Alias and mod_rewrite: what they have mapped, is.  What mod_rewrite has
 * only rewritten ([PT]) has had its <Location> looked up by its old name.
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

/* Instead of the core's walk over directories.  Here per_dir_config says nothing of <Location>. */
static int map_to_storage(request_rec *r)
{
    return ap_get_module_config(r->request_config, &door_module) == &is_not_mapped ? OK : DECLINED;
}

/* After the core's own SetHandler and before mod_rewrite, which may decide otherwise. */
static int claim_request(request_rec *r)
{
    if (has_door(mod_door_config_of(r)))
        r->handler = HANDLER_NAME;
    return DECLINED;
}

/*
 * mod_dir would redirect a directory's URL to one with a slash, or to an index
 * file, whoever handles it; mod_speling would look for names like that of
 * something that is not there; and what mod_dir is told to look up
 * (DirectoryIndex, FallbackResource) it takes only if it is a file.  The walks
 * are done by now: for them a door's URL is a regular file's.
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

    /* VirtualDocumentRoot is a DocumentRoot: after us, like the core's. */
    ap_hook_translate_name(translate, NULL, before_vhost_alias, APR_HOOK_LAST);
    /* TRACE and OPTIONS * are answered before. */
    ap_hook_map_to_storage(map_to_storage, NULL, NULL, APR_HOOK_LAST);
    ap_hook_fixups(claim_request, after_core, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_fixups(show_file, NULL, before_mod_dir, APR_HOOK_LAST);
}
