/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * unasked.c: warns of guards that keep nobody out.  httpd asks an authenticator and an
 * authorizer only where a Require needs a user, and "Satisfy Any" can make up for an access
 * checker's refusal.  This file reads the configuration as it was written; it sees no
 * requests.  In doubt, it is silent: another section, an outer or an inner one, may have
 * the Require that is missing beside the guard.
 */
#include <string.h>

#include <apr_fnmatch.h>
#include <apr_strings.h>
#include <apr_tables.h>
#include <http_core.h>
#include <http_log.h>

#include "mod_door.h"
#include "settings.h"
#include "unasked.h"
#include "tag.h"

APLOG_USE_MODULE(door);

struct said {
    int role;
    const ap_directive_t *where;
};

static apr_array_header_t *all_said; /* struct said, of the configuration that is being read */

void mod_door_forget_guards(apr_pool_t *config_pool)
{
    all_said = apr_array_make(config_pool, 4, sizeof(struct said));
}

/* ------------------------------------------------------------ directives */

typedef int checker(const ap_directive_t *at);

static int is(const ap_directive_t *at, const char *name)
{
    return !ap_cstr_casecmp(at->directive, name);
}

static int begins(const ap_directive_t *at, const char *name)
{
    return !ap_cstr_casecmpn(at->directive, name, strlen(name));
}

void mod_door_note_guard(int role, const ap_directive_t *where)
{
    /* An alias is no place: it is asked where an AuthBasicProvider names it. */
    if (where->parent == NULL || !begins(where->parent, "<AuthnProviderAlias"))
        APR_ARRAY_PUSH(all_said, struct said) = (struct said){role, where};
}

/* Whether the directive is a Require with such a first word, "not" apart. */
static int requires(const ap_directive_t *at, const char *word)
{
    const char *args = at->args;
    apr_size_t len = strlen(word);

    if (!is(at, "Require"))
        return 0;
    if (!ap_cstr_casecmpn(args, "not ", 4))
        args += 4 + strspn(args + 4, " \t");
    return !ap_cstr_casecmpn(args, word, len) && (args[len] == '\0' || args[len] == ' ');
}

static int is_open(const ap_directive_t *at)
{
    return is(at, "Require") && !ap_cstr_casecmp(at->args, "all granted");
}

/* Whether .htaccess files may have a Require. */
static int is_override(const ap_directive_t *at)
{
    return begins(at, "AllowOverride") && ap_cstr_casecmp(at->args, "None") != 0;
}

/* One of httpd's own kinds that needs no user; any other kind may need one. */
static int may_need_user(const ap_directive_t *at)
{
    static const char *const userless[] = {"all", "ip", "host", "forward-dns", "local", "env", "method"};
    apr_size_t i;

    for (i = 0; i < sizeof(userless) / sizeof(userless[0]); i++)
        if (requires(at, userless[i]))
            return 0;
    return is(at, "Require") || is_override(at);
}

static int is_closed(const ap_directive_t *at)
{
    return is(at, "Require") && !ap_cstr_casecmp(at->args, "all denied");
}

static int may_keep_out(const ap_directive_t *at)
{
    return (is(at, "Require") && !is_open(at) && !is_closed(at)) || is_override(at);
}

/* What may refuse a request before Require is looked at, so that "Satisfy Any" goes on to that. */
static int is_access_check(const ap_directive_t *at)
{
    static const char *const names[] = {
        "Deny",             "Order",             "DoorAccessChecker", "FcgidAccessChecker",
        "SSLRequire",       "SSLRequireSSL",     "SSLVerifyClient",   "AllowMethods",
        "WSGIAccessScript", "PerlAccessHandler", "LuaHookAccessChecker",
    };
    apr_size_t i;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (is(at, names[i]))
            return 1;
    return is_override(at);
}

static int is_satisfy_any(const ap_directive_t *at)
{
    return is(at, "Satisfy") && !ap_cstr_casecmp(at->args, "Any");
}

static int is_merging(const ap_directive_t *at)
{
    return is(at, "AuthMerging");
}

/* ------------------------------------------------------------ sections */

/* The section that the guard is for; NULL: the whole server. */
static const ap_directive_t *section_of(const ap_directive_t *where)
{
    const ap_directive_t *section = where->parent;

    while (section != NULL && (begins(section, "<If") || begins(section, "<Else")))
        section = section->parent;
    return section != NULL && !is(section, "<VirtualHost") ? section : NULL;
}

/* The path of a <Location>, or NULL if that is a pattern. */
static const char *location_of(apr_pool_t *pool, const ap_directive_t *section)
{
    const char *args = section->args;
    apr_size_t len = strlen(args);
    const char *path;

    if (!is(section, "<Location"))
        return NULL;
    args = apr_pstrmemdup(pool, args, len > 0 && args[len - 1] == '>' ? len - 1 : len);
    path = ap_getword_conf(pool, &args);
    return *path == '/' && *args == '\0' && !apr_fnmatch_test(path) ? path : NULL;
}

/* Whether one path begins with the other one. */
static int is_same_way(const char *a, const char *b)
{
    apr_size_t a_len = strlen(a), b_len = strlen(b);

    return !strncmp(a, b, a_len < b_len ? a_len : b_len);
}

/* Whether a section can surely not apply to a request for which the guard is asked. */
static int is_elsewhere(apr_pool_t *pool, const ap_directive_t *at, const ap_directive_t *guard)
{
    const ap_directive_t *section = section_of(guard);
    const char *path = location_of(pool, at);
    const char *guarded = section != NULL ? location_of(pool, section) : NULL;
    const ap_directive_t *host = guard->parent;

    while (host != NULL && !is(host, "<VirtualHost"))
        host = host->parent;
    if (is(at, "<VirtualHost"))
        return host != NULL && host != at;
    return path != NULL && guarded != NULL && !is_same_way(path, guarded);
}

/*
 * Whether any directive that may apply where the guard does is such a one.  With is_decided,
 * what the guard's own section requires is known, and its Requires do not count.
 */
static int is_anywhere(apr_pool_t *pool, const ap_directive_t *at, const struct said *said,
                       checker *is_it, int is_decided)
{
    for (; at != NULL; at = at->next) {
        int is_known = is_decided && at->parent == said->where->parent &&
                       (begins(at, "Require") || begins(at, "<Require"));

        if (is_known || is_elsewhere(pool, at, said->where))
            continue;
        if (at != said->where && is_it(at))
            return 1;
        if (at->first_child != NULL && is_anywhere(pool, at->first_child, said, is_it, is_decided))
            return 1;
    }
    return 0;
}

/* Whether such a directive stands beside the guard. */
static int is_beside(const struct said *said, checker *is_it)
{
    const ap_directive_t *at = said->where->parent != NULL ? said->where->parent->first_child : ap_conftree;

    while (at != NULL && !is_it(at))
        at = at->next;
    return at != NULL;
}

/* ------------------------------------------------------------ warnings */

static const char *why_unasked(apr_pool_t *pool, const struct said *said)
{
    int is_decided = is_beside(said, is_open) && !is_beside(said, is_merging);

    if (!is_anywhere(pool, ap_conftree, said, may_need_user, is_decided))
        return is_decided ? "never asked, since 'Require all granted' beside it lets everybody in"
                          : "never asked, since no Require there needs a user (Require valid-user)";
    if (is_beside(said, is_satisfy_any) && !is_anywhere(pool, ap_conftree, said, is_access_check, 0))
        return "never asked, since 'Satisfy Any' is content that no 'Deny from all' keeps anybody out";
    return NULL;
}

/* Whether another section may deny it to all: one denies something, and none grants anything. */
static int may_be_closed(apr_pool_t *pool, const struct said *said)
{
    return is_anywhere(pool, ap_conftree, said, is_closed, 0) &&
           !is_anywhere(pool, ap_conftree, said, is_open, 0);
}

static const char *why_ignored(apr_pool_t *pool, const struct said *said)
{
    int is_decided = is_beside(said, is_open) && !is_beside(said, is_merging);

    if (is_beside(said, is_satisfy_any) && !is_beside(said, is_closed) &&
        !is_anywhere(pool, ap_conftree, said, may_keep_out, is_decided) && !may_be_closed(pool, said))
        return "its refusal keeps nobody out, since with 'Satisfy Any' it is enough that no Require does";
    return NULL;
}

void mod_door_warn_of_unasked(apr_pool_t *pool, server_rec *main_server, int flags)
{
    int i;

    for (i = 0; i < all_said->nelts; i++) {
        const struct said *said = &APR_ARRAY_IDX(all_said, i, struct said);
        const char *why = said->role == MOD_DOOR_ACCESS_CHECKER ? why_ignored(pool, said)
                                                                : why_unasked(pool, said);

        if (why != NULL)
            ap_log_error(APLOG_MARK, APLOG_WARNING | flags, 0, main_server,
                         DOORNO(0209) "%s:%d: %s %s: %s", said->where->filename,
                         said->where->line_num, said->where->directive, said->where->args, why);
    }
}
