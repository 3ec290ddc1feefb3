/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call_cell.c: see call_cell.h.
 */
#include "call_cell.h"

#include <stdio.h>
#include <stdlib.h>

#include "call_sample.h"

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double median(double *values, int count)
{
    if (count == 0)
        return 0;
    qsort(values, (size_t)count, sizeof(*values), compare);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

double calls_per_s(const struct window *w)
{
    return w->calls_per_s;
}

double cpu_us(const struct window *w)
{
    return w->cpu_us;
}

double switches(const struct window *w)
{
    return w->switches;
}

double p99_us(const struct window *w)
{
    return w->p99_us;
}

double threads(const struct window *w)
{
    return w->threads;
}

double cell_typical(const struct cell *cell, int load, double (*of)(const struct window *))
{
    double values[CELL_ROUNDS_MAX];

    for (int i = 0; i < cell->rounds; i++)
        values[i] = of(&cell->window[load][i]);
    return median(values, cell->rounds);
}

double cell_ratio(const struct cell *cell, int load, int other,
                  double (*of)(const struct window *))
{
    double values[CELL_ROUNDS_MAX];

    for (int i = 0; i < cell->rounds; i++)
        values[i] = of(&cell->window[load][i]) / of(&cell->window[other][i]);
    return median(values, cell->rounds);
}

/* The first window shows what the threads need that come with it. */
static void run_first(struct cell *cell, struct party *party, int64_t window_ms)
{
    struct held before = party_sample(party, sample_resident_kib), after;
    struct window w = party_run(party, window_ms);

    after = party_sample(party, sample_resident_kib);
    cell->grown_kib.server = after.server - before.server;
    if (w.threads > 1)
        cell->grown_kib.server /= (long)w.threads - 1;
    cell->grown_kib.client = (after.client - before.client) / (long)cell->load[0].callers;
}

/* Whoever comes first in one round comes last in the next. */
static void run_round(struct cell *cell, struct party **party, int round, int64_t window_ms)
{
    for (int i = 0; i < cell->count; i++) {
        int load = round % 2 == 0 ? i : cell->count - 1 - i;
        cell->window[load][round] = party_run(party[load], window_ms);
    }
}

void cell_run(struct cell *cell, const struct cell_options *options)
{
    struct party *party[CELL_LOADS_MAX] = {NULL};

    cell->rounds = options->rounds;
    for (int i = 0; i < cell->count; i++)
        party[i] = party_start(&cell->load[i], options->dir);
    run_first(cell, party[0], options->window_ms);
    for (int i = 0; i < cell->count; i++)
        party_run(party[i], options->window_ms); /* for the caches and the pool */
    for (int round = 0; round < options->rounds; round++)
        run_round(cell, party, round, options->window_ms);
    for (int i = 0; i < cell->count; i++)
        party_stop(party[i]);
}

const char *cell_callers(const struct load *load)
{
    static char text[40];

    snprintf(text, sizeof(text), "%u%s%s", load->callers, load->is_by_process ? " process" : "",
             load->is_by_process && load->callers > 1 ? "es" : "");
    return text;
}

const char *cell_procedure(const struct load *load)
{
    static const char *const names[] = {"0 us", "20 us CPU", "1 ms asleep"};

    return names[load->procedure];
}
