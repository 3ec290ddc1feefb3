/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * app_options.c: the options of DoorApp, one at a time.  This file checks only what
 * is written in the configuration; needs.c checks whether the program, user or
 * directory exists.
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
#include "suggest.h"

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
        return "must be a whole number, 0 or more";
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
        return "cannot set a variable that mod_door sets itself";
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

/*
 * watch=PATH can be repeated, one file each.  A path must have a '/' in it, so that a wrong
 * flag such as "yes" is not taken for a file.
 */
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

/* httpd has RLimitCPU, RLimitMEM and RLimitNPROC for CGI; the others are named like these. */
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

static const char *show_limit(apr_pool_t *pool, rlim_t limit)
{
    return limit == RLIM_INFINITY ? "max" : apr_psprintf(pool, "%" APR_UINT64_T_FMT, (apr_uint64_t)limit);
}

static const char *check_rlimit(apr_pool_t *pool, const struct app_rlimit *limit)
{
    const apr_uint64_t least = DOOR_FSIZE_MIN;

    if (limit->soft > limit->hard)
        return apr_psprintf(pool, "is wrong: the soft limit, %s, is higher than the hard limit, %s",
                            show_limit(pool, limit->soft), show_limit(pool, limit->hard));
    if (limit->resource == RLIMIT_FSIZE && limit->soft < least)
        return apr_psprintf(pool, "is too small: the memory that a door shares with its callers is a "
                                  "sparse file, and no call works below %" APR_UINT64_T_FMT,
                            least);
    return NULL;
}

static const char *set_rlimit(cmd_parms *cmd, struct said_app *app, int index, const char *value)
{
    struct app_rlimit *limit = &app->numbers.rlimits[index];
    const char *wrong = read_limit(value, &value, &limit->soft);

    limit->resource = rlimits[index].resource;
    limit->is_set = 1;
    limit->hard = limit->soft;
    apr_cpystrn(limit->name, rlimits[index].name, sizeof(limit->name));
    if (wrong == NULL && *value == ':') {
        wrong = read_limit(value + 1, &value, &limit->hard);
        if (wrong == NULL && *value != '\0')
            wrong = "must be SOFT or SOFT:HARD";
    }
    return wrong != NULL ? wrong : check_rlimit(cmd->pool, limit);
}

/* ---------------------------------------------------------------- an option */

#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))
#define RLIMIT_COUNT (sizeof(rlimits) / sizeof(rlimits[0]))

/* The number of the option or limit, or -1: options are counted first, then limits. */
static int find_option(const char *name)
{
    apr_size_t i;

    for (i = 0; i < OPTION_COUNT; i++)
        if (!ap_cstr_casecmp(name, options[i].name))
            return (int)i;
    for (i = 0; i < RLIMIT_COUNT; i++)
        if (!ap_cstr_casecmp(name, rlimits[i].name))
            return (int)(OPTION_COUNT + i);
    return -1;
}

int mod_door_is_app_option(const char *name)
{
    return find_option(name) != -1;
}

static const char *suggest(apr_pool_t *pool, const char *name)
{
    apr_array_header_t *names = apr_array_make(pool, OPTION_COUNT + RLIMIT_COUNT, sizeof(char *));
    apr_size_t i;

    for (i = 0; i < OPTION_COUNT; i++)
        APR_ARRAY_PUSH(names, const char *) = options[i].name;
    for (i = 0; i < RLIMIT_COUNT; i++)
        APR_ARRAY_PUSH(names, const char *) = rlimits[i].name;
    return mod_door_suggest(pool, name, names, "=");
}

/* The error for a word that is no option: often an argument of a program without quotes. */
static const char *refuse(cmd_parms *cmd, const struct said_app *app, const char *word,
                          const char *name)
{
    if (strchr(word, '=') == NULL && mod_door_is_app_option(name))
        return apr_psprintf(cmd->pool, "'%s' must be key=value: %s=...", word, name);
    if (*word == '-' || strchr(word, '=') == NULL)
        return apr_psprintf(cmd->pool, "'%s' must be key=value; if it is an argument of the program, "
                                       "that and its arguments need quotes: \"%s %s\"",
                            word, app->command, word);
    return apr_psprintf(cmd->pool, "%s is no option of DoorApp%s", word, suggest(cmd->pool, name));
}

const char *mod_door_check_quotes(apr_pool_t *pool, const char *word, const char *rest)
{
    const char *equals = strchr(word, '=');
    const char *quote, *end;

    for (; equals != NULL; equals = strchr(equals + 1, '=')) {
        quote = equals + 1;
        if (*quote != '"' && *quote != '\'')
            continue;
        end = strchr(rest, *quote);
        if (strchr(quote + 1, *quote) != NULL || end == NULL)
            return NULL;
        return apr_psprintf(pool, "%s %s: quotes must be around all of it: %c%.*s%s %.*s%c", word,
                            apr_pstrmemdup(pool, rest, (apr_size_t)(end - rest) + 1), *quote,
                            (int)(quote - word), word, quote + 1, (int)(end - rest), rest, *quote);
    }
    return NULL;
}

static int may_repeat(int number)
{
    return (apr_size_t)number < OPTION_COUNT &&
           (options[number].set == add_env || options[number].set == set_watch);
}

static void note_said(cmd_parms *cmd, struct said_app *app, int number, const char *word,
                      const char *name)
{
    if (!may_repeat(number) && app->said_options & 1u << number)
        APR_ARRAY_PUSH(app->hints, const char *) =
            apr_psprintf(cmd->pool, "%s= stands there more than once; what counts is %s", name, word);
    app->said_options |= 1u << number;
}

const char *mod_door_set_app_option(cmd_parms *cmd, struct said_app *app, const char *word)
{
    const char *equals = strchr(word, '=');
    const char *name = equals != NULL ? apr_pstrmemdup(cmd->pool, word, equals - word) : word;
    int number = find_option(name);
    const char *wrong;

    if (equals == NULL || number == -1)
        return refuse(cmd, app, word, name);
    note_said(cmd, app, number, word, name);
    if ((apr_size_t)number < OPTION_COUNT)
        wrong = options[number].set(cmd, app, equals + 1);
    else
        wrong = set_rlimit(cmd, app, number - (int)OPTION_COUNT, equals + 1);
    return wrong == NULL ? NULL : apr_psprintf(cmd->pool, "%s %s", word, wrong);
}
