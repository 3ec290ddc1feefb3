/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_thread.c: the hooks of server threads, and what an application counts.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

static _Thread_local int is_started;
static int starts, stops, seen_by_handlers;
static char hook_data;

static int start(void *data)
{
    ck_assert_ptr_eq(data, &hook_data);
    is_started = 1;
    starts++;
    return 0;
}

static void stop(void *data)
{
    ck_assert_ptr_eq(data, &hook_data);
    ck_assert_int_eq(is_started, 1); /* on the thread that was started */
    stops++;
}

static void look(struct door_app_request *req, void *data)
{
    (void)req;
    (void)data;
    seen_by_handlers += is_started;
}

static void *two_requests(void *app)
{
    struct message message;
    struct answer answer;

    message_get(&message, "", "/");
    ask(app, &message, &answer);
    ask(app, &message, &answer);
    return NULL;
}

START_TEST(hooks_run_once_on_each_thread)
{
    struct door_app *app = door_app_create();

    door_app_handle(app, "/", look, NULL);
    ck_assert_int_eq(door_app_on_thread(app, start, stop, &hook_data), 0);
    starts = stops = seen_by_handlers = 0;
    for (int i = 1; i <= 3; i++) {
        pthread_t thread;

        ck_assert_int_eq(pthread_create(&thread, NULL, two_requests, app), 0);
        pthread_join(thread, NULL);
        ck_assert_int_eq(starts, i);
        ck_assert_int_eq(stops, i);
        ck_assert_int_eq(seen_by_handlers, 2 * i);
    }
    door_app_destroy(app);
}
END_TEST

START_TEST(there_is_one_pair_of_hooks)
{
    struct door_app *app = door_app_create();

    ck_assert_int_eq(door_app_on_thread(app, NULL, stop, NULL), 0);
    errno = 0;
    ck_assert_int_eq(door_app_on_thread(app, start, NULL, NULL), -1);
    ck_assert_int_eq(errno, EEXIST);
    ck_assert_int_eq(door_app_run(app, "/nowhere"), 1); /* it is not what its author wanted */
    door_app_destroy(app);
    errno = 0;
    ck_assert_int_eq(door_app_on_thread(NULL, start, stop, NULL), -1);
    ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

static unsigned long long count_of(struct answer *answer, const char *name)
{
    struct door_wire_reader message = answer->reader;
    struct door_wire_field field;

    while (door_wire_next(&message, &field))
        if (field.type == DOOR_WIRE_COUNT && strcmp(field.name, name) == 0)
            return strtoull(field.value, NULL, 10);
    ck_abort_msg("no count of %s", name);
    return 0;
}

static void ask_status(struct door_app *app, struct answer *answer)
{
    struct message message;

    message_begin(&message);
    message_end(&message, DOOR_WIRE_STATUS, 0, NULL, 0);
    door_rt_answer(app, message.bytes, message.len, -1, &answer->answer);
    ck_assert_int_eq(
        door_wire_read(&answer->reader, DOOR_WIRE_STATUS, answer->answer.bytes, answer->answer.len),
        0);
}

static void nothing(struct door_app_request *req, void *data)
{
    (void)req;
    (void)data;
}

START_TEST(it_tells_what_it_counts)
{
    struct door_app *app = door_app_create();
    struct message message;
    struct answer answer;

    door_app_handle(app, "/", nothing, NULL);
    ask_status(app, &answer);
    ck_assert_uint_eq(count_of(&answer, "calls"), 0);
    message_get(&message, "", "/");
    ask(app, &message, &answer);
    ask_status(app, &answer);
    ck_assert_uint_eq(count_of(&answer, "calls"), 1);
    ck_assert_uint_eq(count_of(&answer, "running"), 0);
    ck_assert_uint_eq(count_of(&answer, "waiting"), 0);
    ck_assert_uint_eq(count_of(&answer, "threads"), 1);
    ck_assert_uint_ge(count_of(&answer, "threads-max"), 1);
    door_app_destroy(app);
}
END_TEST

static pthread_barrier_t inside, asked;

static void stay(struct door_app_request *req, void *data)
{
    (void)req;
    (void)data;
    pthread_barrier_wait(&inside);
    pthread_barrier_wait(&asked);
}

static void *one_request(void *app)
{
    struct message message;
    struct answer answer;

    message_get(&message, "", "/");
    ask(app, &message, &answer);
    return NULL;
}

START_TEST(it_tells_what_runs)
{
    struct door_app *app = door_app_create();
    struct answer answer;
    pthread_t thread;

    pthread_barrier_init(&inside, NULL, 2);
    pthread_barrier_init(&asked, NULL, 2);
    door_app_handle(app, "/", stay, NULL);
    ck_assert_int_eq(pthread_create(&thread, NULL, one_request, app), 0);
    pthread_barrier_wait(&inside);
    ask_status(app, &answer);
    pthread_barrier_wait(&asked);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(count_of(&answer, "running"), 1);
    ck_assert_uint_eq(count_of(&answer, "calls"), 0);
    ask_status(app, &answer);
    ck_assert_uint_eq(count_of(&answer, "running"), 0);
    ck_assert_uint_eq(count_of(&answer, "calls"), 1);
    ck_assert_uint_ge(count_of(&answer, "threads-max"), 2);
    door_app_destroy(app);
}
END_TEST

/* The program has all keys for thread-specific data, and then one less. */
START_TEST(a_thread_without_a_key)
{
    pthread_key_t last, next;

    ck_assert_int_eq(pthread_key_create(&last, NULL), 0);
    while (pthread_key_create(&next, NULL) == 0)
        last = next;
    ck_assert_ptr_null(door_rt_thread());
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(pthread_key_delete(last), 0);
    ck_assert_ptr_nonnull(door_rt_thread());
    ck_assert_ptr_eq(door_rt_thread(), door_rt_thread());
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("thread");

    tcase_add_test(tests, hooks_run_once_on_each_thread);
    tcase_add_test(tests, there_is_one_pair_of_hooks);
    tcase_add_test(tests, it_tells_what_it_counts);
    tcase_add_test(tests, it_tells_what_runs);
    tcase_add_test(tests, a_thread_without_a_key);
    return run_tests(tests);
}
