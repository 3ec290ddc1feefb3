/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * overlap.c: warns of rules that seem to apply to a door and do not.  The URL of a
 * door in a <Location> is not mapped to the disk, so the rules of <Directory> and
 * .htaccess for the directory that this URL would have do not apply to the door.
 * This file reads the configuration as it was written; it sees no requests.
 */
#include <string.h>

#include <apr_file_io.h>
#include <apr_fnmatch.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <http_core.h>
#include <http_log.h>

#include "mod_door.h"
#include "settings.h"
#include "overlap.h"
#include "tag.h"

APLOG_USE_MODULE(door);

/* A DoorHandler in a <Location>. */
struct said {
    const struct mod_door_config *conf;
    const ap_directive_t *where;
    const server_rec *server;
};

static apr_array_header_t *all_said; /* struct said, of the configuration that is being read */

/* Rules, beside those of access, that an administrator may expect to apply below a directory. */
static const char *const rules[] = {
    "Header",         "RequestHeader",    "SetOutputFilter", "AddOutputFilterByType",
    "SetInputFilter", "LimitRequestBody",
};

void mod_door_forget_locations(apr_pool_t *config_pool)
{
    all_said = apr_array_make(config_pool, 4, sizeof(struct said));
}

void mod_door_note_location(const struct mod_door_config *conf, const ap_directive_t *where,
                            const server_rec *server)
{
    APR_ARRAY_PUSH(all_said, struct said) = (struct said){conf, where, server};
}

static int is_access(const char *name)
{
    return !ap_cstr_casecmpn(name + (*name == '<'), "Require", 7) || !ap_cstr_casecmp(name, "Deny");
}

/* "Require all granted" lets everybody in, so it is no loss if it does not apply. */
static int is_open(const char *name, const char *args)
{
    return !ap_cstr_casecmp(name, "Require") && !ap_cstr_casecmp(args, "all granted");
}

static int is_rule(const char *name)
{
    apr_size_t i;

    for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (!ap_cstr_casecmp(name, rules[i]))
            return 1;
    return 0;
}

static int is_override(const char *name)
{
    return !ap_cstr_casecmp(name, "AllowOverride");
}

typedef int checker(const char *name);

/* The first such directive in the section or its inner sections, except <Files>; or NULL. */
static const ap_directive_t *find_in(const ap_directive_t *section, checker *is_it)
{
    const ap_directive_t *at;

    for (at = section->first_child; at != NULL; at = at->next) {
        const ap_directive_t *inner = NULL;

        if (is_it(at->directive))
            return at;
        if (at->first_child != NULL && ap_cstr_casecmpn(at->directive, "<Files", 6) != 0)
            inner = find_in(at, is_it);
        if (inner != NULL)
            return inner;
    }
    return NULL;
}

/* The directory of a <Directory>, without a slash at its end; NULL if it is a pattern. */
static const char *directory_of(apr_pool_t *pool, const ap_directive_t *section)
{
    const char *args = section->args;
    apr_size_t len = strlen(args);
    char *path;

    args = apr_pstrmemdup(pool, args, len > 0 && args[len - 1] == '>' ? len - 1 : len);
    path = ap_getword_conf(pool, &args);
    if (*path != '/' || apr_fnmatch_test(path))
        return NULL;
    for (len = strlen(path); len > 0 && path[len - 1] == '/';)
        path[--len] = '\0';
    return path;
}

/*
 * Looks in this section and those behind it for the <Directory> with such a directive that
 * is nearest to the path.  Changes *found and *found_len only if it is nearer than *found.
 */
static void look_up(apr_pool_t *pool, const ap_directive_t *at, const char *path, checker *is_it,
                    const ap_directive_t **found, apr_size_t *found_len)
{
    for (; at != NULL; at = at->next) {
        const char *directory = NULL;
        const ap_directive_t *inner = NULL;

        if (at->first_child != NULL && !ap_cstr_casecmp(at->directive, "<Directory"))
            directory = directory_of(pool, at);
        /* Not "/": there, most configurations forbid everything by default. */
        if (directory != NULL && *directory != '\0' && mod_door_is_below(path, directory) &&
            strlen(directory) >= *found_len)
            inner = find_in(at, is_it);
        if (inner != NULL) {
            *found = inner;
            *found_len = strlen(directory);
        }
    }
}

/* The first directive in the server's <VirtualHost>, or NULL. */
static const ap_directive_t *host_of(const server_rec *s)
{
    const ap_directive_t *at = s->is_virtual && s->defn_name != NULL ? ap_conftree : NULL;

    while (at != NULL && ((unsigned)at->line_num != s->defn_line_number ||
                          strcmp(at->filename, s->defn_name) != 0 ||
                          ap_cstr_casecmp(at->directive, "<VirtualHost") != 0))
        at = at->next;
    return at != NULL ? at->first_child : NULL;
}

static const ap_directive_t *find_nearest(apr_pool_t *pool, const server_rec *s, const char *path,
                                          checker *is_it)
{
    const ap_directive_t *found = NULL;
    apr_size_t len = 0;

    look_up(pool, ap_conftree, path, is_it, &found, &len);
    look_up(pool, host_of(s), path, is_it, &found, &len);
    return found;
}

/* The first rule in the directory's .htaccess file, or NULL. */
static const char *find_in_file(apr_pool_t *pool, const char *name)
{
    const char *found = NULL;
    apr_file_t *file;
    char text[1024];

    if (apr_file_open(&file, name, APR_FOPEN_READ, APR_FPROT_OS_DEFAULT, pool) != APR_SUCCESS)
        return NULL;
    while (found == NULL && apr_file_gets(text, sizeof(text), file) == APR_SUCCESS) {
        const char *args = text + strspn(text, " \t");
        const char *word;

        text[strcspn(text, "\r\n")] = '\0';
        word = ap_getword_conf(pool, &args);
        if (is_rule(word) || (is_access(word) && !is_open(word, args)))
            found = word;
    }
    apr_file_close(file);
    return found;
}

/* Whether the <Location> has such a rule of its own, so that no warning is needed. */
static int is_said_again(const ap_directive_t *location, const char *name)
{
    const ap_directive_t *at = location->first_child;

    while (at != NULL && ap_cstr_casecmp(at->directive, name) != 0 &&
           !(is_access(name) && is_access(at->directive)))
        at = at->next;
    return at != NULL;
}

static void warn(const struct said *said, server_rec *s, const char *rule, const char *of,
                 int flags)
{
    const ap_directive_t *location = said->where;

    while (location != NULL && ap_cstr_casecmp(location->directive, "<Location") != 0)
        location = location->parent;
    if (location == NULL || is_said_again(location, rule))
        return;
    ap_log_error(APLOG_MARK, APLOG_WARNING | flags, 0, s,
                 DOORNO(0207) "%s:%d: DoorHandler %s in %s %s: the %s of %s does not apply to it; what is to "
                 "apply must stand in the <Location>",
                 said->where->filename, said->where->line_num, said->conf->path,
                 location->directive, location->args, rule, of);
}

/* Warns of the nearest rule of that kind in a <Directory>. */
static void look_at_sections(apr_pool_t *pool, const struct said *said, server_rec *s,
                             const char *path, checker *is_it, int flags)
{
    const ap_directive_t *rule = find_nearest(pool, s, path, is_it);
    const ap_directive_t *section = rule;

    if (rule == NULL || is_open(rule->directive, rule->args))
        return;
    while (ap_cstr_casecmp(section->directive, "<Directory") != 0)
        section = section->parent;
    warn(said, s, rule->directive,
         apr_psprintf(pool, "%s %s, %s:%d,", section->directive, section->args, rule->filename,
                      rule->line_num),
         flags);
}

static void look_at(apr_pool_t *pool, const struct said *said, server_rec *s, int flags)
{
    core_server_config *core = ap_get_core_module_config(s->module_config);
    const char *path = apr_pstrcat(pool, core->ap_document_root, said->conf->mount_path, NULL);
    const ap_directive_t *override = find_nearest(pool, s, path, is_override);
    const char *file = apr_pstrcat(pool, path, "/.htaccess", NULL);
    const char *name = NULL;

    look_at_sections(pool, said, s, path, is_access, flags);
    look_at_sections(pool, said, s, path, is_rule, flags);
    if (override != NULL && ap_cstr_casecmp(override->args, "None") != 0)
        name = find_in_file(pool, file);
    if (name != NULL)
        warn(said, s, name, file, flags);
}

void mod_door_warn_of_overlaps(apr_pool_t *pool, server_rec *main_server, int flags)
{
    core_server_config *main_core = ap_get_core_module_config(main_server->module_config);
    server_rec *s;
    int i;

    for (i = 0; i < all_said->nelts; i++) {
        const struct said *said = &APR_ARRAY_IDX(all_said, i, struct said);

        for (s = main_server; s != NULL; s = s->next) {
            core_server_config *core = ap_get_core_module_config(s->module_config);
            /* A virtual host inherits the main server's <Location>s, with its own DocumentRoot. */
            int is_heir = !said->server->is_virtual && core->ap_document_root != NULL &&
                          core->ap_document_root != main_core->ap_document_root;

            if (core->ap_document_root != NULL && (said->server == s || is_heir))
                look_at(pool, said, s, flags);
        }
    }
}
