/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_stream.c: requests and responses that go through the response door.  The
 * test is httpd: it calls the application's door and serves a response door,
 * writes down what the runtime says there, and answers as it is told.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

#define ID    "0123456789abcdef0123456789abcdef"
#define TOKEN "fedcba9876543210fedcba9876543210"
#define BIG   3000000u /* many parts */
#define CALLS 64

#define LONG_BYTE(at) ((char)('a' + (at) / 1000 % 26))

/* One call of the response door. */
struct said {
    unsigned kind, status, flags;
    size_t body_len;
    int had_file;
};

/* What httpd has seen and what it answers; one test at a time. */
static struct {
    pthread_mutex_t lock;
    struct said said[CALLS];
    unsigned count;
    char *body; /* of the response, as it came in parts */
    size_t body_len;
    char file[16];                  /* what a file that came along begins with */
    unsigned ack_status, ack_flags; /* for all that is sent */
    unsigned read_status;           /* for READ, unless there are pieces */
    const char *pieces;             /* the rest of the request's body, two bytes at a time */
    size_t long_len, long_given;    /* or LONG_BYTE()s, as many at a time as may be */
    unsigned reads_ahead;           /* READs that were not to wait */
    long part_ms;                   /* how long a part of the response takes */
    pthread_mutex_t hold;           /* whoever has it keeps parts of the response waiting */
    _Atomic int is_inside;          /* a call runs: there must be no other */
} httpd = {.lock = PTHREAD_MUTEX_INITIALIZER, .hold = PTHREAD_MUTEX_INITIALIZER};

static struct door_app *app;
static int app_door;
static int response_door;

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static size_t put_ack(char *buf, size_t cap, unsigned status)
{
    struct door_wire_writer w;

    door_wire_begin(&w, buf, cap);
    return door_wire_end(&w, DOOR_WIRE_ACK, status, httpd.ack_flags, 0);
}

/* The next two bytes of the request's body. */
static size_t put_piece(char *buf, size_t cap)
{
    struct door_wire_writer w;
    size_t len = strlen(httpd.pieces) < 2 ? strlen(httpd.pieces) : 2;
    int is_last = httpd.pieces[len] == '\0';
    size_t head;

    door_wire_begin(&w, buf, cap);
    if (is_last)
        door_wire_field(&w, DOOR_WIRE_TRAILER, "X-End", 5, "yes", 3);
    head = door_wire_end(&w, DOOR_WIRE_PART, 0, is_last ? 0 : DOOR_WIRE_MORE, len);
    memcpy(buf + head, httpd.pieces, len);
    httpd.pieces = is_last ? NULL : httpd.pieces + len;
    return head + len;
}

/* As much as a part can have; or nothing, now and then, if that would do. */
static size_t put_long_piece(char *buf, size_t cap, int must_have)
{
    size_t left = httpd.long_len - httpd.long_given;
    size_t len = left < DOOR_WIRE_PART_MAX ? left : DOOR_WIRE_PART_MAX;
    struct door_wire_writer w;
    size_t head;

    httpd.reads_ahead += !must_have;
    if (!must_have && httpd.reads_ahead % 3 == 0)
        len = 0;
    door_wire_begin(&w, buf, cap);
    head = door_wire_end(&w, DOOR_WIRE_PART, 0, len < left ? DOOR_WIRE_MORE : 0, len);
    for (size_t i = 0; i < len; i++)
        buf[head + i] = LONG_BYTE(httpd.long_given + i);
    httpd.long_given += len;
    return head + len;
}

static void read_file(const door_desc_t *desc, struct said *said)
{
    int fd = desc->d_data.d_desc.d_descriptor;
    ssize_t got = pread(fd, httpd.file, sizeof(httpd.file) - 1, 0);

    httpd.file[got < 0 ? 0 : got] = '\0';
    said->had_file = 1;
    close(fd);
}

static void note(const struct door_wire_reader *r, const door_desc_t *dp, uint_t n_desc)
{
    struct said *said = &httpd.said[httpd.count < CALLS ? httpd.count : CALLS - 1];

    *said = (struct said){r->kind, r->status, r->flags, r->body_len, 0};
    httpd.count++;
    if (n_desc > 0)
        read_file(dp, said);
    httpd.body = realloc(httpd.body, httpd.body_len + r->body_len + 1);
    memcpy(httpd.body + httpd.body_len, r->body, r->body_len);
    httpd.body_len += r->body_len;
    httpd.body[httpd.body_len] = '\0';
}

static void serve_response_door(void *cookie, char *argp, size_t arg_size, door_desc_t *dp,
                                uint_t n_desc)
{
    struct door_wire_reader r;
    static char reply[256 + DOOR_WIRE_PART_MAX];
    struct door_wire_field field;
    size_t len;

    (void)cookie;
    ck_assert_int_eq(atomic_fetch_add(&httpd.is_inside, 1), 0);
    ck_assert_int_eq(door_wire_read(&r, DOOR_WIRE_ANY, argp, arg_size), 0);
    ck_assert_int_eq(door_wire_next(&r, &field), 1);
    ck_assert_int_eq(field.type, DOOR_WIRE_TOKEN);
    ck_assert_str_eq(field.value, TOKEN);
    if (r.kind == DOOR_WIRE_PART && httpd.part_ms > 0)
        sleep_ms(httpd.part_ms);
    if (r.kind == DOOR_WIRE_PART) {
        pthread_mutex_lock(&httpd.hold);
        pthread_mutex_unlock(&httpd.hold);
    }
    pthread_mutex_lock(&httpd.lock);
    note(&r, dp, n_desc);
    if (r.kind == DOOR_WIRE_READ && httpd.pieces != NULL)
        len = put_piece(reply, sizeof(reply));
    else if (r.kind == DOOR_WIRE_READ && httpd.long_len > 0)
        len = put_long_piece(reply, sizeof(reply), !(r.flags & DOOR_WIRE_NO_WAIT));
    else
        len = put_ack(reply, sizeof(reply),
                      r.kind == DOOR_WIRE_READ ? httpd.read_status : httpd.ack_status);
    pthread_mutex_unlock(&httpd.lock);
    atomic_fetch_sub(&httpd.is_inside, 1); /* the reply goes before the next call comes */
    door_return(reply, len, NULL, 0);
}

/* The application's answer; its bytes live until the next call. */
static struct {
    struct door_wire_reader reader;
    char file[16]; /* what a file that came along begins with */
    int had_file;
    char bytes[1 << 17];
} reply;

static void call_app(const struct message *message, int with_door)
{
    door_desc_t desc = {.d_attributes = DOOR_DESCRIPTOR,
                        .d_data.d_desc.d_descriptor = response_door};
    door_arg_t arg = {.data_ptr = (char *)message->bytes,
                      .data_size = message->len,
                      .desc_ptr = &desc,
                      .desc_num = with_door != 0,
                      .rbuf = reply.bytes,
                      .rsize = sizeof(reply.bytes)};

    ck_assert_int_eq(door_call(app_door, &arg), 0);
    ck_assert_ptr_eq(arg.rbuf, reply.bytes);
    ck_assert_int_eq(door_wire_read(&reply.reader, DOOR_WIRE_ANY, arg.data_ptr, arg.data_size), 0);
    reply.had_file = arg.desc_num > 0;
    if (reply.had_file) {
        struct said unused;

        read_file(&arg.desc_ptr[0], &unused);
        memcpy(reply.file, httpd.file, sizeof(reply.file));
    }
}

/* A request with a token, or with more fields, or with some of its body. */
static void begin_request(struct message *message)
{
    message_begin(message);
    message_field(message, DOOR_WIRE_METHOD, "", "POST");
    message_field(message, DOOR_WIRE_SCRIPT_NAME, "", "");
    message_field(message, DOOR_WIRE_PATH_INFO, "", "/");
    message_field(message, DOOR_WIRE_DOOR, "", ID);
    message_field(message, DOOR_WIRE_TOKEN, "", TOKEN);
}

static void end_request(struct message *message, const char *body, int has_more)
{
    size_t len = strlen(body);
    size_t head =
        door_wire_end(&message->writer, DOOR_WIRE_REQUEST, 0, has_more ? DOOR_WIRE_MORE : 0, len);

    memcpy(message->bytes + head, body, len);
    message->len = head + len;
}

/* Has handler answer; on the first call the runtime learns the door. */
static void run_with(door_app_handler *handler, const char *body, int has_more)
{
    struct message message;

    ck_assert_int_eq(door_app_handle(app, "/", handler, NULL), 0);
    begin_request(&message);
    end_request(&message, body, has_more);
    call_app(&message, 0);
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_WHO);
    call_app(&message, 1);
}

static void setup(void)
{
    app = door_app_create();
    app_door = door_create(door_rt_serve, app, 0);
    response_door = door_create(serve_response_door, NULL, 0);
    ck_assert(app_door >= 0 && response_door >= 0);
}

static void assert_said(unsigned i, unsigned kind, unsigned flags)
{
    ck_assert_uint_lt(i, httpd.count);
    ck_assert_uint_eq(httpd.said[i].kind, kind);
    ck_assert_uint_eq(httpd.said[i].flags, flags);
}

/* ---------------------------------------------------------------- who asks */

static void say_hello(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_printf(req, "hello");
}

START_TEST(the_door_is_asked_for_once)
{
    struct message message;

    run_with(say_hello, "", 0);
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_RESPONSE);
    begin_request(&message);
    end_request(&message, "", 0);
    call_app(&message, 0);
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_RESPONSE);
    ck_assert_uint_eq(httpd.count, 0); /* what is short needs no other door */
}
END_TEST

START_TEST(without_a_token_nobody_asks)
{
    struct message message;

    door_app_handle(app, "/", say_hello, NULL);
    message_get(&message, "", "/");
    call_app(&message, 0);
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_RESPONSE);
}
END_TEST

/* Anything else that comes as the door: the request is answered, in one piece. */
START_TEST(what_is_no_door_is_not_kept)
{
    struct message message;
    int door = response_door;

    door_app_handle(app, "/", say_hello, NULL);
    begin_request(&message);
    end_request(&message, "", 0);
    response_door = open("/dev/null", O_RDONLY);
    call_app(&message, 1);
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_RESPONSE);
    response_door = door;
    call_app(&message, 0);
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_WHO);
}
END_TEST

/* ---------------------------------------------------------------- responses */

static void write_much(struct door_app_request *req, void *data)
{
    char piece[1000];

    (void)data;
    for (unsigned i = 0; i < BIG / sizeof(piece); i++) {
        memset(piece, 'a' + (int)(i % 26), sizeof(piece));
        ck_assert_int_eq(door_app_write(req, piece, sizeof(piece)), 0);
    }
}

START_TEST(a_long_response_comes_in_parts)
{
    size_t last;

    run_with(write_much, "", 0);
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_END);
    last = reply.reader.body_len;
    assert_said(0, DOOR_WIRE_RESPONSE, 0);
    ck_assert_uint_eq(httpd.said[0].status, 200);
    for (unsigned i = 1; i < httpd.count; i++) {
        assert_said(i, DOOR_WIRE_PART, 0);
        ck_assert_uint_le(httpd.said[i].body_len, DOOR_WIRE_PART_MAX);
    }
    ck_assert_uint_eq(httpd.body_len + last, BIG);
    for (size_t i = 0; i < httpd.body_len; i += 999)
        ck_assert_int_eq(httpd.body[i], 'a' + (int)(i / 1000 % 26));
}
END_TEST

/* By turns in place, where its pieces end anywhere, and by copies. */
static void make_much(struct door_app_request *req, void *data)
{
    size_t at = 0, room, wanted = 1;

    (void)data;
    while (at < BIG) {
        char *bytes = door_app_reserve(req, wanted, &room);
        size_t len = wanted % 2 ? wanted : room;

        ck_assert_ptr_nonnull(bytes);
        ck_assert_uint_ge(room, wanted);
        for (size_t i = 0; i < room; i++)
            bytes[i] = i < len ? LONG_BYTE(at + i) : '!';
        len = len < BIG - at ? len : BIG - at;
        ck_assert_int_eq(door_app_commit(req, len), 0);
        at += len;
        if (at < BIG)
            ck_assert_int_eq(door_app_printf(req, "%c", LONG_BYTE(at)), 0);
        at += at < BIG;
        wanted = wanted * 3 % DOOR_APP_RESERVE_MAX + 1;
    }
}

START_TEST(a_long_response_is_made_in_place)
{
    size_t last;

    run_with(make_much, "", 0);
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_END);
    last = reply.reader.body_len;
    ck_assert_uint_eq(httpd.body_len + last, BIG);
    for (unsigned i = 1; i < httpd.count; i++)
        ck_assert_uint_le(httpd.said[i].body_len, DOOR_WIRE_PART_MAX);
    for (size_t i = 0; i < httpd.body_len; i++)
        ck_assert_int_eq(httpd.body[i], LONG_BYTE(i));
    for (size_t i = 0; i < last; i++)
        ck_assert_int_eq(reply.reader.body[i], LONG_BYTE(httpd.body_len + i));
}
END_TEST

/* What was sent meanwhile has taken the room along. */
static void flush_in_between(struct door_app_request *req, void *data)
{
    (void)data;
    memcpy(door_app_reserve(req, 3, NULL), "one", 3);
    ck_assert_int_eq(door_app_commit(req, 3), 0);
    memcpy(door_app_reserve(req, 3, NULL), "not", 3);
    ck_assert_int_eq(door_app_flush(req), 0);
    errno = 0;
    ck_assert_int_eq(door_app_commit(req, 3), -1);
    ck_assert_int_eq(errno, EINVAL);
    memcpy(door_app_reserve(req, 3, NULL), "two", 3);
    ck_assert_int_eq(door_app_commit(req, 3), 0);
    ck_assert_int_eq(door_app_flush(req), 0);
}

START_TEST(a_flush_ends_the_room)
{
    run_with(flush_in_between, "", 0);
    ck_assert_uint_eq(httpd.count, 2);
    ck_assert_str_eq(httpd.body, "onetwo");
    ck_assert_uint_eq(reply.reader.body_len, 0);
}
END_TEST

static void flush_twice(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_header_set(req, "X-A", "b");
    ck_assert_int_eq(door_app_flush(req), 0);
    ck_assert_int_eq(door_app_header_set(req, "X-Late", "c"), -1);
    door_app_printf(req, "one");
    ck_assert_int_eq(door_app_flush(req), 0);
    door_app_printf(req, "two");
    door_app_trailer_add(req, "X-T", "t");
}

static void reset_too_late(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_status(req, 206);
    door_app_printf(req, "one");
    ck_assert_int_eq(door_app_reset(req), 0);
    door_app_printf(req, "two");
    ck_assert_int_eq(door_app_flush(req), 0);
    door_app_printf(req, "three");
    errno = 0;
    ck_assert_int_eq(door_app_reset(req), -1);
    ck_assert_int_eq(errno, EALREADY);
    errno = 0;
    ck_assert_int_eq(door_app_refuse(req, 500, "late"), -1);
    ck_assert_int_eq(errno, EALREADY);
}

START_TEST(what_was_sent_is_not_begun_anew)
{
    run_with(reset_too_late, "", 0);
    ck_assert_uint_eq(httpd.count, 1);
    ck_assert_uint_eq(httpd.said[0].status, 200);
    ck_assert_str_eq(httpd.body, "two");
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_END);
    ck_assert_uint_eq(reply.reader.flags, 0);
    ck_assert_uint_eq(reply.reader.body_len, 5);
}
END_TEST

START_TEST(what_is_flushed_goes_at_once)
{
    struct door_wire_field field;

    run_with(flush_twice, "", 0);
    ck_assert_uint_eq(httpd.count, 2);
    assert_said(0, DOOR_WIRE_RESPONSE, DOOR_WIRE_FLUSH);
    ck_assert_uint_eq(httpd.said[0].body_len, 0);
    assert_said(1, DOOR_WIRE_PART, DOOR_WIRE_FLUSH);
    ck_assert_str_eq(httpd.body, "one");
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_END);
    ck_assert_uint_eq(reply.reader.body_len, 3);
    ck_assert_int_eq(door_wire_next(&reply.reader, &field), 1);
    ck_assert_int_eq(field.type, DOOR_WIRE_SERVED);
    ck_assert_int_eq(door_wire_next(&reply.reader, &field), 1);
    ck_assert_int_eq(field.type, DOOR_WIRE_TRAILER);
    ck_assert_str_eq(field.value, "t");
}
END_TEST

static int write_errors[3];

static void write_on(struct door_app_request *req, void *data)
{
    (void)data;
    for (int i = 0; i < 3; i++) {
        errno = 0;
        door_app_printf(req, "piece");
        write_errors[i] = door_app_flush(req) == 0 ? 0 : errno;
    }
}

START_TEST(an_error_is_told_and_remembered)
{
    httpd.ack_status = EPIPE;
    run_with(write_on, "", 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(write_errors[i], EPIPE);
    ck_assert_uint_eq(httpd.count, 1); /* nobody is asked again */
}
END_TEST

static void make_on(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_printf(req, "piece");
    door_app_flush(req);
    errno = 0;
    write_errors[0] = door_app_reserve(req, 1, NULL) == NULL ? errno : 0;
    errno = 0;
    write_errors[1] = door_app_printf(req, "more") == -1 ? errno : 0;
}

START_TEST(where_nothing_can_be_sent_is_no_room)
{
    httpd.ack_status = EPIPE;
    run_with(make_on, "", 0);
    ck_assert_int_eq(write_errors[0], EPIPE);
    ck_assert_int_eq(write_errors[1], EPIPE);
}
END_TEST

START_TEST(a_client_that_is_too_slow)
{
    httpd.ack_status = ETIMEDOUT;
    run_with(write_on, "", 0);
    ck_assert_int_eq(write_errors[0], ETIMEDOUT);
}
END_TEST

START_TEST(nobody_wants_the_body)
{
    httpd.ack_flags = DOOR_WIRE_NO_BODY;
    run_with(_i == 0 ? write_much : make_much, "", 0);
    ck_assert_uint_le(httpd.count, 2); /* the next one was on its way */
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_END);
    ck_assert_uint_eq(reply.reader.body_len, 0);
}
END_TEST

static int excess_error;

static void write_excess(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_header_set(req, "Content-Length", "4");
    door_app_printf(req, "abc");
    door_app_flush(req);
    errno = 0;
    excess_error = door_app_printf(req, "defg") == -1 ? errno : 0;
}

START_TEST(more_than_promised)
{
    run_with(write_excess, "", 0);
    ck_assert_int_eq(excess_error, EMSGSIZE);
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_END);
    ck_assert_uint_eq(reply.reader.flags, DOOR_WIRE_EXCESS);
    ck_assert_uint_eq(httpd.body_len + reply.reader.body_len, 4);
}
END_TEST

/* ---------------------------------------------------------------- files */

static int make_file(const char *text)
{
    int fd = memfd_create("file", MFD_CLOEXEC);

    ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
    return fd;
}

static void send_files(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_printf(req, "before");
    ck_assert_int_eq(door_app_send_fd(req, make_file("one"), 0, -1), 0);
    door_app_printf(req, "after");
    ck_assert_int_eq(door_app_send_fd(req, make_file("two"), 0, -1), 0);
}

START_TEST(files_keep_their_places)
{
    run_with(send_files, "", 0);
    ck_assert_uint_eq(httpd.count, 1);
    assert_said(0, DOOR_WIRE_RESPONSE, 0);
    ck_assert_str_eq(httpd.body, "before");
    ck_assert_int_eq(httpd.said[0].had_file, 1);
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_END);
    ck_assert_uint_eq(reply.reader.body_len, 5);
    ck_assert_int_eq(reply.had_file, 1);
    ck_assert_str_eq(reply.file, "two");
}
END_TEST

static void send_to_nobody(struct door_app_request *req, void *data)
{
    int fd = make_file("lost");

    (void)data;
    ck_assert_int_eq(door_app_flush(req), 0);
    door_revoke(response_door);
    ck_assert_int_eq(door_app_send_fd(req, fd, 0, -1), 0);
    ck_assert_int_eq(door_app_flush(req), -1);
    ck_assert_int_eq(errno, EPIPE);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1); /* it was given away, and is not left open */
    ck_assert_int_eq(door_app_client_gone(req), DOOR_APP_CLIENT_GONE);
}

START_TEST(a_file_for_nobody_is_closed)
{
    run_with(send_to_nobody, "", 0);
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_END);
}
END_TEST

/* ---------------------------------------------------------------- bodies */

static char body_read[64];
static char body_trailer[16];
static int body_error;

static void read_all(struct door_app_request *req, void *data)
{
    ssize_t got;
    size_t len = 0;

    (void)data;
    while ((got = door_app_read(req, body_read + len, 5)) > 0)
        len += (size_t)got;
    body_error = got == 0 ? 0 : errno;
    body_read[len] = '\0';
    snprintf(body_trailer, sizeof(body_trailer), "%s",
             door_app_trailer(req, "x-end") != NULL ? door_app_trailer(req, "x-end") : "none");
}

START_TEST(a_body_in_pieces)
{
    httpd.pieces = "efghi";
    run_with(read_all, "abcd", 1);
    ck_assert_int_eq(body_error, 0);
    ck_assert_str_eq(body_read, "abcdefghi");
    ck_assert_str_eq(body_trailer, "yes");
    ck_assert_uint_eq(httpd.count, 3);
}
END_TEST

START_TEST(a_body_that_came_whole)
{
    run_with(read_all, "abcd", 0);
    ck_assert_str_eq(body_read, "abcd");
    ck_assert_uint_eq(httpd.count, 0);
}
END_TEST

START_TEST(a_body_that_breaks_off)
{
    static const unsigned errors[] = {EFBIG, ECONNRESET, ETIMEDOUT};

    httpd.read_status = errors[_i];
    run_with(read_all, "abcd", 1);
    ck_assert_str_eq(body_read, "abcd");
    ck_assert_int_eq(body_error, (int)errors[_i]);
}
END_TEST

/* What httpd says of a request that is over: what the handler is told is in door_app.h. */
START_TEST(a_body_of_a_request_that_is_over)
{
    httpd.read_status = ESTALE;
    run_with(read_all, "abcd", 1);
    ck_assert_str_eq(body_read, "abcd");
    ck_assert_int_eq(body_error, ECONNRESET);
}
END_TEST

static int over_error;

static void write_to_nobody(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_printf(req, "line\n");
    over_error = door_app_flush(req) == -1 ? errno : 0;
}

START_TEST(a_response_of_a_request_that_is_over)
{
    httpd.ack_status = ESTALE;
    run_with(write_to_nobody, "", 0);
    ck_assert_int_eq(over_error, EPIPE);
}
END_TEST

static size_t seen_now(void)
{
    size_t len;

    pthread_mutex_lock(&httpd.lock);
    len = httpd.body_len;
    pthread_mutex_unlock(&httpd.lock);
    return len;
}

static size_t seen_after_flush, written_before_flush;

/* Parts, of which the last one is still under way when the flush comes. */
static void write_and_flush(struct door_app_request *req, void *data)
{
    static const char piece[DOOR_WIRE_PART_MAX];

    (void)data;
    for (int i = 0; i < 3; i++, written_before_flush += sizeof(piece))
        ck_assert_int_eq(door_app_write(req, piece, sizeof(piece)), 0);
    ck_assert_int_eq(door_app_write(req, "end", 3), 0);
    written_before_flush += 3;
    ck_assert_int_eq(door_app_flush(req), 0);
    seen_after_flush = seen_now();
}

START_TEST(a_flush_waits_for_what_is_under_way)
{
    httpd.part_ms = 100;
    run_with(write_and_flush, "", 0);
    ck_assert_uint_eq(seen_after_flush, written_before_flush);
}
END_TEST

static void write_digit_and_flush(struct door_app_request *req, int digit)
{
    ck_assert_int_eq(door_app_printf(req, "%d", digit), 0);
    ck_assert_int_eq(door_app_flush(req), 0);
}

/* The others wait for the one before, as httpd takes one at a time. */
static void flush_thrice(struct door_app_request *req, void *data)
{
    (void)data;
    write_digit_and_flush(req, 0);
    ck_assert_uint_eq(seen_now(), 1);
    pthread_mutex_lock(&httpd.hold);
    write_digit_and_flush(req, 1);
    ck_assert_uint_eq(seen_now(), 1);
    pthread_mutex_unlock(&httpd.hold);
    write_digit_and_flush(req, 2);
    ck_assert_uint_ge(seen_now(), 2);
}

START_TEST(only_the_first_flush_waits)
{
    run_with(flush_thrice, "", 0);
    ck_assert_str_eq(httpd.body, "012");
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_END);
    ck_assert_uint_eq(reply.reader.flags, 0);
}
END_TEST

static void flush_and_end(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_printf(req, "one");
    ck_assert_int_eq(door_app_flush(req), 0);
    httpd.ack_status = EPIPE;
    door_app_printf(req, "two");
    ck_assert_int_eq(door_app_flush(req), 0);
}

START_TEST(what_comes_of_the_last_flush_is_told_at_the_end)
{
    run_with(flush_and_end, "", 0);
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_END);
    ck_assert_uint_eq(reply.reader.status, EPIPE);
    ck_assert_uint_eq(reply.reader.flags, DOOR_WIRE_FAILED);
}
END_TEST

static int hole_error;

/* What was lost must not be followed by what comes later. */
static void flush_behind_a_loss(struct door_app_request *req, void *data)
{
    static const char much[9000];

    (void)data;
    write_digit_and_flush(req, 1);
    httpd.ack_status = ENOMEM;
    write_digit_and_flush(req, 2);
    while (seen_now() < 2)
        sleep_ms(1);
    httpd.ack_status = 0;
    errno = 0;
    hole_error = door_app_write(req, much, sizeof(much)) == -1 || door_app_flush(req) == -1 ? errno : 0;
}

START_TEST(nothing_comes_behind_a_loss)
{
    run_with(flush_behind_a_loss, "", 0);
    ck_assert_int_eq(hole_error, ENOMEM);
    ck_assert_uint_eq(httpd.count, 2);
    ck_assert_uint_eq(reply.reader.flags, DOOR_WIRE_FAILED);
}
END_TEST

/* Around the size up to which it goes ahead, and between parts and files. */
static void flush_all_kinds(struct door_app_request *req, void *data)
{
    static const size_t lens[] = {1, 1000, 8000, 8192, 9000, 20000, 100000, 3, 700000, 1, 2, 65536, 5};
    size_t at = 0;

    (void)data;
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        for (size_t end = at + lens[i]; at < end; at++)
            ck_assert_int_eq(door_app_write(req, &(char){LONG_BYTE(at)}, 1), 0);
        ck_assert_int_eq(door_app_flush(req), 0);
        if (i % 3 == 1)
            ck_assert_int_eq(door_app_client_gone(req), DOOR_APP_CLIENT_HERE);
    }
}

START_TEST(what_is_flushed_comes_in_its_order)
{
    run_with(flush_all_kinds, "", 0);
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_END);
    ck_assert_uint_eq(reply.reader.flags, 0);
    ck_assert_uint_eq(httpd.body_len, 911740);
    for (size_t i = 0; i < httpd.body_len; i++)
        ck_assert_int_eq(httpd.body[i], LONG_BYTE(i));
}
END_TEST

static int echoes;

/* Reads all of it in pieces of 64 KiB, and writes each one back if that is wanted. */
static void read_long(struct door_app_request *req, void *data)
{
    static char piece[64 << 10];
    size_t at = 0, wrong = 0;
    ssize_t got;

    (void)data;
    while ((got = door_app_read(req, piece, sizeof(piece))) > 0) {
        for (ssize_t i = 0; i < got; i++, at++)
            wrong += piece[i] != LONG_BYTE(at);
        if (echoes)
            ck_assert_int_eq(door_app_write(req, piece, (size_t)got), 0);
    }
    ck_assert_int_eq((int)got, 0);
    ck_assert_uint_eq(wrong, 0);
    ck_assert_uint_eq(at, httpd.long_len);
}

START_TEST(a_long_body_is_read_ahead)
{
    static const size_t lens[] = {DOOR_WIRE_PART_MAX - 1, DOOR_WIRE_PART_MAX,
                                  DOOR_WIRE_PART_MAX + 1, BIG};

    httpd.long_len = lens[_i];
    run_with(read_long, "", 1);
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_RESPONSE);
    ck_assert_int_eq(httpd.reads_ahead > 0, lens[_i] > DOOR_WIRE_PART_MAX);
}
END_TEST

START_TEST(a_long_body_is_written_back_meanwhile)
{
    httpd.long_len = BIG;
    echoes = 1;
    run_with(read_long, "", 1);
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_END);
    ck_assert_uint_eq(httpd.body_len, BIG);
    for (size_t i = 0; i < BIG; i += 999)
        ck_assert_int_eq(httpd.body[i], LONG_BYTE(i));
}
END_TEST

static size_t whole_len;
static int whole_error;

static void take_body(struct door_app_request *req, void *data)
{
    const char *body = door_app_body(req, 6, &whole_len);

    (void)data;
    whole_error = body != NULL ? 0 : errno;
    if (body != NULL)
        snprintf(body_read, sizeof(body_read), "%.*s", (int)whole_len, body);
}

START_TEST(a_body_in_one_piece)
{
    httpd.pieces = _i == 0 ? "ef" : "efg";
    run_with(take_body, "abcd", 1);
    ck_assert_int_eq(whole_error, _i == 0 ? 0 : EFBIG);
    if (_i == 0)
        ck_assert_str_eq(body_read, "abcdef");
}
END_TEST

static char after[3][8]; /* what three further tries have read */
static int after_errors[3];

static void note_try(unsigned i, const char *text, ssize_t len)
{
    after_errors[i] = len == -1 ? errno : 0;
    if (len >= 0)
        snprintf(after[i], sizeof(after[i]), "%.*s", (int)len, text);
}

/* A body that is too long: then with more room, and in pieces. */
static void take_body_again(struct door_app_request *req, void *data)
{
    char text[8];
    const char *body;

    take_body(req, data);
    errno = 0;
    body = door_app_body(req, sizeof(text), &whole_len);
    note_try(0, body, body != NULL ? (ssize_t)whole_len : -1);
    note_try(1, text, door_app_read(req, text, sizeof(text)));
    note_try(2, text, door_app_read_now(req, text, sizeof(text)));
}

/* What has gone with the first try must not be missing in what another one calls the body. */
START_TEST(the_rest_of_a_body_is_not_the_body)
{
    httpd.pieces = "efg";
    run_with(take_body_again, "abcd", 1);
    ck_assert_int_eq(whole_error, EFBIG);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_str_eq(after[i], "");
        ck_assert_int_eq(after_errors[i], EFBIG);
    }
}
END_TEST

/* Nothing has gone: there is another try. */
START_TEST(a_body_is_read_with_more_room)
{
    run_with(take_body_again, "abcdefg", 0);
    ck_assert_int_eq(whole_error, EFBIG);
    ck_assert_str_eq(after[0], "abcdefg");
}
END_TEST

static int now_error;

static void read_now_in_vain(struct door_app_request *req, void *data)
{
    char text[8];

    (void)data;
    now_error = door_app_read_now(req, text, sizeof(text)) == -1 ? errno : 0;
}

/* It will not come: that must not look as if nothing had come yet. */
START_TEST(a_body_that_httpd_cannot_read)
{
    httpd.read_status = EAGAIN;
    run_with(read_now_in_vain, "", 1);
    ck_assert_int_eq(now_error, ENOMEM);
}
END_TEST

/* ---------------------------------------------------------------- the client */

static int gone[2];
static unsigned asked;

static void look_for_client(struct door_app_request *req, void *data)
{
    int64_t began_ns;

    (void)data;
    for (int i = 0; i < 20; i++) {
        asked = (unsigned)httpd.count;
        began_ns = door_now_ns();
        gone[0] = door_app_client_gone(req);
        gone[1] = door_app_client_gone(req); /* within 100 ms: known */
        asked = (unsigned)httpd.count - asked;
        if (door_now_ns() - began_ns < 100000000)
            break;
        sleep_ms(150); /* it has stood still, and may have had to ask twice */
    }
}

START_TEST(is_the_client_there)
{
    static const struct {
        unsigned flags;
        int answer;
    } table[] = {{0, DOOR_APP_CLIENT_HERE},
                 {DOOR_WIRE_MAYBE_GONE, DOOR_APP_CLIENT_MAYBE_GONE},
                 {DOOR_WIRE_GONE, DOOR_APP_CLIENT_GONE}};

    httpd.ack_flags = table[_i].flags;
    run_with(look_for_client, "", 0);
    ck_assert_int_eq(gone[0], table[_i].answer);
    ck_assert_int_eq(gone[1], table[_i].answer);
    ck_assert_uint_eq(asked, 1);
}
END_TEST

static void give_hints(struct door_app_request *req, void *data)
{
    (void)data;
    errno = 0;
    ck_assert(door_app_early_hints(req) == -1 && errno == EINVAL); /* there are none */
    door_app_header_set(req, "Link", "</a.css>; rel=preload");
    ck_assert_int_eq(door_app_early_hints(req), 0);
}

static int client_seen;

static void ask_who_stands_still(struct door_app_request *req, void *data)
{
    (void)data;
    client_seen = door_app_client_gone(req);
}

/* The only thread runs the handler, so nobody takes what it asks, as when httpd is stopped. */
START_TEST(an_httpd_that_stands_still)
{
    client_seen = -1;
    ck_assert_int_eq(door_set_threads(app_door, 1, 10000), 0);
    run_with(ask_who_stands_still, "", 0);
    ck_assert_int_eq(client_seen, DOOR_APP_CLIENT_HERE);
    ck_assert_uint_eq(httpd.count, 0);
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_RESPONSE);
}
END_TEST

START_TEST(early_hints)
{
    run_with(give_hints, "", 0);
    ck_assert_uint_eq(httpd.count, 1);
    assert_said(0, DOOR_WIRE_RESPONSE, DOOR_WIRE_FLUSH);
    ck_assert_uint_eq(httpd.said[0].status, 103);
    ck_assert_uint_eq(reply.reader.kind, DOOR_WIRE_RESPONSE);
}
END_TEST

/* ---------------------------------------------------------------- not its handler's */

static struct door_app_request *kept;
static int kept_error;

static void keep(struct door_app_request *req, void *data)
{
    (void)data;
    errno = 0;
    kept_error = kept == NULL ? 0 : door_app_printf(kept, "x") == -1 ? errno : -1;
    kept = req;
}

START_TEST(a_kept_request_is_refused)
{
    struct message message;
    struct capture capture;

    run_with(keep, "", 0);
    begin_request(&message);
    end_request(&message, "", 0);
    begin_capture(&capture);
    call_app(&message, 0);
    end_capture(&capture);
    ck_assert_int_eq(kept_error, EINVAL);
    ck_assert_uint_eq(reply.reader.body_len, 0);
    ck_assert_ptr_nonnull(strstr(capture.text, "request"));
}
END_TEST

/* ---------------------------------------------------------------- the line */

static pthread_mutex_t order_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t order_changed = PTHREAD_COND_INITIALIZER;
static unsigned entered;
static int may_leave;

static void wait_inside(struct door_app_request *req, void *data)
{
    (void)data;
    pthread_mutex_lock(&order_lock);
    entered++;
    pthread_cond_broadcast(&order_changed);
    while (!may_leave)
        pthread_cond_wait(&order_changed, &order_lock);
    pthread_mutex_unlock(&order_lock);
    door_app_printf(req, "done");
}

/* The kind of the answer, or the status of a response. */
static void *call_limited(void *timeout_ms)
{
    struct message message;
    char bytes[1024];
    struct door_wire_reader r;
    door_arg_t arg = {.rbuf = bytes, .rsize = sizeof(bytes)};

    message_begin(&message);
    message_field(&message, DOOR_WIRE_METHOD, "", "GET");
    message_field(&message, DOOR_WIRE_PATH_INFO, "", "/");
    message_field(&message, DOOR_WIRE_MAX_CONCURRENT, "", "1");
    message_field(&message, DOOR_WIRE_QUEUE_LENGTH, "", "1");
    message_field(&message, DOOR_WIRE_QUEUE_TIMEOUT, "", timeout_ms);
    message_end(&message, DOOR_WIRE_REQUEST, 0, NULL, 0);
    arg.data_ptr = message.bytes;
    arg.data_size = message.len;
    ck_assert_int_eq(door_call(app_door, &arg), 0);
    ck_assert_int_eq(door_wire_read(&r, DOOR_WIRE_ANY, arg.data_ptr, arg.data_size), 0);
    return (void *)(uintptr_t)r.kind;
}

/* How many requests wait. */
static unsigned long waiting(void)
{
    struct message message;
    char bytes[1024];
    struct door_wire_reader r;
    struct door_wire_field field;
    door_arg_t arg = {.rbuf = bytes, .rsize = sizeof(bytes)};

    message_begin(&message);
    message_end(&message, DOOR_WIRE_STATUS, 0, NULL, 0);
    arg.data_ptr = message.bytes;
    arg.data_size = message.len;
    ck_assert_int_eq(door_call(app_door, &arg), 0);
    ck_assert_int_eq(door_wire_read(&r, DOOR_WIRE_STATUS, arg.data_ptr, arg.data_size), 0);
    while (door_wire_next(&r, &field))
        if (field.type == DOOR_WIRE_COUNT && strcmp(field.name, "waiting") == 0)
            return strtoul(field.value, NULL, 10);
    ck_abort_msg("no count of those that wait");
    return 0;
}

START_TEST(one_runs_one_waits_no_third)
{
    pthread_t first, second;
    void *kind;

    door_app_handle(app, "/", wait_inside, NULL);
    pthread_create(&first, NULL, call_limited, "20000");
    pthread_mutex_lock(&order_lock);
    while (entered < 1)
        pthread_cond_wait(&order_changed, &order_lock);
    pthread_mutex_unlock(&order_lock);
    pthread_create(&second, NULL, call_limited, "20000");
    while (waiting() < 1)
        sleep_ms(1);
    ck_assert_uint_eq((uintptr_t)call_limited("20000"), DOOR_WIRE_BUSY); /* at once */
    ck_assert_uint_eq(entered, 1);
    pthread_mutex_lock(&order_lock);
    may_leave = 1;
    pthread_cond_broadcast(&order_changed);
    pthread_mutex_unlock(&order_lock);
    pthread_join(first, &kind);
    ck_assert_uint_eq((uintptr_t)kind, DOOR_WIRE_RESPONSE);
    pthread_join(second, &kind);
    ck_assert_uint_eq((uintptr_t)kind, DOOR_WIRE_RESPONSE);
    ck_assert_uint_eq(entered, 2);
}
END_TEST

START_TEST(waiting_has_an_end)
{
    pthread_t first;

    door_app_handle(app, "/", wait_inside, NULL);
    pthread_create(&first, NULL, call_limited, "100");
    pthread_mutex_lock(&order_lock);
    while (entered < 1)
        pthread_cond_wait(&order_changed, &order_lock);
    pthread_mutex_unlock(&order_lock);
    ck_assert_uint_eq((uintptr_t)call_limited("100"), DOOR_WIRE_BUSY);
    pthread_mutex_lock(&order_lock);
    may_leave = 1;
    pthread_cond_broadcast(&order_changed);
    pthread_mutex_unlock(&order_lock);
    pthread_join(first, NULL);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("stream");

    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, the_door_is_asked_for_once);
    tcase_add_test(tests, without_a_token_nobody_asks);
    tcase_add_test(tests, what_is_no_door_is_not_kept);
    tcase_add_test(tests, a_long_response_comes_in_parts);
    tcase_add_test(tests, a_long_response_is_made_in_place);
    tcase_add_test(tests, a_flush_ends_the_room);
    tcase_add_test(tests, what_is_flushed_goes_at_once);
    tcase_add_test(tests, what_was_sent_is_not_begun_anew);
    tcase_add_test(tests, an_error_is_told_and_remembered);
    tcase_add_test(tests, where_nothing_can_be_sent_is_no_room);
    tcase_add_test(tests, a_client_that_is_too_slow);
    tcase_add_loop_test(tests, nobody_wants_the_body, 0, 2);
    tcase_add_test(tests, more_than_promised);
    tcase_add_test(tests, files_keep_their_places);
    tcase_add_test(tests, a_file_for_nobody_is_closed);
    tcase_add_test(tests, a_body_in_pieces);
    tcase_add_test(tests, a_body_that_came_whole);
    tcase_add_loop_test(tests, a_long_body_is_read_ahead, 0, 4);
    tcase_add_test(tests, a_long_body_is_written_back_meanwhile);
    tcase_add_loop_test(tests, a_body_that_breaks_off, 0, 3);
    tcase_add_test(tests, a_body_of_a_request_that_is_over);
    tcase_add_test(tests, a_response_of_a_request_that_is_over);
    tcase_add_test(tests, a_flush_waits_for_what_is_under_way);
    tcase_add_test(tests, only_the_first_flush_waits);
    tcase_add_test(tests, what_comes_of_the_last_flush_is_told_at_the_end);
    tcase_add_test(tests, what_is_flushed_comes_in_its_order);
    tcase_add_test(tests, nothing_comes_behind_a_loss);
    tcase_add_loop_test(tests, a_body_in_one_piece, 0, 2);
    tcase_add_test(tests, the_rest_of_a_body_is_not_the_body);
    tcase_add_test(tests, a_body_is_read_with_more_room);
    tcase_add_test(tests, a_body_that_httpd_cannot_read);
    tcase_add_loop_test(tests, is_the_client_there, 0, 3);
    tcase_add_test(tests, an_httpd_that_stands_still);
    tcase_add_test(tests, early_hints);
    tcase_add_test(tests, a_kept_request_is_refused);
    tcase_add_test(tests, one_runs_one_waits_no_third);
    tcase_add_test(tests, waiting_has_an_end);
    return run_tests(tests);
}
