/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_uncancelled.c: a cancellation that is pending when a function of the API is
 * called.  None of them is a cancellation point, open(2) aside: each comes back with its
 * work done, and leaves no lock, slot or descriptor behind.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <door_compat.h>
#include <thread.h>

#define SMALL_SLOTS 300 /* more than one channel has */

struct subject {
    int door;         /* another process's */
    int fresh;        /* likewise, that nobody has called yet */
    int own;          /* this one's */
    int private_door; /* likewise */
    int dead;         /* to be revoked */
    const char *name; /* of the first */
};

struct entry {
    const char *name;
    int (*call)(struct subject *s);
};

static void echo(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)c;
    for (uint_t i = 0; i < n_desc; i++)
        close(dp[i].d_data.d_desc.d_descriptor);
    door_return(argp, arg_size, NULL, 0);
}

/* ------------------------------------------------ what is called */

static int call_size(int d, size_t size)
{
    char *data = calloc(1, size), *result = malloc(size);
    door_arg_t arg = {.data_ptr = data, .data_size = size, .rbuf = result, .rsize = size};
    int status = door_call(d, &arg);

    free(data);
    free(result);
    return status;
}

static int first_call(struct subject *s)
{
    return call_size(s->fresh, 10);
}

static int next_call(struct subject *s)
{
    return call_size(s->door, 10);
}

static int large_call(struct subject *s)
{
    return call_size(s->door, 3 << 20);
}

static int call_with_descriptors(struct subject *s)
{
    door_desc_t desc = {.d_attributes = DOOR_DESCRIPTOR, .d_data.d_desc.d_descriptor = s->own};
    door_arg_t arg = {.desc_ptr = &desc, .desc_num = 1};

    return door_call(s->door, &arg);
}

static int call_through_a_handle(struct subject *s)
{
    char data[10] = {0};
    door_arg_t arg = {.data_ptr = data, .data_size = sizeof(data)};
    _Atomic int64_t deadline_ns = door_now_ns() + 60000000000;
    struct door_loan loan = {NULL, 0, NULL, 0};
    struct door_terms terms = {.deadline_ns = &deadline_ns, .desc_max = 1, .loan = &loan};
    struct door_handle *handle = door_handle_open(s->fresh);
    int result = handle == NULL ? -1 : door_handle_call(handle, &arg, &terms);

    door_handle_close(handle);
    door_end_loan(&loan);
    return result;
}

static struct door_async *open_call(int d)
{
    struct door_handle *handle = door_handle_open(d);
    struct door_async *call = handle == NULL ? NULL : door_async_open(handle, 100);

    door_handle_close(handle);
    return call;
}

static int begin_and_end(struct subject *s)
{
    struct door_async *call = open_call(s->fresh);
    char *result;
    size_t size;
    int status = -1;

    if (call != NULL && door_async_begin(call, door_async_buffer(call), 5, NULL) == 0)
        status = door_async_end(call, &result, &size);
    door_async_close(call);
    return status;
}

static int begin_and_close(struct subject *s)
{
    struct door_async *call = open_call(s->fresh);
    int status = call == NULL ? -1 : door_async_begin(call, door_async_buffer(call), 5, NULL);

    door_async_close(call);
    return status;
}

static int ask_for_info(struct subject *s)
{
    struct door_info info;

    return door_info(s->door, &info);
}

static int ask_whether_stream(struct subject *s)
{
    return isastream(s->door) == 1 ? 0 : -1;
}

static int get_parameter(struct subject *s)
{
    size_t value;

    return door_getparam(s->door, DOOR_PARAM_DATA_MAX, &value);
}

static int set_parameter(struct subject *s)
{
    return door_setparam(s->own, DOOR_PARAM_DATA_MAX, 1 << 30);
}

static int share_arguments(struct subject *s)
{
    return door_share_arguments(s->own);
}

static int set_threads(struct subject *s)
{
    return door_set_threads(s->own, 100, 1000);
}

static int nothing_to_prepare(void *unused)
{
    (void)unused;
    return 0;
}

static int prepare_threads(struct subject *s)
{
    return door_prepare_threads(s->own, nothing_to_prepare, NULL);
}

static int ask_load(struct subject *s)
{
    struct door_load load;

    return door_ask_load(s->door, &load);
}

static int running_calls(struct subject *s)
{
    return door_running_calls(s->own);
}

static int hide_procedure(struct subject *s)
{
    return door_hide_procedure(s->own);
}

static int who_attached(struct subject *s)
{
    uid_t uid;

    return door_attached_by(s->door, &uid);
}

static int close_what_came(struct subject *s)
{
    door_close_received(dup(s->own));
    return 0;
}

static int create(struct subject *s)
{
    int d = door_create(echo, NULL, 0);

    (void)s;
    return d < 0 ? -1 : door_revoke(d);
}

static void *start_of(void *arg)
{
    void **start = arg;
    void *(*run)(void *) = (void *(*)(void *))start[0];
    void *with = start[1];

    free(start);
    return run(with);
}

static int create_thread(door_info_t *info, void *(*run)(void *), void *arg, void *cookie)
{
    void **start = malloc(2 * sizeof(*start));
    pthread_t *thread = *(pthread_t **)cookie;

    (void)info;
    ++*(pthread_t **)cookie;
    start[0] = (void *)run;
    start[1] = arg;
    door_test_require(pthread_create(thread, NULL, start_of, start) == 0);
    return 1;
}

/* Its threads are to be cancelled before they have bound themselves. */
static void setup_and_cancel(void *cookie)
{
    (void)cookie;
    pthread_cancel(pthread_self());
}

static int xcreate(struct subject *s)
{
    pthread_t threads[2], *next = threads;
    int d = door_xcreate(echo, NULL, 0, create_thread, setup_and_cancel, &next, 2);
    int state, result = d < 0 ? -1 : door_revoke(d);

    (void)s;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state); /* joining is a cancellation point */
    while (next > threads)
        pthread_join(*--next, NULL);
    pthread_setcancelstate(state, NULL);
    return result;
}

static int revoke_it(struct subject *s)
{
    return door_revoke(s->dead);
}

static int bind_and_unbind(struct subject *s)
{
    return door_bind(s->private_door) < 0 ? -1 : door_unbind();
}

static int attach_and_detach(struct subject *s)
{
    const char *path = door_test_path("own");

    return fattach(s->own, path) < 0 ? -1 : fdetach(path);
}

/* close(2) is a cancellation point. */
static int close_at_peace(int d)
{
    int state, result;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    result = close(d);
    pthread_setcancelstate(state, NULL);
    return result;
}

static int open_by_descriptor(struct subject *s)
{
    return close_at_peace(door_openat(AT_FDCWD, s->name, 0));
}

static int find_stack(struct subject *s)
{
    stack_t stack;

    (void)s;
    return thr_stksegment(&stack);
}

static const struct entry entries[] = {
    {"door_call, the first one", first_call},
    {"door_call", next_call},
    {"door_call with large data", large_call},
    {"door_call with descriptors", call_with_descriptors},
    {"door_handle_call", call_through_a_handle},
    {"door_async_end", begin_and_end},
    {"door_async_close", begin_and_close},
    {"door_info", ask_for_info},
    {"isastream", ask_whether_stream},
    {"door_getparam", get_parameter},
    {"door_setparam", set_parameter},
    {"door_share_arguments", share_arguments},
    {"door_running_calls", running_calls},
    {"door_set_threads", set_threads},
    {"door_prepare_threads", prepare_threads},
    {"door_ask_load", ask_load},
    {"door_hide_procedure", hide_procedure},
    {"door_attached_by", who_attached},
    {"door_close_received", close_what_came},
    {"door_create", create},
    {"door_xcreate", xcreate},
    {"door_revoke", revoke_it},
    {"door_bind", bind_and_unbind},
    {"fattach", attach_and_detach},
    {"door_openat", open_by_descriptor},
    {"thr_stksegment", find_stack},
};

/* ------------------------------------------------ with a cancellation pending */

struct attempt {
    int (*call)(struct subject *s);
    struct subject *subject;
    int result, error, state;
    bool came_back;
};

static void *attempt(void *arg)
{
    struct attempt *a = arg;

    pthread_cancel(pthread_self());
    a->result = a->call(a->subject);
    a->error = errno;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &a->state);
    a->came_back = true;
    return NULL;
}

static struct attempt try(int (*call)(struct subject *s), struct subject *s)
{
    struct attempt a = {.call = call, .subject = s};
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, attempt, &a), 0);
    pthread_join(thread, NULL);
    return a;
}

static struct subject prepare(void)
{
    struct subject s = {.name = door_test_path("door")};

    door_test_serve(s.name, echo, NULL, 0);
    s.door = door_test_open(s.name);
    s.fresh = door_test_open(s.name);
    s.own = door_create(echo, NULL, 0);
    s.private_door = door_create(echo, NULL, DOOR_PRIVATE);
    s.dead = door_create(echo, NULL, 0);
    ck_assert(s.own >= 0 && s.private_door >= 0 && s.dead >= 0);
    door_test_file(door_test_path("own"), "", 0600);
    ck_assert_int_eq(call_size(s.door, 10), 0);
    return s;
}

START_TEST(it_comes_back)
{
    struct subject s = prepare();
    struct attempt a = try(entries[_i].call, &s);

    ck_assert_msg(a.came_back, "%s was cancelled", entries[_i].name);
    ck_assert_msg(a.result >= 0, "%s: errno %d", entries[_i].name, a.error);
    ck_assert_msg(a.state == PTHREAD_CANCEL_ENABLE, "%s: state", entries[_i].name);
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        if (entries[i].call != revoke_it)
            ck_assert_msg(entries[i].call(&s) >= 0, "%s after %s: errno %d", entries[i].name,
                          entries[_i].name, errno);
    }
}
END_TEST

/* More cancelled callers than a channel has slots, and no descriptor more afterwards. */
START_TEST(nothing_is_left_behind)
{
    struct subject s = prepare();
    int before;

    try(first_call, &s);
    before = door_test_fd_count();
    for (int i = 0; i < SMALL_SLOTS; i++) {
        ck_assert(try(next_call, &s).came_back);
        ck_assert(try(call_with_descriptors, &s).came_back);
    }
    ck_assert_int_eq(call_size(s.door, 10), 0);
    ck_assert(door_test_fds_settle(0, before));
}
END_TEST

/* Of a name, too: before it is looked for, or not at all. */
static int open_the_name(struct subject *s)
{
    int d = open(s->name, O_RDONLY);

    return d < 0 ? -1 : close(d);
}

START_TEST(open_leaves_nothing_behind)
{
    struct subject s = prepare();
    int before = door_test_fd_count();

    for (int i = 0; i < 20; i++)
        ck_assert(!try(open_the_name, &s).came_back);
    ck_assert(door_test_fds_settle(0, before));
    ck_assert_int_eq(open_the_name(&s), 0);
}
END_TEST

/* ------------------------------------------------ in a procedure */

enum question { CRED, UCRED, BUFFER, DESCRIPTORS, PLAIN, QUESTION_COUNT };

static int ask(enum question question)
{
    door_cred_t cred;
    ucred_t *ucred = NULL;
    int result = 0;

    if (question == CRED)
        result = door_cred(&cred);
    else if (question == UCRED)
        result = door_ucred(&ucred);
    else if (question == BUFFER)
        result = door_result_buffer(100) == NULL ? -1 : 0;
    free(ucred);
    return result;
}

static void answer_cancelled(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    door_desc_t desc = {.d_attributes = DOOR_DESCRIPTOR, .d_data.d_desc.d_descriptor = 0};
    enum question question;
    int result;

    (void)c;
    (void)dp;
    (void)n_desc;
    door_test_require(arg_size == sizeof(question));
    memcpy(&question, argp, sizeof(question));
    pthread_cancel(pthread_self());
    result = ask(question);
    door_return((char *)&result, sizeof(result), &desc, question == DESCRIPTORS ? 1 : 0);
}

static void *serve_cancelable(void *unused)
{
    door_return(NULL, 0, NULL, 0);
    return unused;
}

static void start_cancelable(door_info_t *info)
{
    pthread_t thread;

    (void)info;
    door_test_require(pthread_create(&thread, NULL, serve_cancelable, NULL) == 0);
    pthread_detach(thread);
}

static void run_server(void *path)
{
    int d;

    door_server_create(start_cancelable);
    d = door_create(answer_cancelled, NULL, 0);
    door_test_require(d >= 0);
    door_test_attach(d, path);
    door_test_ready();
    door_test_pause();
}

START_TEST(a_procedure_finishes)
{
    const char *path = door_test_path("door");
    enum question question = (enum question)_i;
    int d, result = -1;

    door_test_spawn(run_server, (void *)path);
    d = door_test_open(path);
    for (int i = 0; i < 50; i++) {
        door_arg_t arg = {.data_ptr = (char *)&question,
                          .data_size = sizeof(question),
                          .rbuf = (char *)&result,
                          .rsize = sizeof(result)};
        _Atomic int64_t deadline_ns = door_now_ns() + DOOR_TEST_DEADLINE_MS * 1000000ll;
        struct door_terms terms = {.deadline_ns = &deadline_ns, .desc_max = 1};
        struct door_handle *handle = door_handle_open(d);
        ck_assert_ptr_nonnull(handle);
        ck_assert_msg(door_handle_call(handle, &arg, &terms) == 0, "%d: errno %d", i, errno);
        door_handle_close(handle);
        memcpy(&result, arg.data_ptr, sizeof(result));
        ck_assert_int_eq(result, 0);
        ck_assert_uint_eq(arg.desc_num, question == DESCRIPTORS ? 1 : 0);
        for (uint_t j = 0; j < arg.desc_num; j++)
            close(arg.desc_ptr[j].d_data.d_desc.d_descriptor);
        if (arg.rbuf != (char *)&result)
            munmap(arg.rbuf, arg.rsize);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("uncancelled");
    TCase *tc = door_test_tcase(suite, "uncancelled", 60);

    tcase_add_loop_test(tc, it_comes_back, 0, sizeof(entries) / sizeof(entries[0]));
    tcase_add_test(tc, nothing_is_left_behind);
    tcase_add_test(tc, open_leaves_nothing_behind);
    tcase_add_loop_test(tc, a_procedure_finishes, 0, QUESTION_COUNT);
    return door_test_run(suite);
}
