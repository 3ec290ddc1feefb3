/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * call_library.c: see call_library.h.
 */
#include "call_library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* What dlsym(3) finds is data to the compiler. */
#define FIND(function, name) (*(void **)&library.function = dlsym(object, name))

static struct library load(const char *path)
{
    struct library library = {NULL};
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (object == NULL) {
        fprintf(stderr, "bench: %s\n", dlerror());
        return library;
    }
    FIND(create, "door_create");
    FIND(reply, "door_return");
    FIND(call, "door_call");
    FIND(attach, "fattach");
    FIND(detach, "fdetach");
    FIND(open_at, "door_openat");
    FIND(handle_open, "door_handle_open");
    FIND(handle_call, "door_handle_call");
    return library;
}

struct library library_load(const char *path)
{
    struct library library = load(path);

    if (library.create == NULL || library.reply == NULL || library.call == NULL ||
        library.attach == NULL || library.detach == NULL || library.open_at == NULL) {
        fprintf(stderr, "bench: %s is no libdoor.so\n", path);
        exit(1);
    }
    return library;
}

int library_has_handles(const char *path)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        struct library library = library_load(path);
        _exit(library.handle_open != NULL && library.handle_call != NULL ? 2 : 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0) {
        perror("bench: fork");
        exit(1);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) == 1)
        exit(1); /* it has told why */
    return WEXITSTATUS(status) == 2;
}
