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

#include "replay.h"
#include "wire.h"

static void write_again(struct door_wire_reader reader, const uint8_t *data, size_t size)
{
    char *copy = malloc(size);
    struct door_wire_writer writer;
    struct door_wire_field field;
    size_t head_len;

    replay_require(copy != NULL);
    door_wire_begin(&writer, copy, size);
    while (door_wire_next(&reader, &field)) {
        replay_require(strlen(field.name) == field.name_len);
        replay_require(strlen(field.value) == field.value_len);
        door_wire_field(&writer, field.type, field.name, field.name_len, field.value,
                        field.value_len);
    }
    head_len = door_wire_end(&writer, reader.kind, reader.status, reader.flags, reader.body_len);
    replay_require(head_len == (size_t)(reader.body - (const char *)data));
    replay_require(head_len + reader.body_len == size);
    replay_require(memcmp(copy, data, head_len) == 0);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct door_wire_reader reader;

    if (door_wire_read(&reader, DOOR_WIRE_ANY, data, size) == 0)
        write_again(reader, data, size);
    return 0;
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
    return replay(LLVMFuzzerTestOneInput, "door_app/t/corpus/wire/*", argc, argv);
}
#endif
