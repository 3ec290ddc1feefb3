/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * become.c: how a process that httpd's parent has just forked becomes the supervisor: its
 * descriptors, its name, and its way to the error log.
 */
#include <fcntl.h>
#include <string.h>
#define SYSLOG_NAMES /* facilitynames[] */
#include <syslog.h>
#include <unistd.h>

#include <apr_portable.h>
#include <apr_strings.h>
#include <httpd.h>
#include <http_config.h>
#include <http_log.h>
#include <http_main.h>
#include <unixd.h>

#include "mod_door.h"
#include "become.h"
#include "supervisor.h"

APLOG_USE_MODULE(door);

/* Numbers of the supervisor's descriptors.  From FIRST_CLOSED_FD on, all are closed. */
enum { CONTROL_FD = 3, REQUEST_FD, ALIVE_FD, LOG_FD, FIRST_CLOSED_FD };

/* ------------------------------------------------------------- its log */

int mod_door_log_fd(const server_rec *s)
{
    apr_os_file_t fd;

    if (s->error_log == NULL || apr_os_file_get(&fd, s->error_log) != APR_SUCCESS)
        return -1;
    return fd;
}

/* Writes a line to fd, or to the supervisor's log if fd is -1.  Only one thread calls it. */
static void write_line(int level, const char *line, int fd, void *data)
{
    static apr_pool_t *pool; /* cleared after each line */
    server_rec *s = data;
    server_rec host;

    if (fd != -1 && (pool != NULL || apr_pool_create(&pool, NULL) == APR_SUCCESS)) {
        apr_os_file_t number = fd;

        host = *s;
        apr_os_file_put(&host.error_log, &number, APR_FOPEN_WRITE | APR_FOPEN_APPEND, pool);
        s = &host;
    }
    ap_log_error(APLOG_MARK, level, 0, s, "%s", line);
    if (pool != NULL)
        apr_pool_clear(pool);
}

/*
 * Opens the log of ErrorLog "syslog:FACILITY:TAG", with httpd's own defaults for missing
 * parts.  openlog(3) keeps the tag's pointer, so the tag is never freed.
 */
static void open_syslog(const char *name)
{
    const char *tag = ap_server_argv0;
    const char *colon = strchr(name, ':');
    int facility = LOG_LOCAL7;
    apr_size_t len = colon != NULL ? strcspn(colon + 1, ":") : 0;
    const CODE *code;

    for (code = facilitynames; len > 0 && code->c_name != NULL; code++)
        if (strlen(code->c_name) == len && !ap_cstr_casecmpn(colon + 1, code->c_name, len))
            facility = code->c_val;
    if (colon != NULL && colon[1 + len] == ':' && colon[2 + len] != '\0')
        tag = strdup(colon + 2 + len);
    openlog(tag, LOG_NDELAY | LOG_CONS | LOG_PID, facility);
}

static int is_syslog(const char *log_name)
{
    return !ap_cstr_casecmpn(log_name, "syslog", 6);
}

/* Called in the supervisor when httpd has reopened its logs, which may be different ones now. */
static void take_log(int level, const char *name, int fd, void *data)
{
    server_rec *s = data;
    apr_os_file_t number = LOG_FD;

    s->log.level = level;
    if (s->log.module_levels != NULL)
        ap_set_module_loglevel(s->process->pool, &s->log, APLOG_MODULE_INDEX, level);
    if (fd != -1) {
        dup2(fd, LOG_FD);
        dup2(fd, STDERR_FILENO);
        close(fd);
        if (s->error_log == NULL)
            apr_os_file_put(&s->error_log, &number, APR_FOPEN_WRITE | APR_FOPEN_APPEND,
                            s->process->pool);
    } else if (is_syslog(name)) {
        open_syslog(name);
        s->error_log = NULL;
    }
}

/* -------------------------------------------------- its descriptors and name */

static void place_descriptor(int from, int to)
{
    if (from != -1)
        dup2(from, to);
    else
        close(to);
}

/*
 * Sets the process's name.  httpd's own name, with which its syslog lines begin, lies in the
 * memory that this overwrites, so it is copied first.
 */
static void take_name(server_rec *s, const char *parent_dir)
{
    ap_server_argv0 = s->process->short_name = apr_pstrdup(s->process->pool, ap_server_argv0);
    name_process((char *)s->process->argv[0],
                 apr_psprintf(s->process->pool, "mod_door supervisor: doors in %s", parent_dir));
}

/*
 * Moves the descriptors to their low numbers and closes all above.  Returns whether there is
 * a file to log to.
 */
static int place_descriptors(const struct supervisor_start *from, int log)
{
    int null_fd = open("/dev/null", O_RDWR);
    int control = fcntl(from->control_fd, F_DUPFD, FIRST_CLOSED_FD);
    int requests = fcntl(from->request_fd, F_DUPFD, FIRST_CLOSED_FD);
    int alive = fcntl(from->alive_fd, F_DUPFD, FIRST_CLOSED_FD);

    log = log != -1 ? fcntl(log, F_DUPFD, FIRST_CLOSED_FD) : -1;
    null_fd = fcntl(null_fd, F_DUPFD, FIRST_CLOSED_FD);
    dup2(alive, ALIVE_FD);
    dup2(requests, REQUEST_FD);
    dup2(control, CONTROL_FD);
    place_descriptor(log, LOG_FD);
    place_descriptor(null_fd, STDIN_FILENO);
    place_descriptor(null_fd, STDOUT_FILENO);
    closefrom(FIRST_CLOSED_FD);
    return log != -1;
}

_Noreturn void mod_door_become_supervisor(server_rec *s, const struct supervisor_start *from)
{
    struct supervisor_start start = *from;
    apr_os_file_t number = LOG_FD;
    int has_file;

    closelog(); /* the number of syslog(3)'s socket will be another descriptor's */
    has_file = place_descriptors(from, mod_door_log_fd(s));
    take_name(s, from->runtime_parent);
    if (!has_file && s->error_fname != NULL && is_syslog(s->error_fname))
        open_syslog(s->error_fname); /* closelog(3) has forgotten the tag */
    s->error_log = NULL;
    if (has_file)
        apr_os_file_put(&s->error_log, &number, APR_FOPEN_WRITE | APR_FOPEN_APPEND,
                        s->process->pool);
    start.control_fd = CONTROL_FD;
    start.request_fd = REQUEST_FD;
    start.alive_fd = ALIVE_FD;
    start.user = geteuid() == 0 ? ap_unixd_config.user_id : geteuid();
    start.writer = write_line;
    start.new_log = take_log;
    start.data = s;
    supervisor_run(&start);
}
