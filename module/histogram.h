/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * histogram.c: latencies as counts by their length.
 *
 * Each power of two is divided into eight: a latency is known to an eighth of itself.
 */
#ifndef MOD_DOOR_HISTOGRAM_H
#define MOD_DOOR_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 240

/* Which bucket a latency is in, and the shortest one that is in there; microseconds. */
unsigned histogram_bucket(uint32_t us);
uint32_t histogram_least(unsigned bucket);

uint64_t histogram_sum(const uint64_t counts[HISTOGRAM_BUCKETS]);

/* So that a share (0 to 1) of all took no longer, in microseconds; -1: there is none. */
double histogram_quantile(const uint64_t counts[HISTOGRAM_BUCKETS], double share);

#endif
