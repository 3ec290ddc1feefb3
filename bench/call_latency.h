/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call_latency.h: how long calls took, in classes: 16 for each power of two of
 * nanoseconds.
 */
#ifndef BENCH_CALL_LATENCY_H
#define BENCH_CALL_LATENCY_H

#include <stdint.h>

#define LATENCY_CLASS_BITS 4
#define LATENCY_CLASS_COUNT (40 << LATENCY_CLASS_BITS)

struct latencies {
    uint32_t count[LATENCY_CLASS_COUNT];
};

void latencies_add(struct latencies *l, uint64_t ns);

/* Adds those of another one. */
void latencies_sum(struct latencies *l, const struct latencies *other);

/* 99 of 100 took at most so long. */
double latencies_p99_us(const struct latencies *l);

#endif
