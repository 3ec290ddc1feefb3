/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * report_prometheus.c: a report for Prometheus: base units, counters that end in _total, a
 * HELP and a TYPE for each.  The label of a process is its index in the application and not
 * its pid, which would begin a new series with each restart.
 */
#include <string.h>

#include <apr_strings.h>
#include <http_protocol.h>

#include "mod_door.h"
#include "build.h"
#include "figures.h"
#include "histogram.h"
#include "report.h"
#include "report_prometheus.h"

/* Upper bounds of the histogram's buckets: each is twice the one before, 64 us to 67 s. */
#define FIRST_LE_US 64u
#define LE_COUNT    21

static const char *const states[] = {"up", "starting", "backing off", "drained", "down", "unknown"};

/* A label's value, in quotes. */
static const char *quote(apr_pool_t *pool, const char *text)
{
    char *quoted = apr_palloc(pool, 2 * strlen(text) + 3);
    char *to = quoted;

    *to++ = '"';
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            *to++ = '\\';
        *to++ = c < ' ' || c >= 0x7f ? '?' : (char)c;
    }
    *to++ = '"';
    *to = '\0';
    return quoted;
}

static const char *label_of(request_rec *r, const struct mod_door_report *report)
{
    return quote(r->pool, *report->name != '\0' ? report->name : "(all others)");
}

static void put_head(request_rec *r, const char *name, const char *type, const char *help)
{
    ap_rprintf(r, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* ------------------------------------------------------------ one of a door */

/* A metric of each door.  A value below 0 is unknown, and left out. */
struct metric {
    const char *name, *type, *help;
    double (*value)(const struct mod_door_report *report);
};

static double wait_of(const struct mod_door_report *report)
{
    return (double)report->seen->wait_us / 1e6;
}

static double restarts_of(const struct mod_door_report *report)
{
    return report->is_app ? (double)report->restarts : -1;
}

static double crashes_of(const struct mod_door_report *report)
{
    return report->is_app ? (double)report->crashes : -1;
}

static double leaving_of(const struct mod_door_report *report)
{
    return report->is_app ? (double)report->leaving : -1;
}

static double next_try_of(const struct mod_door_report *report)
{
    return report->next_try_s;
}

static const struct metric of_doors[] = {
    {"mod_door_wait_seconds_total", "counter",
     "Time that requests have waited until the application took them.", wait_of},
    {"mod_door_restarts_total", "counter", "Processes that were launched in place of another one.",
     restarts_of},
    {"mod_door_crashes_total", "counter", "Processes that have ended unasked.", crashes_of},
    {"mod_door_leaving_processes", "gauge", "Processes that end what they run.", leaving_of},
    {"mod_door_next_try_seconds", "gauge", "Until the application is launched again.", next_try_of},
};

/* --------------------------------------------------------- one of a process */

struct process_metric {
    const char *name, *type, *help;
    double (*value)(const struct mod_door_process *process);
};

static double uptime_of(const struct mod_door_process *process)
{
    return process->uptime_s;
}

static double running_of(const struct mod_door_process *process)
{
    return (double)process->counts.running;
}

static double waiting_of(const struct mod_door_process *process)
{
    return (double)process->counts.waiting;
}

static double abandoned_of(const struct mod_door_process *process)
{
    return (double)process->counts.abandoned;
}

static double threads_of(const struct mod_door_process *process)
{
    return (double)process->counts.threads;
}

static double threads_max_of(const struct mod_door_process *process)
{
    return (double)process->counts.threads_max;
}

static double cpu_of(const struct mod_door_process *process)
{
    return process->usage.cpu_s;
}

static double memory_of(const struct mod_door_process *process)
{
    return (double)process->usage.memory;
}

static const struct process_metric of_processes[] = {
    {"mod_door_process_uptime_seconds", "gauge", "Since the process has been up.", uptime_of},
    {"mod_door_process_running_requests", "gauge", "Requests that run in the process.", running_of},
    {"mod_door_process_waiting_requests", "gauge", "Requests that wait for the process.",
     waiting_of},
    {"mod_door_process_abandoned_requests", "gauge",
     "Requests that still run though nobody waits for them.", abandoned_of},
    {"mod_door_process_threads", "gauge", "Server threads of the process.", threads_of},
    {"mod_door_process_threads_max", "gauge", "Most server threads that it has had at one time.",
     threads_max_of},
    {"mod_door_process_cpu_seconds_total", "counter", "Processor time of the process.", cpu_of},
    {"mod_door_process_resident_memory_bytes", "gauge", "Memory of the process.", memory_of},
};

/* ----------------------------------------------------------------- together */

static void put_doors(request_rec *r, const struct metric *metric,
                      const apr_array_header_t *reports)
{
    int i;

    put_head(r, metric->name, metric->type, metric->help);
    for (i = 0; i < reports->nelts; i++) {
        const struct mod_door_report *report = &APR_ARRAY_IDX(reports, i, struct mod_door_report);
        double value = metric->value(report);

        if (value >= 0)
            ap_rprintf(r, "%s{door=%s} %.6f\n", metric->name, label_of(r, report), value);
    }
}

static void put_processes(request_rec *r, const struct process_metric *metric,
                          const apr_array_header_t *reports)
{
    int i, k;

    put_head(r, metric->name, metric->type, metric->help);
    for (i = 0; i < reports->nelts; i++) {
        const struct mod_door_report *report = &APR_ARRAY_IDX(reports, i, struct mod_door_report);

        for (k = 0; k < report->processes->nelts; k++) {
            const struct mod_door_process *process =
                &APR_ARRAY_IDX(report->processes, k, struct mod_door_process);
            double value = metric->value(process);

            if (value >= 0)
                ap_rprintf(r, "%s{door=%s,process=\"%u\"} %.6f\n", metric->name,
                           label_of(r, report), process->index, value);
        }
    }
}

static void put_requests(request_rec *r, const apr_array_header_t *reports)
{
    int i, k;

    put_head(r, "mod_door_requests_total", "counter", "Requests that have ended, by how.");
    for (i = 0; i < reports->nelts; i++) {
        const struct mod_door_report *report = &APR_ARRAY_IDX(reports, i, struct mod_door_report);

        for (k = 0; k < FIGURES_OUTCOMES; k++)
            ap_rprintf(r, "mod_door_requests_total{door=%s,outcome=\"%s\"} %" APR_UINT64_T_FMT "\n",
                       label_of(r, report), figures_outcome_name(k), report->seen->outcomes[k]);
    }
}

static void put_state(request_rec *r, const apr_array_header_t *reports)
{
    apr_size_t k;
    int i;

    put_head(r, "mod_door_state", "gauge", "1 for the state that the door is in.");
    for (i = 0; i < reports->nelts; i++) {
        const struct mod_door_report *report = &APR_ARRAY_IDX(reports, i, struct mod_door_report);

        for (k = 0; k < sizeof(states) / sizeof(states[0]); k++)
            ap_rprintf(r, "mod_door_state{door=%s,state=\"%s\"} %d\n", label_of(r, report),
                       states[k], !strcmp(states[k], report->state));
    }
}

/* Each bound is also one of the figures' buckets, so the counts are exact. */
static void put_histogram(request_rec *r, const struct mod_door_report *report)
{
    static const char name[] = "mod_door_request_duration_seconds";
    const char *label = label_of(r, report);
    uint32_t le_us = FIRST_LE_US;
    uint64_t count = 0;
    unsigned bucket = 0, i;

    for (i = 0; i < LE_COUNT; i++, le_us *= 2) {
        for (; histogram_least(bucket) < le_us; bucket++)
            count += report->seen->latencies[bucket];
        ap_rprintf(r, "%s_bucket{door=%s,le=\"%.6f\"} %" APR_UINT64_T_FMT "\n", name, label,
                   le_us / 1e6, count);
    }
    count = histogram_sum(report->seen->latencies);
    ap_rprintf(r, "%s_bucket{door=%s,le=\"+Inf\"} %" APR_UINT64_T_FMT "\n", name, label, count);
    ap_rprintf(r, "%s_sum{door=%s} %.6f\n", name, label, (double)report->seen->total_us / 1e6);
    ap_rprintf(r, "%s_count{door=%s} %" APR_UINT64_T_FMT "\n", name, label, count);
}

void mod_door_write_prometheus(request_rec *r, const apr_array_header_t *reports)
{
    apr_size_t m;
    int i;

    put_head(r, "mod_door_build_info", "gauge", "The build of mod_door that answers.");
    ap_rprintf(r, "mod_door_build_info{build=%s} 1\n", quote(r->pool, mod_door_build));
    put_requests(r, reports);
    put_head(r, "mod_door_request_duration_seconds", "histogram",
             "From a request's coming to the end of its call.");
    for (i = 0; i < reports->nelts; i++)
        put_histogram(r, &APR_ARRAY_IDX(reports, i, struct mod_door_report));
    put_state(r, reports);
    for (m = 0; m < sizeof(of_doors) / sizeof(of_doors[0]); m++)
        put_doors(r, &of_doors[m], reports);
    for (m = 0; m < sizeof(of_processes) / sizeof(of_processes[0]); m++)
        put_processes(r, &of_processes[m], reports);
}
