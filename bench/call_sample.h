/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call_sample.h: what the kernel tells of a process: CPU time, context
 * switches, memory.  Looks from outside and knows nothing of doors.
 */
#ifndef BENCH_CALL_SAMPLE_H
#define BENCH_CALL_SAMPLE_H

#include <stdint.h>
#include <sys/types.h>

/* CLOCK_MONOTONIC, in nanoseconds. */
int64_t sample_now_ns(void);

/* User and system time of all threads of pid, also of those that ended; nanoseconds. */
int64_t sample_cpu_ns(pid_t pid);

/* Context switches of the threads that pid has now, asked for or not. */
uint64_t sample_switches(pid_t pid);

/* Resident memory of pid, shared or not. */
long sample_resident_kib(pid_t pid);

/* Its share of the memory that it has mapped, and how much of that is shmem (memfds). */
long sample_pss_kib(pid_t pid);
long sample_pss_shmem_kib(pid_t pid);

/* Descriptors that pid has open. */
long sample_descriptors(pid_t pid);

#endif
