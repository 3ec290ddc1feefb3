/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_param.c: door_getparam() and door_setparam(), and the limits they set.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static _Atomic long *calls;
static int own;

static void serve(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    static char result[64];

    (void)c;
    (void)argp;
    (void)arg_size;
    for (uint_t i = 0; i < n_desc; i++)
        close(dp[i].d_data.d_desc.d_descriptor);
    atomic_fetch_add(calls, 1);
    door_return(result, sizeof(result), NULL, 0);
}

static int new_door(uint_t attributes)
{
    calls = door_test_shared(sizeof(*calls));
    own = door_create(serve, NULL, attributes);
    ck_assert_int_ge(own, 0);
    return own;
}

static size_t get(int d, int param)
{
    size_t value = 12345;

    ck_assert_int_eq(door_getparam(d, param, &value), 0);
    return value;
}

static void set_fails(int d, int param, size_t value, int error)
{
    errno = 0;
    ck_assert_int_eq(door_setparam(d, param, value), -1);
    ck_assert_int_eq(errno, error);
}

/* The errno of a call with that many bytes and descriptors, or 0. */
static int call(int d, size_t size, uint_t n)
{
    char data[256] = "", result[64];
    door_desc_t descs[4];
    door_arg_t params = {.data_ptr = data,
                         .data_size = size,
                         .desc_ptr = n > 0 ? descs : NULL,
                         .desc_num = n,
                         .rbuf = result,
                         .rsize = sizeof(result)};

    memset(descs, 0, sizeof(descs));
    for (uint_t i = 0; i < n; i++) {
        descs[i].d_attributes = DOOR_DESCRIPTOR;
        descs[i].d_data.d_desc.d_descriptor = 0;
    }
    errno = 0;
    return door_call(d, &params) == 0 ? 0 : errno;
}

START_TEST(the_defaults)
{
    int d = new_door(0);

    ck_assert_uint_eq(get(d, DOOR_PARAM_DATA_MIN), 0);
    ck_assert_uint_eq(get(d, DOOR_PARAM_DATA_MAX), SIZE_MAX);
    ck_assert_uint_eq(get(d, DOOR_PARAM_DESC_MAX), INT_MAX);
    d = new_door(DOOR_REFUSE_DESC);
    ck_assert_uint_eq(get(d, DOOR_PARAM_DESC_MAX), 0);
}
END_TEST

START_TEST(what_was_set_is_told)
{
    int d = new_door(0);

    ck_assert_int_eq(door_setparam(d, DOOR_PARAM_DATA_MAX, 100), 0);
    ck_assert_int_eq(door_setparam(d, DOOR_PARAM_DATA_MIN, 100), 0);
    ck_assert_int_eq(door_setparam(d, DOOR_PARAM_DESC_MAX, 2), 0);
    ck_assert_uint_eq(get(d, DOOR_PARAM_DATA_MAX), 100);
    ck_assert_uint_eq(get(d, DOOR_PARAM_DATA_MIN), 100);
    ck_assert_uint_eq(get(d, DOOR_PARAM_DESC_MAX), 2);
}
END_TEST

START_TEST(data_limits_requests)
{
    int d = new_door(0);

    ck_assert_int_eq(door_setparam(d, DOOR_PARAM_DATA_MAX, 20), 0);
    ck_assert_int_eq(door_setparam(d, DOOR_PARAM_DATA_MIN, 10), 0);
    ck_assert_int_eq(call(d, 9, 0), ENOBUFS);
    ck_assert_int_eq(call(d, 21, 0), ENOBUFS);
    ck_assert_int_eq(call(d, 0, 0), ENOBUFS);
    ck_assert_int_eq(*calls, 0);
    ck_assert_int_eq(call(d, 10, 0), 0);
    ck_assert_int_eq(call(d, 20, 0), 0); /* its result is longer: not limited */
    ck_assert_int_eq(*calls, 2);
    ck_assert_int_eq(door_setparam(d, DOOR_PARAM_DATA_MIN, 0), 0);
    ck_assert_int_eq(call(d, 0, 0), 0);
}
END_TEST

START_TEST(descriptors_in_requests)
{
    int d = new_door(0);

    ck_assert_int_eq(door_setparam(d, DOOR_PARAM_DESC_MAX, 2), 0);
    ck_assert_int_eq(call(d, 1, 2), 0);
    ck_assert_int_eq(call(d, 1, 3), ENFILE);
    ck_assert_int_eq(*calls, 1);
    ck_assert_int_eq(door_setparam(d, DOOR_PARAM_DESC_MAX, 0), 0);
    ck_assert_int_eq(call(d, 1, 1), ENOTSUP);
    ck_assert_int_eq(call(d, 1, 0), 0);
}
END_TEST

START_TEST(a_door_that_refuses_descriptors)
{
    int d = new_door(DOOR_REFUSE_DESC), before = door_test_fd_count();

    ck_assert_int_eq(call(d, 1, 1), ENOTSUP);
    ck_assert_int_eq(*calls, 0);
    ck_assert_int_eq(call(d, 1, 0), 0);
    ck_assert(door_test_fds_settle(0, before + 8));
    set_fails(d, DOOR_PARAM_DESC_MAX, 1, ENOTSUP);
    ck_assert_int_eq(door_setparam(d, DOOR_PARAM_DESC_MAX, 0), 0);
}
END_TEST

START_TEST(values_and_parameters_that_are_not)
{
    int d = new_door(0), file = open("/dev/null", O_RDONLY);
    size_t value;

    set_fails(d, 0, 1, EINVAL);
    set_fails(d, 99, 1, EINVAL);
    set_fails(file, DOOR_PARAM_DATA_MAX, 1, EBADF);
    set_fails(-1, DOOR_PARAM_DATA_MAX, 1, EBADF);
    ck_assert_int_eq(door_setparam(d, DOOR_PARAM_DATA_MIN, 10), 0);
    set_fails(d, DOOR_PARAM_DATA_MAX, 9, EINVAL);
    ck_assert_int_eq(door_setparam(d, DOOR_PARAM_DATA_MAX, 20), 0);
    set_fails(d, DOOR_PARAM_DATA_MIN, 21, EINVAL);
    errno = 0;
    ck_assert_int_eq(door_getparam(d, 99, &value), -1);
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    ck_assert_int_eq(door_getparam(file, DOOR_PARAM_DATA_MAX, &value), -1);
    ck_assert_int_eq(errno, EBADF);
}
END_TEST

static void serve_limited(void *arg)
{
    int d = door_create(serve, NULL, 0);

    door_test_require(d >= 0);
    door_test_require(door_setparam(d, DOOR_PARAM_DATA_MAX, 20) == 0);
    door_test_attach(d, arg);
    door_test_ready();
    door_test_pause();
}

START_TEST(another_process_may_ask_but_not_set)
{
    const char *path = door_test_path("door");
    int d;

    calls = door_test_shared(sizeof(*calls));
    door_test_spawn(serve_limited, (void *)path);
    d = door_test_open(path);
    ck_assert_uint_eq(get(d, DOOR_PARAM_DATA_MAX), 20);
    set_fails(d, DOOR_PARAM_DATA_MAX, 10, EPERM);
    ck_assert_int_eq(call(d, 21, 0), ENOBUFS);
    ck_assert_int_eq(call(d, 20, 0), 0);
    ck_assert_int_eq(*calls, 1);
}
END_TEST

START_TEST(a_revoked_door)
{
    int d = new_door(0), copy = dup(d);
    size_t value;

    ck_assert_int_eq(door_revoke(d), 0);
    set_fails(copy, DOOR_PARAM_DATA_MAX, 1, EBADF);
    errno = 0;
    ck_assert_int_eq(door_getparam(copy, DOOR_PARAM_DATA_MAX, &value), -1);
    ck_assert_int_eq(errno, EBADF);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("param");
    TCase *tc = door_test_tcase(suite, "param", 30);

    tcase_add_test(tc, the_defaults);
    tcase_add_test(tc, what_was_set_is_told);
    tcase_add_test(tc, data_limits_requests);
    tcase_add_test(tc, descriptors_in_requests);
    tcase_add_test(tc, a_door_that_refuses_descriptors);
    tcase_add_test(tc, values_and_parameters_that_are_not);
    tcase_add_test(tc, another_process_may_ask_but_not_set);
    tcase_add_test(tc, a_revoked_door);
    return door_test_run(suite);
}
