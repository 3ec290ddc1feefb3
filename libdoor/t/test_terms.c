/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_terms.c: what a caller may say of a call through a handle, and is told: when to
 * give it up if nobody has taken it, and how many descriptors it takes.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <door_compat.h>

#define MS 1000000ll
#define GIVEN_MAX 4096

struct shared {
    sem_t entered;
    sem_t released;
    _Atomic long calls;
    _Atomic int error; /* of door_return() with descriptors */
};

static struct shared *shared;

/* The whole argument is how many descriptors to return; without one: blocks. */
static void serve(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    static _Thread_local door_desc_t descs[GIVEN_MAX];
    uint_t count = 0;

    (void)c;
    (void)dp;
    (void)n_desc;
    atomic_fetch_add(&shared->calls, 1);
    if (arg_size == sizeof(count)) {
        memcpy(&count, argp, sizeof(count));
        for (uint_t i = 0; i < count; i++)
            descs[i] = (door_desc_t){.d_attributes = DOOR_DESCRIPTOR};
        shared->error = 0;
        door_return("given", 5, descs, count);
        shared->error = errno;
    } else {
        sem_post(&shared->entered);
        door_test_require(door_test_sem_wait(&shared->released));
    }
    door_return("done", 4, NULL, 0);
}

/* The server has one thread, and none more: what it has not time for waits. */
static void run_server(void *path)
{
    int d = door_create(serve, NULL, DOOR_PRIVATE);

    door_test_require(d >= 0 && door_bind(d) == 0);
    door_test_attach(d, path);
    door_test_ready();
    door_return(NULL, 0, NULL, 0);
    door_test_require(0);
}

static struct door_handle *start(void)
{
    const char *path = door_test_path("door");
    struct door_handle *handle;

    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
    door_test_spawn(run_server, (void *)path);
    handle = door_handle_open(door_test_open(path));
    ck_assert_ptr_nonnull(handle);
    return handle;
}

/* A call without data: 0, or the errno. */
static int call(struct door_handle *handle, struct door_terms *terms)
{
    return door_handle_call(handle, NULL, terms) == 0 ? 0 : errno;
}

/* ------------------------------------------------ taken, or not */

struct caller {
    pthread_t thread;
    struct door_handle *handle;
    struct door_terms terms;
    int error;
    _Atomic int is_over;
};

static void *run_caller(void *arg)
{
    struct caller *c = arg;

    c->error = call(c->handle, &c->terms);
    c->is_over = 1;
    return NULL;
}

/*
 * Has the server's thread take a call within so many milliseconds, and waits until they are over;
 * again, if it stood still for as long.  The call runs until it is released.
 */
static void begin_in_time(struct caller *c, struct door_handle *handle,
                          const _Atomic int64_t *deadline_ns, int ms)
{
    struct door_terms terms = {.deadline_ns = deadline_ns};

    for (int i = 0; i < 5; i++) {
        bool is_taken = false;

        terms.take_by_ns = door_now_ns() + ms * MS;
        *c = (struct caller){.handle = handle, .terms = terms};
        ck_assert_int_eq(pthread_create(&c->thread, NULL, run_caller, c), 0);
        while (!(is_taken = sem_trywait(&shared->entered) == 0) && !c->is_over)
            usleep(10000);
        while (door_now_ns() < terms.take_by_ns + 100 * MS)
            usleep(10000);
        if (is_taken)
            return;
        pthread_join(c->thread, NULL);
        ck_assert_int_eq(c->error, ETIMEDOUT);
    }
    ck_abort_msg("it is never taken");
}

/* Has the server's thread take a call, on these terms, until it is released. */
static void begin(struct caller *c, struct door_handle *handle, struct door_terms terms)
{
    *c = (struct caller){.handle = handle, .terms = terms};
    ck_assert_int_eq(pthread_create(&c->thread, NULL, run_caller, c), 0);
    ck_assert(door_test_sem_wait(&shared->entered));
}

static void release(struct caller *c)
{
    sem_post(&shared->released);
    pthread_join(c->thread, NULL);
}

START_TEST(not_taken_in_time)
{
    struct door_handle *handle = start();
    struct caller first;
    int64_t begun_ns;

    begin(&first, handle, (struct door_terms){0});
    for (int i = 0; i < 300; i++) { /* more than there are slots: none is left behind */
        struct door_terms terms = {.take_by_ns = door_now_ns() + (i == 0 ? 100 * MS : MS),
                                   .was_taken = 1};
        _Atomic int64_t deadline_ns = door_now_ns() + 60000 * MS;

        begun_ns = door_now_ns();
        if (i % 2 == 1)
            terms.deadline_ns = &deadline_ns;
        ck_assert_int_eq(call(handle, &terms), ETIMEDOUT);
        ck_assert_int_eq(terms.was_taken, 0);
        ck_assert_int_lt(door_now_ns() - begun_ns, 10000 * MS);
        if (i == 0)
            ck_assert_int_ge(door_now_ns() - begun_ns, 100 * MS);
    }
    release(&first);
    ck_assert_int_eq(first.error, 0);
    ck_assert_int_eq(first.terms.was_taken, 1);
    ck_assert_int_eq(door_handle_call(handle, &(door_arg_t){.data_ptr = (char *)&(uint_t){0},
                                                             .data_size = sizeof(uint_t)},
                                      &(struct door_terms){0}),
                     0);
    ck_assert_int_eq(shared->calls, 2); /* those that were given up never ran */
    door_handle_close(handle);
}
END_TEST

START_TEST(taken_in_time_it_goes_on)
{
    struct door_handle *handle = start();
    struct caller c;

    begin_in_time(&c, handle, NULL, 300);
    release(&c);
    ck_assert_int_eq(c.error, 0);
    ck_assert_int_eq(c.terms.was_taken, 1);
    door_handle_close(handle);
}
END_TEST

START_TEST(taken_it_has_its_deadline)
{
    struct door_handle *handle = start();
    _Atomic int64_t deadline_ns = door_now_ns() + 60000 * MS;
    struct caller c;

    begin_in_time(&c, handle, &deadline_ns, 200);
    deadline_ns = door_now_ns();
    pthread_join(c.thread, NULL);
    ck_assert_int_eq(c.error, ETIMEDOUT);
    ck_assert_int_eq(c.terms.was_taken, 1);
    sem_post(&shared->released);
    door_handle_close(handle);
}
END_TEST

/* A deadline that comes first is the end, and nobody took the call. */
START_TEST(a_deadline_before_that)
{
    struct door_handle *handle = start();
    _Atomic int64_t deadline_ns = door_now_ns() + 400 * MS;
    struct caller first;
    struct door_terms terms = {.deadline_ns = &deadline_ns,
                               .take_by_ns = door_now_ns() + 60000 * MS,
                               .was_taken = 1};

    begin(&first, handle, (struct door_terms){0});
    ck_assert_int_eq(call(handle, &terms), ETIMEDOUT);
    ck_assert_int_eq(terms.was_taken, 0);
    release(&first);
    door_handle_close(handle);
}
END_TEST

/* ------------------------------------------------ descriptors */

struct gift {
    int error;          /* of the call */
    uint_t count;       /* that came */
    int server_error;   /* what door_return() said first */
};

static struct gift get(struct door_handle *handle, uint_t count, unsigned max)
{
    char room[8];
    door_arg_t arg = {.data_ptr = (char *)&count,
                      .data_size = sizeof(count),
                      .rbuf = room,
                      .rsize = sizeof(room)};
    struct door_terms terms = {.desc_max = max};
    struct gift gift = {0};

    gift.error = door_handle_call(handle, &arg, &terms) == 0 ? 0 : errno;
    gift.server_error = shared->error;
    if (gift.error != 0)
        return gift;
    ck_assert(arg.desc_num == count || (arg.desc_num == 0 && arg.data_size == 4));
    gift.count = arg.desc_num;
    for (uint_t i = 0; i < arg.desc_num; i++)
        ck_assert_int_eq(close(arg.desc_ptr[i].d_data.d_desc.d_descriptor), 0);
    if (arg.rbuf != room)
        munmap(arg.rbuf, arg.rsize);
    return gift;
}

START_TEST(as_many_as_it_takes)
{
    static const uint_t counts[] = {0, 1, 2, 253, 254};
    struct door_handle *handle = start();
    int before;

    ck_assert_int_eq(get(handle, 0, 0).error, 0); /* opens the way */
    before = door_test_fd_count();
    for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct gift gift = get(handle, counts[i], counts[i]);

        ck_assert_int_eq(gift.error, 0);
        ck_assert_int_eq(gift.server_error, 0);
        ck_assert_uint_eq(gift.count, counts[i]);
        if (counts[i] == 0)
            continue;
        gift = get(handle, counts[i], counts[i] - 1);
        ck_assert_int_eq(gift.error, 0);
        ck_assert_int_eq(gift.server_error, EMFILE);
        ck_assert_uint_eq(gift.count, 0);
    }
    ck_assert_uint_eq(get(handle, 1, UINT32_MAX).count, 1);
    ck_assert(door_test_fds_settle(0, before + DOOR_TEST_RECEIVER_FDS));
    door_handle_close(handle);
}
END_TEST

static _Atomic bool over;

static void *call_and_take_none(void *handle)
{
    for (int i = 0; i < 100; i++) {
        struct gift gift = get(handle, GIVEN_MAX, 0);
        door_test_require(gift.error == 0 && gift.count == 0);
    }
    return NULL;
}

static void *open_files(void *refused)
{
    while (!over) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (fd < 0)
            ++*(int *)refused;
        close(fd);
        usleep(200);
    }
    return NULL;
}

/* Whoever takes none has all of its own, whatever its server would give. */
START_TEST(no_other_file_lacks_a_descriptor)
{
    struct door_handle *handle = start();
    int refused = 0, low = dup(0);
    struct rlimit limit;
    pthread_t callers[4], opener;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)low + 16; /* the library's own, above, stay open */
    close(low);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    pthread_create(&opener, NULL, open_files, &refused);
    for (int i = 0; i < 4; i++)
        pthread_create(&callers[i], NULL, call_and_take_none, handle);
    for (int i = 0; i < 4; i++)
        pthread_join(callers[i], NULL);
    over = true;
    pthread_join(opener, NULL);
    ck_assert_int_eq(refused, 0);
    door_handle_close(handle);
}
END_TEST

/* ------------------------------------------------ what fails at once */

START_TEST(a_handle_of_what_is_gone)
{
    struct door_handle *handle;
    struct door_terms terms = {.was_taken = 1};
    pid_t server;
    int d;

    errno = 0;
    ck_assert_ptr_null(door_handle_open(-1));
    ck_assert_int_eq(errno, EBADF);
    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
    server = door_test_spawn(run_server, (void *)door_test_path("door"));
    d = door_test_open(door_test_path("door"));
    handle = door_handle_open(d);
    ck_assert_ptr_nonnull(handle);
    ck_assert_uint_eq(get(handle, 1, 1).count, 1);
    door_test_stop(server);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(call(handle, &terms), EBADF);
        ck_assert_int_eq(terms.was_taken, 0);
    }
    errno = EDOM;
    door_handle_close(handle);
    door_handle_close(NULL);
    ck_assert_int_eq(errno, EDOM);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("terms");
    TCase *tc = door_test_tcase(suite, "terms", 60);

    tcase_add_test(tc, not_taken_in_time);
    tcase_add_test(tc, taken_in_time_it_goes_on);
    tcase_add_test(tc, taken_it_has_its_deadline);
    tcase_add_test(tc, a_deadline_before_that);
    tcase_add_test(tc, as_many_as_it_takes);
    tcase_add_test(tc, no_other_file_lacks_a_descriptor);
    tcase_add_test(tc, a_handle_of_what_is_gone);
    return door_test_run(suite);
}
