/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_pages.c: what stands around an application's handlers: hooks before them,
 * answers that are begun anew, pages for errors, and where the application is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

static struct door_app *app;
static struct answer answer;

static void setup(void)
{
    app = door_app_create();
    ck_assert_ptr_nonnull(app);
}

static void teardown(void)
{
    door_app_destroy(app);
}

/* With a body of two bytes, and as many headers besides. */
static void send_as(const char *method, const char *path, const char *content_type, int headers)
{
    static struct message message;

    message_begin(&message);
    message_field(&message, DOOR_WIRE_METHOD, "", method);
    message_field(&message, DOOR_WIRE_PATH_INFO, "", path);
    if (content_type != NULL)
        message_field(&message, DOOR_WIRE_HEADER, "Content-Type", content_type);
    for (int i = 0; i < headers; i++)
        message_field(&message, DOOR_WIRE_HEADER, "A", "");
    message_end(&message, DOOR_WIRE_REQUEST, 0, "ab", 2);
    ask(app, &message, &answer);
}

static void get_as(const char *method, const char *path, const char *content_type)
{
    send_as(method, path, content_type, 0);
}

static void get(const char *path)
{
    get_as("GET", path, NULL);
}

static void assert_answered(unsigned status, const char *body)
{
    ck_assert_uint_eq(answer.reader.status, status);
    assert_body(&answer, body);
}

/* ---------------------------------------------------------------- hooks */

static void say_hello(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_header_set(req, "X-Mine", "yes");
    door_app_printf(req, "hello");
}

static int mark(struct door_app_request *req, void *data)
{
    door_app_header_add(req, "X-Mark", data);
    return 0;
}

static int refuse_private(struct door_app_request *req, void *data)
{
    (void)data;
    if (strncmp(door_app_path_info(req), "/private", 8) != 0)
        return 0;
    door_app_status(req, 403);
    door_app_printf(req, "private");
    return 1;
}

static int refuse_anew(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_header_set(req, "X-Mine", "yes");
    ck_assert_int_eq(door_app_refuse(req, 401, "who are you?"), 0);
    return 1;
}

START_TEST(a_hook_that_refuses_keeps_what_others_have_set)
{
    door_app_before(app, mark, "a");
    door_app_before(app, mark, "b");
    door_app_before(app, refuse_anew, NULL);
    get("/");
    assert_answered(401, "who are you?\n");
    ck_assert_str_eq(answer_header(&answer, "X-Mark", 1), "b");
    ck_assert_ptr_null(answer_header(&answer, "X-Mine", 0));
}
END_TEST

START_TEST(hooks_run_before_handlers)
{
    door_app_before(app, mark, "a");
    door_app_before(app, refuse_private, NULL);
    door_app_before(app, mark, "b");
    door_app_route(app, "GET", "/private", say_hello, NULL);
    door_app_route(app, "GET", "/hello", say_hello, NULL);
    get("/hello");
    assert_answered(200, "hello");
    ck_assert_str_eq(answer_header(&answer, "X-Mark", 0), "a");
    ck_assert_str_eq(answer_header(&answer, "X-Mark", 1), "b");
    get("/private");
    assert_answered(403, "private");
    ck_assert_ptr_null(answer_header(&answer, "X-Mark", 1));
    get("/private/nothing");
    assert_answered(403, "private");
    get("/nothing");
    assert_answered(404, "Not found\n");
    ck_assert_str_eq(answer_header(&answer, "X-Mark", 0), "a");
}
END_TEST

/* ---------------------------------------------------------------- anew */

static void begin_anew(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_status(req, 418);
    door_app_header_set(req, "X-Mine", "yes");
    door_app_header_set(req, "X-Mark", "replaced");
    door_app_header_set(req, "Content-Length", "3");
    door_app_trailer_add(req, "X-End", "yes");
    door_app_log_field(req, "user", "ann");
    ck_assert_int_eq(door_app_write(req, "much", 4), -1);
    ck_assert_int_eq(errno, EMSGSIZE);
    ck_assert_int_eq(door_app_reset(req), 0);
    door_app_printf(req, "another");
}

/* Of what a field of that type is, in the answer. */
static int has(enum door_wire_type type)
{
    struct door_wire_reader reader = answer.reader;
    struct door_wire_field field;

    while (door_wire_next(&reader, &field))
        if (field.type == type)
            return 1;
    return 0;
}

START_TEST(a_handler_can_begin_anew)
{
    door_app_before(app, mark, "a");
    door_app_handle(app, "/", begin_anew, NULL);
    get("/");
    assert_answered(200, "another");
    ck_assert_str_eq(answer_header(&answer, "X-Mark", 0), "a");
    ck_assert_ptr_null(answer_header(&answer, "X-Mark", 1));
    ck_assert_ptr_null(answer_header(&answer, "X-Mine", 0));
    ck_assert_ptr_null(answer_header(&answer, "Content-Length", 0));
    ck_assert(!has(DOOR_WIRE_TRAILER));
    ck_assert(!has(DOOR_WIRE_OWN_STATUS));
    ck_assert(has(DOOR_WIRE_LOG_FIELD));
    ck_assert_uint_eq(answer.reader.flags, 0);
}
END_TEST

static void take_file_back(struct door_app_request *req, void *data)
{
    int *ends = data;

    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(door_app_send_fd(req, ends[0], 0, -1), 0);
    ck_assert_int_eq(door_app_reset(req), 0);
    ck_assert_int_eq(door_app_reset(req), 0);
    door_app_printf(req, "no file");
}

START_TEST(a_file_is_taken_back_too)
{
    int ends[2];

    door_app_handle(app, "/", take_file_back, ends);
    get("/");
    assert_answered(200, "no file");
    ck_assert_int_eq(answer.answer.fd, -1);
    ck_assert_int_eq(close(ends[0]), -1);
    close(ends[1]);
}
END_TEST

static void refuse_in_mid_page(struct door_app_request *req, void *data)
{
    door_app_content_type(req, "text/html");
    door_app_printf(req, "<h1>Entry");
    ck_assert_int_eq(door_app_refuse(req, 200, "fine"), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(door_app_refuse(req, *(int *)data, "No such entry"), 0);
}

START_TEST(an_error_in_mid_page_is_an_error)
{
    int status = 404;

    door_app_handle(app, "/", refuse_in_mid_page, &status);
    get("/");
    assert_answered(404, "No such entry\n");
    ck_assert_str_eq(answer_header(&answer, "Content-Type", 0), "text/plain; charset=utf-8");
    status = 599;
    get("/");
    assert_answered(599, "No such entry\n");
}
END_TEST

/* ---------------------------------------------------------------- pages */

static void show_page(struct door_app_request *req, void *data)
{
    door_app_header_set(req, "X-Page", data);
    door_app_printf(req, "page for %s", door_app_path_info(req));
}

static void read_form(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_printf(req, "begun");
    if (door_app_form_read(req, 1) == 0)
        door_app_printf(req, " and read");
}

START_TEST(an_application_has_pages_of_its_own)
{
    int not_found = 404;

    door_app_error_page(app, 404, show_page, "404");
    door_app_error_page(app, 405, show_page, "405");
    door_app_error_page(app, 413, show_page, "413");
    door_app_error_page(app, 431, show_page, "431");
    door_app_error_page(app, 415, show_page, "415");
    door_app_route(app, "GET", "/here", say_hello, NULL);
    door_app_route(app, "GET", "/entry", refuse_in_mid_page, &not_found);
    door_app_route(app, "POST", "/form", read_form, NULL);
    get("/nowhere");
    assert_answered(404, "page for /nowhere");
    ck_assert_str_eq(answer_header(&answer, "X-Page", 0), "404");
    get("/entry");
    assert_answered(404, "page for /entry");
    get_as("PUT", "/here", NULL);
    assert_answered(405, "page for /here");
    ck_assert_str_eq(answer_header(&answer, "Allow", 0), "GET, HEAD");
    get_as("POST", "/form", "text/plain");
    assert_answered(415, "page for /form");
    get_as("POST", "/form", "application/x-www-form-urlencoded");
    assert_answered(413, "page for /form");
    send_as("GET", "/here", NULL, DOOR_APP_FIELDS_MAX + 1);
    assert_answered(431, "page for /here");
    get("/here");
    assert_answered(200, "hello");
    ck_assert_ptr_null(answer_header(&answer, "X-Page", 0));
}
END_TEST

static void refuse_again(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_refuse(req, 404, "not even that");
}

START_TEST(a_page_that_refuses_ends_all_the_same)
{
    door_app_error_page(app, 404, refuse_again, NULL);
    get("/nowhere");
    assert_answered(404, "not even that\n");
}
END_TEST

static void use_up_memory(struct door_app_request *req, void *data)
{
    (void)data;
    ck_assert_int_eq(door_app_write(req, "x", SIZE_MAX / 2), -1);
}

START_TEST(a_response_that_cannot_be_made_has_a_page_too)
{
    struct capture capture;

    door_app_error_page(app, 500, show_page, "500");
    door_app_handle(app, "/", use_up_memory, NULL);
    begin_capture(&capture);
    get("/");
    end_capture(&capture);
    assert_answered(500, "page for /");
    ck_assert_ptr_nonnull(strstr(capture.text, "<3>the response cannot be made: "));
    ck_assert_ptr_nonnull(strstr(capture.text, strerror(ENOMEM)));
}
END_TEST

static void give_up(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_printf(req, "some");
    door_app_fail(req);
    errno = 0;
    ck_assert_int_eq(door_app_reset(req), -1);
    ck_assert_int_eq(errno, ECANCELED);
    ck_assert_int_eq(door_app_refuse(req, 404, "Not found"), -1);
}

START_TEST(a_response_that_is_given_up_has_none)
{
    struct message message;
    struct capture capture;

    door_app_error_page(app, 500, show_page, "500");
    door_app_handle(app, "/", give_up, NULL);
    message_get(&message, "", "/");
    begin_capture(&capture);
    door_rt_answer(app, message.bytes, message.len, -1, &answer.answer);
    end_capture(&capture);
    ck_assert_str_eq(capture.text, "");
    ck_assert_int_eq(door_wire_read(&answer.reader, DOOR_WIRE_END, answer.answer.bytes,
                                    answer.answer.len), 0);
    ck_assert_uint_eq(answer.reader.flags, DOOR_WIRE_FAILED);
    ck_assert_uint_eq(answer.reader.status, ECANCELED);
}
END_TEST

/* ---------------------------------------------------------------- where it is */

static void show_place(struct door_app_request *req, void *data)
{
    const char *url = door_app_url(req, data);

    door_app_printf(req, "%s://%s%s for %s", door_app_scheme(req), door_app_host(req),
                    url != NULL ? url : " (none)", door_app_remote_user(req));
}

/* Asks the only handler of an application that lies at script_name. */
static void get_place(const char *script_name, const char *path, const char *scheme,
                      const char *port, const char *host)
{
    struct door_app *placed = door_app_create();
    struct message message;

    door_app_handle(placed, "/", show_place, (void *)path);
    message_begin(&message);
    message_field(&message, DOOR_WIRE_METHOD, "", "GET");
    message_field(&message, DOOR_WIRE_SCRIPT_NAME, "", script_name);
    message_field(&message, DOOR_WIRE_SCHEME, "", scheme);
    message_field(&message, DOOR_WIRE_SERVER_NAME, "", "site.example");
    message_field(&message, DOOR_WIRE_SERVER_PORT, "", port);
    message_field(&message, DOOR_WIRE_REMOTE_USER, "", "ann");
    if (host != NULL)
        message_field(&message, DOOR_WIRE_HEADER, "Host", host);
    message_end(&message, DOOR_WIRE_REQUEST, 0, NULL, 0);
    ask(placed, &message, &answer);
    door_app_destroy(placed);
}

START_TEST(an_application_knows_where_it_is)
{
    get_place("/my app", "/notes/1?", "https", "443", "www.example:8443");
    assert_answered(200, "https://www.example:8443/my%20app/notes/1%3F for ann");
    get_place("/app", "", "https", "443", NULL);
    assert_answered(200, "https://site.example/app for ann");
    get_place("", "", "http", "8080", NULL);
    assert_answered(200, "http://site.example:8080/ for ann");
    get_place("", "//other.example/", "http", "80", NULL);
    assert_answered(200, "http://site.example/.//other.example/ for ann");
    get_place("/app", "notes", "http", "80", NULL);
    assert_answered(200, "http://site.example (none) for ann");
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("pages");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, hooks_run_before_handlers);
    tcase_add_test(tests, a_hook_that_refuses_keeps_what_others_have_set);
    tcase_add_test(tests, a_handler_can_begin_anew);
    tcase_add_test(tests, a_file_is_taken_back_too);
    tcase_add_test(tests, an_error_in_mid_page_is_an_error);
    tcase_add_test(tests, an_application_has_pages_of_its_own);
    tcase_add_test(tests, a_page_that_refuses_ends_all_the_same);
    tcase_add_test(tests, a_response_that_cannot_be_made_has_a_page_too);
    tcase_add_test(tests, a_response_that_is_given_up_has_none);
    tcase_add_test(tests, an_application_knows_where_it_is);
    return run_tests(tests);
}
