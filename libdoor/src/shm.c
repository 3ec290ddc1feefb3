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
#define LOOK_PAGES 1024 /* so many pages are looked for at a time */
#define LOOKS_MAX 3 /* a page that was read may be swapped out again before it is looked for */

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

/* Whether a page is there that may be swapped out.  Reading the file makes no page in a hole. */
static int has_page(const struct own_fd *memory, off_t offset, char *page)
{
    unsigned char is_there = 0;
    char byte;

    for (int i = 0; i < LOOKS_MAX && (is_there & 1) == 0; i++) {
        if (!own_fd_check(memory) || pread(memory->fd, &byte, 1, offset) != 1 ||
            mincore(page, 1, &is_there) < 0)
            return 0;
    }
    return is_there & 1;
}

/*
 * Whether there are pages from offset from to end of the window.  lseek(2) with SEEK_HOLE would
 * tell, too, but waits for the file's lock.  The peer can hold that for as long as it likes, in a
 * write(2) from memory that is not there yet.
 */
static int has_pages(const struct shm_window *w, const struct own_fd *memory, unsigned slot,
                     uint64_t from, uint64_t end)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char there[LOOK_PAGES];

    for (size_t at = (size_t)from / page * page; at < end; at += LOOK_PAGES * page) {
        size_t left = ((size_t)end - at + page - 1) / page;
        size_t count = left < LOOK_PAGES ? left : LOOK_PAGES;

        if (mincore(w->base + at, count * page, there) < 0)
            return 0;
        for (size_t i = 0; i < count; i++) {
            if ((there[i] & 1) == 0 &&
                !has_page(memory, shm_window_offset(slot) + (off_t)(at + i * page),
                          w->base + at + i * page))
                return 0;
        }
    }
    return 1;
}

int shm_window_is_written(struct shm_window *w, const struct own_fd *memory, unsigned slot,
                          uint64_t at, uint64_t size)
{
    uint64_t end = at + size;

    if (end <= w->written)
        return 1;
    if (end > w->size || !has_pages(w, memory, slot, at, end))
        return 0;
    if (at < PAGE_MIN || at <= w->written) /* there is no hole before it, either */
        w->written = (uint32_t)(end < WRITTEN_MAX ? end : WRITTEN_MAX);
    return 1;
}
