/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * report_json.c: a report as JSON.  docs/status.md describes the members.
 */
#include <string.h>

#include <apr_strings.h>
#include <http_protocol.h>

#include "mod_door.h"
#include "build.h"
#include "figures.h"
#include "histogram.h"
#include "report.h"
#include "report_json.h"
#include "shared_figures.h"

/* Any text becomes a JSON string in ASCII, without characters that mean something in HTML. */
static const char *quote(apr_pool_t *pool, const char *text)
{
    char *quoted = apr_palloc(pool, 6 * strlen(text) + 3);
    char *to = quoted;

    *to++ = '"';
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < ' ' || c >= 0x7f || strchr("\"\\<>&'", c) != NULL)
            to += apr_snprintf(to, 7, "\\u%04x", c);
        else
            *to++ = (char)c;
    }
    *to++ = '"';
    *to = '\0';
    return quoted;
}

/* These functions put a comma behind the member; an object's last member is written directly. */
static void put_text(request_rec *r, const char *name, const char *text)
{
    ap_rprintf(r, "\"%s\":%s,", name, quote(r->pool, text));
}

/* An unknown number is null. */
static void put_count(request_rec *r, const char *name, apr_int64_t count)
{
    if (count >= 0)
        ap_rprintf(r, "\"%s\":%" APR_INT64_T_FMT ",", name, count);
    else
        ap_rprintf(r, "\"%s\":null,", name);
}

static void put_real(request_rec *r, const char *name, double number)
{
    if (number >= 0)
        ap_rprintf(r, "\"%s\":%.6f,", name, number);
    else
        ap_rprintf(r, "\"%s\":null,", name);
}

/* ------------------------------------------------------------------- parts */

static void put_outcomes(request_rec *r, const struct figures_seen *seen)
{
    const char *comma = "";
    int i;

    ap_rputs("\"outcomes\":{", r);
    for (i = 0; i < FIGURES_OUTCOMES; i++, comma = ",")
        ap_rprintf(r, "%s\"%s\":%" APR_UINT64_T_FMT, comma, figures_outcome_name(i),
                   seen->outcomes[i]);
    ap_rputs("},", r);
}

static void put_latency(request_rec *r, const char *name, const uint64_t counts[HISTOGRAM_BUCKETS])
{
    static const struct {
        const char *name;
        double share;
    } shares[] = {{"p50", .5}, {"p90", .9}, {"p99", .99}};
    apr_size_t i;

    ap_rprintf(r, "\"%s\":{", name);
    for (i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
        put_real(r, shares[i].name, histogram_quantile(counts, shares[i].share) / 1e6);
    ap_rprintf(r, "\"count\":%" APR_UINT64_T_FMT "},", histogram_sum(counts));
}

static void put_steps(request_rec *r, const char *name, const uint32_t steps[FIGURES_STEPS],
                      double unit)
{
    unsigned i;

    ap_rprintf(r, "\"%s\":[", name);
    for (i = 0; i < FIGURES_STEPS; i++)
        ap_rprintf(r, unit == 1 ? "%s%.0f" : "%s%.6f", i > 0 ? "," : "", steps[i] * unit);
    ap_rputs("]", r);
}

static void put_history(request_rec *r, const struct figures_seen *seen)
{
    ap_rprintf(r, "\"history\":{\"step_seconds\":%d,", FIGURES_STEP_S);
    put_steps(r, "requests", seen->requests, 1);
    ap_rputs(",", r);
    put_steps(r, "errors", seen->errors, 1);
    ap_rputs(",", r);
    put_steps(r, "mean_seconds", seen->mean_us, 1e-6);
    ap_rputs("},", r);
}

static void put_rates(request_rec *r, const struct figures_seen *seen, int64_t now_ns)
{
    ap_rprintf(r, "\"requests_per_second\":{\"now\":%.2f,\"minute\":%.2f,\"five_minutes\":%.2f},",
               mod_door_rate(seen, 5, now_ns), mod_door_rate(seen, 60, now_ns),
               mod_door_rate(seen, 300, now_ns));
}

static void put_slowest(request_rec *r, const struct figures_seen *seen, int64_t now_ns)
{
    unsigned i;

    ap_rputs("\"slowest\":[", r);
    for (i = 0; i < seen->slow_count; i++) {
        const struct figures_slow *slow = &seen->slow[i];

        ap_rputs(i > 0 ? ",{" : "{", r);
        put_text(r, "path", slow->path);
        put_real(r, "seconds", slow->total_us / 1e6);
        put_real(r, "wait_seconds", slow->wait_us / 1e6);
        put_count(r, "pid", slow->pid > 0 ? slow->pid : -1);
        put_real(r, "ago_seconds", (double)(now_ns - slow->ended_ns) / 1e9);
        ap_rprintf(r, "\"status\":%d}", slow->status);
    }
    ap_rputs("],", r);
}

static void put_process(request_rec *r, const struct mod_door_process *process)
{
    put_count(r, "pid", process->pid);
    put_real(r, "uptime_seconds", process->uptime_s);
    put_count(r, "calls", process->calls);
    put_count(r, "errors", process->errors);
    put_count(r, "running", process->counts.running);
    put_count(r, "waiting", process->counts.waiting);
    put_count(r, "abandoned", process->counts.abandoned);
    put_count(r, "threads", process->counts.threads);
    put_count(r, "threads_max", process->counts.threads_max);
    put_real(r, "cpu_seconds", process->usage.cpu_s);
    put_count(r, "memory_bytes", process->usage.memory);
    ap_rprintf(r, "\"index\":%u", process->index);
}

static void put_processes(request_rec *r, const struct mod_door_report *report)
{
    int i;

    ap_rputs("\"processes\":[", r);
    for (i = 0; i < report->processes->nelts; i++) {
        ap_rputs(i > 0 ? ",{" : "{", r);
        put_process(r, &APR_ARRAY_IDX(report->processes, i, struct mod_door_process));
        ap_rputs("}", r);
    }
    ap_rputs("],", r);
}

static void put_events(request_rec *r, const struct mod_door_report *report)
{
    int i;

    ap_rputs("\"events\":[", r);
    for (i = 0; i < report->events->nelts; i++) {
        const struct mod_door_event *event =
            &APR_ARRAY_IDX(report->events, i, struct mod_door_event);

        ap_rputs(i > 0 ? ",{" : "{", r);
        put_text(r, "text", event->text);
        put_count(r, "pid", event->pid > 0 ? event->pid : -1);
        ap_rprintf(r, "\"time\":%.3f}", (double)event->time_ms / 1e3);
    }
    ap_rputs("],", r);
}

static void put_app(request_rec *r, const struct mod_door_report *report)
{
    put_count(r, "instances", report->instances > 0 ? (apr_int64_t)report->instances : -1);
    put_count(r, "leaving", report->leaving);
    put_count(r, "restarts", report->restarts);
    put_count(r, "crashes", report->crashes);
    put_real(r, "next_try_seconds", report->next_try_s);
    put_events(r, report);
}

static void put_report(request_rec *r, const struct mod_door_report *report, int64_t now_ns)
{
    const struct figures_seen *seen = report->seen;

    ap_rputs("{", r);
    put_text(r, "name", *report->name != '\0' ? report->name : "(all others)");
    put_text(r, "kind", report->is_app ? "application" : "door");
    put_text(r, "state", report->state);
    if (report->is_app)
        put_app(r, report);
    put_processes(r, report);
    put_outcomes(r, seen);
    put_rates(r, seen, now_ns);
    put_latency(r, "latency_recent", seen->recent);
    put_latency(r, "latency", seen->latencies);
    put_history(r, seen);
    put_slowest(r, seen, now_ns);
    put_real(r, "seconds_sum", (double)seen->total_us / 1e6);
    ap_rprintf(r, "\"wait_seconds_sum\":%.6f}", (double)seen->wait_us / 1e6);
}

void mod_door_write_json(request_rec *r, const apr_array_header_t *reports)
{
    int64_t now_ns = door_now_ns();
    int i;

    ap_rputs("{", r);
    put_text(r, "build", mod_door_build);
    ap_rprintf(r, "\"time\":%.3f,\"since\":%.3f,\"recent_seconds\":%d,\"doors\":[",
               (double)apr_time_now() / 1e6, (double)mod_door_figures_since() / 1e6,
               FIGURES_RECENT_S);
    for (i = 0; i < reports->nelts; i++) {
        ap_rputs(i > 0 ? ",\n" : "\n", r);
        put_report(r, &APR_ARRAY_IDX(reports, i, struct mod_door_report), now_ns);
    }
    ap_rputs("\n]}\n", r);
}
