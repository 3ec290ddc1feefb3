/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call_library.h: the libdoor that a process measures.  It is loaded by its path,
 * so that one program can have two builds of it side by side, each in processes
 * of its own.
 */
#ifndef BENCH_CALL_LIBRARY_H
#define BENCH_CALL_LIBRARY_H

#include <door.h>

#include "door_compat.h"

struct library {
    __typeof__(door_create) *create;
    __typeof__(door_return) *reply;
    __typeof__(door_call) *call;
    int (*attach)(int d, const char *path);
    int (*detach)(const char *path);
    int (*open_at)(int dirfd, const char *path, int oflag);

    /* door_compat.h's calls through a handle; NULL in libraries that have none. */
    __typeof__(door_handle_open) *handle_open;
    __typeof__(door_handle_call) *handle_call;
};

/* For the rest of the process; it exits if that fails. */
struct library library_load(const char *path);

/* Whether the library at path has calls through a handle.  Loads it in a child. */
int library_has_handles(const char *path);

#endif
