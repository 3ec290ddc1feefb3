/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_wire.c: the codec takes what it wrote, measures before it writes, and
 * takes nothing else.  Every damaged message is read from memory that ends with
 * it: a step too far is no silent one.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support.h"

static void write_sample(struct message *message)
{
    message_begin(message);
    message_field(message, DOOR_WIRE_METHOD, "", "POST");
    message_field(message, DOOR_WIRE_HEADER, "Host", "example.org");
    message_field(message, DOOR_WIRE_HEADER, "X-Empty", "");
    message_field(message, DOOR_WIRE_ENV, "COLOUR", "green");
    message_end(message, DOOR_WIRE_REQUEST, 0, "bo\0dy", 5);
}

/* Where len bytes are the last ones before memory that nobody may touch; one place for all. */
static char *before_the_edge(size_t len)
{
    static char *memory;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = 64 * page;

    if (memory == NULL) {
        memory =
            mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(memory, MAP_FAILED);
        ck_assert_int_eq(mprotect(memory + room, page, PROT_NONE), 0);
    }
    ck_assert_uint_le(len, room);
    return memory + room - len;
}

/* door_wire_read()'s result for a copy of the bytes, as 0 or errno. */
static int read_copy(const char *bytes, size_t len)
{
    struct door_wire_reader reader;
    char *copy = before_the_edge(len);
    int result;

    memcpy(copy, bytes, len);
    errno = 0;
    result = door_wire_read(&reader, DOOR_WIRE_REQUEST, copy, len) == 0 ? 0 : errno;
    if (result == 0) {
        struct door_wire_field field;

        while (door_wire_next(&reader, &field)) {
            ck_assert_uint_eq(strlen(field.name), field.name_len);
            ck_assert_uint_eq(strlen(field.value), field.value_len);
        }
    }
    return result;
}

static void assert_field(struct door_wire_reader *reader, int type, const char *name,
                         const char *value)
{
    struct door_wire_field field;

    ck_assert_int_eq(door_wire_next(reader, &field), 1);
    ck_assert_int_eq(field.type, type);
    ck_assert_str_eq(field.name, name);
    ck_assert_uint_eq(field.name_len, strlen(name));
    ck_assert_str_eq(field.value, value);
    ck_assert_uint_eq(field.value_len, strlen(value));
}

START_TEST(a_request_comes_back)
{
    struct door_wire_reader reader;
    struct door_wire_field field;
    struct message message;

    write_sample(&message);
    ck_assert_int_eq(door_wire_read(&reader, DOOR_WIRE_REQUEST, message.bytes, message.len), 0);
    ck_assert_uint_eq(reader.kind, DOOR_WIRE_REQUEST);
    ck_assert_uint_eq(reader.status, 0);
    ck_assert_uint_eq(reader.remaining, 4);
    assert_field(&reader, DOOR_WIRE_METHOD, "", "POST");
    assert_field(&reader, DOOR_WIRE_HEADER, "Host", "example.org");
    assert_field(&reader, DOOR_WIRE_HEADER, "X-Empty", "");
    assert_field(&reader, DOOR_WIRE_ENV, "COLOUR", "green");
    ck_assert_int_eq(door_wire_next(&reader, &field), 0);
    ck_assert_int_eq(door_wire_next(&reader, &field), 0);
    ck_assert_uint_eq(reader.body_len, 5);
    ck_assert_int_eq(memcmp(reader.body, "bo\0dy", 5), 0);
}
END_TEST

START_TEST(a_response_comes_back)
{
    struct door_wire_reader reader;
    struct message message;

    message_begin(&message);
    message_end(&message, DOOR_WIRE_RESPONSE, 204, NULL, 0);
    ck_assert_uint_eq(message.len, sizeof(struct door_wire_head));
    ck_assert_int_eq(door_wire_read(&reader, DOOR_WIRE_RESPONSE, message.bytes, message.len), 0);
    ck_assert_uint_eq(reader.status, 204);
    ck_assert_uint_eq(reader.body_len, 0);
    ck_assert_uint_eq(reader.remaining, 0);
}
END_TEST

/* PROTOCOL.md promises these bytes to those who write another codec. */
START_TEST(the_bytes_are_as_described)
{
    static const unsigned char little_endian[] = {
        'D', 'O', 'O', 'R', 1, 0, 2, 0, 45,  0, 0,   0,   1, 0, 0, 0, /* head */
        200, 0,   0,   0,   0, 0, 0, 0, 2,   0, 0,   0,   0, 0, 0, 0, /* status ... body_len */
        1,   0,   1,   0,   2, 0, 0, 0, 'A', 0, 'b', 'c', 0,          /* a header A: bc */
        'h', 'i',
    };
    struct message message;

    message_begin(&message);
    message_field(&message, DOOR_WIRE_HEADER, "A", "bc");
    message_end(&message, DOOR_WIRE_RESPONSE, 200, "hi", 2);
    ck_assert_uint_eq(message.len, sizeof(little_endian));
    if (message.bytes[4] == 1) /* this machine's low byte comes first */
        ck_assert_mem_eq(message.bytes, little_endian, sizeof(little_endian));
    ck_assert_int_eq(DOOR_WIRE_ENV, 25);
}
END_TEST

START_TEST(alignment_does_not_matter)
{
    struct message message;
    char moved[sizeof(message.bytes) + 8];

    write_sample(&message);
    for (size_t shift = 0; shift < 8; shift++) {
        struct door_wire_reader reader;

        memcpy(moved + shift, message.bytes, message.len);
        ck_assert_int_eq(door_wire_read(&reader, DOOR_WIRE_REQUEST, moved + shift, message.len), 0);
        assert_field(&reader, DOOR_WIRE_METHOD, "", "POST");
    }
}
END_TEST

START_TEST(unknown_types_are_handed_out)
{
    struct door_wire_reader reader;
    struct message message;

    message_begin(&message);
    message_field(&message, (enum door_wire_type)60000, "n", "v");
    message_end(&message, DOOR_WIRE_REQUEST, 0, NULL, 0);
    ck_assert_int_eq(door_wire_read(&reader, DOOR_WIRE_REQUEST, message.bytes, message.len), 0);
    assert_field(&reader, 60000, "n", "v");
}
END_TEST

START_TEST(every_truncation_is_refused)
{
    struct message message;

    write_sample(&message);
    ck_assert_int_eq(read_copy(message.bytes, message.len), 0);
    for (size_t len = 0; len < message.len; len++)
        ck_assert_int_eq(read_copy(message.bytes, len), EBADMSG);
    ck_assert_int_eq(read_copy(message.bytes, message.len + 1), EBADMSG);
}
END_TEST

START_TEST(nothing_is_no_message)
{
    struct door_wire_reader reader;

    errno = 0;
    ck_assert_int_eq(door_wire_read(&reader, DOOR_WIRE_REQUEST, NULL, 0), -1);
    ck_assert_int_eq(errno, EBADMSG);
}
END_TEST

START_TEST(the_other_kind_is_refused)
{
    struct door_wire_reader reader;
    struct message message;

    write_sample(&message);
    ck_assert_int_eq(door_wire_read(&reader, DOOR_WIRE_RESPONSE, message.bytes, message.len), -1);
    ck_assert_int_eq(errno, EBADMSG);
}
END_TEST

/* Overwrites size bytes at offset by a number, lowest byte first where the machine is. */
static int read_bent(size_t offset, size_t size, uint64_t value)
{
    struct message message;

    write_sample(&message);
    for (size_t i = 0; i < size; i++) {
        uint16_t one = 1;
        size_t at = *(unsigned char *)&one == 1 ? i : size - 1 - i;

        message.bytes[offset + at] = (char)(value >> (8 * i));
    }
    return read_copy(message.bytes, message.len);
}

#define HEAD(member)                                                                               \
    offsetof(struct door_wire_head, member), sizeof(((struct door_wire_head *)0)->member)

START_TEST(every_head_member_is_checked)
{
    struct message message;

    write_sample(&message);
    ck_assert_int_eq(read_bent(HEAD(magic), 0x444f4f52), EBADMSG); /* the other byte order */
    ck_assert_int_eq(read_bent(HEAD(magic), 0), EBADMSG);
    ck_assert_int_eq(read_bent(HEAD(version), 0), EPROTONOSUPPORT);
    ck_assert_int_eq(read_bent(HEAD(version), 2), EPROTONOSUPPORT);
    ck_assert_int_eq(read_bent(HEAD(kind), 0), EBADMSG);
    ck_assert_int_eq(read_bent(HEAD(kind), 3), EBADMSG);
    ck_assert_int_eq(read_bent(HEAD(status), 200), EBADMSG);
    ck_assert_int_eq(read_bent(HEAD(flags), DOOR_WIRE_FLUSH), EBADMSG);
    ck_assert_int_eq(read_bent(HEAD(reserved), 1), EBADMSG);
}
END_TEST

/* All wrong values near the right one, and all that are near a wrap. */
static void bend_length(size_t offset, size_t size, uint64_t right)
{
    uint64_t max = size == 8 ? UINT64_MAX : ((uint64_t)1 << (8 * size)) - 1;

    ck_assert_int_eq(read_bent(offset, size, right), 0);
    for (uint64_t i = 0; i < 300; i++) {
        uint64_t candidates[] = {i, max - i, max / 2 + i, max / 2 - i, right + (i << 8)};

        for (size_t c = 0; c < sizeof(candidates) / sizeof(candidates[0]); c++) {
            if ((candidates[c] & max) != right)
                ck_assert_int_eq(read_bent(offset, size, candidates[c] & max), EBADMSG);
        }
    }
}

START_TEST(every_length_is_checked)
{
    struct door_wire_field field;
    struct door_wire_reader reader;
    struct door_wire_head head;
    struct message message;

    write_sample(&message);
    memcpy(&head, message.bytes, sizeof(head));
    bend_length(HEAD(head_len), head.head_len);
    bend_length(HEAD(field_count), head.field_count);
    bend_length(HEAD(body_len), head.body_len);
    ck_assert_int_eq(door_wire_read(&reader, DOOR_WIRE_REQUEST, message.bytes, message.len), 0);
    while (door_wire_next(&reader, &field)) {
        size_t at = (size_t)(field.name - message.bytes) - sizeof(struct door_wire_field_head);

        bend_length(at + offsetof(struct door_wire_field_head, name_len), 2, field.name_len);
        bend_length(at + offsetof(struct door_wire_field_head, value_len), 4, field.value_len);
    }
}
END_TEST

/* head_len and body_len may not make up for each other's errors. */
START_TEST(lengths_that_only_add_up_are_refused)
{
    struct door_wire_head head;
    struct message message;

    write_sample(&message);
    memcpy(&head, message.bytes, sizeof(head));
    head.head_len -= 3;
    head.body_len += 3;
    memcpy(message.bytes, &head, sizeof(head));
    ck_assert_int_eq(read_copy(message.bytes, message.len), EBADMSG);
    head.head_len += 6;
    head.body_len -= 6; /* wraps when added as 64 bits */
    memcpy(message.bytes, &head, sizeof(head));
    ck_assert_int_eq(read_copy(message.bytes, message.len), EBADMSG);
}
END_TEST

START_TEST(texts_end_where_they_say)
{
    struct message message;
    struct door_wire_reader reader;
    struct door_wire_field field;

    write_sample(&message);
    ck_assert_int_eq(door_wire_read(&reader, DOOR_WIRE_REQUEST, message.bytes, message.len), 0);
    while (door_wire_next(&reader, &field)) {
        size_t first = (size_t)(field.name - message.bytes);
        size_t texts_len = (size_t)field.name_len + 1 + field.value_len + 1;

        for (size_t at = first; at < first + texts_len; at++) {
            char saved = message.bytes[at];

            message.bytes[at] = saved == '\0' ? 'x' : '\0';
            ck_assert_int_eq(read_copy(message.bytes, message.len), EBADMSG);
            message.bytes[at] = saved;
        }
    }
}
END_TEST

/* Whatever the 256 values of a byte do, reading stays inside and strings stay strings. */
START_TEST(no_single_byte_does_harm)
{
    struct message message;

    write_sample(&message);
    for (size_t at = 0; at < message.len; at++) {
        char saved = message.bytes[at];

        for (int value = 0; value < 256; value++) {
            message.bytes[at] = (char)value;
            read_copy(message.bytes, message.len);
        }
        message.bytes[at] = saved;
    }
}
END_TEST

static size_t write_into(char *buf, size_t cap)
{
    struct door_wire_writer writer;

    door_wire_begin(&writer, buf, cap);
    door_wire_field(&writer, DOOR_WIRE_HEADER, "A", 1, "0123456789", 10);
    door_wire_field(&writer, DOOR_WIRE_METHOD, NULL, 0, NULL, 0);
    return door_wire_end(&writer, DOOR_WIRE_REQUEST, 0, 0, 0);
}

START_TEST(a_writer_measures_what_does_not_fit)
{
    size_t needed = write_into(NULL, 0);

    ck_assert_uint_eq(needed, 32 + (8 + 1 + 1 + 10 + 1) + (8 + 1 + 1));
    for (size_t cap = 0; cap <= needed; cap++) {
        char *buf = malloc(cap > 0 ? cap : 1);

        ck_assert_uint_eq(write_into(buf, cap), needed);
        if (cap == needed)
            ck_assert_int_eq(read_copy(buf, cap), 0);
        free(buf);
    }
}
END_TEST

/* Only measured, so no memory of that size is needed. */
START_TEST(too_long_for_the_format_is_told)
{
    static char long_name[UINT16_MAX + 2];
    struct door_wire_writer writer;

    memset(long_name, 'n', sizeof(long_name) - 1);
    door_wire_begin(&writer, NULL, 0);
    door_wire_field(&writer, DOOR_WIRE_HEADER, long_name, UINT16_MAX, "", 0);
    ck_assert_uint_eq(door_wire_end(&writer, DOOR_WIRE_REQUEST, 0, 0, 0), 32 + 8 + 65535 + 2);

    door_wire_begin(&writer, NULL, 0);
    door_wire_field(&writer, DOOR_WIRE_HEADER, long_name, UINT16_MAX + 1, "", 0);
    door_wire_field(&writer, DOOR_WIRE_HEADER, "n", 1, "v", 1);
    errno = 0;
    ck_assert_uint_eq(door_wire_end(&writer, DOOR_WIRE_REQUEST, 0, 0, 0), 0);
    ck_assert_int_eq(errno, EMSGSIZE);

    door_wire_begin(&writer, NULL, 0);
    door_wire_field(&writer, DOOR_WIRE_HEADER, "n", 1, "v", UINT32_MAX / 2);
    ck_assert_uint_gt(door_wire_end(&writer, DOOR_WIRE_REQUEST, 0, 0, 0), UINT32_MAX / 2);
    door_wire_field(&writer, DOOR_WIRE_HEADER, "n", 1, "v", UINT32_MAX / 2);
    errno = 0;
    ck_assert_uint_eq(door_wire_end(&writer, DOOR_WIRE_REQUEST, 0, 0, 0), 0);
    ck_assert_int_eq(errno, EMSGSIZE);

    door_wire_begin(&writer, NULL, 0);
    door_wire_field(&writer, DOOR_WIRE_HEADER, "n", 1, "v", SIZE_MAX);
    ck_assert_uint_eq(door_wire_end(&writer, DOOR_WIRE_REQUEST, 0, 0, 0), 0);
}
END_TEST

/* Cut wherever it may be, with a head that says so: the last text has no end. */
START_TEST(a_text_that_ends_behind_the_message)
{
    struct message message;

    message_begin(&message);
    message_field(&message, DOOR_WIRE_HEADER, "Host", "");
    message_end(&message, DOOR_WIRE_REQUEST, 0, "", 0);
    ck_assert_int_eq(read_copy(message.bytes, message.len), 0);
    for (uint32_t len = sizeof(struct door_wire_head); len < message.len; len++) {
        memcpy(message.bytes + offsetof(struct door_wire_head, head_len), &len, sizeof(len));
        ck_assert_int_eq(read_copy(message.bytes, len), EBADMSG);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("wire");

    tcase_add_test(tests, a_request_comes_back);
    tcase_add_test(tests, a_text_that_ends_behind_the_message);
    tcase_add_test(tests, a_response_comes_back);
    tcase_add_test(tests, the_bytes_are_as_described);
    tcase_add_test(tests, alignment_does_not_matter);
    tcase_add_test(tests, unknown_types_are_handed_out);
    tcase_add_test(tests, every_truncation_is_refused);
    tcase_add_test(tests, nothing_is_no_message);
    tcase_add_test(tests, the_other_kind_is_refused);
    tcase_add_test(tests, every_head_member_is_checked);
    tcase_add_test(tests, every_length_is_checked);
    tcase_add_test(tests, lengths_that_only_add_up_are_refused);
    tcase_add_test(tests, texts_end_where_they_say);
    tcase_add_test(tests, no_single_byte_does_harm);
    tcase_add_test(tests, a_writer_measures_what_does_not_fit);
    tcase_add_test(tests, too_long_for_the_format_is_told);
    return run_tests(tests);
}
