/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_async.c: door_compat.h's calls that are begun now and ended later, in both
 * forms that there are.  In the portable one a call is over when it has begun: what
 * happens while one runs, or waits behind another, is asked of libdoor's alone.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "portable_compat.h"

static const struct form {
    struct door_handle *(*handle_open)(int);
    void (*handle_close)(struct door_handle *);
    struct door_async *(*open)(struct door_handle *, size_t);
    char *(*buffer)(struct door_async *);
    int (*begin)(struct door_async *, const char *, size_t, const struct door_async *);
    int (*is_over)(const struct door_async *);
    int (*end)(struct door_async *, char **, size_t *);
    void (*close)(struct door_async *);
    int (*share_arguments)(int);
} forms[] = {
    {door_handle_open, door_handle_close, door_async_open, door_async_buffer, door_async_begin,
     door_async_is_over, door_async_end, door_async_close, door_share_arguments},
    {portable_handle_open, portable_handle_close, portable_async_open, portable_async_buffer, portable_async_begin, portable_async_is_over,
     portable_async_end, portable_async_close, portable_share_arguments},
};

#define OURS 0 /* the form that is libdoor's */

/* Around what fits into a slot, a small window, and one that is not kept. */
static const size_t sizes[] = {1,     100,   16000,   16320,   16321,
                               16384, 65537, 1000000, 1100000, 9000000};
#define SIZE_COUNT ((int)(sizeof(sizes) / sizeof(sizes[0])))

#define CHAINS    4
#define COUNTED   40000
#define MANY      4000 /* descriptors that come at once */
#define BEHIND_US 20 /* what a call takes that others are to queue behind */

enum op {
    ANSWER,
    CALLS_SEEN,  /* is how many calls the procedure has seen before this one */
    MAKE,        /* the result is result_size bytes, door_test_fill()'s */
    MIRROR,      /* the result is the rest of the argument, where it lies */
    BLOCK,       /* posts entered, waits for released */
    COUNT,       /* this number has run once more */
    NOTE,        /* looks whether it is its chain's next one, and the only one */
    LINGER,      /* takes a moment */
    DESCRIPTORS, /* come with the result */
    LATE,        /* blocks, and returns as many as a call may that nobody waits for */
    EXIT,        /* blocks, and ends its thread */
    REVOKE       /* blocks, and revokes the door */
};

/* What a call asks for; more bytes may follow, which are door_test_fill()'s. */
struct order {
    enum op op;
    uint32_t number; /* is the answer, if no other is asked for */
    uint32_t chain;
    size_t result_size;
};

struct shared {
    sem_t entered;
    sem_t released;
    _Atomic uint32_t calls; /* that the procedure has seen */
    _Atomic uint32_t finished; /* of those that blocked */
    struct {
        _Atomic uint32_t last, running;
    } chain[CHAINS];
    _Atomic long disorders, overlaps;
    _Atomic unsigned char runs[COUNTED];
    _Atomic bool stop;
};

/* The server's threads, as many as the library makes (0) or a fixed number, and its door. */
struct shop {
    int threads;
    bool is_cancelled; /* a thread, when its call is given up */
    uint_t attributes;
    bool shares;
};

static const struct form *form;
static struct shop shop;
static struct shared *shared;
static pid_t server;
static int door;
static _Atomic int own_door; /* the server's */

/* ------------------------------------------------ the server */

static void block(void)
{
    sem_post(&shared->entered);
    door_test_require(door_test_sem_wait(&shared->released));
    atomic_fetch_add(&shared->finished, 1);
}

static void linger(long us)
{
    int64_t until_ns = door_now_ns() + us * 1000;

    while (door_now_ns() < until_ns)
        continue;
}

/* Some stay a little, so that one which begins too early is noticed. */
static void note(const struct order *order)
{
    if (atomic_exchange(&shared->chain[order->chain].running, 1) != 0)
        atomic_fetch_add(&shared->overlaps, 1);
    if (atomic_exchange(&shared->chain[order->chain].last, order->number) + 1 != order->number)
        atomic_fetch_add(&shared->disorders, 1);
    linger(order->number % 8 == 0 ? BEHIND_US : 0);
    atomic_store(&shared->chain[order->chain].running, 0);
}

static void make(size_t size)
{
    static _Thread_local char *own;

    own = realloc(own, size);
    door_test_require(own != NULL);
    door_test_fill(own, size, 3);
    door_return(own, size, NULL, 0);
}

static void give_many(void)
{
    static door_desc_t descs[MANY];

    for (int i = 0; i < MANY; i++)
        descs[i] = (door_desc_t){DOOR_DESCRIPTOR, {.d_desc = {STDERR_FILENO, 0}}};
    door_return(NULL, 0, descs, MANY);
}

static void serve(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    door_desc_t descs[2] = {{DOOR_DESCRIPTOR, {.d_desc = {STDERR_FILENO, 0}}},
                            {DOOR_DESCRIPTOR, {.d_desc = {STDERR_FILENO, 0}}}};
    struct order order;
    uint32_t calls;

    (void)c;
    (void)dp;
    (void)n_desc;
    door_test_require(arg_size >= sizeof(order));
    memcpy(&order, argp, sizeof(order));
    door_test_require(door_test_filled(argp + sizeof(order), arg_size - sizeof(order), 7));
    calls = atomic_fetch_add(&shared->calls, 1);
    if (order.op == CALLS_SEEN)
        order.number = calls;
    if (order.op == BLOCK || order.op == EXIT || order.op == REVOKE || order.op == LATE)
        block();
    if (order.op == LATE)
        give_many();
    if (order.op == EXIT)
        pthread_exit(NULL);
    if (order.op == REVOKE)
        door_test_require(door_revoke(own_door) == 0);
    if (order.op == COUNT)
        atomic_fetch_add(&shared->runs[order.number], 1);
    if (order.op == NOTE)
        note(&order);
    if (order.op == LINGER)
        linger(BEHIND_US);
    if (order.op == MAKE)
        make(order.result_size);
    if (order.op == MIRROR)
        door_return(argp + sizeof(order), arg_size - sizeof(order), NULL, 0);
    door_return((char *)&order.number, sizeof(order.number), descs,
                order.op == DESCRIPTORS ? 2 : 0);
    if ((order.op == DESCRIPTORS || order.op == LATE) && errno == EMFILE) /* such callers take none */
        door_return((char *)&order.number, sizeof(order.number), NULL, 0);
    door_test_require(order.op == REVOKE && errno == EINVAL); /* of a private door */
    pthread_exit(NULL);
}

static void *serve_bound(void *arg)
{
    if (!shop.is_cancelled)
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    if (shop.attributes & DOOR_PRIVATE)
        door_test_require(door_bind(own_door) == 0);
    door_return(NULL, 0, NULL, 0);
    return arg;
}

static void start_threads(void)
{
    pthread_t thread;

    for (int i = 0; i < shop.threads; i++)
        door_test_require(pthread_create(&thread, NULL, serve_bound, NULL) == 0);
}

/* That they are all busy is no reason for another one. */
static void create_fixed(door_info_t *info)
{
    static _Atomic bool created;

    if (info == NULL && !atomic_exchange(&created, true))
        start_threads();
}

static void serve_shop(void *unused)
{
    (void)unused;
    if (shop.threads > 0)
        door_server_create(create_fixed);
    own_door = door_create(serve, NULL, shop.attributes);
    door_test_require(own_door >= 0);
    if (shop.attributes & DOOR_PRIVATE)
        start_threads();
    if (shop.shares)
        door_test_require(form->share_arguments(own_door) == 0);
    door_test_attach(own_door, door_test_path("shop"));
    door_test_ready();
    door_test_pause();
}

static void start(int which, struct shop how)
{
    form = &forms[which];
    shop = how;
    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
    server = door_test_spawn(serve_shop, NULL);
    door = door_test_open(door_test_path("shop"));
}

/* ------------------------------------------------ the client */

/* It does not need the handle once it is there; NULL and errno. */
static struct door_async *open_on(int d, size_t size)
{
    struct door_handle *handle = form->handle_open(d);
    struct door_async *call = handle != NULL ? form->open(handle, size) : NULL;

    form->handle_close(handle);
    return call;
}

static struct door_async *open_call(size_t size)
{
    struct door_async *call = open_on(door, size);

    door_test_require(call != NULL);
    return call;
}

/* With tail_len bytes behind the order; of the buffer no others than these are touched. */
static int begin_at(struct door_async *call, size_t at, struct order order, size_t tail_len,
                    const struct door_async *behind)
{
    char *data = form->buffer(call) + at;

    memcpy(data, &order, sizeof(order));
    door_test_fill(data + sizeof(order), tail_len, 7);
    return form->begin(call, data, sizeof(order) + tail_len, behind);
}

/* 0, or the errno. */
static int begin(struct door_async *call, enum op op, uint32_t number,
                 const struct door_async *behind)
{
    return begin_at(call, 0, (struct order){.op = op, .number = number}, 0, behind) < 0 ? errno : 0;
}

static void cannot_begin(struct door_async *call)
{
    ck_assert_int_eq(form->begin(call, NULL, 0, NULL), -1);
    ck_assert_int_eq(errno, EINVAL);
}

/* The number that is the answer, or minus the errno. */
static long end(struct door_async *call)
{
    uint32_t number;
    size_t size = 0;
    char *result;

    if (form->end(call, &result, &size) < 0)
        return -errno;
    door_test_require(size == sizeof(number));
    memcpy(&number, result, sizeof(number));
    return number;
}

/* Of a door that is dead: whether that is said at once is left open. */
static int end_of_what_may_begin(struct door_async *call)
{
    int error = begin(call, ANSWER, 1, NULL);

    return error != 0 ? -error : (int)end(call);
}

/* Its end may not have been noticed yet when another object is opened. */
static void door_is_dead(void)
{
    struct door_async *call = open_on(door, 100);

    ck_assert_int_eq(call == NULL ? -errno : end_of_what_may_begin(call), -EBADF);
    form->close(call);
}

static bool is_over(void *call)
{
    return form->is_over(call);
}

static void is_over_soon(struct door_async *call)
{
    ck_assert(door_test_await(is_over, call));
}

static void await_entered(void)
{
    ck_assert(door_test_sem_wait(&shared->entered));
}

static void release(void)
{
    sem_post(&shared->released);
}

/* Ordinary calls; what waits to be taken meanwhile is taken meanwhile. */
static void others_are_served(void)
{
    for (uint32_t i = 0; i < 20; i++) {
        struct order order = {.op = ANSWER, .number = i};
        uint32_t number = ~i;

        ck_assert_int_eq(door_test_call(door, &order, sizeof(order), &number, sizeof(number)),
                         sizeof(number));
        ck_assert_uint_eq(number, i);
    }
}

/* How many calls the procedure has seen, without those. */
static long calls_beside_others(void)
{
    long before = shared->calls;

    others_are_served();
    ck_assert_int_ge(shared->calls - before, 20);
    return shared->calls - 20;
}

/* ------------------------------------------------ arguments and results */

static void trade(struct door_async *call, size_t at, size_t tail_len, size_t result_size)
{
    struct order order = {.op = MAKE, .result_size = result_size};
    size_t size = 0;
    char *result;

    ck_assert_int_eq(begin_at(call, at, order, tail_len, NULL), 0);
    ck_assert_msg(form->end(call, &result, &size) == 0, "%zu bytes at %zu: %s", tail_len, at,
                  strerror(errno));
    ck_assert_uint_eq(size, result_size);
    ck_assert(door_test_filled(result, size, 3));
}

/* The result is what was sent. */
static void trade_back(struct door_async *call, size_t at, size_t tail_len)
{
    size_t size = 0;
    char *result;

    ck_assert_int_eq(begin_at(call, at, (struct order){.op = MIRROR}, tail_len, NULL), 0);
    ck_assert_int_eq(form->end(call, &result, &size), 0);
    ck_assert_uint_eq(size, tail_len);
    ck_assert(door_test_filled(result, size, 7));
}

START_TEST(arguments_and_results)
{
    start(_i % 2, (struct shop){.shares = _i / 2});
    for (int i = 0; i < SIZE_COUNT; i++) {
        struct door_async *call = open_call(sizeof(struct order) + sizes[i]);

        trade(call, 0, sizes[i], sizes[i]);
        trade(call, 0, sizes[i], sizes[SIZE_COUNT - 1 - i]);
        trade(call, 0, sizes[i] / 2, 1);
        trade_back(call, 0, sizes[i]);
        trade_back(call, 0, sizes[i] - 1);
        form->close(call);
    }
}
END_TEST

/* What is before the data was never written. */
START_TEST(data_anywhere_in_the_buffer)
{
    static const size_t places[] = {1, 1000, 70000, 1100000};
    size_t place = places[_i / 4];

    start(_i % 2, (struct shop){.shares = _i / 2 % 2});
    for (int i = 0; i < SIZE_COUNT; i++) {
        struct door_async *call = open_call(place + sizeof(struct order) + sizes[i]);

        trade(call, place, sizes[i], 10);
        trade(call, place / 2, sizes[i], sizes[i]);
        trade_back(call, place, sizes[i]);
        trade(call, 0, sizes[i], 10);
        form->close(call);
    }
}
END_TEST

START_TEST(one_object_again_and_again)
{
    struct door_async *call;
    int before = 0;

    start(_i, (struct shop){0});
    call = open_call(100000);
    for (long i = 0, n = door_test_scaled(10000); i <= n; i++) {
        if (i == n / 10)
            before = door_test_fd_count();
        trade(call, 0, i % 50 == 0 ? 99000 : (size_t)i % 700,
              i % 30 == 0 ? 50000 : 1 + (size_t)i % 200);
    }
    ck_assert(door_test_fds_settle(0, before));
    form->close(call);
}
END_TEST

/* It is the object's own until its next call, whatever others do, and dies. */
START_TEST(a_result_stays)
{
    struct door_async *call, *other;
    size_t size = 0, wanted = sizes[_i / 2];
    struct order order = {.op = MAKE, .result_size = wanted};
    char *result;

    start(_i % 2, (struct shop){0});
    call = open_call(100);
    other = open_call(200000);
    ck_assert_int_eq(begin_at(call, 0, order, 0, NULL), 0);
    ck_assert_int_eq(form->end(call, &result, &size), 0);
    for (int i = 0; i < 50; i++)
        trade(other, 0, 100000, 1 + (size_t)i * 5000);
    others_are_served();
    ck_assert(door_test_filled(result, wanted, 3));
    door_test_stop(server);
    ck_assert_int_eq(end_of_what_may_begin(other), -EBADF);
    form->close(other);
    ck_assert_uint_eq(size, wanted);
    ck_assert(door_test_filled(result, wanted, 3));
    ck_assert_int_eq(end_of_what_may_begin(call), -EBADF);
    form->close(call);
}
END_TEST

static void use_and_close(int n)
{
    struct door_async *calls[8];

    for (int i = 0; i < n; i++) {
        for (int j = 0; j < 8; j++) {
            calls[j] = open_call(1200000);
            trade(calls[j], 0, 1100000, 1100000);
        }
        for (int j = 0; j < 8; j++)
            form->close(calls[j]);
    }
}

/* What is leaked once each time is much more. */
START_TEST(what_is_closed_leaves_nothing)
{
    enum { TIMES = 10, MAX_KB = TIMES * 8 * 1100 / 10 };
    long client_kb, server_kb;
    int client_fds, server_fds;

    start(_i, (struct shop){.threads = 1});
    use_and_close(2);
    client_kb = door_test_resident_kb(getpid());
    server_kb = door_test_resident_kb(server);
    client_fds = door_test_fd_count();
    server_fds = door_test_fd_count_of(server);
    use_and_close(TIMES);
    ck_assert(door_test_fds_settle(0, client_fds));
    ck_assert(door_test_fds_settle(server, server_fds));
    if (!door_test_sanitized() && !door_test_emulated()) {
        ck_assert_int_lt(door_test_resident_kb(getpid()), client_kb + MAX_KB);
        ck_assert_int_lt(door_test_resident_kb(server), server_kb + MAX_KB);
    }
}
END_TEST

static bool has_seen(void *calls)
{
    return shared->calls >= *(uint32_t *)calls;
}

START_TEST(descriptors_that_come_with_a_result)
{
    struct door_async *call;
    uint32_t calls = 51;
    int before = 0;

    start(_i, (struct shop){0});
    call = open_call(100);
    for (uint32_t i = 0; i < 50; i++) {
        if (i == 5)
            before = door_test_fd_count();
        ck_assert_int_eq(begin(call, DESCRIPTORS, i, NULL), 0);
        ck_assert_int_eq(end(call), i);
    }
    ck_assert(door_test_fds_settle(0, before));
    ck_assert_int_eq(begin(call, DESCRIPTORS, 1, NULL), 0);
    ck_assert(door_test_await(has_seen, &calls));
    form->close(call); /* takes nothing */
    others_are_served();
    ck_assert(door_test_fds_settle(0, before));
}
END_TEST

/* ------------------------------------------------ one behind the other */

#define PARTS 20 /* of a chain, which are timed */

struct chain {
    pthread_t thread;
    uint32_t which;
    uint32_t count;
    int64_t began_ms, least_ms; /* a part; the quickest one */
};

/* Others may have the processors for most of the time, so only the quickest part counts. */
static void note_time(struct chain *chain, uint32_t i)
{
    int64_t now_ms = door_test_now_ms();

    if (i % (chain->count / PARTS) != 0)
        return;
    if (now_ms - chain->began_ms < chain->least_ms)
        chain->least_ms = now_ms - chain->began_ms;
    chain->began_ms = now_ms;
}

/* Two objects in turn: each call is begun before the one that it follows is ended. */
static void *call_in_turn(void *arg)
{
    struct chain *chain = arg;
    struct door_async *calls[2] = {open_call(100), open_call(100)};

    chain->began_ms = door_test_now_ms();
    chain->least_ms = INT64_MAX;
    for (uint32_t i = 1; i <= chain->count; i++) {
        struct order order = {.op = NOTE, .number = i, .chain = chain->which};

        door_test_require(begin_at(calls[i % 2], 0, order, 0, calls[(i - 1) % 2]) == 0);
        if (i > 1)
            door_test_require(end(calls[(i - 1) % 2]) == (long)(i - 1));
        linger(i % 16 == 0 ? i % 512 / 16 : 0); /* so that some come when that is over */
        note_time(chain, i);
    }
    door_test_require(end(calls[chain->count % 2]) == (long)chain->count);
    form->close(calls[0]);
    form->close(calls[1]);
    return NULL;
}

/* So many chains beside each other: what a part takes in the slowest of them, in milliseconds. */
static int64_t run_chains(uint32_t n, uint32_t count)
{
    struct chain chains[CHAINS];
    int64_t most_ms = 0;

    for (uint32_t i = 0; i < n; i++) {
        chains[i] = (struct chain){.which = i, .count = count};
        pthread_create(&chains[i].thread, NULL, call_in_turn, &chains[i]);
    }
    for (uint32_t i = 0; i < n; i++) {
        pthread_join(chains[i].thread, NULL);
        most_ms = chains[i].least_ms > most_ms ? chains[i].least_ms : most_ms;
    }
    return most_ms;
}

START_TEST(in_order_and_never_two_at_a_time)
{
    uint32_t chains = _i < 2 ? 1 : CHAINS, count = (uint32_t)door_test_scaled(20000);
    int64_t took_ms;

    start(_i % 2, (struct shop){.threads = 4});
    took_ms = run_chains(chains, count);
    ck_assert_int_eq(shared->disorders, 0);
    ck_assert_int_eq(shared->overlaps, 0);
    for (uint32_t i = 0; i < chains; i++)
        ck_assert_uint_eq(shared->chain[i].last, count);
    /* A call that nobody notices, until somebody looks again, takes ten milliseconds. */
    if (!door_test_sanitized() && !door_test_emulated())
        ck_assert_int_lt(took_ms, count / PARTS / 4);
}
END_TEST

START_TEST(behind_one_that_is_over)
{
    struct door_async *first, *second;

    start(_i, (struct shop){0});
    first = open_call(100);
    second = open_call(100);
    for (uint32_t i = 0; i < 100; i++) {
        ck_assert_int_eq(begin(first, ANSWER, i, i % 2 ? second : NULL), 0);
        is_over_soon(first);
        ck_assert_int_eq(begin(second, ANSWER, i + 1, first), 0);
        is_over_soon(second);
        ck_assert_int_eq(end(second), i + 1);
        ck_assert_int_eq(end(first), i);
        ck_assert_int_eq(begin(second, ANSWER, i + 2, first), 0);
        ck_assert_int_eq(end(second), i + 2);
    }
    form->close(first);
    form->close(second);
}
END_TEST

START_TEST(over_when_the_server_has_returned)
{
    struct door_async *call;

    start(OURS, (struct shop){0});
    call = open_call(100);
    ck_assert_int_ne(form->is_over(call), 0);
    for (uint32_t i = 0; i < 20; i++) {
        ck_assert_int_eq(begin(call, BLOCK, i, NULL), 0);
        await_entered();
        others_are_served();
        ck_assert_int_eq(form->is_over(call), 0);
        release();
        is_over_soon(call);
        ck_assert_int_eq(end(call), i);
        ck_assert_int_ne(form->is_over(call), 0);
    }
    form->close(call);
}
END_TEST

static void close_calls(struct door_async **calls, int n)
{
    for (int i = 0; i < n; i++)
        form->close(calls[i]);
}

/* Each behind the one before; the first is another kind of call. */
static void queue(struct door_async **calls, uint32_t n, enum op first)
{
    for (uint32_t i = 0; i < n; i++) {
        calls[i] = open_call(100);
        ck_assert_int_eq(
            begin(calls[i], i == 0 ? first : ANSWER, i, i == 0 ? NULL : calls[i - 1]), 0);
    }
}

/* The first blocks in the server, the others wait. */
static void queue_up(struct door_async **calls, uint32_t n)
{
    queue(calls, n, BLOCK);
    await_entered();
}

START_TEST(a_whole_queue)
{
    enum { LENGTH = 200 };
    struct door_async *calls[LENGTH];

    start(OURS, (struct shop){0});
    queue_up(calls, LENGTH);
    ck_assert_int_eq(calls_beside_others(), 1);
    release();
    for (uint32_t i = LENGTH; i-- > 0;) {
        is_over_soon(calls[i]);
        ck_assert_int_eq(end(calls[i]), i);
        form->close(calls[i]);
    }
}
END_TEST

/*
 * A thread whose calls have been quick looks for the next one before it knows that this
 * one is not: what is begun then must not wait for it, although nobody waits for that yet.
 */
START_TEST(begun_when_a_quick_thread_is_held_up)
{
    enum { QUICK = 100 };
    struct door_async *calls[2], *other;

    start(OURS, (struct shop){0});
    calls[0] = open_call(100);
    calls[1] = open_call(100);
    other = open_call(100);
    for (int round = 0; round < 20; round++) {
        ck_assert_int_eq(begin(calls[0], ANSWER, 0, NULL), 0);
        for (uint32_t i = 1; i < QUICK; i++) {
            enum op op = i + 1 < QUICK ? ANSWER : BLOCK;

            ck_assert_int_eq(begin(calls[i % 2], op, i, calls[1 - i % 2]), 0);
            ck_assert_int_eq(end(calls[1 - i % 2]), i - 1);
        }
        await_entered();
        ck_assert_int_eq(begin(other, ANSWER, 1, NULL), 0);
        is_over_soon(other);
        ck_assert_int_eq(end(other), 1);
        release();
        ck_assert_int_eq(end(calls[(QUICK - 1) % 2]), QUICK - 1);
    }
    close_calls(calls, 2);
    form->close(other);
}
END_TEST

/* Only one can be told to be next: the other must come later all the same, or be refused. */
START_TEST(two_behind_the_same_one)
{
    struct door_async *calls[2], *third;
    int error;

    start(OURS, (struct shop){0});
    queue_up(calls, 2);
    third = open_call(100);
    error = begin(third, ANSWER, 2, calls[0]);
    ck_assert(error == 0 || error == EBUSY);
    ck_assert_int_eq(calls_beside_others(), 1);
    release();
    ck_assert_int_eq(end(calls[0]), 0);
    ck_assert_int_eq(end(calls[1]), 1);
    if (error != 0)
        ck_assert_int_eq(begin(third, ANSWER, 2, calls[0]), 0);
    ck_assert_int_eq(end(third), 2);
    close_calls(calls, 2);
    form->close(third);
}
END_TEST

START_TEST(objects_in_different_channels)
{
    enum { COUNT = 300 }; /* more than a channel has slots */
    struct door_async *calls[COUNT];

    start(OURS, (struct shop){0});
    for (int i = 0; i < COUNT; i++) {
        calls[i] = open_call(100);
        ck_assert_int_eq(begin(calls[i], ANSWER, 1, NULL), 0);
        ck_assert_int_eq(end(calls[i]), 1);
    }
    ck_assert_int_eq(begin(calls[0], BLOCK, 1, NULL), 0);
    await_entered();
    ck_assert_int_eq(begin(calls[COUNT - 1], ANSWER, 2, calls[0]), EBUSY);
    ck_assert_int_ne(form->is_over(calls[COUNT - 1]), 0); /* it has not begun */
    ck_assert_int_eq(begin(calls[1], ANSWER, 3, calls[0]), 0);
    release();
    ck_assert_int_eq(end(calls[0]), 1);
    ck_assert_int_eq(begin(calls[COUNT - 1], ANSWER, 2, calls[0]), 0);
    ck_assert_int_eq(end(calls[COUNT - 1]), 2);
    ck_assert_int_eq(end(calls[1]), 3);
    close_calls(calls, COUNT);
}
END_TEST

/* ------------------------------------------------ given up */

static bool all_finished(void *count)
{
    return shared->finished == *(uint32_t *)count;
}

/* Descriptors for a call that was given up stand before other calls', and in their way. */
START_TEST(descriptors_that_come_too_late)
{
    struct order given_up = {.op = LATE, .number = 1}, order = {.op = DESCRIPTORS, .number = 2};
    door_arg_t arg = {.data_ptr = (char *)&given_up, .data_size = sizeof(given_up)};
    struct door_test_late late;
    struct door_terms terms = {.deadline_ns = &late.deadline_ns};
    struct door_handle *handle;
    struct door_async *call;
    uint32_t finished = 1;
    int before;

    start(OURS, (struct shop){.attributes = DOOR_NO_CANCEL});
    others_are_served();
    before = door_test_fd_count();
    handle = door_handle_open(door);
    ck_assert_ptr_nonnull(handle);
    door_test_late_after(&late, &shared->entered);
    ck_assert_int_eq(door_handle_call(handle, &arg, &terms), -1);
    ck_assert_int_eq(errno, ETIMEDOUT);
    door_handle_close(handle);
    door_test_late_end(&late);
    release();
    ck_assert(door_test_await(all_finished, &finished));
    nanosleep(&(struct timespec){.tv_sec = 2}, NULL); /* the server has asked for longer than it does */
    call = open_call(100);    /* has the slot, and takes no descriptors */
    ck_assert_int_eq(begin(call, BLOCK, 3, NULL), 0);
    await_entered();
    arg = (door_arg_t){.data_ptr = (char *)&order, .data_size = sizeof(order)};
    ck_assert_int_eq(door_call(door, &arg), 0);
    ck_assert_uint_eq(arg.desc_num, 2);
    for (uint_t i = 0; i < arg.desc_num; i++)
        close(arg.desc_ptr[i].d_data.d_desc.d_descriptor);
    munmap(arg.rbuf, arg.rsize);
    release();
    ck_assert_int_eq(end(call), 3);
    form->close(call);
    ck_assert(door_test_fds_settle(0, before + DOOR_TEST_RECEIVER_FDS));
}
END_TEST

START_TEST(closed_while_it_runs)
{
    enum { COUNT = 20, SLOTS = 256 };
    struct door_async *calls[SLOTS];
    uint32_t finished = COUNT;
    int before = 0;

    start(OURS, (struct shop){0});
    for (int i = 0; i < COUNT; i++) {
        struct door_async *call = open_call(100);

        ck_assert_int_eq(begin(call, BLOCK, 1, NULL), 0);
        await_entered();
        if (i == 0)
            before = door_test_fd_count();
        form->close(call);
        others_are_served();
    }
    for (int i = 0; i < COUNT; i++)
        release();
    ck_assert(door_test_await(all_finished, &finished));
    others_are_served();
    for (int i = 0; i < SLOTS; i++) /* none of the channel's is lost */
        calls[i] = open_call(100);
    ck_assert(door_test_fds_settle(0, before));
    close_calls(calls, SLOTS);
}
END_TEST

START_TEST(closed_while_it_waits)
{
    struct door_async *calls[2], *other;

    start(OURS, (struct shop){0});
    queue_up(calls, 2);
    form->close(calls[1]);
    other = open_call(100); /* where that one was, very likely */
    ck_assert_int_eq(begin(other, ANSWER, 3, NULL), 0);
    is_over_soon(other);
    ck_assert_int_eq(end(other), 3);
    release();
    ck_assert_int_eq(end(calls[0]), 0);
    ck_assert_int_eq(calls_beside_others(), 2);
    form->close(calls[0]);
    form->close(other);
}
END_TEST

/* An object that has had no call yet stands in nobody's line. */
START_TEST(closed_while_it_runs_beside_one_without_a_call)
{
    struct door_async *queued, *first, *fresh;
    uint32_t finished = 2;

    start(OURS, (struct shop){.attributes = DOOR_NO_CANCEL});
    queued = open_call(100); /* the channel's first slot, whose number memory of zeros names */
    first = open_call(100);
    fresh = open_call(100);
    ck_assert_int_eq(begin(first, BLOCK, 1, NULL), 0);
    await_entered();
    ck_assert_int_eq(begin(queued, BLOCK, 2, first), 0);
    release();
    ck_assert_int_eq(end(first), 1);
    await_entered();
    form->close(queued);
    others_are_served(); /* in other slots: the server still has that one */
    ck_assert_int_eq(begin(fresh, ANSWER, 3, NULL), 0);
    ck_assert_int_eq(end(fresh), 3);
    release();
    ck_assert(door_test_await(all_finished, &finished));
    others_are_served();
    form->close(first);
    form->close(fresh);
}
END_TEST

/* The place behind the first one is free again. */
START_TEST(another_one_in_place_of_one_that_was_closed)
{
    struct door_async *calls[2], *other;

    start(OURS, (struct shop){0});
    queue_up(calls, 2);
    form->close(calls[1]);
    other = open_call(100);
    ck_assert_int_eq(begin(other, ANSWER, 3, calls[0]), 0);
    ck_assert_int_eq(calls_beside_others(), 1);
    release();
    is_over_soon(other);
    ck_assert_int_eq(end(other), 3);
    ck_assert_int_eq(end(calls[0]), 0);
    form->close(calls[0]);
    form->close(other);
}
END_TEST

START_TEST(the_first_is_closed_while_it_runs)
{
    struct door_async *calls[2];

    start(OURS, (struct shop){0});
    queue_up(calls, 2);
    form->close(calls[0]);
    ck_assert_int_eq(calls_beside_others(), 1);
    ck_assert_int_eq(form->is_over(calls[1]), 0);
    release();
    is_over_soon(calls[1]);
    ck_assert_int_eq(end(calls[1]), 1);
    ck_assert_uint_eq(shared->finished, 1);
    form->close(calls[1]);
}
END_TEST

START_TEST(the_first_is_closed_and_its_thread_cancelled)
{
    struct door_async *calls[2];

    start(OURS, (struct shop){.threads = 2, .is_cancelled = true});
    queue_up(calls, 2);
    form->close(calls[0]);
    is_over_soon(calls[1]);
    ck_assert_int_eq(end(calls[1]), 1);
    ck_assert_uint_eq(shared->finished, 0);
    form->close(calls[1]);
}
END_TEST

/* One that was never taken is over when it is closed. */
START_TEST(the_first_is_closed_before_it_was_taken)
{
    struct door_async *calls[3];

    start(OURS, (struct shop){.threads = 1});
    queue_up(calls, 1);
    queue(&calls[1], 2, ANSWER);
    form->close(calls[1]);
    release();
    is_over_soon(calls[2]);
    ck_assert_int_eq(end(calls[2]), 1);
    ck_assert_int_eq(calls_beside_others(), 2);
    ck_assert_int_eq(end(calls[0]), 0);
    form->close(calls[0]);
    form->close(calls[2]);
}
END_TEST

START_TEST(one_in_the_middle_is_closed)
{
    struct door_async *calls[3];

    start(OURS, (struct shop){0});
    queue_up(calls, 3);
    form->close(calls[1]);
    ck_assert_int_eq(calls_beside_others(), 1);
    ck_assert_int_eq(form->is_over(calls[2]), 0);
    release();
    is_over_soon(calls[2]);
    ck_assert_int_eq(end(calls[2]), 2);
    ck_assert_int_eq(end(calls[0]), 0);
    form->close(calls[0]);
    form->close(calls[2]);
}
END_TEST

static void ignore_alarm(int number)
{
    (void)number;
}

static void ring_alarms(int every_ms)
{
    struct itimerval interval = {{0, every_ms * 1000}, {0, every_ms * 1000}};
    struct sigaction action = {.sa_handler = ignore_alarm};

    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &interval, NULL), 0);
}

/* A handled signal ends the wait for the first one, which runs, or waits to be taken. */
START_TEST(a_signal_while_one_waits_behind)
{
    struct door_async *calls[2], *in_the_way = NULL;

    start(OURS, (struct shop){.threads = 1});
    if (_i == 1) {
        queue_up(&in_the_way, 1);
        queue(calls, 2, ANSWER);
    } else {
        queue_up(calls, 2);
    }
    ring_alarms(5);
    ck_assert_int_eq(end(calls[0]), -EINTR);
    ring_alarms(0);
    release();
    is_over_soon(calls[1]);
    ck_assert_int_eq(end(calls[1]), 1);
    if (_i == 0)
        cannot_begin(calls[0]); /* it is lost */
    others_are_served();
    close_calls(calls, 2);
    form->close(in_the_way);
}
END_TEST

/* Whatever the moment: one that is ended has run once, and one that is closed at most once. */
START_TEST(closed_at_any_moment)
{
    uint32_t count = (uint32_t)door_test_scaled(COUNTED - 1) / 2 * 2;

    start(OURS, (struct shop){.threads = 2});
    for (uint32_t i = 0; i < count; i += 2) {
        struct door_async *calls[2] = {open_call(100), open_call(100)};
        uint32_t kept = i / 2 % 2;

        ck_assert_int_eq(begin(calls[0], COUNT, i, NULL), 0);
        linger(i / 2 % 7);
        ck_assert_int_eq(begin(calls[1], COUNT, i + 1, calls[0]), 0);
        linger(i / 2 % 11);
        form->close(calls[1 - kept]);
        ck_assert_int_eq(end(calls[kept]), i + kept);
        ck_assert_uint_eq(shared->runs[i + kept], 1);
        form->close(calls[kept]);
    }
    others_are_served();
    for (uint32_t i = 0; i < count; i++)
        ck_assert_uint_le(shared->runs[i], 1);
}
END_TEST

/* ------------------------------------------------ clients and servers that end */

static void queue_two(void *unused)
{
    struct door_async *calls[2];

    (void)unused;
    queue_up(calls, 2);
    door_test_ready();
    door_test_pause();
}

static int call_anew(void *unused)
{
    (void)unused;
    others_are_served();
    return 0;
}

/* What it had queued does not run any more. */
START_TEST(the_client_is_killed)
{
    uint32_t finished = 1;
    pid_t client;

    start(OURS, (struct shop){0});
    client = door_test_spawn(queue_two, NULL);
    door_test_stop(client);
    /* Another client is let in after the server has heard of that. */
    ck_assert_int_eq(door_test_in_child(call_anew, NULL), 0);
    release();
    ck_assert(door_test_await(all_finished, &finished));
    ck_assert_int_eq(calls_beside_others(), 1 + 20);
}
END_TEST

START_TEST(the_server_is_killed)
{
    struct door_async *calls[2];
    int before;

    before = door_test_fd_count();
    start(OURS, (struct shop){0});
    queue_up(calls, 2);
    door_test_stop(server);
    is_over_soon(calls[0]);
    is_over_soon(calls[1]);
    if (_i == 1)
        ck_assert_int_eq(end(calls[1]), -EBADF);
    ck_assert_int_eq(end(calls[0]), -EINTR);
    cannot_begin(calls[0]); /* it is lost */
    ck_assert_ptr_null(form->buffer(calls[0]));
    ck_assert_int_eq(errno, EINVAL);
    if (_i == 0)
        ck_assert_int_eq(end(calls[1]), -EBADF);
    ck_assert_int_eq(end_of_what_may_begin(calls[1]), -EBADF);
    form->close(calls[0]);
    form->close(calls[1]);
    door_is_dead();
    close(door);
    ck_assert(door_test_fds_settle(0, before + 2)); /* the library's helper thread has two */
}
END_TEST

START_TEST(the_server_is_killed_and_the_calls_are_closed)
{
    struct door_async *calls[3];

    start(OURS, (struct shop){0});
    queue_up(calls, 3);
    form->close(calls[2]);
    door_test_stop(server);
    form->close(calls[_i]);
    form->close(calls[1 - _i]);
    door_is_dead();
}
END_TEST

/* What runs is finished, what waits is not begun any more. */
START_TEST(the_door_is_revoked)
{
    static const uint_t attributes[] = {0, DOOR_PRIVATE};
    struct door_async *calls[3];

    start(OURS, (struct shop){.attributes = attributes[_i], .threads = 2});
    queue(calls, 3, REVOKE);
    await_entered();
    release();
    ck_assert_int_eq(end(calls[0]), 0);
    is_over_soon(calls[1]);
    ck_assert_int_eq(end(calls[1]), -EBADF);
    is_over_soon(calls[2]);
    ck_assert_int_eq(end(calls[2]), -EBADF);
    ck_assert_int_eq(end_of_what_may_begin(calls[0]), -EBADF);
    ck_assert_uint_eq(shared->calls, 1);
    close_calls(calls, 3);
}
END_TEST

START_TEST(the_thread_ends_in_the_procedure)
{
    struct door_async *first, *second;

    start(OURS, (struct shop){0});
    for (uint32_t i = 0; i < 20; i++) {
        first = open_call(100);
        second = open_call(100);
        ck_assert_int_eq(begin(first, EXIT, i, NULL), 0);
        ck_assert_int_eq(begin(second, ANSWER, i, first), 0);
        await_entered();
        ck_assert_int_eq(form->is_over(second), 0);
        release();
        ck_assert_int_eq(end(first), -EINTR);
        is_over_soon(second);
        ck_assert_int_eq(end(second), i);
        form->close(first);
        form->close(second);
    }
}
END_TEST

/* ------------------------------------------------ others, and mistakes */

/* So many wait that the server has never run out of them when this process comes to run. */
static void keep_the_server_busy(void *unused)
{
    enum { WAITING = 64 };
    struct door_async *calls[WAITING];

    (void)unused;
    door = open(door_test_path("shop"), O_RDONLY);
    for (uint32_t i = 0; i < WAITING; i++)
        calls[i] = open_call(100);
    for (uint32_t i = 0; !shared->stop; i++) {
        if (i >= WAITING)
            door_test_require(end(calls[i % WAITING]) == (long)(i - WAITING));
        door_test_require(begin(calls[i % WAITING], LINGER, i,
                                i == 0 ? NULL : calls[(i - 1) % WAITING]) == 0);
        if (i == WAITING)
            door_test_ready();
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Whoever has always another call queued must not keep the only thread for itself. */
START_TEST(who_queues_starves_nobody)
{
    enum { CALLS = 100, STREAK = 16 };
    static const uint_t attributes[] = {0, DOOR_PRIVATE};
    uint32_t ahead[CALLS], busy = 1000;
    pid_t other;

    start(OURS, (struct shop){.threads = 1, .attributes = attributes[_i]});
    other = door_test_spawn(keep_the_server_busy, NULL);
    ck_assert(door_test_await(has_seen, &busy));
    for (int i = 0; i < CALLS; i++) {
        struct order order = {.op = CALLS_SEEN};
        uint32_t before = shared->calls, seen;

        ck_assert_int_eq(door_test_call(door, &order, sizeof(order), &seen, sizeof(seen)),
                         sizeof(seen));
        ahead[i] = seen - before; /* others are served before this process runs again, too */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    shared->stop = true;
    ck_assert_int_eq(door_test_exit_status(other), 0);
    qsort(ahead, CALLS, sizeof(ahead[0]), compare);
    if (!door_test_sanitized() && !door_test_emulated()) {
        ck_assert_uint_le(ahead[CALLS / 2], 10 * STREAK);
        ck_assert_uint_le(ahead[CALLS * 97 / 100], 100 * STREAK);
    }
}
END_TEST

START_TEST(what_is_misused)
{
    struct door_async *call;
    size_t size;
    char *result;

    start(_i, (struct shop){0});
    call = open_call(100);
    ck_assert_int_eq(form->end(call, &result, &size), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(begin(call, ANSWER, 1, NULL), 0);
    cannot_begin(call);
    ck_assert_int_eq(end(call), 1);
    ck_assert_int_eq(end(call), 1); /* as often as it is asked for */
    ck_assert_int_eq(begin(call, ANSWER, 3, NULL), 0);
    ck_assert_int_eq(end(call), 3);
    errno = ENOTTY;
    form->close(call);
    form->close(NULL);
    ck_assert_int_eq(errno, ENOTTY);
}
END_TEST

START_TEST(what_cannot_be_opened)
{
    int others[] = {-1, open("/dev/null", O_RDONLY), open("/tmp", O_RDONLY), dup(STDERR_FILENO)};

    start(_i, (struct shop){0});
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        errno = 0;
        ck_assert_ptr_null(open_on(others[i], 100));
        ck_assert_int_eq(errno, EBADF);
    }
    ck_assert_ptr_null(open_on(door, SIZE_MAX));
    ck_assert_int_eq(errno, _i == OURS ? E2BIG : ENOMEM);
    if (_i == OURS) {
        ck_assert_ptr_null(open_on(door, SIZE_MAX - SIZE_MAX / 4));
        ck_assert_int_eq(errno, E2BIG);
    }
    others_are_served();
}
END_TEST

static void add_single_calls(TCase *tc)
{
    tcase_add_loop_test(tc, arguments_and_results, 0, 4);
    tcase_add_loop_test(tc, data_anywhere_in_the_buffer, 0, 16);
    tcase_add_loop_test(tc, one_object_again_and_again, 0, 2);
    tcase_add_loop_test(tc, a_result_stays, 0, 2 * SIZE_COUNT);
    tcase_add_loop_test(tc, what_is_closed_leaves_nothing, 0, 2);
    tcase_add_loop_test(tc, descriptors_that_come_with_a_result, 0, 2);
    tcase_add_loop_test(tc, what_is_misused, 0, 2);
    tcase_add_loop_test(tc, what_cannot_be_opened, 0, 2);
}

static void add_queues(TCase *tc)
{
    tcase_add_loop_test(tc, in_order_and_never_two_at_a_time, 0, 4);
    tcase_add_loop_test(tc, behind_one_that_is_over, 0, 2);
    tcase_add_test(tc, over_when_the_server_has_returned);
    tcase_add_test(tc, a_whole_queue);
    tcase_add_test(tc, begun_when_a_quick_thread_is_held_up);
    tcase_add_test(tc, two_behind_the_same_one);
    tcase_add_test(tc, objects_in_different_channels);
    tcase_add_loop_test(tc, who_queues_starves_nobody, 0, 2);
}

static void add_ends(TCase *tc)
{
    tcase_add_test(tc, descriptors_that_come_too_late);
    tcase_add_test(tc, closed_while_it_runs);
    tcase_add_test(tc, closed_while_it_waits);
    tcase_add_test(tc, closed_while_it_runs_beside_one_without_a_call);
    tcase_add_test(tc, another_one_in_place_of_one_that_was_closed);
    tcase_add_test(tc, the_first_is_closed_while_it_runs);
    tcase_add_test(tc, the_first_is_closed_and_its_thread_cancelled);
    tcase_add_test(tc, the_first_is_closed_before_it_was_taken);
    tcase_add_test(tc, one_in_the_middle_is_closed);
    tcase_add_loop_test(tc, a_signal_while_one_waits_behind, 0, 2);
    tcase_add_test(tc, closed_at_any_moment);
    tcase_add_test(tc, the_client_is_killed);
    tcase_add_loop_test(tc, the_server_is_killed, 0, 2);
    tcase_add_loop_test(tc, the_server_is_killed_and_the_calls_are_closed, 0, 2);
    tcase_add_loop_test(tc, the_door_is_revoked, 0, 2);
    tcase_add_test(tc, the_thread_ends_in_the_procedure);
}

int main(void)
{
    Suite *suite = suite_create("async");

    add_single_calls(door_test_tcase(suite, "single calls", 60));
    add_queues(door_test_tcase(suite, "queues", 60));
    add_ends(door_test_tcase(suite, "ends", 60));
    return door_test_run(suite);
}
