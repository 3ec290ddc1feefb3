/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * definitions.c: DoorApp, whose options are in app_options.c, and the directives that
 * belong to it.
 *
 * A definition is checked while the configuration is read.  At the first start, a
 * mistake is an error with its line; at a restart it is only logged, and the
 * application goes on as it was.  When something that the application needs is
 * missing (needs.c), that is only logged: a half-done deployment must not take the
 * site down.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_hash.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <unixd.h>

#include "mod_door.h"
#include "limit.h"
#include "definitions.h"
#include "hints.h"
#include "needs.h"
#include "outputs.h"
#include "said_app.h"
#include "suggest.h"
#include "supervision.h"
#include "tag.h"

APLOG_USE_MODULE(door);

#define PATH_VARIABLE "PATH=" MOD_DOOR_DEFAULT_PATH

/* A DoorHandler that names an application. */
struct said_handler {
    const char *name;
    const ap_directive_t *where;
};

/* Of the configuration that is being read, or in force. */
static apr_array_header_t *said_apps;     /* struct said_app * */
static apr_array_header_t *said_handlers; /* struct said_handler */
static apr_array_header_t *said_allowed;  /* the same, of DoorAllow */
static apr_interval_time_t busy_timeout;  /* DoorBusyTimeout */
static const char *runtime_parent;        /* DoorRuntimeDir, or NULL */
static apr_hash_t *apps;                  /* name: struct mod_door_app * */

/* -------------------------------------------------------------- one DoorApp */

int mod_door_is_app_name(const char *name)
{
    apr_size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._-");

    return apr_isalnum(name[0]) && name[len] == '\0' && len <= APP_NAME_MAX;
}

static const char *set_command(cmd_parms *cmd, struct said_app *app, const char *command)
{
    app->command = command;
    if (apr_tokenize_to_argv(command, &app->argv, cmd->pool) != APR_SUCCESS ||
        app->argv[0] == NULL || *app->argv[0] == '\0')
        return "needs a command";
    app->needs.said_program = app->argv[0];
    app->needs.program = ap_server_root_relative(cmd->pool, app->argv[0]);
    if (app->needs.program == NULL)
        return "needs a command with a path";
    app->argv[0] = (char *)app->needs.program;
    return NULL;
}

static const char *set_options(cmd_parms *cmd, struct said_app *app, const char *args)
{
    const char *wrong = NULL;

    while (wrong == NULL && *args != '\0') {
        const char *word = ap_getword_conf(cmd->pool, &args);

        /* Both env=NAME=value and env NAME=value. */
        if (!ap_cstr_casecmp(word, "env") && *args != '\0')
            word = apr_pstrcat(cmd->pool, "env=", ap_getword_conf(cmd->pool, &args), NULL);
        wrong = mod_door_check_quotes(cmd->pool, word, args);
        if (wrong == NULL)
            wrong = mod_door_set_app_option(cmd, app, word);
    }
    if (wrong == NULL && app->numbers.backoff_max_ns < app->numbers.backoff_min_ns)
        wrong = "backoff-max must not be less than backoff-min (500ms, if it is not said)";
    return wrong;
}

/* Checks the application's user, which depends on httpd's User and on who started httpd. */
static const char *check_user(const struct said_app *app)
{
    const struct app_definition *def = &app->numbers;
    struct passwd *user = app->needs.user != NULL ? getpwnam(app->needs.user) : NULL;
    struct group *group = app->needs.group != NULL ? getgrnam(app->needs.group) : NULL;

    if (geteuid() == 0)
        return def->uid == 0 && user == NULL ? "needs user=: httpd's own User is root" : NULL;
    /* httpd -t need not be run by root. */
    if (((user != NULL && user->pw_uid != geteuid()) ||
         (group != NULL && group->gr_gid != getegid())) &&
        ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_NORMAL)
        return "user= and group= need an httpd that was started by root";
    return NULL;
}

static int is_in_env(const apr_array_header_t *env, const char *variable)
{
    apr_size_t len = (apr_size_t)(strchr(variable, '=') - variable) + 1;
    int i;

    for (i = 0; i < env->nelts; i++)
        if (!strncmp(APR_ARRAY_IDX(env, i, const char *), variable, len))
            return 1;
    return 0;
}

/* How many server threads each process may have.  The application runtime obeys this variable. */
static const char *threads_variable(apr_pool_t *pool, const struct said_app *app)
{
    const struct mod_door_limit *limit = mod_door_find_limit(app->numbers.name);

    return apr_psprintf(pool, "DOOR_APP_THREADS=%u",
                        limit != NULL ? (unsigned)limit->max : app->threads);
}

/* The variables of env=, a login's variables where env= sets no others, and mod_door's own. */
static char **make_env(apr_pool_t *pool, const struct said_app *app)
{
    apr_array_header_t *env = apr_array_copy(pool, app->env);
    struct passwd *user = getpwuid(app->numbers.has_credentials ? app->numbers.uid : geteuid());
    const char *defaults[] = {
        PATH_VARIABLE,
        apr_pstrcat(pool, "HOME=", user != NULL ? user->pw_dir : "/", NULL),
        apr_pstrcat(pool, "USER=", user != NULL ? user->pw_name : "", NULL),
        apr_pstrcat(pool, "LOGNAME=", user != NULL ? user->pw_name : "", NULL),
        apr_pstrcat(pool, "DOOR_APP=", app->numbers.name, NULL),
    };
    apr_size_t i;

    for (i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
        if (!is_in_env(app->env, defaults[i]))
            APR_ARRAY_PUSH(env, const char *) = defaults[i];
    APR_ARRAY_PUSH(env, const char *) =
        apr_psprintf(pool, "DOOR_APP_INSTANCES=%u", (unsigned)app->numbers.instances);
    APR_ARRAY_PUSH(env, const char *) = threads_variable(pool, app);
    APR_ARRAY_PUSH(env, const char *) = NULL;
    return (char **)env->elts;
}

/* Makes the definition of an application that lacks nothing.  Returns NULL, or what is wrong. */
static const char *complete(apr_pool_t *pool, struct said_app *app)
{
    struct app_strings strings = {
        .directory = app->needs.directory, .command = app->command, .argv = app->argv};
    const char *wrong = check_user(app);
    struct app_definition *def;

    if (wrong != NULL)
        return wrong;
    if (!app->numbers.has_own_busy)
        app->numbers.busy_ns = busy_timeout * 1000;
    strings.env = make_env(pool, app);
    strings.watched = (char **)app->watched->elts;
    def = definition_make(&app->numbers, &strings);
    if (def == NULL)
        return errno == E2BIG ? "is too long" : strerror(errno);
    app->app.definition = apr_pmemdup(pool, def, def->size);
    free(def);
    return NULL;
}

static struct said_app *find_said(const char *name)
{
    int i;

    for (i = 0; said_apps != NULL && i < said_apps->nelts; i++) {
        struct said_app *app = APR_ARRAY_IDX(said_apps, i, struct said_app *);

        if (!strcmp(app->numbers.name, name))
            return app;
    }
    return NULL;
}

static void complain(server_rec *s, const ap_directive_t *where, const char *name,
                     const char *problem)
{
    ap_log_error(APLOG_MARK, (mod_door_is_supervised() ? APLOG_ERR : APLOG_EMERG) | APLOG_STARTUP,
                 0, s, DOORNO(0201) "%s:%d: %s %s: %s%s", where->filename, where->line_num, where->directive,
                 name, problem, mod_door_is_supervised() ? "; it stays as it was" : "");
}

const char *mod_door_add_app(cmd_parms *cmd, void *config, const char *args)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    const char *name = ap_getword_conf(cmd->pool, &args);
    const char *command = ap_getword_conf(cmd->pool, &args);
    struct said_app *app = apr_pcalloc(cmd->pool, sizeof(*app));

    (void)config;
    if (wrong == NULL && !mod_door_is_app_name(name))
        wrong = apr_psprintf(cmd->pool,
                             "DoorApp: '%s' is no name: letters, digits, '.', '_', "
                             "'-', at most %d",
                             name, APP_NAME_MAX);
    if (wrong == NULL && find_said(name) != NULL)
        wrong = apr_psprintf(cmd->pool, "DoorApp: there is an application '%s' already, at %s:%d",
                             name, find_said(name)->where->filename,
                             find_said(name)->where->line_num);
    if (wrong == NULL && said_apps->nelts == APP_MAX)
        wrong = apr_psprintf(cmd->pool, "DoorApp: more than %d applications", APP_MAX);
    if (wrong != NULL) {
        if (!mod_door_is_supervised())
            return wrong;
        complain(cmd->server, cmd->directive, name, wrong);
        return NULL;
    }
    app->where = cmd->directive;
    app->hints = apr_array_make(cmd->pool, 1, sizeof(char *));
    app->env = apr_array_make(cmd->pool, 4, sizeof(char *));
    app->watched = apr_array_make(cmd->pool, 1, sizeof(char *));
    APR_ARRAY_PUSH(app->watched, const char *) = NULL;
    app->needs.directory = "/";
    app->threads = MOD_DOOR_THREADS_DEFAULT;
    app->numbers = (struct app_definition){
        .umask = 022,
        .instances = 1,
        .has_overlap = 1,
        .start_ns = 30 * 1000000000ll,
        .stop_ns = 30 * 1000000000ll,
        .backoff_min_ns = 500 * 1000000ll,
        .backoff_max_ns = 60 * 1000000000ll,
    };
    apr_cpystrn(app->numbers.name, name, sizeof(app->numbers.name));
    APR_ARRAY_PUSH(said_apps, struct said_app *) = app;
    app->problem = set_command(cmd, app, command);
    if (app->problem == NULL)
        app->problem = set_options(cmd, app, args);
    if (app->problem == NULL)
        mod_door_hint_at_line(cmd->pool, app);
    if (app->problem == NULL || mod_door_is_supervised())
        return NULL;
    return apr_psprintf(cmd->pool, "DoorApp %s: %s", name, app->problem);
}

const char *mod_door_set_busy_timeout(cmd_parms *cmd, void *config, const char *arg)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    int64_t ns = 0;

    (void)config;
    if (wrong != NULL)
        return wrong;
    wrong = mod_door_read_duration(arg, &ns);
    busy_timeout = ns / 1000;
    return wrong == NULL
               ? NULL
               : apr_pstrcat(cmd->pool, "DoorBusyTimeout ", wrong, ", or 0 for never", NULL);
}

const char *mod_door_set_runtime_dir(cmd_parms *cmd, void *config, const char *arg)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)config;
    if (wrong != NULL)
        return wrong;
    runtime_parent = ap_server_root_relative(cmd->pool, arg);
    return runtime_parent != NULL ? NULL : "DoorRuntimeDir is no path";
}

/* ------------------------------------------------------- the configuration */

void mod_door_forget_apps(apr_pool_t *config_pool)
{
    said_apps = apr_array_make(config_pool, 4, sizeof(struct said_app *));
    said_handlers = apr_array_make(config_pool, 4, sizeof(struct said_handler));
    said_allowed = apr_array_make(config_pool, 1, sizeof(struct said_handler));
    apps = apr_hash_make(config_pool);
    busy_timeout = apr_time_from_sec(300);
    runtime_parent = NULL;
}

void mod_door_note_handler(const char *name, const ap_directive_t *where)
{
    APR_ARRAY_PUSH(said_handlers, struct said_handler) = (struct said_handler){name, where};
}

void mod_door_note_allowed(const char *name, const ap_directive_t *where)
{
    APR_ARRAY_PUSH(said_allowed, struct said_handler) = (struct said_handler){name, where};
}

/* "there is no DoorApp of that name", and which name may be meant. */
static const char *no_such_app(apr_pool_t *pool, const char *name)
{
    apr_array_header_t *names = apr_array_make(pool, said_apps->nelts, sizeof(char *));
    int i;

    for (i = 0; i < said_apps->nelts; i++)
        APR_ARRAY_PUSH(names, const char *) =
            APR_ARRAY_IDX(said_apps, i, struct said_app *)->numbers.name;
    return apr_pstrcat(pool, "there is no DoorApp of that name",
                       mod_door_suggest(pool, name, names, ""), NULL);
}

static int check_handlers(apr_pool_t *pool, server_rec *s)
{
    int result = OK;
    int i;

    for (i = 0; i < said_handlers->nelts; i++) {
        const struct said_handler *handler = &APR_ARRAY_IDX(said_handlers, i, struct said_handler);

        if (find_said(handler->name) != NULL)
            continue;
        complain(s, handler->where, handler->name, no_such_app(pool, handler->name));
        result = HTTP_INTERNAL_SERVER_ERROR;
    }
    return result;
}

int mod_door_check_apps(apr_pool_t *pool, apr_pool_t *log_pool, apr_pool_t *temp_pool,
                        server_rec *s)
{
    int result = OK;
    int i;

    (void)log_pool;
    (void)temp_pool;
    for (i = 0; i < said_apps->nelts; i++) {
        struct said_app *app = APR_ARRAY_IDX(said_apps, i, struct said_app *);

        if (app->problem == NULL && app->app.output != NULL)
            app->problem = mod_door_check_output(pool, s, app->app.output);
        if (app->problem == NULL)
            app->missing = mod_door_find_needs(pool, &app->needs, &app->numbers);
        if (app->problem == NULL && app->missing == NULL)
            app->problem = complete(pool, app);
        if (app->problem == NULL && app->missing == NULL)
            mod_door_doubt_program(pool, &app->needs, &app->numbers, mod_door_search_path(app),
                                   app->hints);
        app->app.name = app->numbers.name;
        app->app.instances = app->numbers.instances;
        apr_hash_set(apps, app->app.name, APR_HASH_KEY_STRING, &app->app);
        if (app->problem == NULL)
            continue;
        complain(s, app->where, app->numbers.name, app->problem);
        result = HTTP_INTERNAL_SERVER_ERROR;
    }
    if (check_handlers(pool, s) != OK)
        result = HTTP_INTERNAL_SERVER_ERROR;
    return mod_door_is_supervised() ? OK : result;
}

const char *mod_door_runtime_dir(apr_pool_t *pool)
{
    char *path = apr_pstrdup(pool, runtime_parent != NULL ? runtime_parent
                                                          : ap_runtime_dir_relative(pool, ""));
    apr_size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        path[--len] = '\0';
    return path;
}

/* NULL, or why no doors can be made in the runtime directory. */
static const char *check_runtime_dir(apr_pool_t *pool)
{
    const char *path = mod_door_runtime_dir(pool);
    const char *parent = ap_make_dirstr_parent(pool, path);
    int result = access(path, W_OK | X_OK);

    if (result == 0 && !ap_is_directory(pool, path)) {
        errno = ENOTDIR;
        result = -1;
    } else if (result == -1 && errno == ENOENT) {
        result = access(parent, W_OK | X_OK); /* the supervisor makes it */
    }
    if (result == 0)
        return NULL;
    return apr_psprintf(pool, "%s %s: %s; applications need a directory there that httpd may write "
                              "in, or another one as DoorRuntimeDir",
                        runtime_parent != NULL ? "DoorRuntimeDir" : "DefaultRuntimeDir", path,
                        strerror(errno));
}

static void warn_of_hints(server_rec *s, const struct said_app *app, int flags)
{
    int i;

    for (i = 0; i < app->hints->nelts; i++)
        ap_log_error(APLOG_MARK, APLOG_WARNING | flags, 0, s, DOORNO(0204) "%s:%d: DoorApp %s: %s",
                     app->where->filename, app->where->line_num, app->app.name,
                     APR_ARRAY_IDX(app->hints, i, const char *));
}

/* A DoorAllow with the name of no application allows .htaccess files nothing. */
static void warn_of_allowed(apr_pool_t *pool, server_rec *s, int flags)
{
    int i;

    for (i = 0; i < said_allowed->nelts; i++) {
        const struct said_handler *said = &APR_ARRAY_IDX(said_allowed, i, struct said_handler);

        if (find_said(said->name) == NULL)
            ap_log_error(APLOG_MARK, APLOG_WARNING | flags, 0, s, DOORNO(0208) "%s:%d: DoorAllow %s: %s",
                         said->where->filename, said->where->line_num, said->name,
                         no_such_app(pool, said->name));
    }
}

void mod_door_warn_of_needs(apr_pool_t *pool, server_rec *s, int flags)
{
    const char *wrong;
    int i;

    wrong = said_apps->nelts > 0 && !mod_door_is_supervised() ? check_runtime_dir(pool) : NULL;
    if (wrong != NULL)
        ap_log_error(APLOG_MARK, APLOG_ERR | flags, 0, s, DOORNO(0202) "door: %s", wrong);
    warn_of_allowed(pool, s, flags);
    for (i = 0; i < said_apps->nelts; i++) {
        const struct said_app *app = APR_ARRAY_IDX(said_apps, i, struct said_app *);

        warn_of_hints(s, app, flags);
        if (app->missing != NULL)
            ap_log_error(APLOG_MARK, APLOG_ERR | flags, 0, s, DOORNO(0203) "%s:%d: DoorApp %s: %s; %s",
                         app->where->filename, app->where->line_num, app->app.name, app->missing,
                         mod_door_is_supervised() ? "it stays as it was, and is tried again"
                                                  : "it is not started, and tried again");
    }
}

/* Looks again.  Uses a pool of its own, which is kept only if nothing is missing now. */
static int is_there_now(apr_pool_t *config_pool, struct said_app *app)
{
    apr_pool_t *pool;
    const char *wrong;

    apr_pool_create(&pool, config_pool);
    wrong = mod_door_find_needs(pool, &app->needs, &app->numbers);
    if (wrong == NULL)
        wrong = complete(pool, app);
    if (wrong != NULL)
        apr_pool_destroy(pool);
    else
        app->missing = NULL;
    return wrong == NULL;
}

int mod_door_find_apps_again(apr_pool_t *config_pool, server_rec *s)
{
    int count = 0;
    int i;

    for (i = 0; i < said_apps->nelts; i++) {
        struct said_app *app = APR_ARRAY_IDX(said_apps, i, struct said_app *);

        if (app->problem != NULL || app->missing == NULL || !is_there_now(config_pool, app))
            continue;
        count++;
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, "door: %s: what it needs is there now",
                     app->app.name);
    }
    return count;
}

struct mod_door_app *mod_door_find_app(const char *name)
{
    return apr_hash_get(apps, name, APR_HASH_KEY_STRING);
}

apr_hash_t *mod_door_apps(void)
{
    return apps;
}
