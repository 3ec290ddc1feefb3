/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_prepare.c: what the program does in each server thread before that takes calls, and
 * what the library tells of them while they are busy.
 */
#include "door_test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "portable_compat.h"

#define MS      1000000ll
#define CALLERS 16

enum op {
    ANSWER,
    BLOCK, /* until it is released */
    LOSE   /* what the thread is prepared with */
};

static struct shared {
    sem_t entered, released;   /* procedures that block */
    sem_t preparing, prepared; /* the same of preparations from block_from on */
    unsigned block_from, block_to; /* which of them block: numbers from 1; 0: none */
    unsigned end_at;               /* which one ends its thread */
    _Atomic int gone;              /* the next one to be asked has lost it; it blocks then */
    _Atomic int ask_ms;            /* what they return */
    _Atomic unsigned tries;        /* preparations so far */
    _Atomic unsigned unprepared;   /* calls in a thread that was not */
    _Atomic unsigned calls;
    _Atomic unsigned unrefs; /* what was told of a door that nobody refers to */
} *shared;

static pid_t server;
static int door;

/* ------------------------------------------------ the server */

static int own_door;
static _Thread_local int is_prepared;

static int prepare(void *data)
{
    unsigned number = atomic_fetch_add(&shared->tries, 1) + 1;

    door_test_require(data == &own_door);
    if (shared->ask_ms < 0 && is_prepared) { /* asked, whether it still is */
        is_prepared = !atomic_exchange(&shared->gone, 0);
        return is_prepared ? shared->ask_ms : 1;
    }
    if (number == shared->end_at)
        pthread_exit(NULL);
    if (shared->block_from != 0 && number >= shared->block_from && number <= shared->block_to) {
        sem_post(&shared->preparing);
        door_test_require(door_test_sem_wait(&shared->prepared));
    }
    is_prepared = shared->ask_ms <= 0;
    return shared->ask_ms;
}

static void serve(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    enum op op;

    (void)c;
    (void)dp;
    (void)n_desc;
    door_test_require(arg_size == sizeof(op));
    memcpy(&op, argp, sizeof(op));
    atomic_fetch_add(&shared->calls, 1);
    if (!is_prepared)
        atomic_fetch_add(&shared->unprepared, 1);
    if (op == BLOCK) {
        sem_post(&shared->entered);
        door_test_require(door_test_sem_wait(&shared->released));
    } else if (op == LOSE) {
        is_prepared = 0;
        door_test_require(door_prepare_again() == 0);
    }
    door_return(NULL, 0, NULL, 0);
}

static void serve_all(void *max)
{
    own_door = door_create(serve, NULL, 0);
    door_test_require(door_set_threads(own_door, *(unsigned *)max, 0) == 0);
    door_test_require(door_prepare_threads(own_door, prepare, &own_door) == 0);
    door_test_attach(own_door, door_test_path("door"));
    door_test_ready();
    door_test_pause();
}

static void be_told(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)c;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    if (argp == DOOR_UNREF_DATA)
        atomic_fetch_add(&shared->unrefs, 1);
    door_return(NULL, 0, NULL, 0);
}

/* Another door has only its name, and is told of each client that leaves it. */
static void serve_and_be_told(void *max)
{
    int told = door_create(be_told, NULL, DOOR_UNREF_MULTI);

    door_test_attach(told, door_test_path("told"));
    close(told);
    serve_all(max);
}

/* What is to be otherwise than zero is set in between. */
static void prepare_server(void)
{
    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
    door_test_sem_init(&shared->preparing);
    door_test_sem_init(&shared->prepared);
}

static void start(unsigned max)
{
    server = door_test_spawn(serve_all, &max);
    door = door_test_open(door_test_path("door"));
}

/* ------------------------------------------------ the client */

static void call(enum op op)
{
    door_test_require(door_test_call(door, &op, sizeof(op), NULL, 0) == 0);
}

static void *call_once(void *op)
{
    call(*(enum op *)op);
    return NULL;
}

static pthread_t callers[CALLERS];

static void begin(int from, int to, enum op *op)
{
    for (int i = from; i < to; i++)
        ck_assert_int_eq(pthread_create(&callers[i], NULL, call_once, op), 0);
}

static void end(int from, int to)
{
    for (int i = from; i < to; i++)
        pthread_join(callers[i], NULL);
}

static void block(int from, int to)
{
    static enum op op = BLOCK;

    begin(from, to, &op);
}

static void await_entered(int count)
{
    for (int i = 0; i < count; i++)
        ck_assert(door_test_sem_wait(&shared->entered));
}

static void release(int count)
{
    for (int i = 0; i < count; i++)
        sem_post(&shared->released);
}

static bool has_tried(void *count)
{
    return shared->tries >= *(unsigned *)count;
}

static bool await_tries(unsigned count)
{
    return door_test_await(has_tried, &count);
}

static struct door_load load(void)
{
    struct door_load load;

    ck_assert_int_eq(door_ask_load(door, &load), 0);
    return load;
}

static bool has_threads(void *count)
{
    return load().threads == *(unsigned *)count;
}

/* ------------------------------------------------ before the first call */

START_TEST(each_thread_before_its_first_call)
{
    unsigned tries;

    prepare_server();
    start(0);
    block(0, CALLERS);
    await_entered(CALLERS);
    tries = shared->tries;
    ck_assert_uint_ge(tries, CALLERS);
    release(CALLERS);
    end(0, CALLERS);
    for (int i = 0; i < 100; i++)
        call(ANSWER);
    ck_assert_uint_eq(shared->unprepared, 0);
    ck_assert_uint_le(shared->tries, tries + 2); /* once each, and some in reserve */
}
END_TEST

/* It has no calls, others have them all; and nobody starts more that would wait as well. */
START_TEST(a_thread_that_is_not_ready)
{
    prepare_server();
    shared->block_from = 2;
    shared->block_to = 100;
    start(0);
    block(0, 1);
    await_entered(1);
    block(1, 8);
    ck_assert(door_test_sem_wait(&shared->preparing));
    nanosleep(&(struct timespec){.tv_nsec = 300 * MS}, NULL);
    ck_assert_uint_eq(shared->calls, 1);
    release(8);
    end(0, 8); /* by the first thread */
    ck_assert_uint_eq(shared->unprepared, 0);
    ck_assert_uint_le(shared->tries, 8);
    for (unsigned i = 1; i < shared->tries; i++)
        sem_post(&shared->prepared);
    call(ANSWER);
}
END_TEST

/* There is no other one: another is started, and not more than that. */
START_TEST(the_only_thread_is_not_ready)
{
    prepare_server();
    shared->block_from = shared->block_to = 1;
    start(0);
    ck_assert(door_test_sem_wait(&shared->preparing));
    call(ANSWER);
    ck_assert_uint_eq(shared->unprepared, 0);
    sem_post(&shared->prepared);
}
END_TEST

START_TEST(calls_although_it_is_not_ready)
{
    unsigned tries;

    prepare_server();
    shared->ask_ms = 20;
    start(1);
    call(ANSWER);
    call(ANSWER);
    ck_assert_uint_eq(shared->unprepared, 2);
    ck_assert(await_tries(shared->tries + 5)); /* without calls */
    shared->ask_ms = 0;
    ck_assert(await_tries(shared->tries + 1));
    call(ANSWER); /* it may have begun a try just before */
    call(ANSWER);
    ck_assert_uint_le(shared->unprepared, 3);
    tries = shared->tries;
    call(ANSWER);
    nanosleep(&(struct timespec){.tv_nsec = 100 * MS}, NULL);
    ck_assert_uint_eq(shared->tries, tries);
}
END_TEST

START_TEST(threads_that_lose_it)
{
    static enum op lose = LOSE;

    prepare_server();
    start(4);
    for (int i = 0; i < 200; i++) {
        call(LOSE);
        call(ANSWER);
    }
    for (int i = 0; i < 20; i++) {
        begin(0, CALLERS, &lose);
        end(0, CALLERS);
    }
    ck_assert_uint_eq(shared->calls, 400 + 20 * CALLERS);
    ck_assert_uint_eq(shared->unprepared, 0);
    ck_assert_uint_ge(shared->tries, 200 + 20 * CALLERS);
}
END_TEST

/* While one prepares itself again, others have what waits in the same client's memory. */
START_TEST(one_that_loses_it_holds_nobody_up)
{
    prepare_server();
    start(2);
    block(0, 2);
    await_entered(2);
    release(2);
    end(0, 2);
    ck_assert_uint_eq(shared->tries, 2);
    shared->block_from = shared->block_to = 3;
    call(LOSE);
    ck_assert(door_test_sem_wait(&shared->preparing));
    for (int i = 0; i < 100; i++)
        call(ANSWER);
    ck_assert_uint_eq(shared->unprepared, 0);
    sem_post(&shared->prepared);
}
END_TEST

START_TEST(a_preparation_ends_its_thread)
{
    unsigned one = 1;

    prepare_server();
    shared->end_at = 2;
    start(0);
    block(0, 2);
    await_entered(2);
    release(2);
    end(0, 2);
    ck_assert_uint_ge(shared->tries, 3);
    ck_assert_uint_eq(shared->unprepared, 0);
    ck_assert_uint_ge(load().threads, one + 1);
}
END_TEST

/* ------------------------------------------------ asked before each call */

START_TEST(asked_before_each_call)
{
    prepare_server();
    shared->ask_ms = -50;
    start(4);
    for (int i = 0; i < 100; i++)
        call(ANSWER);
    ck_assert_uint_ge(shared->tries, 100);
    ck_assert(await_tries(shared->tries + 3)); /* without calls */
    block(0, 4); /* more of them are started */
    await_entered(4);
    release(4);
    end(0, 4);
    shared->ask_ms = 0;
    call(ANSWER);
    ck_assert_uint_eq(shared->calls, 105);
}
END_TEST

/* The call for which it was woken is another one's, while it prepares itself. */
START_TEST(one_that_finds_it_gone_holds_nobody_up)
{
    unsigned tries;

    prepare_server();
    shared->ask_ms = -10000;
    start(2);
    block(0, 2);
    await_entered(2);
    release(2);
    end(0, 2);
    tries = shared->tries;
    nanosleep(&(struct timespec){.tv_nsec = 100 * MS}, NULL); /* both sleep */
    shared->gone = 1;
    shared->block_from = tries + 1;
    shared->block_to = tries + 1000;
    call(ANSWER);
    ck_assert(door_test_sem_wait(&shared->preparing));
    for (int i = 0; i < 50; i++)
        call(ANSWER);
    ck_assert_uint_eq(shared->calls, 53);
    sem_post(&shared->prepared);
}
END_TEST

static bool was_told(void *count)
{
    return shared->unrefs >= *(unsigned *)count;
}

/* Nor does it keep to itself that a door is to be told of. */
START_TEST(one_that_finds_it_gone_lets_others_be_told)
{
    unsigned max = 2, once = 1, twice = 2;
    int64_t begun_ms;

    prepare_server();
    shared->ask_ms = -60000;
    server = door_test_spawn(serve_and_be_told, &max);
    door = door_test_open(door_test_path("door"));
    block(0, 2);
    await_entered(2);
    release(2);
    end(0, 2);
    ck_assert(door_test_await(was_told, &once));
    nanosleep(&(struct timespec){.tv_nsec = 100 * MS}, NULL); /* both sleep */
    shared->gone = 1;
    shared->block_from = shared->tries + 1;
    shared->block_to = shared->tries + 1000;
    begun_ms = door_test_now_ms();
    close(door_test_open(door_test_path("told")));
    ck_assert(door_test_sem_wait(&shared->preparing));
    ck_assert(door_test_await(was_told, &twice));
    ck_assert_int_lt(door_test_now_ms() - begun_ms, 15000); /* not when a thread wakes by itself */
    sem_post(&shared->prepared);
}
END_TEST

/* ------------------------------------------------ what is told */

START_TEST(while_all_are_busy)
{
    unsigned four = 4;
    int before = errno;

    prepare_server();
    start(four);
    ck_assert_uint_eq(load().calls, 0);
    block(0, 8);
    await_entered(4);
    ck_assert_uint_eq(load().threads, 4);
    ck_assert_uint_eq(load().threads_most, 4);
    ck_assert_uint_eq(load().calls, 4);
    release(8);
    end(0, 8);
    ck_assert(door_test_await(has_threads, &four));
    ck_assert_uint_eq(load().threads_most, 4);
    ck_assert_uint_eq(load().calls, 0);
    door_test_stop(server);
    ck_assert_int_eq(door_ask_load(door, &(struct door_load){0}), -1);
    ck_assert_int_eq(errno, EBADF);
    errno = before;
}
END_TEST

static int nothing(void *unused)
{
    (void)unused;
    return 0;
}

static int (*const prepare_forms[])(int, int (*)(void *), void *) = {door_prepare_threads,
                                                                     portable_prepare_threads};
static int (*const again_forms[])(void) = {door_prepare_again, portable_prepare_again};
static int (*const load_forms[])(int, struct door_load *) = {door_ask_load, portable_ask_load};

START_TEST(what_cannot_be_done)
{
    int own = door_create(serve, NULL, 0), private = door_create(serve, NULL, DOOR_PRIVATE);
    struct door_load load;

    prepare_server();
    start(0);
    ck_assert_int_eq(prepare_forms[_i](door, nothing, NULL), -1); /* another process's */
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(prepare_forms[_i](-1, nothing, NULL), -1);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(prepare_forms[_i](private, nothing, NULL), -1);
    ck_assert_int_eq(errno, ENOTSUP);
    ck_assert_int_eq(prepare_forms[_i](own, nothing, NULL), _i == 0 ? 0 : -1);
    ck_assert(_i == 0 || errno == ENOTSUP);
    ck_assert_int_eq(again_forms[_i](), -1); /* this is no server thread */
    ck_assert_int_eq(errno, _i == 0 ? EINVAL : ENOTSUP);
    ck_assert_int_eq(load_forms[_i](STDERR_FILENO, &load), -1);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(load_forms[_i](door, &load), _i == 0 ? 0 : -1);
    ck_assert(_i == 0 || errno == ENOTSUP);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("prepare");
    TCase *tc = door_test_tcase(suite, "prepare", 60);

    tcase_add_test(tc, each_thread_before_its_first_call);
    tcase_add_test(tc, a_thread_that_is_not_ready);
    tcase_add_test(tc, the_only_thread_is_not_ready);
    tcase_add_test(tc, calls_although_it_is_not_ready);
    tcase_add_test(tc, threads_that_lose_it);
    tcase_add_test(tc, one_that_loses_it_holds_nobody_up);
    tcase_add_test(tc, a_preparation_ends_its_thread);
    tcase_add_test(tc, asked_before_each_call);
    tcase_add_test(tc, one_that_finds_it_gone_holds_nobody_up);
    tcase_add_test(tc, one_that_finds_it_gone_lets_others_be_told);
    tcase_add_test(tc, while_all_are_busy);
    tcase_add_loop_test(tc, what_cannot_be_done, 0, 2);
    return door_test_run(suite);
}
