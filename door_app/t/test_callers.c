/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_callers.c: what the runtime remembers of httpd's processes: however many a caller
 * invents, and however little the process may have, a handler runs with its response
 * door or not at all.  The test is httpd, as in test_stream.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stropts.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

#define TOKEN   "fedcba9876543210fedcba9876543210"
#define CALLERS 5000u

static int app_door;
static int response_door; /* by its name: what is passed on is one descriptor more */
static unsigned ran, flushed;

static void flush_something(struct door_app_request *req, void *data)
{
    (void)data;
    ran++;
    door_app_printf(req, "line\n");
    flushed += door_app_flush(req) == 0;
}

static void acknowledge(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    char bytes[64];
    struct door_wire_writer w;

    (void)cookie, (void)argp, (void)arg_size, (void)dp, (void)n_desc;
    door_wire_begin(&w, bytes, sizeof(bytes));
    door_return(bytes, door_wire_end(&w, DOOR_WIRE_ACK, 0, 0, 0), NULL, 0);
}

static int open_by_name(int door)
{
    char name[] = "/tmp/door_app.XXXXXX";
    int fd = mkstemp(name);

    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(fattach(door, name), 0);
    fd = door_openat(AT_FDCWD, name, 0);
    ck_assert_int_ge(fd, 0);
    fdetach(name);
    unlink(name);
    return fd;
}

static void setup(void)
{
    struct door_app *app = door_app_create();

    ck_assert_int_eq(door_app_handle(app, "/", flush_something, NULL), 0);
    app_door = door_create(door_rt_serve, app, 0);
    ck_assert_int_ge(app_door, 0);
    response_door = open_by_name(door_create(acknowledge, NULL, 0));
}

/* The kind of the answer to one request of that caller, and its status. */
static unsigned ask_once(unsigned caller, int with_door, unsigned *status)
{
    static char bytes[65536];
    char id[DOOR_WIRE_ID_LEN + 1];
    struct door_wire_reader reader;
    struct message message;
    door_desc_t desc = {.d_attributes = DOOR_DESCRIPTOR,
                        .d_data.d_desc.d_descriptor = response_door};
    door_arg_t arg = {.data_ptr = message.bytes,
                      .desc_ptr = &desc,
                      .desc_num = with_door != 0,
                      .rbuf = bytes,
                      .rsize = sizeof(bytes)};

    snprintf(id, sizeof(id), "%08x%024u", caller * 2654435761u, caller);
    message_begin(&message);
    message_field(&message, DOOR_WIRE_METHOD, "", "GET");
    message_field(&message, DOOR_WIRE_PATH_INFO, "", "/");
    message_field(&message, DOOR_WIRE_DOOR, "", id);
    message_field(&message, DOOR_WIRE_TOKEN, "", TOKEN);
    message_end(&message, DOOR_WIRE_REQUEST, 0, NULL, 0);
    arg.data_size = message.len;
    ck_assert_int_eq(door_call(app_door, &arg), 0);
    ck_assert_int_eq(door_wire_read(&reader, DOOR_WIRE_ANY, arg.data_ptr, arg.data_size), 0);
    *status = reader.status;
    return reader.kind;
}

/*
 * The same, asked again for some seconds where there is no descriptor: doors that were
 * dropped take a moment to be closed.
 */
static unsigned ask_as(unsigned caller, int with_door, unsigned *status)
{
    unsigned kind = ask_once(caller, with_door, status);

    for (int i = 0; i < 500 && kind == DOOR_WIRE_BUSY && *status == EMFILE; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        kind = ask_once(caller, with_door, status);
    }
    return kind;
}

static void limit_descriptors(rlim_t count)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur > count)
        limit.rlim_cur = count;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* More than there is room for, and more than the process may have descriptors. */
START_TEST(a_caller_that_invents_callers)
{
    unsigned status;

    limit_descriptors(_i == 0 ? 20000 : 512);
    ck_assert_uint_eq(ask_as(0, 0, &status), DOOR_WIRE_WHO);
    ck_assert_uint_eq(ask_as(0, 1, &status), DOOR_WIRE_END);
    for (unsigned i = 1; i <= CALLERS; i++)
        ck_assert_uint_eq(ask_as(i, 1, &status), DOOR_WIRE_END);
    ck_assert_uint_eq(ask_as(0, 0, &status), DOOR_WIRE_WHO);
    ck_assert_uint_eq(ask_as(0, 1, &status), DOOR_WIRE_END);
    ck_assert_uint_eq(ask_as(0, 0, &status), DOOR_WIRE_END); /* it is known */
    ck_assert_uint_eq(flushed, ran);
    ck_assert_uint_eq(ran, CALLERS + 3);
}
END_TEST

/* One that calls is not forgotten for others that do not. */
START_TEST(who_calls_stays)
{
    unsigned status;

    limit_descriptors(512);
    ck_assert_uint_eq(ask_as(0, 1, &status), DOOR_WIRE_END);
    for (unsigned i = 1; i <= 1000; i++) {
        ck_assert_uint_eq(ask_as(i, 1, &status), DOOR_WIRE_END);
        if (i % 100 == 0)
            ck_assert_uint_eq(ask_as(0, 0, &status), DOOR_WIRE_END);
    }
}
END_TEST

/* The response door could be kept, and not be called. */
START_TEST(no_descriptor_is_left)
{
    unsigned status;
    int fds[512], count = 0;

    limit_descriptors(512);
    ck_assert_uint_eq(ask_as(0, 0, &status), DOOR_WIRE_WHO); /* our own way there is open */
    while (count < 512 && (fds[count] = dup(STDIN_FILENO)) != -1)
        count++;
    for (int i = 0; i < 6; i++) {
        ck_assert_uint_eq(ask_as(0, 0, &status), DOOR_WIRE_WHO);
        close(fds[--count]); /* for what comes along, for asking who it is, ... */
        if (i > 0) {
            unsigned kind = ask_once(0, 1, &status);

            ck_assert_msg(kind == DOOR_WIRE_BUSY || kind == DOOR_WIRE_END, "kind %u, i %d", kind,
                          i);
            if (kind == DOOR_WIRE_END)
                break;
            ck_assert_uint_eq(status, EMFILE);
            ck_assert_uint_eq(ran, 0);
        }
    }
    while (count > 0)
        close(fds[--count]);
    ck_assert_uint_eq(ask_as(0, 1, &status), DOOR_WIRE_END);
    ck_assert_uint_eq(flushed, ran);
    ck_assert_uint_ge(ran, 1);
}
END_TEST

/* Callers whose response doors are revoked, though their process lives, go with newcomers. */
START_TEST(who_has_revoked_its_door_is_forgotten)
{
    const int living = response_door;
    unsigned status;

    limit_descriptors(20000);
    for (unsigned i = 1; i <= 50; i++) {
        int door = door_create(acknowledge, NULL, 0);

        response_door = open_by_name(door);
        ck_assert_uint_eq(ask_as(i, 1, &status), DOOR_WIRE_END);
        close(response_door);
        ck_assert_int_eq(door_revoke(door), 0);
    }
    response_door = living;
    /* Each newcomer has two looked at; none of them is forgotten for want of room. */
    for (unsigned i = 100; i < 200; i++)
        ck_assert_uint_eq(ask_as(i, 1, &status), DOOR_WIRE_END);
    for (unsigned i = 1; i <= 50; i++)
        ck_assert_uint_eq(ask_as(i, 0, &status), DOOR_WIRE_WHO);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("callers");

    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_loop_test(tests, a_caller_that_invents_callers, 0, 2);
    tcase_add_test(tests, who_calls_stays);
    tcase_add_test(tests, no_descriptor_is_left);
    tcase_add_test(tests, who_has_revoked_its_door_is_forgotten);
    return run_tests(tests);
}
