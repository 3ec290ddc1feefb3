/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door_fcgi.c: a gateway.  An application that serves its door by FastCGI programs,
 * which it starts and ends: see usage below.  What it is told on its command line is
 * all that there is to configure.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <door_app.h>

#include "fcgi_exchange.h"
#include "fcgi_role.h"

#define SEATS_MAX 10000
#define IDLE_MS   10000 /* then a thread that has nothing to do ends */

static const char usage[] =
    "usage: door_fcgi [OPTION...] PROGRAM [ARGUMENT...]\n"
    "\n"
    "Serves the door DOOR_PATH by FastCGI programs.\n"
    "\n"
    "  --processes N        so many processes of it, with one connection each (4)\n"
    "  --children N         one process of it, which has N children of its own (PHP)\n"
    "  --max-requests N     a process is replaced after so many (0: never)\n"
    "  --role ROLE          responder, authorizer or filter (responder)\n"
    "  --queue-length N     how many requests may wait here for a process (100)\n"
    "  --queue-timeout TIME and how long; then the answer is 503 (5s).  Without either\n"
    "                       they wait in httpd\n"
    "  --abort-timeout TIME how long a process may go on with a request that nobody\n"
    "                       waits for; then it is replaced (5s)\n"
    "  --stop-timeout TIME  how long a process may take to end; then it is killed (10s)\n"
    "  --sendfile-root DIR  X-Sendfile may name files in this directory\n"
    "  --door PATH          another door\n"
    "\n"
    "TIME is a number of seconds, or has one of the units ms, s, mi, h.  The sockets are\n"
    "made in TMPDIR (/tmp), which has 60 bytes at most.\n";

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "door_fcgi: %s: %s\n", what, why);
    return -1;
}

static int take_number(const char *option, const char *text, unsigned long min, unsigned long max,
                       unsigned long *number)
{
    char *end;

    errno = 0;
    *number = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || *number < min || *number > max)
        return complain(option, "no such number");
    return 0;
}

static int take_time(const char *option, const char *text, int64_t *ms)
{
    static const struct {
        const char *name;
        unsigned long ms;
    } units[] = {{"", 1000}, {"s", 1000}, {"ms", 1}, {"mi", 60000}, {"h", 3600000}};
    unsigned long number;
    char *end;

    errno = 0;
    number = strtoul(text, &end, 10);
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
        if (*text >= '0' && *text <= '9' && errno == 0 && strcmp(end, units[i].name) == 0 &&
            number <= INT_MAX / units[i].ms) {
            *ms = (int64_t)(number * units[i].ms);
            return 0;
        }
    return complain(option, "no such time");
}

static int take_role(const char *text, enum fcgi_role *role)
{
    int number = fcgi_role_number(text);

    *role = (enum fcgi_role)number;
    return number != 0 ? 0 : complain("--role", "responder, authorizer or filter");
}

static int take_root(const char *text, const char **root)
{
    *root = realpath(text, NULL); /* for as long as the process lives */
    return *root != NULL ? 0 : complain(text, strerror(errno));
}

struct options {
    struct fcgi_pool_config pool;
    struct fcgi_exchange_config exchange;
    const char *door; /* or NULL */
    int has_line;     /* who waits, waits here */
};

enum { PROCESSES, CHILDREN, MAX_REQUESTS, ROLE, QUEUE_LENGTH, QUEUE_TIMEOUT, ABORT_TIMEOUT,
       STOP_TIMEOUT, SENDFILE_ROOT, DOOR, HELP };

static const struct option names[] = {
    {"processes", required_argument, NULL, PROCESSES},
    {"children", required_argument, NULL, CHILDREN},
    {"max-requests", required_argument, NULL, MAX_REQUESTS},
    {"role", required_argument, NULL, ROLE},
    {"queue-length", required_argument, NULL, QUEUE_LENGTH},
    {"queue-timeout", required_argument, NULL, QUEUE_TIMEOUT},
    {"abort-timeout", required_argument, NULL, ABORT_TIMEOUT},
    {"stop-timeout", required_argument, NULL, STOP_TIMEOUT},
    {"sendfile-root", required_argument, NULL, SENDFILE_ROOT},
    {"door", required_argument, NULL, DOOR},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static int take_option(struct options *options, int option, const char *name, const char *text)
{
    unsigned long number;
    int result;

    switch (option) {
    case PROCESSES:
    case CHILDREN:
        result = take_number(name, text, 1, SEATS_MAX, &number);
        options->pool.is_shared = option == CHILDREN;
        options->pool.seats = (unsigned)number;
        return result;
    case MAX_REQUESTS:
        result = take_number(name, text, 0, LONG_MAX, &number);
        options->pool.max_requests = number;
        return result;
    case QUEUE_LENGTH:
        result = take_number(name, text, 0, INT_MAX, &number);
        options->pool.queue_length = (unsigned)number;
        options->has_line = 1;
        return result;
    case ROLE:
        return take_role(text, &options->exchange.role);
    case QUEUE_TIMEOUT:
        options->has_line = 1;
        return take_time(name, text, &options->pool.queue_ms);
    case ABORT_TIMEOUT:
        return take_time(name, text, &options->exchange.abort_ms);
    case STOP_TIMEOUT:
        return take_time(name, text, &options->pool.keeper.stop_ms);
    case SENDFILE_ROOT:
        return take_root(text, &options->exchange.sendfile_root);
    case DOOR:
        options->door = text;
        return 0;
    default:
        return -1;
    }
}

/* 0, or -1: there is a mistake, which has been told. */
static int read_options(struct options *options, int argc, char **argv)
{
    int option, at = 0;

    /* The first that is no option is the program: what follows is for that. */
    while ((option = getopt_long(argc, argv, "+", names, &at)) != -1) {
        if (option == HELP || option == '?') {
            fputs(usage, option == HELP ? stdout : stderr);
            exit(option == HELP ? 0 : 2);
        }
        if (take_option(options, option, names[at].name, optarg) == -1)
            return -1;
    }
    if (optind == argc) {
        fputs(usage, stderr);
        return -1;
    }
    options->pool.keeper.argv = argv + optind;
    return 0;
}

/* A kept connection pins one of PHP's children: they are as many as there are connections. */
static void set_environment(const struct fcgi_pool_config *config)
{
    char count[16];

    snprintf(count, sizeof(count), "%u", config->seats);
    setenv("PHP_FCGI_MAX_REQUESTS", "0", 1); /* it would end in the middle: --max-requests does not */
    if (config->is_shared)
        setenv("PHP_FCGI_CHILDREN", count, 1);
    else
        unsetenv("PHP_FCGI_CHILDREN");
    unsetenv("FCGI_WEB_SERVER_ADDRS"); /* of another web server */
}

/* httpd's questions, which FCGI_APACHE_ROLE tells apart, go to the program as an authorizer. */
static void add_guards(struct door_app *app, const struct fcgi_exchange_config *config)
{
    static struct fcgi_exchange_config question;

    question = *config;
    question.role = FCGI_AUTHORIZER;
    question.is_question = 1;
    for (int role = DOOR_APP_AUTHENTICATOR; role <= DOOR_APP_ACCESS_CHECKER; role++)
        door_app_guard(app, (enum door_app_role)role, fcgi_exchange, &question);
}

int main(int argc, char **argv)
{
    struct options options = {
        .pool = {.seats = 4,
                 .queue_length = 100,
                 .queue_ms = 5000,
                 .keeper = {.stop_ms = 10000, .tmp_dir = "/tmp"}},
        .exchange = {.role = FCGI_RESPONDER, .abort_ms = 5000},
    };
    struct door_app *app;
    int status;

    if (read_options(&options, argc, argv) == -1)
        return 2;
    set_environment(&options.pool);
    if (getenv("TMPDIR") != NULL)
        options.pool.keeper.tmp_dir = getenv("TMPDIR");
    options.exchange.pool = fcgi_pool_open(&options.pool);
    if (options.exchange.pool == NULL) {
        complain(options.pool.keeper.argv[0], strerror(errno));
        return 1;
    }
    app = door_app_create();
    door_app_handle(app, "/", fcgi_exchange, &options.exchange);
    add_guards(app, &options.exchange);
    /*
     * Who waits in httpd costs nothing, and the thread that has just answered takes the next
     * one without anybody being woken.
     */
    if (!options.has_line)
        door_app_set_threads(app, options.pool.seats, IDLE_MS);
    status = door_app_run(app, options.door);
    if (status != 0)
        _exit(status); /* requests may still use the pool: the keeper ends what is left */
    fcgi_pool_close(options.exchange.pool);
    door_app_destroy(app);
    return status;
}
