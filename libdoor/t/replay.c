/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * replay.c: see replay.h.
 */
#define FUZZ_REPLAY
#include "replay.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX (1 << 20)

void replay_require(int holds)
{
    if (!holds)
        abort();
}

/* From memory of just that size, so that tools see a step beyond it. */
static int replay_file(int (*target)(const uint8_t *data, size_t size), const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX), *exact;
    size_t size;

    if (file == NULL || data == NULL) {
        free(data);
        return -1;
    }
    size = fread(data, 1, INPUT_MAX, file);
    fclose(file);
    exact = realloc(data, size > 0 ? size : 1);
    replay_require(exact != NULL);
    target(exact, size);
    free(exact);
    return 0;
}

static int replay_files(int (*target)(const uint8_t *data, size_t size), char **paths,
                        size_t count)
{
    int failed = 0;

    printf("1..%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        int result = replay_file(target, paths[i]);

        printf("%s %zu - %s\n", result == 0 ? "ok" : "not ok", i + 1, paths[i]);
        failed |= result;
    }
    return failed != 0;
}

int replay(int (*target)(const uint8_t *data, size_t size), const char *pattern, int argc,
           char **argv)
{
    glob_t found;
    int failed;

    if (argc > 1)
        return replay_files(target, argv + 1, (size_t)argc - 1);
    if (glob(pattern, 0, NULL, &found) != 0) {
        printf("Bail out! there is no %s here\n", pattern);
        return 1;
    }
    failed = replay_files(target, found.gl_pathv, found.gl_pathc);
    globfree(&found);
    return failed;
}
