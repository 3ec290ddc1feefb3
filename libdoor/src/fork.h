/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fork.h: what a forked child keeps: its door descriptors, and nothing else.
 */
#ifndef LIBDOOR_FORK_H
#define LIBDOOR_FORK_H

/*
 * Called first by whatever may be the first call in a process: forked children
 * start afresh.  0, or -1 and errno ENOMEM.
 */
int fork_watch(void);

#endif
