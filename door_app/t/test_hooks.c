/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_hooks.c: what an application wants to have in each server thread, of which there
 * may not be enough: on real doors, in a process of its own.  Its start hook takes one of
 * a number of places, its stop hook gives it back.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <door_compat.h>

#include "support.h"

#define DEADLINE_MS 20000
#define CALLERS     16

static struct shared {
    _Atomic int places;          /* that are left */
    _Atomic int starts, stops;   /* that succeeded */
    _Atomic int tries;
    _Atomic int without;         /* handlers that ran on a thread that has none */
    _Atomic int running, most;   /* handlers */
    _Atomic int gone;            /* the next thread that looks has lost its own */
    _Atomic int destroyed;       /* the application */
    unsigned max, idle_ms;
} *shared;

static char directory[] = "/tmp/door_app.XXXXXX";
static char path[64], log_path[64];
static pid_t pid;
static int door;

static void sleep_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    while (nanosleep(&left, &left) == -1 && errno == EINTR)
        continue;
}

/* ---------------------------------------------------------------- the application */

static _Thread_local int has_place;

static int take_place(void *data)
{
    int left = atomic_load(&shared->places);

    atomic_fetch_add(&shared->tries, 1);
    do {
        if (left <= 0)
            return door_app_thread_failed("no %s is\nleft", (const char *)data);
    } while (!atomic_compare_exchange_weak(&shared->places, &left, left - 1));
    has_place = 1;
    atomic_fetch_add(&shared->starts, 1);
    return 0;
}

static void give_place_back(void *data)
{
    (void)data;
    if (!has_place)
        abort();
    has_place = 0;
    atomic_fetch_add(&shared->places, 1);
    atomic_fetch_add(&shared->stops, 1);
}

static int look(void *data)
{
    (void)data;
    return atomic_exchange(&shared->gone, 0) ? -1 : 0;
}

static void work(struct door_app_request *req, void *data)
{
    int running = atomic_fetch_add(&shared->running, 1) + 1, most = shared->most;

    (void)data;
    while (running > most && !atomic_compare_exchange_weak(&shared->most, &most, running))
        continue;
    if (!has_place)
        atomic_fetch_add(&shared->without, 1);
    sleep_ms(atol(door_app_query(req)));
    door_app_printf(req, "done");
    atomic_fetch_sub(&shared->running, 1);
}

static void lose(struct door_app_request *req, void *data)
{
    (void)data;
    if (door_app_thread_lost(req) != 0)
        abort();
    door_app_printf(req, "done");
}

static int run_app(void)
{
    struct door_app *app = door_app_create();
    int status;

    door_app_set_threads(app, shared->max, shared->idle_ms);
    door_app_on_thread(app, take_place, give_place_back, (void *)"place");
    door_app_check_threads(app, look);
    door_app_handle(app, "/lose", lose, NULL);
    door_app_handle(app, "/", work, NULL);
    status = door_app_run(app, path);
    door_app_destroy(app);
    shared->destroyed = 1;
    sleep_ms(500); /* its threads end meanwhile, or some */
    return status;
}

/* ---------------------------------------------------------------- the test's side */

static void set_up(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/door", directory);
    snprintf(log_path, sizeof(log_path), "%s/log", directory);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(shared, MAP_FAILED);
    *shared = (struct shared){.places = 1000, .max = 8, .idle_ms = 10000};
    unsetenv("DOOR_APP_THREADS");
    pid = 0;
}

static void tear_down(void)
{
    if (pid > 0)
        kill(pid, SIGKILL);
    unlink(path);
    unlink(log_path);
    rmdir(directory);
}

static void begin_app(void)
{
    pid = fork();
    ck_assert_int_ne(pid, -1);
    if (pid == 0) {
        int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

        dup2(log, STDERR_FILENO);
        _exit(run_app());
    }
    for (int waited_ms = 0; (door = door_openat(AT_FDCWD, path, 0)) == -1; waited_ms += 5) {
        ck_assert_int_lt(waited_ms, DEADLINE_MS);
        ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
        sleep_ms(5);
    }
}

static void end_app(void)
{
    int status;

    kill(pid, SIGTERM);
    for (int waited_ms = 0; waitpid(pid, &status, WNOHANG) == 0; waited_ms += 5) {
        ck_assert_int_lt(waited_ms, DEADLINE_MS);
        sleep_ms(5);
    }
    pid = 0;
    ck_assert_int_eq(status, 0);
}

/* How often the log has that. */
static int logged(const char *text)
{
    FILE *log = fopen(log_path, "r");
    char line[1024];
    int count = 0;

    ck_assert_ptr_nonnull(log);
    while (fgets(line, sizeof(line), log) != NULL)
        count += strstr(line, text) != NULL;
    fclose(log);
    return count;
}

/* The status of one request, and what Retry-After says; makes no assertions. */
static unsigned request(const char *path_info, const char *query, char retry_after[8])
{
    struct message message;
    struct answer answer;
    char rbuf[4096];
    door_arg_t arg = {.rbuf = rbuf, .rsize = sizeof(rbuf)};
    const char *value;

    message_begin(&message);
    message_field(&message, DOOR_WIRE_PATH_INFO, "", path_info);
    message_field(&message, DOOR_WIRE_QUERY, "", query);
    message_end(&message, DOOR_WIRE_REQUEST, 0, NULL, 0);
    arg.data_ptr = message.bytes;
    arg.data_size = message.len;
    if (door_call(door, &arg) != 0 ||
        door_wire_read(&answer.reader, DOOR_WIRE_RESPONSE, arg.data_ptr, arg.data_size) == -1)
        return 0;
    value = answer_header(&answer, "Retry-After", 0);
    if (retry_after != NULL)
        snprintf(retry_after, 8, "%s", value != NULL ? value : "");
    return answer.reader.status;
}

static unsigned get(void)
{
    return request("/", "0", NULL);
}

/* Callers that come again and again for some time; statuses other than 200 are counted. */
static _Atomic int refused;
static int64_t until_ns;

static void *come_again(void *query)
{
    do {
        if (request("/", query, NULL) != 200)
            atomic_fetch_add(&refused, 1);
    } while (door_now_ns() < until_ns);
    return NULL;
}

static void load(int callers, const char *query, long ms)
{
    pthread_t threads[CALLERS];

    refused = 0;
    until_ns = door_now_ns() + ms * 1000000;
    for (int i = 0; i < callers; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, come_again, (void *)query), 0);
    for (int i = 0; i < callers; i++)
        pthread_join(threads[i], NULL);
}

static unsigned thread_count(void)
{
    struct door_load told;

    for (int i = 0; door_ask_load(door, &told) == -1; i++) { /* it may be too busy */
        ck_assert_int_eq(errno, ETIMEDOUT);
        ck_assert_int_lt(i, 100);
    }
    return told.threads;
}

static void await_threads(unsigned most)
{
    for (int waited_ms = 0; thread_count() > most; waited_ms += 10) {
        ck_assert_int_lt(waited_ms, DEADLINE_MS);
        sleep_ms(10);
    }
}

/* A thread that ends is counted no more before its hook has run. */
static void await_hooked(int count)
{
    for (int waited_ms = 0; shared->starts - shared->stops > count; waited_ms += 10) {
        ck_assert_int_lt(waited_ms, DEADLINE_MS);
        sleep_ms(10);
    }
    ck_assert_int_eq(shared->starts - shared->stops, count);
}

static void await_stops(int count)
{
    for (int waited_ms = 0; shared->stops < count; waited_ms += 10) {
        ck_assert_int_lt(waited_ms, DEADLINE_MS);
        sleep_ms(10);
    }
    ck_assert_int_eq(shared->stops, count);
}

static void await_served(void)
{
    for (int waited_ms = 0; get() != 200; waited_ms += 10) {
        ck_assert_int_lt(waited_ms, DEADLINE_MS);
        sleep_ms(10);
    }
}

/* The second one may come late where others have the processors. */
static void start_two(void)
{
    for (int i = 0; shared->starts < 2; i++) {
        ck_assert_int_lt(i, 100);
        load(8, "5", 200);
        ck_assert_int_eq(refused, 0);
    }
}

/* ---------------------------------------------------------------- at most so many */

static const struct {
    const char *told;
    unsigned own;
    int most;
} maxima[] = {{"3", 8, 3}, {"8", 3, 3}, {"2", 0, 2}, {NULL, 4, 4}, {"x", 2, 2}, {"0", 2, 2}};

START_TEST(threads_have_a_maximum)
{
    if (maxima[_i].told != NULL)
        setenv("DOOR_APP_THREADS", maxima[_i].told, 1);
    shared->max = maxima[_i].own;
    begin_app();
    for (int i = 0; i < 10 && shared->most < maxima[_i].most; i++) {
        load(CALLERS, "20", 400);
        ck_assert_int_eq(refused, 0);
    }
    ck_assert_int_eq(shared->most, maxima[_i].most);
    ck_assert_int_eq(thread_count(), maxima[_i].most);
    ck_assert_int_eq(shared->starts, maxima[_i].most);
    ck_assert_int_eq(shared->without, 0);
    end_app();
}
END_TEST

/* What they hold is given back, and had again when it is needed. */
START_TEST(idle_threads_give_theirs_back)
{
    shared->idle_ms = 200;
    begin_app();
    start_two();
    for (int i = 0; i < 2; i++) {
        load(CALLERS, "20", 300);
        ck_assert_int_eq(refused, 0);
        await_threads(2);
        await_hooked(2);
        ck_assert_int_eq(shared->places, 998);
    }
    ck_assert_int_eq(shared->without, 0);
    end_app();
    ck_assert_int_eq(shared->destroyed, 1);
    ck_assert_int_eq(shared->starts - shared->stops, 2); /* no hook without its application */
}
END_TEST

/* ---------------------------------------------------------------- too few */

/* By what was told last. */
static int some_lack_it(void)
{
    return logged("no server thread is left that cannot start") !=
           logged("a server thread cannot start");
}

/* Those that have one take all the requests. */
START_TEST(fewer_than_threads)
{
    shared->places = 2;
    shared->idle_ms = 300;
    begin_app();
    await_served();
    load(CALLERS, "5", 1500);
    ck_assert_int_eq(refused, 0);
    ck_assert_int_eq(shared->without, 0);
    ck_assert_int_le(shared->most, 2);
    ck_assert_int_le(shared->tries, 200); /* some thousand requests wanted more */
    ck_assert_int_ge(logged("a server thread cannot start: no place is left; others"), 1);
    ck_assert_int_eq(logged("no server thread can start"), 0);
    ck_assert_int_le(logged("door_app: "), 20);
    await_threads(2); /* none that lacks one is left */
    for (int i = 0; i < 50; i++)
        ck_assert_uint_eq(get(), 200);
    shared->places = 100;
    for (int i = 0; i < 10 && (shared->most < 5 || some_lack_it()); i++) {
        load(CALLERS, "20", 1500);
        ck_assert_int_eq(refused, 0);
    }
    ck_assert_int_ge(shared->most, 5);
    ck_assert(!some_lack_it());
    end_app();
}
END_TEST

START_TEST(none_at_all)
{
    char retry_after[8];
    int starts;

    shared->places = 0;
    shared->max = 1 + _i * 3;
    begin_app();
    for (int i = 0; i < 100; i++) {
        ck_assert_uint_eq(request("/", "0", retry_after), 503);
        ck_assert_str_eq(retry_after, "1");
    }
    load(CALLERS, "0", 500);
    ck_assert_int_eq(shared->running, 0);
    ck_assert_int_eq(shared->most, 0);
    ck_assert_int_le(shared->tries, 60);
    ck_assert_int_eq(logged("no server thread can start: no place is left"), 1);
    ck_assert_int_eq(logged("door_app: "), 1);
    shared->places = 1;
    await_served();
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(get(), 200);
    starts = shared->starts;
    ck_assert_int_eq(starts, 1);
    shared->places = 1000;
    load(CALLERS, "5", 300);
    ck_assert_int_eq(refused, 0);
    ck_assert_int_eq(shared->without, 0);
    end_app();
}
END_TEST

START_TEST(lost_and_had_again)
{
    shared->max = 3;
    begin_app();
    for (int i = 0; i < 100; i++) {
        ck_assert_uint_eq(request("/lose", "", NULL), 200);
        ck_assert_uint_eq(get(), 200);
    }
    ck_assert_int_eq(shared->stops, 100);
    ck_assert_int_eq(shared->without, 0);
    end_app();
}
END_TEST

/* The thread that has lost its own finds that before a request does. */
START_TEST(lost_while_idle)
{
    shared->places = 2;
    shared->max = 2;
    begin_app();
    start_two();
    shared->places--; /* one of them cannot be had again */
    shared->gone = 1;
    for (int i = 0; i < 50; i++)
        ck_assert_uint_eq(get(), 200);
    await_stops(1); /* others may have had all of these meanwhile */
    shared->places++;
    for (int i = 0; i < 20; i++) {
        shared->gone = 1;
        for (int j = 0; j < 5; j++)
            ck_assert_uint_eq(get(), 200);
    }
    load(8, "5", 200);
    ck_assert_int_eq(refused, 0);
    ck_assert_int_eq(shared->without, 0);
    ck_assert_int_eq(logged("no server thread can start"), 0);
    ck_assert_int_ge(shared->stops, 11);
    end_app();
}
END_TEST

/* All are lost, and cannot be had again for some time. */
START_TEST(lost_for_some_time)
{
    shared->places = 2;
    shared->max = 2;
    begin_app();
    start_two();
    shared->places -= 1000;
    for (int i = 0; shared->stops < 2; i++) {
        ck_assert_int_lt(i, 1000);
        request("/lose", "", NULL);
    }
    for (int i = 0; i < 20; i++)
        ck_assert_uint_eq(get(), 503);
    shared->places += 1000;
    await_served();
    load(8, "5", 200);
    ck_assert_int_eq(refused, 0);
    ck_assert_int_eq(shared->without, 0);
    ck_assert_int_eq(logged("no server thread can start"), 1);
    end_app();
}
END_TEST

/* ---------------------------------------------------------------- without the doors' help */

static int fail_at_first(void *data)
{
    int *left = data;

    if (*left == 0)
        return 0;
    --*left;
    errno = ECONNREFUSED;
    return -1;
}

static void say(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_printf(req, "done");
}

START_TEST(started_by_a_request)
{
    struct door_app *app = door_app_create();
    struct message message;
    struct answer answer;
    struct capture capture;
    int left = 1, refusals = 0;

    door_app_handle(app, "/", say, NULL);
    door_app_on_thread(app, fail_at_first, NULL, &left);
    message_get(&message, "", "/");
    begin_capture(&capture);
    for (;; refusals++) {
        ask(app, &message, &answer);
        if (answer.reader.status != 503)
            break;
        ck_assert_str_eq(answer_header(&answer, "Retry-After", 0), "1");
        ck_assert_int_lt(refusals, 10000);
        sleep_ms(1);
    }
    end_capture(&capture);
    ck_assert_uint_eq(answer.reader.status, 200);
    ck_assert_int_ge(refusals, 1);
    ck_assert_int_eq(left, 0);
    ck_assert_ptr_nonnull(strstr(capture.text, strerror(ECONNREFUSED)));
    errno = 0;
    begin_capture(&capture);
    ck_assert_int_eq(door_app_thread_lost(NULL), -1);
    end_capture(&capture);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(door_app_set_threads(NULL, 1, 1), -1);
    ck_assert_int_eq(errno, ENOMEM);
    door_app_destroy(app);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("hooks");

    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, threads_have_a_maximum, 0, sizeof(maxima) / sizeof(maxima[0]));
    tcase_add_test(tests, idle_threads_give_theirs_back);
    tcase_add_test(tests, fewer_than_threads);
    tcase_add_loop_test(tests, none_at_all, 0, 2);
    tcase_add_test(tests, lost_and_had_again);
    tcase_add_test(tests, lost_while_idle);
    tcase_add_test(tests, lost_for_some_time);
    tcase_add_test(tests, started_by_a_request);
    return run_tests(tests);
}
