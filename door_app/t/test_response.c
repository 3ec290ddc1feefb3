/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_response.c: what becomes of a handler's status, headers and body, and
 * of the thread's memory afterwards.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

typedef void write_function(struct door_app_request *req);

static void call(struct door_app_request *req, void *data)
{
    (*(write_function **)data)(req);
}

static void answer_by(write_function *function, struct answer *answer)
{
    struct door_app *app = door_app_create();
    struct message message;

    door_app_handle(app, "/", call, &function);
    message_get(&message, "", "/");
    ask(app, &message, answer);
    door_app_destroy(app);
}

static void do_nothing(struct door_app_request *req)
{
    (void)req;
}

/* Fields that an answer has, besides the one that says who has served. */
static uint32_t field_count(const struct answer *answer)
{
    return answer->reader.remaining - 1;
}

START_TEST(no_answer_is_an_empty_one)
{
    struct answer answer;

    answer_by(do_nothing, &answer);
    ck_assert_uint_eq(answer.reader.status, 200);
    ck_assert_uint_eq(field_count(&answer), 0);
    ck_assert_uint_eq(answer.reader.body_len, 0);
}
END_TEST

static unsigned long number;

static void take_number(struct door_app_request *req)
{
    number = door_app_thread_number(req);
}

START_TEST(who_has_served_is_told)
{
    int64_t before = door_now_ns();
    struct door_wire_field field;
    struct answer answer;
    char *rest;
    int64_t begun;

    answer_by(take_number, &answer);
    do
        ck_assert_int_eq(door_wire_next(&answer.reader, &field), 1);
    while (field.type != DOOR_WIRE_SERVED);
    ck_assert_uint_eq(strtoul(field.value, &rest, 10), number);
    ck_assert_uint_gt(number, 0);
    ck_assert_int_eq(*rest, ' ');
    begun = strtoll(rest, &rest, 10);
    ck_assert_int_eq(*rest, '\0');
    ck_assert_int_ge(begun, before);
    ck_assert_int_le(begun, door_now_ns());
}
END_TEST

static void set_status(struct door_app_request *req)
{
    static const int refused[] = {0, -1, 100, 101, 199, 600, 999, 65736};

    ck_assert_int_eq(door_app_status(req, 200), 0);
    ck_assert_int_eq(door_app_status(req, 599), 0);
    ck_assert_int_eq(door_app_status(req, 418), 0);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        errno = 0;
        ck_assert_int_eq(door_app_status(req, refused[i]), -1);
        ck_assert_int_eq(errno, EINVAL);
    }
}

START_TEST(the_last_good_status_counts)
{
    struct answer answer;

    answer_by(set_status, &answer);
    ck_assert_uint_eq(answer.reader.status, 418);
}
END_TEST

static void set_200(struct door_app_request *req)
{
    ck_assert_int_eq(door_app_status(req, 200), 0);
}

static int says_own_status(const struct answer *answer)
{
    struct door_wire_reader reader = answer->reader;
    struct door_wire_field field;

    while (door_wire_next(&reader, &field))
        if (field.type == DOOR_WIRE_OWN_STATUS)
            return 1;
    return 0;
}

/* As the page for an error that is something else than a 200 that nobody has set. */
START_TEST(that_200_was_set_is_told)
{
    struct answer answer;

    answer_by(set_200, &answer);
    ck_assert_uint_eq(answer.reader.status, 200);
    ck_assert(says_own_status(&answer));
    answer_by(do_nothing, &answer);
    ck_assert(!says_own_status(&answer));
}
END_TEST

static void set_headers(struct door_app_request *req)
{
    ck_assert_int_eq(door_app_header_add(req, "X-A", "first"), 0);
    ck_assert_int_eq(door_app_header_add(req, "x-a", "second"), 0);
    ck_assert_int_eq(door_app_header_set(req, "X-a", "only"), 0);
    ck_assert_int_eq(door_app_header_add(req, "Set-Cookie", "a=1"), 0);
    ck_assert_int_eq(door_app_header_add(req, "X-Gone", "x"), 0);
    ck_assert_int_eq(door_app_header_add(req, "Set-Cookie", "b=2"), 0);
    ck_assert_int_eq(door_app_header_set(req, "x-gone", NULL), 0);
    ck_assert_int_eq(door_app_header_set(req, "X-Never", NULL), 0);
    ck_assert_int_eq(door_app_header_set(req, "X-Empty", ""), 0);
    ck_assert_int_eq(door_app_header_set(req, "X-Tab", "a\tb \x80\xff"), 0);
    ck_assert_int_eq(door_app_header_set(req, "!#$%&'*+-.^_`|~09azAZ", "token"), 0);
    ck_assert_int_eq(door_app_content_type(req, "text/html"), 0);
    ck_assert_int_eq(door_app_content_type(req, "image/png"), 0);
    ck_assert_int_eq(door_app_write(req, "x", 1), 0);
}

START_TEST(headers_are_set_added_and_taken_away)
{
    struct answer answer;

    answer_by(set_headers, &answer);
    ck_assert_uint_eq(field_count(&answer), 7);
    ck_assert_str_eq(answer_header(&answer, "X-a", 0), "only");
    ck_assert_str_eq(answer_header(&answer, "Set-Cookie", 0), "a=1");
    ck_assert_str_eq(answer_header(&answer, "Set-Cookie", 1), "b=2");
    ck_assert_str_eq(answer_header(&answer, "X-Empty", 0), "");
    ck_assert_str_eq(answer_header(&answer, "X-Tab", 0), "a\tb \x80\xff");
    ck_assert_str_eq(answer_header(&answer, "!#$%&'*+-.^_`|~09azAZ", 0), "token");
    ck_assert_str_eq(answer_header(&answer, "Content-Type", 0), "image/png");
    ck_assert_ptr_null(answer_header(&answer, "Content-Type", 1));
}
END_TEST

static void assert_bad_header(struct door_app_request *req, const char *name, const char *value)
{
    errno = 0;
    ck_assert_int_eq(door_app_header_set(req, name, value), -1);
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    ck_assert_int_eq(door_app_header_add(req, name, value), -1);
    ck_assert_int_eq(errno, EINVAL);
}

static void set_bad_headers(struct door_app_request *req)
{
    static char long_name[UINT16_MAX + 2];
    char name[] = "X?Y";
    char value[] = "a?b";

    memset(long_name, 'n', sizeof(long_name) - 1);
    ck_assert_int_eq(door_app_header_set(req, "X-Kept", "kept"), 0);
    assert_bad_header(req, "X-Kept", "a\r\nSet-Cookie: stolen=1");
    assert_bad_header(req, "", "x");
    assert_bad_header(req, NULL, "x");
    assert_bad_header(req, "Space ", "x");
    assert_bad_header(req, "Colon:", "x");
    assert_bad_header(req, "Line\r\nEnd", "x");
    assert_bad_header(req, "Uml\xc3\xa4ut", "x");
    assert_bad_header(req, long_name, "x");
    ck_assert_int_eq(door_app_header_set(req, "Not Valid", NULL), -1);
    ck_assert_int_eq(door_app_header_add(req, "X-Null", NULL), -1);
    for (int c = 1; c < 0x80; c++) {
        value[1] = (char)c;
        if ((c < ' ' && c != '\t') || c == 0x7f)
            assert_bad_header(req, "X-Bad", value);
        name[1] = (char)c;
        if (strchr("()<>@,;:\\\"/[]?={} \t\r\n", c) != NULL || c < ' ' || c == 0x7f)
            assert_bad_header(req, name, "x");
    }
}

START_TEST(bad_headers_change_nothing)
{
    struct answer answer;

    answer_by(set_bad_headers, &answer);
    ck_assert_uint_eq(answer.reader.status, 200);
    ck_assert_uint_eq(field_count(&answer), 1);
    ck_assert_str_eq(answer_header(&answer, "X-Kept", 0), "kept");
}
END_TEST

static void write_pieces(struct door_app_request *req)
{
    door_app_write(req, "a\0b", 3);
    door_app_write(req, NULL, 0);
    ck_assert_int_eq(door_app_printf(req, "[%s %d]", "c", 7), 0);
    ck_assert_int_eq(door_app_printf(req, "%s", ""), 0);
    door_app_write(req, "d", 1);
}

START_TEST(pieces_of_the_body_are_joined)
{
    struct answer answer;

    answer_by(write_pieces, &answer);
    ck_assert_uint_eq(answer.reader.body_len, 9);
    ck_assert_mem_eq(answer.reader.body, "a\0b[c 7]d", 9);
    ck_assert_str_eq(answer_header(&answer, "Content-Type", 0), "text/plain; charset=utf-8");
}
END_TEST

#define MUCH 3000000

static void write_much(struct door_app_request *req)
{
    char line[101];

    memset(line, 'w', sizeof(line));
    for (size_t left = MUCH; left > 0;) {
        size_t len = left < sizeof(line) ? left : sizeof(line);

        ck_assert_int_eq(door_app_write(req, line, len), 0);
        left -= len;
    }
}

static size_t count_letters(const struct answer *answer, char letter)
{
    size_t count = 0;

    for (size_t i = 0; i < answer->reader.body_len; i++)
        count += answer->reader.body[i] == letter;
    return count;
}

START_TEST(the_body_grows)
{
    struct answer answer;

    answer_by(write_much, &answer);
    ck_assert_uint_eq(answer.reader.body_len, MUCH);
    ck_assert_uint_eq(count_letters(&answer, 'w'), MUCH);
}
END_TEST

/* Around every size at which printf() has to ask for room. */
static size_t printed_len;

static void print_much(struct door_app_request *req)
{
    char *text = malloc(printed_len + 1);

    memset(text, 'p', printed_len);
    text[printed_len] = '\0';
    ck_assert_int_eq(door_app_printf(req, "%s", text), 0);
    ck_assert_int_eq(door_app_printf(req, "%s", "!"), 0);
    free(text);
}

START_TEST(printf_takes_the_room_it_needs)
{
    static const size_t near[] = {(16 << 10) - DOOR_RT_HEAD_ROOM, (32 << 10) - DOOR_RT_HEAD_ROOM,
                                  1 << 20};
    struct answer answer;

    for (size_t i = 0; i < 3; i++) {
        for (printed_len = near[i] - 3; printed_len < near[i] + 4; printed_len++) {
            answer_by(print_much, &answer);
            ck_assert_uint_eq(answer.reader.body_len, printed_len + 1);
            ck_assert_uint_eq(count_letters(&answer, 'p'), printed_len);
            ck_assert_int_eq(answer.reader.body[printed_len], '!');
        }
    }
}
END_TEST

static void refused(struct door_app_request *req, size_t len)
{
    errno = 0;
    ck_assert_int_eq(door_app_commit(req, len), -1);
    ck_assert_int_eq(errno, EINVAL);
}

/* Room is there until something else is done with the body. */
static void write_in_place(struct door_app_request *req)
{
    size_t room = 0;
    char *at;

    refused(req, 1);
    ck_assert_ptr_null(door_app_reserve(req, 0, &room));
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_ptr_null(door_app_reserve(req, DOOR_APP_RESERVE_MAX + 1, &room));
    ck_assert_int_eq(errno, EINVAL);
    at = door_app_reserve(req, 3, &room);
    ck_assert_uint_ge(room, 3);
    memcpy(at, "abc?", 4);
    refused(req, room + 1);
    ck_assert_int_eq(door_app_commit(req, 3), 0);
    refused(req, 1);
    ck_assert_ptr_eq(door_app_reserve(req, 1, NULL), at + 3);
    ck_assert_int_eq(door_app_printf(req, "def"), 0);
    refused(req, 1);
    memcpy(door_app_reserve(req, 3, NULL), "ghi", 3);
    ck_assert_int_eq(door_app_write(req, "jkl", 3), 0);
    refused(req, 3);
    ck_assert_ptr_nonnull(door_app_reserve(req, 1, NULL));
    ck_assert_int_eq(door_app_commit(req, 0), 0);
}

static void write_in_place_and_reset(struct door_app_request *req)
{
    memcpy(door_app_reserve(req, 3, NULL), "abc", 3);
    ck_assert_int_eq(door_app_reset(req), 0);
    refused(req, 3);
    ck_assert_int_eq(door_app_printf(req, "new"), 0);
}

START_TEST(a_body_is_made_in_place)
{
    struct answer answer;

    answer_by(write_in_place, &answer);
    assert_body(&answer, "abcdefjkl");
    answer_by(write_in_place_and_reset, &answer);
    assert_body(&answer, "new");
}
END_TEST

/* In steps of up to DOOR_APP_RESERVE_MAX, and as much as there is room for. */
static void make_much(struct door_app_request *req)
{
    size_t left = MUCH, room;

    for (size_t wanted = 1; left > 0; wanted = wanted * 3 % DOOR_APP_RESERVE_MAX + 1) {
        char *at = door_app_reserve(req, wanted, &room);
        size_t len = wanted % 2 ? wanted : room;

        ck_assert_ptr_nonnull(at);
        ck_assert_uint_ge(room, wanted);
        memset(at, 'x', room);
        len = len < left ? len : left;
        memset(at, 'm', len);
        ck_assert_int_eq(door_app_commit(req, len), 0);
        left -= len;
    }
}

START_TEST(a_long_body_is_made_in_place)
{
    struct answer answer;

    answer_by(make_much, &answer);
    ck_assert_uint_eq(answer.reader.body_len, MUCH);
    ck_assert_uint_eq(count_letters(&answer, 'm'), MUCH);
}
END_TEST

static void make_more_than_promised(struct door_app_request *req)
{
    ck_assert_int_eq(door_app_header_set(req, "Content-Length", "5"), 0);
    memcpy(door_app_reserve(req, 7, NULL), "1234567", 7);
    errno = 0;
    ck_assert_int_eq(door_app_commit(req, 7), -1);
    ck_assert_int_eq(errno, EMSGSIZE);
    errno = 0;
    ck_assert_int_eq(door_app_printf(req, "8"), -1);
    ck_assert_int_eq(errno, EMSGSIZE);
}

START_TEST(in_place_no_more_is_taken_than_promised)
{
    struct answer answer;

    answer_by(make_more_than_promised, &answer);
    assert_body(&answer, "12345");
    ck_assert_uint_eq(answer.reader.flags, DOOR_WIRE_EXCESS);
}
END_TEST

static size_t value_len;

static void set_long_header(struct door_app_request *req)
{
    char *value = malloc(value_len + 1);

    memset(value, 'v', value_len);
    value[value_len] = '\0';
    ck_assert_int_eq(door_app_header_set(req, "X-Long", value), 0);
    ck_assert_int_eq(door_app_write(req, "body", 4), 0);
    free(value);
}

/* From heads that fit in front of the body to those that do not. */
START_TEST(long_heads_find_their_place)
{
    struct answer answer;

    for (value_len = 0; value_len < 40000; value_len += value_len < 1100 ? 1 : 4999) {
        answer_by(set_long_header, &answer);
        ck_assert_uint_eq(strlen(answer_header(&answer, "X-Long", 0)), value_len);
        assert_body(&answer, "body");
    }
}
END_TEST

/* A part of an answer must not pass for the whole. */
static void run_out_of_memory(struct door_app_request *req)
{
    ck_assert_int_eq(door_app_write(req, "part", 4), 0);
    errno = 0;
    ck_assert_int_eq(door_app_write(req, "x", SIZE_MAX / 2), -1);
    ck_assert_int_eq(errno, ENOMEM);
    errno = 0;
    ck_assert_int_eq(door_app_write(req, "rest", 4), -1); /* the response is lost already */
    ck_assert_int_eq(errno, ENOMEM);
}

START_TEST(out_of_memory_is_told)
{
    write_function *function = run_out_of_memory;
    struct door_app *app = door_app_create();
    struct message message;
    struct answer answer;

    door_app_handle(app, "/", call, &function);
    message_get(&message, "", "/");
    door_rt_answer(app, message.bytes, message.len, -1, &answer.answer);
    ck_assert_int_eq(door_wire_read(&answer.reader, DOOR_WIRE_END, answer.answer.bytes,
                                    answer.answer.len), 0);
    ck_assert_uint_eq(answer.reader.flags, DOOR_WIRE_FAILED);
    ck_assert_uint_eq(answer.reader.status, ENOMEM);
    door_app_destroy(app);
}
END_TEST

START_TEST(a_thread_gives_back_what_it_grew)
{
    struct door_rt_thread *thread = door_rt_thread();
    struct answer answer;

    answer_by(write_much, &answer);
    ck_assert_uint_gt(thread->body.cap, MUCH);
    answer_by(do_nothing, &answer);
    ck_assert_uint_lt(thread->body.cap, DOOR_RT_KEEP_MAX);
    value_len = 5000000;
    answer_by(set_long_header, &answer);
    answer_by(do_nothing, &answer);
    ck_assert_uint_lt(thread->body.cap, DOOR_RT_KEEP_MAX);
    ck_assert_uint_eq(door_app_thread_count(), 1);
    ck_assert_uint_eq(thread->number, 1);
}
END_TEST

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>

/* Only in a build with AddressSanitizer is there anything to be seen. */
START_TEST(blocks_have_red_zones)
{
    struct door_rt_arena arena = {NULL};
    char *first = door_rt_alloc(&arena, 13);
    char *second = door_rt_alloc(&arena, 16);

    ck_assert(!__asan_address_is_poisoned(first + 12));
    ck_assert(__asan_address_is_poisoned(first + 13));
    ck_assert(__asan_address_is_poisoned(second - 1));
    ck_assert(!__asan_address_is_poisoned(second + 15));
    ck_assert(__asan_address_is_poisoned(second + 16));
    door_rt_arena_reset(&arena);
    ck_assert(__asan_address_is_poisoned(first));
    door_rt_arena_free(&arena);
}
END_TEST
#endif

START_TEST(an_arena_gives_aligned_memory)
{
    struct door_rt_arena arena = {NULL};
    char *pieces[200];

    for (size_t i = 0; i < 200; i++) {
        pieces[i] = door_rt_alloc(&arena, i * 7);
        ck_assert_uint_eq((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        memset(pieces[i], (int)i, i * 7);
    }
    for (size_t i = 0; i < 200; i++) {
        size_t j = 0;

        while (j < i * 7 && (unsigned char)pieces[i][j] == i)
            j++;
        ck_assert_uint_eq(j, i * 7);
    }
    ck_assert_ptr_null(door_rt_alloc(&arena, SIZE_MAX));
    ck_assert_ptr_null(door_rt_copy(&arena, "", SIZE_MAX));
    door_rt_arena_reset(&arena);
    ck_assert_ptr_nonnull(arena.chunks);
    ck_assert_ptr_nonnull(door_rt_alloc(&arena, DOOR_RT_KEEP_MAX + 1));
    door_rt_arena_reset(&arena);
    ck_assert_ptr_null(arena.chunks);
    ck_assert_ptr_nonnull(door_rt_alloc(&arena, 1));
    door_rt_arena_free(&arena);
    ck_assert_ptr_null(arena.chunks);
    door_rt_arena_reset(&arena);
}
END_TEST

static void give_up(struct door_app_request *req)
{
    ck_assert_int_eq(door_app_printf(req, "a part"), 0);
    ck_assert_int_eq(door_app_fail(req), 0);
    ck_assert_int_eq(door_app_printf(req, "more"), -1);
    ck_assert_int_eq(errno, ECANCELED);
}

static void make_what_is_given_up(struct door_app_request *req)
{
    ck_assert_ptr_nonnull(door_app_reserve(req, 1, NULL));
    ck_assert_int_eq(door_app_fail(req), 0);
    errno = 0;
    ck_assert_int_eq(door_app_commit(req, 1), -1);
    ck_assert_int_eq(errno, ECANCELED);
    ck_assert_ptr_null(door_app_reserve(req, 1, NULL));
    ck_assert_int_eq(errno, ECANCELED);
    ck_assert_int_eq(door_app_reset(req), -1);
}

/* What is printed behind a file, if that is nothing, does not have the file sent. */
static void send_a_file_and_print(struct door_app_request *req)
{
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    close(fds[1]);
    ck_assert_ptr_nonnull(door_app_reserve(req, 1, NULL));
    ck_assert_int_eq(door_app_send_fd(req, fds[0], 0, -1), 0);
    refused(req, 1);
    ck_assert_int_eq(door_app_printf(req, "%s", ""), 0);
    ck_assert_int_eq(door_app_header_set(req, "X-Late", "yes"), 0);
    errno = 0;
    ck_assert_int_eq(door_app_printf(req, "more"), -1); /* without a response door */
    ck_assert_int_eq(errno, ENOTSUP);
    ck_assert_int_eq(door_app_fail(req), 0);
}

static write_function *const giving_up[] = {give_up, make_what_is_given_up, send_a_file_and_print};

START_TEST(what_is_given_up_is_no_answer)
{
    write_function *function = giving_up[_i];
    struct door_app *app = door_app_create();
    struct message message;
    struct answer answer;

    door_app_handle(app, "/", call, &function);
    message_get(&message, "", "/");
    door_rt_answer(app, message.bytes, message.len, -1, &answer.answer);
    ck_assert_int_eq(door_wire_read(&answer.reader, DOOR_WIRE_END, answer.answer.bytes,
                                    answer.answer.len), 0);
    door_app_destroy(app);
    ck_assert_uint_eq(answer.reader.status, ECANCELED);
    ck_assert_uint_eq(answer.reader.flags, DOOR_WIRE_FAILED);
    ck_assert_int_eq(door_app_fail((struct door_app_request *)1), -1);
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("response");

    tcase_add_test(tests, no_answer_is_an_empty_one);
    tcase_add_test(tests, who_has_served_is_told);
    tcase_add_test(tests, the_last_good_status_counts);
    tcase_add_test(tests, that_200_was_set_is_told);
    tcase_add_test(tests, headers_are_set_added_and_taken_away);
    tcase_add_test(tests, bad_headers_change_nothing);
    tcase_add_test(tests, pieces_of_the_body_are_joined);
    tcase_add_test(tests, the_body_grows);
    tcase_add_test(tests, printf_takes_the_room_it_needs);
    tcase_add_test(tests, a_body_is_made_in_place);
    tcase_add_test(tests, a_long_body_is_made_in_place);
    tcase_add_test(tests, in_place_no_more_is_taken_than_promised);
    tcase_add_test(tests, long_heads_find_their_place);
    tcase_add_loop_test(tests, what_is_given_up_is_no_answer, 0, 3);
    tcase_add_test(tests, out_of_memory_is_told);
    tcase_add_test(tests, a_thread_gives_back_what_it_grew);
    tcase_add_test(tests, an_arena_gives_aligned_memory);
#ifdef __SANITIZE_ADDRESS__
    tcase_add_test(tests, blocks_have_red_zones);
#endif
    return run_tests(tests);
}
