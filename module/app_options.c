/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * app_options.c: the options of DoorApp, one at a time.  What is looked up here
 * is what was written; whether there is such a program, user or directory is
 * needs.c's question.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <httpd.h>
#include <http_config.h>
#include <http_core.h>

#include "mod_door.h"
#include "said_app.h"

typedef const char *option_setter(cmd_parms *cmd, struct said_app *app, const char *value);

const char *mod_door_read_duration(const char *value, int64_t *ns)
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
    app->needs.user = value;
    return *value != '\0' ? NULL : "must name a user";
}

static const char *set_group(cmd_parms *cmd, struct said_app *app, const char *value)
{
    (void)cmd;
    app->needs.group = value;
    return *value != '\0' ? NULL : "must name a group";
}

static const char *set_directory(cmd_parms *cmd, struct said_app *app, const char *value)
{
    app->needs.directory = ap_server_root_relative(cmd->pool, value);
    return app->needs.directory != NULL ? NULL : "is no path";
}

static const char *add_env(cmd_parms *cmd, struct said_app *app, const char *value)
{
    const char *equals = strchr(value, '=');

    (void)cmd;
    if (equals == NULL || equals == value)
        return "must be NAME=value";
    if (!strncmp(value, "DOOR_PATH=", 10) || !strncmp(value, "DOOR_READY_FD=", 14) ||
        !strncmp(value, "DOOR_APP_INSTANCES=", 19) ||
        !strncmp(value, "DOOR_APP_THREADS=", 17))
        return "cannot set what mod_door itself does";
    APR_ARRAY_PUSH(app->env, const char *) = value;
    return NULL;
}

static const char *set_output(cmd_parms *cmd, struct said_app *app, const char *value)
{
    app->app.output = value;
    if (*value == '\0' || ap_server_root_relative(cmd->pool, value) == NULL)
        return "must be a file, a program after '|', or vhost:NAME";
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
    return mod_door_read_duration(value, &app->numbers.start_ns);
}

static const char *set_stop_timeout(cmd_parms *cmd, struct said_app *app, const char *value)
{
    (void)cmd;
    return mod_door_read_duration(value, &app->numbers.stop_ns);
}

static const char *set_busy_timeout(cmd_parms *cmd, struct said_app *app, const char *value)
{
    (void)cmd;
    app->numbers.has_own_busy = 1;
    return mod_door_read_duration(value, &app->numbers.busy_ns);
}

static const char *set_backoff_min(cmd_parms *cmd, struct said_app *app, const char *value)
{
    const char *wrong = mod_door_read_duration(value, &app->numbers.backoff_min_ns);

    (void)cmd;
    if (wrong == NULL && app->numbers.backoff_min_ns < 100000000)
        return "must be at least 100ms";
    return wrong;
}

static const char *set_backoff_max(cmd_parms *cmd, struct said_app *app, const char *value)
{
    const char *wrong = mod_door_read_duration(value, &app->numbers.backoff_max_ns);

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
    return wrong == NULL ? NULL : apr_psprintf(cmd->pool, "must be 1 to %d", APP_INSTANCES_MAX);
}

static const char *set_threads(cmd_parms *cmd, struct said_app *app, const char *value)
{
    uint64_t number = 0;
    const char *wrong = read_number(value, 1, MOD_DOOR_THREADS_MAX, &number);

    app->threads = (unsigned)number;
    return wrong == NULL ? NULL : apr_psprintf(cmd->pool, "must be 1 to %d", MOD_DOOR_THREADS_MAX);
}

static const char *set_max_requests(cmd_parms *cmd, struct said_app *app, const char *value)
{
    (void)cmd;
    return read_number(value, 0, INT64_MAX, &app->numbers.max_requests);
}

static const char *set_max_age(cmd_parms *cmd, struct said_app *app, const char *value)
{
    (void)cmd;
    return mod_door_read_duration(value, &app->numbers.max_age_ns);
}

/* A file of its own for each such option; "yes" is none. */
static const char *set_watch(cmd_parms *cmd, struct said_app *app, const char *value)
{
    const char *path = ap_server_root_relative(cmd->pool, value);

    if (read_flag(value, &app->numbers.is_watched) == NULL)
        return NULL;
    if (path == NULL || strchr(value, '/') == NULL)
        return "must be 'on' or 'off', or the path of a file, with a '/' in it";
    app->numbers.is_watched = 1;
    APR_ARRAY_IDX(app->watched, app->watched->nelts - 1, const char *) = path;
    APR_ARRAY_PUSH(app->watched, const char *) = NULL;
    app->needs.watched = (char *const *)app->watched->elts;
    return NULL;
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
    {"output", set_output},
    {"umask", set_umask},
    {"start-timeout", set_start_timeout},
    {"stop-timeout", set_stop_timeout},
    {"busy-timeout", set_busy_timeout},
    {"backoff-min", set_backoff_min},
    {"backoff-max", set_backoff_max},
    {"instances", set_instances},
    {"threads", set_threads},
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
    {"RLimitCPU", RLIMIT_CPU},     {"RLimitNOFILE", RLIMIT_NOFILE}, {"RLimitCORE", RLIMIT_CORE},
    {"RLimitFSIZE", RLIMIT_FSIZE}, {"RLimitSTACK", RLIMIT_STACK},
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

const char *mod_door_set_app_option(cmd_parms *cmd, struct said_app *app, const char *word)
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
