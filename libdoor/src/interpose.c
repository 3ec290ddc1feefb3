/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * interpose.c: open(2) and its relatives, so that programs can open doors as on
 * illumos.  Every call goes to libc first.  Only if that fails with ENXIO, as it does
 * for a socket's name, may the name be a door's.  fopen(3) and raw system calls are not
 * interposed.
 *
 * These symbols have no version (libdoor.map does not list them).  A program that was
 * not linked with this library asks for a version of libc, such as open@GLIBC_2.2.5, and
 * for that ld.so accepts a symbol only with the same version or with none.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/fcntl.h> /* the numbers; <fcntl.h> would declare what is defined here */
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "name.h"

#pragma GCC visibility push(default)
int open(const char *path, int oflag, ...);
int open64(const char *path, int oflag, ...);
int openat(int dirfd, const char *path, int oflag, ...);
int openat64(int dirfd, const char *path, int oflag, ...);
int creat(const char *path, mode_t mode);
int creat64(const char *path, mode_t mode);
int __open_2(const char *path, int oflag);
int __open64_2(const char *path, int oflag);
int __openat_2(int dirfd, const char *path, int oflag);
int __openat64_2(int dirfd, const char *path, int oflag);
#pragma GCC visibility pop

typedef int openat_function(int dirfd, const char *path, int oflag, ...);

/*
 * For static programs, which have no other openat(2).  The mode is 0 if there is none.  A thread
 * that is blocked in here cannot be cancelled.
 */
static int bare_openat(int dirfd, const char *path, int oflag, ...)
{
    mode_t mode;
    va_list ap;

    va_start(ap, oflag);
    mode = va_arg(ap, mode_t);
    va_end(ap);
    return (int)syscall(SYS_openat, dirfd, path, oflag, mode);
}

static int bare_openat64(int dirfd, const char *path, int oflag, ...)
{
    mode_t mode;
    va_list ap;

    va_start(ap, oflag);
    mode = va_arg(ap, mode_t);
    va_end(ap);
    return (int)syscall(SYS_openat, dirfd, path, oflag | O_LARGEFILE, mode);
}

/*
 * libc's function.  If only another library needs this one, as with ld --as-needed, libc comes
 * before it, so that RTLD_NEXT does not find the function.
 */
static openat_function *next(const char *name, openat_function *bare)
{
    openat_function *function = (openat_function *)dlsym(RTLD_NEXT, name);

    if (function == NULL)
        function = (openat_function *)dlsym(RTLD_DEFAULT, name);
    return function != NULL ? function : bare;
}

static openat_function *libc_openat, *libc_openat64;

/* At the start, since open(2) may be called in signal handlers, where dlsym(3) is not safe. */
__attribute__((constructor)) static void find_libc(void)
{
    libc_openat = next("openat", bare_openat);
    libc_openat64 = next("openat64", bare_openat64);
}

static int open_door_instead(int dirfd, const char *path, int oflag)
{
    int fd;

    if (errno != ENXIO)
        return -1;
    fd = name_open(dirfd, path, oflag);
    if (fd < 0 && errno == ENODEV)
        errno = ENXIO; /* it has another reason, such as a FIFO without a reader */
    return fd;
}

static int do_open(int dirfd, const char *path, int oflag, mode_t mode)
{
    if (libc_openat == NULL)
        find_libc();
    int fd = libc_openat(dirfd, path, oflag, mode);
    return fd >= 0 ? fd : open_door_instead(dirfd, path, oflag);
}

static int do_open64(int dirfd, const char *path, int oflag, mode_t mode)
{
    if (libc_openat64 == NULL)
        find_libc();
    int fd = libc_openat64(dirfd, path, oflag, mode);
    return fd >= 0 ? fd : open_door_instead(dirfd, path, oflag);
}

/* The mode argument is there only if the flags say so. */
#define MODE(oflag, mode)                                             \
    do {                                                              \
        if (((oflag) & O_CREAT) || ((oflag) & O_TMPFILE) == O_TMPFILE) { \
            va_list ap;                                               \
            va_start(ap, oflag);                                      \
            (mode) = va_arg(ap, mode_t);                              \
            va_end(ap);                                               \
        }                                                             \
    } while (0)

int open(const char *path, int oflag, ...)
{
    mode_t mode = 0;

    MODE(oflag, mode);
    return do_open(AT_FDCWD, path, oflag, mode);
}

int open64(const char *path, int oflag, ...)
{
    mode_t mode = 0;

    MODE(oflag, mode);
    return do_open64(AT_FDCWD, path, oflag, mode);
}

int openat(int dirfd, const char *path, int oflag, ...)
{
    mode_t mode = 0;

    MODE(oflag, mode);
    return do_open(dirfd, path, oflag, mode);
}

int openat64(int dirfd, const char *path, int oflag, ...)
{
    mode_t mode = 0;

    MODE(oflag, mode);
    return do_open64(dirfd, path, oflag, mode);
}

int creat(const char *path, mode_t mode)
{
    return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int creat64(const char *path, mode_t mode)
{
    return do_open64(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* With _FORTIFY_SOURCE, calls without a mode become these. */
int __open_2(const char *path, int oflag)
{
    return do_open(AT_FDCWD, path, oflag, 0);
}

int __open64_2(const char *path, int oflag)
{
    return do_open64(AT_FDCWD, path, oflag, 0);
}

int __openat_2(int dirfd, const char *path, int oflag)
{
    return do_open(dirfd, path, oflag, 0);
}

int __openat64_2(int dirfd, const char *path, int oflag)
{
    return do_open64(dirfd, path, oflag, 0);
}
