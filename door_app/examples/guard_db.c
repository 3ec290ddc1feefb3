/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * guard_db.c: says who may have what, as guard.c does, from a database: users and their
 * passwords' hashes (crypt(3)), groups, and which paths are for which of these.  Each
 * server thread has a connection of its own, as in guestbook.c.
 *
 *     DoorApp guard /srv/bin/guard_db env=PGHOST=/run/postgresql env=PGDATABASE=web
 *     <Location /private>
 *         AuthType Basic
 *         AuthName private
 *         DoorAuthenticator guard
 *         DoorAuthorizer guard
 *         Require valid-user
 *     </Location>
 *
 * The tables are the administrator's:
 *
 *     CREATE TABLE guard_user (name text PRIMARY KEY, hash text NOT NULL);
 *     CREATE TABLE guard_member (user_name text NOT NULL REFERENCES guard_user ON DELETE CASCADE,
 *                                group_name text NOT NULL, PRIMARY KEY (user_name, group_name));
 *     CREATE TABLE guard_area (path text NOT NULL, group_name text NOT NULL,
 *                              PRIMARY KEY (path, group_name));
 *
 * A user may have what lies below an area if he is in one of its groups; where areas lie
 * one in the other he needs each.  A path that is in no area is for every user.
 */
#include <crypt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include <libpq-fe.h>

#include <door_app.h>

/* For a name that there is not: the answer takes as long as for one that there is. */
#define NOBODYS_HASH "$5$rounds=5000$nobody.is.this$"

static _Thread_local PGconn *connection;

static const char *const statements[][2] = {
    {"user", "SELECT hash, (SELECT coalesce(string_agg(group_name, ',' ORDER BY group_name), '')"
             " FROM guard_member WHERE user_name = name) FROM guard_user WHERE name = $1"},
    {"refusal", "SELECT 1 FROM guard_area AS area WHERE ($2 = path OR path = '/'"
                " OR starts_with($2, path || '/')) GROUP BY path HAVING NOT bool_or(EXISTS"
                " (SELECT 1 FROM guard_member AS member WHERE user_name = $1"
                " AND member.group_name = area.group_name)) LIMIT 1"},
};

/* ---------------------------------------------------------------- the connection */

static int succeeded(PGresult *result)
{
    int is_good = PQresultStatus(result) == PGRES_COMMAND_OK;

    PQclear(result);
    return is_good;
}

static void stop_thread(void *data)
{
    (void)data;
    PQfinish(connection);
    connection = NULL;
}

static int start_thread(void *data)
{
    int is_ready, result = 0;

    connection = PQconnectdb("application_name=guard connect_timeout=5");
    is_ready = PQstatus(connection) == CONNECTION_OK;
    for (size_t i = 0; is_ready && i < sizeof(statements) / sizeof(statements[0]); i++)
        is_ready = succeeded(PQprepare(connection, statements[i][0], statements[i][1], 0, NULL));
    if (!is_ready) {
        result = door_app_thread_failed("guard_db: %s", PQerrorMessage(connection));
        stop_thread(data);
    }
    return result;
}

/* The server says so itself when it closes a connection. */
static int check_thread(void *data)
{
    struct pollfd said = {.fd = PQsocket(connection), .events = POLLIN};

    (void)data;
    if (poll(&said, 1, 0) == 0)
        return 0;
    PQconsumeInput(connection); /* why */
    PQconsumeInput(connection); /* and the end */
    return PQstatus(connection) == CONNECTION_OK ? 0 : -1;
}

/* A name that is no text for the database is a user's mistake, and none of the database's. */
static int is_bad_text(const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    return state != NULL && strncmp(state, "22", 2) == 0;
}

/*
 * The rows, which the caller clears; or NULL, and the answer is no, or, where the
 * database has failed, none at all: nobody passes.
 */
static PGresult *ask(struct door_app_request *req, const char *statement, const char *user,
                     const char *path)
{
    const char *values[] = {user, path};
    PGresult *result =
        PQexecPrepared(connection, statement, path != NULL ? 2 : 1, values, NULL, NULL, 0);

    if (PQresultStatus(result) == PGRES_TUPLES_OK)
        return result;
    door_app_log(req, LOG_ERR, "guard_db: %s", PQerrorMessage(connection));
    door_app_status(req, is_bad_text(result) ? 403 : 503);
    PQclear(result);
    if (PQstatus(connection) != CONNECTION_OK)
        door_app_thread_lost(req);
    return NULL;
}

/* ---------------------------------------------------------------- the questions */

static int is_password(const char *password, const char *hash)
{
    struct crypt_data data = {0};
    const char *made = crypt_r(password, hash, &data);

    return made != NULL && made[0] != '*' && strcmp(made, hash) == 0;
}

static void authenticate(struct door_app_request *req, void *data)
{
    const char *user = door_app_cgi(req, "REMOTE_USER");
    const char *password = door_app_cgi(req, "REMOTE_PASSWD");
    PGresult *found = user != NULL && password != NULL ? ask(req, "user", user, NULL) : NULL;
    int is_known;

    (void)data;
    if (found == NULL)
        return;
    is_known = PQntuples(found) == 1;
    if (is_password(password, is_known ? PQgetvalue(found, 0, 0) : NOBODYS_HASH) && is_known) {
        door_app_header_set(req, "Variable-USER_GROUPS", PQgetvalue(found, 0, 1));
        door_app_status(req, 200);
    }
    PQclear(found);
}

static void authorize(struct door_app_request *req, void *data)
{
    const char *user = door_app_cgi(req, "REMOTE_USER");
    PGresult *refusal = user != NULL ? ask(req, "refusal", user, door_app_path(req)) : NULL;

    (void)data;
    if (refusal != NULL && PQntuples(refusal) == 0)
        door_app_status(req, 200);
    PQclear(refusal);
}

int main(int argc, char **argv)
{
    struct door_app *app = door_app_create();

    door_app_on_thread(app, start_thread, stop_thread, NULL);
    door_app_check_threads(app, check_thread);
    door_app_guard(app, DOOR_APP_AUTHENTICATOR, authenticate, NULL);
    door_app_guard(app, DOOR_APP_AUTHORIZER, authorize, NULL);
    return door_app_run(app, argc > 1 ? argv[1] : NULL);
}
