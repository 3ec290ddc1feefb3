/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door_cgi.c: CGI/1.1 programs (RFC 3875) behind a door: a directory of them, or one
 * for all requests.  Each request starts a program, which has it to itself.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <door_app.h>

#include "cgi_program.h"
#include "cgi_relay.h"
#include "cgi_response.h"

#define LINGER_MS 60000 /* how long a program may go on without its stdout */

static struct {
    char place[PATH_MAX]; /* the directory, or the program; an absolute path without links */
    int is_program;
    int by_file; /* SCRIPT_FILENAME names the program, which is below the directory */
    int timeout_ms;
} options;

/* Which program, and what its request is then. */
struct script {
    char path[PATH_MAX];
    size_t name_len; /* bytes of the request's PATH_INFO that are the program's name */
};

/* Instead of what was said so far; where some of that has gone, the client sees a break. */
static void refuse(struct door_app_request *req, int status, const char *text)
{
    if (door_app_refuse(req, status, text) == -1)
        door_app_fail(req);
}

/* ---------------------------------------------------------------- which program */

/* 0, or the status to answer with. */
static int check_script(const char *path)
{
    struct stat st;

    if (stat(path, &st) == -1)
        return errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG ? 404 : 403;
    return S_ISREG(st.st_mode) && access(path, X_OK) == 0 ? 0 : 403;
}

/* Whether a segment of a path stands for itself. */
static int is_plain(const char *segment, size_t len)
{
    return len > 0 && !(segment[0] == '.' && (len == 1 || (len == 2 && segment[1] == '.')));
}

/* The first part of PATH_INFO that is not a directory: the status of what is there. */
static int find_below(struct script *script, const char *path_info)
{
    size_t len = strlen(options.place), segment;
    struct stat st;

    memcpy(script->path, options.place, len + 1);
    script->name_len = 0;
    while (path_info[script->name_len] == '/') {
        const char *at = path_info + script->name_len;

        segment = 1 + strcspn(at + 1, "/");
        if (len + segment >= sizeof(script->path) || !is_plain(at + 1, segment - 1))
            return 404;
        memcpy(script->path + len, at, segment);
        len += segment;
        script->path[len] = '\0';
        script->name_len += segment;
        if (stat(script->path, &st) == -1 || !S_ISDIR(st.st_mode))
            break;
    }
    return check_script(script->path);
}

/* A file that httpd has mapped the URL to, if it is below the directory. */
static int find_file(struct script *script, const char *file)
{
    size_t len = strlen(options.place);

    script->name_len = 0;
    if (file == NULL || realpath(file, script->path) == NULL)
        return 404;
    if (strncmp(script->path, options.place, len) != 0 || script->path[len] != '/')
        return 403;
    return check_script(script->path);
}

static int find_script(struct door_app_request *req, struct script *script)
{
    if (options.by_file)
        return find_file(script, door_app_cgi(req, "SCRIPT_FILENAME"));
    if (!options.is_program)
        return find_below(script, door_app_path_info(req));
    strcpy(script->path, options.place);
    script->name_len = 0;
    return check_script(script->path);
}

/* ---------------------------------------------------------------- its environment */

/* NAME=value, in the request's memory; or NULL. */
static char *variable(struct door_app_request *req, const char *name, const char *value,
                      const char *more)
{
    size_t size = strlen(name) + strlen(value) + strlen(more) + 2;
    char *text = door_app_alloc(req, size);

    if (text != NULL)
        snprintf(text, size, "%s=%s%s", name, value, more);
    return text;
}

struct environment {
    struct door_app_request *req;
    char **at;
    size_t count;
    int is_short; /* of memory */
};

static void add(struct environment *env, const char *name, const char *value, const char *more)
{
    char *text = variable(env->req, name, value, more);

    if (text == NULL)
        env->is_short = 1;
    else
        env->at[env->count++] = text;
}

static int is_own(const char *name)
{
    return strcmp(name, "SCRIPT_NAME") == 0 || strcmp(name, "SCRIPT_FILENAME") == 0 ||
           strcmp(name, "PATH_INFO") == 0 || strcmp(name, "PATH_TRANSLATED") == 0 ||
           strcmp(name, "PATH") == 0;
}

/* What depends on which part of the path is the program's name. */
static void add_own(struct environment *env, const struct script *script)
{
    struct door_app_request *req = env->req;
    const char *info = door_app_path_info(req), *rest = info + script->name_len;
    const char *root = door_app_cgi(req, "DOCUMENT_ROOT"), *path = getenv("PATH");
    const char *translated = door_app_cgi(req, "PATH_TRANSLATED");
    char *name = door_app_alloc(req, script->name_len + 1);

    if (name == NULL) {
        env->is_short = 1;
        return;
    }
    memcpy(name, info, script->name_len);
    name[script->name_len] = '\0';
    add(env, "SCRIPT_NAME", door_app_script_name(req), name);
    add(env, "SCRIPT_FILENAME", script->path, "");
    add(env, "PATH", path != NULL ? path : "/usr/local/bin:/usr/bin:/bin", "");
    if (*rest == '\0')
        return;
    add(env, "PATH_INFO", rest, "");
    if (script->name_len == 0 && translated != NULL)
        add(env, "PATH_TRANSLATED", translated, "");
    else if (root != NULL)
        add(env, "PATH_TRANSLATED", root, rest);
}

/* NULL: no memory. */
static char **make_environment(struct door_app_request *req, const struct script *script)
{
    struct environment env = {.req = req};
    const char *name, *value;
    size_t position = 0, max = 6;
    int more;

    while ((more = door_app_cgi_next(req, &position, &name, &value)) == 1)
        max++;
    env.at = more == 0 ? door_app_alloc(req, (max + 1) * sizeof(*env.at)) : NULL;
    if (env.at == NULL)
        return NULL;
    for (position = 0; door_app_cgi_next(req, &position, &name, &value) == 1;)
        if (!is_own(name))
            add(&env, name, value, "");
    add_own(&env, script);
    env.at[env.count] = NULL;
    return env.is_short ? NULL : env.at;
}

/* ---------------------------------------------------------------- a request */

/* In the program's own directory, as other servers have it. */
static int start(struct door_app_request *req, struct cgi_program *program,
                 const struct script *script)
{
    char *argv[] = {(char *)script->path, NULL};
    char **env = make_environment(req, script);
    char *slash = strrchr(script->path, '/'), *directory;
    const char *length = door_app_cgi(req, "CONTENT_LENGTH");

    if (env == NULL)
        return -1;
    directory = door_app_alloc(req, (size_t)(slash - script->path) + 2);
    if (directory == NULL)
        return -1;
    memcpy(directory, script->path, (size_t)(slash - script->path) + 1);
    directory[slash - script->path + 1] = '\0';
    return cgi_program_start(program, argv, env, directory,
                             length == NULL || strcmp(length, "0") != 0);
}

/* What has gone wrong, to the log and to the client. */
static void fail(struct door_app_request *req, const struct script *script,
                 const struct cgi_response *response, enum cgi_outcome outcome)
{
    int error = errno;

    switch (outcome) {
    case CGI_LATE:
        door_app_log(req, LOG_ERR, "door_cgi: %s: silent for %d s, ended", script->path,
                     options.timeout_ms / 1000);
        refuse(req, 504, "The program has not answered in time");
        break;
    case CGI_WRONG:
        door_app_log(req, LOG_ERR, "door_cgi: %s: %s", script->path,
                     response->head_len == 0 ? "ended without a response"
                                             : "what it says is no CGI response");
        refuse(req, 500, "The program has given no valid response");
        break;
    case CGI_GONE:
        door_app_log(req, LOG_INFO, "door_cgi: %s: nobody waits for it, ended", script->path);
        door_app_fail(req);
        break;
    default:
        door_app_log(req, LOG_ERR, "door_cgi: %s: %s", script->path, strerror(error));
        refuse(req, 500, "The program's response could not be passed on");
    }
}

static int is_nph(const char *path)
{
    return strncmp(strrchr(path, '/') + 1, "nph-", 4) == 0;
}

static void run(struct door_app_request *req, const struct script *script)
{
    struct cgi_response response = {.req = req, .has_status_line = is_nph(script->path)};
    struct cgi_program program;
    enum cgi_outcome outcome;

    if (start(req, &program, script) == -1) {
        door_app_log(req, LOG_ERR, "door_cgi: cannot run %s: %m", script->path);
        refuse(req, 500, "The program could not be run");
        return;
    }
    outcome = cgi_relay(req, &program, &response, options.timeout_ms);
    if (outcome != CGI_DONE)
        fail(req, script, &response, outcome);
    if (outcome == CGI_DONE || (outcome == CGI_WRONG && response.head_len == 0))
        cgi_program_leave(&program);
    else
        cgi_program_kill(&program);
    cgi_response_end(&response);
}

static void handle(struct door_app_request *req, void *data)
{
    struct script script;
    int status = find_script(req, &script);

    (void)data;
    if (status == 0)
        run(req, &script);
    else
        refuse(req, status, status == 404 ? "There is no such program"
                                          : "That is no program that may be run");
}

/* ---------------------------------------------------------------- the gateway */

static int usage(void)
{
    fprintf(stderr, "usage: door_cgi [-f] [-d door] [-t seconds] directory | program\n");
    return 2;
}

/* 0, or -1: said on stderr. */
static int find_place(const char *path)
{
    struct stat st;

    if (realpath(path, options.place) == NULL || stat(options.place, &st) == -1) {
        fprintf(stderr, "door_cgi: %s: %s\n", path, strerror(errno));
        return -1;
    }
    options.is_program = !S_ISDIR(st.st_mode);
    return 0;
}

int main(int argc, char **argv)
{
    const char *door = NULL;
    char *end;
    int option, status;

    while ((option = getopt(argc, argv, "fd:t:")) != -1) {
        unsigned long seconds = 0;

        if (option == 't') {
            seconds = strtoul(optarg, &end, 10);
            if (*optarg < '0' || *optarg > '9' || *end != '\0' || seconds > INT_MAX / 1000)
                return usage();
            options.timeout_ms = (int)(1000 * seconds);
        } else if (option == 'd') {
            door = optarg;
        } else if (option == 'f') {
            options.by_file = 1;
        } else {
            return usage();
        }
    }
    if (argc - optind != 1)
        return usage();
    if (find_place(argv[optind]) == -1 || (options.by_file && options.is_program))
        return usage();
    signal(SIGPIPE, SIG_IGN); /* programs need not read what they get */
    if (cgi_program_prepare(LINGER_MS) == -1) {
        fprintf(stderr, "door_cgi: %s\n", strerror(errno));
        return 1;
    }
    struct door_app *app = door_app_create();
    door_app_handle(app, "/", handle, NULL);
    status = door_app_run(app, door);
    cgi_program_kill_all();
    return status;
}
