/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_info.c: what door_create() accepts and door_info() tells, in the server,
 * in its clients, after fork and after the server's death.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char cookie;

static int new_door(uint_t attributes)
{
    int d = door_create(door_test_nothing, &cookie, attributes);

    ck_assert_msg(d >= 0, "door_create with 0x%x: %s", attributes, strerror(errno));
    return d;
}

static door_info_t info_of(int d)
{
    door_info_t info;

    memset(&info, 0xa5, sizeof(info));
    ck_assert_int_eq(door_info(d, &info), 0);
    return info;
}

START_TEST(of_an_own_door)
{
    int d = new_door(0);
    door_info_t info = info_of(d);

    ck_assert_int_eq(info.di_target, getpid());
    ck_assert_uint_eq(info.di_proc, (door_ptr_t)(uintptr_t)door_test_nothing);
    ck_assert_uint_eq(info.di_data, (door_ptr_t)(uintptr_t)&cookie);
    ck_assert_uint_eq(info.di_attributes & (DOOR_LOCAL | DOOR_REVOKED), DOOR_LOCAL);
    ck_assert_uint_ne(info.di_uniquifier, 0);
    ck_assert_int_eq(close(d), 0);
}
END_TEST

START_TEST(of_anothers_door)
{
    const char *path = door_test_path("door");
    pid_t server = door_test_serve(path, door_test_nothing, &cookie, 0);
    int d = door_test_open(path);
    door_info_t info = info_of(d), again;

    ck_assert_int_eq(info.di_target, server);
    ck_assert_uint_eq(info.di_proc, (door_ptr_t)(uintptr_t)door_test_nothing);
    ck_assert_uint_eq(info.di_data, (door_ptr_t)(uintptr_t)&cookie);
    ck_assert_uint_eq(info.di_attributes & (DOOR_LOCAL | DOOR_REVOKED), 0);
    ck_assert_int_eq(door_call(d, NULL), 0);
    again = info_of(d);
    ck_assert_uint_eq(info.di_uniquifier, again.di_uniquifier);
    ck_assert_uint_eq(info.di_attributes, again.di_attributes);
}
END_TEST

START_TEST(an_own_door_opened_by_its_name_is_local)
{
    const char *path = door_test_path("door");
    int own = new_door(0), opened;
    door_info_t info;

    door_test_attach(own, path);
    opened = door_test_open(path);
    info = info_of(opened);
    ck_assert_int_eq(info.di_target, getpid());
    ck_assert_uint_eq(info.di_attributes & DOOR_LOCAL, DOOR_LOCAL);
    ck_assert_uint_eq(info.di_uniquifier, info_of(own).di_uniquifier);
}
END_TEST

START_TEST(the_id_is_the_same_everywhere)
{
    const char *path = door_test_path("door");
    int first, copy, second;
    door_id_t id;

    door_test_serve(path, door_test_nothing, NULL, 0);
    first = door_test_open(path);
    id = info_of(first).di_uniquifier;
    copy = dup(first);
    second = door_test_open(path);
    ck_assert_uint_eq(info_of(copy).di_uniquifier, id);
    ck_assert_uint_eq(info_of(second).di_uniquifier, id);
    close(first);
    ck_assert_uint_eq(info_of(copy).di_uniquifier, id);
}
END_TEST

START_TEST(reported_attributes)
{
    static const uint_t attributes[] = {0, DOOR_REFUSE_DESC, DOOR_NO_CANCEL,
                                        DOOR_REFUSE_DESC | DOOR_NO_CANCEL};
    const uint_t reported = DOOR_LOCAL | DOOR_IS_UNREF;

    for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
        int d = new_door(attributes[i]);

        ck_assert_uint_eq(info_of(d).di_attributes & ~reported, attributes[i]);
        close(d);
    }
}
END_TEST

START_TEST(attributes_seen_by_a_client)
{
    const char *path = door_test_path("door");
    int d;

    door_test_serve(path, door_test_nothing, NULL, DOOR_REFUSE_DESC | DOOR_NO_CANCEL);
    d = door_test_open(path);
    ck_assert_uint_eq(info_of(d).di_attributes, DOOR_REFUSE_DESC | DOOR_NO_CANCEL);
}
END_TEST

START_TEST(attributes_that_cannot_be_asked_for)
{
    static const uint_t attributes[] = {
        DOOR_LOCAL,      DOOR_REVOKED, DOOR_IS_UNREF,
        DOOR_DESCRIPTOR, 0x80000000,   DOOR_UNREF | DOOR_UNREF_MULTI};
    int before = door_test_fd_count();

    for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
        errno = 0;
        ck_assert_msg(door_create(door_test_nothing, NULL, attributes[i]) == -1, "0x%x", attributes[i]);
        ck_assert_int_eq(errno, EINVAL);
    }
    ck_assert_int_eq(door_test_fd_count(), before);
}
END_TEST

START_TEST(a_new_door_is_close_on_exec)
{
    int d = new_door(0);

    ck_assert_int_eq(fcntl(d, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}
END_TEST

static void no_info(int fd)
{
    door_info_t info;

    errno = 0;
    ck_assert_int_eq(door_info(fd, &info), -1);
    ck_assert_int_eq(errno, EBADF);
}

START_TEST(what_is_no_door_is_ebadf)
{
    int fds[2], d = new_door(0), file = open("/dev/null", O_RDONLY);

    no_info(-1);
    no_info(12345);
    no_info(file);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    no_info(fds[0]);
    close(d);
    no_info(d);
    no_info(DOOR_QUERY); /* this thread is bound to no door */
}
END_TEST

static int compare_ids(const void *a, const void *b)
{
    door_id_t x = *(const door_id_t *)a, y = *(const door_id_t *)b;

    return x < y ? -1 : x > y;
}

static void make_ids(door_id_t *ids, int n)
{
    for (int i = 0; i < n; i++) {
        int d = door_create(door_test_nothing, NULL, 0);
        door_info_t info;

        door_test_require(d >= 0);
        door_test_require(door_info(d, &info) == 0);
        ids[i] = info.di_uniquifier;
        close(d);
    }
}

static int make_ids_in_child(void *arg)
{
    make_ids(arg, 200);
    return 0;
}

START_TEST(ids_are_never_used_again)
{
    enum { PROCESSES = 4, DOORS = 200 };
    door_id_t *ids = door_test_shared((PROCESSES + 1) * DOORS * sizeof(*ids));

    make_ids(ids, DOORS);
    for (int i = 1; i <= PROCESSES; i++)
        ck_assert_int_eq(door_test_in_child(make_ids_in_child, ids + i * DOORS), 0);
    qsort(ids, (PROCESSES + 1) * DOORS, sizeof(*ids), compare_ids);
    for (int i = 1; i < (PROCESSES + 1) * DOORS; i++)
        ck_assert_uint_ne(ids[i - 1], ids[i]);
    ck_assert_uint_ne(ids[0], 0);
}
END_TEST

START_TEST(creating_and_closing_leaks_nothing)
{
    int fds = 0, threads = 0;

    for (int i = 0; i < 300; i++) {
        int d = new_door(0);

        ck_assert_int_eq(door_call(d, NULL), 0);
        ck_assert_int_eq(close(d), 0);
        if (i == 20) {
            fds = door_test_fd_count();
            threads = door_test_thread_count(getpid());
        }
    }
    ck_assert_msg(door_test_fds_settle(0, fds + 10), "%d descriptors, %d before",
                  door_test_fd_count(), fds);
    /* Where others have the processors, the pool has some threads more at times. */
    ck_assert_int_le(door_test_thread_count(getpid()), threads + 30);
}
END_TEST

struct inherited {
    int door;
    pid_t server;
    door_id_t id;
};

/* In the child of a server: the door is not the child's. */
static int inherited_info(void *arg)
{
    struct inherited *in = arg;
    door_info_t info;

    if (door_info(in->door, &info) != 0)
        return 1;
    if (info.di_target != in->server)
        return 2;
    if ((info.di_attributes & DOOR_LOCAL) != 0)
        return 3;
    if (info.di_uniquifier != in->id)
        return 4;
    return door_call(in->door, NULL) == 0 ? 0 : 5;
}

START_TEST(in_the_child_of_a_server)
{
    int d = new_door(0);
    struct inherited in = {d, getpid(), info_of(d).di_uniquifier};

    ck_assert_int_eq(door_test_in_child(inherited_info, &in), 0);
    ck_assert_int_eq(door_call(d, NULL), 0);
    ck_assert_int_eq(door_test_in_child(inherited_info, &in), 0);
}
END_TEST

START_TEST(in_the_child_of_a_client)
{
    const char *path = door_test_path("door");
    pid_t server = door_test_serve(path, door_test_nothing, NULL, 0);
    int d = door_test_open(path);
    struct inherited in = {d, server, info_of(d).di_uniquifier};

    ck_assert_int_eq(door_test_in_child(inherited_info, &in), 0);
    ck_assert_int_eq(inherited_info(&in), 0);
}
END_TEST

static int serve_in_child(void *arg)
{
    int inherited = *(int *)arg, d = door_create(door_test_nothing, NULL, 0);
    door_info_t info, other;

    if (d < 0 || door_info(d, &info) != 0 || door_info(inherited, &other) != 0)
        return 1;
    if (info.di_target != getpid() || (info.di_attributes & DOOR_LOCAL) == 0)
        return 2;
    if (info.di_uniquifier == other.di_uniquifier)
        return 3;
    return door_call(d, NULL) == 0 && door_call(inherited, NULL) == 0 ? 0 : 4;
}

/* A server's child may become a server of its own. */
START_TEST(the_child_serves_a_door_of_its_own)
{
    int d = new_door(0);

    ck_assert_int_eq(door_call(d, NULL), 0);
    ck_assert_int_eq(door_test_in_child(serve_in_child, &d), 0);
    ck_assert_int_eq(door_call(d, NULL), 0);
}
END_TEST

static bool target_is_gone(void *arg)
{
    door_info_t info;

    return door_info(*(int *)arg, &info) == 0 && info.di_target == -1;
}

START_TEST(after_the_servers_death)
{
    const char *path = door_test_path("door");
    pid_t server = door_test_serve(path, door_test_nothing, NULL, 0);
    int used = door_test_open(path), unused = door_test_open(path), late;

    ck_assert_int_eq(door_call(used, NULL), 0);
    door_test_stop(server);
    ck_assert(door_test_await(target_is_gone, &used));
    ck_assert(door_test_await(target_is_gone, &unused));
    ck_assert_uint_eq(info_of(used).di_attributes & DOOR_REVOKED, DOOR_REVOKED);
    ck_assert_uint_eq(info_of(unused).di_attributes & DOOR_REVOKED, DOOR_REVOKED);
    late = door_test_open(path);
    ck_assert_int_eq(info_of(late).di_target, -1);
    ck_assert_uint_eq(info_of(late).di_attributes & DOOR_REVOKED, DOOR_REVOKED);
}
END_TEST

static void *ask_often(void *arg)
{
    door_info_t info;

    for (int i = 0; i < 300; i++)
        if (door_info(*(int *)arg, &info) != 0 || info.di_target <= 0)
            return arg;
    return NULL;
}

START_TEST(many_threads_ask)
{
    const char *path = door_test_path("door");
    pthread_t threads[8];
    void *failed;
    int d;

    door_test_serve(path, door_test_nothing, NULL, 0);
    d = door_test_open(path);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_often, &d), 0);
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(door_call(d, NULL), 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], &failed);
        ck_assert_ptr_null(failed);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("info");
    TCase *tc = door_test_tcase(suite, "info", 30);

    tcase_add_test(tc, of_an_own_door);
    tcase_add_test(tc, of_anothers_door);
    tcase_add_test(tc, an_own_door_opened_by_its_name_is_local);
    tcase_add_test(tc, the_id_is_the_same_everywhere);
    tcase_add_test(tc, reported_attributes);
    tcase_add_test(tc, attributes_seen_by_a_client);
    tcase_add_test(tc, attributes_that_cannot_be_asked_for);
    tcase_add_test(tc, a_new_door_is_close_on_exec);
    tcase_add_test(tc, what_is_no_door_is_ebadf);
    tcase_add_test(tc, ids_are_never_used_again);
    tcase_add_test(tc, creating_and_closing_leaks_nothing);
    tcase_add_test(tc, in_the_child_of_a_server);
    tcase_add_test(tc, in_the_child_of_a_client);
    tcase_add_test(tc, the_child_serves_a_door_of_its_own);
    tcase_add_test(tc, after_the_servers_death);
    tcase_add_test(tc, many_threads_ask);
    return door_test_run(suite);
}
