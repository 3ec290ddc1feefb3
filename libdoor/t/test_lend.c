/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_lend.c: large data by door_compat.h: results that are lent, results made in
 * place and arguments that are shared, in both forms that there are.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "portable_compat.h"

static const struct {
    struct door_handle *(*open)(int);
    void (*close)(struct door_handle *);
    int (*call)(struct door_handle *, door_arg_t *, struct door_terms *);
    void (*end_loan)(struct door_loan *);
    int (*share_arguments)(int);
    void *(*result_buffer)(size_t);
} forms[] = {
    {door_handle_open, door_handle_close, door_handle_call, door_end_loan, door_share_arguments,
     door_result_buffer},
    {portable_handle_open, portable_handle_close, portable_handle_call, portable_end_loan,
     portable_share_arguments, portable_result_buffer},
};

/* Around what fits into a slot, a small window, and one that is not kept. */
static const size_t sizes[] = {1,     100,   16000,   16320,   16321,
                               16384, 65537, 1000000, 1100000, 9000000};
#define SIZE_COUNT ((int)(sizeof(sizes) / sizeof(sizes[0])))

/* What a call asks for; more bytes may follow, which are door_test_fill()'s. */
struct order {
    int form;
    size_t size;  /* of the result */
    size_t at;    /* where in a result buffer, if in_place */
    int in_place;
    int desc_count;
};

struct shop {
    int form;
    int shares;
};

static void deliver(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    static _Thread_local char *own;
    struct order order;
    door_desc_t descs[2];
    char *result;

    (void)c;
    (void)dp;
    (void)n_desc;
    door_test_require(arg_size >= sizeof(order));
    memcpy(&order, argp, sizeof(order));
    door_test_require(door_test_filled(argp + sizeof(order), arg_size - sizeof(order), 7));
    if (order.in_place) {
        result = forms[order.form].result_buffer(order.at + order.size / 2);
        door_test_require(result != NULL);
        result = forms[order.form].result_buffer(order.at + order.size);
        door_test_require(result != NULL);
        door_test_require(forms[order.form].result_buffer(1) == result);
        result += order.at;
    } else {
        own = realloc(own, order.size);
        door_test_require(own != NULL);
        result = own;
    }
    door_test_fill(result, order.size, 3);
    for (int i = 0; i < order.desc_count; i++)
        descs[i] = (door_desc_t){.d_attributes = DOOR_DESCRIPTOR,
                                 .d_data.d_desc.d_descriptor = STDERR_FILENO};
    door_return(result, order.size, descs, (uint_t)order.desc_count);
    door_test_die(__FILE__, __LINE__, "door_return");
}

static void serve(void *arg)
{
    struct shop *shop = arg;
    int d = door_create(deliver, NULL, 0);

    if (shop->shares)
        door_test_require(forms[shop->form].share_arguments(d) == 0);
    door_test_attach(d, door_test_path("shop"));
    door_test_ready();
    door_test_pause();
}

static int open_shop(int form, int shares)
{
    struct shop shop = {form, shares};

    door_test_spawn(serve, &shop);
    return door_test_open(door_test_path("shop"));
}

/* A call whose result is lent.  The loan may end after the handle. */
static int call_lend(int form, int d, door_arg_t *params, struct door_loan *loan)
{
    struct door_terms terms = {.desc_max = 2, .loan = loan};
    struct door_handle *handle = forms[form].open(d);
    int result, error;

    ck_assert_ptr_nonnull(handle);
    result = forms[form].call(handle, params, &terms);
    error = errno;
    forms[form].close(handle);
    ck_assert_int_eq(errno, error);
    return result;
}

/* A call with tail_len bytes behind the order; the result is lent or in rbuf. */
static void buy(int form, int d, struct order order, size_t tail_len, char *rbuf, size_t rsize)
{
    char *argument = malloc(sizeof(order) + tail_len);
    struct door_loan loan;
    door_arg_t params = {.data_ptr = argument,
                         .data_size = sizeof(order) + tail_len,
                         .rbuf = rbuf,
                         .rsize = rsize};

    order.form = form;
    memcpy(argument, &order, sizeof(order));
    door_test_fill(argument + sizeof(order), tail_len, 7);
    ck_assert_int_eq(call_lend(form, d, &params, &loan), 0);
    free(argument);
    ck_assert_ptr_eq(params.rbuf, rbuf);
    ck_assert_uint_eq(params.rsize, rsize);
    ck_assert_uint_eq(params.data_size, order.size);
    ck_assert(door_test_filled(params.data_ptr, order.size, 3));
    ck_assert_int_eq((int)params.desc_num, order.desc_count);
    ck_assert(order.size > rsize || order.desc_count > 0 || params.data_ptr == rbuf);
    ck_assert(order.size <= rsize || loan.owner != NULL || loan.mapping != NULL);
    for (uint_t i = 0; i < params.desc_num; i++)
        ck_assert_int_eq(close(params.desc_ptr[i].d_data.d_desc.d_descriptor), 0);
    forms[form].end_loan(&loan);
    forms[form].end_loan(&loan); /* nothing is lent any more */
}

START_TEST(results_that_are_lent)
{
    int d = open_shop(_i, 0);
    char rbuf[64];

    for (int i = 0; i < SIZE_COUNT; i++) {
        buy(_i, d, (struct order){.size = sizes[i]}, 0, rbuf, sizeof(rbuf));
        buy(_i, d, (struct order){.size = sizes[i]}, 0, NULL, 0);
    }
}
END_TEST

START_TEST(results_with_descriptors)
{
    int d = open_shop(_i, 0);
    char rbuf[256];

    for (int i = 0; i < SIZE_COUNT; i++) {
        buy(_i, d, (struct order){.size = sizes[i], .desc_count = 2}, 0, rbuf, sizeof(rbuf));
        buy(_i, d, (struct order){.size = sizes[i], .desc_count = 2}, 0, NULL, 0);
    }
}
END_TEST

START_TEST(results_made_in_place)
{
    static const size_t places[] = {0, 1, 1000, 70000};
    int d = open_shop(_i, 0);
    char rbuf[200];

    for (int i = 0; i < SIZE_COUNT; i++) {
        for (int j = 0; j < 4; j++) {
            struct order order = {.size = sizes[i], .at = places[j], .in_place = 1};

            buy(_i, d, order, 0, rbuf, sizeof(rbuf));
            /* Whoever calls as ever gets it as ever. */
            char *copy = malloc(order.size);
            order.form = _i;
            ck_assert_int_eq(door_test_call(d, &order, sizeof(order), copy, order.size),
                             (int)order.size);
            ck_assert(door_test_filled(copy, order.size, 3));
            free(copy);
        }
    }
}
END_TEST

START_TEST(arguments_that_are_shared)
{
    int d = open_shop(_i, 1);

    for (int i = 0; i < SIZE_COUNT; i++) {
        buy(_i, d, (struct order){.size = 10}, sizes[i], (char[16]){0}, 16);
        buy(_i, d, (struct order){.size = sizes[i]}, sizes[i], NULL, 0);
    }
    buy(_i, d, (struct order){.size = 100000, .in_place = 1}, 0, NULL, 0);
}
END_TEST

/* As one call's terms; the first piece may be params' or among the others. */
static int call_with_pieces(int form, int d, struct iovec first, const struct iovec *more,
                            unsigned count)
{
    struct door_handle *handle = forms[form].open(d);
    struct door_terms terms = {.more = more, .more_count = count, .was_taken = 9};
    char rbuf[16];
    door_arg_t params = {.data_ptr = first.iov_base, .data_size = first.iov_len, .rbuf = rbuf,
                         .rsize = sizeof(rbuf)};
    int result, error;

    ck_assert_ptr_nonnull(handle);
    result = forms[form].call(handle, &params, &terms);
    error = errno;
    ck_assert_int_eq(terms.was_taken, result == 0);
    if (result == 0)
        ck_assert(params.data_size == 10 && door_test_filled(rbuf, 10, 3));
    else
        ck_assert_ptr_eq(params.data_ptr, first.iov_base);
    forms[form].close(handle);
    errno = error;
    return result;
}

START_TEST(arguments_in_pieces)
{
    int d = open_shop(_i / 2, _i % 2);
    struct order order = {.form = _i / 2, .size = 10};
    struct iovec all = {&order, sizeof(order)}, none = {NULL, 0};

    for (int i = 0; i < SIZE_COUNT; i++) {
        char *tail = malloc(sizes[i]);
        size_t third = sizes[i] / 3;
        const struct iovec more[] = {all,
                                     {tail, third},
                                     none,
                                     {tail + third, sizes[i] - third - 1},
                                     {tail + sizes[i] - 1, 1}};

        door_test_fill(tail, sizes[i], 7);
        ck_assert_int_eq(call_with_pieces(_i / 2, d, all, more + 1, 4), 0);
        ck_assert_int_eq(call_with_pieces(_i / 2, d, none, more, 5), 0);
        free(tail);
    }
    ck_assert_int_eq(call_with_pieces(_i / 2, d, all, &none, 1), 0);
    ck_assert_int_eq(call_with_pieces(_i / 2, d, all, &none, 0), 0);
    close(d);
}
END_TEST

START_TEST(pieces_that_are_refused)
{
    int d = open_shop(_i, 0);
    struct order order = {.form = _i, .size = 10};
    struct iovec all = {&order, sizeof(order)};

    ck_assert_int_eq(call_with_pieces(_i, d, all, &(struct iovec){NULL, 1}, 1), -1);
    ck_assert_int_eq(errno, EFAULT);
    ck_assert_int_eq(call_with_pieces(_i, d, (struct iovec){NULL, 1}, &all, 1), -1);
    ck_assert_int_eq(errno, EFAULT);
    ck_assert_int_eq(call_with_pieces(_i, d, all, &(struct iovec){&order, SIZE_MAX}, 1), -1);
    ck_assert_int_eq(errno, E2BIG);
    ck_assert_int_eq(call_with_pieces(_i, d, all, NULL, 0), 0);
    close(d);
}
END_TEST

/* A loan is one call's: others go on beside it, and it stays what it was. */
START_TEST(many_loans_at_a_time)
{
    enum { COUNT = 300 }; /* more than a channel has slots */
    int d = open_shop(_i, 0);
    struct door_loan loans[COUNT];
    char *lent[COUNT];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            struct order order = {.form = _i, .size = 20000 + (size_t)i, .in_place = i % 2};
            door_arg_t params = {.data_ptr = (char *)&order, .data_size = sizeof(order)};

            ck_assert_int_eq(call_lend(_i, d, &params, &loans[i]), 0);
            lent[i] = params.data_ptr;
        }
        buy(_i, d, (struct order){.size = 100}, 0, NULL, 0);
        for (int i = 0; i < COUNT; i++) {
            ck_assert(door_test_filled(lent[i], 20000 + (size_t)i, 3));
            forms[_i].end_loan(&loans[i]);
        }
    }
}
END_TEST

START_TEST(a_loan_outlives_its_server)
{
    struct shop shop = {_i, 0};
    pid_t server = door_test_spawn(serve, &shop);
    int d = door_test_open(door_test_path("shop"));
    struct order order = {.form = _i, .size = 100000, .in_place = 1};
    door_arg_t params = {.data_ptr = (char *)&order, .data_size = sizeof(order)};
    struct door_loan loan;

    ck_assert_int_eq(call_lend(_i, d, &params, &loan), 0);
    door_test_stop(server);
    ck_assert(door_test_filled(params.data_ptr, order.size, 3));
    forms[_i].end_loan(&loan);
    params = (door_arg_t){.data_ptr = (char *)&order, .data_size = sizeof(order)};
    ck_assert_int_eq(call_lend(_i, d, &params, &loan), -1);
    ck_assert_int_eq(errno, EBADF);
    forms[_i].end_loan(&loan);
    close(d);
}
END_TEST

static void in_the_way(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    char answer;

    (void)c;
    (void)argp;
    (void)dp;
    (void)n_desc;
    answer = door_result_buffer(100) == NULL && errno == EBUSY ? 'b' : '-';
    if (arg_size < 1000)
        answer = door_result_buffer(100) != NULL ? 'o' : '-';
    door_return(&answer, 1, NULL, 0);
}

static void serve_in_the_way(void *unused)
{
    int d = door_create(in_the_way, NULL, 0);

    (void)unused;
    door_test_require(door_share_arguments(d) == 0);
    door_test_attach(d, door_test_path("shop"));
    door_test_ready();
    door_test_pause();
}

/* The library's own form only: in the other nothing is ever in the way. */
START_TEST(what_is_refused)
{
    static char large[100000];
    char answer;
    int d;

    ck_assert_ptr_null(door_result_buffer(10));
    ck_assert_int_eq(errno, EINVAL);
    door_test_spawn(serve_in_the_way, NULL);
    d = door_test_open(door_test_path("shop"));
    ck_assert_int_eq(door_share_arguments(d), -1); /* not ours */
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(door_share_arguments(STDERR_FILENO), -1);
    ck_assert_int_eq(door_test_call(d, large, sizeof(large), &answer, 1), 1);
    ck_assert_int_eq(answer, 'b');
    ck_assert_int_eq(door_test_call(d, large, 10, &answer, 1), 1);
    ck_assert_int_eq(answer, 'o');
}
END_TEST

static void answer_a(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)c;
    (void)argp;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    door_return("a", 1, NULL, 0);
}

/* Tells what it was told of the first descriptor, if the door there can be called. */
static void look_at_descriptor(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    door_attr_t told = n_desc == 1 ? dp->d_attributes : 0;

    (void)c;
    (void)argp;
    (void)arg_size;
    if (n_desc == 1 && door_test_ask(dp->d_data.d_desc.d_descriptor) != 'a')
        told = 0;
    door_return((char *)&told, sizeof(told), NULL, 0);
}

static void serve_look(void *unused)
{
    int d = door_create(look_at_descriptor, NULL, 0);

    (void)unused;
    door_test_require(door_share_arguments(d) == 0);
    door_test_attach(d, door_test_path("shop"));
    door_test_ready();
    door_test_pause();
}

/* Whoever passes a door may have its server say nothing for as long as it is asked. */
START_TEST(no_server_of_a_shared_descriptor_is_asked)
{
    door_desc_t desc = {.d_attributes = DOOR_DESCRIPTOR};
    door_attr_t told = 0;
    door_arg_t args = {.desc_ptr = &desc, .desc_num = 1, .rbuf = (char *)&told,
                       .rsize = sizeof(told)};

    door_test_serve(door_test_path("passed"), answer_a, NULL, DOOR_NO_CANCEL);
    desc.d_data.d_desc.d_descriptor = door_test_open(door_test_path("passed"));
    door_test_spawn(serve_look, NULL);
    ck_assert_int_eq(door_call(door_test_open(door_test_path("shop")), &args), 0);
    ck_assert_uint_eq(args.data_size, sizeof(told));
    ck_assert_uint_eq(told, DOOR_DESCRIPTOR);
}
END_TEST

/* ------------------------------------------------ what was never written */

#define EMPTY_SIZE ((size_t)128 << 20)
#define EMPTY_KB (EMPTY_SIZE >> 10)

static void deliver_nothing(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    char *result = door_result_buffer(EMPTY_SIZE);

    (void)c;
    (void)argp;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    door_test_require(result != NULL);
    memcpy(result, "hello", 5);
    door_return(result, EMPTY_SIZE, NULL, 0);
}

/* What cost the server nothing must cost nobody anything. */
START_TEST(results_that_were_never_written)
{
    const char *path = door_test_path("empty");
    struct door_loan loan = {NULL, 0, NULL, 0};
    door_arg_t params = {NULL, 0, NULL, 0, NULL, 0};
    pid_t server = door_test_serve(path, deliver_nothing, NULL, 0);
    int d = door_test_open(path), result;
    long before_kb = door_test_resident_kb(getpid()), server_kb = door_test_resident_kb(server);
    volatile long sum = 0;

    for (int i = 0; i < 3; i++) {
        result = _i ? call_lend(0, d, &params, &loan) : door_call(d, &params);
        for (size_t at = 0; result == 0 && at < params.data_size; at += 4096)
            sum += params.data_ptr[at];
        ck_assert_int_lt(door_test_resident_kb(getpid()), before_kb + (long)EMPTY_KB / 4);
        ck_assert_int_lt(door_test_resident_kb(server), server_kb + (long)EMPTY_KB / 4);
        door_end_loan(&loan);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lend");
    TCase *tc = door_test_tcase(suite, "lend", 60);

    tcase_add_loop_test(tc, results_that_are_lent, 0, 2);
    tcase_add_loop_test(tc, results_with_descriptors, 0, 2);
    tcase_add_loop_test(tc, results_made_in_place, 0, 2);
    tcase_add_loop_test(tc, arguments_that_are_shared, 0, 2);
    tcase_add_loop_test(tc, arguments_in_pieces, 0, 4);
    tcase_add_loop_test(tc, pieces_that_are_refused, 0, 2);
    tcase_add_loop_test(tc, many_loans_at_a_time, 0, 2);
    tcase_add_loop_test(tc, a_loan_outlives_its_server, 0, 2);
    tcase_add_test(tc, what_is_refused);
    tcase_add_test(tc, no_server_of_a_shared_descriptor_is_asked);
    tcase_add_loop_test(tc, results_that_were_never_written, 0, 2);
    return door_test_run(suite);
}
