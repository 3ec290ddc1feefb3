/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * needs.c: what an application needs that is no part of httpd's configuration:
 * its program and what runs that, a directory, a user and a group.  They come
 * and go with deployments, so a configuration that names what is not there is
 * right; it is looked for again.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>
#include <httpd.h>
#include <unixd.h>

#include "mod_door.h"
#include "needs.h"

/* As much of a script's first line as Linux reads. */
#define FIRST_LINE_LEN 256

/* The program that runs a script, or NULL: it is none, or cannot be read. */
static const char *interpreter_of(apr_pool_t *pool, const char *program)
{
    char line[FIRST_LINE_LEN + 1];
    int fd = open(program, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t len = fd != -1 ? read(fd, line, FIRST_LINE_LEN) : -1;
    const char *at = line + 2;

    if (fd != -1)
        close(fd);
    if (len < 2 || strncmp(line, "#!", 2) != 0)
        return NULL;
    line[len] = '\0';
    at += strspn(at, " \t");
    return apr_pstrmemdup(pool, at, strcspn(at, " \t\r\n"));
}

static const char *find_program(apr_pool_t *pool, const struct mod_door_needs *needs,
                                struct app_program_id *id)
{
    const char *program = needs->program;
    struct app_program_id interpreter_id;
    const char *interpreter;

    if (definition_identify(program, needs->watched, id) == -1)
        return apr_psprintf(pool, "cannot run '%s': %s", program, strerror(errno));
    interpreter = interpreter_of(pool, program);
    if (interpreter != NULL && definition_identify(interpreter, NULL, &interpreter_id) == -1)
        return apr_psprintf(pool, "cannot run '%s': its interpreter '%s': %s", program, interpreter,
                            strerror(errno));
    return NULL;
}

static void add_groups(struct app_definition *def, const gid_t *groups, int count)
{
    int i;

    for (i = 0; i < count; i++)
        def->groups[i] = groups[i];
    def->group_count = (uint32_t)count;
}

/* Whom it runs as, where httpd is root. */
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

const char *mod_door_find_needs(apr_pool_t *pool, const struct mod_door_needs *needs,
                                struct app_definition *def)
{
    struct group *group = needs->group != NULL ? getgrnam(needs->group) : NULL;
    const char *missing = find_program(pool, needs, &def->program);

    if (missing != NULL)
        return missing;
    if (!ap_is_directory(pool, needs->directory))
        return apr_psprintf(pool, "directory=%s must be a directory", needs->directory);
    if (needs->user != NULL && getpwnam(needs->user) == NULL)
        return apr_psprintf(pool, "there is no user '%s'", needs->user);
    if (needs->group != NULL && group == NULL)
        return apr_psprintf(pool, "there is no group '%s'", needs->group);
    return geteuid() == 0 ? set_credentials(pool, needs, group, def) : NULL;
}
