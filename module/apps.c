/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * apps.c: DoorApp, and the supervisor's place in httpd.
 *
 * A definition is checked while the configuration is read.  What is wrong then
 * is an error with its line at the first start; at a restart it is only logged,
 * and the application goes on as it was: a deployment that is half done must
 * not take the site down.
 *
 * httpd's parent forks the supervisor once and talks to it at each restart.
 * What has to outlive configurations is in retained data.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <ap_listen.h>
#include <ap_mpm.h>
#include <apr_hash.h>
#include <apr_lib.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <unixd.h>

#include "mod_door.h"
#include "supervisor.h"

APLOG_USE_MODULE(door);

#define RETAINED_KEY   "mod_door supervisor"
#define PATH_VARIABLE  "PATH=/usr/local/bin:/usr/bin:/bin"
#define STOP_GRACE     apr_time_from_sec(10) /* beyond the longest stop-timeout */
#define STOP_TICK      apr_time_from_msec(10)
#define QUICK_END      apr_time_from_sec(1)  /* a supervisor that ends sooner is not forked at once */

/* Until it is checked: one DoorApp line. */
struct said_app {
    const ap_directive_t *where;
    const char *problem; /* or NULL */
    const char *command;
    const char *user, *group; /* or NULL */
    char **argv;
    const char *directory;
    apr_array_header_t *env; /* char *, "NAME=value" */
    int has_busy; /* it says so itself */
    struct app_definition numbers;
    const struct app_definition *definition; /* of pconf's; NULL if there is a problem */
};

/* A DoorHandler that names an application. */
struct said_handler {
    const char *name;
    const ap_directive_t *where;
};

/* The version is first in every version of this. */
static struct retained {
    uint32_t version;
    pid_t supervisor; /* or 0 */
    int control_fd;
    pid_t owner; /* httpd's parent */
    struct board *board;
    struct ledger *ledger;
    int requests[2]; /* the children's end, the supervisor's */
    apr_time_t started;
    apr_interval_time_t stop_timeout; /* the longest of all applications ever told */
} *retained;

/* Of the configuration that is being read, or holds. */
static apr_array_header_t *said_apps;     /* struct said_app * */
static apr_array_header_t *said_handlers; /* struct said_handler */
static apr_interval_time_t busy_timeout;  /* DoorBusyTimeout */
static const char *runtime_parent;        /* DoorRuntimeDir, or NULL */
static apr_hash_t *rows;                  /* name: struct mod_door_app * */
static server_rec *main_server;

/* ------------------------------------------------------------- one option */

typedef const char *option_setter(cmd_parms *cmd, struct said_app *app, const char *value);

static const char *read_duration(const char *value, int64_t *ns)
{
    apr_interval_time_t time;

    if (!apr_isdigit(value[0]) || ap_timeout_parameter_parse(value, &time, "s") != APR_SUCCESS ||
        time < 0 || time > apr_time_from_sec(10LL * 365 * 86400))
        return "must be a time such as '30', '30s', '500ms' or '2mi'";
    *ns = time * 1000;
    return NULL;
}

static const char *read_number(const char *value, uint64_t min, uint64_t max, uint64_t *number)
{
    char *end;
    apr_int64_t n = apr_strtoi64(value, &end, 10);

    if (!apr_isdigit(value[0]) || *end != '\0' || (uint64_t)n < min || (uint64_t)n > max)
        return "must be a number that makes sense";
    *number = (uint64_t)n;
    return NULL;
}

static const char *read_flag(const char *value, uint32_t *flag)
{
    if (ap_cstr_casecmp(value, "on") && ap_cstr_casecmp(value, "off"))
        return "must be 'on' or 'off'";
    *flag = !ap_cstr_casecmp(value, "on");
    return NULL;
}

static const char *set_user(cmd_parms *cmd, struct said_app *app, const char *value)
{
    (void)cmd;
    app->user = value;
    return *value != '\0' ? NULL : "must name a user";
}

static const char *set_group(cmd_parms *cmd, struct said_app *app, const char *value)
{
    (void)cmd;
    app->group = value;
    return *value != '\0' ? NULL : "must name a group";
}

static const char *set_directory(cmd_parms *cmd, struct said_app *app, const char *value)
{
    app->directory = ap_server_root_relative(cmd->pool, value);
    if (app->directory == NULL || !ap_is_directory(cmd->pool, app->directory))
        return "must be a directory";
    return NULL;
}

static const char *add_env(cmd_parms *cmd, struct said_app *app, const char *value)
{
    const char *equals = strchr(value, '=');

    (void)cmd;
    if (equals == NULL || equals == value)
        return "must be NAME=value";
    if (!strncmp(value, "DOOR_PATH=", 10) || !strncmp(value, "DOOR_READY_FD=", 14))
        return "cannot set what mod_door itself does";
    APR_ARRAY_PUSH(app->env, const char *) = value;
    return NULL;
}

static const char *set_umask(cmd_parms *cmd, struct said_app *app, const char *value)
{
    char *end;
    apr_int64_t mask = apr_strtoi64(value, &end, 8);

    (void)cmd;
    if (!apr_isdigit(value[0]) || *end != '\0' || mask < 0 || mask > 0777)
        return "must be an octal number up to 0777";
    app->numbers.umask = (int32_t)mask;
    return NULL;
}

static const char *set_start_timeout(cmd_parms *cmd, struct said_app *app, const char *value)
{
    (void)cmd;
    return read_duration(value, &app->numbers.start_ns);
}

static const char *set_stop_timeout(cmd_parms *cmd, struct said_app *app, const char *value)
{
    (void)cmd;
    return read_duration(value, &app->numbers.stop_ns);
}

static const char *set_busy_timeout(cmd_parms *cmd, struct said_app *app, const char *value)
{
    (void)cmd;
    app->has_busy = 1;
    return read_duration(value, &app->numbers.busy_ns);
}

static const char *set_backoff_min(cmd_parms *cmd, struct said_app *app, const char *value)
{
    const char *wrong = read_duration(value, &app->numbers.backoff_min_ns);

    (void)cmd;
    if (wrong == NULL && app->numbers.backoff_min_ns < 100000000)
        return "must be at least 100ms";
    return wrong;
}

static const char *set_backoff_max(cmd_parms *cmd, struct said_app *app, const char *value)
{
    const char *wrong = read_duration(value, &app->numbers.backoff_max_ns);

    (void)cmd;
    if (wrong == NULL && app->numbers.backoff_max_ns < 100000000)
        return "must be at least 100ms";
    return wrong;
}

static const char *set_instances(cmd_parms *cmd, struct said_app *app, const char *value)
{
    uint64_t number = 0;
    const char *wrong = read_number(value, 1, APP_INSTANCES_MAX, &number);

    app->numbers.instances = (uint32_t)number;
    return wrong == NULL ? NULL
                         : apr_psprintf(cmd->pool, "must be 1 to %d", APP_INSTANCES_MAX);
}

static const char *set_max_requests(cmd_parms *cmd, struct said_app *app, const char *value)
{
    (void)cmd;
    return read_number(value, 0, INT64_MAX, &app->numbers.max_requests);
}

static const char *set_max_age(cmd_parms *cmd, struct said_app *app, const char *value)
{
    (void)cmd;
    return read_duration(value, &app->numbers.max_age_ns);
}

static const char *set_watch(cmd_parms *cmd, struct said_app *app, const char *value)
{
    (void)cmd;
    return read_flag(value, &app->numbers.is_watched);
}

static const char *set_overlap(cmd_parms *cmd, struct said_app *app, const char *value)
{
    (void)cmd;
    return read_flag(value, &app->numbers.has_overlap);
}

static const char *set_reload(cmd_parms *cmd, struct said_app *app, const char *value)
{
    (void)cmd;
    if (ap_cstr_casecmp(value, "changed") && ap_cstr_casecmp(value, "always"))
        return "must be 'changed' or 'always'";
    app->numbers.reload_always = !ap_cstr_casecmp(value, "always");
    return NULL;
}

static const struct {
    const char *name;
    option_setter *set;
} options[] = {
    {"user", set_user},
    {"group", set_group},
    {"directory", set_directory},
    {"env", add_env},
    {"umask", set_umask},
    {"start-timeout", set_start_timeout},
    {"stop-timeout", set_stop_timeout},
    {"busy-timeout", set_busy_timeout},
    {"backoff-min", set_backoff_min},
    {"backoff-max", set_backoff_max},
    {"instances", set_instances},
    {"max-requests", set_max_requests},
    {"max-age", set_max_age},
    {"watch", set_watch},
    {"overlap", set_overlap},
    {"reload", set_reload},
};

/* Named as httpd's own directives for CGI are, and setrlimit(2)'s others likewise. */
static const struct {
    const char *name;
    int resource;
} rlimits[] = {
    {"RLimitCPU", RLIMIT_CPU},       {"RLimitNOFILE", RLIMIT_NOFILE},
    {"RLimitCORE", RLIMIT_CORE},     {"RLimitFSIZE", RLIMIT_FSIZE},
    {"RLimitSTACK", RLIMIT_STACK},
#ifdef RLIMIT_AS
    {"RLimitMEM", RLIMIT_AS},
#else
    {"RLimitMEM", RLIMIT_DATA},
#endif
#ifdef RLIMIT_NPROC
    {"RLimitNPROC", RLIMIT_NPROC},
#endif
};

static const char *read_limit(const char *value, const char **end, rlim_t *limit)
{
    apr_size_t len = strcspn(value, ":");
    char *stop;
    apr_int64_t number;

    *end = value + len;
    if (len == 3 && !ap_cstr_casecmpn(value, "max", 3)) {
        *limit = RLIM_INFINITY;
        return NULL;
    }
    number = apr_strtoi64(value, &stop, 10);
    *limit = (rlim_t)number;
    return apr_isdigit(value[0]) && stop == *end ? NULL
                                                 : "must be numbers or 'max', as SOFT or SOFT:HARD";
}

static const char *set_rlimit(struct said_app *app, int index, const char *value)
{
    struct app_rlimit *limit = &app->numbers.rlimits[index];
    const char *wrong = read_limit(value, &value, &limit->soft);

    limit->resource = rlimits[index].resource;
    limit->is_set = 1;
    limit->hard = limit->soft;
    if (wrong == NULL && *value == ':') {
        wrong = read_limit(value + 1, &value, &limit->hard);
        if (wrong == NULL && *value != '\0')
            wrong = "must be SOFT or SOFT:HARD";
    }
    if (wrong == NULL && limit->soft > limit->hard)
        wrong = "must not be higher than its hard limit";
    return wrong;
}

static const char *set_option(cmd_parms *cmd, struct said_app *app, const char *word)
{
    const char *equals = strchr(word, '=');
    const char *name = equals != NULL ? apr_pstrmemdup(cmd->pool, word, equals - word) : word;
    const char *wrong = "is no option of DoorApp";
    apr_size_t i;

    if (equals == NULL)
        return apr_psprintf(cmd->pool, "'%s' must be key=value", word);
    for (i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (!ap_cstr_casecmp(name, options[i].name))
            wrong = options[i].set(cmd, app, equals + 1);
    for (i = 0; i < sizeof(rlimits) / sizeof(rlimits[0]); i++)
        if (!ap_cstr_casecmp(name, rlimits[i].name))
            wrong = set_rlimit(app, (int)i, equals + 1);
    return wrong == NULL ? NULL : apr_psprintf(cmd->pool, "%s %s", word, wrong);
}

/* -------------------------------------------------------------- one DoorApp */

int mod_door_is_app_name(const char *name)
{
    apr_size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._-");

    return apr_isalnum(name[0]) && name[len] == '\0' && len <= APP_NAME_MAX;
}

static const char *set_command(cmd_parms *cmd, struct said_app *app, const char *command)
{
    struct app_program_id id;
    const char *program;

    app->command = command;
    if (apr_tokenize_to_argv(command, &app->argv, cmd->pool) != APR_SUCCESS ||
        app->argv[0] == NULL || *app->argv[0] == '\0')
        return "needs a command";
    program = ap_server_root_relative(cmd->pool, app->argv[0]);
    if (program == NULL || definition_identify(program, &id) == -1)
        return apr_psprintf(cmd->pool, "cannot run '%s': %s", app->argv[0],
                            program != NULL ? strerror(errno) : "invalid path");
    app->argv[0] = (char *)program;
    app->numbers.program = id;
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
        wrong = set_option(cmd, app, word);
    }
    if (wrong == NULL && app->numbers.backoff_max_ns < app->numbers.backoff_min_ns)
        wrong = "backoff-max must not be less than backoff-min";
    return wrong;
}

/* Whom it runs as, where httpd is root: known when all of the configuration is read. */
static const char *find_credentials(apr_pool_t *pool, struct said_app *app)
{
    struct app_definition *def = &app->numbers;
    const char *name = app->user != NULL ? app->user : ap_unixd_config.user_name;
    struct passwd *user = name != NULL && *name != '#' ? getpwnam(name) : NULL;
    struct group *group = app->group != NULL ? getgrnam(app->group) : NULL;
    gid_t groups[APP_GROUPS_MAX];
    int count = APP_GROUPS_MAX;
    int i;

    if (app->user != NULL && user == NULL)
        return apr_psprintf(pool, "there is no user '%s'", app->user);
    if (app->group != NULL && group == NULL)
        return apr_psprintf(pool, "there is no group '%s'", app->group);
    def->uid = user != NULL ? user->pw_uid : ap_unixd_config.user_id;
    def->gid = group != NULL       ? group->gr_gid
               : app->user != NULL ? user->pw_gid
                                   : ap_unixd_config.group_id;
    def->door_gid = ap_unixd_config.group_id;
    if (def->uid == 0 && app->user == NULL)
        return "needs user=: httpd's own User is root";
    def->group_count = 1;
    def->groups[0] = def->gid;
    if (user != NULL) {
        if (getgrouplist(user->pw_name, def->gid, groups, &count) == -1)
            return apr_psprintf(pool, "its user has more than %d groups", APP_GROUPS_MAX);
        for (i = 0; i < count; i++)
            def->groups[i] = groups[i];
        def->group_count = (uint32_t)count;
    }
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

/* What a login would set, where nothing else was said. */
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
    APR_ARRAY_PUSH(env, const char *) = NULL;
    return (char **)env->elts;
}

static const char *complete(apr_pool_t *pool, struct said_app *app)
{
    struct app_strings strings = {.directory = app->directory,
                                  .command = app->command,
                                  .argv = app->argv};
    struct app_definition *def;
    const char *wrong = NULL;

    if (geteuid() == 0) {
        app->numbers.has_credentials = 1;
        wrong = find_credentials(pool, app);
    } else if (app->user != NULL || app->group != NULL) {
        struct passwd *user = app->user != NULL ? getpwnam(app->user) : getpwuid(geteuid());
        struct group *group = app->group != NULL ? getgrnam(app->group) : NULL;

        if (user == NULL)
            return apr_psprintf(pool, "there is no user '%s'", app->user);
        if (app->group != NULL && group == NULL)
            return apr_psprintf(pool, "there is no group '%s'", app->group);
        /* Who only asks whether a configuration is right need not be root. */
        if ((user->pw_uid != geteuid() || (group != NULL && group->gr_gid != getegid())) &&
            !ap_exists_config_define("DUMP_VHOSTS") && ap_state_query(AP_SQ_RUN_MODE) ==
            AP_SQ_RM_NORMAL)
            return "user= and group= need an httpd that was started by root";
    }
    if (wrong != NULL)
        return wrong;
    if (!app->has_busy)
        app->numbers.busy_ns = busy_timeout * 1000;
    strings.env = make_env(pool, app);
    def = definition_make(&app->numbers, &strings);
    if (def == NULL)
        return errno == E2BIG ? "is too long" : strerror(errno);
    app->definition = apr_pmemdup(pool, def, def->size);
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

static int is_restart(void)
{
    return retained != NULL && retained->supervisor != 0;
}

static void complain(server_rec *s, const ap_directive_t *where, const char *name,
                     const char *problem)
{
    ap_log_error(APLOG_MARK, (is_restart() ? APLOG_ERR : APLOG_EMERG) | APLOG_STARTUP, 0, s,
                 "%s:%d: %s %s: %s%s", where->filename, where->line_num, where->directive, name,
                 problem, is_restart() ? "; it stays as it was" : "");
}

const char *mod_door_add_app(cmd_parms *cmd, void *config, const char *args)
{
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    const char *name = ap_getword_conf(cmd->pool, &args);
    const char *command = ap_getword_conf(cmd->pool, &args);
    struct said_app *app = apr_pcalloc(cmd->pool, sizeof(*app));

    (void)config;
    if (wrong == NULL && !mod_door_is_app_name(name))
        wrong = apr_psprintf(cmd->pool, "DoorApp: '%s' is no name: letters, digits, '.', '_', "
                                        "'-', at most %d", name, APP_NAME_MAX);
    if (wrong == NULL && find_said(name) != NULL)
        wrong = apr_psprintf(cmd->pool, "DoorApp: there is an application '%s' already, in line %d",
                             name, find_said(name)->where->line_num);
    if (wrong == NULL && said_apps->nelts == APP_MAX)
        wrong = apr_psprintf(cmd->pool, "DoorApp: more than %d applications", APP_MAX);
    if (wrong != NULL) {
        if (!is_restart())
            return wrong;
        complain(cmd->server, cmd->directive, name, wrong);
        return NULL;
    }
    app->where = cmd->directive;
    app->env = apr_array_make(cmd->pool, 4, sizeof(char *));
    app->directory = "/";
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
    if (app->problem == NULL || is_restart())
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
    wrong = read_duration(arg, &ns);
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
    if (runtime_parent == NULL || !ap_is_directory(cmd->pool, runtime_parent))
        return "DoorRuntimeDir must be a directory";
    return NULL;
}

/* ------------------------------------------------------- the configuration */

void mod_door_forget_apps(apr_pool_t *config_pool)
{
    retained = ap_retained_data_get(RETAINED_KEY);
    said_apps = apr_array_make(config_pool, 4, sizeof(struct said_app *));
    said_handlers = apr_array_make(config_pool, 4, sizeof(struct said_handler));
    rows = apr_hash_make(config_pool);
    busy_timeout = apr_time_from_sec(300);
    runtime_parent = NULL;
}

void mod_door_note_handler(const char *name, const ap_directive_t *where)
{
    APR_ARRAY_PUSH(said_handlers, struct said_handler) = (struct said_handler){name, where};
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

        if (app->problem == NULL)
            app->problem = complete(pool, app);
        if (app->problem == NULL)
            continue;
        complain(s, app->where, app->numbers.name, app->problem);
        result = HTTP_INTERNAL_SERVER_ERROR;
    }
    for (i = 0; i < said_handlers->nelts; i++) {
        const struct said_handler *handler = &APR_ARRAY_IDX(said_handlers, i, struct said_handler);

        if (find_said(handler->name) != NULL)
            continue;
        complain(s, handler->where, handler->name, "there is no DoorApp of that name");
        result = HTTP_INTERNAL_SERVER_ERROR;
    }
    return is_restart() ? OK : result;
}

/* --------------------------------------------------------- the supervisor */

/* Numbers of the supervisor's descriptors; above them everything is closed. */
enum { CONTROL_FD = 3, REQUEST_FD, LOG_FD, FIRST_CLOSED_FD };

static int log_fd(const server_rec *s)
{
    apr_os_file_t fd;

    if (s->error_log == NULL || apr_os_file_get(&fd, s->error_log) != APR_SUCCESS)
        return -1;
    return fd;
}

static void write_line(int level, const char *line, void *data)
{
    server_rec *s = data;

    ap_log_error(APLOG_MARK, level, 0, s, "%s", line);
}

/* In the supervisor: httpd has opened its logs anew. */
static void take_log(int fd, void *data)
{
    server_rec *s = data;
    apr_os_file_t number = LOG_FD;

    dup2(fd, LOG_FD);
    dup2(fd, STDERR_FILENO);
    close(fd);
    if (s->error_log == NULL)
        apr_os_file_put(&s->error_log, &number, APR_FOPEN_WRITE | APR_FOPEN_APPEND, s->process->pool);
}

static void place_descriptor(int from, int to)
{
    if (from != -1)
        dup2(from, to);
    else
        close(to);
}

static _Noreturn void become_supervisor(server_rec *s, int control, const char *parent_dir)
{
    int null_fd = open("/dev/null", O_RDWR);
    apr_os_file_t number = LOG_FD;
    int log = log_fd(s);
    struct supervisor_start start = {
        .control_fd = CONTROL_FD,
        .request_fd = REQUEST_FD,
        .parent = retained->owner,
        .board = retained->board,
        .ledger = retained->ledger,
        .runtime_parent = parent_dir,
        .writer = write_line,
        .new_log = take_log,
        .data = s,
    };

    closelog(); /* syslog(3) opens its socket again, and is not surprised by what has its number */
    control = fcntl(control, F_DUPFD, FIRST_CLOSED_FD);
    log = log != -1 ? fcntl(log, F_DUPFD, FIRST_CLOSED_FD) : -1;
    null_fd = fcntl(null_fd, F_DUPFD, FIRST_CLOSED_FD);
    dup2(fcntl(retained->requests[1], F_DUPFD, FIRST_CLOSED_FD), REQUEST_FD);
    dup2(control, CONTROL_FD);
    place_descriptor(log, LOG_FD);
    place_descriptor(null_fd, STDIN_FILENO);
    place_descriptor(null_fd, STDOUT_FILENO);
    closefrom(FIRST_CLOSED_FD);
    s->error_log = NULL;
    if (log != -1)
        apr_os_file_put(&s->error_log, &number, APR_FOPEN_WRITE | APR_FOPEN_APPEND, s->process->pool);
    supervisor_run(&start);
}

static void forget_supervisor(void)
{
    if (retained->control_fd != -1)
        close(retained->control_fd);
    retained->control_fd = -1;
    retained->supervisor = 0;
}

static void supervisor_ended(int reason, void *data, int status);

/* What the supervisor is to run now; the error log goes along. */
static int send_definitions(void)
{
    int fd = retained->control_fd;
    int i;
    int result = control_send(fd, CONTROL_BEGIN, NULL, 0, log_fd(main_server));

    for (i = 0; i < said_apps->nelts && result == 0; i++) {
        const struct said_app *app = APR_ARRAY_IDX(said_apps, i, struct said_app *);

        if (app->definition != NULL)
            result = control_send(fd, CONTROL_DEFINITION, app->definition, app->definition->size,
                                  -1);
        else
            result = control_send(fd, CONTROL_KEEP, app->numbers.name,
                                  strlen(app->numbers.name), -1);
    }
    return result == 0 ? control_send(fd, CONTROL_END, NULL, 0, -1) : -1;
}

static const char *runtime_dir(apr_pool_t *pool)
{
    char *path = apr_pstrdup(pool, runtime_parent != NULL ? runtime_parent
                                                          : ap_runtime_dir_relative(pool, ""));
    apr_size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        path[--len] = '\0';
    return path;
}

static apr_status_t start_supervisor(server_rec *s)
{
    int control[2];
    pid_t pid;
    apr_proc_t proc;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, control) == -1)
        return errno;
    fcntl(control[0], F_SETFD, FD_CLOEXEC);
    fcntl(control[1], F_SETFD, FD_CLOEXEC);
    retained->started = apr_time_now();
    pid = fork();
    if (pid == 0)
        become_supervisor(s, control[1], runtime_dir(s->process->pool));
    close(control[1]);
    if (pid == -1) {
        close(control[0]);
        return errno;
    }
    retained->supervisor = pid;
    retained->control_fd = control[0];
    memset(&proc, 0, sizeof(proc));
    proc.pid = pid;
    apr_proc_other_child_register(apr_pmemdup(s->process->pool, &proc, sizeof(proc)),
                                  supervisor_ended, retained, NULL, s->process->pool);
    return send_definitions() == 0 ? APR_SUCCESS : errno;
}

static void try_to_start(void)
{
    apr_status_t error = start_supervisor(main_server);

    if (error != APR_SUCCESS)
        ap_log_error(APLOG_MARK, APLOG_CRIT, error, main_server,
                     "door: no supervisor for the applications");
}

static int is_stopping(void)
{
    int state;

    return ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS && state == AP_MPMQ_STOPPING;
}

/* httpd's parent has seen a process end that it had been told of. */
static void supervisor_ended(int reason, void *data, int status)
{
    if (reason != APR_OC_REASON_DEATH && reason != APR_OC_REASON_LOST)
        return;
    apr_proc_other_child_unregister(data);
    forget_supervisor();
    if (is_stopping())
        return;
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, main_server,
                 "door: the supervisor has ended (%s %d), another one is started",
                 WIFSIGNALED(status) ? "signal" : "exit code",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    if (apr_time_now() - retained->started >= QUICK_END)
        try_to_start();
}

/* Runs every few seconds: if it could not be started, or ended at once. */
int mod_door_monitor_supervisor(apr_pool_t *pool, server_rec *s)
{
    (void)pool;
    (void)s;
    if (retained != NULL && retained->supervisor == 0 && getpid() == retained->owner &&
        !is_stopping())
        try_to_start();
    return DECLINED;
}

/* httpd's parent ends: the applications do first, so that none is left behind. */
static apr_status_t stop_supervisor(void *unused)
{
    apr_time_t until;

    (void)unused;
    if (retained == NULL || getpid() != retained->owner || retained->supervisor == 0)
        return APR_SUCCESS;
    control_send(retained->control_fd, CONTROL_STOP, NULL, 0, -1);
    until = apr_time_now() + retained->stop_timeout + STOP_GRACE;
    while (waitpid(retained->supervisor, NULL, WNOHANG) == 0) {
        if (apr_time_now() > until) {
            kill(retained->supervisor, SIGKILL);
            waitpid(retained->supervisor, NULL, 0);
            break;
        }
        apr_sleep(STOP_TICK);
    }
    forget_supervisor();
    return APR_SUCCESS;
}

/* -------------------------------------------------------------- httpd's life */

static apr_status_t make_retained(apr_pool_t *process_pool)
{
    int i;

    retained = ap_retained_data_create(RETAINED_KEY, sizeof(*retained));
    retained->version = SUPERVISOR_VERSION;
    retained->owner = getpid();
    retained->control_fd = -1;
    retained->board = board_make();
    retained->ledger = ledger_make();
    if (retained->board == NULL || retained->ledger == NULL)
        return ENOMEM;
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, retained->requests) == -1)
        return errno;
    for (i = 0; i < 2; i++)
        fcntl(retained->requests[i], F_SETFD, FD_CLOEXEC);
    apr_pool_cleanup_register(process_pool, NULL, stop_supervisor, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

static int is_row_used(uint32_t row)
{
    apr_hash_index_t *i;

    for (i = apr_hash_first(NULL, rows); i != NULL; i = apr_hash_next(i))
        if (((struct mod_door_app *)apr_hash_this_val(i))->row == row)
            return 1;
    return 0;
}

/* Gives each application its row. */
static apr_status_t take_rows(apr_pool_t *pool)
{
    int i;

    for (i = 0; i < said_apps->nelts; i++) {
        struct said_app *said = APR_ARRAY_IDX(said_apps, i, struct said_app *);
        struct mod_door_app *app = apr_pcalloc(pool, sizeof(*app));
        int row = board_take_row(retained->board, said->numbers.name);
        struct board_app *shown;

        if (row == -1)
            return ENOSPC;
        /* It was given free a moment ago, by a name that is taken on: the next restart will do. */
        if (is_row_used((uint32_t)row))
            continue;
        shown = &retained->board->apps[row];
        app->name = said->numbers.name;
        app->row = (uint32_t)row;
        app->instances = said->numbers.instances;
        apr_hash_set(rows, app->name, APR_HASH_KEY_STRING, app);
        if (said->definition == NULL)
            continue;
        ((struct app_definition *)said->definition)->row = app->row;
        if (retained->stop_timeout < said->definition->stop_ns / 1000)
            retained->stop_timeout = said->definition->stop_ns / 1000;
        /* Requests that come before the supervisor has read of it are to wait. */
        atomic_store(&shown->start_ns, said->definition->start_ns);
        if (atomic_load(&shown->state) == APP_DOWN)
            atomic_store(&shown->state, APP_STARTING);
    }
    return APR_SUCCESS;
}

static void leave_other_version(void)
{
    close(retained->control_fd); /* it stops what it has, in peace */
    retained = NULL;
}

apr_status_t mod_door_launch_apps(apr_pool_t *pool, server_rec *s)
{
    apr_status_t error = APR_SUCCESS;

    main_server = s;
    if (retained != NULL && retained->version != SUPERVISOR_VERSION)
        leave_other_version();
    if (retained == NULL && said_apps->nelts == 0)
        return APR_SUCCESS;
    if (retained == NULL)
        error = make_retained(s->process->pool);
    if (error == APR_SUCCESS)
        error = take_rows(pool);
    if (error != APR_SUCCESS)
        return error;
    if (retained->supervisor == 0)
        return start_supervisor(s);
    if (send_definitions() == -1)
        ap_log_error(APLOG_MARK, APLOG_ERR, errno, s, "door: the supervisor does not listen");
    return APR_SUCCESS;
}

/* --------------------------------------------------------------- children */

void mod_door_forget_supervisor(void)
{
    int signo = SIGTERM;
    int is_threaded;

    if (retained == NULL || getpid() == retained->owner) /* -X: this is the parent as well */
        return;
    close(retained->control_fd);
    close(retained->requests[1]);
    ledger_forget(retained->ledger);
    /*
     * A child without its parent takes no orders and has no application, but
     * holds the ports.  A threaded one does not listen to SIGTERM alone.
     */
    if (ap_mpm_query(AP_MPMQ_IS_THREADED, &is_threaded) != APR_SUCCESS || is_threaded)
        signo = SIGKILL;
    end_with_parent(signo);
    if (getppid() != retained->owner)
        raise(signo);
}

const struct mod_door_app *mod_door_find_app(const char *name)
{
    return rows != NULL ? apr_hash_get(rows, name, APR_HASH_KEY_STRING) : NULL;
}

struct board *mod_door_board(void)
{
    return retained != NULL ? retained->board : NULL;
}

void mod_door_ask_supervisor(const char *name)
{
    request_send(retained->requests[0], REQUEST_LOOK, name);
}
