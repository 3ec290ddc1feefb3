/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * hints.c: a DoorApp that is valid, but probably not meant so: shell operators where
 * there is no shell, options among the program's arguments, quotes that become part
 * of a value, a variable that is set twice, a limit above httpd's own.
 */
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "mod_door.h"
#include "hints.h"

static void hint(struct said_app *app, const char *text)
{
    APR_ARRAY_PUSH(app->hints, const char *) = text;
}

/* Whether the word is an operator of the shell, such as ">file", "2>&1" or "|". */
static int is_for_shell(const char *word)
{
    static const char *const signs[] = {"|", "||", "&", "&&", ";", "<", "<<", "|&"};
    const char *at = word;
    apr_size_t i;

    for (i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
        if (!strcmp(word, signs[i]))
            return 1;
    if (*at == '&' || apr_isdigit(*at))
        at++;
    return *at == '>' || (at != word && *at == '<');
}

static int is_option(apr_pool_t *pool, const char *word)
{
    const char *equals = strchr(word, '=');

    return equals != NULL &&
           mod_door_is_app_option(apr_pstrmemdup(pool, word, (apr_size_t)(equals - word)));
}

static void look_at_arguments(apr_pool_t *pool, struct said_app *app)
{
    char **word;

    for (word = app->argv + 1; *word != NULL; word++) {
        if (is_for_shell(*word))
            hint(app, apr_psprintf(pool, "'%s' is an argument of the program: there is no shell. "
                                         "output= says where what it prints goes; for the rest, "
                                         "have \"/bin/sh -c '...'\" run it",
                                   *word));
        else if (is_option(pool, *word))
            hint(app, apr_psprintf(pool, "'%s' stands inside the command's quotes, and so is an "
                                         "argument of the program, and no option of DoorApp",
                                   *word));
    }
}

static void look_at_variables(apr_pool_t *pool, struct said_app *app)
{
    int i, k;

    for (i = 0; i < app->env->nelts; i++) {
        const char *one = APR_ARRAY_IDX(app->env, i, const char *);
        const char *value = strchr(one, '=') + 1;
        apr_size_t len = strlen(value);

        if (len > 1 && (*value == '"' || *value == '\'') && value[len - 1] == *value)
            hint(app, apr_psprintf(pool, "env=%s: the quotes are a part of the value", one));
        for (k = i + 1; k < app->env->nelts; k++)
            if (!strncmp(APR_ARRAY_IDX(app->env, k, const char *), one, (apr_size_t)(value - one)))
                hint(app, apr_psprintf(pool, "env=%.*s= stands there more than once",
                                       (int)(value - one) - 1, one));
    }
}

/* Only root may set a hard limit above httpd's own. */
static void look_at_limits(apr_pool_t *pool, struct said_app *app)
{
    int i;

    for (i = 0; i < APP_RLIMITS_MAX && geteuid() != 0; i++) {
        const struct app_rlimit *limit = &app->numbers.rlimits[i];
        struct rlimit own;

        if (limit->is_set && getrlimit(limit->resource, &own) == 0 && limit->hard > own.rlim_max)
            hint(app, apr_psprintf(pool, "%s=: the hard limit is higher than httpd's own, %"
                                         APR_UINT64_T_FMT ", and httpd was not started by root",
                                   limit->name, (apr_uint64_t)own.rlim_max));
    }
}

void mod_door_hint_at_line(apr_pool_t *pool, struct said_app *app)
{
    look_at_arguments(pool, app);
    look_at_variables(pool, app);
    look_at_limits(pool, app);
}

const char *mod_door_search_path(const struct said_app *app)
{
    int i;

    for (i = 0; i < app->env->nelts; i++)
        if (!strncmp(APR_ARRAY_IDX(app->env, i, const char *), "PATH=", 5))
            return APR_ARRAY_IDX(app->env, i, const char *) + 5;
    return MOD_DOOR_DEFAULT_PATH;
}
