/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_forms.c: routes with parameters, and what clients send in queries,
 * forms and cookies, well-formed or not.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "support.h"

/* Requests with these; the handlers write what they find, and the test compares that. */
struct sent {
    const char *method, *path, *query, *type, *cookie, *body;
    size_t body_len; /* of body; 0: strlen() */
};

static void message_of(struct message *message, const struct sent *sent)
{
    message_begin(message);
    message_field(message, DOOR_WIRE_METHOD, "", sent->method != NULL ? sent->method : "POST");
    message_field(message, DOOR_WIRE_PATH_INFO, "", sent->path != NULL ? sent->path : "/");
    if (sent->query != NULL)
        message_field(message, DOOR_WIRE_QUERY, "", sent->query);
    if (sent->type != NULL)
        message_field(message, DOOR_WIRE_HEADER, "Content-Type", sent->type);
    if (sent->cookie != NULL)
        message_field(message, DOOR_WIRE_HEADER, "Cookie", sent->cookie);
    message_end(message, DOOR_WIRE_REQUEST, 0, sent->body,
                sent->body == NULL   ? 0
                : sent->body_len > 0 ? sent->body_len
                                     : strlen(sent->body));
}

static void gets(struct door_app *app, struct sent sent, unsigned status, const char *body)
{
    struct message message;
    struct answer answer;

    message_of(&message, &sent);
    ask(app, &message, &answer);
    ck_assert_uint_eq(answer.reader.status, status);
    if (body != NULL)
        assert_body(&answer, body);
}

/* With one handler for everything. */
static void gets_by(door_app_handler *handler, struct sent sent, unsigned status, const char *body)
{
    struct door_app *app = door_app_create();

    door_app_handle(app, "/", handler, NULL);
    gets(app, sent, status, body);
    door_app_destroy(app);
}

/* ---------------------------------------------------------------- routes */

static void show_params(struct door_app_request *req, void *data)
{
    const char *id = door_app_param(req, "id");
    const char *page = door_app_param(req, "page");

    door_app_printf(req, "%s id=%s page=%s", (const char *)data, id != NULL ? id : "-",
                    page != NULL ? page : "-");
}

START_TEST(patterns_have_parameters)
{
    struct door_app *app = door_app_create();

    door_app_route(app, "GET", "/entries", show_params, "list");
    door_app_route(app, "GET", "/entries/new", show_params, "new");
    door_app_route(app, "GET", "/entries/{id}", show_params, "one");
    door_app_route(app, "DELETE", "/entries/{id}", show_params, "gone");
    door_app_route(app, "GET", "/entries/{id}/pages/{page}", show_params, "page");
    door_app_handle(app, "/static", show_params, "static");
    gets(app, (struct sent){.method = "GET", .path = "/entries"}, 200, "list id=- page=-");
    gets(app, (struct sent){.method = "GET", .path = "/entries/new"}, 200, "new id=- page=-");
    gets(app, (struct sent){.method = "GET", .path = "/entries/12"}, 200, "one id=12 page=-");
    gets(app, (struct sent){.method = "HEAD", .path = "/entries/12"}, 200, NULL);
    gets(app, (struct sent){.method = "DELETE", .path = "/entries/a b"}, 200, "gone id=a b page=-");
    gets(app, (struct sent){.method = "GET", .path = "/entries/1/pages/2"}, 200,
         "page id=1 page=2");
    gets(app, (struct sent){.method = "GET", .path = "/static/entries"}, 200, "static id=- page=-");
    gets(app, (struct sent){.method = "GET", .path = "/entries/"}, 308, NULL);
    gets(app, (struct sent){.method = "GET", .path = "/entries/1/pages"}, 404, NULL);
    gets(app, (struct sent){.method = "GET", .path = "/"}, 404, NULL);
    door_app_destroy(app);
}
END_TEST

START_TEST(another_method_is_refused)
{
    struct door_app *app = door_app_create();
    struct message message;
    struct answer answer;

    door_app_route(app, "GET", "/a/{b}", show_params, "get");
    door_app_route(app, "DELETE", "/a/{b}", show_params, "delete");
    door_app_handle(app, "/", show_params, "rest");
    message_of(&message, &(struct sent){.method = "PUT", .path = "/a/b"});
    ask(app, &message, &answer);
    ck_assert_uint_eq(answer.reader.status, 405);
    ck_assert_str_eq(answer_header(&answer, "Allow", 0), "GET, HEAD, DELETE");
    ck_assert_ptr_null(answer_header(&answer, "Allow", 1));
    gets(app, (struct sent){.method = "PUT", .path = "/other"}, 200, "rest id=- page=-");
    door_app_destroy(app);
}
END_TEST

START_TEST(what_is_no_pattern_is_refused)
{
    static const char *const wrong[] = {"",      "a",     "a/b",    "/{",      "/}", "/{}",
                                        "/a{b}", "/{b}c", "/{a/b}", "/{a}{b}", "/a}",
                                        "/{a...}/b", "/{...}", "/{a...}b", "/{a..}.."};
    struct door_app *app;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        app = door_app_create();
        errno = 0;
        ck_assert_int_eq(door_app_route(app, "GET", wrong[i], show_params, NULL), -1);
        ck_assert_int_eq(errno, EINVAL);
        door_app_destroy(app);
    }
    app = door_app_create();
    ck_assert_int_eq(door_app_route(app, "GET", "/{a}", show_params, NULL), 0);
    ck_assert_int_eq(door_app_route(app, "PUT", "/{a}", show_params, NULL), 0);
    ck_assert_int_eq(door_app_route(app, "GET", "/{a}", show_params, NULL), -1);
    ck_assert_int_eq(errno, EEXIST);
    door_app_destroy(app);
}
END_TEST

/* ---------------------------------------------------------------- fields */

static void show_query(struct door_app_request *req, void *data)
{
    const char *name, *value;
    size_t position = 0;

    (void)data;
    while (door_app_query_next(req, &position, &name, &value))
        door_app_printf(req, "[%s=%s]", name, value);
    value = door_app_query_value(req, "a");
    door_app_printf(req, " a=%s", value != NULL ? value : "(none)");
}

static const struct {
    const char *query, *shown;
} queries[] = {
    {NULL, " a=(none)"},
    {"", " a=(none)"},
    {"a", "[a=] a="},
    {"a=", "[a=] a="},
    {"a=1&b=2&a=3", "[a=1][b=2][a=3] a=1"},
    {"&&a=1&&", "[a=1] a=1"},
    {"=x&a=b=c", "[=x][a=b=c] a=b=c"},
    {"a=one+two%20three%2Bfour", "[a=one two three+four] a=one two three+four"},
    {"%61=%C3%A9", "[a=\xc3\xa9] a=\xc3\xa9"},
    {"a=100%&b=%4&c=%zz", "[a=100%][b=%4][c=%zz] a=100%"},
    {"a=x%00y", " a=(none)"},
};

START_TEST(a_query_is_decoded)
{
    gets_by(show_query, (struct sent){.query = queries[_i].query}, 200, queries[_i].shown);
}
END_TEST

static void show_form(struct door_app_request *req, void *data)
{
    const char *name, *value;
    size_t position = 0;

    (void)data;
    if (door_app_form_read(req, 8000) == -1)
        return;
    while (door_app_form_next(req, &position, &name, &value))
        door_app_printf(req, "[%s=%s]", name, value);
    value = door_app_form_value(req, "a");
    door_app_printf(req, " a=%s", value != NULL ? value : "(none)");
}

#define FORM "application/x-www-form-urlencoded"

START_TEST(a_form_is_read)
{
    static char many[4 * (DOOR_APP_FIELDS_MAX + 1) + 1];
    static char longer[9000];

    for (size_t i = 0; i <= DOOR_APP_FIELDS_MAX; i++)
        memcpy(many + 4 * i, "a=b&", 5);
    memset(longer, 'x', sizeof(longer) - 1);
    gets_by(show_form, (struct sent){.type = FORM, .body = "a=1+2&b="}, 200, "[a=1 2][b=] a=1 2");
    gets_by(show_form, (struct sent){.type = FORM "; charset=UTF-8", .body = "a=1"}, 200,
            "[a=1] a=1");
    gets_by(show_form, (struct sent){.type = "APPLICATION/X-WWW-FORM-URLENCODED", .body = "a=1"},
            200, "[a=1] a=1");
    gets_by(show_form, (struct sent){.type = FORM, .body = ""}, 200, " a=(none)");
    gets_by(show_form, (struct sent){.type = FORM "x", .body = "a=1"}, 415, NULL);
    gets_by(show_form, (struct sent){.type = NULL, .body = "a=1"}, 415, NULL);
    gets_by(show_form, (struct sent){.type = FORM, .body = "a=%00"}, 400, NULL);
    gets_by(show_form, (struct sent){.type = FORM, .body = many}, 413, NULL);
    gets_by(show_form, (struct sent){.type = FORM, .body = longer}, 413, NULL);
}
END_TEST

/* ---------------------------------------------------------------- parts */

static void show_parts(struct door_app_request *req, void *data)
{
    struct door_app_part part;
    char bytes[7];
    ssize_t got;
    int more;

    (void)data;
    while ((more = door_app_part_next(req, &part)) == 1) {
        size_t len = 0;

        door_app_printf(req, "[%s|%s|%s|", part.name, part.filename != NULL ? part.filename : "-",
                        part.content_type != NULL ? part.content_type : "-");
        if (strcmp(part.name, "skipped") != 0)
            while ((got = door_app_part_read(req, bytes, sizeof(bytes))) > 0) {
                len += (size_t)got;
                if (len < 100)
                    door_app_write(req, bytes, (size_t)got);
            }
        door_app_printf(req, "|%zu]", len);
    }
    if (more == 0)
        door_app_printf(req, ".");
}

#define PARTS       "multipart/form-data; boundary=XX"
#define NAMED(name) "Content-Disposition: form-data; name=\"" name "\"\r\n"

static const struct {
    const char *type, *body;
    unsigned status;
    const char *shown;
} parts[] = {
    {PARTS, "--XX\r\n" NAMED("a") "\r\none\r\n--XX--\r\n", 200, "[a|-|-|one|3]."},
    {PARTS, "--XX\r\n" NAMED("a") "\r\n\r\n--XX--", 200, "[a|-|-||0]."},
    {PARTS,
     "preamble\r\n--XX\r\n" NAMED("a") "\r\n1\r\n--XX\r\n" NAMED("b") "\r\n2\r\n--XX--\r\nepilogue",
     200, "[a|-|-|1|1][b|-|-|2|1]."},
    {PARTS,
     "--XX\r\nContent-Disposition: form-data; name=f; filename=\"a \\\"b\\\".txt\"\r\n"
     "content-type: text/plain\r\n\r\n\r\n--X\r\n-\r\n--XX--\r\n",
     200, "[f|a \"b\".txt|text/plain|\r\n--X\r\n-|8]."},
    {PARTS,
     "--XX\r\n" NAMED("skipped") "\r\nlong long long\r\n--XX\r\n" NAMED("b") "\r\n2\r\n--XX--", 200,
     "[skipped|-|-||0][b|-|-|2|1]."},
    {"multipart/form-data; charset=x; boundary=\"X X\"",
     "--X X\r\n" NAMED("a") "\r\none\r\n--X X--", 200, "[a|-|-|one|3]."},
    {PARTS, "--XX--\r\n", 200, "."},
    {PARTS, "", 400, NULL},
    {PARTS, "--XX", 400, NULL},
    {PARTS, "--XX\r\n", 400, NULL},
    {PARTS, "--XX\r\n\r\nno headers\r\n--XX--", 400, NULL},
    {PARTS, "--XX\r\nno colon\r\n\r\nx\r\n--XX--", 400, NULL},
    {PARTS, "--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XX--", 400, NULL},
    {PARTS, "--XX\r\nContent-Disposition: attachment; name=a\r\n\r\nx\r\n--XX--", 400, NULL},
    {"multipart/form-data", "--\r\n\r\n----", 400, NULL},
    {"multipart/form-data; boundary=", "x", 400, NULL},
    {"multipart/form-data; boundary=0123456789012345678901234567890123456789012345678901234567"
     "890123",
     "x", 400, NULL},
    {"multipart/mixed; boundary=XX", "x", 415, NULL},
};

START_TEST(parts_are_told_apart)
{
    gets_by(show_parts, (struct sent){.type = parts[_i].type, .body = parts[_i].body},
            parts[_i].status, parts[_i].shown);
}
END_TEST

/* A body that ends in the middle of a part: what was sent stays, and the handler hears of it. */
static int last_errno;

static void read_one(struct door_app_request *req, void *data)
{
    struct door_app_part part;
    char bytes[100];

    (void)data;
    ck_assert_int_eq(door_app_part_next(req, &part), 1);
    while (door_app_part_read(req, bytes, sizeof(bytes)) > 0)
        continue;
    last_errno = errno;
}

START_TEST(a_part_that_does_not_end)
{
    gets_by(read_one, (struct sent){.type = PARTS, .body = "--XX\r\n" NAMED("a") "\r\nand the"},
            400, NULL);
    ck_assert_int_eq(last_errno, EBADMSG);
}
END_TEST

START_TEST(headers_of_a_part_are_limited)
{
    static char body[10000];

    memset(body, 'x', sizeof(body) - 1);
    memcpy(body, "--XX\r\nA: ", 9);
    gets_by(show_parts, (struct sent){.type = PARTS, .body = body}, 413, NULL);
}
END_TEST

static size_t allocated(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static void take_part(struct door_app_request *req, void *data)
{
    size_t before = allocated();
    struct door_app_part part;

    (void)data;
    ck_assert_int_eq(door_app_part_next(req, &part), 1);
    ck_assert_str_eq(part.name, "a");
    ck_assert_uint_lt(allocated(), before + 200000);
}

/* What a part takes is a small multiple of what was sent, not its square. */
START_TEST(parameters_take_little_memory)
{
    static const char begin[] = "--XX\r\nContent-Disposition: form-data";
    static const char end[] = ";name=a\r\n\r\n\r\n--XX--";
    static char body[9000];
    char *at = stpcpy(body, begin);

    for (int i = 0; i < 2000; i++)
        at = stpcpy(at, ";b=c");
    strcpy(at, end);
    gets_by(take_part, (struct sent){.type = PARTS, .body = body}, 200, "");
}
END_TEST

/* ---------------------------------------------------------------- cookies, texts */

static void show_cookies(struct door_app_request *req, void *data)
{
    static const char *const names[] = {"a", "b", "c"};

    (void)data;
    for (int i = 0; i < 3; i++) {
        const char *value = door_app_cookie(req, names[i]);

        door_app_printf(req, "%s=%s ", names[i], value != NULL ? value : "(none)");
    }
}

/* No other cookie's value may pose as one with this prefix. */
static void show_protected_cookies(struct door_app_request *req, void *data)
{
    const char *a = door_app_cookie(req, "__Host-a");
    const char *b = door_app_cookie(req, "__Host-b");

    (void)data;
    door_app_printf(req, "%s %s", a != NULL ? a : "(none)", b != NULL ? b : "(none)");
}

/* httpd makes one field of two: "a=1" and "b=2" come as "a=1, b=2". */
START_TEST(cookies_of_joined_fields_are_found)
{
    gets_by(show_cookies, (struct sent){.cookie = "a=1, b=2; c=3"}, 200, "a=1 b=2 c=3 ");
    gets_by(show_cookies, (struct sent){.cookie = "a=1; b=2, c=\"3\""}, 200, "a=1 b=2 c=3 ");
    /* What stands in a value is no cookie, and none takes another one's place. */
    gets_by(show_cookies, (struct sent){.cookie = "a=1, 2,b=3; c=\"x, b=4\""}, 200,
            "a=1, 2,b=3 b=(none) c=x, b=4 ");
    gets_by(show_cookies, (struct sent){.cookie = "a=x, b=forged; b=2, c=3, c"}, 200,
            "a=x b=2 c=3, c ");
    gets_by(show_cookies, (struct sent){.cookie = "a=1,"}, 200, "a=1, b=(none) c=(none) ");
    gets_by(show_cookies, (struct sent){.cookie = "a=1, =2, b"}, 200, "a=1, =2, b b=(none) c=(none) ");
    gets_by(show_cookies, (struct sent){.cookie = "a=\"1, b=2"}, 200, "a=\"1 b=2 c=(none) ");
    gets_by(show_protected_cookies, (struct sent){.cookie = "a=1, __Host-a=2; __Host-b=3"}, 200,
            "(none) 3");
}
END_TEST

START_TEST(cookies_are_found)
{
    gets_by(show_cookies, (struct sent){.cookie = "a=1; b=\"two\"; aa=x; c="}, 200,
            "a=1 b=two c= ");
    gets_by(show_cookies, (struct sent){.cookie = ";; b = 2; a=x=y ;a=z"}, 200,
            "a=x=y b=(none) c=(none) ");
    gets_by(show_cookies, (struct sent){.cookie = ""}, 200, "a=(none) b=(none) c=(none) ");
}
END_TEST

static void set_cookies(struct door_app_request *req, void *data)
{
    static const char *const wrong[][2] = {{"", "x"},    {"a b", "x"},  {"a=", "x"},   {"a", "x;y"},
                                           {"a", "x y"}, {"a", "x\ny"}, {"a", "\"x\""}};

    (void)data;
    ck_assert_int_eq(door_app_cookie_set(req, "a", "1", NULL), 0);
    ck_assert_int_eq(door_app_cookie_set(req, "b", "", "Path=/; HttpOnly"), 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        errno = 0;
        ck_assert_int_eq(door_app_cookie_set(req, wrong[i][0], wrong[i][1], NULL), -1);
        ck_assert_int_eq(errno, EINVAL);
    }
    ck_assert_int_eq(door_app_cookie_set(req, "c", "x", "Path=/\r\nEvil: 1"), -1);
}

START_TEST(cookies_are_set)
{
    struct door_app *app = door_app_create();
    struct message message;
    struct answer answer;

    door_app_handle(app, "/", set_cookies, NULL);
    message_of(&message, &(struct sent){0});
    ask(app, &message, &answer);
    ck_assert_str_eq(answer_header(&answer, "Set-Cookie", 0), "a=1");
    ck_assert_str_eq(answer_header(&answer, "Set-Cookie", 1), "b=; Path=/; HttpOnly");
    ck_assert_ptr_null(answer_header(&answer, "Set-Cookie", 2));
    door_app_destroy(app);
}
END_TEST

static void write_texts(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_write_html(req, "<a href=\"x\">'&'</a>");
    door_app_write_html(req, "");
    door_app_write_json(req, "\"\\\n\t\x01</script>\xc3\xa9");
    door_app_write_json(req, NULL);
    door_app_printf(req, "%s", door_app_percent_encode(req, "a b/c~\xc3\xa9%"));
    door_app_printf(req, "%s", door_app_percent_decode(req, "+%41%2f%"));
    ck_assert_ptr_null(door_app_percent_decode(req, "%00"));
    memset(door_app_alloc(req, 100000), 1, 100000);
}

START_TEST(texts_are_made_safe)
{
    gets_by(write_texts, (struct sent){0}, 200,
            "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;"
            "\"\\\"\\\\\\n\\t\\u0001\\u003c/script>\xc3\xa9\"null"
            "a%20b%2Fc~%C3%A9%25+A/%");
}
END_TEST

static void redirect(struct door_app_request *req, void *data)
{
    (void)data;
    ck_assert_int_eq(door_app_redirect(req, 200, "/x"), -1);
    ck_assert_int_eq(door_app_redirect(req, 303, "/x\r\nEvil: 1"), -1);
    errno = 0;
    ck_assert_int_eq(door_app_redirect(req, 303, NULL), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(door_app_redirect(req, 303, "/there"), 0);
}

START_TEST(redirects_have_a_status)
{
    gets_by(redirect, (struct sent){0}, 303, "");
}
END_TEST

START_TEST(types_by_extension)
{
    ck_assert_str_eq(door_app_type_of("a.html"), "text/html; charset=utf-8");
    ck_assert_str_eq(door_app_type_of("/x.y/a.tar.GZ"), "application/gzip");
    ck_assert_str_eq(door_app_type_of("/x.png/a"), "application/octet-stream");
    ck_assert_str_eq(door_app_type_of(""), "application/octet-stream");
}
END_TEST

START_TEST(the_log_has_levels)
{
    struct capture capture;

    begin_capture(&capture);
    errno = ENOENT;
    door_app_log(NULL, LOG_ERR, "%s: %m\nnext", "a");
    door_app_log(NULL, LOG_INFO, "b");
    end_capture(&capture);
    ck_assert_str_eq(capture.text, "<3>a: No such file or directory next\n<6>b\n");
}
END_TEST

/* Whether or not there is an id to put in front. */
static void log_errno(struct door_app_request *req, void *data)
{
    errno = EACCES;
    door_app_log(req, LOG_WARNING, "%s: %m", (const char *)data);
    ck_assert_int_eq(errno, EACCES);
}

START_TEST(the_log_keeps_errno)
{
    struct door_app *app = door_app_create();
    struct capture capture;
    struct message message;
    struct answer answer;

    door_app_handle(app, "/", log_errno, "a");
    begin_capture(&capture);
    gets(app, (struct sent){.method = "GET"}, 200, "");
    message_begin(&message);
    message_field(&message, DOOR_WIRE_ENV, "UNIQUE_ID", "number1");
    message_end(&message, DOOR_WIRE_REQUEST, 0, NULL, 0);
    ask(app, &message, &answer);
    end_capture(&capture);
    ck_assert_str_eq(capture.text, "<4>a: Permission denied\n<4>number1: a: Permission denied\n");
    door_app_destroy(app);
}
END_TEST

/* SetEnvIf may make an id of what a client has sent. */
START_TEST(the_log_takes_an_id_of_any_length)
{
    static const size_t lens[] = {256, 257, 4000, 4090, 4092, 4096, 8190};
    struct door_app *app = door_app_create();
    char id[8192], expected[1024];
    struct capture capture;
    struct message message;
    struct answer answer;

    memset(id, 'x', lens[_i]);
    id[lens[_i]] = '\0';
    snprintf(expected, sizeof(expected), "<4>%.256s: a: Permission denied\n", id);
    door_app_handle(app, "/", log_errno, "a");
    message_begin(&message);
    message_field(&message, DOOR_WIRE_ENV, "UNIQUE_ID", id);
    message_end(&message, DOOR_WIRE_REQUEST, 0, NULL, 0);
    begin_capture(&capture);
    ask(app, &message, &answer);
    end_capture(&capture);
    ck_assert_str_eq(capture.text, expected);
    door_app_destroy(app);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("forms");

    tcase_add_test(tests, patterns_have_parameters);
    tcase_add_test(tests, another_method_is_refused);
    tcase_add_test(tests, what_is_no_pattern_is_refused);
    tcase_add_loop_test(tests, a_query_is_decoded, 0, sizeof(queries) / sizeof(queries[0]));
    tcase_add_test(tests, a_form_is_read);
    tcase_add_loop_test(tests, parts_are_told_apart, 0, sizeof(parts) / sizeof(parts[0]));
    tcase_add_test(tests, a_part_that_does_not_end);
    tcase_add_test(tests, headers_of_a_part_are_limited);
    tcase_add_test(tests, parameters_take_little_memory);
    tcase_add_test(tests, cookies_are_found);
    tcase_add_test(tests, cookies_of_joined_fields_are_found);
    tcase_add_test(tests, cookies_are_set);
    tcase_add_test(tests, texts_are_made_safe);
    tcase_add_test(tests, redirects_have_a_status);
    tcase_add_test(tests, types_by_extension);
    tcase_add_test(tests, the_log_has_levels);
    tcase_add_test(tests, the_log_keeps_errno);
    tcase_add_loop_test(tests, the_log_takes_an_id_of_any_length, 0, 7);
    return run_tests(tests);
}
