/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_routes.c: which handler answers which path.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "route.h"
#include "support.h"

static void nothing(struct door_app_request *req, void *data)
{
    (void)req;
    (void)data;
}

static struct door_app *app;

static void setup(void)
{
    app = door_app_create();
    ck_assert_ptr_nonnull(app);
}

static void teardown(void)
{
    door_app_destroy(app);
}

static void say_data(struct door_app_request *req, void *data)
{
    door_app_printf(req, "%s", (const char *)data);
}

/* Each route's data is its own prefix. */
static void add(const char *prefix)
{
    ck_assert_int_eq(door_app_handle(app, prefix, say_data, (void *)prefix), 0);
}

static const char *route_of(const char *path)
{
    static char prefix[64];
    struct message message;
    struct answer answer;

    message_get(&message, "", path);
    ask(app, &message, &answer);
    if (answer.reader.status == 404)
        return "none";
    ck_assert_uint_lt(answer.reader.body_len, sizeof(prefix));
    memcpy(prefix, answer.reader.body, answer.reader.body_len);
    prefix[answer.reader.body_len] = '\0';
    return prefix;
}

START_TEST(prefixes_end_at_segments)
{
    add("/big");
    ck_assert_str_eq(route_of("/big"), "/big");
    ck_assert_str_eq(route_of("/big/"), "/big");
    ck_assert_str_eq(route_of("/big/x/y"), "/big");
    ck_assert_str_eq(route_of("/bigger"), "none");
    ck_assert_str_eq(route_of("/bi"), "none");
    ck_assert_str_eq(route_of("/"), "none");
    ck_assert_str_eq(route_of("/x/big"), "none");
    ck_assert_str_eq(route_of("/BIG"), "none");
}
END_TEST

START_TEST(the_longest_prefix_wins_in_any_order)
{
    add("/a/b");
    add("/");
    add("/a/b/c");
    add("/a");
    add("/z");
    ck_assert_str_eq(route_of("/a/b/c/d"), "/a/b/c");
    ck_assert_str_eq(route_of("/a/b/cc"), "/a/b");
    ck_assert_str_eq(route_of("/a/bb"), "/a");
    ck_assert_str_eq(route_of("/z"), "/z");
    ck_assert_str_eq(route_of("/y"), "/");
    ck_assert_str_eq(route_of("/"), "/");
}
END_TEST

START_TEST(a_slash_at_the_end_says_nothing)
{
    add("/dir/");
    ck_assert_str_eq(route_of("/dir"), "/dir/");
    ck_assert_str_eq(route_of("/dir/x"), "/dir/");
    ck_assert_int_eq(door_app_handle(app, "/dir", nothing, NULL), -1);
    ck_assert_int_eq(errno, EEXIST);
    ck_assert_int_eq(door_app_handle(app, "/di", nothing, NULL), 0);
}
END_TEST

/* door_app_run() must not come as far as its path. */
static void assert_does_not_run(struct door_app *incomplete, const char *why)
{
    struct capture capture;

    begin_capture(&capture);
    ck_assert_int_eq(door_app_run(incomplete, "/nonexistent/door"), 1);
    end_capture(&capture);
    ck_assert_ptr_nonnull(strstr(capture.text, "incomplete"));
    ck_assert_ptr_nonnull(strstr(capture.text, why));
}

/* Whose only mistake is this one: its errno, and what door_app_run() says. */
#define ASSERT_MISTAKE(call, error, why)                                                           \
    do {                                                                                           \
        struct door_app *wrong = door_app_create();                                                \
                                                                                                   \
        errno = 0;                                                                                 \
        ck_assert_int_eq(call, -1);                                                                \
        ck_assert_int_eq(errno, error);                                                            \
        assert_does_not_run(wrong, why);                                                           \
        door_app_destroy(wrong);                                                                   \
    } while (0)

static int go_on(struct door_app_request *req, void *data)
{
    (void)req;
    (void)data;
    return 0;
}

START_TEST(mistakes_are_told_and_remembered)
{
    ASSERT_MISTAKE(door_app_handle(wrong, "big", nothing, NULL), EINVAL,
                   "door_app_handle \"big\": no '/' in front");
    ASSERT_MISTAKE(door_app_handle(wrong, "", nothing, NULL), EINVAL,
                   "door_app_handle \"\": no '/' in front");
    ASSERT_MISTAKE(door_app_handle(wrong, NULL, nothing, NULL), EINVAL, "door_app_handle");
    ASSERT_MISTAKE(door_app_handle(wrong, "/big", NULL, NULL), EINVAL,
                   "door_app_handle \"/big\": no handler");
    ASSERT_MISTAKE(door_app_route(wrong, "GET", "nope", nothing, NULL), EINVAL,
                   "door_app_route \"nope\": no '/' in front");
    ASSERT_MISTAKE(door_app_route(wrong, "GET", "/a{b}", nothing, NULL), EINVAL,
                   "door_app_route \"/a{b}\": a brace");
    ASSERT_MISTAKE(door_app_route(wrong, "", "/a", nothing, NULL), EINVAL,
                   "door_app_route \"/a\": no method");
    ASSERT_MISTAKE(door_app_before(wrong, NULL, NULL), EINVAL, "door_app_before: no hook");
    ASSERT_MISTAKE(door_app_error_page(wrong, 200, nothing, NULL), EINVAL,
                   "door_app_error_page 200: no status of an error");
    ASSERT_MISTAKE(door_app_error_page(wrong, 404, nothing, NULL) +
                       door_app_error_page(wrong, 404, nothing, NULL),
                   EEXIST, "door_app_error_page 404: it is there already");
    ASSERT_MISTAKE(door_app_files(wrong, "/static", "/nonexistent/files"), ENOENT,
                   "door_app_files \"/static\": /nonexistent/files: No such file");
    ck_assert_int_eq(door_app_handle(NULL, "/big", nothing, NULL), -1);
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_int_eq(door_app_before(NULL, go_on, NULL), -1);
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_int_eq(door_app_files(NULL, "/", "/"), -1);
    ck_assert_int_eq(errno, ENOMEM);
    assert_does_not_run(NULL, strerror(ENOMEM));
}
END_TEST

START_TEST(the_first_mistake_is_told)
{
    door_app_route(app, "GET", "first", nothing, NULL);
    door_app_route(app, "GET", "second", nothing, NULL);
    assert_does_not_run(app, "door_app_route \"first\"");
}
END_TEST

static void say_route(struct door_app_request *req, void *data)
{
    door_app_printf(req, "%s for %s", (const char *)data, door_app_path(req));
}

START_TEST(requests_are_routed_below_their_location)
{
    struct message message;
    struct answer answer;

    door_app_handle(app, "/env", say_route, "env");
    door_app_handle(app, "/", say_route, "top");
    message_get(&message, "/kitchen", "/env/x");
    ask(app, &message, &answer);
    assert_body(&answer, "env for /kitchen/env/x");
    message_get(&message, "/kitchen", "");
    ask(app, &message, &answer);
    assert_body(&answer, "top for /kitchen");
    message_get(&message, "", "/env");
    ask(app, &message, &answer);
    assert_body(&answer, "env for /env");
}
END_TEST

START_TEST(no_route_is_not_found)
{
    struct message message;
    struct answer answer;

    door_app_handle(app, "/env", say_route, "env");
    message_get(&message, "", "/envy");
    ask(app, &message, &answer);
    ck_assert_uint_eq(answer.reader.status, 404);
    assert_body(&answer, "Not found\n");
    ck_assert_str_eq(answer_header(&answer, "Content-Type", 0), "text/plain; charset=utf-8");
}
END_TEST

/* Of a request with so many headers, of which the last has a value of so many bytes. */
static unsigned status_of(unsigned header_count, size_t value_len)
{
    size_t cap = header_count * 16 + value_len + 1024;
    char *bytes = malloc(cap), *value = malloc(value_len + 1);
    struct door_rt_answer answer;
    struct door_wire_writer writer;
    struct door_wire_reader reader;

    ck_assert(bytes != NULL && value != NULL);
    memset(value, 'x', value_len);
    door_wire_begin(&writer, bytes, cap);
    door_wire_field(&writer, DOOR_WIRE_METHOD, "", 0, "GET", 3);
    door_wire_field(&writer, DOOR_WIRE_PATH_INFO, "", 0, "/", 1);
    for (unsigned i = 1; i < header_count; i++)
        door_wire_field(&writer, DOOR_WIRE_HEADER, "A", 1, "", 0);
    door_wire_field(&writer, DOOR_WIRE_HEADER, "B", 1, value, value_len);
    door_rt_answer(app, bytes, door_wire_end(&writer, DOOR_WIRE_REQUEST, 0, 0, 0), -1, &answer);
    ck_assert_int_eq(door_wire_read(&reader, DOOR_WIRE_RESPONSE, answer.bytes, answer.len), 0);
    free(bytes);
    free(value);
    return reader.status;
}

static void say_rest(struct door_app_request *req, void *data)
{
    const char *user = door_app_param(req, "user");
    const char *rest = door_app_param(req, "rest");

    (void)data;
    door_app_printf(req, "%s:%s", user != NULL ? user : "-", rest != NULL ? rest : "-");
}

START_TEST(the_rest_of_a_path_can_be_a_parameter)
{
    door_app_route(app, "GET", "/{user}/files/{rest...}", say_rest, NULL);
    ck_assert_str_eq(route_of("/ann/files/a"), "ann:a");
    ck_assert_str_eq(route_of("/ann/files/a/b//c/"), "ann:a/b//c/");
    ck_assert_str_eq(route_of("/ann/files/"), "ann:");
    ck_assert_str_eq(route_of("/ann/filesystem"), "none");
    ck_assert_str_eq(route_of("//files/a"), "none");
}
END_TEST

/* The Location to which a path is sent, with method and query kept, or NULL. */
static const char *sent_to(const char *script_name, const char *path, const char *query)
{
    static struct answer answer;
    struct message message;

    message_begin(&message);
    message_field(&message, DOOR_WIRE_METHOD, "", "GET");
    message_field(&message, DOOR_WIRE_SCRIPT_NAME, "", script_name);
    message_field(&message, DOOR_WIRE_PATH_INFO, "", path);
    if (query != NULL)
        message_field(&message, DOOR_WIRE_QUERY, "", query);
    message_end(&message, DOOR_WIRE_REQUEST, 0, NULL, 0);
    ask(app, &message, &answer);
    return answer.reader.status == 308 ? answer_header(&answer, "Location", 0) : NULL;
}

START_TEST(a_slash_too_much_or_too_few_is_mended)
{
    door_app_route(app, "GET", "/notes", say_data, "notes");
    door_app_route(app, "GET", "/dir/", say_data, "dir");
    door_app_route(app, "GET", "/both", say_data, "without");
    door_app_route(app, "GET", "/both/", say_data, "with");
    door_app_route(app, "POST", "/post", say_data, "post");
    door_app_route(app, "GET", "/{host}/x/", say_data, "host");
    add("/prefix");
    ck_assert_str_eq(sent_to("/app", "/notes/", NULL), "/app/notes");
    ck_assert_str_eq(sent_to("/app", "/dir", "a=b&c=%20"), "/app/dir/?a=b&c=%20");
    ck_assert_str_eq(sent_to("", "/a b?/x", NULL), "/a%20b%3F/x/");
    ck_assert_ptr_null(sent_to("", "/notes", NULL));
    ck_assert_ptr_null(sent_to("", "/post/", NULL));
    ck_assert_ptr_null(sent_to("", "/prefix/", NULL));
    ck_assert_ptr_null(sent_to("", "/notes//", NULL));
    ck_assert_str_eq(route_of("/both"), "without");
    ck_assert_str_eq(route_of("/both/"), "with");
    ck_assert_str_eq(route_of("/prefix/"), "/prefix");
    add("/");
    ck_assert_ptr_null(sent_to("", "/notes/", NULL));
    ck_assert_str_eq(route_of("/notes/"), "/");
}
END_TEST

START_TEST(nobody_is_sent_to_another_host)
{
    door_app_route(app, "GET", "/{rest...}", say_data, "rest");
    door_app_route(app, "POST", "/evil.example/", nothing, NULL);
    ck_assert_str_eq(route_of("//evil.example"), "rest");
    door_app_destroy(app);
    app = door_app_create();
    door_app_route(app, "GET", "//evil.example/", say_data, "evil");
    ck_assert_str_eq(sent_to("", "//evil.example", NULL), "/.//evil.example/");
}
END_TEST

static void redirect_without_memory(struct door_app_request *req, void *data)
{
    (void)data;
    errno = ENOMEM; /* of whoever could not make the path */
    ck_assert_int_eq(door_rt_redirect(door_rt_request(req), NULL), -1);
}

START_TEST(a_redirect_for_which_there_is_no_memory)
{
    struct message message;
    struct answer answer;

    door_app_handle(app, "/", redirect_without_memory, NULL);
    message_get(&message, "", "/");
    door_rt_answer(app, message.bytes, message.len, -1, &answer.answer);
    ck_assert_int_eq(door_wire_read(&answer.reader, DOOR_WIRE_END, answer.answer.bytes,
                                    answer.answer.len), 0);
    ck_assert_uint_eq(answer.reader.status, ENOMEM);
}
END_TEST

START_TEST(headers_are_limited)
{
    add("/");
    ck_assert_uint_eq(status_of(DOOR_APP_FIELDS_MAX, 0), 200);
    ck_assert_uint_eq(status_of(DOOR_APP_FIELDS_MAX + 1, 0), 431);
    ck_assert_uint_eq(status_of(1, DOOR_APP_HEADERS_MAX - 1), 200);
    ck_assert_uint_eq(status_of(1, DOOR_APP_HEADERS_MAX), 431);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("routes");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, prefixes_end_at_segments);
    tcase_add_test(tests, the_longest_prefix_wins_in_any_order);
    tcase_add_test(tests, a_slash_at_the_end_says_nothing);
    tcase_add_test(tests, mistakes_are_told_and_remembered);
    tcase_add_test(tests, requests_are_routed_below_their_location);
    tcase_add_test(tests, no_route_is_not_found);
    tcase_add_test(tests, the_first_mistake_is_told);
    tcase_add_test(tests, the_rest_of_a_path_can_be_a_parameter);
    tcase_add_test(tests, a_slash_too_much_or_too_few_is_mended);
    tcase_add_test(tests, nobody_is_sent_to_another_host);
    tcase_add_test(tests, a_redirect_for_which_there_is_no_memory);
    tcase_add_test(tests, headers_are_limited);
    return run_tests(tests);
}
