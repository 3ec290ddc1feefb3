/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * replay.c: see replay.h.
 */
#define FUZZ_REPLAY
#include "replay.h"

#include <errno.h>
#include <glob.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX (1 << 20)

/* Bits: what this input has reached, and any input. */
static _Atomic unsigned long reached, ever_reached;

void replay_require(int holds)
{
    if (!holds)
        abort();
}

void replay_reached(unsigned aim)
{
    atomic_fetch_or(&reached, 1ul << aim);
}

int replay_poll(struct pollfd *fds, unsigned count, int timeout_ms)
{
    int result;

    do {
        result = poll(fds, count, timeout_ms);
    } while (result < 0 && errno == EINTR);
    return result;
}

/* From memory of just that size, so that tools see a step beyond it.  NULL, or what is wrong. */
static const char *replay_file(int (*target)(const uint8_t *data, size_t size), const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX), *exact;
    size_t size;

    if (file == NULL || data == NULL) {
        free(data);
        return "cannot be read";
    }
    size = fread(data, 1, INPUT_MAX, file);
    fclose(file);
    exact = realloc(data, size > 0 ? size : 1);
    replay_require(exact != NULL);
    atomic_store(&reached, 0);
    target(exact, size);
    free(exact);
    atomic_fetch_or(&ever_reached, atomic_load(&reached));
    return size > 0 && atomic_load(&reached) == 0 ? "reaches nothing" : NULL;
}

static int report(const char *wrong, size_t number, const char *what)
{
    if (wrong == NULL)
        printf("ok %zu - %s\n", number, what);
    else
        printf("not ok %zu - %s %s\n", number, what, wrong);
    fflush(stdout);
    return wrong != NULL;
}

static int replay_files(int (*target)(const uint8_t *data, size_t size), char **paths,
                        size_t count)
{
    int failed = 0;

    for (size_t i = 0; i < count; i++)
        failed |= report(replay_file(target, paths[i]), i + 1, paths[i]);
    return failed;
}

static int all_reached(const char *const *aims, size_t number)
{
    int failed = 0;

    for (unsigned aim = 0; aims[aim] != NULL; aim++) {
        int is_reached = (atomic_load(&ever_reached) & 1ul << aim) != 0;
        failed |= report(is_reached ? NULL : "is never reached", number + aim, aims[aim]);
    }
    return failed;
}

static size_t count_of(const char *const *aims)
{
    size_t count = 0;

    while (aims[count] != NULL)
        count++;
    return count;
}

int replay(int (*target)(const uint8_t *data, size_t size), const char *pattern,
           const char *const *aims, int argc, char **argv)
{
    glob_t found;
    int failed;

    if (argc > 1) {
        printf("1..%d\n", argc - 1);
        return replay_files(target, argv + 1, (size_t)argc - 1);
    }
    if (glob(pattern, 0, NULL, &found) != 0) {
        printf("Bail out! there is no %s here\n", pattern);
        return 1;
    }
    printf("1..%zu\n", found.gl_pathc + count_of(aims));
    failed = replay_files(target, found.gl_pathv, found.gl_pathc);
    failed |= all_reached(aims, found.gl_pathc + 1);
    globfree(&found);
    return failed;
}
