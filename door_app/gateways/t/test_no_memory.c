/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_no_memory.c: the gateways where there is no memory for a request's variables: a
 * program that got the request without them might allow what it must refuse.
 */
#define main door_cgi_main
#include "../door_cgi.c"
#undef main

#include <check.h>
#include <fcntl.h>

#include "door_test_run.h"
#include "fcgi_exchange.h"
#include "serve.h"
#include "wire.h"

/* In place of cgi.c's. */
int door_app_cgi_next(struct door_app_request *req, size_t *position, const char **name,
                      const char **value)
{
    (void)req;
    (void)position;
    (void)name;
    (void)value;
    errno = ENOMEM;
    return -1;
}

const char *door_app_cgi(struct door_app_request *req, const char *name)
{
    (void)req;
    (void)name;
    errno = ENOMEM;
    return NULL;
}

/* The status of what the handler answers to GET /. */
static unsigned status_by(door_app_handler *handler, void *data)
{
    struct door_app *app = door_app_create();
    struct door_rt_answer answer;
    struct door_wire_writer writer;
    struct door_wire_reader reader;
    char message[256];

    door_app_handle(app, "/", handler, data);
    door_wire_begin(&writer, message, sizeof(message));
    door_wire_field(&writer, DOOR_WIRE_METHOD, "", 0, "GET", 3);
    door_wire_field(&writer, DOOR_WIRE_PATH_INFO, "", 0, "/", 1);
    door_rt_answer(app, message, door_wire_end(&writer, DOOR_WIRE_REQUEST, 0, 0, 0), -1, &answer);
    ck_assert_int_eq(door_wire_read(&reader, DOOR_WIRE_RESPONSE, answer.bytes, answer.len), 0);
    door_app_destroy(app);
    return reader.status;
}

START_TEST(a_cgi_program_does_not_run)
{
    static const char text[] = "#!/bin/sh\necho 'Content-Type: text/plain'\necho\n";
    char path[] = "/tmp/test_no_memory.XXXXXX";
    int fd = mkstemp(path);
    unsigned status;

    ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
    fchmod(fd, 0700);
    close(fd);
    strcpy(options.place, path);
    options.is_program = 1;
    ck_assert_int_eq(cgi_program_prepare(1000), 0);
    status = status_by(handle, NULL);
    unlink(path);
    ck_assert_uint_eq(status, 500);
}
END_TEST

/* One that was asked would break off. */
START_TEST(a_fastcgi_program_is_not_asked)
{
    char *argv[] = {"perl", "-e", "while (accept C, STDIN) { close C }", NULL};
    struct fcgi_pool_config config = {
        .keeper = {.argv = argv, .stop_ms = 10000, .tmp_dir = "/tmp"},
        .seats = 1,
        .queue_length = 1,
        .queue_ms = 60000};
    struct fcgi_exchange_config exchange = {.pool = fcgi_pool_open(&config),
                                            .role = FCGI_RESPONDER,
                                            .abort_ms = 5000};

    ck_assert_ptr_nonnull(exchange.pool);
    ck_assert_uint_eq(status_by(fcgi_exchange, &exchange), 503);
    fcgi_pool_close(exchange.pool);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("no_memory");
    Suite *suite = suite_create("no_memory");

    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, a_cgi_program_does_not_run);
    tcase_add_test(tests, a_fastcgi_program_is_not_asked);
    suite_add_tcase(suite, tests);
    return door_test_run(suite);
}
