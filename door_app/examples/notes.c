/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * notes.c: what most applications have: routes with parameters, a form, a hook before
 * all handlers, a page of its own for what is not there, a directory of files, and a
 * stream that ends when the application does.  Notes are kept in memory.
 *
 *     notes [DOOR]        NOTES_FILES is the directory of files, if there is one
 */
#include <door_app.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#define NOTES_MAX 100
#define FORM_MAX  4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *notes[NOTES_MAX];
static int count;

static void begin_page(struct door_app_request *req, const char *title)
{
    door_app_content_type(req, "text/html; charset=utf-8");
    door_app_printf(req, "<!doctype html><title>%s</title>\n<h1>%s</h1>\n", title, title);
}

/* A copy for this request, as another one may add notes meanwhile; or NULL. */
static const char *note(struct door_app_request *req, int number)
{
    char *copy = NULL;

    pthread_mutex_lock(&lock);
    if (number >= 1 && number <= count)
        copy = door_app_alloc(req, strlen(notes[number - 1]) + 1);
    if (copy != NULL)
        strcpy(copy, notes[number - 1]);
    pthread_mutex_unlock(&lock);
    return copy;
}

static void list(struct door_app_request *req, void *data)
{
    const char *text;

    (void)data;
    begin_page(req, "Notes");
    door_app_printf(req, "<ol>\n");
    for (int number = 1; (text = note(req, number)) != NULL; number++) {
        door_app_printf(req, "<li><a href=\"%s/%d\">", door_app_url(req, "/notes"), number);
        door_app_write_html(req, text);
        door_app_printf(req, "</a>\n");
    }
    door_app_printf(req, "</ol>\n<form method=post action=\"%s\"><input name=text><button>Add"
                         "</button></form>\n", door_app_url(req, "/notes"));
}

/* The number of the new note; 0: there are too many; -1: no memory. */
static int keep(const char *text)
{
    char *copy = strdup(text);
    int number = copy != NULL ? 0 : -1;

    pthread_mutex_lock(&lock);
    if (copy != NULL && count < NOTES_MAX) {
        notes[count] = copy;
        number = ++count;
    }
    pthread_mutex_unlock(&lock);
    if (number == 0)
        free(copy);
    return number;
}

static void add(struct door_app_request *req, void *data)
{
    const char *text;
    int number;

    (void)data;
    if (door_app_form_read(req, FORM_MAX) == -1)
        return; /* it is answered */
    text = door_app_form_value(req, "text");
    if (text == NULL || *text == '\0') {
        door_app_refuse(req, 400, "A note has a text");
        return;
    }
    number = keep(text);
    if (number <= 0)
        door_app_refuse(req, 503, "There is no room for more notes");
    else
        door_app_redirect(req, 303, door_app_url(req, "/notes"));
}

static void show(struct door_app_request *req, void *data)
{
    const char *text = note(req, atoi(door_app_param(req, "number")));

    (void)data;
    begin_page(req, "A note");
    if (text == NULL) {
        door_app_refuse(req, 404, "No such note"); /* what was written is gone */
        return;
    }
    door_app_printf(req, "<p>");
    door_app_write_html(req, text);
    door_app_printf(req, "\n");
}

/* How many notes there are, whenever that changes: until the client or the application ends. */
static void follow(struct door_app_request *req, void *data)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    int told = -1;

    (void)data;
    door_app_content_type(req, "text/event-stream");
    while (!door_app_stopping(req) && door_app_client_gone(req) != DOOR_APP_CLIENT_GONE) {
        int now;

        pthread_mutex_lock(&lock);
        now = count;
        pthread_mutex_unlock(&lock);
        if (now != told && (door_app_printf(req, "data: %d\n\n", now) == -1 ||
                            (door_app_flush(req) == -1 && errno != ENOTSUP)))
            return;
        told = now;
        nanosleep(&pause, NULL);
    }
    door_app_printf(req, "event: end\ndata: %d\n\n", told);
}

static void not_found(struct door_app_request *req, void *data)
{
    (void)data;
    begin_page(req, "Not here");
    door_app_printf(req, "<p>But perhaps <a href=\"%s\">here</a>.\n", door_app_url(req, "/notes"));
}

/* Before all handlers: what all responses have. */
static int harden(struct door_app_request *req, void *data)
{
    (void)data;
    return door_app_header_set(req, "X-Content-Type-Options", "nosniff");
}

/* Then: other sites' pages must not send our forms. */
static int guard(struct door_app_request *req, void *data)
{
    const char *from = door_app_header(req, "Sec-Fetch-Site");

    (void)data;
    if (strcmp(door_app_method(req), "POST") != 0 || from == NULL ||
        strcmp(from, "cross-site") != 0)
        return 0;
    door_app_log(req, LOG_NOTICE, "another site's form from %s", door_app_remote_addr(req));
    door_app_refuse(req, 403, "That form is not ours");
    return 1;
}

int main(int argc, char **argv)
{
    struct door_app *app = door_app_create();
    const char *files = getenv("NOTES_FILES");

    door_app_before(app, harden, NULL);
    door_app_before(app, guard, NULL);
    door_app_error_page(app, 404, not_found, NULL);
    door_app_route(app, "GET", "/notes", list, NULL);
    door_app_route(app, "POST", "/notes", add, NULL);
    door_app_route(app, "GET", "/notes/{number}", show, NULL);
    door_app_route(app, "GET", "/events", follow, NULL);
    if (files != NULL)
        door_app_files(app, "/static", files);
    return door_app_run(app, argc > 1 ? argv[1] : NULL);
}
