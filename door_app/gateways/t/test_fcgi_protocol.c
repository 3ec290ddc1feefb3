/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_fcgi_protocol.c: the bytes of FastCGI's records, as its specification has them.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "door_test_run.h"
#include "fcgi_protocol.h"

static void ck_bytes(const struct fcgi_writer *writer, const char *bytes, size_t len)
{
    ck_assert_int_eq(writer->error, 0);
    ck_assert_uint_eq(writer->len, len);
    ck_assert_mem_eq(writer->bytes, bytes, len);
}

START_TEST(a_request_begins_so)
{
    static const char expected[] = "\1\1\0\1\0\x8\0\0" "\0\3\1\0\0\0\0\0"
                                   "\1\4\0\1\0\x9\0\0" "\4\3NAMEabc"
                                   "\1\4\0\1\0\0\0\0";
    struct fcgi_writer writer = {0};

    fcgi_write_begin(&writer, FCGI_FILTER);
    fcgi_write_pair(&writer, FCGI_PARAMS, "NAME", 4, "abc", 3);
    fcgi_write_end(&writer, FCGI_PARAMS);
    ck_bytes(&writer, expected, sizeof(expected) - 1);
    fcgi_writer_free(&writer);
}
END_TEST

START_TEST(a_question_belongs_to_the_connection)
{
    static const char expected[] = "\1\x9\0\0\0\x10\0\0" "\xe\0" "FCGI_MAX_CONNS";
    struct fcgi_writer writer = {0};

    fcgi_write_pair(&writer, FCGI_GET_VALUES, "FCGI_MAX_CONNS", 14, "", 0);
    fcgi_write_close(&writer);
    ck_bytes(&writer, expected, sizeof(expected) - 1);
    fcgi_writer_free(&writer);
}
END_TEST

/* The pairs in the records at bytes, each of which has whole ones only: how many. */
static unsigned count_whole_pairs(const unsigned char *bytes, size_t len)
{
    unsigned count = 0;

    while (len > 0) {
        size_t content_len = (size_t)bytes[4] << 8 | bytes[5], position = 0;
        struct fcgi_piece piece = {.bytes = bytes + FCGI_HEADER_LEN, .len = content_len};
        struct fcgi_pair pair;
        int found;

        ck_assert_uint_le(FCGI_HEADER_LEN + content_len, len);
        while ((found = fcgi_read_pair(&piece, &position, &pair)) == 1)
            count++;
        ck_assert_int_eq(found, 0);
        bytes += FCGI_HEADER_LEN + content_len;
        len -= FCGI_HEADER_LEN + content_len;
    }
    return count;
}

START_TEST(a_pair_is_in_one_record)
{
    static char value[30000];
    struct fcgi_writer writer = {0};

    memset(value, 'v', sizeof(value));
    for (unsigned i = 0; i < 10; i++)
        fcgi_write_pair(&writer, FCGI_PARAMS, "NAME", 4, value, sizeof(value) - i);
    fcgi_write_close(&writer);
    ck_assert_uint_eq(count_whole_pairs(writer.bytes, writer.len), 10);
    fcgi_writer_free(&writer);
}
END_TEST

START_TEST(a_longer_one_goes_on_in_the_next_record)
{
    static char value[100000];
    struct fcgi_writer writer = {0};

    memset(value, 'v', sizeof(value));
    fcgi_write_pair(&writer, FCGI_PARAMS, "N", 1, value, sizeof(value));
    fcgi_write_close(&writer);
    ck_assert_int_eq(writer.error, 0);
    ck_assert_uint_eq(writer.len, 2 * FCGI_HEADER_LEN + 1 + 4 + 1 + sizeof(value));
    ck_assert_mem_eq(writer.bytes, "\1\4\0\1\xff\xff\0\0\1\x80\1\x86\xa0N", 14);
    ck_assert_mem_eq(writer.bytes + FCGI_HEADER_LEN + FCGI_CONTENT_MAX, "\1\4\0\1\x86\xa7\0\0v", 9);
    fcgi_writer_free(&writer);
}
END_TEST

START_TEST(what_is_too_long_is_an_error)
{
    struct fcgi_writer writer = {0};

    fcgi_write_pair(&writer, FCGI_PARAMS, "N", 1, "", (size_t)INT32_MAX + 1);
    ck_assert_int_eq(writer.error, EMSGSIZE);
    fcgi_write_pair(&writer, FCGI_PARAMS, "N", 1, "v", 1);
    fcgi_write_end(&writer, FCGI_PARAMS);
    ck_assert_int_eq(writer.error, EMSGSIZE);
    fcgi_writer_free(&writer);
}
END_TEST

/* Output, stderr and the end, with padding; cut into pieces of _i + 1 bytes. */
START_TEST(an_answer_is_read_however_it_comes)
{
    static const unsigned char data[] = "\1\6\0\1\0\5\3\0helloppp" "\1\7\0\1\0\1\0\0!" "\1\6\0\1\0\0\2\0pp"
                                        "\1\3\0\1\0\x8\0\0" "\0\0\1\2\3\0\0\0";
    struct fcgi_reader reader = {0};
    char output[16] = "", errors[16] = "";
    struct fcgi_end end = {0};
    size_t at = 0, len = sizeof(data) - 1, taken;

    while (at < len) {
        size_t cut = len - at < (size_t)_i + 1 ? len - at : (size_t)_i + 1;
        struct fcgi_piece piece;
        int found = fcgi_read(&reader, data + at, cut, &taken, &piece);

        ck_assert_int_ne(found, -1);
        at += taken;
        if (found == 1 && piece.type == FCGI_END_REQUEST)
            ck_assert_int_eq(fcgi_read_end(&piece, &end), 0);
        else if (found == 1)
            strncat(piece.type == FCGI_STDOUT ? output : errors, (const char *)piece.bytes,
                    piece.len);
    }
    ck_assert(fcgi_is_between(&reader));
    ck_assert_str_eq(output, "hello");
    ck_assert_str_eq(errors, "!");
    ck_assert_uint_eq(end.app_status, 0x102);
    ck_assert_int_eq(end.protocol_status, FCGI_UNKNOWN_ROLE);
}
END_TEST

START_TEST(a_record_that_is_cut_is_not_between)
{
    struct fcgi_reader reader = {0};
    struct fcgi_piece piece;
    size_t taken;

    ck_assert(fcgi_is_between(&reader));
    ck_assert_int_eq(fcgi_read(&reader, (const unsigned char *)"\1\6\0\1\0\1\1\0x", 9, &taken, &piece), 1);
    ck_assert(!fcgi_is_between(&reader));
    ck_assert_int_eq(fcgi_read(&reader, (const unsigned char *)"p", 1, &taken, &piece), 0);
    ck_assert(fcgi_is_between(&reader));
}
END_TEST

/* Of another version, of what programs do not send, of another request, too long. */
static const char *const nonsense[] = {"\2\6\0\1\0\1\0\0", "\1\5\0\1\0\1\0\0", "\1\x9\0\0\0\1\0\0",
                                       "\1\6\0\2\0\1\0\0", "\1\6\1\1\0\1\0\0", "\1\xa\0\1\0\1\0\0",
                                       "\1\0\0\1\0\1\0\0", "\1\xc\0\0\0\1\0\0", "\1\xa\0\0\4\1\0\0"};

START_TEST(nonsense_is_refused)
{
    struct fcgi_reader reader = {0};
    struct fcgi_piece piece;
    size_t taken;

    ck_assert_int_eq(fcgi_read(&reader, (const unsigned char *)nonsense[_i], FCGI_HEADER_LEN,
                               &taken, &piece), -1);
    ck_assert_int_eq(errno, EBADMSG);
}
END_TEST

int main(void)
{
    const int count = (int)(sizeof(nonsense) / sizeof(*nonsense));
    TCase *tests = tcase_create("fcgi_protocol");
    Suite *suite = suite_create("fcgi_protocol");

    tcase_add_test(tests, a_request_begins_so);
    tcase_add_test(tests, a_question_belongs_to_the_connection);
    tcase_add_test(tests, a_pair_is_in_one_record);
    tcase_add_test(tests, a_longer_one_goes_on_in_the_next_record);
    tcase_add_test(tests, what_is_too_long_is_an_error);
    tcase_add_loop_test(tests, an_answer_is_read_however_it_comes, 0, 60);
    tcase_add_test(tests, a_record_that_is_cut_is_not_between);
    tcase_add_loop_test(tests, nonsense_is_refused, 0, count);
    suite_add_tcase(suite, tests);
    return door_test_run(suite);
}
