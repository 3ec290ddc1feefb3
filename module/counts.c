/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * counts.c: what processes do, for the status pages.  httpd's own calls are in the table
 * of calls; only the process knows its threads and what they run.  libdoor can ask a door
 * for that, even while all threads are busy.  Elsewhere (illumos) the application is called,
 * with a short time limit.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "mod_door.h"
#include "shared_calls.h"
#include "counts.h"
#include "doors.h"
#include "supervision.h"
#include "supervisor.h"
#include "target.h"
#include "wire.h"

#define ANSWER_MAX_NS 250000000ll
#define ANSWER_LEN    1024

/* Threads that ask, besides the request's own: so many servers may be silent, and all are asked. */
#define ASKERS_MAX  31
#define ASKER_STACK (128 * 1024)

/* ------------------------------------------------------------ it is called */

static void take_count(const struct door_wire_field *field, struct mod_door_counts *counts)
{
    const struct {
        const char *name;
        apr_int64_t *count;
    } known[] = {
        {"running", &counts->running},
        {"waiting", &counts->waiting},
        {"threads", &counts->threads},
        {"threads-max", &counts->threads_max},
    };
    apr_size_t i;

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (!strcmp(field->name, known[i].name))
            *known[i].count = apr_atoi64(field->value);
}

static void read_counts(const void *data, apr_size_t len, struct mod_door_counts *counts)
{
    struct door_wire_reader message;
    struct door_wire_field field;

    if (door_wire_read(&message, DOOR_WIRE_STATUS, data, len) == -1)
        return;
    while (door_wire_next(&message, &field))
        if (field.type == DOOR_WIRE_COUNT)
            take_count(&field, counts);
}

static void ask(const struct mod_door *door, struct mod_door_counts *counts)
{
    _Atomic int64_t deadline = door_now_ns() + ANSWER_MAX_NS;
    char question[64], answer[ANSWER_LEN];
    struct door_wire_writer w;
    door_arg_t args = {.data_ptr = question, .rbuf = answer, .rsize = sizeof(answer)};
    struct door_loan loan;
    struct door_terms terms = {.deadline_ns = &deadline, .loan = &loan};

    door_wire_begin(&w, question, sizeof(question));
    args.data_size = door_wire_end(&w, DOOR_WIRE_STATUS, 0, 0, 0);
    if (mod_door_invoke(door, &args, &terms) != APR_SUCCESS)
        return;
    if (args.data_ptr == answer) /* a longer result is not the answer to this question */
        read_counts(args.data_ptr, args.data_size, counts);
    door_end_loan(&loan);
}

/* -------------------------------------------------------------- its counts */

/*
 * entered: how many requests httpd has sent to the door.  Returns an error if the server
 * should answer and does not, but not if it cannot answer because it has no libdoor.
 */
static apr_status_t find_counts(const struct mod_door *door, int is_ours, apr_int64_t entered,
                        struct mod_door_counts *counts)
{
    struct door_load load;

    if (door_ask_load(door->fd, &load) == 0) {
        counts->running = load.calls;
        counts->waiting = entered > counts->running ? entered - counts->running : 0;
        counts->threads = load.threads;
        counts->threads_max = load.threads_most;
        return APR_SUCCESS;
    }
    if (errno != ENOTSUP)
        return errno;
    if (is_ours) /* a bare door would take it for a request */
        ask(door, counts);
    return APR_SUCCESS;
}

/* Compares with httpd's calls before and after: calls may have begun or ended meanwhile. */
static apr_int64_t count_abandoned(apr_int64_t running, const struct calls_seen *before,
                                   const struct calls_seen *after)
{
    apr_int64_t awaited = before->running > after->running ? before->running : after->running;

    return running > awaited ? running - awaited : 0;
}

static apr_status_t ask_server(struct mod_door_server *server, apr_time_t now, apr_int64_t entered)
{
    int is_ours = server->cell != NULL && atomic_load(&server->cell->is_ready);
    struct mod_door *door;
    apr_status_t error = mod_door_acquire(&server->name, now, &door);

    if (error != APR_SUCCESS)
        return error;
    server->pid = door->pid;
    error = find_counts(door, is_ours, entered, &server->counts);
    mod_door_release(door);
    return error == ETIMEDOUT ? EAGAIN : error;
}

static void count_server(struct mod_door_server *server, apr_time_t now, int64_t until_ns)
{
    struct mod_door_counts *counts = &server->counts;
    struct calls_seen seen, later;

    calls_look(mod_door_calls(), server->calls_key, door_now_ns(), &seen);
    if (server->error == APR_SUCCESS && door_now_ns() >= until_ns)
        server->error = EAGAIN;
    if (server->error == APR_SUCCESS)
        server->error = ask_server(server, now, seen.running + seen.waiting);
    calls_look(mod_door_calls(), server->calls_key, door_now_ns(), &later);
    if (server->cell != NULL && counts->running < 0)
        counts->running = seen.running;
    else if (server->cell != NULL)
        counts->abandoned = count_abandoned(counts->running, &seen, &later);
    if (counts->waiting < seen.waiting) /* running counts calls, too, that nobody waits for */
        counts->waiting = seen.waiting;
}

void mod_door_take_process(apr_pool_t *pool, const char *app, apr_uint32_t cell, uint64_t serial,
                           struct mod_door_server *server)
{
    *server = (struct mod_door_server){
        .cell = &mod_door_board()->cells[cell - 1],
        .calls_key = serial,
        .pid = -1,
        .counts = {-1, -1, -1, -1, -1},
    };
    server->error = mod_door_name_process(pool, app, cell, serial, &server->name);
}

void mod_door_take_door(const char *path, struct mod_door_server *server)
{
    *server = (struct mod_door_server){
        .name = {.path = path, .trusted_len = strlen(path), .key = path, .sender = path},
        .calls_key = calls_path_key(path),
        .pid = -1,
        .counts = {-1, -1, -1, -1, -1},
    };
}

/* ------------------------------------------------------ at the same time */

/* What the threads share that ask. */
struct round {
    struct mod_door_server **servers;
    int count;
    _Atomic int next; /* whom to ask next */
    apr_time_t now;
    int64_t until_ns;
};

static void *ask_next(void *data)
{
    struct round *round = data;
    int i;

    while ((i = atomic_fetch_add(&round->next, 1)) < round->count)
        count_server(round->servers[i], round->now, round->until_ns);
    return NULL;
}

/* Starts threads as long as there is somebody to ask.  Returns how many. */
static int start_asking(struct round *round, pthread_t threads[ASKERS_MAX])
{
    pthread_attr_t attr;
    sigset_t all, before;
    int count = 0;

    if (pthread_attr_init(&attr) != 0)
        return 0;
    pthread_attr_setstacksize(&attr, ASKER_STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the MPM's handlers must not run there */
    while (count < ASKERS_MAX && atomic_load(&round->next) + 1 < round->count &&
           pthread_create(&threads[count], &attr, ask_next, round) == 0)
        count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return count;
}

void mod_door_count_servers(request_rec *r, const apr_array_header_t *servers, int64_t until_ns)
{
    struct round round = {
        .servers = (struct mod_door_server **)servers->elts,
        .count = servers->nelts,
        .now = r->request_time,
        .until_ns = until_ns,
    };
    pthread_t threads[ASKERS_MAX];
    int count = start_asking(&round, threads);

    ask_next(&round);
    while (count > 0)
        pthread_join(threads[--count], NULL);
}

/* ------------------------------------------------------------ what it takes */

/* From /proc, where it exists and is readable. */
struct mod_door_usage mod_door_usage_of(pid_t pid)
{
    struct mod_door_usage usage = {-1, -1};
    unsigned long user_ticks, system_ticks;
    char path[40], text[1024];
    const char *after;
    long pages;
    FILE *file;
    size_t len;

    apr_snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    file = pid > 0 ? fopen(path, "re") : NULL;
    if (file == NULL)
        return usage;
    len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    after = strrchr(text, ')'); /* the name before it may contain anything, even ')' */
    if (after == NULL || sscanf(after + 1,
                                " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d"
                                " %*d %*d %*d %*u %*u %ld",
                                &user_ticks, &system_ticks, &pages) != 3)
        return usage;
    usage.cpu_s = (double)(user_ticks + system_ticks) / (double)sysconf(_SC_CLK_TCK);
    usage.memory = (apr_int64_t)pages * sysconf(_SC_PAGESIZE);
    return usage;
}
