/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_attributes.c: door_info() of doors with the attributes that have tests
 * of their own, and of a door whose server is gone.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

START_TEST(all_are_reported)
{
    static const uint_t attributes[] = {DOOR_UNREF, DOOR_UNREF_MULTI, DOOR_PRIVATE,
                                        DOOR_UNREF | DOOR_REFUSE_DESC | DOOR_NO_CANCEL,
                                        DOOR_UNREF_MULTI | DOOR_PRIVATE};
    const uint_t reported = DOOR_LOCAL | DOOR_IS_UNREF;

    for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
        int d = door_create(door_test_nothing, NULL, attributes[i]);
        door_info_t info;

        ck_assert_msg(d >= 0, "0x%x: %s", attributes[i], strerror(errno));
        ck_assert_int_eq(door_info(d, &info), 0);
        ck_assert_uint_eq(info.di_attributes & ~reported, attributes[i]);
        close(d);
    }
}
END_TEST

START_TEST(seen_by_a_client)
{
    const char *path = door_test_path("door");
    door_info_t info;
    int d;

    door_test_serve(path, door_test_nothing, NULL, DOOR_UNREF_MULTI | DOOR_NO_CANCEL);
    d = door_test_open(path);
    ck_assert_int_eq(door_info(d, &info), 0);
    ck_assert_uint_eq(info.di_attributes, DOOR_UNREF_MULTI | DOOR_NO_CANCEL);
}
END_TEST

static bool is_gone(void *arg)
{
    door_info_t info;

    return door_info(*(int *)arg, &info) == 0 && info.di_target == -1;
}

START_TEST(the_id_outlives_the_server)
{
    const char *path = door_test_path("door");
    pid_t server = door_test_serve(path, door_test_nothing, NULL, 0);
    int d = door_test_open(path);
    door_info_t before, after;

    ck_assert_int_eq(door_call(d, NULL), 0);
    ck_assert_int_eq(door_info(d, &before), 0);
    door_test_stop(server);
    ck_assert(door_test_await(is_gone, &d));
    ck_assert_int_eq(door_info(d, &after), 0);
    ck_assert_uint_eq(after.di_uniquifier, before.di_uniquifier);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attributes");
    TCase *tc = door_test_tcase(suite, "attributes", 30);

    tcase_add_test(tc, all_are_reported);
    tcase_add_test(tc, seen_by_a_client);
    tcase_add_test(tc, the_id_outlives_the_server);
    return door_test_run(suite);
}
