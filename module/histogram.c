/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * histogram.c: latencies as counts by their length.  Uses no memory but its arguments.
 */
#include "histogram.h"

#define LINEAR 8u /* buckets of a power of two */

unsigned histogram_bucket(uint32_t us)
{
    unsigned shift = 0;

    while (us >> shift >= 2 * LINEAR)
        shift++;
    return shift * LINEAR + (us >> shift);
}

uint32_t histogram_least(unsigned bucket)
{
    unsigned shift = bucket < 2 * LINEAR ? 0 : bucket / LINEAR - 1;

    return (uint32_t)(bucket - shift * LINEAR) << shift;
}

uint64_t histogram_sum(const uint64_t counts[HISTOGRAM_BUCKETS])
{
    uint64_t sum = 0;

    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
        sum += counts[b];
    return sum;
}

/* Assumes that latencies are spread evenly within a bucket. */
double histogram_quantile(const uint64_t counts[HISTOGRAM_BUCKETS], double share)
{
    double rank = share * (double)histogram_sum(counts);
    double below = 0;

    if (rank <= 0)
        return -1;
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) {
        double least = histogram_least(b);
        double next = b + 1 < HISTOGRAM_BUCKETS ? histogram_least(b + 1) : least;

        if (counts[b] > 0 && below + (double)counts[b] >= rank)
            return least + (next - least) * (rank - below) / (double)counts[b];
        below += (double)counts[b];
    }
    return histogram_least(HISTOGRAM_BUCKETS - 1);
}
