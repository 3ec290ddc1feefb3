/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_request.c: what a handler is told: parts, headers, body and CGI/1.1
 * variables.  The assertions run inside the handler.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

typedef void look_function(struct door_app_request *req);

static int looked;

static void look(struct door_app_request *req, void *data)
{
    (*(look_function **)data)(req);
    looked++;
}

/* Has the function look at the message, as a handler. */
static void show(const struct message *message, look_function *function)
{
    struct door_app *app = door_app_create();
    struct answer answer;

    looked = 0;
    door_app_handle(app, "/", look, &function);
    ask(app, message, &answer);
    ck_assert_int_eq(looked, 1);
    ck_assert_uint_eq(answer.reader.status, 200);
    door_app_destroy(app);
}

static void add_header(struct message *message, const char *name, const char *value)
{
    message_field(message, DOOR_WIRE_HEADER, name, value);
}

static void end_request(struct message *message, const char *body)
{
    message_end(message, DOOR_WIRE_REQUEST, 0, body, strlen(body));
}

static void assert_cgi(struct door_app_request *req, const char *name, const char *value)
{
    const char *is = door_app_cgi(req, name);

    if (value != NULL) {
        ck_assert_ptr_nonnull(is);
        ck_assert_str_eq(is, value);
    } else {
        ck_assert_ptr_null(is);
        ck_assert_int_eq(errno, ENOENT);
    }
}

/* ---------------------------------------------------------------- parts */

static void look_at_parts(struct door_app_request *req)
{
    size_t len;
    const char *body = door_app_body(req, SIZE_MAX, &len);

    ck_assert_str_eq(door_app_method(req), "POST");
    ck_assert_str_eq(door_app_path(req), "/shop/cart/7");
    ck_assert_str_eq(door_app_script_name(req), "/shop");
    ck_assert_str_eq(door_app_path_info(req), "/cart/7");
    ck_assert_str_eq(door_app_query(req), "a=1&b=%20");
    ck_assert_str_eq(door_app_remote_addr(req), "192.0.2.7");
    ck_assert_uint_eq(len, 4);
    ck_assert_mem_eq(body, "body", 4);
}

START_TEST(parts_are_there)
{
    struct message message;

    message_begin(&message);
    message_field(&message, DOOR_WIRE_REMOTE_ADDR, "", "192.0.2.7");
    message_field(&message, DOOR_WIRE_QUERY, "", "a=1&b=%20");
    message_field(&message, DOOR_WIRE_METHOD, "", "POST");
    message_field(&message, DOOR_WIRE_METHOD, "", "second ones are not looked at");
    message_field(&message, (enum door_wire_type)999, "later", "versions");
    message_field(&message, DOOR_WIRE_SCRIPT_NAME, "", "/shop");
    message_field(&message, DOOR_WIRE_PATH_INFO, "", "/cart/7");
    end_request(&message, "body");
    show(&message, look_at_parts);
}
END_TEST

static void look_at_nothing(struct door_app_request *req)
{
    const char *name;
    const char *value;
    size_t position = 0;
    size_t len = 1;

    ck_assert_str_eq(door_app_method(req), "");
    ck_assert_str_eq(door_app_path(req), "");
    ck_assert_str_eq(door_app_script_name(req), "");
    ck_assert_str_eq(door_app_path_info(req), "");
    ck_assert_str_eq(door_app_query(req), "");
    ck_assert_str_eq(door_app_remote_addr(req), "");
    ck_assert_ptr_nonnull(door_app_body(req, SIZE_MAX, &len));
    ck_assert_uint_eq(len, 0);
    ck_assert_ptr_null(door_app_header(req, "Host"));
    ck_assert_int_eq(door_app_header_next(req, &position, &name, &value), 0);
    ck_assert_int_eq(door_app_header_next(req, &position, &name, &value), 0);
    assert_cgi(req, "GATEWAY_INTERFACE", "CGI/1.1");
    assert_cgi(req, "QUERY_STRING", "");
    assert_cgi(req, "REQUEST_METHOD", NULL);
    assert_cgi(req, "CONTENT_LENGTH", NULL);
}

START_TEST(nothing_is_told_as_nothing)
{
    struct message message;

    message_begin(&message);
    end_request(&message, "");
    show(&message, look_at_nothing);
}
END_TEST

/* ---------------------------------------------------------------- headers */

static void look_at_headers(struct door_app_request *req)
{
    static const char *const expected[][2] = {
        {"Host", "example.org"}, {"X-Multi", "one"}, {"x-multi", "two"}, {"X-Empty", ""}};
    const char *name;
    const char *value;
    size_t position = 0;

    ck_assert_str_eq(door_app_header(req, "hOST"), "example.org");
    ck_assert_str_eq(door_app_header(req, "X-MULTI"), "one");
    ck_assert_str_eq(door_app_header(req, "X-Empty"), "");
    ck_assert_ptr_null(door_app_header(req, "Hos"));
    ck_assert_ptr_null(door_app_header(req, "Hosts"));
    ck_assert_ptr_null(door_app_header(req, ""));
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(door_app_header_next(req, &position, &name, &value), 1);
        ck_assert_str_eq(name, expected[i][0]);
        ck_assert_str_eq(value, expected[i][1]);
    }
    ck_assert_int_eq(door_app_header_next(req, &position, &name, &value), 0);
}

START_TEST(headers_are_found_and_stepped_through)
{
    struct message message;

    message_begin(&message);
    add_header(&message, "Host", "example.org");
    message_field(&message, DOOR_WIRE_METHOD, "", "GET");
    add_header(&message, "X-Multi", "one");
    add_header(&message, "x-multi", "two");
    message_field(&message, DOOR_WIRE_ENV, "Host", "no header");
    add_header(&message, "X-Empty", "");
    message_field(&message, DOOR_WIRE_TARGET, "", "/");
    end_request(&message, "");
    show(&message, look_at_headers);
}
END_TEST

/* ---------------------------------------------------------------- variables */

static const struct {
    enum door_wire_type type;
    const char *name;
} plain[] = {
    {DOOR_WIRE_METHOD, "REQUEST_METHOD"},
    {DOOR_WIRE_TARGET, "REQUEST_URI"},
    {DOOR_WIRE_SCRIPT_NAME, "SCRIPT_NAME"},
    {DOOR_WIRE_PATH_INFO, "PATH_INFO"},
    {DOOR_WIRE_PATH_TRANSLATED, "PATH_TRANSLATED"},
    {DOOR_WIRE_QUERY, "QUERY_STRING"},
    {DOOR_WIRE_PROTOCOL, "SERVER_PROTOCOL"},
    {DOOR_WIRE_SCHEME, "REQUEST_SCHEME"},
    {DOOR_WIRE_SERVER_NAME, "SERVER_NAME"},
    {DOOR_WIRE_SERVER_PORT, "SERVER_PORT"},
    {DOOR_WIRE_SERVER_ADDR, "SERVER_ADDR"},
    {DOOR_WIRE_SERVER_SOFTWARE, "SERVER_SOFTWARE"},
    {DOOR_WIRE_SERVER_ADMIN, "SERVER_ADMIN"},
    {DOOR_WIRE_DOCUMENT_ROOT, "DOCUMENT_ROOT"},
    {DOOR_WIRE_SCRIPT_FILENAME, "SCRIPT_FILENAME"},
    {DOOR_WIRE_CONTEXT_PREFIX, "CONTEXT_PREFIX"},
    {DOOR_WIRE_CONTEXT_DOCUMENT_ROOT, "CONTEXT_DOCUMENT_ROOT"},
    {DOOR_WIRE_REMOTE_ADDR, "REMOTE_ADDR"},
    {DOOR_WIRE_REMOTE_PORT, "REMOTE_PORT"},
    {DOOR_WIRE_REMOTE_HOST, "REMOTE_HOST"},
    {DOOR_WIRE_REMOTE_USER, "REMOTE_USER"},
    {DOOR_WIRE_REMOTE_IDENT, "REMOTE_IDENT"},
    {DOOR_WIRE_AUTH_TYPE, "AUTH_TYPE"},
};

#define PLAIN_COUNT (sizeof(plain) / sizeof(plain[0]))

/* Each is its own name, but for the one that is routed by. */
static const char *plain_value(size_t i)
{
    return plain[i].type == DOOR_WIRE_PATH_INFO ? "/" : plain[i].name;
}

static void look_at_plain(struct door_app_request *req)
{
    for (size_t i = 0; i < PLAIN_COUNT; i++)
        assert_cgi(req, plain[i].name, plain_value(i));
    assert_cgi(req, "GATEWAY_INTERFACE", "CGI/1.1");
    assert_cgi(req, "NOT_THERE", NULL);
    assert_cgi(req, "", NULL);
}

START_TEST(every_field_has_its_variable)
{
    struct message message;

    ck_assert_uint_eq(PLAIN_COUNT, DOOR_WIRE_ENV - 2); /* all but HEADER and ENV */
    message_begin(&message);
    for (size_t i = 0; i < PLAIN_COUNT; i++)
        message_field(&message, plain[i].type, "", plain_value(i));
    message_field(&message, DOOR_WIRE_ENV, "SERVER_NAME", "SetEnv does not replace it");
    end_request(&message, "");
    show(&message, look_at_plain);
}
END_TEST

static void look_at_http(struct door_app_request *req)
{
    assert_cgi(req, "HTTP_HOST", "example.org");
    assert_cgi(req, "HTTP_X_MULTI", "one, , three");
    assert_cgi(req, "HTTP_COOKIE", "a=1; b=2");
    assert_cgi(req, "HTTP_AUTHORIZATION", "Basic eDp5");
    assert_cgi(req, "HTTP_PROXY", NULL);
    assert_cgi(req, "HTTP_CONTENT_TYPE", NULL);
    assert_cgi(req, "HTTP_CONTENT_LENGTH", NULL);
    assert_cgi(req, "CONTENT_TYPE", "text/x-test");
    assert_cgi(req, "CONTENT_LENGTH", "4");
    assert_cgi(req, "HTTP_UNDER_SCORE", NULL);
    assert_cgi(req, "HTTP_DOT", NULL);
    assert_cgi(req, "HTTP_", NULL);
    assert_cgi(req, "HTTP_host", NULL);
    assert_cgi(req, "HTTP_X-MULTI", NULL);
}

START_TEST(headers_become_variables)
{
    struct message message;

    message_begin(&message);
    add_header(&message, "Host", "example.org");
    add_header(&message, "X-Multi", "one");
    add_header(&message, "Cookie", "a=1");
    add_header(&message, "X-MULTI", "");
    add_header(&message, "x-multi", "three");
    add_header(&message, "cookie", "b=2");
    add_header(&message, "Authorization", "Basic eDp5");
    add_header(&message, "pRoxy", "http://evil.example/");
    add_header(&message, "Content-Type", "text/x-test");
    add_header(&message, "Content-Length", "4");
    add_header(&message, "Content_Length", "9");
    add_header(&message, "Under_Score", "x");
    add_header(&message, "Dot.", "x");
    add_header(&message, "", "x");
    end_request(&message, "body");
    show(&message, look_at_http);
}
END_TEST

static void look_at_env(struct door_app_request *req)
{
    assert_cgi(req, "COLOUR", "green");
    assert_cgi(req, "EMPTY", "");
    assert_cgi(req, "HTTPS", "on");
    assert_cgi(req, "HTTP_ACCEPT", "the client's");
    assert_cgi(req, "HTTP_PROXY", "the administrator's");
    assert_cgi(req, "REMOTE_USER", "from another module");
    assert_cgi(req, "PATH_INFO", NULL);
    assert_cgi(req, "CONTENT_LENGTH", "5"); /* no header, as with a chunked body */
}

START_TEST(what_was_set_comes_last)
{
    struct message message;

    message_begin(&message);
    message_field(&message, DOOR_WIRE_PATH_INFO, "", "");
    message_field(&message, DOOR_WIRE_ENV, "COLOUR", "green");
    message_field(&message, DOOR_WIRE_ENV, "COLOUR", "red");
    message_field(&message, DOOR_WIRE_ENV, "EMPTY", "");
    message_field(&message, DOOR_WIRE_ENV, "HTTPS", "on");
    message_field(&message, DOOR_WIRE_ENV, "HTTP_ACCEPT", "SetEnv's");
    message_field(&message, DOOR_WIRE_ENV, "HTTP_PROXY", "the administrator's");
    message_field(&message, DOOR_WIRE_ENV, "REMOTE_USER", "from another module");
    add_header(&message, "Proxy", "the client's");
    add_header(&message, "Accept", "the client's");
    end_request(&message, "piece");
    show(&message, look_at_env);
}
END_TEST

/* The iterator names each variable once, and gives what door_app_cgi() gives. */
static void look_at_all(struct door_app_request *req)
{
    static const char *const expected[] = {"COLOUR",         "CONTENT_LENGTH", "GATEWAY_INTERFACE",
                                           "HTTP_ACCEPT",    "HTTP_COOKIE",    "QUERY_STRING",
                                           "REQUEST_METHOD", "SERVER_ADMIN"};
    int seen[8] = {0};
    const char *name;
    const char *value;
    size_t position = 0;
    size_t count = 0;

    while (door_app_cgi_next(req, &position, &name, &value) == 1) {
        ck_assert_str_eq(value, door_app_cgi(req, name));
        for (size_t i = 0; i < 8; i++)
            seen[i] += strcmp(name, expected[i]) == 0;
        count++;
    }
    ck_assert_int_eq(door_app_cgi_next(req, &position, &name, &value), 0);
    ck_assert_uint_eq(count, 8);
    for (size_t i = 0; i < 8; i++)
        ck_assert_int_eq(seen[i], 1);
}

START_TEST(all_variables_come_once)
{
    struct message message;

    message_begin(&message);
    message_field(&message, DOOR_WIRE_METHOD, "", "GET");
    message_field(&message, DOOR_WIRE_PATH_INFO, "", "");
    message_field(&message, DOOR_WIRE_ENV, "HTTP_ACCEPT", "hidden");
    message_field(&message, DOOR_WIRE_ENV, "COLOUR", "green");
    message_field(&message, DOOR_WIRE_ENV, "COLOUR", "red");
    message_field(&message, DOOR_WIRE_ENV, "SERVER_ADMIN", "set");
    message_field(&message, DOOR_WIRE_ENV, "REQUEST_METHOD", "hidden");
    message_field(&message, DOOR_WIRE_ENV, "", "no name");
    add_header(&message, "Cookie", "a=1");
    add_header(&message, "Content-Length", "0");
    add_header(&message, "COOKIE", "b=2");
    add_header(&message, "Accept", "*/*");
    add_header(&message, "Proxy", "evil");
    add_header(&message, "Odd_Name", "x");
    end_request(&message, "");
    show(&message, look_at_all);
}
END_TEST

/* ---------------------------------------------------------------- a great many */

#define MANY 400000u

static size_t write_many(char *buf, size_t cap)
{
    struct door_wire_writer w;
    char name[16];

    door_wire_begin(&w, buf, cap);
    door_wire_field(&w, DOOR_WIRE_METHOD, "", 0, "GET", 3);
    for (unsigned i = 0; i < MANY; i++) {
        size_t len = (size_t)snprintf(name, sizeof(name), "X%u", i % (MANY / 2));

        door_wire_field(&w, DOOR_WIRE_ENV, name, len, name, len);
        door_wire_field(&w, DOOR_WIRE_TRAILER, name, len, name, len);
    }
    return door_wire_end(&w, DOOR_WIRE_REQUEST, 0, 0, 0);
}

static void look_at_many(struct door_app_request *req)
{
    char name[16];
    const char *next, *value;
    size_t position = 0;
    unsigned count = 0;

    snprintf(name, sizeof(name), "X%u", MANY / 2 - 1);
    assert_cgi(req, name, name);
    ck_assert_str_eq(door_app_trailer(req, name), name);
    while (door_app_cgi_next(req, &position, &next, &value) == 1)
        count++;
    ck_assert_uint_ge(count, MANY / 2); /* and not all of them twice */
    ck_assert_uint_lt(count, MANY / 2 + 50);
    for (unsigned i = 0; i < MANY; i++)
        ck_assert_int_eq(door_app_trailer_add(req, "X-T", "t"), 0);
}

/* Twice as many take twice as long: this would not come to its end otherwise. */
START_TEST(a_great_many_fields)
{
    size_t len = write_many(NULL, 0);
    char *bytes = malloc(len);
    look_function *function = look_at_many;
    struct door_app *app = door_app_create();
    struct door_rt_answer answer;

    ck_assert_uint_eq(write_many(bytes, len), len);
    looked = 0;
    door_app_handle(app, "/", look, &function);
    door_rt_answer(app, bytes, len, -1, &answer);
    ck_assert_int_eq(looked, 1);
    door_app_destroy(app);
    free(bytes);
}
END_TEST

/* ---------------------------------------------------------------- no request */

static void never(struct door_app_request *req)
{
    (void)req;
    ck_abort_msg("a handler ran for what is no request");
}

static void assert_refused(const struct message *message, unsigned status)
{
    look_function *function = never;
    struct door_app *app = door_app_create();
    struct answer answer;

    door_app_handle(app, "/", look, &function);
    ask(app, message, &answer);
    ck_assert_uint_eq(answer.reader.status, status);
    ck_assert_uint_gt(answer.reader.body_len, 0);
    door_app_destroy(app);
}

START_TEST(what_is_no_request_is_refused)
{
    struct message message;

    memcpy(message.bytes, "plain text", 10);
    message.len = 10;
    assert_refused(&message, 400);
    message.len = 0;
    assert_refused(&message, 400);
    message_get(&message, "", "/");
    message.len--;
    assert_refused(&message, 400);
    message.len++;
    message.bytes[offsetof(struct door_wire_head, version)] ^= 0x40;
    assert_refused(&message, 502);
    message_begin(&message);
    message_end(&message, DOOR_WIRE_RESPONSE, 200, "", 0);
    assert_refused(&message, 400);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("request");

    tcase_add_test(tests, parts_are_there);
    tcase_add_test(tests, nothing_is_told_as_nothing);
    tcase_add_test(tests, headers_are_found_and_stepped_through);
    tcase_add_test(tests, every_field_has_its_variable);
    tcase_add_test(tests, headers_become_variables);
    tcase_add_test(tests, what_was_set_comes_last);
    tcase_add_test(tests, all_variables_come_once);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, a_great_many_fields);
    tcase_add_test(tests, what_is_no_request_is_refused);
    return run_tests(tests);
}
