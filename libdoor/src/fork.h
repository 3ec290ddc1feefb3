/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fork.h: what a forked child begins with.  Each file that has state of its own, a
 * lock above all, tells how it is made anew.  A leaf: it knows none of them.
 */
#ifndef LIBDOOR_FORK_H
#define LIBDOOR_FORK_H

#include <stdatomic.h>

/*
 * child() runs in a forked child, once, before anything else of the file: it sets the
 * file's variables to what they are at first, and takes no lock, frees and unmaps
 * nothing, reads nothing that a pointer leads to.  Threads that are not here any more
 * may have been in the middle of something, and without fork handlers malloc(3) may
 * have given memory away that was the library's.  It must not call fork_register().
 */
struct fork_part {
    void (*child)(void);
    struct fork_part *next;
    _Atomic int is_registered;
};

/* FORK_IS_CHILD: not made anew yet.  FORK_ASK: the kernel does not tell, look at the pid. */
enum fork_state { FORK_IS_CHILD, FORK_RENEWS, FORK_IS_FINE, FORK_ASK };

/* On a page that a forked child finds empty, however it was forked. */
struct fork_page {
    _Atomic int state; /* enum fork_state */
};
extern struct fork_page *_Atomic fork_page; /* NULL until a part is registered */

int fork_register_now(struct fork_part *part);

/*
 * Called first by each function that other files, or the program, may call and that
 * uses the file's state.  0, or -1 with ENOMEM: forks will not be noticed.
 */
static inline int fork_register(struct fork_part *part)
{
    if (atomic_load_explicit(&part->is_registered, memory_order_acquire) &&
        atomic_load(&atomic_load(&fork_page)->state) == FORK_IS_FINE)
        return 0;
    return fork_register_now(part);
}

/* A number that is another one in a forked child, for what is a thread's own. */
unsigned fork_generation(void);

#endif
