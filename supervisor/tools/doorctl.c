/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * doorctl.c: lists, restarts, drains and starts launched applications, by calls of the
 * supervisor's door (ctl.h); doorctl(8).  What an answer says is checked before it is
 * used, as the directory may be somebody else's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <door.h>
#include <door_compat.h>

#include "ctl.h"
#include "doorctl.h"

#define PREFIX  "mod_door."
#define TICK_NS 50000000l /* how often an outcome is looked for */
#define OTHERS_MAX 16     /* supervisors that are told apart */
#define ANSWER_MAX_S 10   /* who answers answers at once */
#define WAIT_MAX_S 1000000000l

/* What the command line asks for. */
static struct {
    const char *dir, *supervisor, *verb_name, *name;
    enum ctl_verb verb;
    int is_json, waits;
    int64_t wait_ns; /* at most; 0: as long as it takes */
} asked = {.dir = DOOR_RUNTIME_DIR, .waits = 1};

static void usage(FILE *to)
{
    fprintf(to, "usage: doorctl [-d DIR] [-s SUPERVISOR] [-j] list [APPLICATION]\n"
                "       doorctl [-d DIR] [-s SUPERVISOR] [-j] [-n | -w SECONDS] restart|drain|start "
                "APPLICATION\n");
}

static _Noreturn void fail(const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (asked.is_json)
        show_json_error(text);
    show_error(text);
    exit(1);
}

/* ---------------------------------------------------------------- the call */

static volatile sig_atomic_t is_late;

static void note_alarm(int signal)
{
    (void)signal;
    is_late = 1;
}

/* Each tick breaks a call off: the first one may come just before it. */
static void limit_call(void)
{
    const struct sigaction action = {.sa_handler = note_alarm}; /* no SA_RESTART */
    int64_t limit_s = asked.wait_ns > 0 ? asked.wait_ns / 1000000000 : ANSWER_MAX_S;
    const struct itimerval limit = {
        .it_value.tv_sec = limit_s < ANSWER_MAX_S ? (time_t)limit_s : ANSWER_MAX_S,
        .it_interval.tv_usec = TICK_NS / 1000};

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &limit, NULL);
}

static void end_limit(void)
{
    const struct itimerval none = {.it_value.tv_sec = 0};

    setitimer(ITIMER_REAL, &none, NULL);
}

/* A supervisor that is stopped has a door all the same. */
static int call_in_time(int door, door_arg_t *arg)
{
    int result;

    limit_call();
    do
        result = door_call(door, arg);
    while (result == -1 && errno == EINTR && !is_late);
    end_limit();
    if (result == -1 && errno == EINTR)
        errno = ETIMEDOUT;
    return result;
}

/* A whole answer in memory of its own, or NULL with errno. */
static struct answer *take_answer(const char *data, size_t size)
{
    struct ctl_reply head;
    struct answer *answer;
    size_t apps_size, processes_size;

    errno = EPROTO;
    if (size < sizeof(head))
        return NULL;
    memcpy(&head, data, sizeof(head));
    if (head.version != CTL_VERSION || head.app_count > APP_MAX || head.process_count > BOARD_CELLS)
        return NULL;
    apps_size = head.app_count * sizeof(struct ctl_app);
    processes_size = head.process_count * sizeof(struct ctl_process);
    if (size != sizeof(head) + apps_size + processes_size)
        return NULL;
    answer = calloc(1, sizeof(*answer));
    if (answer == NULL)
        return NULL;
    answer->head = head;
    memcpy(answer->apps, data + sizeof(head), apps_size);
    memcpy(answer->processes, data + sizeof(head) + apps_size, processes_size);
    for (uint32_t i = 0; i < head.app_count; i++) {
        answer->apps[i].name[APP_NAME_MAX] = '\0';
        answer->apps[i].why[CTL_WHY_MAX - 1] = '\0';
    }
    return answer;
}

static struct answer *call(int door, enum ctl_verb verb, const char *name)
{
    struct ctl_request request;
    static char buffer[64 * 1024];
    door_arg_t arg = {.data_ptr = (char *)&request, .data_size = sizeof(request), .rbuf = buffer,
                      .rsize = sizeof(buffer)};
    struct answer *answer;

    memset(&request, 0, sizeof(request));
    request.version = CTL_VERSION;
    request.verb = (uint32_t)verb;
    strncpy(request.name, name, APP_NAME_MAX);
    if (call_in_time(door, &arg) == -1)
        return NULL;
    answer = take_answer(arg.data_ptr, arg.data_size);
    if (arg.rbuf != buffer)
        munmap(arg.rbuf, arg.rsize);
    return answer;
}

/* ---------------------------------------------------------------- whom to call */

struct found {
    int door, count, error; /* error: of one that cannot be called */
    char names[OTHERS_MAX][NAME_MAX + 1];
};

static void try_door(struct found *found, const char *name)
{
    char path[PATH_MAX];
    int door;

    if (asked.supervisor != NULL && strcmp(name + strlen(PREFIX), asked.supervisor) != 0)
        return;
    if ((size_t)snprintf(path, sizeof(path), "%s/%s/" CTL_DOOR, asked.dir, name) >= sizeof(path))
        return;
    door = door_openat(AT_FDCWD, path, O_NOFOLLOW);
    if (door == -1) {
        if (errno == EACCES || errno == EPERM)
            found->error = errno;
        return;
    }
    if (found->door != -1)
        close(found->door);
    found->door = door;
    snprintf(found->names[found->count < OTHERS_MAX ? found->count : OTHERS_MAX - 1], NAME_MAX + 1,
             "%s", name + strlen(PREFIX));
    found->count++;
}

static void refuse_many(const struct found *found)
{
    char names[512] = "";

    for (int i = 0; i < found->count && i < OTHERS_MAX; i++)
        snprintf(names + strlen(names), sizeof(names) - strlen(names), " %s", found->names[i]);
    fail("several httpds have applications in %s: name one of these supervisors with -s:%s",
         asked.dir, names);
}

static int find_door(void)
{
    struct found found = {.door = -1};
    DIR *dir = opendir(asked.dir);
    struct dirent *entry;

    if (dir == NULL)
        fail("%s: %s; -d names httpd's DoorRuntimeDir", asked.dir, strerror(errno));
    while ((entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0)
            try_door(&found, entry->d_name);
    closedir(dir);
    if (found.count > 1)
        refuse_many(&found);
    if (found.count == 0 && found.error != 0)
        fail("permission denied: root and httpd's user may ask, and nobody else");
    if (found.count == 0)
        fail("no httpd that runs has launched applications in %s; if one does, -d names its "
             "DoorRuntimeDir", asked.dir);
    return found.door;
}

/* ---------------------------------------------------------------- the outcome */

static _Noreturn void refuse(enum ctl_result result)
{
    switch (result) {
    case CTL_DENIED:
        fail("permission denied: root and httpd's user may ask, and nobody else");
    case CTL_UNKNOWN:
        fail("there is no application '%s'; doorctl list shows all", asked.name);
    case CTL_BUSY:
        fail("%s is being started or replaced already; doorctl list %s shows it", asked.name,
             asked.name);
    case CTL_DRAINED:
        fail("%s is drained; doorctl start %s has it run again", asked.name, asked.name);
    case CTL_RUNS:
        fail("%s is not drained, so there is nothing to start; doorctl restart %s replaces it",
             asked.name, asked.name);
    case CTL_STOPPING:
        fail("httpd stops, or has restarted with another build of mod_door: try again");
    case CTL_NO_MEMORY:
        fail("the supervisor has no memory for an answer: try again later");
    default:
        fail("the supervisor has another version: use the doorctl that came with this mod_door");
    }
}

static struct answer *ask(int door, enum ctl_verb verb)
{
    struct answer *answer = call(door, verb, asked.name);

    if (answer == NULL && (errno == EACCES || errno == EPERM))
        refuse(CTL_DENIED);
    if (answer == NULL && errno == EPROTO)
        refuse(CTL_MALFORMED);
    if (answer == NULL)
        fail("the supervisor does not answer: %s", strerror(errno));
    if (answer->head.result != CTL_OK)
        refuse((enum ctl_result)answer->head.result);
    return answer;
}

/* 1: it is as it was to be; 0: not yet.  serial: of the last process before the request. */
static int is_done(const struct answer *now, uint64_t serial)
{
    unsigned up = 0;

    for (uint32_t i = 0; i < now->head.process_count; i++)
        up += now->processes[i].state == CTL_UP && now->processes[i].serial > serial;
    if (asked.verb == CTL_DRAIN)
        return now->head.process_count == 0;
    return now->head.app_count == 1 && up >= now->apps[0].instances;
}

/* Another doorctl may have asked for the opposite. */
static void check_others(const struct answer *now)
{
    int is_drained = now->head.app_count == 1 && now->apps[0].state == APP_DRAINED;

    if (asked.verb != CTL_DRAIN && is_drained)
        fail("%s has been drained meanwhile", asked.name);
    if (asked.verb == CTL_DRAIN && !is_drained)
        fail("%s has been started again meanwhile", asked.name);
}

/* The first failure is followed by another try at once. */
static void check_failure(const struct answer *now)
{
    char text[APP_NAME_MAX + CTL_WHY_MAX + 64];

    if (asked.verb == CTL_DRAIN || now->head.app_count != 1 || now->apps[0].failures < 2)
        return;
    show(now, asked.dir, asked.is_json);
    snprintf(text, sizeof(text), "%s has not come up: %s%s", asked.name, now->apps[0].why,
             now->apps[0].state == APP_UP ? "; the old process stays" : "");
    show_error(text);
    exit(1);
}

static struct answer *wait_for_outcome(int door, struct answer *answer)
{
    const struct timespec tick = {.tv_nsec = TICK_NS};
    uint64_t serial = answer->head.serial;
    int64_t until = door_now_ns() + asked.wait_ns;

    while (!is_done(answer, serial)) {
        check_others(answer);
        check_failure(answer);
        if (asked.wait_ns > 0 && door_now_ns() >= until) {
            show(answer, asked.dir, asked.is_json);
            fprintf(stderr, "doorctl: %s: not done yet, and goes on; doorctl list %s shows it\n",
                    asked.name, asked.name);
            exit(3);
        }
        nanosleep(&tick, NULL);
        free(answer);
        answer = ask(door, CTL_LIST);
    }
    return answer;
}

/* ---------------------------------------------------------------- the command line */

static void misuse(const char *what)
{
    fprintf(stderr, "doorctl: %s\n", what);
    usage(stderr);
    exit(2);
}

static void read_verb(const char *word)
{
    static const struct {
        const char *name;
        enum ctl_verb verb;
    } verbs[] = {{"list", CTL_LIST}, {"restart", CTL_RESTART}, {"drain", CTL_DRAIN}, {"start", CTL_START}};

    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(word, verbs[i].name) == 0)
            asked.verb = verbs[i].verb;
    if (asked.verb == 0)
        misuse("unknown command: list, restart, drain and start are known");
}

static int64_t read_seconds(const char *word)
{
    char *end;
    long seconds = strtol(word, &end, 10);

    if (*end != '\0' || seconds <= 0 || seconds > WAIT_MAX_S)
        misuse("-w needs a number of seconds");
    return seconds;
}

static void read_options(int argc, char **argv)
{
    static const struct option names[] = {{"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"no-wait", no_argument, NULL, 'n'},
                                          {"wait", required_argument, NULL, 'w'},
                                          {"dir", required_argument, NULL, 'd'},
                                          {"supervisor", required_argument, NULL, 's'},
                                          {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "d:s:jnw:h", names, NULL)) != -1) {
        if (option == 'h') {
            usage(stdout);
            exit(0);
        } else if (option == 'w') {
            asked.wait_ns = read_seconds(optarg) * 1000000000;
        } else if (option == '?') {
            misuse("unknown option");
        }
        asked.dir = option == 'd' ? optarg : asked.dir;
        asked.supervisor = option == 's' ? optarg : asked.supervisor;
        asked.is_json |= option == 'j';
        asked.waits &= option != 'n';
    }
}

int main(int argc, char **argv)
{
    struct answer *answer;
    int door;

    read_options(argc, argv);
    if (optind == argc)
        misuse("no command: list, restart, drain or start");
    read_verb(argv[optind++]);
    asked.name = optind < argc ? argv[optind++] : "";
    if (optind < argc)
        misuse("too many arguments");
    if (*asked.name == '\0' && asked.verb != CTL_LIST)
        misuse("this command needs the name of an application");
    if (strlen(asked.name) > APP_NAME_MAX)
        refuse(CTL_UNKNOWN);
    door = find_door();
    answer = ask(door, asked.verb);
    if (asked.verb != CTL_LIST && asked.waits)
        answer = wait_for_outcome(door, answer);
    if (asked.verb == CTL_LIST || asked.is_json)
        show(answer, asked.dir, asked.is_json);
    free(answer);
    return 0;
}
