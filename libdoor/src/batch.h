/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * batch.h: server threads are scheduled as SCHED_BATCH, sched(7), while that pays.
 *
 * A call is a row of threads that wake one another, and who wakes is about to
 * sleep: where the woken one preempts it, each step costs a switch more.  A
 * SCHED_BATCH thread preempts nobody.  But neither does it preempt a thread of
 * somebody else's that only computes, and then waits for milliseconds where it
 * would have had to wait for none.  So how long these threads wait for a
 * processor is looked at once a second.
 */
#ifndef LIBDOOR_BATCH_H
#define LIBDOOR_BATCH_H

/* What a thread knows of its scheduling; zeroed at first. */
struct batch_thread {
    int is_known; /* it has been counted in */
    int is_batch; /* where it was last put */
};

/* A server thread, before each call: puts itself where it belongs. */
void batch_follow(struct batch_thread *t);

#endif
