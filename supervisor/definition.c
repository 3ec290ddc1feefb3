/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * definition.c: an application's definition, as one piece of memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor.h"

/* Appends the string if it fits.  Returns the length so far, as if it did. */
static size_t append(char *to, size_t cap, size_t len, const char *string)
{
    size_t size = strlen(string) + 1;

    if (to != NULL && len + size <= cap)
        memcpy(to + len, string, size);
    return len + size;
}

static size_t append_all(char *to, size_t cap, size_t len, char *const *strings)
{
    while (*strings != NULL)
        len = append(to, cap, len, *strings++);
    return len;
}

static size_t write_strings(char *to, size_t cap, const struct app_strings *strings)
{
    size_t len = append(to, cap, 0, strings->directory);

    len = append(to, cap, len, strings->command);
    len = append_all(to, cap, len, strings->argv);
    len = append_all(to, cap, len, strings->env);
    return append_all(to, cap, len, strings->watched);
}

static uint32_t count(char *const *strings)
{
    uint32_t n = 0;

    while (strings[n] != NULL)
        n++;
    return n;
}

struct app_definition *definition_make(const struct app_definition *numbers,
                                       const struct app_strings *strings)
{
    size_t len = write_strings(NULL, 0, strings);
    struct app_definition *def;

    if (len > DEFINITION_MAX - sizeof(*def)) {
        errno = E2BIG;
        return NULL;
    }
    def = malloc(sizeof(*def) + len);
    if (def == NULL)
        return NULL;
    memcpy(def, numbers, sizeof(*def));
    def->size = (uint32_t)(sizeof(*def) + len);
    def->argc = count(strings->argv);
    def->envc = count(strings->env);
    write_strings((char *)(def + 1), len, strings);
    return def;
}

/* How many strings follow the definition.  Its size must have been checked. */
static size_t count_strings(const struct app_definition *def)
{
    const char *end = (const char *)def + def->size;
    size_t strings = 0;

    for (const char *at = (const char *)(def + 1); at < end; at += strlen(at) + 1)
        strings++;
    return strings;
}

int definition_is_whole(const void *data, size_t len)
{
    const struct app_definition *def = data;

    if (len <= sizeof(*def) || len > DEFINITION_MAX || def->size != len ||
        ((const char *)data)[len - 1] != '\0')
        return 0;
    return def->argc > 0 && def->argc < len && def->envc < len &&
           count_strings(def) >= 2 + (size_t)def->argc + def->envc && def->row < APP_MAX &&
           def->group_count <= APP_GROUPS_MAX && def->instances >= 1 &&
           def->instances <= APP_INSTANCES_MAX && def->name[0] != '\0' &&
           memchr(def->name, '\0', sizeof(def->name)) != NULL;
}

/* Points n pointers to the strings from *at on, and moves *at behind them. */
static char **point(char **pointers, uint32_t n, const char **at)
{
    for (uint32_t i = 0; i < n; i++, *at += strlen(*at) + 1)
        *pointers++ = (char *)*at;
    *pointers++ = NULL;
    return pointers;
}

struct app_strings *definition_strings(const struct app_definition *def)
{
    struct app_strings *strings;
    const char *at = (const char *)(def + 1);
    uint32_t watched_count = (uint32_t)count_strings(def) - 2 - def->argc - def->envc;
    char **pointers;

    strings = malloc(sizeof(*strings) +
                     ((size_t)def->argc + def->envc + watched_count + 3) * sizeof(char *));
    if (strings == NULL)
        return NULL;
    pointers = (char **)(strings + 1);
    strings->directory = at;
    at += strlen(at) + 1;
    strings->command = at;
    at += strlen(at) + 1;
    strings->argv = pointers;
    strings->env = point(pointers, def->argc, &at);
    strings->watched = point(strings->env, def->envc, &at);
    point(strings->watched, watched_count, &at);
    return strings;
}

static void add_file(struct app_program_id *id, const struct stat *st)
{
    id->dev = id->dev * 31 + (uint64_t)st->st_dev;
    id->ino = id->ino * 31 + (uint64_t)st->st_ino;
    id->size = id->size * 31 + (uint64_t)st->st_size;
    id->mtime_ns = id->mtime_ns * 31 + (uint64_t)st->st_mtim.tv_sec * 1000000000 +
                   (uint64_t)st->st_mtim.tv_nsec;
}

int definition_identify(const char *path, char *const *watched, struct app_program_id *id)
{
    struct stat st;

    memset(id, 0, sizeof(*id));
    if (stat(path, &st) == -1)
        return -1;
    if (!S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0) {
        errno = EACCES;
        return -1;
    }
    add_file(id, &st);
    for (; watched != NULL && *watched != NULL; watched++) {
        if (stat(*watched, &st) == -1)
            memset(&st, 0, sizeof(st));
        add_file(id, &st);
    }
    return 0;
}
