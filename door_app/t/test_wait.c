/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_wait.c: a handler that reads its request's body and something else at the same
 * time, on one thread.  The test is httpd: what it has of the body comes when the
 * handler says so, and it waits as httpd does, for that and for a descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

#define ID    "0123456789abcdef0123456789abcdef"
#define TOKEN "fedcba9876543210fedcba9876543210"

#define LONG_MS 15000 /* no test gets there */

static struct {
    _Atomic(const char *) piece; /* the next READ's, or NULL: nothing has come */
    _Atomic int is_last;         /* the body ends with it */
    _Atomic int waits, waits_with_fd;
    int is_old;                  /* knows no WAIT */
    unsigned read_error;
} httpd;

static struct door_app *app;
static int app_door, response_door;

static void wait_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static int is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, 0) > 0;
}

static int has_body(void)
{
    return atomic_load(&httpd.piece) != NULL || httpd.read_error != 0;
}

static unsigned serve_wait(struct door_wire_reader message, int fd)
{
    struct door_wire_field field;
    long ms = 0;

    while (door_wire_next(&message, &field))
        if (field.type == DOOR_WIRE_WAIT_MS)
            ms = atol(field.value);
    atomic_fetch_add(&httpd.waits, 1);
    if (fd != -1)
        atomic_fetch_add(&httpd.waits_with_fd, 1);
    for (; ms > 0 && !has_body() && !is_readable(fd); ms--)
        wait_ms(1);
    return has_body() ? DOOR_WIRE_READABLE : 0;
}

static size_t put_piece(char *buf, size_t cap)
{
    const char *piece = atomic_exchange(&httpd.piece, NULL);
    int is_last = piece != NULL && atomic_load(&httpd.is_last);
    size_t len = piece != NULL ? strlen(piece) : 0;
    struct door_wire_writer w;
    size_t head;

    door_wire_begin(&w, buf, cap);
    head = door_wire_end(&w, DOOR_WIRE_PART, 0, is_last ? 0 : DOOR_WIRE_MORE, len);
    memcpy(buf + head, piece != NULL ? piece : "", len);
    return head + len;
}

static size_t put_ack(char *buf, size_t cap, unsigned status, unsigned flags)
{
    struct door_wire_writer w;

    door_wire_begin(&w, buf, cap);
    return door_wire_end(&w, DOOR_WIRE_ACK, status, flags, 0);
}

static void serve(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    int fd = n_desc > 0 ? dp->d_data.d_desc.d_descriptor : -1;
    struct door_wire_reader message;
    char reply[1024];
    size_t len;

    (void)cookie;
    ck_assert_int_eq(door_wire_read(&message, DOOR_WIRE_ANY, argp, arg_size), 0);
    if (message.kind == DOOR_WIRE_WAIT && !httpd.is_old)
        len = put_ack(reply, sizeof(reply), 0, serve_wait(message, fd));
    else if (message.kind != DOOR_WIRE_READ)
        len = put_ack(reply, sizeof(reply), EINVAL, 0);
    else if (httpd.read_error != 0)
        len = put_ack(reply, sizeof(reply), httpd.read_error, 0);
    else
        len = put_piece(reply, sizeof(reply));
    if (fd != -1)
        close(fd);
    door_return(reply, len, NULL, 0);
}

/* How many calls to httpd are still to be refused, before it sees them. */
static int refusals;

int __real_door_handle_call(struct door_handle *handle, door_arg_t *arg, struct door_terms *terms);
int __wrap_door_handle_call(struct door_handle *handle, door_arg_t *arg, struct door_terms *terms);

/* The linker puts this before libdoor's. */
int __wrap_door_handle_call(struct door_handle *handle, door_arg_t *arg, struct door_terms *terms)
{
    if (refusals == 0)
        return __real_door_handle_call(handle, arg, terms);
    refusals--;
    arg->data_ptr = arg->rbuf; /* what it points to after a call that failed is not said */
    errno = EAGAIN;
    return -1;
}

static void setup(void)
{
    app = door_app_create();
    app_door = door_create(door_rt_serve, app, 0);
    response_door = door_create(serve, NULL, 0);
    ck_assert(app_door >= 0 && response_door >= 0);
}

/* Has handler answer a request of whose body nothing has come yet. */
static void run(door_app_handler *handler, int has_door)
{
    door_desc_t desc = {.d_attributes = DOOR_DESCRIPTOR,
                        .d_data.d_desc.d_descriptor = response_door};
    struct door_wire_reader reader;
    struct message message;
    char reply[4096];

    ck_assert_int_eq(door_app_handle(app, "/", handler, NULL), 0);
    message_begin(&message);
    message_field(&message, DOOR_WIRE_METHOD, "", "POST");
    message_field(&message, DOOR_WIRE_PATH_INFO, "", "/");
    if (has_door) {
        message_field(&message, DOOR_WIRE_DOOR, "", ID);
        message_field(&message, DOOR_WIRE_TOKEN, "", TOKEN);
    }
    message.len = door_wire_end(&message.writer, DOOR_WIRE_REQUEST, 0, DOOR_WIRE_MORE, 0);
    door_arg_t arg = {.data_ptr = message.bytes, .data_size = message.len, .desc_ptr = &desc,
                      .desc_num = has_door != 0, .rbuf = reply, .rsize = sizeof(reply)};
    ck_assert_int_eq(door_call(app_door, &arg), 0);
    ck_assert_int_eq(door_wire_read(&reader, DOOR_WIRE_RESPONSE, arg.data_ptr, arg.data_size), 0);
    ck_assert_uint_eq(reader.body_len, 4);
    ck_assert_mem_eq(reader.body, "done", 4);
}

static void assert_fails(int result, int error)
{
    int got = errno;

    ck_assert_int_eq(result, -1);
    ck_assert_int_eq(got, error);
}

/* ---------------------------------------------------------------- reading */

static void read_now(struct door_app_request *req, void *data)
{
    char buf[16];

    (void)data;
    assert_fails((int)door_app_read_now(req, buf, sizeof(buf)), EAGAIN);
    httpd.piece = "piece";
    ck_assert_int_eq(door_app_read_now(req, buf, 3), 3);
    ck_assert_int_eq(door_app_read_now(req, buf + 3, 13), 2);
    ck_assert_mem_eq(buf, "piece", 5);
    assert_fails((int)door_app_read_now(req, buf, sizeof(buf)), EAGAIN);
    httpd.is_last = 1;
    httpd.piece = "";
    ck_assert_int_eq(door_app_read_now(req, buf, sizeof(buf)), 0);
    ck_assert_int_eq(door_app_read_now(req, buf, sizeof(buf)), 0);
    door_app_printf(req, "done");
}

START_TEST(a_read_that_does_not_wait)
{
    run(read_now, 1);
}
END_TEST

static void read_error(struct door_app_request *req, void *data)
{
    char buf[16];

    (void)data;
    httpd.read_error = EFBIG;
    ck_assert_int_eq(door_app_wait(req, -1, LONG_MS), DOOR_APP_BODY_READY);
    assert_fails((int)door_app_read_now(req, buf, sizeof(buf)), EFBIG);
    assert_fails((int)door_app_read_now(req, buf, sizeof(buf)), EFBIG);
    ck_assert_int_eq(door_app_wait(req, -1, 5), 0); /* it is known */
    door_app_status(req, 200);
    door_app_printf(req, "done");
}

START_TEST(an_error_is_waited_for)
{
    run(read_error, 1);
}
END_TEST

/* ---------------------------------------------------------------- waiting */

static void wait_for_both(struct door_app_request *req, void *data)
{
    int ends[2], waits;
    char buf[16];

    (void)data;
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(door_app_wait(req, ends[0], 20), 0);
    ck_assert_int_gt(httpd.waits_with_fd, 0);
    ck_assert_int_eq(door_app_wait(req, ends[0], 0), 0);
    ck_assert_int_eq(write(ends[1], "x", 1), 1);
    ck_assert_int_eq(door_app_wait(req, ends[0], LONG_MS), DOOR_APP_FD_READY);
    httpd.piece = "y";
    ck_assert_int_eq(door_app_wait(req, ends[0], LONG_MS),
                     DOOR_APP_FD_READY | DOOR_APP_BODY_READY);
    ck_assert_int_eq(read(ends[0], buf, sizeof(buf)), 1);
    ck_assert_int_eq(door_app_wait(req, ends[0], LONG_MS), DOOR_APP_BODY_READY);
    ck_assert_int_eq(door_app_wait(req, -1, -1), DOOR_APP_BODY_READY);
    ck_assert_int_eq(door_app_read_now(req, buf, sizeof(buf)), 1);
    httpd.is_last = 1;
    httpd.piece = "z";
    ck_assert_int_eq(door_app_wait(req, ends[0], -1), DOOR_APP_BODY_READY);
    ck_assert_int_eq(door_app_read_now(req, buf, sizeof(buf)), 1);
    ck_assert_int_eq(door_app_wait(req, ends[0], -1), DOOR_APP_BODY_READY); /* the end */
    ck_assert_int_eq(door_app_read_now(req, buf, sizeof(buf)), 0);
    /* From now on nobody else is asked. */
    waits = httpd.waits;
    ck_assert_int_eq(door_app_wait(req, ends[0], 20), 0);
    close(ends[1]);
    ck_assert_int_eq(door_app_wait(req, ends[0], -1), DOOR_APP_FD_READY); /* its end */
    ck_assert_int_eq(httpd.waits, waits);
    assert_fails(door_app_wait(req, -1, -1), EINVAL);
    close(ends[0]);
    door_app_printf(req, "done");
}

START_TEST(a_body_or_a_descriptor)
{
    run(wait_for_both, 1);
}
END_TEST

static void wait_refused(struct door_app_request *req, void *data)
{
    int ends[2];

    (void)data;
    ck_assert_int_eq(pipe(ends), 0);
    refusals = 2;
    ck_assert_int_eq(door_app_wait(req, ends[0], 20), 0);
    ck_assert_int_eq(refusals, 0);
    ck_assert_int_gt(httpd.waits_with_fd, 0);
    refusals = 1000;
    assert_fails(door_app_wait(req, ends[0], 20), EAGAIN);
    ck_assert_int_gt(refusals, 900); /* that is not tried without end */
    refusals = 0;
    close(ends[0]);
    close(ends[1]);
    door_app_printf(req, "done");
}

START_TEST(a_wait_that_is_refused)
{
    run(wait_refused, 1);
}
END_TEST

static void *write_late(void *data)
{
    wait_ms(50);
    ck_assert_int_eq(send(*(int *)data, "x", 1, 0), 1);
    return NULL;
}

static void *give_late(void *data)
{
    (void)data;
    wait_ms(50);
    httpd.piece = "y";
    return NULL;
}

static void wait_until_they_come(struct door_app_request *req, void *data)
{
    int ends[2];
    char buf[16];
    pthread_t thread;

    (void)data;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    pthread_create(&thread, NULL, write_late, &ends[1]);
    ck_assert_int_eq(door_app_wait(req, ends[0], LONG_MS), DOOR_APP_FD_READY);
    pthread_join(thread, NULL);
    ck_assert_int_eq(read(ends[0], buf, sizeof(buf)), 1);
    pthread_create(&thread, NULL, give_late, NULL);
    ck_assert_int_eq(door_app_wait(req, ends[0], LONG_MS), DOOR_APP_BODY_READY);
    pthread_join(thread, NULL);
    ck_assert_int_eq(httpd.waits, 2); /* and not in rounds */
    close(ends[0]);
    close(ends[1]);
    door_app_printf(req, "done");
}

START_TEST(what_comes_late_ends_the_wait)
{
    run(wait_until_they_come, 1);
}
END_TEST

static void wait_for_nonsense(struct door_app_request *req, void *data)
{
    int file = memfd_create("file", MFD_CLOEXEC);

    (void)data;
    assert_fails(door_app_wait(req, file, 0), EINVAL);
    close(file);
    assert_fails(door_app_wait(req, file, 0), EBADF);
    door_app_printf(req, "done");
}

START_TEST(a_file_is_not_waited_for)
{
    run(wait_for_nonsense, 1);
    ck_assert_int_eq(httpd.waits, 0);
}
END_TEST

static void wait_in_vain(struct door_app_request *req, void *data)
{
    (void)data;
    assert_fails(door_app_wait(req, -1, LONG_MS), ENOTSUP);
    door_app_printf(req, "done");
}

START_TEST(an_httpd_that_cannot_wait)
{
    httpd.is_old = 1;
    run(wait_in_vain, 1);
}
END_TEST

START_TEST(an_httpd_without_a_door)
{
    run(wait_in_vain, 0);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("wait");

    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, a_read_that_does_not_wait);
    tcase_add_test(tests, an_error_is_waited_for);
    tcase_add_test(tests, a_body_or_a_descriptor);
    tcase_add_test(tests, a_wait_that_is_refused);
    tcase_add_test(tests, what_comes_late_ends_the_wait);
    tcase_add_test(tests, a_file_is_not_waited_for);
    tcase_add_test(tests, an_httpd_that_cannot_wait);
    tcase_add_test(tests, an_httpd_without_a_door);
    return run_tests(tests);
}
