/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_files.c: a directory whose files clients may have, and what they may not.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

static char top[] = "/tmp/door_files.XXXXXX";
static struct door_app *app;
static struct answer answer;
static int had_fds; /* open ones, before a request */

static const char *below(const char *name)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", top, name);
    return path;
}

static void make_file(const char *name, const char *text)
{
    int fd = open(below(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

    ck_assert_int_ne(fd, -1);
    ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(top));
    ck_assert_int_eq(mkdir(below("www"), 0755), 0);
    ck_assert_int_eq(mkdir(below("www/sub"), 0755), 0);
    ck_assert_int_eq(mkdir(below("www/.git"), 0755), 0);
    make_file("secret", "secret");
    make_file("www/page.html", "<p>");
    make_file("www/empty.css", "");
    make_file("www/sub/index.html", "index");
    make_file("www/.hidden", "hidden");
    make_file("www/.git/config", "hidden");
    ck_assert_int_eq(symlink("../secret", below("www/link")), 0);
    ck_assert_int_eq(symlink("page.html", below("www/inner")), 0);
    ck_assert_int_eq(symlink("..", below("www/up")), 0);
    ck_assert_int_eq(mkfifo(below("www/fifo"), 0644), 0);
    app = door_app_create();
    ck_assert_int_eq(door_app_files(app, "/static/", below("www")), 0);
}

static void teardown(void)
{
    char command[64];

    door_app_destroy(app);
    snprintf(command, sizeof(command), "rm -rf %s", top);
    ck_assert_int_eq(system(command), 0);
}

static int count_fds(void)
{
    int count = 0;

    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

static void get_as(const char *method, const char *path)
{
    struct message message;

    message_begin(&message);
    message_field(&message, DOOR_WIRE_METHOD, "", method);
    message_field(&message, DOOR_WIRE_SCRIPT_NAME, "", "/app");
    message_field(&message, DOOR_WIRE_PATH_INFO, "", path);
    message_end(&message, DOOR_WIRE_REQUEST, 0, NULL, 0);
    had_fds = count_fds();
    ask(app, &message, &answer);
}

/* The answer is this file, and nothing else stays open. */
static void assert_file(const char *text, const char *type)
{
    char got[64] = "";

    ck_assert_uint_eq(answer.reader.status, 200);
    ck_assert_int_ne(answer.answer.fd, -1);
    ck_assert_int_eq(pread(answer.answer.fd, got, sizeof(got) - 1, 0), strlen(text));
    ck_assert_str_eq(got, text);
    ck_assert_str_eq(answer_header(&answer, "Content-Type", 0), type);
    close(answer.answer.fd);
    ck_assert_int_eq(count_fds(), had_fds);
}

static void assert_none(const char *path)
{
    get_as("GET", path);
    ck_assert_uint_eq(answer.reader.status, 404);
    ck_assert_int_eq(answer.answer.fd, -1);
    ck_assert_int_eq(count_fds(), had_fds);
}

START_TEST(files_have_what_they_say)
{
    get_as("GET", "/static/page.html");
    assert_file("<p>", "text/html; charset=utf-8");
    get_as("HEAD", "/static/page.html");
    assert_file("<p>", "text/html; charset=utf-8");
    get_as("GET", "/static/empty.css");
    assert_file("", "text/css; charset=utf-8");
    get_as("GET", "/static/sub/");
    assert_file("index", "text/html; charset=utf-8");
}
END_TEST

/* The validators of page.html after its time of change was set. */
static void validators(time_t seconds, long ns, char *tag, size_t cap)
{
    struct timespec times[2] = {{seconds, ns}, {seconds, ns}};

    ck_assert_int_eq(utimensat(AT_FDCWD, below("www/page.html"), times, 0), 0);
    get_as("GET", "/static/page.html");
    snprintf(tag, cap, "%s", answer_header(&answer, "ETag", 0));
    close(answer.answer.fd);
}

START_TEST(files_can_be_told_from_others)
{
    char tag[64], same[64], later[64], longer[64];

    validators(784111777, 0, tag, sizeof(tag));
    ck_assert_str_eq(answer_header(&answer, "Last-Modified", 0), "Sun, 06 Nov 1994 08:49:37 GMT");
    ck_assert_int_eq(tag[0], '"');
    validators(784111777, 0, same, sizeof(same));
    ck_assert_str_eq(tag, same);
    validators(784111777, 1000, later, sizeof(later));
    ck_assert_str_ne(tag, later);
    make_file("www/page.html", "<p>more");
    validators(784111777, 0, longer, sizeof(longer));
    ck_assert_str_ne(tag, longer);
}
END_TEST

START_TEST(directories_end_in_a_slash)
{
    get_as("GET", "/static/sub");
    ck_assert_uint_eq(answer.reader.status, 308);
    ck_assert_str_eq(answer_header(&answer, "Location", 0), "/app/static/sub/");
    get_as("GET", "/static");
    ck_assert_uint_eq(answer.reader.status, 308);
    ck_assert_str_eq(answer_header(&answer, "Location", 0), "/app/static/");
    ck_assert_int_eq(count_fds(), had_fds);
}
END_TEST

START_TEST(nothing_else_is_reached)
{
    static const char *const none[] = {
        "/static/", "/static/nothing", "/static/../secret", "/static/sub/../page.html",
        "/static/./page.html", "/static/..", "/static/link", "/static/inner", "/static/up/secret",
        "/static/up/www/page.html", "/static/.hidden", "/static/.git/config", "/static/.git/",
        "/static//page.html", "/static/sub//", "/static//etc/passwd", "/static/page.html/",
        "/static/page.html/x", "/static/fifo", "/static/up/", "/static/.", "/staticx/page.html"};
    static char long_name[600] = "/static/";

    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_none(none[i]);
    memset(long_name + 8, 'x', sizeof(long_name) - 9);
    assert_none(long_name);
    if (geteuid() == 0)
        return; /* root may read what has no mode */
    ck_assert_int_eq(chmod(below("www/page.html"), 0), 0);
    assert_none("/static/page.html");
}
END_TEST

START_TEST(files_are_only_read)
{
    get_as("POST", "/static/page.html");
    ck_assert_uint_eq(answer.reader.status, 405);
    ck_assert_str_eq(answer_header(&answer, "Allow", 0), "GET, HEAD");
    ck_assert_int_eq(count_fds(), had_fds);
}
END_TEST

START_TEST(the_directory_stays_the_one_it_was)
{
    char aside[128];

    snprintf(aside, sizeof(aside), "%s", below("aside"));
    ck_assert_int_eq(rename(below("www"), aside), 0);
    ck_assert_int_eq(mkdir(below("www"), 0755), 0);
    get_as("GET", "/static/page.html");
    assert_file("<p>", "text/html; charset=utf-8");
}
END_TEST

START_TEST(a_directory_can_be_all_there_is)
{
    struct door_app *whole = door_app_create();

    door_app_destroy(app);
    app = whole;
    ck_assert_int_eq(door_app_files(app, "/", below("www")), 0);
    get_as("GET", "/page.html");
    assert_file("<p>", "text/html; charset=utf-8");
    get_as("GET", "");
    ck_assert_uint_eq(answer.reader.status, 308);
    ck_assert_str_eq(answer_header(&answer, "Location", 0), "/app/");
    make_file("www/index.html", "top");
    get_as("GET", "/");
    assert_file("top", "text/html; charset=utf-8");
}
END_TEST

/* A file system in memory keeps a time of change that no date can tell; others cut it. */
START_TEST(a_time_that_is_no_date)
{
    static const long long seconds[] = {253402300799, 253402300800, 1ll << 60};
    const struct timespec when = {.tv_sec = (time_t)seconds[_i]};
    char directory[] = "/dev/shm/door_files.XXXXXX";
    struct door_app *whole = door_app_create();
    struct stat st;
    int fd;

    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(door_app_files(whole, "/", directory), 0);
    fd = openat(whole->directories->fd, "a.css", O_WRONLY | O_CREAT, 0644);
    ck_assert_int_ne(fd, -1);
    ck_assert_int_eq(futimens(fd, (struct timespec[]){when, when}), 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    close(fd);
    door_app_destroy(app);
    app = whole;
    get_as("GET", "/a.css");
    ck_assert_int_eq(unlinkat(app->directories->fd, "a.css", 0), 0);
    ck_assert_int_eq(rmdir(directory), 0);
    assert_file("", "text/css; charset=utf-8");
    ck_assert_int_eq(answer_header(&answer, "Last-Modified", 0) == NULL, st.st_mtim.tv_sec > seconds[0]);
    ck_assert_ptr_nonnull(answer_header(&answer, "ETag", 0));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("files");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, files_have_what_they_say);
    tcase_add_test(tests, files_can_be_told_from_others);
    tcase_add_test(tests, directories_end_in_a_slash);
    tcase_add_test(tests, nothing_else_is_reached);
    tcase_add_test(tests, files_are_only_read);
    tcase_add_test(tests, the_directory_stays_the_one_it_was);
    tcase_add_test(tests, a_directory_can_be_all_there_is);
    tcase_add_loop_test(tests, a_time_that_is_no_date, 0, 3);
    return run_tests(tests);
}
