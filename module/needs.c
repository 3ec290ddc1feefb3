/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * needs.c: what an application needs that is not part of httpd's configuration:
 * its program and interpreter, a directory, a user and a group.  Deployments add and
 * remove these, so a configuration is not wrong if one is missing; httpd looks for
 * it again later.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <httpd.h>
#include <unixd.h>

#include "mod_door.h"
#include "needs.h"
#include "reach.h"

/* ------------------------------------------------------------ the program */

/* How the program was written, if the path that was looked for is a different one. */
static const char *where(apr_pool_t *pool, const struct mod_door_needs *needs)
{
    if (!strcmp(needs->said_program, needs->program))
        return "";
    return apr_psprintf(pool, " (%s, from ServerRoot on%s)", needs->said_program,
                        strchr(needs->said_program, '/') == NULL ? "; PATH is not searched" : "");
}

/* Why a path is no program that can be run; error is the errno of definition_identify(). */
static const char *why_no_program(apr_pool_t *pool, const char *path, int error)
{
    struct stat st;

    if (stat(path, &st) == -1) {
        if (error == ENOENT)
            return lstat(path, &st) == 0 ? "it is a symbolic link to what does not exist"
                                         : "it does not exist";
        return strerror(error);
    }
    if (S_ISDIR(st.st_mode))
        return "it is a directory";
    if (!S_ISREG(st.st_mode))
        return "it is no regular file";
    return apr_psprintf(pool, "it is not executable: chmod +x %s", path);
}

/*
 * A script's interpreter, or NULL.  A relative path starts at the working directory.  An
 * interpreter whose path was cut off is not checked: some systems read longer first lines.
 */
static const char *interpreter_of(apr_pool_t *pool, const struct mod_door_needs *needs,
                                  const struct program *program)
{
    if (program->kind != PROGRAM_SCRIPT || program->interpreter[0] == '\0' || program->is_cut)
        return NULL;
    return *program->interpreter == '/' ? program->interpreter
                                        : apr_pstrcat(pool, needs->directory, "/",
                                                      program->interpreter, NULL);
}

static const char *find_program(apr_pool_t *pool, const struct mod_door_needs *needs,
                                struct app_program_id *id)
{
    struct app_program_id interpreter_id;
    struct program program;
    const char *interpreter;

    if (definition_identify(needs->program, needs->watched, id) == -1)
        return apr_psprintf(pool, "cannot run '%s'%s: %s", needs->program, where(pool, needs),
                            why_no_program(pool, needs->program, errno));
    program_look(needs->program, &program);
    interpreter = interpreter_of(pool, needs, &program);
    if (interpreter == NULL)
        return NULL;
    if (program.has_return && program.is_bare)
        return apr_psprintf(pool, "cannot run '%s': its first line ends with CR LF, as on Windows, "
                                  "and so '%s' with a CR at its end is the interpreter: dos2unix %s",
                            needs->program, interpreter, needs->program);
    if (definition_identify(interpreter, NULL, &interpreter_id) == 0)
        return NULL;
    return apr_psprintf(pool, "cannot run '%s': its interpreter '%s': %s", needs->program,
                        interpreter, why_no_program(pool, interpreter, errno));
}

/* ------------------------------------------------------------ doubts */

static void doubt(apr_array_header_t *hints, const char *text)
{
    APR_ARRAY_PUSH(hints, const char *) = text;
}

static int is_in_path(apr_pool_t *pool, const char *search_path, const char *name)
{
    struct app_program_id id;

    while (*search_path != '\0') {
        apr_size_t len = strcspn(search_path, ":");
        const char *path = apr_psprintf(pool, "%.*s/%s", (int)len, search_path, name);

        if (definition_identify(path, NULL, &id) == 0)
            return 1;
        search_path += len + (search_path[len] == ':');
    }
    return 0;
}

/* "#!/usr/bin/env python3": env(1) looks for python3 in PATH when the script starts. */
static void doubt_env(apr_pool_t *pool, const struct mod_door_needs *needs,
                      const struct program *program, const char *search_path,
                      apr_array_header_t *hints)
{
    const char *slash = strrchr(program->interpreter, '/');
    const char *name = program->argument;

    if (slash == NULL || strcmp(slash, "/env") != 0 || *name == '-' || *name == '\0' ||
        strpbrk(name, "=/") != NULL || is_in_path(pool, search_path, name))
        return;
    doubt(hints, apr_psprintf(pool, "'%s' is run by '%s', which is nowhere in its PATH %s",
                              needs->program, name, search_path));
}

static void doubt_kind(apr_pool_t *pool, const struct mod_door_needs *needs,
                       const struct program *program, apr_array_header_t *hints)
{
    if (program->kind == PROGRAM_TEXT)
        doubt(hints, apr_psprintf(pool, "'%s' will hardly run: it is no binary, and its first line "
                                        "does not begin with #! and an interpreter",
                                  needs->program));
    else if (program->is_cut)
        doubt(hints, apr_psprintf(pool, "'%s' will hardly run: its first line is longer than the %d "
                                        "bytes in which the interpreter has to end",
                                  needs->program, PROGRAM_LINE_MAX - 1));
    else if (program->kind == PROGRAM_SCRIPT && *program->interpreter == '\0')
        doubt(hints, apr_psprintf(pool, "'%s' will hardly run: its first line names no interpreter "
                                        "behind #!", needs->program));
    else if (program->kind == PROGRAM_SCRIPT && program->has_return)
        doubt(hints, apr_psprintf(pool, "'%s' will hardly run: its first line ends with CR LF, as on "
                                        "Windows: dos2unix %s",
                                  needs->program, needs->program));
}

static void doubt_reach(apr_pool_t *pool, const struct app_definition *def, const char *what,
                        const char *path, unsigned how, apr_array_header_t *hints)
{
    const char *obstacle = mod_door_find_obstacle(pool, path, how, def);

    if (obstacle != NULL)
        doubt(hints, apr_psprintf(pool, "its user %s may not %s '%s', by the mode of %s: chmod, or "
                                        "another user=",
                                  def->user, what, path, obstacle));
}

void mod_door_doubt_program(apr_pool_t *pool, const struct mod_door_needs *needs,
                            const struct app_definition *def, const char *search_path,
                            apr_array_header_t *hints)
{
    struct program program;
    const char *interpreter;

    program_look(needs->program, &program);
    interpreter = interpreter_of(pool, needs, &program);
    doubt_kind(pool, needs, &program, hints);
    doubt_env(pool, needs, &program, search_path, hints);
    doubt_reach(pool, def, "run", needs->program,
                interpreter != NULL ? MOD_DOOR_MAY_RUN | MOD_DOOR_MAY_READ : MOD_DOOR_MAY_RUN,
                hints);
    if (interpreter != NULL)
        doubt_reach(pool, def, "run", interpreter, MOD_DOOR_MAY_RUN, hints);
    doubt_reach(pool, def, "enter", needs->directory, MOD_DOOR_MAY_RUN, hints);
}

/* ------------------------------------------------------------ whom it runs as */

static void add_groups(struct app_definition *def, const gid_t *groups, int count)
{
    int i;

    for (i = 0; i < count; i++)
        def->groups[i] = groups[i];
    def->group_count = (uint32_t)count;
}

/* Sets the user and groups that the application runs as, if httpd is root. */
static const char *set_credentials(apr_pool_t *pool, const struct mod_door_needs *needs,
                                   const struct group *group, struct app_definition *def)
{
    const char *name = needs->user != NULL ? needs->user : ap_unixd_config.user_name;
    struct passwd *user = name != NULL && *name != '#' ? getpwnam(name) : NULL;
    gid_t groups[APP_GROUPS_MAX];
    int count = APP_GROUPS_MAX;

    def->has_credentials = 1;
    def->uid = user != NULL ? user->pw_uid : ap_unixd_config.user_id;
    def->gid = group != NULL         ? group->gr_gid
               : needs->user != NULL ? user->pw_gid
                                     : ap_unixd_config.group_id;
    def->door_gid = ap_unixd_config.group_id;
    groups[0] = (gid_t)def->gid;
    if (user == NULL)
        count = 1;
    else if (getgrouplist(user->pw_name, (gid_t)def->gid, groups, &count) == -1)
        return apr_psprintf(pool, "its user has more than %d groups", APP_GROUPS_MAX);
    add_groups(def, groups, count);
    return NULL;
}

/* The user's name is only for messages; the number is what is used. */
static void name_user(struct app_definition *def)
{
    struct passwd *user = getpwuid(def->has_credentials ? (uid_t)def->uid : geteuid());

    if (user != NULL)
        apr_cpystrn(def->user, user->pw_name, sizeof(def->user));
}

static const char *find_directory(apr_pool_t *pool, const char *path)
{
    struct stat st;

    if (stat(path, &st) == -1)
        return apr_psprintf(pool, "directory=%s %s%s", path,
                            errno == ENOENT ? "does not exist" : "cannot be used: ",
                            errno == ENOENT ? "" : strerror(errno));
    return S_ISDIR(st.st_mode) ? NULL : apr_psprintf(pool, "directory=%s is no directory", path);
}

const char *mod_door_find_needs(apr_pool_t *pool, const struct mod_door_needs *needs,
                                struct app_definition *def)
{
    struct group *group = needs->group != NULL ? getgrnam(needs->group) : NULL;
    const char *missing = find_program(pool, needs, &def->program);

    if (missing == NULL)
        missing = find_directory(pool, needs->directory);
    if (missing != NULL)
        return missing;
    if (needs->user != NULL && getpwnam(needs->user) == NULL)
        return apr_psprintf(pool, "there is no user '%s'", needs->user);
    if (needs->group != NULL && group == NULL)
        return apr_psprintf(pool, "there is no group '%s'", needs->group);
    if (geteuid() == 0)
        missing = set_credentials(pool, needs, group, def);
    name_user(def);
    return missing;
}
