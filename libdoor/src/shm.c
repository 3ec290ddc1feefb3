/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * shm.c: mapping the memory that client and server share; the same on both
 * sides.  Knows nothing of what is in it.
 */
#include "shm.h"

#include <stddef.h>
#include <sys/mman.h>

#define WINDOW_MIN_SIZE ((size_t)64 << 10)

void *shm_map(int fd, off_t offset, size_t size)
{
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

    if (base != MAP_FAILED) {
        /* A forked child must not answer for its parent, nor write into its calls. */
        madvise(base, size, MADV_DONTFORK);
        madvise(base, size, MADV_DONTDUMP);
    }
    return base;
}

char *shm_window_map(struct shm_window *w, int fd, unsigned slot, size_t size)
{
    size_t want = WINDOW_MIN_SIZE;
    char *base;

    if (size <= w->size)
        return w->base;
    while (want < size)
        want *= 2;
    base = shm_map(fd, shm_window_offset(slot), want);
    if (base == MAP_FAILED)
        return NULL;
    shm_window_unmap(w);
    *w = (struct shm_window){base, want};
    return base;
}

void shm_window_unmap(struct shm_window *w)
{
    if (w->size > 0)
        munmap(w->base, w->size);
    *w = (struct shm_window){NULL, 0};
}
