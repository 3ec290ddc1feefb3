/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * rename.h: renameat2(2) (Linux 3.15), also for a libc without this function, such as musl.
 */
#ifndef LIBDOOR_RENAME_H
#define LIBDOOR_RENAME_H

#include <stdio.h>

#ifndef RENAME_EXCHANGE
#include <sys/syscall.h>
#include <unistd.h>

#define RENAME_NOREPLACE (1 << 0)
#define RENAME_EXCHANGE (1 << 1)

static inline int renameat2(int from_fd, const char *from, int to_fd, const char *to,
                            unsigned flags)
{
    return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}
#endif

#endif
