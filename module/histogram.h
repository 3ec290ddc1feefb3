/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * histogram.c: latencies as counts by their length.
 *
 * Each power of two is divided into eight buckets, so a latency is known to about an eighth.
 */
#ifndef MOD_DOOR_HISTOGRAM_H
#define MOD_DOOR_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 240

/* The bucket of a latency, and the shortest latency of a bucket; in microseconds. */
unsigned histogram_bucket(uint32_t us);
uint32_t histogram_least(unsigned bucket);

uint64_t histogram_sum(const uint64_t counts[HISTOGRAM_BUCKETS]);

/* The latency in microseconds that this share of all calls (0 to 1) kept to; -1: no calls. */
double histogram_quantile(const uint64_t counts[HISTOGRAM_BUCKETS], double share);

#endif
