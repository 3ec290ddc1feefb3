/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fork.h: resets the library's state in a forked child.  Each file with state of its own,
 * above all a lock, registers a function that resets it.  This file uses no others.
 */
#ifndef LIBDOOR_FORK_H
#define LIBDOOR_FORK_H

#include <stdatomic.h>

/*
 * child() runs once in a forked child, before anything else of its file.  It sets the file's
 * variables to their first values.  It must take no lock, free and unmap nothing, and follow
 * no pointer: threads that do not exist in the child may have been in the middle of a change,
 * and without fork handlers malloc(3) may have reused the library's memory.  It must not call
 * fork_register().
 */
struct fork_part {
    void (*child)(void);
    struct fork_part *next;
    _Atomic int is_registered;
};

/* FORK_IS_CHILD: not reset yet.  FORK_ASK: the kernel wipes no page, so the pid must be checked. */
enum fork_state { FORK_IS_CHILD, FORK_RENEWS, FORK_IS_FINE, FORK_ASK };

/* The kernel wipes this page in a forked child (MADV_WIPEONFORK), by whatever call it is forked. */
struct fork_page {
    _Atomic int state; /* enum fork_state */
};
extern struct fork_page *_Atomic fork_page; /* NULL until a part is registered */

int fork_register_now(struct fork_part *part);

/*
 * Each function that other files or the program may call, and that uses its file's state, calls
 * this first.  Returns 0, or -1 with ENOMEM: then forks will not be noticed.
 */
static inline int fork_register(struct fork_part *part)
{
    if (atomic_load_explicit(&part->is_registered, memory_order_acquire) &&
        atomic_load(&atomic_load(&fork_page)->state) == FORK_IS_FINE)
        return 0;
    return fork_register_now(part);
}

/* A number that differs in a forked child, for thread-local state. */
unsigned fork_generation(void);

#endif
