/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * support.c: see support.h.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "door_test_run.h"
#include "support.h"

void message_begin(struct message *message)
{
    door_wire_begin(&message->writer, message->bytes, sizeof(message->bytes));
}

void message_field(struct message *message, enum door_wire_type type, const char *name,
                   const char *value)
{
    door_wire_field(&message->writer, type, name, strlen(name), value, strlen(value));
}

void message_end(struct message *message, enum door_wire_kind kind, unsigned status,
                 const void *body, size_t body_len)
{
    message->len = door_wire_end(&message->writer, kind, status, 0, body_len);
    ck_assert_uint_gt(message->len, 0);
    ck_assert_uint_le(message->len + body_len, sizeof(message->bytes));
    if (body_len > 0)
        memcpy(message->bytes + message->len, body, body_len);
    message->len += body_len;
}

void message_get(struct message *message, const char *script_name, const char *path_info)
{
    message_begin(message);
    message_field(message, DOOR_WIRE_METHOD, "", "GET");
    message_field(message, DOOR_WIRE_SCRIPT_NAME, "", script_name);
    message_field(message, DOOR_WIRE_PATH_INFO, "", path_info);
    message_end(message, DOOR_WIRE_REQUEST, 0, NULL, 0);
}

void ask(struct door_app *app, const struct message *message, struct answer *answer)
{
    door_rt_answer(app, message->bytes, message->len, -1, &answer->answer);
    ck_assert_uint_gt(answer->answer.len, 0);
    ck_assert_int_eq(door_wire_read(&answer->reader, DOOR_WIRE_RESPONSE, answer->answer.bytes,
                                    answer->answer.len), 0);
}

const char *answer_header(const struct answer *answer, const char *name, unsigned number)
{
    struct door_wire_reader reader = answer->reader;
    struct door_wire_field field;

    while (door_wire_next(&reader, &field)) {
        if (field.type == DOOR_WIRE_HEADER && strcmp(field.name, name) == 0 && number-- == 0)
            return field.value;
    }
    return NULL;
}

void assert_body(const struct answer *answer, const char *text)
{
    ck_assert_uint_eq(answer->reader.body_len, strlen(text));
    ck_assert_int_eq(memcmp(answer->reader.body, text, strlen(text)), 0);
}

void begin_capture(struct capture *capture)
{
    char name[] = "/tmp/door_app.XXXXXX";

    capture->file = mkstemp(name);
    ck_assert_int_ne(capture->file, -1);
    unlink(name);
    capture->saved = dup(STDERR_FILENO);
    ck_assert_int_ne(dup2(capture->file, STDERR_FILENO), -1);
}

void end_capture(struct capture *capture)
{
    ssize_t len = pread(capture->file, capture->text, sizeof(capture->text) - 1, 0);

    ck_assert_int_ne(len, -1);
    capture->text[len] = '\0';
    dup2(capture->saved, STDERR_FILENO);
    close(capture->saved);
    close(capture->file);
}

int run_tests(TCase *tests)
{
    Suite *suite = suite_create("door_app");

    suite_add_tcase(suite, tests);
    return door_test_run(suite);
}
