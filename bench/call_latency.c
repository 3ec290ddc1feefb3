/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call_latency.c: see call_latency.h.
 */
#include "call_latency.h"

#define CLASS_BITS LATENCY_CLASS_BITS

static unsigned class_of(uint64_t ns)
{
    unsigned power = 63u - (unsigned)__builtin_clzll(ns | 1u << CLASS_BITS);
    unsigned class = ((power - CLASS_BITS) << CLASS_BITS) + (unsigned)(ns >> (power - CLASS_BITS));

    return class < LATENCY_CLASS_COUNT ? class : LATENCY_CLASS_COUNT - 1;
}

/* Where the class ends, in nanoseconds. */
static double class_end_ns(unsigned class)
{
    unsigned power = class >> CLASS_BITS, rest = class & ((1u << CLASS_BITS) - 1);

    if (power == 0)
        return class + 1;
    return (double)((uint64_t)((1u << CLASS_BITS) + rest + 1) << (power - 1));
}

void latencies_add(struct latencies *l, uint64_t ns)
{
    l->count[class_of(ns)]++;
}

void latencies_sum(struct latencies *l, const struct latencies *other)
{
    for (unsigned i = 0; i < LATENCY_CLASS_COUNT; i++)
        l->count[i] += other->count[i];
}

double latencies_p99_us(const struct latencies *l)
{
    uint64_t all = 0, slower = 0;
    unsigned class = LATENCY_CLASS_COUNT;

    for (unsigned i = 0; i < LATENCY_CLASS_COUNT; i++)
        all += l->count[i];
    while (class > 0 && (slower += l->count[class - 1]) <= all / 100)
        class--;
    return class > 0 ? class_end_ns(class - 1) / 1000 : 0;
}
