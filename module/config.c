/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * config.c: the directives, and the per-directory configuration that they fill.
 * All that can be known before a request is decided here, above all where
 * SCRIPT_NAME ends.  An .htaccess file is read during a request and may be written
 * by anybody.  Directives that it may not have are refused here; target.c, which
 * knows all of the configuration, decides which doors it may name.
 */
#include <apr_fnmatch.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_user.h>
#include <http_request.h>

#include "mod_door.h"
#include "definitions.h"
#include "config.h"
#include "settings.h"
#include "unasked.h"
#include "limit.h"
#include "overlap.h"

/* Longer than any server runs, and its nanoseconds still fit in 63 bits. */
#define TIMEOUT_MAX apr_time_from_sec(100 * 365 * 86400LL)

/* Counts stay far below where sums of them could overflow. */
#define COUNT_MAX 1000000

void *mod_door_create_config(apr_pool_t *pool, char *dir)
{
    struct mod_door_config *conf = apr_pcalloc(pool, sizeof(*conf));
    int i;

    (void)dir;
    conf->timeout = -1;
    conf->error_override = -1;
    conf->limit.queue_len = -1;
    conf->limit.queue_timeout = -1;
    conf->is_provider = -1;
    conf->may_fall_through = -1;
    for (i = 0; i < MOD_DOOR_ROLES; i++)
        conf->guards[i].is_authoritative = -1;
    return conf;
}

static void merge_guard(struct mod_door_guard *guard, const struct mod_door_guard *inner)
{
    int is_authoritative = guard->is_authoritative;

    if (inner->path != NULL)
        *guard = *inner;
    guard->is_authoritative =
        inner->is_authoritative >= 0 ? inner->is_authoritative : is_authoritative;
}

void *mod_door_merge_config(apr_pool_t *pool, void *base, void *add)
{
    const struct mod_door_config *outer = base;
    const struct mod_door_config *inner = add;
    struct mod_door_config *conf = apr_pmemdup(pool, outer, sizeof(*conf));
    int i;

    for (i = 0; i < MOD_DOOR_ROLES; i++)
        merge_guard(&conf->guards[i], &inner->guards[i]);
    if (inner->is_provider >= 0)
        conf->is_provider = inner->is_provider;
    if (inner->may_fall_through >= 0)
        conf->may_fall_through = inner->may_fall_through;
    if (inner->path != NULL) {
        conf->path = inner->path;
        conf->is_app = inner->is_app;
        conf->mount = inner->mount;
        conf->mount_path = inner->mount_path;
        conf->mount_regex = inner->mount_regex;
        conf->in_htaccess = inner->in_htaccess;
        conf->has_owner = inner->has_owner;
        conf->owner = inner->owner;
        conf->limit = inner->limit;
    }
    if (inner->allow != NULL)
        conf->allow = inner->allow;
    if (inner->protocol != MOD_DOOR_PROTOCOL_UNSET)
        conf->protocol = inner->protocol;
    if (inner->timeout >= 0)
        conf->timeout = inner->timeout;
    if (inner->error_override >= 0)
        conf->error_override = inner->error_override;
    return conf;
}

/* The path without its trailing slashes; "/" becomes "". */
static const char *trim_slashes(apr_pool_t *pool, const char *path)
{
    apr_size_t len = strlen(path);

    while (len > 0 && path[len - 1] == '/')
        len--;
    return apr_pstrmemdup(pool, path, len);
}

/* A container's argument.  *is_regex becomes 1 if "~" stands before it. */
static const char *container_path(apr_pool_t *pool, const ap_directive_t *container, int *is_regex)
{
    const char *args = container->args;
    apr_size_t len = strlen(args);
    const char *word;

    if (len > 0 && args[len - 1] == '>')
        len--;
    args = apr_pstrmemdup(pool, args, len);
    word = ap_getword_conf(pool, &args);
    *is_regex = !strcmp(word, "~");
    return *is_regex ? ap_getword_conf(pool, &args) : word;
}

static int is_condition(const ap_directive_t *container)
{
    return !ap_cstr_casecmp(container->directive, "<If") ||
           !ap_cstr_casecmp(container->directive, "<ElseIf") ||
           !ap_cstr_casecmp(container->directive, "<Else");
}

/* Sets the mount for a container whose path is literal or has wildcards. */
static void mount_at(cmd_parms *cmd, struct mod_door_config *conf, enum mod_door_mount mount,
                     const char *path)
{
    if (path[0] != '/')
        conf->mount = MOD_DOOR_MOUNT_FILE;
    else if (!apr_fnmatch_test(path))
        conf->mount = mount;
    else
        conf->mount = mount == MOD_DOOR_MOUNT_LOCATION ? MOD_DOOR_MOUNT_MATCH
                                                       : MOD_DOOR_MOUNT_FILE;
    conf->mount_path = trim_slashes(cmd->pool, path);
}

/* Sets the mount for <LocationMatch>, with the regular expression compiled as httpd does. */
static void mount_at_regex(cmd_parms *cmd, struct mod_door_config *conf, const char *regex)
{
    conf->mount_regex = ap_pregcomp(cmd->pool, regex, AP_REG_EXTENDED);
    conf->mount = conf->mount_regex != NULL ? MOD_DOOR_MOUNT_MATCH : MOD_DOOR_MOUNT_FILE;
}

static void find_mount(cmd_parms *cmd, struct mod_door_config *conf)
{
    const ap_directive_t *container = cmd->directive->parent;
    const char *path;
    int is_regex;

    while (container != NULL && is_condition(container))
        container = container->parent;
    if (container == NULL && conf->in_htaccess) {
        mount_at(cmd, conf, MOD_DOOR_MOUNT_DIRECTORY, cmd->path);
        return;
    }
    conf->mount = MOD_DOOR_MOUNT_SERVER;
    if (container == NULL || !ap_cstr_casecmp(container->directive, "<VirtualHost"))
        return;
    path = container_path(cmd->pool, container, &is_regex);
    if (!ap_cstr_casecmp(container->directive, "<LocationMatch") ||
        (!ap_cstr_casecmp(container->directive, "<Location") && is_regex))
        mount_at_regex(cmd, conf, path);
    else if (!ap_cstr_casecmp(container->directive, "<Location"))
        mount_at(cmd, conf, MOD_DOOR_MOUNT_LOCATION, path);
    else if (!ap_cstr_casecmp(container->directive, "<Directory") && !is_regex)
        mount_at(cmd, conf, MOD_DOOR_MOUNT_DIRECTORY, path);
    else
        conf->mount = MOD_DOOR_MOUNT_FILE;
}

/* Whether path is absolute and has no component that is empty, "." or "..". */
static int is_plain_path(const char *path)
{
    if (*path != '/')
        return 0;
    while (*path == '/') {
        apr_size_t len = strcspn(++path, "/");

        if (len == 0 || (len == 1 && path[0] == '.') || (len == 2 && !strncmp(path, "..", 2)))
            return 0;
        path += len;
    }
    return 1;
}

static int is_none(const char *arg)
{
    return !ap_cstr_casecmp(arg, "none") || !ap_cstr_casecmp(arg, "off");
}

/* "owner=USER": a name, or a number behind a '#' as with User. */
static const char *set_owner(cmd_parms *cmd, struct mod_door_config *conf, const char *arg)
{
    apr_uid_t uid = 0;
    apr_gid_t gid;
    char *end = "";

    if (strncmp(arg, "owner=", 6) != 0 || arg[6] == '\0')
        return apr_psprintf(cmd->pool, "DoorHandler: '%s' is no option; there is owner=USER", arg);
    if (*conf->path == '\0' || conf->is_app)
        return "DoorHandler: owner= belongs to the path of a door: who may serve an application is "
               "known";
    if (arg[6] == '#')
        uid = (apr_uid_t)apr_strtoi64(arg + 7, &end, 10);
    if (arg[6] == '#' ? !apr_isdigit(arg[7]) || *end != '\0'
                      : apr_uid_get(&uid, &gid, arg + 6, cmd->pool) != APR_SUCCESS)
        return apr_psprintf(cmd->pool, "DoorHandler: there is no user '%s'", arg + 6);
    conf->has_owner = 1;
    conf->owner = uid;
    return NULL;
}

static const char *set_handler(cmd_parms *cmd, void *config, const char *arg, const char *option)
{
    struct mod_door_config *conf = config;
    const char *wrong = ap_check_cmd_context(cmd, NOT_IN_LIMIT);

    if (wrong != NULL)
        return wrong;
    conf->in_htaccess = ap_check_cmd_context(cmd, NOT_IN_HTACCESS) != NULL;
    conf->has_owner = 0;
    if (is_none(arg)) {
        conf->path = "";
        conf->is_app = 0;
        return option != NULL ? set_owner(cmd, conf, option) : NULL;
    }
    conf->is_app = ap_strchr_c(arg, '/') == NULL;
    if (conf->is_app && !mod_door_is_app_name(arg))
        return apr_psprintf(cmd->pool, "DoorHandler: '%s' is neither a door's path nor the name "
                                       "of an application", arg);
    if (conf->is_app && !conf->in_htaccess)
        mod_door_note_handler(arg, cmd->directive);
    if (!conf->is_app && conf->in_htaccess && !is_plain_path(arg))
        return "DoorHandler: in .htaccess the path must be absolute, without '.' or '..'";
    conf->path = conf->in_htaccess || conf->is_app ? arg : ap_server_root_relative(cmd->pool, arg);
    if (conf->path == NULL)
        return apr_psprintf(cmd->pool, "DoorHandler: invalid path '%s'", arg);
    find_mount(cmd, conf);
    if (conf->mount == MOD_DOOR_MOUNT_LOCATION)
        mod_door_note_location(conf, cmd->directive, cmd->server);
    return option != NULL ? set_owner(cmd, conf, option) : NULL;
}

/*
 * Called in addition to the core's own SetHandler.  It is merged like DoorHandler, so an inner
 * SetHandler replaces an outer DoorHandler, and the other way round.  In the same section,
 * DoorHandler wins.
 */
static const char *note_set_handler(cmd_parms *cmd, void *config, const char *args)
{
    struct mod_door_config *conf = config;

    (void)cmd;
    (void)args;
    if (conf->path == NULL)
        conf->path = "";
    return NULL;
}

static int has_no_opinion(request_rec *r)
{
    (void)r;
    return DECLINED;
}

/*
 * httpd skips access checks for a subrequest or an internal redirect with the same
 * configuration as its parent, if all check hooks were registered as "per configuration".
 * But an application also looks at the URL.  So where an application may be asked, this
 * registers a hook as "per URI", which makes httpd check each URL.
 */
static void ask_for_each_url(cmd_parms *cmd)
{
    static const char key[] = "mod_door: asked for each URL";
    apr_pool_t *pconf = cmd->server->process->pconf;
    void *is_known = NULL;

    apr_pool_userdata_get(&is_known, key, pconf);
    if (is_known != NULL)
        return;
    apr_pool_userdata_setn(key, key, NULL, pconf);
    ap_hook_check_access(has_no_opinion, NULL, NULL, APR_HOOK_LAST, AP_AUTH_INTERNAL_PER_URI);
}

static const char *add_allow(cmd_parms *cmd, void *config, const char *arg)
{
    struct mod_door_config *conf = config;
    const char *wrong = ap_check_cmd_context(cmd, NOT_IN_HTACCESS | NOT_IN_LIMIT);
    apr_array_header_t *allow;
    const char *prefix;

    if (wrong != NULL)
        return wrong;
    allow = conf->allow != NULL ? apr_array_copy(cmd->pool, conf->allow)
                                : apr_array_make(cmd->pool, 1, sizeof(char *));
    if (is_none(arg)) {
        apr_array_clear(allow);
    } else if (ap_strchr_c(arg, '/') == NULL && mod_door_is_app_name(arg)) {
        APR_ARRAY_PUSH(allow, const char *) = arg;
        mod_door_note_allowed(arg, cmd->directive);
    } else {
        prefix = ap_server_root_relative(cmd->pool, arg);
        if (prefix == NULL)
            return apr_psprintf(cmd->pool, "DoorAllow: invalid path '%s'", arg);
        APR_ARRAY_PUSH(allow, const char *) = trim_slashes(cmd->pool, prefix);
    }
    conf->allow = allow;
    ask_for_each_url(cmd); /* .htaccess may name guards now */
    return NULL;
}

static const char *set_protocol(cmd_parms *cmd, void *config, const char *arg)
{
    struct mod_door_config *conf = config;
    const char *wrong = ap_check_cmd_context(cmd, NOT_IN_HTACCESS | NOT_IN_LIMIT);

    if (wrong != NULL)
        return wrong;
    if (!ap_cstr_casecmp(arg, "app"))
        conf->protocol = MOD_DOOR_PROTOCOL_APP;
    else if (!ap_cstr_casecmp(arg, "raw"))
        conf->protocol = MOD_DOOR_PROTOCOL_RAW;
    else
        return "DoorProtocol must be 'app' or 'raw'";
    return NULL;
}

static const char *read_time(const char *arg, apr_interval_time_t *time)
{
    if (apr_isdigit(arg[0]) && ap_timeout_parameter_parse(arg, time, "s") == APR_SUCCESS &&
        *time >= 0 && *time <= TIMEOUT_MAX)
        return NULL;
    return "must be a time such as '30', '30s', '500ms' or '2mi'";
}

static const char *set_timeout(cmd_parms *cmd, void *config, const char *arg)
{
    struct mod_door_config *conf = config;
    const char *wrong = ap_check_cmd_context(cmd, NOT_IN_HTACCESS | NOT_IN_LIMIT);

    if (wrong != NULL)
        return wrong;
    wrong = read_time(arg, &conf->timeout);
    return wrong == NULL ? NULL : apr_pstrcat(cmd->pool, "DoorTimeout ", wrong, ", or 0 for none",
                                              NULL);
}

static const char *set_error_override(cmd_parms *cmd, void *config, int on)
{
    struct mod_door_config *conf = config;
    const char *wrong = ap_check_cmd_context(cmd, NOT_IN_HTACCESS | NOT_IN_LIMIT);

    if (wrong == NULL)
        conf->error_override = on;
    return wrong;
}

/* ---------------------------------------------------------------- access */

const char *mod_door_read_guard(cmd_parms *cmd, const char *arg, struct mod_door_guard *guard)
{
    guard->in_htaccess = ap_check_cmd_context(cmd, NOT_IN_HTACCESS) != NULL;
    if (!guard->in_htaccess)
        ask_for_each_url(cmd);
    guard->is_app = ap_strchr_c(arg, '/') == NULL;
    if (guard->is_app && !mod_door_is_app_name(arg))
        return apr_psprintf(cmd->pool, "%s: '%s' is neither a door's path nor the name of an"
                                       " application", cmd->cmd->name, arg);
    if (guard->is_app && !guard->in_htaccess)
        mod_door_note_handler(arg, cmd->directive);
    if (!guard->is_app && guard->in_htaccess && !is_plain_path(arg))
        return apr_psprintf(cmd->pool, "%s: in .htaccess the path must be absolute, without '.'"
                                       " or '..'", cmd->cmd->name);
    guard->path =
        guard->in_htaccess || guard->is_app ? arg : ap_server_root_relative(cmd->pool, arg);
    return guard->path != NULL ? NULL : apr_psprintf(cmd->pool, "%s: invalid path '%s'",
                                                     cmd->cmd->name, arg);
}

/* The guard that a directive sets: its cmd->info is the role. */
static struct mod_door_guard *guard_of(const cmd_parms *cmd, struct mod_door_config *conf)
{
    return &conf->guards[(apr_size_t)cmd->info];
}

static const char *set_guard(cmd_parms *cmd, void *config, const char *arg)
{
    struct mod_door_guard *guard = guard_of(cmd, config);
    const char *wrong = ap_check_cmd_context(cmd, NOT_IN_LIMIT);

    if (wrong != NULL)
        return wrong;
    if (is_none(arg)) {
        guard->path = "";
        return NULL;
    }
    if (ap_check_cmd_context(cmd, NOT_IN_HTACCESS) == NULL)
        mod_door_note_guard((int)(apr_size_t)cmd->info, cmd->directive);
    return mod_door_read_guard(cmd, arg, guard);
}

static const char *set_authoritative(cmd_parms *cmd, void *config, int on)
{
    guard_of(cmd, config)->is_authoritative = on;
    return NULL;
}

/*
 * Called in addition to mod_auth_basic's own.  Where "door" is a provider of mod_auth_basic,
 * the hook authenticate() must not ask a second time.
 */
static const char *note_provider(cmd_parms *cmd, void *config, const char *args)
{
    struct mod_door_config *conf = config;

    conf->is_provider = 0;
    while (*args != '\0')
        if (!ap_cstr_casecmp(ap_getword_conf(cmd->temp_pool, &args), "door"))
            conf->is_provider = 1;
    return NULL;
}

/*
 * Called in addition to mod_auth_basic's and mod_auth_form's own.  With Off, an error of a
 * provider could let others decide, so check_password() says "denied" instead.
 */
static const char *note_fall_through(cmd_parms *cmd, void *config, int on)
{
    struct mod_door_config *conf = config;

    (void)cmd;
    conf->may_fall_through = !on;
    return NULL;
}

/* ---------------------------------------------------------------- limits */

static const char *read_count(cmd_parms *cmd, const char *arg, int min, int *count)
{
    const char *wrong = ap_check_cmd_context(cmd, NOT_IN_HTACCESS | NOT_IN_LIMIT);
    char *end;
    apr_int64_t number = apr_strtoi64(arg, &end, 10);

    if (wrong != NULL)
        return wrong;
    if (!apr_isdigit(arg[0]) || *end != '\0' || number < min || number > COUNT_MAX)
        return apr_psprintf(cmd->pool, "%s must be a number from %d to %d", cmd->cmd->name, min,
                            COUNT_MAX);
    *count = (int)number;
    return NULL;
}

static const char *set_max_concurrent(cmd_parms *cmd, void *config, const char *arg)
{
    struct mod_door_config *conf = config;
    const char *wrong = read_count(cmd, arg, 1, &conf->limit.max);

    if (wrong == NULL)
        mod_door_note_limit(conf, cmd->directive);
    return wrong;
}

static const char *set_queue_length(cmd_parms *cmd, void *config, const char *arg)
{
    struct mod_door_config *conf = config;
    const char *wrong = read_count(cmd, arg, 0, &conf->limit.queue_len);

    if (wrong == NULL)
        mod_door_note_limit(conf, cmd->directive);
    return wrong;
}

static const char *set_queue_timeout(cmd_parms *cmd, void *config, const char *arg)
{
    struct mod_door_config *conf = config;
    const char *wrong = ap_check_cmd_context(cmd, NOT_IN_HTACCESS | NOT_IN_LIMIT);

    if (wrong != NULL)
        return wrong;
    wrong = read_time(arg, &conf->limit.queue_timeout);
    if (wrong != NULL)
        return apr_pstrcat(cmd->pool, "DoorQueueTimeout ", wrong, NULL);
    mod_door_note_limit(conf, cmd->directive);
    return NULL;
}

const command_rec mod_door_commands[] = {
    AP_INIT_TAKE12("DoorHandler", set_handler, NULL, OR_FILEINFO,
                   "the application, or the path of the door, that answers requests here; or 'none';"
                   " with a path owner=USER: who must have attached the door"),
    AP_INIT_RAW_ARGS("SetHandler", note_set_handler, NULL, OR_FILEINFO,
                     "a handler name, which takes the place of a DoorHandler further out"),
    AP_INIT_ITERATE("DoorAllow", add_allow, NULL, RSRC_CONF | ACCESS_CONF,
                    "applications, and paths below which doors, .htaccess files may name; or 'none'"),
    AP_INIT_TAKE1("DoorProtocol", set_protocol, NULL, RSRC_CONF | ACCESS_CONF,
                  "'app': messages of the application runtime; 'raw': the bodies alone"),
    AP_INIT_TAKE1("DoorTimeout", set_timeout, NULL, RSRC_CONF | ACCESS_CONF,
                  "longest time that the application may take, in seconds or with a unit"),
    AP_INIT_FLAG("DoorErrorOverride", set_error_override, NULL, RSRC_CONF | ACCESS_CONF,
                 "On: httpd's own pages (ErrorDocument) for the application's errors"),
    AP_INIT_TAKE1("DoorMaxConcurrent", set_max_concurrent, NULL, RSRC_CONF | ACCESS_CONF,
                  "how many threads a launched application may have, or how many calls of another door may run"),
    AP_INIT_TAKE1("DoorQueueLength", set_queue_length, NULL, RSRC_CONF | ACCESS_CONF,
                  "how many more may wait for that"),
    AP_INIT_TAKE1("DoorQueueTimeout", set_queue_timeout, NULL, RSRC_CONF | ACCESS_CONF,
                  "how long they may, in seconds or with a unit"),
    AP_INIT_TAKE1("DoorAuthenticator", set_guard, (void *)MOD_DOOR_AUTHENTICATOR, OR_AUTHCFG,
                  "the application, or the path of the door, that checks passwords; or 'none'"),
    AP_INIT_TAKE1("DoorAuthorizer", set_guard, (void *)MOD_DOOR_AUTHORIZER, OR_AUTHCFG,
                  "the application, or the path of the door, that says what a user may; or 'none'"),
    AP_INIT_TAKE1("DoorAccessChecker", set_guard, (void *)MOD_DOOR_ACCESS_CHECKER, OR_AUTHCFG,
                  "the application, or the path of the door, that is asked whoever comes; or 'none'"),
    AP_INIT_FLAG("DoorAuthenticatorAuthoritative", set_authoritative,
                 (void *)MOD_DOOR_AUTHENTICATOR, OR_AUTHCFG,
                 "Off: whom DoorAuthenticator refuses others may know"),
    AP_INIT_FLAG("DoorAuthorizerAuthoritative", set_authoritative, (void *)MOD_DOOR_AUTHORIZER,
                 OR_AUTHCFG, "Off: where DoorAuthorizer refuses others may decide"),
    AP_INIT_FLAG("DoorAccessCheckerAuthoritative", set_authoritative,
                 (void *)MOD_DOOR_ACCESS_CHECKER, OR_AUTHCFG,
                 "Off: where DoorAccessChecker refuses others may decide"),
    AP_INIT_RAW_ARGS("AuthBasicProvider", note_provider, NULL, OR_AUTHCFG,
                     "as mod_auth_basic has it; door asks DoorAuthenticator's door"),
    AP_INIT_FLAG("AuthBasicAuthoritative", note_fall_through, NULL, OR_AUTHCFG,
                 "as mod_auth_basic has it"),
    AP_INIT_FLAG("AuthFormAuthoritative", note_fall_through, NULL, OR_AUTHCFG,
                 "as mod_auth_form has it"),
    AP_INIT_RAW_ARGS("DoorApp", mod_door_add_app, NULL, RSRC_CONF,
                     "NAME \"COMMAND\" [key=value ...]: an application to launch"),
    AP_INIT_TAKE1("DoorBusyTimeout", mod_door_set_busy_timeout, NULL, RSRC_CONF,
                  "an application that takes no calls that wait, and goes on with none, for so long, is replaced; 0: never"),
    AP_INIT_TAKE1("DoorRuntimeDir", mod_door_set_runtime_dir, NULL, RSRC_CONF,
                  "directory for the doors of launched applications"),
    {NULL, {NULL}, NULL, 0, RAW_ARGS, NULL}};
