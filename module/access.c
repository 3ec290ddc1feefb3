/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * access.c: applications that say whether requests may pass: DoorAuthenticator,
 * DoorAuthorizer and DoorAccessChecker, which are mod_fcgid's three roles; and the same as
 * a provider for mod_auth_basic and for Require.
 *
 * If an application cannot be asked, or does not answer, nobody passes, even if other
 * modules could decide: "...Authoritative Off" and "Satisfy Any" apply to answers only.  This file knows
 * nothing of doors: it asks by means of the function that it was given.
 */
#include <stdlib.h>
#include <string.h>

#include <ap_provider.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mod_auth.h>

#include "mod_door.h"
#include "access.h"
#include "config.h"
#include "response.h"
#include "settings.h"
#include "tag.h"

APLOG_USE_MODULE(door);

#define VARIABLE_PREFIX "Variable-"

static const struct role {
    const char *name;
    const char *apache_name; /* the value of mod_fcgid's FCGI_APACHE_ROLE */
} roles[MOD_DOOR_ROLES] = {
    [MOD_DOOR_AUTHENTICATOR] = {DOOR_WIRE_AUTHENTICATOR, "AUTHENTICATOR"},
    [MOD_DOOR_AUTHORIZER] = {DOOR_WIRE_AUTHORIZER, "AUTHORIZER"},
    [MOD_DOOR_ACCESS_CHECKER] = {DOOR_WIRE_ACCESS_CHECKER, "ACCESS_CHECKER"},
};

static mod_door_asker *ask;

/* ---------------------------------------------------------------- answers */

/* Reads a field of the answer.  Fields that mean nothing here are ignored. */
static apr_status_t read_field(const struct door_wire_field *field,
                               struct mod_door_question *question)
{
    const apr_size_t prefix_len = sizeof(VARIABLE_PREFIX) - 1;

    if (field->type != DOOR_WIRE_HEADER)
        return APR_SUCCESS;
    if (field->name_len == 0 || *ap_scan_http_token(field->name) != '\0' ||
        *ap_scan_http_field_content(field->value) != '\0')
        return MOD_DOOR_EHEADER;
    if (!ap_cstr_casecmp(field->name, "Location"))
        question->passes = 0;
    else if (field->name_len > prefix_len &&
             !ap_cstr_casecmpn(field->name, VARIABLE_PREFIX, prefix_len))
        apr_table_set(question->variables, field->name + prefix_len, field->value);
    return APR_SUCCESS;
}

apr_status_t mod_door_read_answer(request_rec *r, struct door_wire_reader message,
                                  struct mod_door_question *question)
{
    struct door_wire_field field;
    apr_status_t error = mod_door_check_head(&message);
    int is_answer = 0;

    question->passes = message.status == HTTP_OK;
    question->variables = apr_table_make(r->pool, 4);
    while (error == APR_SUCCESS && door_wire_next(&message, &field)) {
        is_answer |= field.type == DOOR_WIRE_ROLE && !strcmp(field.value, question->role);
        error = read_field(&field, question);
    }
    if (error != APR_SUCCESS)
        return error;
    if (message.status < 200 || message.status > 599)
        return MOD_DOOR_ESTATUS;
    return is_answer && message.status < 500 ? APR_SUCCESS : MOD_DOOR_EROLE;
}

/* ---------------------------------------------------------------- questions */

/* The request's own configuration, except that the question goes to the guard's door. */
static struct mod_door_config *config_for(request_rec *r, const struct mod_door_guard *guard)
{
    struct mod_door_config *conf = apr_pmemdup(r->pool, mod_door_config_of(r), sizeof(*conf));

    conf->path = guard->path;
    conf->is_app = guard->is_app;
    conf->in_htaccess = guard->in_htaccess;
    conf->mount = MOD_DOOR_MOUNT_LOCATION;
    conf->has_owner = 0;
    conf->protocol = MOD_DOOR_PROTOCOL_APP;
    return conf;
}

static int copy_variable(void *env, const char *name, const char *value)
{
    apr_table_set(env, name, value);
    return 1;
}

/*
 * Asks whether the request may pass.  Returns OK and sets *passes, or returns an HTTP status.
 * If the request passes, it gets the variables of the answer.
 */
static int put_question(request_rec *r, const struct mod_door_guard *guard, int role,
                        const char *password, int *passes)
{
    struct mod_door_question question = {.role = roles[role].name,
                                         .apache_role = roles[role].apache_name,
                                         .password = password};
    int status = ask(r, config_for(r, guard), &question);

    *passes = status == OK && question.passes;
    if (*passes)
        apr_table_do(copy_variable, r->subprocess_env, question.variables, NULL);
    if (status != OK) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, DOORNO(0137) "door %s, %s: no answer, so the request is refused",
                      guard->path, roles[role].name);
        return status == HTTP_FORBIDDEN ? HTTP_FORBIDDEN : HTTP_SERVICE_UNAVAILABLE;
    }
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "door %s, %s: user %s %s", guard->path,
                  roles[role].name, r->user != NULL ? r->user : "-",
                  *passes ? "passes" : "is refused");
    return OK;
}

/* ---------------------------------------------------------------- hooks */

static const struct mod_door_guard *guard_of(const request_rec *r, int role)
{
    const struct mod_door_guard *guard = &mod_door_config_of(r)->guards[role];

    return guard->path != NULL && *guard->path != '\0' ? guard : NULL;
}

/* Asks, and returns what the hook is to return. */
static int decide(request_rec *r, const struct mod_door_guard *guard, int role,
                  const char *password)
{
    int passes;
    int status = put_question(r, guard, role, password, &passes);

    if (status != OK)
        return status;
    if (passes)
        return OK;
    if (guard->is_authoritative == 0)
        return DECLINED;
    if (role != MOD_DOOR_ACCESS_CHECKER) /* it does not see a password: a new one would not help */
        ap_note_auth_failure(r);
    return HTTP_UNAUTHORIZED;
}

static int authenticate(request_rec *r)
{
    const struct mod_door_guard *guard = guard_of(r, MOD_DOOR_AUTHENTICATOR);
    const char *password;
    int status;

    if (guard == NULL || mod_door_config_of(r)->is_provider == 1)
        return DECLINED;
    status = ap_get_basic_auth_pw(r, &password);
    return status == OK ? decide(r, guard, MOD_DOOR_AUTHENTICATOR, password) : status;
}

static int authorize(request_rec *r)
{
    const struct mod_door_guard *guard = guard_of(r, MOD_DOOR_AUTHORIZER);

    return guard != NULL ? decide(r, guard, MOD_DOOR_AUTHORIZER, NULL) : DECLINED;
}

/*
 * The note of a request whose access checker has not answered: the status of that.  Applications
 * can only set notes that begin with "door-".
 */
#define UNANSWERED "mod_door:access-unanswered"

static int check_access(request_rec *r)
{
    const struct mod_door_guard *guard = guard_of(r, MOD_DOOR_ACCESS_CHECKER);
    int status = guard != NULL ? decide(r, guard, MOD_DOOR_ACCESS_CHECKER, NULL) : DECLINED;

    if (status != OK && status != DECLINED && status != HTTP_UNAUTHORIZED)
        apr_table_setn(r->notes, UNANSWERED, apr_itoa(r->pool, status));
    return status;
}

/* With "Satisfy Any", httpd goes on to Require after any status of check_access(). */
static int refuse_unanswered(request_rec *r)
{
    const char *status = apr_table_get(r->notes, UNANSWERED);

    return status != NULL ? atoi(status) : DECLINED;
}

/* ---------------------------------------------------------------- providers */

/*
 * Where httpd asks other modules after an error, an error is reported as a refusal, so that
 * nobody passes.
 */
static authn_status check_password(request_rec *r, const char *user, const char *password)
{
    const struct mod_door_guard *guard = guard_of(r, MOD_DOOR_AUTHENTICATOR);
    const char *user_before = r->user;
    int passes = 0, status = HTTP_SERVICE_UNAVAILABLE;

    if (guard == NULL) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      DOORNO(0138) "AuthBasicProvider door: there is no DoorAuthenticator to ask");
    } else {
        r->user = apr_pstrdup(r->pool, user);
        status = put_question(r, guard, MOD_DOOR_AUTHENTICATOR, password, &passes);
        r->user = (char *)user_before;
    }
    if (status != OK && mod_door_config_of(r)->may_fall_through != 1)
        return AUTH_GENERAL_ERROR;
    return passes ? AUTH_GRANTED : AUTH_DENIED;
}

static const authn_provider password_provider = {.check_password = check_password};

static const char *parse_require(cmd_parms *cmd, const char *line, const void **parsed)
{
    struct mod_door_guard *guard = apr_pcalloc(cmd->pool, sizeof(*guard));
    const char *name = ap_getword_conf(cmd->pool, &line);

    *parsed = guard;
    if (*name == '\0' || *line != '\0')
        return "Require door needs one argument: the name of an application, or the path of its door";
    return mod_door_read_guard(cmd, name, guard);
}

static authz_status check_require(request_rec *r, const char *line, const void *parsed)
{
    int passes;

    (void)line;
    if (r->user == NULL)
        return AUTHZ_DENIED_NO_USER;
    if (put_question(r, parsed, MOD_DOOR_AUTHORIZER, NULL, &passes) != OK)
        return AUTHZ_GENERAL_ERROR;
    return passes ? AUTHZ_GRANTED : AUTHZ_DENIED;
}

static const authz_provider require_provider = {
    .check_authorization = check_require, .parse_require_line = parse_require};

void mod_door_register_access(apr_pool_t *pool, mod_door_asker *asker)
{
    static const char *const before_authn[] = {"mod_auth_basic.c", "mod_auth_digest.c",
                                               "mod_auth_form.c", NULL};

    ask = asker;
    ap_hook_check_authn(authenticate, NULL, before_authn, APR_HOOK_MIDDLE,
                        AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authz(authorize, NULL, NULL, APR_HOOK_MIDDLE, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_access(check_access, NULL, NULL, APR_HOOK_MIDDLE, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_access_ex(refuse_unanswered, NULL, NULL, APR_HOOK_REALLY_FIRST,
                            AP_AUTH_INTERNAL_PER_CONF);
    ap_register_auth_provider(pool, AUTHN_PROVIDER_GROUP, "door", AUTHN_PROVIDER_VERSION,
                              &password_provider, AP_AUTH_INTERNAL_PER_CONF);
    ap_register_auth_provider(pool, AUTHZ_PROVIDER_GROUP, "door", AUTHZ_PROVIDER_VERSION,
                              &require_provider, AP_AUTH_INTERNAL_PER_CONF);
}
