/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * supervision.c: the supervisor's place in httpd.  httpd's parent forks the supervisor
 * once and sends it definitions at each restart; what must outlive a restart is in
 * retained data.  Children read the board, and may ask the supervisor to check an
 * application.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ap_mpm.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_main.h>

#include "mod_door.h"
#include "app.h"
#include "shared_calls.h"
#include "become.h"
#include "build.h"
#include "supervision.h"
#include "supervisor.h"
#include "tag.h"

APLOG_USE_MODULE(door);

#define RETAINED_KEY "mod_door supervisor"
#define STOP_GRACE   apr_time_from_sec(10) /* in addition to the longest stop-timeout */
#define LISTEN_GRACE apr_time_from_sec(5)  /* until the supervisor has read CONTROL_STOP */
#define STOP_TICK    apr_time_from_msec(10)
#define LOOK_INTERVAL apr_time_from_sec(5)
#define QUICK_END    apr_time_from_sec(1) /* a supervisor that ends sooner is not forked at once */
#define PAUSE_MIN    apr_time_from_sec(2)

/* After a restart another build may read this, so the members before board must never change. */
static struct retained {
    char build[MOD_DOOR_BUILD_MAX];
    pid_t owner;      /* httpd's parent */
    pid_t supervisor; /* or 0 */
    int control_fd;
    int requests[2]; /* a socket pair: the children's end, the supervisor's end */
    int alive[2];    /* a pipe: the supervisor's end; the end that each child keeps open */
    struct board *board;
    struct ledger *ledger;
    int is_unsent; /* the definitions could not be sent to the supervisor */
    pid_t former; /* another build's supervisor, which still has processes; or 0 */
    apr_time_t started; /* when the supervisor was last started */
    apr_interval_time_t stop_timeout; /* the longest of all definitions so far */
    char rows[APP_MAX][APP_NAME_MAX + 1]; /* which application has each row of the board, or "" */
} * retained;

static pid_t former; /* the supervisor of the build before this one; or 0 */

static server_rec *main_server;
static struct mod_door_wanted wanted;
static int is_failed; /* the launch has failed, and will be tried again */

/* --------------------------------------------------- what it is told, and its end */

static void forget_supervisor(void)
{
    if (retained->control_fd != -1)
        close(retained->control_fd);
    retained->control_fd = -1;
    retained->supervisor = 0;
}

static void supervisor_ended(int reason, void *data, int status);

/*
 * Has httpd report the end of that process.  The registration ends with the configuration,
 * because the module's code may be unloaded then; after a restart it is made again.
 */
static void watch(server_rec *s, pid_t *pid)
{
    apr_proc_t *proc = apr_pcalloc(s->process->pconf, sizeof(*proc));

    proc->pid = *pid;
    apr_proc_other_child_register(proc, supervisor_ended, pid, NULL, s->process->pconf);
}

/* The error log's name and level. */
static int add_log(FILE *file, const server_rec *s)
{
    const char *name = s->error_fname != NULL ? s->error_fname : "";
    apr_size_t len = strlen(name) + 1;
    struct control_log *log = malloc(sizeof(*log) + len);
    int result;

    if (log == NULL)
        return -1;
    log->level = ap_get_server_module_loglevel(s, APLOG_MODULE_INDEX);
    memcpy(log->name, name, len);
    result = control_add(file, RECORD_LOG, log, sizeof(*log) + len);
    free(log);
    return result;
}

static int add_runtime_dir(FILE *file)
{
    return control_add(file, RECORD_RUNTIME_DIR, wanted.runtime_dir, strlen(wanted.runtime_dir));
}

/*
 * is_all: includes definitions that were sent before; the supervisor may replace an
 * application at a restart even if nothing has changed.
 */
static int add_apps(FILE *file, int is_all)
{
    apr_hash_index_t *i;

    for (i = apr_hash_first(NULL, wanted.apps); i != NULL; i = apr_hash_next(i)) {
        struct mod_door_app *app = apr_hash_this_val(i);
        int result;

        if (app->definition != NULL && (is_all || !app->is_told))
            result = control_add(file, RECORD_DEFINITION, app->definition, app->definition->size);
        else
            result = control_add(file, RECORD_KEEP, app->name, strlen(app->name));
        if (result == -1)
            return -1;
        app->is_told = app->definition != NULL;
    }
    return 0;
}

/* Sends the descriptor to which the supervisor is to write the application's output. */
static int send_output(const struct mod_door_app *app)
{
    apr_size_t len = strlen(app->name) + 1;
    struct control_output *output = malloc(sizeof(*output) + len);
    FILE *file = output != NULL ? control_file() : NULL;
    int result = -1;

    if (file != NULL) {
        output->is_raw = app->output_is_raw;
        memcpy(output->name, app->name, len);
        result = control_add(file, RECORD_OUTPUT, output, sizeof(*output) + len);
    }
    if (result == 0)
        result = control_send(retained->control_fd, CONTROL_OUTPUT, file, app->output_fd);
    if (file != NULL)
        fclose(file);
    free(output);
    return result;
}

static int send_outputs(void)
{
    apr_hash_index_t *i;

    for (i = apr_hash_first(NULL, wanted.apps); i != NULL; i = apr_hash_next(i)) {
        const struct mod_door_app *app = apr_hash_this_val(i);

        if (app->output_fd != -1 && send_output(app) == -1)
            return -1;
    }
    return 0;
}

/* Sends what is to run now, and the error log's descriptor.  Does not wait for the supervisor. */
static apr_status_t send_definitions(int is_all)
{
    FILE *file = control_file();
    apr_status_t error = errno;

    if (file == NULL)
        return error;
    error = APR_SUCCESS;
    if (send_outputs() == -1 || add_log(file, main_server) == -1 || add_runtime_dir(file) == -1 ||
        add_apps(file, is_all) == -1 ||
        control_send(retained->control_fd, CONTROL_DEFINE, file, mod_door_log_fd(main_server)) == -1)
        error = errno;
    fclose(file);
    return error;
}

/* If sending fails, mod_door_monitor_supervisor() tries again. */
static void tell_supervisor(int is_all)
{
    apr_status_t error = send_definitions(is_all);

    retained->is_unsent = error != APR_SUCCESS;
    if (error != APR_SUCCESS)
        ap_log_error(APLOG_MARK, APLOG_ERR, error, main_server,
                     DOORNO(0304) "door: cannot tell the supervisor which applications are to run; it is "
                                  "tried again");
}

static apr_status_t start_supervisor(server_rec *s)
{
    int control[2];
    apr_status_t error;
    pid_t pid;

    if (control_make(control) == -1)
        return errno;
    retained->started = mod_door_now();
    ledger_share(retained->ledger, 1);
    pid = fork();
    if (pid == 0)
        mod_door_become_supervisor(s, &(struct supervisor_start){
                                          .control_fd = control[1],
                                          .request_fd = retained->requests[1],
                                          .alive_fd = retained->alive[0],
                                          .parent = retained->owner,
                                          .board = retained->board,
                                          .calls = mod_door_calls(),
                                          .ledger = retained->ledger,
                                          .runtime_parent = wanted.runtime_dir,
                                      });
    error = errno;
    ledger_share(retained->ledger, 0);
    close(control[1]);
    if (pid == -1) {
        close(control[0]);
        return error;
    }
    retained->supervisor = pid;
    retained->control_fd = control[0];
    watch(s, &retained->supervisor);
    tell_supervisor(1);
    return APR_SUCCESS;
}

/* How often in a row the supervisor could not start or ended at once.  A restart resets this. */
static unsigned failures;
static apr_time_t next_try;

/*
 * Delays the next try, twice as long each time.  Shows the delay on the board, so that
 * requests do not wait for applications that cannot be launched yet.
 */
static apr_interval_time_t put_off(void)
{
    apr_interval_time_t pause = PAUSE_MIN << (failures < 6 ? failures : 6);
    int64_t retry_ns = door_now_ns() + (int64_t)pause * 1000;
    apr_hash_index_t *i;

    failures++;
    next_try = mod_door_now() + pause;
    for (i = apr_hash_first(NULL, wanted.apps); i != NULL; i = apr_hash_next(i)) {
        const struct mod_door_app *app = apr_hash_this_val(i);
        struct board_app *row = &retained->board->apps[app->row];

        if (app->definition == NULL)
            continue;
        atomic_store(&row->retry_ns, retry_ns);
        atomic_store(&row->state, APP_BACKOFF);
    }
    return pause;
}

static void try_to_start(void)
{
    apr_status_t error = start_supervisor(main_server);

    if (error != APR_SUCCESS)
        ap_log_error(APLOG_MARK, APLOG_CRIT, error, main_server,
                     DOORNO(0305) "door: cannot start the supervisor, which launches the applications; it "
                                  "is tried again in %d s",
                     (int)apr_time_sec(put_off()));
}

int mod_door_is_supervised(void)
{
    const struct retained *known = ap_retained_data_get(RETAINED_KEY);

    return known != NULL && known->supervisor != 0;
}

static int is_stopping(void)
{
    int state;

    return ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS && state == AP_MPMQ_STOPPING;
}

/* Called when httpd's parent has seen a process end for which watch() was called. */
static void supervisor_ended(int reason, void *data, int status)
{
    int is_quick;

    if (reason != APR_OC_REASON_DEATH && reason != APR_OC_REASON_LOST)
        return;
    apr_proc_other_child_unregister(data);
    if (data == &retained->former) {
        retained->former = 0;
        return;
    }
    forget_supervisor();
    if (is_stopping())
        return;
    is_quick = mod_door_now() - retained->started < QUICK_END;
    if (!is_quick)
        failures = 0;
    /* APR passes an exit code or a signal number, and does not say which one it is. */
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, main_server,
                 DOORNO(0306) "door: the supervisor has ended (exit code or signal %d), another one is started "
                 "in %d s", status, is_quick ? (int)apr_time_sec(put_off()) : 0);
    if (!is_quick)
        try_to_start();
}

static void look_for_apps(apr_pool_t *config_pool, server_rec *s);
static apr_status_t launch_now_or_later(server_rec *s);

/* httpd calls this every few seconds: tries again what has failed. */
int mod_door_monitor_supervisor(apr_pool_t *pool, server_rec *s)
{
    if (is_stopping())
        return DECLINED;
    if (retained == NULL && is_failed)
        launch_now_or_later(main_server);
    else if (retained == NULL || getpid() != retained->owner)
        return DECLINED;
    else if (retained->supervisor == 0 && mod_door_now() < next_try)
        return DECLINED;
    else if (retained->supervisor == 0)
        try_to_start();
    else if (control_is_asked_again(retained->control_fd) || retained->is_unsent)
        tell_supervisor(1);
    else
        look_for_apps(pool, s);
    return DECLINED;
}

/*
 * Runs when the configuration ends.  If httpd itself ends, this waits until the supervisor
 * has ended the applications, so that none is left behind.
 */
static apr_status_t stop_supervisor(void *unused)
{
    apr_time_t told, until;

    (void)unused;
    if (retained == NULL || getpid() != retained->owner || retained->supervisor == 0)
        return APR_SUCCESS;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_DESTROY_CONFIG) {
        /* A restart: the new configuration may not load this module. */
        control_send(retained->control_fd, CONTROL_RESTART, NULL, -1);
        return APR_SUCCESS;
    }
    control_send(retained->control_fd, CONTROL_STOP, NULL, -1);
    told = mod_door_now();
    until = told + retained->stop_timeout + STOP_GRACE;
    while (waitpid(retained->supervisor, NULL, WNOHANG) == 0) {
        if (mod_door_now() > until || (mod_door_now() > told + LISTEN_GRACE &&
                                       !control_is_closed(retained->control_fd))) {
            kill(retained->supervisor, SIGKILL);
            waitpid(retained->supervisor, NULL, 0);
            break;
        }
        apr_sleep(STOP_TICK);
    }
    forget_supervisor();
    return APR_SUCCESS;
}

/* -------------------------------------------------------------- httpd's life */

static void close_descriptors(struct retained *all)
{
    int *const fds[] = {&all->control_fd, &all->requests[0], &all->requests[1], &all->alive[0],
                        &all->alive[1]};
    apr_size_t i;

    for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (*fds[i] != -1)
            close(*fds[i]);
        *fds[i] = -1;
    }
}

/*
 * Another build's supervisor goes on for that build's children.  Its control socket is closed
 * here, and it ends when those children have ended; see app_leave().
 */
static pid_t leave_other_build(struct retained *other)
{
    close_descriptors(other);
    return other->supervisor;
}

/*
 * Closes another build's descriptors now, before any process is forked that would inherit
 * them.  Nothing may stay registered with httpd for longer than the configuration lasts: the
 * next one may load another build of the module.
 */
void mod_door_find_supervisor(apr_pool_t *config_pool)
{
    retained = ap_retained_data_get(RETAINED_KEY);
    if (retained != NULL && strcmp(retained->build, mod_door_build) != 0) {
        former = leave_other_build(retained);
        retained = NULL;
    }
    apr_pool_cleanup_register(config_pool, NULL, stop_supervisor, apr_pool_cleanup_null);
}

static void unmake_retained(struct retained *made)
{
    close_descriptors(made);
    if (made->board != NULL)
        board_forget(made->board);
    if (made->ledger != NULL)
        ledger_forget(made->ledger);
}

static apr_status_t make_retained(void)
{
    struct retained made = {.owner = getpid(),
                            .former = former,
                            .control_fd = -1,
                            .requests = {-1, -1},
                            .alive = {-1, -1}};
    apr_status_t error = APR_SUCCESS;
    int i;

    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, made.requests) == -1 || pipe(made.alive) == -1)
        error = errno;
    made.board = board_make();
    made.ledger = ledger_make();
    if (made.board == NULL || made.ledger == NULL)
        error = ENOMEM;
    if (error != APR_SUCCESS) {
        unmake_retained(&made);
        return error;
    }
    for (i = 0; i < 2; i++) {
        fcntl(made.requests[i], F_SETFD, FD_CLOEXEC);
        fcntl(made.alive[i], F_SETFD, FD_CLOEXEC);
    }
    apr_cpystrn(made.build, mod_door_build, sizeof(made.build));
    retained = ap_retained_data_create(RETAINED_KEY, sizeof(*retained));
    *retained = made;
    return APR_SUCCESS;
}

/* The row of the application with that name, or -1. */
static int find_row(const char *name)
{
    int i;

    for (i = 0; i < APP_MAX; i++)
        if (strcmp(retained->rows[i], name) == 0)
            return i;
    return -1;
}

/*
 * A row that no application of this configuration has.  There always is one, since there are
 * no more than APP_MAX applications.  Prefers a row that shows nothing any more.
 */
static int find_free_row(void)
{
    int best = -1;
    int i;

    for (i = 0; i < APP_MAX; i++) {
        if (retained->rows[i][0] != '\0' && apr_hash_get(wanted.apps, retained->rows[i], APR_HASH_KEY_STRING) != NULL)
            continue;
        if (best == -1 || atomic_load(&retained->board->apps[i].state) == APP_FREE)
            best = i;
    }
    return best;
}

static void show_row(const struct mod_door_app *app)
{
    struct board_app *row = &retained->board->apps[app->row];

    if (app->definition == NULL)
        return;
    app->definition->row = (uint32_t)app->row;
    if (retained->stop_timeout < app->definition->stop_ns / 1000)
        retained->stop_timeout = app->definition->stop_ns / 1000;
    /* Requests that come before the supervisor has read the definition must wait, not fail. */
    atomic_store(&row->start_ns, app->definition->start_ns);
    if (atomic_load(&row->state) == APP_DOWN)
        atomic_store(&row->state, APP_STARTING);
}

/* Gives each application its row.  httpd's parent alone decides this; the board only shows it. */
static void take_rows(void)
{
    apr_hash_index_t *i;

    for (i = apr_hash_first(NULL, wanted.apps); i != NULL; i = apr_hash_next(i)) {
        struct mod_door_app *app = apr_hash_this_val(i);
        int is_shown;

        app->row = find_row(app->name);
        is_shown = app->row != -1 && atomic_load(&retained->board->apps[app->row].state) != APP_FREE;
        if (app->row == -1)
            app->row = find_free_row();
        apr_cpystrn(retained->rows[app->row], app->name, sizeof(retained->rows[app->row]));
        if (!is_shown)
            board_name_row(retained->board, (uint32_t)app->row, app->name);
        show_row(app);
    }
}

/* Watches the supervisors again after a restart; forgets one that has ended meanwhile. */
static void go_on_watching(server_rec *s)
{
    if (retained->former != 0)
        watch(s, &retained->former);
    /* While this module was not loaded, httpd may have reaped it, and the pid may be reused. */
    if (retained->supervisor != 0 && (control_is_closed(retained->control_fd) ||
                                      waitpid(retained->supervisor, NULL, WNOHANG) != 0))
        forget_supervisor();
    if (retained->supervisor != 0)
        watch(s, &retained->supervisor);
}

static apr_status_t launch_all(server_rec *s)
{
    apr_status_t error;

    if (retained == NULL && apr_hash_count(wanted.apps) == 0)
        return APR_SUCCESS;
    if (retained == NULL && (error = make_retained()) != APR_SUCCESS)
        return error;
    take_rows();
    go_on_watching(s);
    failures = 0;
    if (retained->supervisor == 0)
        try_to_start();
    else
        tell_supervisor(1);
    return APR_SUCCESS;
}

/* Whether httpd has already served with an earlier configuration: then an error must not end it. */
static int is_restart(void)
{
    int generation;

    return ap_mpm_query(AP_MPMQ_GENERATION, &generation) == APR_SUCCESS && generation > 0;
}

static apr_status_t launch_now_or_later(server_rec *s)
{
    apr_status_t error = launch_all(s);

    is_failed = error != APR_SUCCESS;
    if (error == APR_SUCCESS || !is_restart())
        return error;
    ap_log_error(APLOG_MARK, APLOG_CRIT, error, s,
                 DOORNO(0307) "door: cannot start the supervisor, which launches the applications; it is "
                              "tried again");
    return APR_SUCCESS;
}

apr_status_t mod_door_launch_apps(server_rec *s, const struct mod_door_wanted *now)
{
    main_server = s;
    wanted = *now;
    return launch_now_or_later(s);
}

/* Launches applications that lacked something before and have all they need now. */
static void look_for_apps(apr_pool_t *config_pool, server_rec *s)
{
    static apr_time_t next_look;
    apr_time_t now = mod_door_now();

    if (now < next_look)
        return;
    next_look = now + LOOK_INTERVAL;
    if (wanted.find_again(config_pool, s) == 0)
        return;
    take_rows();
    tell_supervisor(0);
}

/* --------------------------------------------------------------- children */

void mod_door_forget_supervisor(void)
{
    int signo = SIGTERM;
    int is_threaded;

    if (retained == NULL || getpid() == retained->owner) /* with -X the child is the parent */
        return;
    close(retained->control_fd);
    close(retained->requests[1]);
    close(retained->alive[0]);
    ledger_leave(retained->ledger);
    /*
     * A child without its parent cannot be stopped by httpd and has no application, but still
     * holds the ports.  A threaded child needs SIGKILL, because it ignores a mere SIGTERM.
     */
    if (ap_mpm_query(AP_MPMQ_IS_THREADED, &is_threaded) != APR_SUCCESS || is_threaded)
        signo = SIGKILL;
    end_with_parent(signo);
    if (getppid() != retained->owner)
        raise(signo);
}

struct board *mod_door_board(void)
{
    return retained != NULL ? retained->board : NULL;
}

void mod_door_ask_supervisor(const char *name)
{
    request_send(retained->requests[0], REQUEST_LOOK, name);
}
