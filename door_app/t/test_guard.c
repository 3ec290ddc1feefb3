/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_guard.c: whether requests may pass: which handler says so, and what httpd hears.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

static struct door_app *app;

static void setup(void)
{
    app = door_app_create();
}

/* The status of the answer to that question about /a/b; *role is what it says it answers. */
static unsigned ask_role(const char *asked, char role[64])
{
    struct door_wire_field field;
    struct message message;
    static struct answer answer;

    message_begin(&message);
    message_field(&message, DOOR_WIRE_METHOD, "", "GET");
    message_field(&message, DOOR_WIRE_SCRIPT_NAME, "", "/a/b");
    message_field(&message, DOOR_WIRE_ROLE, "", asked);
    message_field(&message, DOOR_WIRE_ENV, "REMOTE_PASSWD", "secret");
    message_end(&message, DOOR_WIRE_REQUEST, 0, NULL, 0);
    ask(app, &message, &answer);
    ck_assert_uint_eq(answer.reader.kind, DOOR_WIRE_RESPONSE);
    role[0] = '\0';
    for (struct door_wire_reader reader = answer.reader; door_wire_next(&reader, &field);)
        if (field.type == DOOR_WIRE_ROLE)
            snprintf(role, 64, "%s", field.value);
    return answer.reader.status;
}

static void let_in(struct door_app_request *req, void *data)
{
    ck_assert_str_eq(door_app_path(req), "/a/b");
    ck_assert_str_eq(door_app_cgi(req, "REMOTE_PASSWD"), "secret");
    door_app_printf(req, "nobody reads this");
    ck_assert_int_eq(door_app_status(req, *(int *)data), 0);
}

static void say_nothing(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_printf(req, "come in");
}

static void begin_anew(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_status(req, 200);
    ck_assert_int_eq(door_app_reset(req), 0);
}

/* Asks until the caller no longer waits. */
static void wait_for_the_end(struct door_app_request *req, void *data)
{
    int *rounds = data;

    while (*rounds < 300 && door_app_client_gone(req) == DOOR_APP_CLIENT_HERE) {
        (*rounds)++;
        usleep(10000);
    }
}

/* Which of a question's times is over; _i: is there any? */
START_TEST(a_handler_sees_that_its_time_is_over)
{
    static const char *const times[] = {"", "x", "9999999", "60"};
    struct message message;
    static struct answer answer;
    int rounds = _i < 3 ? 290 : 0; /* the first three are not over soon */

    door_app_guard(app, DOOR_APP_AUTHORIZER, wait_for_the_end, &rounds);
    message_begin(&message);
    message_field(&message, DOOR_WIRE_METHOD, "", "GET");
    message_field(&message, DOOR_WIRE_SCRIPT_NAME, "", "/a/b");
    message_field(&message, DOOR_WIRE_ROLE, "", DOOR_WIRE_AUTHORIZER);
    if (_i > 0)
        message_field(&message, DOOR_WIRE_WAIT_MS, "", times[_i]);
    message_end(&message, DOOR_WIRE_REQUEST, 0, NULL, 0);
    for (int i = 0; i < 50 && (_i < 3 ? i == 0 : rounds == 0); i++)
        ask(app, &message, &answer); /* all of 60 ms may be over before the handler begins */
    if (_i < 3)
        ck_assert_int_eq(rounds, 300);
    else
        ck_assert(rounds > 0 && rounds < 300);
}
END_TEST

static void count_calls(struct door_app_request *req, void *data)
{
    ++*(int *)data;
    door_app_status(req, 200);
}

/* What no handler of a request would see. */
START_TEST(too_many_headers_are_refused)
{
    static struct message message;
    static struct answer answer;
    int calls = 0;

    door_app_guard(app, DOOR_APP_ACCESS_CHECKER, count_calls, &calls);
    for (int extra = 0; extra <= 1; extra++) {
        message_begin(&message);
        message_field(&message, DOOR_WIRE_ROLE, "", DOOR_WIRE_ACCESS_CHECKER);
        for (int i = 0; i < DOOR_APP_FIELDS_MAX + extra; i++)
            message_field(&message, DOOR_WIRE_HEADER, "A", "");
        message_end(&message, DOOR_WIRE_REQUEST, 0, NULL, 0);
        ask(app, &message, &answer);
        ck_assert_uint_eq(answer.reader.status, extra ? 431 : 200);
        ck_assert_int_eq(calls, 1);
    }
}
END_TEST

static struct {
    _Atomic int is_in; /* a handler runs */
    _Atomic int calls;
} slow;

static void take_long(struct door_app_request *req, void *data)
{
    (void)data;
    slow.is_in = 1;
    if (slow.calls++ == 0)
        usleep(300000);
    door_app_status(req, 200);
}

/* A question with 100 ms, where one at a time is answered. */
static void *ask_in_line(void *data)
{
    struct message message;
    struct answer *answer = data;

    message_begin(&message);
    message_field(&message, DOOR_WIRE_ROLE, "", DOOR_WIRE_AUTHORIZER);
    message_field(&message, DOOR_WIRE_WAIT_MS, "", "100");
    message_field(&message, DOOR_WIRE_MAX_CONCURRENT, "", "1");
    message_field(&message, DOOR_WIRE_QUEUE_LENGTH, "", "1");
    message_field(&message, DOOR_WIRE_QUEUE_TIMEOUT, "", "60000");
    message_end(&message, DOOR_WIRE_REQUEST, 0, NULL, 0);
    ask(app, &message, answer);
    return NULL;
}

/* The time of a question begins when it comes, and not when its turn comes. */
START_TEST(who_waits_no_longer_is_not_answered)
{
    static struct answer first, second;
    struct door_wire_field field;
    pthread_t thread;

    door_app_guard(app, DOOR_APP_AUTHORIZER, take_long, NULL);
    ck_assert_int_eq(pthread_create(&thread, NULL, ask_in_line, &first), 0);
    while (!slow.is_in)
        usleep(1000);
    ask_in_line(&second);
    pthread_join(thread, NULL);
    ck_assert_int_eq(slow.calls, 1);
    while (door_wire_next(&second.reader, &field))
        ck_assert_int_ne(field.type, DOOR_WIRE_ROLE); /* that would be an answer */
}
END_TEST

START_TEST(the_role_tells_the_handler)
{
    static int in = 200, out = 404;
    char role[64];

    ck_assert_int_eq(door_app_guard(app, DOOR_APP_AUTHENTICATOR, let_in, &in), 0);
    ck_assert_int_eq(door_app_guard(app, DOOR_APP_AUTHORIZER, let_in, &out), 0);
    ck_assert_uint_eq(ask_role(DOOR_WIRE_AUTHENTICATOR, role), 200);
    ck_assert_str_eq(role, DOOR_WIRE_AUTHENTICATOR);
    ck_assert_uint_eq(ask_role(DOOR_WIRE_AUTHORIZER, role), 404);
    ck_assert_str_eq(role, DOOR_WIRE_AUTHORIZER);
}
END_TEST

/* Of what does not answer the question httpd must not think that it does. */
START_TEST(no_handler_is_no_answer)
{
    static int in = 200;
    char role[64];

    door_app_handle(app, "/", say_nothing, NULL);
    door_app_guard(app, DOOR_APP_AUTHENTICATOR, let_in, &in);
    ck_assert_uint_eq(ask_role(DOOR_WIRE_ACCESS_CHECKER, role), 501);
    ck_assert_str_eq(role, "");
    ck_assert_uint_eq(ask_role("another", role), 501);
    ck_assert_str_eq(role, "");
}
END_TEST

START_TEST(only_a_yes_lets_in)
{
    char role[64];

    door_app_guard(app, DOOR_APP_AUTHENTICATOR, say_nothing, NULL);
    door_app_guard(app, DOOR_APP_AUTHORIZER, begin_anew, NULL);
    ck_assert_uint_eq(ask_role(DOOR_WIRE_AUTHENTICATOR, role), 403);
    ck_assert_str_eq(role, DOOR_WIRE_AUTHENTICATOR);
    ck_assert_uint_eq(ask_role(DOOR_WIRE_AUTHORIZER, role), 403);
}
END_TEST

START_TEST(mistakes)
{
    ck_assert_int_eq(door_app_guard(app, DOOR_APP_ACCESS_CHECKER, NULL, NULL), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(door_app_guard(app, (enum door_app_role)3, say_nothing, NULL), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(door_app_guard(app, DOOR_APP_ACCESS_CHECKER, say_nothing, NULL), 0);
    ck_assert_int_eq(door_app_guard(app, DOOR_APP_ACCESS_CHECKER, say_nothing, NULL), -1);
    ck_assert_int_eq(errno, EEXIST);
    ck_assert_int_eq(door_app_guard(NULL, DOOR_APP_ACCESS_CHECKER, say_nothing, NULL), -1);
    ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("guard");

    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, the_role_tells_the_handler);
    tcase_add_loop_test(tests, a_handler_sees_that_its_time_is_over, 0, 4);
    tcase_add_test(tests, too_many_headers_are_refused);
    tcase_add_test(tests, who_waits_no_longer_is_not_answered);
    tcase_add_test(tests, no_handler_is_no_answer);
    tcase_add_test(tests, only_a_yes_lets_in);
    tcase_add_test(tests, mistakes);
    return run_tests(tests);
}
