/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * shm.c: maps the memory that client and server share.  The same on both sides.  This
 * file knows nothing of what is in the memory.
 */
#include "shm.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#define WINDOW_MIN_SIZE ((size_t)64 << 10)
#define WRITTEN_MAX SHM_WINDOW_KEEP /* a peer that lies can cost so much memory for each slot */
#define PAGE_MIN 4096 /* bytes; some systems have larger pages */

void *shm_map(int fd, off_t offset, size_t size)
{
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);

    if (base != MAP_FAILED) {
        /* A forked child must not have this memory, and so cannot change its parent's calls. */
        madvise(base, size, MADV_DONTFORK);
        madvise(base, size, MADV_DONTDUMP);
    }
    return base;
}

int shm_errno(uint32_t error)
{
    return error <= SHM_ERRNO_MAX ? (int)error : EPROTO;
}

char *shm_window_map(struct shm_window *w, const struct own_fd *memory, unsigned slot, size_t size)
{
    size_t want = WINDOW_MIN_SIZE;
    char *base;

    if (size <= w->size)
        return w->base;
    if (!own_fd_check(memory)) {
        errno = EBADF;
        return NULL;
    }
    while (want < size)
        want *= 2;
    base = shm_map(memory->fd, shm_window_offset(slot), want);
    if (base == MAP_FAILED)
        return NULL;
    shm_window_unmap(w);
    w->base = base;
    w->size = want;
    return base;
}

void shm_window_unmap(struct shm_window *w)
{
    if (w->size > 0)
        munmap(w->base, w->size);
    w->base = NULL;
    w->size = 0;
}

int shm_window_is_written(struct shm_window *w, const struct own_fd *memory, unsigned slot,
                          uint64_t at, uint64_t size)
{
    off_t from = shm_window_offset(slot) + (off_t)at;
    uint64_t end = at + size;

    if (end <= w->written)
        return 1;
    if (!own_fd_check(memory) || lseek(memory->fd, from, SEEK_HOLE) < from + (off_t)size)
        return 0;
    if (at < PAGE_MIN || at <= w->written) /* there is no hole before it, either */
        w->written = (uint32_t)(end < WRITTEN_MAX ? end : WRITTEN_MAX);
    return 1;
}
