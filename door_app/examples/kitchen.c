/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * kitchen.c: one handler for each thing that the runtime can do; the demo shows
 * them and the tests rely on what they answer.
 *
 *     /env             CGI/1.1 variables, NAME=value lines, sorted
 *     /echo            the request's body, with its content type
 *     /big?bytes=N     N bytes: the letters a to z over and over
 *     /sleep?ms=N      answers after N milliseconds
 *     /status?code=N   answers with status N (200 to 599)
 *     /headers         several headers, some of them repeated
 *     /threads         how many server threads there are, and which one answers
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <door_app.h>

#define BIG_MAX      (256UL << 20)
#define SLEEP_MAX_MS (10UL * 60 * 1000)

static void refuse(struct door_app_request *req, const char *why)
{
    door_app_status(req, 400);
    door_app_printf(req, "%s\n", why);
}

/* The number after "name=" in the query: 0, or -1 if there is none in min..max. */
static int query_number(const struct door_app_request *req, const char *name, unsigned long min,
                        unsigned long max, unsigned long *number)
{
    const char *at = door_app_query(req);
    size_t len = strlen(name);
    char *end;

    while (strncmp(at, name, len) != 0 || at[len] != '=') {
        at = strchr(at, '&');
        if (at == NULL)
            return -1;
        at++;
    }
    at += len + 1;
    if (*at < '0' || *at > '9') /* strtoul() would take spaces and signs */
        return -1;
    errno = 0;
    *number = strtoul(at, &end, 10);
    if (errno != 0 || (*end != '\0' && *end != '&') || *number < min || *number > max)
        return -1;
    return 0;
}

struct variable {
    const char *name;
    const char *value;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct variable *)a)->name, ((const struct variable *)b)->name);
}

/* Values may be anything that a client sent; line ends in them would forge variables. */
static void print_variable(struct door_app_request *req, const struct variable *variable)
{
    door_app_printf(req, "%s=", variable->name);
    for (const char *at = variable->value; *at != '\0'; at++)
        door_app_write(req, *at == '\n' || *at == '\r' ? " " : at, 1);
    door_app_write(req, "\n", 1);
}

static void env(struct door_app_request *req, void *data)
{
    struct variable *found = NULL;
    struct variable one;
    size_t position = 0;
    size_t count = 0;

    (void)data;
    while (door_app_cgi_next(req, &position, &one.name, &one.value) == 1) {
        struct variable *grown = realloc(found, (count + 1) * sizeof(*found));

        if (grown == NULL)
            break;
        found = grown;
        found[count++] = one;
    }
    if (count > 0)
        qsort(found, count, sizeof(*found), by_name);
    for (size_t i = 0; i < count; i++)
        print_variable(req, &found[i]);
    free(found);
}

static void echo(struct door_app_request *req, void *data)
{
    const char *type = door_app_header(req, "Content-Type");
    size_t len;
    const char *body = door_app_body(req, &len);

    (void)data;
    door_app_content_type(req, type != NULL ? type : "application/octet-stream");
    door_app_write(req, body, len);
}

static void big(struct door_app_request *req, void *data)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    char piece[26 * 1024];
    unsigned long bytes;

    (void)data;
    if (query_number(req, "bytes", 0, BIG_MAX, &bytes) == -1) {
        refuse(req, "usage: /big?bytes=N, at most 268435456");
        return;
    }
    for (size_t i = 0; i < sizeof(piece); i += 26)
        memcpy(piece + i, letters, 26);
    while (bytes > 0) {
        size_t len = bytes < sizeof(piece) ? bytes : sizeof(piece);

        if (door_app_write(req, piece, len) == -1)
            return;
        bytes -= len;
    }
}

static void sleep_ms(struct door_app_request *req, void *data)
{
    struct timespec left;
    unsigned long ms;

    (void)data;
    if (query_number(req, "ms", 0, SLEEP_MAX_MS, &ms) == -1) {
        refuse(req, "usage: /sleep?ms=N, at most 600000");
        return;
    }
    left.tv_sec = (time_t)(ms / 1000);
    left.tv_nsec = (long)(ms % 1000) * 1000000;
    while (nanosleep(&left, &left) == -1 && errno == EINTR)
        continue;
    door_app_printf(req, "slept %lu ms\n", ms);
}

static void status(struct door_app_request *req, void *data)
{
    unsigned long code;

    (void)data;
    if (query_number(req, "code", 200, 599, &code) == -1) {
        refuse(req, "usage: /status?code=N, 200 to 599");
        return;
    }
    door_app_status(req, (int)code);
    if (code != 204 && code != 304)
        door_app_printf(req, "status %lu\n", code);
}

static void headers(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_header_set(req, "X-Kitchen", "replaced");
    door_app_header_set(req, "X-Kitchen", "soup");
    door_app_header_add(req, "X-Course", "first");
    door_app_header_add(req, "X-Course", "second");
    door_app_header_add(req, "Set-Cookie", "spoon=1; Path=/");
    door_app_header_add(req, "Set-Cookie", "fork=2; Path=/");
    door_app_header_set(req, "Cache-Control", "no-store");
    door_app_content_type(req, "text/html; charset=utf-8");
    door_app_printf(req, "<p>See the headers.</p>\n");
}

static void threads(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_printf(req, "threads=%lu\nthread=%lu\n", door_app_thread_count(),
                    door_app_thread_number(req));
}

/* Registered for all that the others are not, but only the top has a menu. */
static void menu(struct door_app_request *req, void *data)
{
    const char *path = door_app_path_info(req);

    (void)data;
    if (strcmp(path, "") != 0 && strcmp(path, "/") != 0) {
        door_app_status(req, 404);
        door_app_printf(req, "There is no %s in this kitchen\n", path);
        return;
    }
    door_app_printf(req, "/env\n/echo\n/big?bytes=N\n/sleep?ms=N\n/status?code=N\n/headers\n"
                         "/threads\n");
}

int main(int argc, char **argv)
{
    struct door_app *app = door_app_create();

    door_app_handle(app, "/env", env, NULL);
    door_app_handle(app, "/echo", echo, NULL);
    door_app_handle(app, "/big", big, NULL);
    door_app_handle(app, "/sleep", sleep_ms, NULL);
    door_app_handle(app, "/status", status, NULL);
    door_app_handle(app, "/headers", headers, NULL);
    door_app_handle(app, "/threads", threads, NULL);
    door_app_handle(app, "/", menu, NULL);
    return door_app_run(app, argc > 1 ? argv[1] : NULL);
}
