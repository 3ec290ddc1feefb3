/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_handle.c: door_compat.h's handles, and the terms of a call through one, in both
 * forms that there are.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "portable_compat.h"

#define MS      1000000ll
#define OURS    0   /* the form that is libdoor's */
#define AT_ONCE 300 /* more than a channel has slots */

static const struct form {
    struct door_handle *(*open)(int);
    void (*close)(struct door_handle *);
    int (*call)(struct door_handle *, door_arg_t *, struct door_terms *);
    void (*end_loan)(struct door_loan *);
} forms[] = {
    {door_handle_open, door_handle_close, door_handle_call, door_end_loan},
    {portable_handle_open, portable_handle_close, portable_handle_call, portable_end_loan},
};

static const struct form *form;

enum op {
    ANSWER,      /* number, and the server's own mark */
    LARGE,       /* the same, and more bytes than fit anywhere */
    DESCRIPTORS, /* number of them come; if that fails, the errno in their place */
    BLOCK,       /* until released; is counted */
    SLEEP        /* number milliseconds */
};

struct order {
    enum op op;
    uint32_t number;
};

struct answer {
    uint32_t number;
    uint32_t mark;
    int error;
};

static struct shared {
    sem_t entered, released;
    _Atomic unsigned blocked_count; /* calls that have blocked so far */
} *shared;

/* ------------------------------------------------ the server */

static noreturn void deliver(uint32_t count, uint32_t mark)
{
    struct answer answer = {count, mark, 0};
    door_desc_t descs[4];

    for (uint32_t i = 0; i < count; i++)
        descs[i] = (door_desc_t){.d_attributes = DOOR_DESCRIPTOR,
                                 .d_data.d_desc.d_descriptor = STDERR_FILENO};
    door_return((char *)&answer, sizeof(answer), descs, count);
    answer.error = errno;
    door_return((char *)&answer, sizeof(answer), NULL, 0);
    door_test_die(__FILE__, __LINE__, "door_return");
}

static void serve(void *mark, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    static char large[100000];
    struct order order = {ANSWER, 0};
    struct answer answer = {.mark = (uint32_t)(uintptr_t)mark};

    (void)dp;
    (void)n_desc;
    if (arg_size == sizeof(order))
        memcpy(&order, argp, sizeof(order));
    answer.number = order.number;
    switch (order.op) {
    case LARGE:
        memcpy(large, &answer, sizeof(answer));
        door_return(large, sizeof(large), NULL, 0);
        break;
    case DESCRIPTORS:
        deliver(order.number, answer.mark);
    case BLOCK:
        atomic_fetch_add(&shared->blocked_count, 1);
        sem_post(&shared->entered);
        door_test_require(door_test_sem_wait(&shared->released));
        break;
    case SLEEP:
        nanosleep(&(struct timespec){.tv_nsec = order.number * MS}, NULL);
        break;
    case ANSWER:
        break;
    }
    door_return((char *)&answer, sizeof(answer), NULL, 0);
}

static void *one_thread(void *unused)
{
    (void)unused;
    door_return(NULL, 0, NULL, 0);
    return NULL;
}

static void only_once(door_info_t *info)
{
    static _Atomic int started;
    pthread_t thread;

    (void)info;
    if (!atomic_exchange(&started, 1))
        door_test_require(pthread_create(&thread, NULL, one_thread, NULL) == 0);
}

static void serve_with_one_thread(void *path)
{
    door_server_create(only_once);
    door_test_attach(door_create(serve, (void *)1, 0), path);
    door_test_ready();
    door_test_pause();
}

static void share(void)
{
    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
}

/* A server whose answers have this mark, and its door. */
static pid_t start(int which, const char *name, uintptr_t mark, int *d)
{
    const char *path = door_test_path(name);
    pid_t server;

    form = &forms[which];
    if (shared == NULL)
        share();
    server = door_test_serve(path, serve, (void *)mark, 0);
    *d = door_test_open(path);
    return server;
}

/* ------------------------------------------------ the client */

static struct door_handle *open_handle(int d)
{
    struct door_handle *handle = form->open(d);

    door_test_require(handle != NULL);
    return handle;
}

/* 0 and *answer, or the errno. */
static int call(struct door_handle *handle, struct order order, struct door_terms *terms,
                struct answer *answer)
{
    door_arg_t params = {.data_ptr = (char *)&order,
                         .data_size = sizeof(order),
                         .rbuf = (char *)answer,
                         .rsize = sizeof(*answer)};

    if (form->call(handle, &params, terms) < 0)
        return errno;
    return params.data_size == sizeof(*answer) ? 0 : EBADMSG;
}

/* The mark of who answers, or minus the errno. */
static int ask(struct door_handle *handle)
{
    struct answer answer;
    int error = call(handle, (struct order){ANSWER, 5}, NULL, &answer);

    return error != 0 ? -error : answer.number == 5 ? (int)answer.mark : -EBADMSG;
}

static void *call_often(void *handle)
{
    static _Atomic uint32_t thread_count;
    uint32_t base = atomic_fetch_add(&thread_count, 1) * 100000;
    struct answer answer;

    for (uint32_t i = 0; i < door_test_scaled(2000); i++)
        if (call(handle, (struct order){ANSWER, base + i}, NULL, &answer) != 0 ||
            answer.number != base + i)
            return "wrong";
    return NULL;
}

START_TEST(many_threads_through_one_handle)
{
    enum { THREADS = 16 };
    pthread_t threads[THREADS];
    struct door_handle *handle;
    void *result;
    int d;

    start(_i, "door", 1, &d);
    handle = open_handle(d);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, call_often, handle), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &result);
        ck_assert_ptr_null(result);
    }
    form->close(handle);
}
END_TEST

/* A call whose result is lent has its slot until the loan ends.  The errno, or 0. */
static int borrow(struct door_handle *handle, uint32_t number, struct door_loan *loan)
{
    struct order order = {LARGE, number};
    struct door_terms terms = {.loan = loan};
    door_arg_t params = {.data_ptr = (char *)&order, .data_size = sizeof(order)};
    struct answer answer;

    if (form->call(handle, &params, &terms) < 0)
        return errno;
    door_test_require(params.data_size > sizeof(answer) && terms.was_taken);
    memcpy(&answer, params.data_ptr, sizeof(answer));
    return answer.number == number && answer.mark == 1 ? 0 : EBADMSG;
}

START_TEST(more_at_once_than_a_channel_has_slots)
{
    static struct door_loan loans[AT_ONCE];
    struct door_handle *handle;
    int d;

    start(_i, "door", 1, &d);
    handle = open_handle(d);
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < AT_ONCE; i++)
            ck_assert_int_eq(borrow(handle, i, &loans[i]), 0);
        ck_assert_int_eq(ask(handle), 1);
        for (int i = 0; i < AT_ONCE; i++)
            form->end_loan(&loans[i]);
    }
    form->close(handle);
}
END_TEST

START_TEST(a_server_that_comes_again)
{
    const char *path = door_test_path("door");
    struct door_handle *handle, *next;
    struct answer answer;
    struct door_terms terms = {.was_taken = 9};
    int d, again;
    pid_t server = start(_i, "door", 1, &d);

    handle = open_handle(d);
    ck_assert_int_eq(ask(handle), 1);
    door_test_stop(server);
    ck_assert_int_eq(ask(handle), -EBADF);
    door_test_serve(path, serve, (void *)2, 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(call(handle, (struct order){ANSWER, 1}, &terms, &answer), EBADF);
    ck_assert_int_eq(terms.was_taken, 0);
    again = door_test_open(path);
    next = open_handle(again);
    ck_assert_int_eq(ask(next), 2);
    ck_assert_int_eq(ask(handle), -EBADF);
    form->close(handle);
    ck_assert_int_eq(ask(next), 2);
    form->close(next);
    close(d);
    close(again);
}
END_TEST

/* It must not be, but then no stranger may be called: EBADF, or as before. */
START_TEST(a_number_that_is_another_doors)
{
    static struct door_loan loans[AT_ONCE];
    struct door_handle *fresh, *used;
    int d, other, mark;

    start(_i, "door", 1, &d);
    start(_i, "other", 2, &other);
    fresh = open_handle(d);
    used = open_handle(d);
    ck_assert_int_eq(ask(used), 1);
    ck_assert_int_eq(dup2(other, d), d);
    for (int i = 0; i < 3; i++) {
        mark = ask(i == 0 ? fresh : used);
        ck_assert(mark == 1 || mark == -EBADF);
    }
    for (uint32_t i = 0; i < AT_ONCE; i++) {
        int error = borrow(used, i, &loans[i]);
        ck_assert(error == 0 || error == EBADF);
    }
    for (int i = 0; i < AT_ONCE; i++)
        form->end_loan(&loans[i]);
    form->close(fresh);
    form->close(used);
    used = open_handle(d);
    ck_assert_int_eq(ask(used), 2);
    form->close(used);
}
END_TEST

START_TEST(closed_after_its_server)
{
    int before = door_test_fd_count(), d;
    pid_t server = start(_i, "door", 1, &d);
    struct door_handle *used = open_handle(d), *fresh = open_handle(d);

    ck_assert_int_eq(ask(used), 1);
    door_test_stop(server);
    close(d);
    errno = ENOTTY;
    form->close(used);
    form->close(fresh);
    form->close(NULL);
    ck_assert_int_eq(errno, ENOTTY);
    ck_assert(door_test_fds_settle(0, before + 2)); /* the helper thread's */
}
END_TEST

/* The handle keeps nothing of it: a program may have it open for as long as it runs. */
START_TEST(called_after_its_server)
{
    int d, before;
    pid_t server = start(_i, "door", 1, &d);
    struct door_handle *handle = open_handle(d);

    before = door_test_fd_count();
    ck_assert_int_eq(ask(handle), 1);
    door_test_stop(server);
    ck_assert_int_eq(ask(handle), -EBADF);
    ck_assert(door_test_fds_settle(0, before + 2)); /* the helper thread's */
    ck_assert_int_eq(ask(handle), -EBADF);
    form->close(handle);
}
END_TEST

#ifdef __linux__
/* How many memory files of libdoor's are mapped. */
static int mapped_count(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    int count = 0;

    door_test_require(maps != NULL);
    while (fgets(line, sizeof(line), maps) != NULL)
        count += strstr(line, "/memfd:door") != NULL;
    fclose(maps);
    return count;
}

struct way {
    struct door_handle *handle;
    int fds, mapped; /* when a way is open */
};

static bool is_open_anew(void *arg)
{
    struct way *way = arg;

    return ask(way->handle) == 1 && door_test_fd_count() >= way->fds;
}

static bool is_the_only_one(void *arg)
{
    return mapped_count() == ((struct way *)arg)->mapped;
}

/* They have high numbers; the low ones are the runner's, and a sanitizer's. */
static void close_own_descriptors(void)
{
    for (int fd = 256; fd < 2000; fd++)
        close(fd);
}

/* A call that needs the bell finds that it is gone, and the next one opens a new way. */
static int call_without_descriptors(void *arg)
{
    struct way way = {.handle = open_handle(*(int *)arg)};

    if (ask(way.handle) != 1)
        return 1;
    way.fds = door_test_fd_count();
    way.mapped = mapped_count();
    for (int i = 0; i < 3; i++) {
        close_own_descriptors();
        if (!door_test_await(is_open_anew, &way) || !door_test_await(is_the_only_one, &way))
            return 2;
    }
    form->close(way.handle);
    return way.mapped > 0 ? 0 : 3;
}

START_TEST(an_end_of_the_way_and_not_of_the_server)
{
    int d;

    start(OURS, "door", 1, &d);
    ck_assert_int_eq(door_test_in_child(call_without_descriptors, &d), 0);
}
END_TEST
#endif

START_TEST(what_cannot_be_opened)
{
    int others[] = {-1, open("/dev/null", O_RDONLY), open("/tmp", O_RDONLY), dup(STDERR_FILENO)};

    form = &forms[_i];
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        errno = 0;
        ck_assert_ptr_null(form->open(others[i]));
        ck_assert_int_eq(errno, EBADF);
    }
}
END_TEST

static void *stop_it(void *server)
{
    nanosleep(&(struct timespec){.tv_nsec = 100 * MS}, NULL);
    kill(*(pid_t *)server, SIGKILL);
    return NULL;
}

START_TEST(nothing_asked_and_nothing_wanted)
{
    struct door_handle *handle;
    struct door_terms terms = {.desc_max = 0};
    pthread_t thread;
    struct answer answer;
    int d;
    pid_t server = start(_i, "door", 1, &d);

    handle = open_handle(d);
    ck_assert_int_eq(form->call(handle, NULL, NULL), 0);
    ck_assert_int_eq(form->call(handle, NULL, &terms), 0);
    ck_assert_int_eq(terms.was_taken, 1);
    ck_assert_int_eq(pthread_create(&thread, NULL, stop_it, &server), 0);
    ck_assert_int_eq(call(handle, (struct order){BLOCK, 0}, &terms, &answer), EINTR);
    ck_assert_int_eq(terms.was_taken, 1);
    pthread_join(thread, NULL);
    form->close(handle);
}
END_TEST

/* The library's door_return() says so; the other form finds it out when they have come. */
START_TEST(no_more_descriptors_than_wanted)
{
    char buffer[300];
    int d, before;
    struct door_handle *handle;

    start(_i, "door", 1, &d);
    handle = open_handle(d);
    ck_assert_int_eq(ask(handle), 1);
    before = door_test_fd_count();
    for (uint32_t count = 0; count <= 4; count++) {
        for (unsigned max = 0; max <= 4; max++) {
            struct order order = {DESCRIPTORS, count};
            struct door_terms terms = {.desc_max = max};
            door_arg_t params = {(char *)&order, sizeof(order), NULL, 0, buffer, sizeof(buffer)};
            int result = form->call(handle, &params, &terms);
            struct answer answer;

            ck_assert_int_eq(terms.was_taken, 1);
            if (count > max && _i != OURS) {
                ck_assert_int_eq(result, -1);
                ck_assert_int_eq(errno, EMFILE);
                ck_assert_ptr_eq(params.rbuf, buffer);
                continue;
            }
            ck_assert_int_eq(result, 0);
            memcpy(&answer, params.data_ptr, sizeof(answer));
            ck_assert_int_eq(answer.error, count > max ? EMFILE : 0);
            ck_assert_uint_eq(params.desc_num, count > max ? 0 : count);
            for (uint_t i = 0; i < params.desc_num; i++)
                ck_assert_int_eq(close(params.desc_ptr[i].d_data.d_desc.d_descriptor), 0);
        }
    }
    ck_assert(door_test_fds_settle(0, before + DOOR_TEST_RECEIVER_FDS)); /* who closes them may wait */
    form->close(handle);
}
END_TEST

/* ------------------------------------------------ calls that nobody takes */

static void *block_it(void *handle)
{
    struct answer answer;

    door_test_require(call(handle, (struct order){BLOCK, 0}, NULL, &answer) == 0);
    return NULL;
}

/* The only thread is busy: what is not taken by its time never runs, and that is told. */
START_TEST(a_call_that_is_not_taken_in_time)
{
    const char *path = door_test_path("door");
    struct door_handle *handle;
    struct answer answer;
    pthread_t thread;

    form = &forms[OURS];
    share();
    door_test_spawn(serve_with_one_thread, (void *)path);
    handle = open_handle(door_test_open(path));
    ck_assert_int_eq(pthread_create(&thread, NULL, block_it, handle), 0);
    ck_assert(door_test_sem_wait(&shared->entered));
    for (int i = 0; i < 3; i++) {
        _Atomic int64_t later = door_now_ns() + 60000 * MS;
        int64_t by_ns = door_now_ns() + 50 * MS;
        struct door_terms terms = {.deadline_ns = i == 0 ? NULL : &later, .take_by_ns = by_ns};

        terms.was_taken = 9;
        ck_assert_int_eq(call(handle, (struct order){BLOCK, 0}, &terms, &answer), ETIMEDOUT);
        ck_assert_int_eq(terms.was_taken, 0);
        ck_assert_int_ge(door_now_ns(), by_ns);
        ck_assert_int_lt(door_now_ns(), by_ns + 20000 * MS);
    }
    sem_post(&shared->released);
    pthread_join(thread, NULL);
    ck_assert_int_eq(ask(handle), 1);
    ck_assert_uint_eq(shared->blocked_count, 1);
    form->close(handle);
}
END_TEST

/* Once it is taken it has all the time that it has. */
START_TEST(a_call_that_is_taken_in_time)
{
    struct door_handle *handle;
    struct answer answer;
    int d, late = 0;

    start(_i, "door", 1, &d);
    handle = open_handle(d);
    ck_assert_int_eq(ask(handle), 1);
    for (int i = 0; i < 3; i++) {
        _Atomic int64_t later = door_now_ns() + 60000 * MS;
        struct door_terms terms = {.deadline_ns = i == 0 ? NULL : &later,
                                   .take_by_ns = door_now_ns() + 300 * MS};
        int error = call(handle, (struct order){SLEEP, 700}, &terms, &answer);

        if (error == ETIMEDOUT && terms.was_taken == 0 && late++ < 5) {
            i--; /* the server stood still */
            continue;
        }
        ck_assert_int_eq(error, 0);
        ck_assert_int_eq(terms.was_taken, 1);
    }
    form->close(handle);
}
END_TEST

START_TEST(a_call_that_was_taken_and_is_late)
{
    struct door_handle *handle;
    struct answer answer;
    int d;

    start(_i, "door", 1, &d);
    handle = open_handle(d);
    struct door_test_late late;
    struct door_terms terms = {.deadline_ns = &late.deadline_ns,
                               .take_by_ns = door_now_ns() + 60000 * MS};
    door_test_late_after(&late, &shared->entered);
    ck_assert_int_eq(call(handle, (struct order){BLOCK, 0}, &terms, &answer), ETIMEDOUT);
    door_test_late_end(&late);
    ck_assert_int_eq(terms.was_taken, 1);
    ck_assert_uint_eq(shared->blocked_count, 1);
    sem_post(&shared->released);
    ck_assert_int_eq(ask(handle), 1);
    form->close(handle);
}
END_TEST

/* A stopped server does not even open the way: that is the first call's time, too. */
START_TEST(a_stopped_server)
{
    struct door_handle *handle;
    struct answer answer;
    int d;
    pid_t server = start(OURS, "door", 1, &d);

    door_test_freeze(server);
    handle = open_handle(d);
    for (int i = 0; i < 2; i++) {
        _Atomic int64_t later = door_now_ns() + (i == 0 ? 60000 : 50) * MS;
        struct door_terms terms = {.deadline_ns = &later,
                                   .take_by_ns = door_now_ns() + (i == 0 ? 50 : 60000) * MS};

        ck_assert_int_eq(call(handle, (struct order){BLOCK, 0}, &terms, &answer), ETIMEDOUT);
        ck_assert_int_eq(terms.was_taken, 0);
    }
    ck_assert_int_eq(kill(server, SIGCONT), 0);
    ck_assert_int_eq(ask(handle), 1);
    ck_assert_uint_eq(shared->blocked_count, 0);
    form->close(handle);
}
END_TEST

/* ------------------------------------------------ fork */

/* The child's calls would be the parent's. */
START_TEST(a_forked_child)
{
    struct door_handle *handle;
    int d;

    start(OURS, "door", 1, &d);
    handle = open_handle(d);
    ck_assert_int_eq(ask(handle), 1);
    pid_t child = fork();
    if (child == 0) {
        struct door_handle *own;

        door_test_require(ask(handle) == -EBADF);
        form->close(handle);
        own = open_handle(d);
        door_test_require(ask(own) == 1);
        form->close(own);
        _exit(0);
    }
    ck_assert_int_eq(door_test_exit_status(child), 0);
    ck_assert_int_eq(ask(handle), 1);
    form->close(handle);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("handle");
    TCase *tc = door_test_tcase(suite, "handle", 60);

    tcase_add_loop_test(tc, many_threads_through_one_handle, 0, 2);
    tcase_add_loop_test(tc, more_at_once_than_a_channel_has_slots, 0, 2);
    tcase_add_loop_test(tc, a_server_that_comes_again, 0, 2);
    tcase_add_loop_test(tc, a_number_that_is_another_doors, 0, 2);
    tcase_add_loop_test(tc, closed_after_its_server, 0, 2);
    tcase_add_loop_test(tc, called_after_its_server, 0, 2);
#ifdef __linux__
    tcase_add_test(tc, an_end_of_the_way_and_not_of_the_server);
#endif
    tcase_add_loop_test(tc, what_cannot_be_opened, 0, 2);
    tcase_add_loop_test(tc, nothing_asked_and_nothing_wanted, 0, 2);
    tcase_add_loop_test(tc, no_more_descriptors_than_wanted, 0, 2);
    tcase_add_test(tc, a_call_that_is_not_taken_in_time);
    tcase_add_loop_test(tc, a_call_that_is_taken_in_time, 0, 2);
    tcase_add_loop_test(tc, a_call_that_was_taken_and_is_late, 0, 2);
    tcase_add_test(tc, a_stopped_server);
    tcase_add_test(tc, a_forked_child);
    return door_test_run(suite);
}
