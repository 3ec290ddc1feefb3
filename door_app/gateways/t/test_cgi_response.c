/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_cgi_response.c: a head in pieces of any size.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cgi_response.h"
#include "door_test_run.h"

/* Counts the header fields; the request gets none of them. */
static int count(void *data, const char *name, const char *value)
{
    ck_assert_str_eq(name, "Name");
    ck_assert_str_eq(value, "value");
    ++*(int *)data;
    return 1;
}

/* Wherever it is cut: it ends behind the empty line, neither before nor later. */
static void cut_everywhere(const char *head, int fields)
{
    size_t len = strlen(head);

    for (size_t cut = 1; cut < len; cut++) {
        int counted = 0;
        struct cgi_response response = {.take = count, .data = &counted, .is_bodiless = 1};

        ck_assert_int_eq(cgi_response_write(&response, head, cut), 0);
        ck_assert_int_eq(response.has_head, 0);
        ck_assert_int_eq(cgi_response_write(&response, head + cut, len - cut), 0);
        ck_assert_int_eq(response.has_head, 1);
        ck_assert_int_eq(counted, fields);
        ck_assert_int_eq(cgi_response_write(&response, "body", 4), 0);
        cgi_response_end(&response);
    }
}

START_TEST(test_two_pieces)
{
    cut_everywhere("Name: value\r\n\r\n", 1);
    cut_everywhere("Name: value\n\n", 1);
    cut_everywhere("Name: value\r\nName: value\n\r\n", 2);
}
END_TEST

static void write_bytes(struct cgi_response *response, const char *bytes)
{
    for (; *bytes != '\0'; bytes++)
        ck_assert_int_eq(cgi_response_write(response, bytes, 1), 0);
}

/* Nobody can read the first page while the second one is filled: else each byte would cost more. */
START_TEST(test_byte_by_byte)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int counted = 0, lines = 0;
    char line[300];
    struct cgi_response response = {
        .take = count,
        .data = &counted,
        .head = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
        .head_cap = 4 * page,
    };

    ck_assert_ptr_ne(response.head, MAP_FAILED);
    snprintf(line, sizeof(line), "Name:%250s\r\n", "value"); /* few fields, also in large pages */
    for (; response.head_len <= page; lines++)
        write_bytes(&response, line);
    ck_assert_int_eq(mprotect(response.head, page, PROT_NONE), 0);
    for (; response.head_len < 2 * page; lines++)
        write_bytes(&response, line);
    ck_assert_int_eq(mprotect(response.head, page, PROT_READ | PROT_WRITE), 0);
    write_bytes(&response, "\r\n");
    ck_assert_int_eq(response.has_head, 1);
    ck_assert_int_eq(counted, lines);
    munmap(response.head, 4 * page);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cgi_response");
    TCase *tc = tcase_create("cgi_response");

    tcase_add_test(tc, test_two_pieces);
    tcase_add_test(tc, test_byte_by_byte);
    suite_add_tcase(suite, tc);
    return door_test_run(suite);
}
