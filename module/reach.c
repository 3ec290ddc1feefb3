/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * reach.c: what a user may do in the file system, by the owners and modes of files as
 * httpd's parent sees them.  Access control lists and file systems with other rules are
 * not considered, so the result is used for warnings only.
 */
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <httpd.h>

#include "mod_door.h"
#include "reach.h"

struct person {
    uid_t uid;
    gid_t groups[APP_GROUPS_MAX + 1];
    int group_count;
};

static void find_person(const struct app_definition *def, struct person *person)
{
    apr_uint32_t i;

    if (!def->has_credentials) {
        person->uid = geteuid();
        person->groups[0] = getegid();
        person->group_count = 1 + getgroups(APP_GROUPS_MAX, person->groups + 1);
        if (person->group_count < 1) /* there are more groups than fit */
            person->group_count = 1;
        return;
    }
    person->uid = (uid_t)def->uid;
    person->groups[0] = (gid_t)def->gid;
    for (i = 0; i < def->group_count; i++)
        person->groups[i + 1] = (gid_t)def->groups[i];
    person->group_count = (int)def->group_count + 1;
}

static int is_in_group(const struct person *person, gid_t group)
{
    int i;

    for (i = 0; i < person->group_count; i++)
        if (person->groups[i] == group)
            return 1;
    return 0;
}

static int may(const struct person *person, const struct stat *st, unsigned what)
{
    unsigned mode = (unsigned)st->st_mode;

    if (person->uid == 0)
        return !(what & MOD_DOOR_MAY_RUN) || S_ISDIR(st->st_mode) || (mode & 0111) != 0;
    if (st->st_uid == person->uid)
        mode >>= 6;
    else if (is_in_group(person, st->st_gid))
        mode >>= 3;
    return (mode & what) == what;
}

static const char *describe(apr_pool_t *pool, const char *path, const struct stat *st)
{
    struct passwd *user = getpwuid(st->st_uid);
    const char *owner = user != NULL ? user->pw_name : apr_psprintf(pool, "#%lu", (unsigned long)st->st_uid);
    struct group *group = getgrgid(st->st_gid);

    return apr_psprintf(pool, "'%s' (mode %04o, owner %s, group %s)", path,
                        (unsigned)st->st_mode & 07777, owner,
                        group != NULL ? group->gr_name
                                      : apr_psprintf(pool, "#%lu", (unsigned long)st->st_gid));
}

/* Checks each directory of an absolute path, and then the file itself. */
static const char *walk(apr_pool_t *pool, const char *path, unsigned what,
                        const struct person *person)
{
    const char *slash = path;
    struct stat st;

    for (; slash != NULL; slash = strchr(slash + 1, '/')) {
        const char *directory =
            slash == path ? "/" : apr_pstrmemdup(pool, path, (apr_size_t)(slash - path));

        if (stat(directory, &st) == 0 && !may(person, &st, MOD_DOOR_MAY_RUN))
            return describe(pool, directory, &st);
    }
    return stat(path, &st) == 0 && !may(person, &st, what) ? describe(pool, path, &st) : NULL;
}

const char *mod_door_find_obstacle(apr_pool_t *pool, const char *path, unsigned what,
                                   const struct app_definition *def)
{
    struct person person;
    const char *found;
    char *real;

    if (*path != '/')
        return NULL;
    find_person(def, &person);
    found = walk(pool, path, what, &person);
    if (found != NULL)
        return found;
    real = realpath(path, NULL); /* symbolic links may lead through other directories */
    if (real != NULL)
        found = walk(pool, real, what, &person);
    free(real);
    return found;
}
