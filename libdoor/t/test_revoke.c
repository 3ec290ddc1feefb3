/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_revoke.c: door_revoke(): later calls are refused, running ones finish,
 * other doors do not notice, and only the creator may.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum op { ANSWER, BLOCK, REVOKE_FIRST };

struct shared {
    sem_t entered;
    sem_t released;
    _Atomic long calls;
    _Atomic int error; /* of the last door_revoke() in the server */
};

static struct shared *shared;
static int first, second; /* the server's own descriptors */

static void serve(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    enum op op = ANSWER;

    (void)dp;
    (void)n_desc;
    if (arg_size == sizeof(op))
        memcpy(&op, argp, sizeof(op));
    atomic_fetch_add(&shared->calls, 1);
    if (op == BLOCK) {
        sem_post(&shared->entered);
        door_test_require(door_test_sem_wait(&shared->released));
    } else if (op == REVOKE_FIRST) {
        shared->error = door_revoke(first) == 0 ? 0 : errno;
    }
    door_return(c, 1, NULL, 0);
}

static void serve_two(void *arg)
{
    const char **paths = arg;

    first = door_create(serve, "1", 0);
    second = door_create(serve, "2", 0);
    door_test_require(first >= 0 && second >= 0);
    door_test_attach(first, paths[0]);
    door_test_attach(second, paths[1]);
    door_test_ready();
    door_test_pause();
}

/* Two doors of one server; their descriptors in doors[]. */
static void start(int doors[2])
{
    const char *paths[2] = {door_test_path("first"), door_test_path("second")};

    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
    door_test_spawn(serve_two, paths);
    doors[0] = door_test_open(paths[0]);
    doors[1] = door_test_open(paths[1]);
}

/* The byte that the door answers, or minus the errno. */
static int call(int d, enum op op)
{
    char result = 0;

    errno = 0;
    return door_test_call(d, &op, sizeof(op), &result, 1) == 1 ? result : -errno;
}

START_TEST(later_calls_are_refused)
{
    int doors[2], copy, unused;

    start(doors);
    copy = dup(doors[0]);
    unused = door_test_open(door_test_path("first"));
    ck_assert_int_eq(call(doors[0], ANSWER), '1');
    ck_assert_int_eq(call(doors[1], REVOKE_FIRST), '2');
    ck_assert_int_eq(shared->error, 0);
    ck_assert_int_eq(call(doors[0], ANSWER), -EBADF);
    ck_assert_int_eq(call(copy, ANSWER), -EBADF);
    ck_assert_int_eq(call(unused, ANSWER), -EBADF);
    ck_assert_int_eq(shared->calls, 2);
}
END_TEST

START_TEST(other_doors_go_on)
{
    int doors[2];

    start(doors);
    ck_assert_int_eq(call(doors[1], REVOKE_FIRST), '2');
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(call(doors[1], ANSWER), '2');
        ck_assert_int_eq(call(doors[0], ANSWER), -EBADF);
    }
}
END_TEST

static void *block(void *arg)
{
    return (void *)(intptr_t)call(*(int *)arg, BLOCK);
}

START_TEST(running_calls_finish)
{
    enum { RUNNING = 8 };
    pthread_t threads[RUNNING];
    void *result;
    int doors[2];

    start(doors);
    for (int i = 0; i < RUNNING; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, block, &doors[0]), 0);
    for (int i = 0; i < RUNNING; i++)
        ck_assert(door_test_sem_wait(&shared->entered));
    ck_assert_int_eq(call(doors[1], REVOKE_FIRST), '2');
    ck_assert_int_eq(call(doors[0], ANSWER), -EBADF);
    for (int i = 0; i < RUNNING; i++)
        sem_post(&shared->released);
    for (int i = 0; i < RUNNING; i++) {
        pthread_join(threads[i], &result);
        ck_assert_int_eq((intptr_t)result, '1');
    }
    ck_assert_int_eq(call(doors[0], ANSWER), -EBADF);
}
END_TEST

START_TEST(by_the_procedure_itself)
{
    int doors[2];

    start(doors);
    ck_assert_int_eq(call(doors[0], REVOKE_FIRST), '1');
    ck_assert_int_eq(shared->error, 0);
    ck_assert_int_eq(call(doors[0], ANSWER), -EBADF);
    ck_assert_int_eq(call(doors[1], ANSWER), '2');
}
END_TEST

START_TEST(under_load)
{
    int doors[2], errors = 0;
    pid_t child;

    start(doors);
    child = fork();
    if (child == 0) {
        int rc;

        while ((rc = call(doors[0], ANSWER)) == '1')
            ;
        _exit(rc == -EBADF ? 0 : 1);
    }
    for (int i = 0; i < 50; i++)
        errors += call(doors[0], ANSWER) != '1';
    ck_assert_int_eq(errors, 0);
    ck_assert_int_eq(call(doors[1], REVOKE_FIRST), '2');
    ck_assert_int_eq(door_test_exit_status(child), 0);
    ck_assert_int_eq(call(doors[0], ANSWER), -EBADF);
}
END_TEST

START_TEST(the_door_is_told_as_revoked)
{
    int doors[2];
    door_info_t before, after;

    start(doors);
    ck_assert_int_eq(door_info(doors[0], &before), 0);
    ck_assert_uint_eq(before.di_attributes & DOOR_REVOKED, 0);
    ck_assert_int_eq(call(doors[1], REVOKE_FIRST), '2');
    ck_assert_int_eq(door_info(doors[0], &after), 0);
    ck_assert_uint_eq(after.di_attributes & DOOR_REVOKED, DOOR_REVOKED);
    ck_assert_uint_eq(after.di_uniquifier, before.di_uniquifier);
}
END_TEST

/* As the manual says: an implicit close of the descriptor. */
START_TEST(the_descriptor_is_closed)
{
    int d, copy;

    shared = door_test_shared(sizeof(*shared));
    d = door_create(serve, "3", 0);
    ck_assert_int_ge(d, 0);
    copy = dup(d);
    ck_assert_int_eq(call(copy, ANSWER), '3');
    ck_assert_int_eq(door_revoke(d), 0);
    ck_assert_int_eq(fcntl(d, F_GETFD), -1);
    errno = 0;
    ck_assert_int_eq(door_revoke(d), -1);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(call(copy, ANSWER), -EBADF);
    close(copy);
}
END_TEST

START_TEST(only_the_creator_may)
{
    int doors[2];

    start(doors);
    errno = 0;
    ck_assert_int_eq(door_revoke(doors[0]), -1);
    ck_assert_int_eq(errno, EPERM);
    ck_assert_int_eq(call(doors[0], ANSWER), '1');
}
END_TEST

static int revoke_in_child(void *arg)
{
    errno = 0;
    return door_revoke(*(int *)arg) == -1 && errno == EPERM ? 0 : 1;
}

START_TEST(a_child_of_the_creator_may_not)
{
    int d;

    shared = door_test_shared(sizeof(*shared));
    d = door_create(serve, "3", 0);
    ck_assert_int_eq(door_test_in_child(revoke_in_child, &d), 0);
    ck_assert_int_eq(call(d, ANSWER), '3');
}
END_TEST

START_TEST(what_is_no_door)
{
    int file = open("/dev/null", O_RDONLY);

    errno = 0;
    ck_assert_int_eq(door_revoke(-1), -1);
    ck_assert_int_eq(errno, EBADF);
    errno = 0;
    ck_assert_int_eq(door_revoke(file), -1);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_ge(fcntl(file, F_GETFD), 0);
}
END_TEST

START_TEST(creating_and_revoking_leaks_nothing)
{
    int before = 0, d;

    shared = door_test_shared(sizeof(*shared));
    for (int i = 0; i < 200; i++) {
        if (i == 20)
            before = door_test_fd_count();
        d = door_create(serve, "4", 0);
        ck_assert_int_ge(d, 0);
        ck_assert_int_eq(call(d, ANSWER), '4');
        ck_assert_int_eq(door_revoke(d), 0);
    }
    ck_assert_msg(door_test_fds_settle(0, before + 10), "%d descriptors, %d before",
                  door_test_fd_count(), before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("revoke");
    TCase *tc = door_test_tcase(suite, "revoke", 30);

    tcase_add_test(tc, later_calls_are_refused);
    tcase_add_test(tc, other_doors_go_on);
    tcase_add_test(tc, running_calls_finish);
    tcase_add_test(tc, by_the_procedure_itself);
    tcase_add_test(tc, under_load);
    tcase_add_test(tc, the_door_is_told_as_revoked);
    tcase_add_test(tc, the_descriptor_is_closed);
    tcase_add_test(tc, only_the_creator_may);
    tcase_add_test(tc, a_child_of_the_creator_may_not);
    tcase_add_test(tc, what_is_no_door);
    tcase_add_test(tc, creating_and_revoking_leaks_nothing);
    return door_test_run(suite);
}
