/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_descriptors.c: descriptors in calls and results: files, pipes, doors;
 * few and many; released or kept; those that cannot be delivered.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANY 1024

enum op { WRITE_BACK, SEND_BACK, CALL_BACK, SEND_MANY, SEND_BAD };

struct request {
    enum op op;
    uint_t count;
};

struct shared {
    _Atomic long calls;
    _Atomic uint_t received;
    _Atomic uint_t attributes; /* of the first received descriptor */
    _Atomic unsigned long long id;
    _Atomic int return_error; /* of a door_return() that came back */
    _Atomic int answer;       /* of the door that was passed */
    _Atomic bool cloexec;
};

static struct shared *shared;
static const char *path;
static pid_t server;
static int door;

static door_desc_t describe(int fd, door_attr_t more)
{
    door_desc_t desc;

    memset(&desc, 0, sizeof(desc));
    desc.d_attributes = DOOR_DESCRIPTOR | more;
    desc.d_data.d_desc.d_descriptor = fd;
    return desc;
}

static void note(const door_desc_t *dp, uint_t n)
{
    atomic_fetch_add(&shared->calls, 1);
    shared->received = n;
    if (n == 0)
        return;
    shared->attributes = dp[0].d_attributes;
    shared->id = dp[0].d_data.d_desc.d_id;
    shared->cloexec = (fcntl(dp[0].d_data.d_desc.d_descriptor, F_GETFD) & FD_CLOEXEC) != 0;
}

static void close_all(const door_desc_t *dp, uint_t n)
{
    for (uint_t i = 0; i < n; i++)
        close(dp[i].d_data.d_desc.d_descriptor);
}

/* n descriptors of /dev/null in the result, released when they are delivered. */
static void send_many(uint_t n, door_attr_t more)
{
    static door_desc_t descs[MANY];

    for (uint_t i = 0; i < n; i++)
        descs[i] = describe(open("/dev/null", O_RDONLY), more);
    door_return("many", 5, descs, n);
    shared->return_error = errno;
    close_all(descs, n);
    door_return(NULL, 0, NULL, 0);
}

static void serve(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    struct request r = {WRITE_BACK, 0};
    char byte = 0;

    (void)c;
    if (arg_size == sizeof(r))
        memcpy(&r, argp, sizeof(r));
    note(dp, n_desc);
    if (r.op == SEND_BACK) {
        for (uint_t i = 0; i < n_desc; i++)
            dp[i].d_attributes |= DOOR_RELEASE;
        door_return("back", 5, dp, n_desc);
    } else if (r.op == SEND_MANY) {
        close_all(dp, n_desc);
        send_many(r.count, DOOR_RELEASE);
    } else if (r.op == SEND_BAD) {
        door_desc_t bad = describe(-1, 0);

        door_return(NULL, 0, &bad, 1);
        shared->return_error = errno;
    } else if (r.op == CALL_BACK) {
        door_test_require(n_desc >= 1);
        if (door_test_call(dp[0].d_data.d_desc.d_descriptor, NULL, 0, &byte, 1) == 1)
            shared->answer = byte;
    } else {
        for (uint_t i = 0; i < n_desc; i++)
            door_test_require(write(dp[i].d_data.d_desc.d_descriptor, "!", 1) == 1);
    }
    close_all(dp, n_desc);
    door_return(NULL, 0, NULL, 0);
}

static void answer(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)argp;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    door_return(c, 1, NULL, 0);
}

static void start_with(uint_t attributes)
{
    shared = door_test_shared(sizeof(*shared));
    path = door_test_path("door");
    server = door_test_serve(path, serve, NULL, attributes);
    door = door_test_open(path);
}

static void start(void)
{
    start_with(0);
}

/* Calls d with these descriptors; what came back is in params. */
static int send_to(int d, enum op op, door_desc_t *descs, uint_t n, door_arg_t *params)
{
    struct request r = {op, n};

    *params = (door_arg_t){
        .data_ptr = (char *)&r, .data_size = sizeof(r), .desc_ptr = descs, .desc_num = n};
    errno = 0;
    return door_call(d, params) == 0 ? 0 : errno;
}

static int pass(enum op op, door_desc_t *descs, uint_t n)
{
    door_arg_t params;
    int error = send_to(door, op, descs, n, &params);

    if (error == 0 && params.rbuf != NULL)
        munmap(params.rbuf, params.rsize);
    return error;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

START_TEST(a_pipe_in_the_arguments)
{
    int fds[2];
    door_desc_t desc;
    char byte = 0;

    start();
    ck_assert_int_eq(pipe(fds), 0);
    desc = describe(fds[1], 0);
    ck_assert_int_eq(pass(WRITE_BACK, &desc, 1), 0);
    ck_assert_int_eq(read(fds[0], &byte, 1), 1);
    ck_assert_int_eq(byte, '!');
    ck_assert_uint_eq(shared->received, 1);
    ck_assert_uint_eq(shared->attributes & DOOR_DESCRIPTOR, DOOR_DESCRIPTOR);
    ck_assert_uint_eq(shared->id, 0);
    ck_assert(!shared->cloexec);
    ck_assert(is_open(fds[1]));
}
END_TEST

START_TEST(there_and_back)
{
    door_arg_t params;
    door_desc_t desc;
    struct stat sent, received;
    int fd;

    start();
    door_test_file(door_test_path("file"), "text", 0600);
    fd = open(door_test_path("file"), O_RDONLY);
    desc = describe(fd, 0);
    ck_assert_int_eq(send_to(door, SEND_BACK, &desc, 1, &params), 0);
    ck_assert_uint_eq(params.data_size, 5);
    ck_assert_str_eq(params.data_ptr, "back");
    ck_assert_uint_eq(params.desc_num, 1);
    ck_assert_uint_eq((uintptr_t)params.desc_ptr % _Alignof(door_desc_t), 0);
    ck_assert((char *)params.desc_ptr >= params.rbuf &&
              (char *)(params.desc_ptr + 1) <= params.rbuf + params.rsize);
    ck_assert_int_eq(fstat(fd, &sent), 0);
    ck_assert_int_eq(fstat(params.desc_ptr[0].d_data.d_desc.d_descriptor, &received), 0);
    ck_assert_uint_eq(sent.st_ino, received.st_ino);
    ck_assert_int_ne(params.desc_ptr[0].d_data.d_desc.d_descriptor, fd);
    munmap(params.rbuf, params.rsize);
}
END_TEST

/* They stand at the next multiple of 4, wherever the buffer starts, and need no more room. */
START_TEST(descriptors_follow_the_data)
{
    _Alignas(16) char buffer[64];
    struct request r = {SEND_BACK, 0};

    start();
    for (size_t at = 0; at < 16; at++) {
        char *expected = buffer + (at + 5 + 3) / 4 * 4;
        door_desc_t desc = describe(open("/dev/null", O_RDONLY), DOOR_RELEASE);
        door_arg_t params = {.data_ptr = (char *)&r,
                             .data_size = sizeof(r),
                             .desc_ptr = &desc,
                             .desc_num = 1,
                             .rbuf = buffer + at,
                             .rsize = (size_t)(expected + sizeof(desc) - (buffer + at))};

        ck_assert_int_eq(door_call(door, &params), 0);
        ck_assert_ptr_eq(params.rbuf, buffer + at);
        ck_assert_ptr_eq((char *)params.desc_ptr, expected);
        ck_assert_str_eq(params.data_ptr, "back");
        ck_assert_int_eq(close(params.desc_ptr->d_data.d_desc.d_descriptor), 0);
    }
}
END_TEST

START_TEST(release_closes_what_was_sent)
{
    door_desc_t descs[3];

    start();
    for (int i = 0; i < 3; i++)
        descs[i] = describe(open("/dev/null", O_WRONLY), i == 1 ? 0 : DOOR_RELEASE);
    ck_assert_int_eq(pass(WRITE_BACK, descs, 3), 0);
    ck_assert(!is_open(descs[0].d_data.d_desc.d_descriptor));
    ck_assert(is_open(descs[1].d_data.d_desc.d_descriptor));
    ck_assert(!is_open(descs[2].d_data.d_desc.d_descriptor));
}
END_TEST

START_TEST(a_refused_call_keeps_what_was_not_sent)
{
    door_desc_t desc = describe(open("/dev/null", O_WRONLY), DOOR_RELEASE);

    start();
    door_test_stop(server);
    ck_assert_int_eq(pass(WRITE_BACK, &desc, 1), EBADF);
    ck_assert(is_open(desc.d_data.d_desc.d_descriptor));
}
END_TEST

START_TEST(a_door_that_refuses_descriptors)
{
    door_desc_t desc = describe(open("/dev/null", O_WRONLY), DOOR_RELEASE);

    start_with(DOOR_REFUSE_DESC);
    ck_assert_int_eq(pass(WRITE_BACK, &desc, 1), ENOTSUP);
    ck_assert(is_open(desc.d_data.d_desc.d_descriptor));
    ck_assert_int_eq(shared->calls, 0);
    ck_assert_int_eq(pass(WRITE_BACK, NULL, 0), 0);
}
END_TEST

START_TEST(what_is_no_descriptor)
{
    door_desc_t descs[2] = {describe(0, 0), describe(-1, 0)};

    start();
    ck_assert_int_eq(pass(WRITE_BACK, descs, 2), EBADF);
    descs[1].d_attributes = 0;
    ck_assert_int_eq(pass(WRITE_BACK, descs, 2), EINVAL);
    ck_assert_int_eq(shared->calls, 0);
    ck_assert_int_eq(pass(SEND_BAD, NULL, 0), 0);
    ck_assert_int_ne(shared->return_error, 0);
}
END_TEST

/* How many descriptors there may be now: of each that is passed either side has three. */
static rlim_t allow_many(void)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 4 * MANY) {
        limit.rlim_cur = limit.rlim_max < 4 * MANY ? limit.rlim_max : 4 * MANY;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    }
    return limit.rlim_cur;
}

START_TEST(one_to_many)
{
    static const uint_t counts[] = {1, 2, 63, 64, 252, 253, 254, 255, 506, 507, 512, MANY};
    static door_desc_t descs[MANY];
    rlim_t limit = allow_many();
    int before;

    start();
    ck_assert_int_eq(pass(WRITE_BACK, NULL, 0), 0);
    before = door_test_fd_count();
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        door_arg_t params;

        if (3 * counts[i] > limit)
            continue;
        for (uint_t j = 0; j < counts[i]; j++)
            descs[j] = describe(open("/dev/null", O_WRONLY), DOOR_RELEASE);
        ck_assert_int_eq(send_to(door, SEND_MANY, descs, counts[i], &params), 0);
        ck_assert_uint_eq(shared->received, counts[i]);
        ck_assert_uint_eq(params.desc_num, counts[i]);
        for (uint_t j = 0; j < counts[i]; j++)
            ck_assert(is_open(params.desc_ptr[j].d_data.d_desc.d_descriptor));
        close_all(params.desc_ptr, params.desc_num);
        munmap(params.rbuf, params.rsize);
    }
    ck_assert(door_test_fds_settle(0, before + 4));
}
END_TEST

START_TEST(the_same_descriptor_twice)
{
    door_desc_t descs[2];
    door_arg_t params;

    start();
    descs[0] = descs[1] = describe(0, 0);
    ck_assert_int_eq(send_to(door, SEND_BACK, descs, 2, &params), 0);
    ck_assert_uint_eq(params.desc_num, 2);
    ck_assert_int_ne(params.desc_ptr[0].d_data.d_desc.d_descriptor,
                     params.desc_ptr[1].d_data.d_desc.d_descriptor);
}
END_TEST

/* An own door in the arguments: the server calls back while we wait. */
START_TEST(an_own_door_is_called_back)
{
    door_desc_t desc;
    door_info_t info;
    char byte = 'o';
    int own;

    start();
    own = door_create(answer, &byte, 0);
    desc = describe(own, 0);
    ck_assert_int_eq(door_info(own, &info), 0);
    ck_assert_int_eq(pass(CALL_BACK, &desc, 1), 0);
    ck_assert_int_eq(shared->answer, 'o');
    ck_assert_uint_eq(shared->id, info.di_uniquifier);
    ck_assert_uint_eq(shared->attributes & DOOR_LOCAL, 0);
}
END_TEST

/* The server's own door comes home: it is local there. */
START_TEST(a_received_own_door_is_local)
{
    door_desc_t desc;
    door_arg_t params;
    door_info_t info;

    start();
    desc = describe(door, 0);
    ck_assert_int_eq(send_to(door, SEND_BACK, &desc, 1, &params), 0);
    ck_assert_uint_eq(shared->attributes & DOOR_LOCAL, DOOR_LOCAL);
    ck_assert_uint_eq(params.desc_num, 1);
    ck_assert_uint_eq(params.desc_ptr->d_attributes & DOOR_LOCAL, 0);
    ck_assert_int_eq(door_info(door, &info), 0);
    ck_assert_uint_eq(params.desc_ptr->d_data.d_desc.d_id, info.di_uniquifier);
    ck_assert_int_eq(send_to(params.desc_ptr->d_data.d_desc.d_descriptor, WRITE_BACK, NULL, 0,
                             &params),
                     0);
}
END_TEST

START_TEST(a_third_process_gets_the_door)
{
    const char *third_path = door_test_path("third");
    char byte = 't';
    door_desc_t desc;
    door_arg_t params;
    door_info_t info;
    int third;

    start();
    door_test_serve(third_path, answer, &byte, 0);
    third = door_test_open(third_path);
    ck_assert_int_eq(door_info(third, &info), 0);
    desc = describe(third, DOOR_RELEASE);
    for (int hop = 0; hop < 5; hop++) {
        ck_assert_int_eq(send_to(door, SEND_BACK, &desc, 1, &params), 0);
        ck_assert_uint_eq(params.desc_num, 1);
        ck_assert_uint_eq(params.desc_ptr->d_data.d_desc.d_id, info.di_uniquifier);
        desc = describe(params.desc_ptr->d_data.d_desc.d_descriptor, DOOR_RELEASE);
        munmap(params.rbuf, params.rsize);
    }
    ck_assert_int_eq(pass(CALL_BACK, &desc, 1), 0);
    ck_assert_int_eq(shared->answer, 't');
}
END_TEST

START_TEST(results_that_we_have_no_room_for)
{
    struct rlimit limit, low;
    door_arg_t params;
    struct request r = {SEND_MANY, 200};
    int before;

    if (door_test_emulated())
        return; /* descriptors come in spite of RLIMIT_NOFILE */
    allow_many();
    start();
    ck_assert_int_eq(pass(WRITE_BACK, NULL, 0), 0);
    before = door_test_fd_count();
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    low = limit;
    low.rlim_cur = (rlim_t)dup(0) + 20;
    close((int)low.rlim_cur - 20);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    params = (door_arg_t){.data_ptr = (char *)&r, .data_size = sizeof(r)};
    errno = 0;
    ck_assert_int_eq(door_call(door, &params), -1);
    ck_assert_int_eq(errno, EMFILE);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert(door_test_fds_settle(0, before + 2));
    ck_assert_int_eq(pass(WRITE_BACK, NULL, 0), 0);
    ck_assert_int_eq(shared->return_error, EMFILE);
}
END_TEST

static void serve_with_few_descriptors(void *arg)
{
    struct rlimit limit;
    int d = door_create(serve, NULL, 0);

    door_test_require(d >= 0);
    door_test_attach(d, arg);
    door_test_require(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = 64;
    door_test_require(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    door_test_ready();
    door_test_pause();
}

START_TEST(arguments_that_the_server_has_no_room_for)
{
    static door_desc_t descs[200];

    if (door_test_emulated())
        return; /* descriptors come in spite of RLIMIT_NOFILE */
    shared = door_test_shared(sizeof(*shared));
    path = door_test_path("door");
    server = door_test_spawn(serve_with_few_descriptors, (void *)path);
    door = door_test_open(path);
    for (int i = 0; i < 200; i++)
        descs[i] = describe(0, 0);
    for (int i = 0; i < 5; i++)
        ck_assert_int_ne(pass(WRITE_BACK, descs, 200), 0);
    ck_assert_int_eq(shared->calls, 0);
    ck_assert_int_eq(pass(WRITE_BACK, NULL, 0), 0);
}
END_TEST

START_TEST(passing_leaks_nothing)
{
    int fds = 0, server_fds = 0;

    start();
    for (int i = 0; i < 200; i++) {
        door_desc_t descs[2] = {describe(open("/dev/null", O_WRONLY), DOOR_RELEASE),
                                describe(dup(door), DOOR_RELEASE)};
        door_arg_t params;

        ck_assert_int_eq(send_to(door, SEND_BACK, descs, 2, &params), 0);
        close_all(params.desc_ptr, params.desc_num);
        munmap(params.rbuf, params.rsize);
        if (i == 20) {
            fds = door_test_fd_count();
            server_fds = door_test_fd_count_of(server);
        }
    }
    ck_assert(door_test_fds_settle(0, fds + 4));
    ck_assert(door_test_fds_settle(server, server_fds + 4));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("descriptors");
    TCase *tc = door_test_tcase(suite, "descriptors", 60);

    tcase_add_test(tc, a_pipe_in_the_arguments);
    tcase_add_test(tc, there_and_back);
    tcase_add_test(tc, descriptors_follow_the_data);
    tcase_add_test(tc, release_closes_what_was_sent);
    tcase_add_test(tc, a_refused_call_keeps_what_was_not_sent);
    tcase_add_test(tc, a_door_that_refuses_descriptors);
    tcase_add_test(tc, what_is_no_descriptor);
    tcase_add_test(tc, one_to_many);
    tcase_add_test(tc, the_same_descriptor_twice);
    tcase_add_test(tc, an_own_door_is_called_back);
    tcase_add_test(tc, a_received_own_door_is_local);
    tcase_add_test(tc, a_third_process_gets_the_door);
    tcase_add_test(tc, results_that_we_have_no_room_for);
    tcase_add_test(tc, arguments_that_the_server_has_no_room_for);
    tcase_add_test(tc, passing_leaks_nothing);
    return door_test_run(suite);
}
