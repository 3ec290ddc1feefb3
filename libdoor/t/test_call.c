/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_call.c: what one door_call() carries there and back: sizes of arguments
 * and results, who owns which buffer, and the descriptors that are no doors.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define LARGEST ((size_t)16 << 20)
#define SEED 5
#define RESULT_SEED 9

/* What the server saw last, in memory shared with the test. */
struct seen {
    _Atomic long calls;
    void *cookie;
    bool argp_is_null;
    size_t arg_size;
    bool args_right;
    bool aligned;
    uint_t n_desc;
};

static struct seen *seen;
static char cookie;
static char *results; /* LARGEST bytes of the pattern */

static void record(void *c, const char *argp, size_t arg_size, uint_t n_desc)
{
    seen->cookie = c;
    seen->argp_is_null = argp == NULL;
    seen->arg_size = arg_size;
    seen->args_right = argp == NULL || door_test_filled(argp, arg_size, SEED);
    seen->aligned = (uintptr_t)argp % sizeof(void *) == 0;
    seen->n_desc = n_desc;
    atomic_fetch_add(&seen->calls, 1);
}

/* Notes what came and returns nothing. */
static void note(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)dp;
    record(c, argp, arg_size, n_desc);
    door_return(NULL, 0, NULL, 0);
}

/* Returns its arguments after changing them where they are. */
static void answer_in_place(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)dp;
    record(c, argp, arg_size, n_desc);
    if (arg_size > 0)
        door_test_fill(argp, arg_size, RESULT_SEED);
    door_return(argp, arg_size, NULL, 0);
}

/* Returns as many bytes as asked for. */
static void produce(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    size_t size;

    (void)c;
    (void)dp;
    (void)n_desc;
    door_test_require(arg_size == sizeof(size));
    memcpy(&size, argp, sizeof(size));
    door_test_require(size <= LARGEST);
    door_return(results, size, NULL, 0);
}

/* Forks the server of this procedure and opens its door. */
static int start(door_server_procedure_t *procedure)
{
    const char *path = door_test_path("door");

    seen = door_test_shared(sizeof(*seen));
    results = door_test_shared(LARGEST);
    door_test_fill(results, LARGEST, RESULT_SEED);
    door_test_serve(path, procedure, &cookie, 0);
    return door_test_open(path);
}

/* Asks produce() for size bytes, into rsize bytes at rbuf. */
static void ask(int d, size_t size, char *rbuf, size_t rsize, door_arg_t *params)
{
    *params = (door_arg_t){
        .data_ptr = (char *)&size, .data_size = sizeof(size), .rbuf = rbuf, .rsize = rsize};
    ck_assert_int_eq(door_call(d, params), 0);
    ck_assert_uint_eq(params->data_size, size);
    ck_assert_uint_eq(params->desc_num, 0);
}

START_TEST(null_params)
{
    int d = start(note);

    ck_assert_int_eq(door_call(d, NULL), 0);
    ck_assert_int_eq(seen->calls, 1);
    ck_assert(seen->argp_is_null);
    ck_assert_uint_eq(seen->arg_size, 0);
    ck_assert_uint_eq(seen->n_desc, 0);
}
END_TEST

START_TEST(null_params_discard_a_result)
{
    int d = start(answer_in_place);

    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(door_call(d, NULL), 0);
    ck_assert_int_eq(seen->calls, 100);
}
END_TEST

START_TEST(argp_is_null_without_data)
{
    int d = start(note);
    char data[1] = {'x'};
    door_arg_t params = {.data_ptr = data, .data_size = 0};

    ck_assert_int_eq(door_call(d, &params), 0);
    ck_assert(seen->argp_is_null);
    params = (door_arg_t){.data_ptr = NULL};
    ck_assert_int_eq(door_call(d, &params), 0);
    ck_assert(seen->argp_is_null);
    ck_assert_int_eq(seen->calls, 2);
}
END_TEST

START_TEST(cookie_reaches_the_procedure)
{
    int d = start(note);

    ck_assert_int_eq(door_call(d, NULL), 0);
    ck_assert_ptr_eq(seen->cookie, &cookie);
}
END_TEST

/* There and back, bytes counted and compared, the caller's own bytes untouched. */
static void round_trip(int d, size_t size)
{
    char *data = malloc(size + 1);
    char *rbuf = malloc(size + 1);
    door_arg_t params = {.data_ptr = data, .data_size = size, .rbuf = rbuf, .rsize = size};

    door_test_fill(data, size, SEED);
    rbuf[size] = 'z';
    ck_assert_int_eq(door_call(d, &params), 0);
    ck_assert_uint_eq(seen->arg_size, size);
    ck_assert_msg(seen->args_right, "%zu bytes of arguments", size);
    ck_assert_msg(seen->aligned, "%zu bytes of arguments", size);
    ck_assert_msg(door_test_filled(data, size, SEED), "%zu bytes of arguments", size);
    ck_assert_uint_eq(params.data_size, size);
    ck_assert_ptr_eq(params.rbuf, rbuf);
    ck_assert_uint_eq(params.rsize, size);
    if (size > 0)
        ck_assert_ptr_eq(params.data_ptr, rbuf);
    ck_assert_msg(door_test_filled(rbuf, size, RESULT_SEED), "%zu bytes of results", size);
    ck_assert_int_eq(rbuf[size], 'z');
    free(data);
    free(rbuf);
}

START_TEST(sizes_around_every_edge)
{
    static const size_t edges[] = {1,        8,         16,       64,      512,          4096,
                                   8192,     16384,     32768,    65536,   131072,       262144,
                                   524288,   1048576,   2097152,  4194304, LARGEST / 2,  LARGEST};
    int d = start(answer_in_place);

    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        round_trip(d, edges[i] - 1);
        round_trip(d, edges[i]);
        round_trip(d, edges[i] + 1);
    }
    for (size_t near = 16384 - 256; near <= 16384 + 256; near += 16)
        round_trip(d, near);
}
END_TEST

/* A gigabyte each way, in a fresh mapping back; some systems have less to give. */
START_TEST(the_largest_that_programs_pass)
{
    size_t size = door_test_sanitized() ? LARGEST : (size_t)1 << 30;
    int d = start(answer_in_place);
    char *data = malloc(size);
    door_arg_t params = {.data_ptr = data, .data_size = size};

    if (data == NULL || sysconf(_SC_PHYS_PAGES) < (long)(6 * (size / (size_t)sysconf(_SC_PAGESIZE))))
        return;
    door_test_fill(data, size, SEED);
    ck_assert_int_eq(door_call(d, &params), 0);
    ck_assert_uint_eq(seen->arg_size, size);
    ck_assert(seen->args_right);
    ck_assert_uint_eq(params.data_size, size);
    ck_assert_uint_ge(params.rsize, size);
    ck_assert(door_test_filled(params.data_ptr, size, RESULT_SEED));
    ck_assert_int_eq(munmap(params.rbuf, params.rsize), 0);
    free(data);
    round_trip(d, 100);
}
END_TEST

START_TEST(small_calls_after_large_ones)
{
    int d = start(answer_in_place);

    for (int i = 0; i < 20; i++) {
        round_trip(d, 1 << 20);
        round_trip(d, 3);
        round_trip(d, 65536);
        round_trip(d, 0);
    }
}
END_TEST

START_TEST(result_of_exactly_rsize_stays_in_rbuf)
{
    static const size_t sizes[] = {1, 100, 4096, 16384, 65536, 1 << 20, LARGEST};
    int d = start(produce);
    char *rbuf = malloc(LARGEST);
    door_arg_t params;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        memset(rbuf, 0, sizes[i]);
        ask(d, sizes[i], rbuf, sizes[i], &params);
        ck_assert_ptr_eq(params.rbuf, rbuf);
        ck_assert_uint_eq(params.rsize, sizes[i]);
        ck_assert_ptr_eq(params.data_ptr, rbuf);
        ck_assert(door_test_filled(rbuf, sizes[i], RESULT_SEED));
    }
    free(rbuf);
}
END_TEST

START_TEST(one_byte_more_than_rsize_is_a_new_mapping)
{
    static const size_t sizes[] = {1, 101, 4097, 16385, 65536, 65537, 1 << 20, LARGEST};
    int d = start(produce);
    char *rbuf = malloc(LARGEST);
    door_arg_t params;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        memset(rbuf, 'r', sizes[i]);
        ask(d, sizes[i], rbuf, sizes[i] - 1, &params);
        ck_assert_ptr_ne(params.rbuf, rbuf);
        ck_assert_uint_ge(params.rsize, sizes[i]);
        ck_assert_ptr_eq(params.data_ptr, params.rbuf);
        ck_assert(door_test_filled(params.data_ptr, sizes[i], RESULT_SEED));
        ck_assert_int_eq(rbuf[0], 'r');
        ck_assert_int_eq(rbuf[sizes[i] - 1], 'r');
        ck_assert_int_eq(munmap(params.rbuf, params.rsize), 0);
    }
    free(rbuf);
}
END_TEST

/* munmap() of what was returned must free it: the page is not there afterwards. */
START_TEST(munmap_frees_a_result)
{
    long page = sysconf(_SC_PAGESIZE);
    int d = start(produce);
    door_arg_t params;
    char *start_page;

    ask(d, 3 * page + 5, NULL, 0, &params);
    ck_assert_uint_eq(params.rsize % page, 0);
    start_page = params.rbuf;
    ck_assert_uint_eq((uintptr_t)start_page % page, 0);
    ck_assert_int_eq(munmap(params.rbuf, params.rsize), 0);
    ck_assert_int_eq(msync(start_page, page, MS_ASYNC), -1);
    ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

START_TEST(a_mapped_result_belongs_to_the_caller)
{
    enum { SIZE = 100000, KEPT = 8 };
    int d = start(produce);
    door_arg_t kept[KEPT], params;
    char rbuf[16];

    for (int i = 0; i < KEPT; i++) {
        ask(d, SIZE + i, NULL, 0, &kept[i]);
        door_test_fill(kept[i].data_ptr, kept[i].data_size, 100 + i);
    }
    for (int i = 0; i < 100; i++)
        ask(d, 16, rbuf, sizeof(rbuf), &params);
    for (int i = 0; i < KEPT; i++) {
        ck_assert(door_test_filled(kept[i].data_ptr, SIZE + i, 100 + i));
        ck_assert_int_eq(munmap(kept[i].rbuf, kept[i].rsize), 0);
    }
    ask(d, 16, rbuf, sizeof(rbuf), &params);
    ck_assert(door_test_filled(rbuf, 16, RESULT_SEED));
}
END_TEST

START_TEST(no_room_for_results)
{
    int d = start(produce);
    door_arg_t params;

    ask(d, 10, NULL, 0, &params);
    ck_assert_ptr_ne(params.rbuf, NULL);
    ck_assert(door_test_filled(params.data_ptr, 10, RESULT_SEED));
    ck_assert_int_eq(munmap(params.rbuf, params.rsize), 0);
}
END_TEST

START_TEST(empty_result_leaves_rbuf_alone)
{
    int d = start(produce);
    char rbuf[32];
    door_arg_t params;

    memset(rbuf, 'r', sizeof(rbuf));
    ask(d, 0, rbuf, sizeof(rbuf), &params);
    ck_assert_ptr_eq(params.rbuf, rbuf);
    ck_assert_uint_eq(params.rsize, sizeof(rbuf));
    for (size_t i = 0; i < sizeof(rbuf); i++)
        ck_assert_int_eq(rbuf[i], 'r');
}
END_TEST

START_TEST(nothing_is_written_behind_a_short_result)
{
    int d = start(produce);
    char rbuf[64];
    door_arg_t params;

    memset(rbuf, 'r', sizeof(rbuf));
    ask(d, 5, rbuf, sizeof(rbuf), &params);
    ck_assert(door_test_filled(rbuf, 5, RESULT_SEED));
    for (size_t i = 5; i < sizeof(rbuf); i++)
        ck_assert_int_eq(rbuf[i], 'r');
}
END_TEST

START_TEST(one_buffer_for_arguments_and_results)
{
    static const size_t sizes[] = {1, 64, 4096, 16384, 65536, 1 << 20};
    int d = start(answer_in_place);
    char *buf = malloc(1 << 20);

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        door_arg_t params = {
            .data_ptr = buf, .data_size = sizes[i], .rbuf = buf, .rsize = sizes[i]};

        door_test_fill(buf, sizes[i], SEED);
        ck_assert_int_eq(door_call(d, &params), 0);
        ck_assert(seen->args_right);
        ck_assert_ptr_eq(params.rbuf, buf);
        ck_assert_ptr_eq(params.data_ptr, buf);
        ck_assert_uint_eq(params.data_size, sizes[i]);
        ck_assert(door_test_filled(buf, sizes[i], RESULT_SEED));
    }
    free(buf);
}
END_TEST

START_TEST(params_of_one_call_serve_the_next)
{
    int d = start(answer_in_place);
    char buf[256];
    door_arg_t params = {.data_ptr = buf, .data_size = 100, .rbuf = buf, .rsize = sizeof(buf)};

    door_test_fill(buf, 100, SEED);
    ck_assert_int_eq(door_call(d, &params), 0);
    ck_assert_uint_eq(params.data_size, 100);
    ck_assert_int_eq(door_call(d, &params), 0);
    ck_assert_uint_eq(params.data_size, 100);
    ck_assert_uint_eq(seen->arg_size, 100);
    ck_assert_ptr_eq(params.rbuf, buf);
    ck_assert_uint_eq(params.rsize, sizeof(buf));
}
END_TEST

START_TEST(read_only_arguments)
{
    static const char text[] = "arguments in read-only memory";
    int d = start(answer_in_place);
    char result[sizeof(text)];

    ck_assert_int_eq(door_test_call(d, text, sizeof(text), result, sizeof(result)),
                     (ssize_t)sizeof(text));
    ck_assert(door_test_filled(result, sizeof(text), RESULT_SEED));
}
END_TEST

static void refused(int fd)
{
    char byte = 'x';
    door_arg_t params = {.data_ptr = &byte, .data_size = 1, .rbuf = &byte, .rsize = 1};

    errno = 0;
    ck_assert_int_eq(door_call(fd, &params), -1);
    ck_assert_int_eq(errno, EBADF);
    errno = 0;
    ck_assert_int_eq(door_call(fd, NULL), -1);
    ck_assert_int_eq(errno, EBADF);
}

/* Without data it answers with nothing where it says that there is something. */
static void answer_with_nothing(void *c, char *argp, size_t arg_size, door_desc_t *dp,
                                uint_t n_desc)
{
    int errors[2] = {0};

    (void)dp;
    (void)n_desc;
    atomic_fetch_add((_Atomic int *)c, 1);
    if (arg_size > 0)
        door_return(argp, arg_size, NULL, 0);
    if (door_return(NULL, 5, NULL, 0) == -1)
        errors[0] = errno;
    if (door_return(NULL, 0, NULL, 1) == -1)
        errors[1] = errno;
    door_return((char *)errors, sizeof(errors), NULL, 0);
}

START_TEST(data_that_are_nowhere)
{
    _Atomic int *calls = door_test_shared(sizeof(*calls));
    door_arg_t no_data = {.data_size = 5}, no_descs = {.desc_num = 1};
    int errors[2] = {0}, d;

    door_test_serve(door_test_path("door"), answer_with_nothing, (void *)calls, 0);
    d = door_test_open(door_test_path("door"));
    for (int i = 0; i < 300; i++) { /* nor is a slot lost by it */
        errno = 0;
        ck_assert_int_eq(door_call(d, &no_data), -1);
        ck_assert_int_eq(errno, EFAULT);
        errno = 0;
        ck_assert_int_eq(door_call(d, &no_descs), -1);
        ck_assert_int_eq(errno, EFAULT);
    }
    ck_assert_int_eq(*calls, 0);
    ck_assert_int_eq(door_test_call(d, NULL, 0, errors, sizeof(errors)), sizeof(errors));
    ck_assert_int_eq(errors[0], EFAULT);
    ck_assert_int_eq(errors[1], EFAULT);
}
END_TEST

START_TEST(what_is_no_door_is_ebadf)
{
    int fds[2], file = open("/dev/null", O_RDWR);
    char byte;

    refused(-1);
    refused(123456);
    refused(file);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    refused(fds[0]);
    ck_assert_int_eq(recv(fds[1], &byte, 1, MSG_DONTWAIT), -1);
    close(fds[0]);
    close(fds[1]);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    refused(fds[0]);
    ck_assert_int_eq(recv(fds[1], &byte, 1, MSG_DONTWAIT), -1);
    close(fds[0]);
    close(fds[1]);
    close(file);
    refused(file);
}
END_TEST

START_TEST(a_closed_door_is_ebadf)
{
    int d = start(note);

    ck_assert_int_eq(door_call(d, NULL), 0);
    close(d);
    refused(d);
    ck_assert_int_eq(seen->calls, 1);
}
END_TEST

START_TEST(a_door_of_the_same_process)
{
    int d;

    seen = door_test_shared(sizeof(*seen));
    d = door_create(answer_in_place, &cookie, 0);
    ck_assert_int_ge(d, 0);
    round_trip(d, 0);
    round_trip(d, 100);
    round_trip(d, 65537);
    round_trip(d, 1 << 20);
    ck_assert_ptr_eq(seen->cookie, &cookie);
    ck_assert_int_eq(close(d), 0);
}
END_TEST

START_TEST(opening_and_closing_leaks_no_descriptor)
{
    const char *path = door_test_path("door");
    int d = start(note), before = 0;

    ck_assert_int_eq(door_call(d, NULL), 0);
    close(d);
    for (int i = 0; i < 200; i++) {
        if (i == 20)
            before = door_test_fd_count();
        d = door_test_open(path);
        ck_assert_int_eq(door_call(d, NULL), 0);
        ck_assert_int_eq(close(d), 0);
    }
    ck_assert_msg(door_test_fds_settle(0, before + 10), "%d descriptors, %d before",
                  door_test_fd_count(), before);
}
END_TEST

START_TEST(mapped_results_leak_nothing)
{
    int d = start(produce), before = 0;
    door_arg_t params;
    long resident = 0;

    for (int i = 0; i < 2000; i++) {
        if (i == 100) {
            before = door_test_fd_count();
            resident = door_test_resident_kb(getpid());
        }
        ask(d, 50000, NULL, 0, &params);
        ck_assert_int_eq(munmap(params.rbuf, params.rsize), 0);
    }
    ck_assert_int_eq(door_test_fd_count(), before);
    if (!door_test_sanitized())
        ck_assert_int_lt(door_test_resident_kb(getpid()), resident + 4096);
}
END_TEST

static bool has_shrunk_to(void *kb)
{
    return door_test_resident_kb(getpid()) < *(long *)kb;
}

/* Whatever large data went through is not kept for ever, and comes again if it is needed. */
START_TEST(large_data_leave_no_memory)
{
    static char large[1000000];
    int d = start(note);
    long bound_kb;

    memset(large, 1, sizeof(large));
    ck_assert_int_eq(door_test_call(d, large, 1, NULL, 0), 0);
    bound_kb = door_test_resident_kb(getpid()) + 512;
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(door_test_call(d, large, sizeof(large), NULL, 0), 0);
        if (!door_test_sanitized())
            ck_assert(door_test_await(has_shrunk_to, &bound_kb));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("call");
    TCase *tc = door_test_tcase(suite, "call", 200);

    tcase_add_test(tc, null_params);
    tcase_add_test(tc, null_params_discard_a_result);
    tcase_add_test(tc, argp_is_null_without_data);
    tcase_add_test(tc, cookie_reaches_the_procedure);
    tcase_add_test(tc, sizes_around_every_edge);
    tcase_add_test(tc, the_largest_that_programs_pass);
    tcase_add_test(tc, small_calls_after_large_ones);
    tcase_add_test(tc, result_of_exactly_rsize_stays_in_rbuf);
    tcase_add_test(tc, one_byte_more_than_rsize_is_a_new_mapping);
    tcase_add_test(tc, munmap_frees_a_result);
    tcase_add_test(tc, a_mapped_result_belongs_to_the_caller);
    tcase_add_test(tc, no_room_for_results);
    tcase_add_test(tc, empty_result_leaves_rbuf_alone);
    tcase_add_test(tc, nothing_is_written_behind_a_short_result);
    tcase_add_test(tc, one_buffer_for_arguments_and_results);
    tcase_add_test(tc, params_of_one_call_serve_the_next);
    tcase_add_test(tc, read_only_arguments);
    tcase_add_test(tc, data_that_are_nowhere);
    tcase_add_test(tc, what_is_no_door_is_ebadf);
    tcase_add_test(tc, a_closed_door_is_ebadf);
    tcase_add_test(tc, a_door_of_the_same_process);
    tcase_add_test(tc, opening_and_closing_leaks_no_descriptor);
    tcase_add_test(tc, mapped_results_leak_nothing);
    tcase_add_test(tc, large_data_leave_no_memory);
    return door_test_run(suite);
}
