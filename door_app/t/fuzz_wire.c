/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_wire.c: whatever bytes come, the reader stays inside them, and what it
 * takes it gives out whole: written again it is the same message.
 *
 * The input is read as it is, and again as a message of the present version.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "replay.h"
#include "wire.h"

enum aim { READ, BAD, OTHER_VERSION };

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

static int read_it(const uint8_t *data, size_t size)
{
    struct door_wire_reader reader;

    if (door_wire_read(&reader, DOOR_WIRE_ANY, data, size) < 0)
        return -1;
    write_again(reader, data, size);
    replay_reached(READ);
    return 0;
}

/* Magic and version come first and stay where they are in every version. */
static void read_as_present(const uint8_t *data, size_t size)
{
    const struct {
        uint32_t magic;
        uint16_t version;
    } start = {DOOR_WIRE_MAGIC, DOOR_WIRE_VERSION};
    const size_t start_len = sizeof(start.magic) + sizeof(start.version);
    uint8_t *copy = malloc(size);

    if (size >= start_len && copy != NULL) {
        memcpy(copy, data, size);
        memcpy(copy, &start, start_len);
        if (read_it(copy, size) < 0 && errno == EBADMSG)
            replay_reached(BAD);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (read_it(data, size) < 0 && errno == EPROTONOSUPPORT)
        replay_reached(OTHER_VERSION);
    read_as_present(data, size);
    return 0;
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
    static const char *const aims[] = {"a message is read", "a message is refused",
                                       "a message of another version", NULL};

    return replay(LLVMFuzzerTestOneInput, "door_app/t/corpus/wire/*", aims, argc, argv);
}
#endif
