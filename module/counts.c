/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * counts.c: what processes do, for the status pages.  httpd's own calls are in the table
 * of calls; only the process knows its threads and what they run.  libdoor can ask a door
 * for that, even while all threads are busy.  Elsewhere (illumos) the application is called,
 * with a short time limit.
 */
#include <errno.h>
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

/* Time, after processes are no longer asked, to look for httpd's own calls of the others. */
#define LOOK_NS 1000000000ll

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

struct mod_door_counts mod_door_count_process(request_rec *r, const char *name, apr_uint32_t number,
                                              uint64_t serial, int64_t until_ns)
{
    const struct board_cell *cell = &mod_door_board()->cells[number - 1];
    struct mod_door_counts counts = {-1, -1, -1, -1, -1};
    struct mod_door_name door_name;
    struct mod_door *door;
    struct calls_seen seen, later;

    if (door_now_ns() >= until_ns + LOOK_NS) /* a child has filled the table of calls */
        return counts;
    calls_look(mod_door_calls(), serial, door_now_ns(), &seen);
    if (door_now_ns() < until_ns &&
        mod_door_name_process(r->pool, name, number, serial, &door_name) == APR_SUCCESS &&
        mod_door_acquire(&door_name, r->request_time, &door) == APR_SUCCESS) {
        find_counts(door, atomic_load(&cell->is_ready), seen.running + seen.waiting, &counts);
        mod_door_release(door);
    }
    calls_look(mod_door_calls(), serial, door_now_ns(), &later);
    if (counts.running < 0)
        counts.running = seen.running;
    else
        counts.abandoned = count_abandoned(counts.running, &seen, &later);
    if (counts.waiting < seen.waiting) /* running counts calls, too, that nobody waits for */
        counts.waiting = seen.waiting;
    return counts;
}

apr_status_t mod_door_count_door(request_rec *r, const char *path, pid_t *pid,
                                 int64_t until_ns, struct mod_door_counts *counts)
{
    struct mod_door_name name = {.path = path, .trusted_len = strlen(path), .key = path,
                                 .sender = path};
    struct mod_door *door;
    struct calls_seen seen;
    apr_status_t error;

    *counts = (struct mod_door_counts){-1, -1, -1, -1, -1};
    calls_look(mod_door_calls(), calls_path_key(path), door_now_ns(), &seen);
    if (door_now_ns() >= until_ns)
        return EAGAIN;
    error = mod_door_acquire(&name, r->request_time, &door);
    if (error != APR_SUCCESS)
        return error;
    *pid = door->pid;
    error = find_counts(door, 0, 0, counts);
    counts->waiting = seen.waiting;
    mod_door_release(door);
    return error == ETIMEDOUT ? EAGAIN : error;
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
