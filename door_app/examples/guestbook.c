/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * guestbook.c: a guest book on PostgreSQL.  Each server thread has a connection
 * of its own, made before its first request and kept in a _Thread_local for all later
 * ones.  There is no pool: the doors start another thread only when the others
 * are busy, so there are as many connections as requests have run at once, and a thread
 * that gets no connection takes no requests.  --threads N: at most so many.
 * What answers a request asks with query(), and frees nothing: serve() does.
 *
 *     GET  /                      the entries as a page, with a form; ?page=N
 *     POST /                      the form: name, message
 *     POST /entries/{id}/delete   the button beside an entry
 *     GET  /connections           server threads and their connections
 *
 *     GET    /entries             the entries as JSON; ?page=N
 *     POST   /entries             adds {"name": ..., "message": ...}, or a form's fields
 *     GET    /entries/{id}
 *     DELETE /entries/{id}
 *
 * Which database it is, libpq's environment variables say: PGHOST, PGDATABASE
 * and so on.  GUESTBOOK_HOME is a URL that the pages lead back to.  Where
 * GUESTBOOK_FAULTS is set, POST /fault leaves a transaction open, and GET /slow
 * takes a tenth of a second, for tests; --idle MS says how long a thread stays
 * that has nothing to do.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <jansson.h>
#include <libpq-fe.h>

#include <door_app.h>

#define NAME_MAX_BYTES    200
#define MESSAGE_MAX_BYTES 4000
#define PER_PAGE          10
#define TEXT(number)      TEXT_OF(number)
#define TEXT_OF(number)   #number
#define FORM_MAX          (64 * 1024)
#define RESULTS_MAX       8 /* of one request's queries */

/* ------------------------------------------------------------ the database */

/* What /connections shows: a place for each thread that has run a request. */
static struct place {
    _Atomic unsigned long thread; /* 0: nobody's */
    _Atomic int backend;          /* process id of PostgreSQL's end, 0: not connected */
    _Atomic unsigned long served;
} places[1024];

/* A thread's own. */
static _Thread_local PGconn *connection;
static _Thread_local struct place *place, no_place;
static _Thread_local PGresult *results[RESULTS_MAX]; /* of the request, or NULL */
static _Thread_local unsigned result_count;

static const char *const statements[][2] = {
    {"list", "SELECT id, name, message, to_char(created AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')"
             " FROM entries ORDER BY id DESC LIMIT " TEXT(PER_PAGE) " OFFSET $1"},
    {"count", "SELECT count(*) FROM entries"},
    {"one", "SELECT id, name, message, to_char(created AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')"
            " FROM entries WHERE id = $1"},
    {"add", "INSERT INTO entries (name, message) VALUES ($1, $2) RETURNING id"},
    {"sleep", "SELECT pg_sleep(0.1)"},
    {"delete", "DELETE FROM entries WHERE id = $1"},
    {"backends", "SELECT pid, state, coalesce(to_char(backend_start AT TIME ZONE 'UTC',"
                 " 'HH24:MI:SS'), '') FROM pg_stat_activity WHERE application_name = 'guestbook'"
                 " AND datname = current_database() ORDER BY pid"},
};

/* One process creates the table; others that start at the same time wait for it. */
static const char schema[] =
    "BEGIN; SELECT pg_advisory_xact_lock(7302641);"
    " CREATE TABLE IF NOT EXISTS entries (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " name text NOT NULL, message text NOT NULL, created timestamptz NOT NULL DEFAULT now());"
    " COMMIT";

static void disconnect(void)
{
    PQfinish(connection);
    connection = NULL;
    atomic_store(&place->backend, 0);
}

static int succeeded(PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    PQclear(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

static int has_table(void)
{
    PGresult *result = PQexec(connection, "SELECT to_regclass('entries')");
    int has = PQresultStatus(result) == PGRES_TUPLES_OK && !PQgetisnull(result, 0, 0);

    PQclear(result);
    return has;
}

static void ignore_notice(void *data, const PGresult *result)
{
    (void)data;
    (void)result;
}

/* With the statements prepared: 0; or -1 and there is no connection, and why is said. */
static int connect_database(void)
{
    int result;

    connection = PQconnectdb("application_name=guestbook connect_timeout=5");
    PQsetNoticeReceiver(connection, ignore_notice, NULL);
    int is_ready = PQstatus(connection) == CONNECTION_OK &&
                   (has_table() || succeeded(PQexec(connection, schema)));

    for (size_t i = 0; is_ready && i < sizeof(statements) / sizeof(statements[0]); i++)
        is_ready = succeeded(PQprepare(connection, statements[i][0], statements[i][1], 0, NULL));
    result = is_ready ? 0 : door_app_thread_failed("cannot connect: %s", PQerrorMessage(connection));
    if (is_ready)
        atomic_store(&place->backend, PQbackendPID(connection));
    else
        disconnect();
    return result;
}

/* What the server has closed meanwhile is noticed without asking it: it has said so. */
static int is_closed(void)
{
    struct pollfd said = {.fd = PQsocket(connection), .events = POLLIN};

    if (poll(&said, 1, 0) == 0)
        return 0;
    PQconsumeInput(connection); /* why */
    PQconsumeInput(connection); /* and the end */
    return PQstatus(connection) != CONNECTION_OK;
}

/* The connection as a request should find it: in no transaction. */
static int has_connection(void)
{
    return PQtransactionStatus(connection) == PQTRANS_IDLE ||
           succeeded(PQexec(connection, "ROLLBACK"));
}

static int is_bad_input(const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    return state != NULL && strncmp(state, "22", 2) == 0; /* data exception */
}

static void answer_error(struct door_app_request *req, int status, const char *text)
{
    door_app_status(req, status);
    if (status == 503)
        door_app_header_set(req, "Retry-After", "1");
    door_app_content_type(req, "text/plain; charset=utf-8");
    door_app_printf(req, "%s\n", text);
}

/*
 * The result of a prepared statement with these values, up to a NULL; it is
 * freed after the request.  Or NULL, and the request is answered.
 */
static PGresult *query(struct door_app_request *req, const char *statement, ...)
{
    PGresult **result = &results[result_count++ % RESULTS_MAX];
    const char *values[4];
    va_list args;
    int count = 0;

    va_start(args, statement);
    while (count < 4 && (values[count] = va_arg(args, const char *)) != NULL)
        count++;
    va_end(args);
    PQclear(*result);
    *result = PQexecPrepared(connection, statement, count, values, NULL, NULL, 0);
    if (PQresultStatus(*result) == PGRES_TUPLES_OK || PQresultStatus(*result) == PGRES_COMMAND_OK)
        return *result;
    door_app_log(req, LOG_ERR, "%s: %s", statement, PQerrorMessage(connection));
    if (is_bad_input(*result))
        answer_error(req, 400, "That is not text in UTF-8, or no number.");
    else
        answer_error(req, 503, "The guest book is closed for a moment: the database failed.");
    return NULL;
}

/* ---------------------------------------------------------------- threads */

static void take_place(void)
{
    static _Atomic unsigned long last;
    unsigned long thread = atomic_fetch_add(&last, 1) + 1;

    for (size_t i = 0; place == NULL && i < sizeof(places) / sizeof(places[0]); i++) {
        unsigned long nobody = 0;

        if (atomic_compare_exchange_strong(&places[i].thread, &nobody, thread))
            place = &places[i];
    }
    if (place == NULL)
        place = &no_place;
}

static void leave_place(void)
{
    atomic_store(&place->served, 0);
    atomic_store(&place->thread, 0);
    place = NULL;
}

static void clear_results(void)
{
    for (size_t i = 0; i < RESULTS_MAX; i++) {
        PQclear(results[i]);
        results[i] = NULL;
    }
}

struct route {
    const char *method, *pattern;
    void (*answer)(struct door_app_request *req);
};

/* Every request: what answers it finds a connection, which stays for the next one. */
static void serve(struct door_app_request *req, void *data)
{
    const struct route *route = data;

    atomic_fetch_add(&place->served, 1);
    if (has_connection())
        route->answer(req);
    else
        answer_error(req, 503, "The guest book is closed for a moment: no database.");
    clear_results();
    if (PQstatus(connection) != CONNECTION_OK)
        door_app_thread_lost(req); /* others take its requests until it has one */
}

static int check_thread(void *data)
{
    (void)data;
    return is_closed() ? -1 : 0;
}

static int start_thread(void *data)
{
    (void)data;
    take_place();
    if (connect_database() == 0)
        return 0;
    leave_place();
    return -1;
}

static void stop_thread(void *data)
{
    (void)data;
    clear_results();
    disconnect();
    leave_place();
}

/* ---------------------------------------------------------------- the page */

static const char page_head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
    "<title>Guest book</title><style>"
    ":root{color-scheme:light dark;--ink:#1d2733;--soft:#5d6b7a;--paper:#f6f4ef;--card:#fff;"
    "--line:#dcd7cb;--accent:#0b6e69}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e8e6e1;--soft:#9aa7b4;--paper:#171b20;"
    "--card:#20262d;--line:#39424c;--accent:#4fc3bb}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);"
    "font:1rem/1.5 system-ui,sans-serif}main{max-width:42rem;margin:0 auto;padding:1.5rem 1rem "
    "4rem}"
    "h1{font-size:1.7rem;margin:.5rem 0 1rem}form.new,article{background:var(--card);"
    "border:1px solid var(--line);border-radius:.6rem;padding:1rem;margin:0 0 1rem}"
    "label{display:block;font-weight:600;margin:0 0 .8rem}"
    "input,textarea{display:block;width:100%;margin-top:.25rem;padding:.55rem .7rem;font:inherit;"
    "color:inherit;background:var(--paper);border:1px solid var(--line);border-radius:.4rem}"
    "button{font:inherit;padding:.5rem 1.1rem;border:0;border-radius:.4rem;"
    "background:var(--accent);color:var(--card);cursor:pointer}"
    "button.quiet{background:none;color:var(--soft);padding:.2rem .4rem;text-decoration:underline}"
    "article header{display:flex;gap:.6rem;align-items:baseline;flex-wrap:wrap}"
    "article header time{color:var(--soft);font-size:.85rem;margin-right:auto}"
    "article p{margin:.5rem 0 0;white-space:pre-wrap;overflow-wrap:anywhere}"
    "nav{display:flex;justify-content:space-between;gap:1rem;margin:1.5rem 0}a{color:var(--accent)}"
    ".error{border-left:.3rem solid #c0392b;padding:.5rem .8rem;background:var(--card)}"
    ".note{color:var(--soft);font-size:.9rem}"
    "table{border-collapse:collapse;width:100%;background:var(--card)}"
    "th,td{text-align:left;padding:.45rem .6rem;border-bottom:1px solid var(--line)}"
    "</style></head><body><main>";

static const char page_foot[] = "</main></body></html>\n";

static void begin_page(struct door_app_request *req, const char *title)
{
    const char *home = getenv("GUESTBOOK_HOME");

    door_app_content_type(req, "text/html; charset=utf-8");
    door_app_header_set(req, "Content-Security-Policy",
                        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; "
                        "form-action 'self'");
    door_app_printf(req, "%s", page_head);
    if (home != NULL) {
        door_app_printf(req, "<p class=\"note\"><a href=\"");
        door_app_write_html(req, home);
        door_app_printf(req, "\">&larr; Back</a></p>");
    }
    door_app_printf(req, "<h1>%s</h1>", title);
}

static long page_number(struct door_app_request *req)
{
    const char *text = door_app_query_value(req, "page");
    char *end;
    long page = text != NULL ? strtol(text, &end, 10) : 1;

    return text != NULL && (*text == '\0' || *end != '\0' || page < 1 || page > 1000000) ? 1 : page;
}

/* One page's entries, newest first; or NULL, and the request is answered. */
static PGresult *entries_of_page(struct door_app_request *req, long page)
{
    char offset[24];

    snprintf(offset, sizeof(offset), "%ld", (page - 1) * PER_PAGE);
    return query(req, "list", offset, NULL);
}

static void write_entry(struct door_app_request *req, const PGresult *entries, int row)
{
    door_app_printf(req, "<article><header><strong>");
    door_app_write_html(req, PQgetvalue(entries, row, 1));
    door_app_printf(req, "</strong><time>%s UTC</time>", PQgetvalue(entries, row, 3));
    door_app_printf(req,
                    "<form method=\"post\" action=\"%s/entries/%s/delete\">"
                    "<button class=\"quiet\">delete</button></form></header><p>",
                    door_app_script_name(req), PQgetvalue(entries, row, 0));
    door_app_write_html(req, PQgetvalue(entries, row, 2));
    door_app_printf(req, "</p></article>\n");
}

static void write_form(struct door_app_request *req, const char *error, const char *name,
                       const char *message)
{
    if (error != NULL)
        door_app_printf(req, "<p class=\"error\" role=\"alert\">%s</p>", error);
    door_app_printf(req,
                    "<form class=\"new\" method=\"post\" action=\"%s/\"><label>Your name"
                    "<input name=\"name\" required maxlength=\"100\" autocomplete=\"name\""
                    " value=\"",
                    door_app_script_name(req));
    door_app_write_html(req, name);
    door_app_printf(req, "\"></label><label>Your message<textarea name=\"message\" rows=\"3\""
                         " required maxlength=\"2000\">\n");
    door_app_write_html(req, message);
    door_app_printf(req, "</textarea></label><button>Sign the guest book</button></form>\n");
}

/* Of so many entries; there is always one. */
static long last_page(long count)
{
    return count > PER_PAGE ? (count + PER_PAGE - 1) / PER_PAGE : 1;
}

static void write_navigation(struct door_app_request *req, long page, long count)
{
    const char *base = door_app_script_name(req);

    door_app_printf(req, "<nav>");
    if (page > 1)
        door_app_printf(req, "<a rel=\"prev\" href=\"%s/?page=%ld\">Newer</a>", base, page - 1);
    else
        door_app_printf(req, "<span></span>");
    if (page < last_page(count))
        door_app_printf(req, "<a rel=\"next\" href=\"%s/?page=%ld\">Older</a>", base, page + 1);
    door_app_printf(req,
                    "</nav><p class=\"note\">%ld entries &middot; "
                    "<a href=\"%s/connections\">connections</a></p>",
                    count, base);
}

/* A path of ours, as the client has to ask for it. */
static const char *path_to(struct door_app_request *req, const char *directory, const char *name)
{
    const char *base = door_app_script_name(req);
    size_t size = strlen(base) + strlen(directory) + strlen(name) + 1;
    char *path = door_app_alloc(req, size);

    if (path != NULL)
        snprintf(path, size, "%s%s%s", base, directory, name);
    return path;
}

/* Error: what is wrong with the name and the message of a form, or NULL. */
static void write_page(struct door_app_request *req, const char *error, const char *name,
                       const char *message, long page, long count)
{
    PGresult *entries = entries_of_page(req, page);

    if (entries == NULL)
        return;
    if (error != NULL)
        door_app_status(req, 400);
    begin_page(req, "Guest book");
    write_form(req, error, name, message);
    for (int row = 0; row < PQntuples(entries); row++)
        write_entry(req, entries, row);
    write_navigation(req, page, count);
    door_app_printf(req, "%s", page_foot);
}

/* How many entries there are; or -1, and the request is answered. */
static long count_entries(struct door_app_request *req)
{
    PGresult *count = query(req, "count", NULL);

    return count != NULL ? atol(PQgetvalue(count, 0, 0)) : -1;
}

/* A page that is none, such as one whose entries were deleted, leads to the last one. */
static void show_page(struct door_app_request *req)
{
    long page = page_number(req);
    long count = count_entries(req);
    char number[24];

    snprintf(number, sizeof(number), "%ld", last_page(count));
    if (count != -1 && page > last_page(count))
        door_app_redirect(req, 303, path_to(req, "/?page=", number));
    else if (count != -1)
        write_page(req, NULL, "", "", page, count);
}

static void refuse_form(struct door_app_request *req, const char *error, const char *name,
                        const char *message)
{
    long count = count_entries(req);

    if (count != -1)
        write_page(req, error, name != NULL ? name : "", message != NULL ? message : "", 1, count);
}

/* What is wrong with an entry, or NULL. */
static const char *fault(const char *name, const char *message)
{
    if (name == NULL || name[strspn(name, " \t\r\n")] == '\0')
        return "Please tell us your name.";
    if (message == NULL || message[strspn(message, " \t\r\n")] == '\0')
        return "Please write a message.";
    if (strlen(name) > NAME_MAX_BYTES || strlen(message) > MESSAGE_MAX_BYTES)
        return "That is too long.";
    return NULL;
}

static void post_form(struct door_app_request *req)
{
    const char *name, *message, *error;

    if (door_app_form_read(req, FORM_MAX) == -1)
        return;
    name = door_app_form_value(req, "name");
    message = door_app_form_value(req, "message");
    error = fault(name, message);
    if (error != NULL)
        refuse_form(req, error, name, message);
    else if (query(req, "add", name, message, NULL) != NULL)
        door_app_redirect(req, 303, path_to(req, "/", ""));
}

static void post_delete(struct door_app_request *req)
{
    if (query(req, "delete", door_app_param(req, "id"), NULL) != NULL)
        door_app_redirect(req, 303, path_to(req, "/", ""));
}

/* ---------------------------------------------------------------- JSON */

static void write_json_entry(struct door_app_request *req, const PGresult *entries, int row)
{
    door_app_printf(req, "{\"id\":%s,\"name\":", PQgetvalue(entries, row, 0));
    door_app_write_json(req, PQgetvalue(entries, row, 1));
    door_app_printf(req, ",\"message\":");
    door_app_write_json(req, PQgetvalue(entries, row, 2));
    door_app_printf(req, ",\"created\":");
    door_app_write_json(req, PQgetvalue(entries, row, 3));
    door_app_printf(req, "}");
}

static void list_json(struct door_app_request *req)
{
    PGresult *entries = entries_of_page(req, page_number(req));

    if (entries == NULL)
        return;
    door_app_content_type(req, "application/json");
    door_app_printf(req, "[");
    for (int row = 0; row < PQntuples(entries); row++) {
        door_app_printf(req, row > 0 ? ",\n" : "");
        write_json_entry(req, entries, row);
    }
    door_app_printf(req, "]\n");
}

static void get_json(struct door_app_request *req)
{
    PGresult *entry = query(req, "one", door_app_param(req, "id"), NULL);

    if (entry == NULL)
        return;
    if (PQntuples(entry) == 0) {
        answer_error(req, 404, "There is no such entry.");
        return;
    }
    door_app_content_type(req, "application/json");
    write_json_entry(req, entry, 0);
    door_app_printf(req, "\n");
}

static int is_json(struct door_app_request *req)
{
    const char *type = door_app_header(req, "Content-Type");

    return type != NULL && strncmp(type, "application/json", 16) == 0;
}

/* An object's text, which lives as long as the object; or NULL. */
static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void add_and_tell(struct door_app_request *req, const char *name, const char *message)
{
    const char *error = fault(name, message);
    PGresult *added;

    if (error != NULL) {
        answer_error(req, 400, error);
        return;
    }
    added = query(req, "add", name, message, NULL);
    if (added == NULL)
        return;
    door_app_status(req, 201);
    door_app_header_set(req, "Location", path_to(req, "/entries/", PQgetvalue(added, 0, 0)));
    door_app_content_type(req, "application/json");
    door_app_printf(req, "{\"id\":%s}\n", PQgetvalue(added, 0, 0));
}

static void add_object(struct door_app_request *req)
{
    size_t len;
    const char *body = door_app_body(req, FORM_MAX, &len);
    json_t *object = body != NULL ? json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL) : NULL;

    if (object != NULL)
        add_and_tell(req, text_of(object, "name"), text_of(object, "message"));
    else if (body != NULL)
        answer_error(req, 400, "That is no JSON.");
    else if (errno == EFBIG)
        answer_error(req, 413, "That is too long.");
    json_decref(object);
}

static void post_json(struct door_app_request *req)
{
    if (is_json(req))
        add_object(req);
    else if (door_app_form_read(req, FORM_MAX) == 0)
        add_and_tell(req, door_app_form_value(req, "name"), door_app_form_value(req, "message"));
}

static void delete_json(struct door_app_request *req)
{
    PGresult *deleted = query(req, "delete", door_app_param(req, "id"), NULL);

    if (deleted == NULL)
        return;
    if (strcmp(PQcmdTuples(deleted), "0") == 0)
        answer_error(req, 404, "There is no such entry.");
    else
        door_app_status(req, 204);
}

/* ------------------------------------------------------------- connections */

static void write_places(struct door_app_request *req)
{
    door_app_printf(req, "<h2>Server threads</h2><table><tr><th>Thread</th><th>Backend</th>"
                         "<th>Requests</th></tr>");
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (atomic_load(&places[i].thread) != 0)
            door_app_printf(req, "<tr class=\"thread\"><td>%lu</td><td>%d</td><td>%lu</td></tr>",
                            atomic_load(&places[i].thread), atomic_load(&places[i].backend),
                            atomic_load(&places[i].served));
    door_app_printf(req, "</table>");
}

static void show_connections(struct door_app_request *req)
{
    PGresult *backends = query(req, "backends", NULL);

    if (backends == NULL)
        return;
    begin_page(req, "Connections");
    door_app_printf(req, "<p>Each server thread keeps its connection; nobody hands them out."
                         " There are as many as requests have run at once.</p>");
    write_places(req);
    door_app_printf(req, "<h2>What PostgreSQL says</h2><table><tr><th>Backend</th><th>State</th>"
                         "<th>Since</th></tr>");
    for (int row = 0; row < PQntuples(backends); row++)
        door_app_printf(req, "<tr class=\"backend\"><td>%s</td><td>%s</td><td>%s UTC</td></tr>",
                        PQgetvalue(backends, row, 0), PQgetvalue(backends, row, 1),
                        PQgetvalue(backends, row, 2));
    door_app_printf(req, "</table><p class=\"note\"><a href=\"%s/\">the guest book</a></p>%s",
                    door_app_script_name(req), page_foot);
}

static void leave_transaction_open(struct door_app_request *req)
{
    if (succeeded(PQexec(connection, "BEGIN")) &&
        query(req, "add", "nobody", "never committed", NULL) != NULL)
        answer_error(req, 500, "Left in the middle of a transaction.");
}

static void take_a_while(struct door_app_request *req)
{
    if (query(req, "sleep", NULL) != NULL)
        door_app_printf(req, "So it goes.\n");
}

/* ------------------------------------------------------------------ routes */

static const struct route routes[] = {
    {"GET", "/", show_page},
    {"POST", "/", post_form},
    {"POST", "/entries/{id}/delete", post_delete},
    {"GET", "/connections", show_connections},
    {"GET", "/entries", list_json},
    {"POST", "/entries", post_json},
    {"GET", "/entries/{id}", get_json},
    {"DELETE", "/entries/{id}", delete_json},
};

static const struct route for_tests[] = {
    {"POST", "/fault", leave_transaction_open},
    {"GET", "/slow", take_a_while},
};

static void add_route(struct door_app *app, const struct route *route)
{
    door_app_route(app, route->method, route->pattern, serve, (void *)route);
}

static void set_threads(struct door_app *app, int argc, char **argv)
{
    static const struct option options[] = {
        {"threads", required_argument, NULL, 't'}, {"idle", required_argument, NULL, 'i'}, {0}};
    unsigned max = 256, idle_ms = 10000;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (option == 't')
            max = (unsigned)atoi(optarg);
        else if (option == 'i')
            idle_ms = (unsigned)atoi(optarg);
    door_app_set_threads(app, max, idle_ms);
}

int main(int argc, char **argv)
{
    struct door_app *app = door_app_create();

    set_threads(app, argc, argv);
    door_app_on_thread(app, start_thread, stop_thread, NULL);
    door_app_check_threads(app, check_thread);
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        add_route(app, &routes[i]);
    for (size_t i = 0; getenv("GUESTBOOK_FAULTS") != NULL && i < sizeof(for_tests) / sizeof(for_tests[0]); i++)
        add_route(app, &for_tests[i]);
    return door_app_run(app, optind < argc ? argv[optind] : NULL);
}
