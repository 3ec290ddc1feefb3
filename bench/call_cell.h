/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call_cell.h: a cell of a table: a few loads that stand ready in processes of
 * their own and run in turn, a short window each, round after round.  A ratio is
 * that of two windows of one round, and what is told is the median of the rounds:
 * other work on the machine then hits both alike.
 */
#ifndef BENCH_CALL_CELL_H
#define BENCH_CALL_CELL_H

#include "call_party.h"

#define CELL_ROUNDS_MAX 99
#define CELL_LOADS_MAX 4
#define CELL_SMALL 16 /* bytes of a small argument or result */

struct cell_options {
    int rounds;
    int64_t window_ms;
    const char *dir; /* where doors can be given names */
};

struct cell {
    int rounds;
    int count; /* of the loads */
    struct load load[CELL_LOADS_MAX];
    struct window window[CELL_LOADS_MAX][CELL_ROUNDS_MAX];
    struct held grown_kib; /* resident memory of load[0], by its first window */
};

void cell_run(struct cell *cell, const struct cell_options *options);

/* Medians of the rounds: of a load, and of one load to another. */
double cell_typical(const struct cell *cell, int load, double (*of)(const struct window *));
double cell_ratio(const struct cell *cell, int load, int other,
                  double (*of)(const struct window *));

/* What can be asked of a window. */
double calls_per_s(const struct window *w);
double cpu_us(const struct window *w);
double switches(const struct window *w);
double p99_us(const struct window *w);
double threads(const struct window *w);

/* Sorts the values. */
double median(double *values, int count);

/* "16", or "16 processes" */
const char *cell_callers(const struct load *load);

/* "20 us CPU" */
const char *cell_procedure(const struct load *load);

#endif
