/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * launch.c: from a definition to a running program.  Between fork and exec, only
 * async-signal-safe functions are called.  The order of the steps matters, as some
 * prevent others.  If a step fails, the process reports to the supervisor which one.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "supervisor.h"

/* The process's descriptors. */
#define READY_FD      3
#define STATUS_FD     4
#define FIRST_FREE_FD 10 /* they are first moved above this */

struct ends {
    int ours, theirs;
};

int end_with_parent(int signo)
{
#ifdef PR_SET_PDEATHSIG
    return prctl(PR_SET_PDEATHSIG, signo);
#else
    (void)signo;
    errno = ENOSYS;
    return -1;
#endif
}

/* ---------------------------------------------------- in the new process */

static void give_up_at(enum launch_step step, int rlimit)
{
    struct launch_failure failure = {.error = errno, .step = step, .rlimit = rlimit};

    if (write(STATUS_FD, &failure, sizeof(failure)) == -1)
        _exit(126);
    _exit(127);
}

static void give_up(enum launch_step step)
{
    give_up_at(step, 0);
}

static void place_descriptors(int null_fd, int output, int ready, int status)
{
    int from[] = {null_fd, output, output, ready, status};

    for (int i = 0; i < 5; i++)
        from[i] = fcntl(from[i], F_DUPFD, FIRST_FREE_FD);
    for (int i = 0; i < 5; i++)
        if (from[i] == -1 || dup2(from[i], i) == -1)
            _exit(126);
    fcntl(STATUS_FD, F_SETFD, FD_CLOEXEC);
    closefrom(STATUS_FD + 1);
}

static void reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int signo = 1; signo < NSIG; signo++)
        sigaction(signo, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void set_limits(const struct app_definition *def)
{
    for (int i = 0; i < APP_RLIMITS_MAX; i++) {
        const struct app_rlimit *limit = &def->rlimits[i];
        struct rlimit value = {.rlim_cur = limit->soft, .rlim_max = limit->hard};

        if (limit->is_set && setrlimit(limit->resource, &value) == -1)
            give_up_at(LAUNCH_RLIMIT, i);
    }
}

/* Sets the user and groups, and checks that they are set. */
static void set_credentials(const struct app_definition *def)
{
    gid_t groups[APP_GROUPS_MAX];

    for (uint32_t i = 0; i < def->group_count; i++)
        groups[i] = (gid_t)def->groups[i];
    if (setgroups(def->group_count, groups) == -1)
        give_up(LAUNCH_GROUPS);
    if (setgid(def->gid) == -1 || getgid() != def->gid || getegid() != def->gid)
        give_up(LAUNCH_GROUP);
    if (setuid(def->uid) == -1 || getuid() != def->uid || geteuid() != def->uid)
        give_up(LAUNCH_USER);
    if (def->uid != 0 && setuid(0) == 0) {
        errno = EPERM;
        give_up(LAUNCH_ROOT);
    }
}

static _Noreturn void become(const struct app_definition *def, const struct app_strings *strings,
                             char **env, pid_t supervisor)
{
    if (setsid() == -1)
        give_up(LAUNCH_SESSION);
    reset_signals();
    umask((mode_t)def->umask);
    set_limits(def);
    if (def->has_credentials)
        set_credentials(def);
    /* After the credentials: changing them would clear the setting. */
    end_with_parent(SIGTERM);
    if (getppid() != supervisor)
        _exit(0);
    if (chdir(strings->directory) == -1)
        give_up(LAUNCH_DIRECTORY);
    execve(strings->argv[0], strings->argv, env);
    give_up(LAUNCH_PROGRAM);
    _exit(127);
}

/* ------------------------------------------------------ in the supervisor */

static int make_pipe(struct ends *ends)
{
    int fds[2];

    if (pipe(fds) == -1)
        return -1;
    ends->ours = fds[0];
    ends->theirs = fds[1];
    fcntl(ends->ours, F_SETFL, O_NONBLOCK);
    fcntl(ends->ours, F_SETFD, FD_CLOEXEC);
    fcntl(ends->theirs, F_SETFD, FD_CLOEXEC);
    return 0;
}

static void close_ends(struct ends *ends)
{
    if (ends->ours != -1)
        close(ends->ours);
    if (ends->theirs != -1)
        close(ends->theirs);
}

/* The definition's environment, with DOOR_PATH and DOOR_READY_FD; NULL if there is no memory. */
static char **make_env(const struct app_definition *def, const struct app_strings *strings,
                       const char *door_path)
{
    static const char path_name[] = "DOOR_PATH=", ready_name[] = "DOOR_READY_FD=3";
    size_t path_size = sizeof(path_name) + strlen(door_path);
    char **env = malloc((def->envc + 3) * sizeof(*env) + path_size + sizeof(ready_name));
    char *text;

    if (env == NULL)
        return NULL;
    text = (char *)(env + def->envc + 3);
    memcpy(env, strings->env, def->envc * sizeof(*env));
    env[def->envc] = text;
    snprintf(text, path_size, "%s%s", path_name, door_path);
    env[def->envc + 1] = strcpy(text + path_size, ready_name);
    env[def->envc + 2] = NULL;
    return env;
}

static int start(const struct app_definition *def, const struct app_strings *strings, char **env,
                 struct launched *launched)
{
    struct ends output = {-1, -1}, ready = {-1, -1}, status = {-1, -1};
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid_t supervisor = getpid();
    int error;

    launched->pid = -1;
    if (null_fd != -1 && make_pipe(&output) == 0 && make_pipe(&ready) == 0 &&
        make_pipe(&status) == 0)
        launched->pid = fork();
    if (launched->pid == 0) {
        place_descriptors(null_fd, output.theirs, ready.theirs, status.theirs);
        become(def, strings, env, supervisor);
    }
    error = errno;
    if (launched->pid != -1) {
        launched->output_fd = output.ours;
        launched->ready_fd = ready.ours;
        launched->status_fd = status.ours;
        output.ours = ready.ours = status.ours = -1;
    }
    close_ends(&output);
    close_ends(&ready);
    close_ends(&status);
    if (null_fd != -1)
        close(null_fd);
    errno = error;
    return launched->pid != -1 ? 0 : -1;
}

int launch(const struct app_definition *def, const char *door_path, struct launched *launched)
{
    struct app_strings *strings = definition_strings(def);
    char **env = strings != NULL ? make_env(def, strings, door_path) : NULL;
    int result = -1;

    if (env != NULL)
        result = start(def, strings, env, launched);
    free(env);
    free(strings);
    return result;
}

/* -------------------------------------------------------- what has gone wrong */

#define LIMIT_HINT                                                                                 \
    "; that user has as many processes as it may have: RLimitNPROC=, or TasksMax= of httpd's "    \
    "systemd unit"

/* "user shop", or "user #1000" if the user has no name. */
static const char *user_of(const struct app_definition *def, char *text, size_t size)
{
    if (def->user[0] != '\0')
        snprintf(text, size, "user %s", def->user);
    else
        snprintf(text, size, "user #%lu",
                 def->has_credentials ? (unsigned long)def->uid : (unsigned long)geteuid());
    return text;
}

/* What to do about a program that execve(2) has refused. */
static const char *program_hint(const char *path, const struct program *program, int error)
{
    if (error == EAGAIN)
        return LIMIT_HINT;
    if (error == ENOEXEC && program->is_cut)
        return "; its first line is longer than the system reads";
    if (error == ENOEXEC)
        return program->kind == PROGRAM_TEXT ? "; it is no binary, and has no line that begins with #!"
                                             : "; it is a binary for another system, or broken";
    if (error == ENOENT && program->kind == PROGRAM_SCRIPT && program->has_return)
        return "; its first line ends with CR LF, as on Windows: dos2unix mends it";
    if (error == ENOENT && access(path, F_OK) == 0)
        return program->kind == PROGRAM_SCRIPT ? "; its interpreter is not there"
                                               : "; the loader that it names (readelf -l) is not there";
    if (error == EACCES)
        return "; that user must be allowed to run it, to search each directory above it, and the "
               "interpreter's, and no noexec may be mounted there: chmod, or another user=";
    return "";
}

static void describe_program(const struct app_definition *def, const char *path, int error,
                             char *text, size_t size)
{
    char user[APP_USER_MAX + 8];
    struct program program;

    program_look(path, &program);
    snprintf(text, size, "running %s%s%s%s as %s failed: %s%s", path,
             program.kind == PROGRAM_SCRIPT ? " (interpreter " : "", program.interpreter,
             program.kind == PROGRAM_SCRIPT ? ")" : "", user_of(def, user, sizeof(user)),
             strerror(error), program_hint(path, &program, error));
}

static void describe_rlimit(const struct app_rlimit *limit, int error, char *text, size_t size)
{
    char soft[24] = "max", hard[24] = "max";

    if (limit->soft != RLIM_INFINITY)
        snprintf(soft, sizeof(soft), "%llu", (unsigned long long)limit->soft);
    if (limit->hard != RLIM_INFINITY)
        snprintf(hard, sizeof(hard), "%llu", (unsigned long long)limit->hard);
    snprintf(text, size, "setting %s=%s:%s failed: %s%s", limit->name, soft, hard, strerror(error),
             error == EPERM ? "; that is more than the system, or what has started httpd, allows" : "");
}

void launch_describe(const struct app_definition *def, const struct launch_failure *failure,
                     char *text, size_t size)
{
    static const char *const steps[] = {
        [LAUNCH_SESSION] = "making a session for", [LAUNCH_GROUPS] = "setting the groups of",
        [LAUNCH_GROUP] = "setting the group of", [LAUNCH_USER] = "becoming",
        [LAUNCH_ROOT] = "leaving root for",      [LAUNCH_DIRECTORY] = "entering",
    };
    struct app_strings *strings = definition_strings(def);
    char user[APP_USER_MAX + 8];

    user_of(def, user, sizeof(user));
    if (failure->step == LAUNCH_PROGRAM && strings != NULL)
        describe_program(def, strings->argv[0], failure->error, text, size);
    else if (failure->step == LAUNCH_RLIMIT && failure->rlimit >= 0 &&
             failure->rlimit < APP_RLIMITS_MAX)
        describe_rlimit(&def->rlimits[failure->rlimit], failure->error, text, size);
    else if (failure->step == LAUNCH_DIRECTORY && strings != NULL)
        snprintf(text, size, "entering directory=%s as %s failed: %s", strings->directory, user,
                 strerror(failure->error));
    else
        snprintf(text, size, "%s %s failed: %s%s",
                 failure->step >= LAUNCH_SESSION && failure->step < LAUNCH_PROGRAM &&
                         steps[failure->step] != NULL
                     ? steps[failure->step]
                     : "starting as",
                 user, strerror(failure->error), failure->error == EAGAIN ? LIMIT_HINT : "");
    free(strings);
}
