/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_wire.c: whatever bytes come, the reader stays inside them, and what it
 * takes it gives out whole: written again it is the same message.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... looks for bad bytes;
 *     with -DFUZZ_REPLAY it is a test that goes through the files given, or
 *     through door_app/t/corpus/wire.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int holds)
{
    if (!holds)
        abort();
}

static void write_again(struct door_wire_reader reader, const uint8_t *data, size_t size)
{
    char *copy = malloc(size);
    struct door_wire_writer writer;
    struct door_wire_field field;
    size_t head_len;

    require(copy != NULL);
    door_wire_begin(&writer, copy, size);
    while (door_wire_next(&reader, &field)) {
        require(strlen(field.name) == field.name_len);
        require(strlen(field.value) == field.value_len);
        door_wire_field(&writer, field.type, field.name, field.name_len, field.value,
                        field.value_len);
    }
    head_len = door_wire_end(&writer, reader.kind, reader.status, reader.body_len);
    require(head_len == (size_t)(reader.body - (const char *)data));
    require(head_len + reader.body_len == size);
    require(memcmp(copy, data, head_len) == 0);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct door_wire_reader reader;

    if (door_wire_read(&reader, DOOR_WIRE_REQUEST, data, size) == 0)
        write_again(reader, data, size);
    if (door_wire_read(&reader, DOOR_WIRE_RESPONSE, data, size) == 0)
        write_again(reader, data, size);
    return 0;
}

#ifdef FUZZ_REPLAY

#include <glob.h>
#include <stdio.h>

#define CORPUS    "door_app/t/corpus/wire/*"
#define INPUT_MAX (1 << 20)

/* From memory of just that size, so that tools see a step beyond it. */
static int replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(INPUT_MAX);
    uint8_t *exact;
    size_t size;

    if (file == NULL || data == NULL) {
        free(data);
        return -1;
    }
    size = fread(data, 1, INPUT_MAX, file);
    fclose(file);
    exact = realloc(data, size > 0 ? size : 1);
    require(exact != NULL);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 0;
}

static int replay_all(char **paths, size_t count)
{
    int failed = 0;

    printf("1..%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        int result = replay(paths[i]);

        printf("%s %zu - %s\n", result == 0 ? "ok" : "not ok", i + 1, paths[i]);
        failed |= result;
    }
    return failed;
}

int main(int argc, char **argv)
{
    glob_t found;
    int failed;

    if (argc > 1)
        return replay_all(argv + 1, (size_t)argc - 1) != 0;
    if (glob(CORPUS, 0, NULL, &found) != 0) {
        printf("Bail out! there is no " CORPUS " here\n");
        return 1;
    }
    failed = replay_all(found.gl_pathv, found.gl_pathc);
    globfree(&found);
    return failed != 0;
}

#endif
