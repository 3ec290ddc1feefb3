/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call_compare.h: two builds of libdoor side by side, and what a channel costs.
 */
#ifndef BENCH_CALL_COMPARE_H
#define BENCH_CALL_COMPARE_H

#include "call_cell.h"

/* Which rows are wanted. */
struct wanted {
    unsigned callers; /* only so many; 0: all */
    int procedure;    /* only small calls with this one; -1: all, and large data */
};

/*
 * CPU of both sides, calls/s and p99 of the library that is measured, of another
 * one, and of calls through a handle where the first has them.
 */
void compare_libraries(const char *library, const char *other, const struct wanted *wanted,
                       const struct cell_options *options);

/* Descriptors and memory of a channel; of other too, unless it is NULL. */
void compare_channels(const char *library, const char *other,
                      const struct cell_options *options);

#endif
