/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_death.c: servers and clients that die.  A call that was taken ends in
 * EINTR, one that was not in EBADF, none runs twice, and nobody else notices.
 */
#include "door_compat.h"
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOTICE_MS 10000 /* a death is known by then */
#define MAX_IDS   400000

enum op { ANSWER, BLOCK, EXIT, QUICK_EXIT, COUNT };

struct request {
    enum op op;
    uint32_t id;
};

struct shared {
    sem_t entered;
    sem_t released;
    _Atomic long finished;
    _Atomic uint32_t next_id;
    _Atomic unsigned char runs[MAX_IDS]; /* how often the call of this id ran */
};

static struct shared *shared;
static const char *path;
static pid_t server;
static int door;

static void block(void)
{
    sem_post(&shared->entered);
    door_test_require(door_test_sem_wait(&shared->released));
    atomic_fetch_add(&shared->finished, 1);
}

static void serve(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    struct request r = {ANSWER, 0};

    (void)c;
    (void)dp;
    (void)n_desc;
    if (arg_size == sizeof(r))
        memcpy(&r, argp, sizeof(r));
    switch (r.op) {
    case BLOCK:
        block();
        break;
    case EXIT:
        exit(3);
    case QUICK_EXIT:
        _exit(3);
    case COUNT:
        atomic_fetch_add(&shared->runs[r.id], 1);
        break;
    case ANSWER:
        break;
    }
    door_return((char *)&r.id, sizeof(r.id), NULL, 0);
}

static void start(void)
{
    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
    path = door_test_path("door");
    server = door_test_serve(path, serve, NULL, 0);
    door = door_test_open(path);
}

/* The errno of a call, or 0. */
static int call(int d, enum op op, uint32_t id)
{
    struct request r = {op, id};
    uint32_t result = ~id;

    errno = 0;
    if (door_test_call(d, &r, sizeof(r), &result, sizeof(result)) < 0)
        return errno;
    return result == id ? 0 : EPROTO;
}

/* One thread in a call, and what became of it. */
struct caller {
    pthread_t thread;
    enum op op;
    int error;
    int64_t ended_ms;
};

static void *run_caller(void *arg)
{
    struct caller *c = arg;

    c->error = call(door, c->op, 0);
    c->ended_ms = door_test_now_ms();
    return NULL;
}

static void start_callers(struct caller *callers, int n, enum op op)
{
    for (int i = 0; i < n; i++) {
        callers[i] = (struct caller){.op = op};
        ck_assert_int_eq(pthread_create(&callers[i].thread, NULL, run_caller, &callers[i]), 0);
    }
}

static void kill_under_callers(int n)
{
    struct caller callers[64];
    int64_t killed_ms;

    start();
    ck_assert_int_eq(call(door, ANSWER, 1), 0);
    start_callers(callers, n, BLOCK);
    for (int i = 0; i < n; i++)
        ck_assert(door_test_sem_wait(&shared->entered));
    killed_ms = door_test_now_ms();
    door_test_stop(server);
    for (int i = 0; i < n; i++) {
        pthread_join(callers[i].thread, NULL);
        ck_assert_int_eq(callers[i].error, EINTR);
        ck_assert_int_lt(callers[i].ended_ms - killed_ms, NOTICE_MS);
    }
    ck_assert_int_eq(call(door, ANSWER, 1), EBADF);
}

START_TEST(killed_during_a_call)
{
    kill_under_callers(1);
}
END_TEST

START_TEST(killed_during_many_calls)
{
    kill_under_callers(32);
}
END_TEST

static void ends_by_itself(enum op op)
{
    int64_t began;

    start();
    ck_assert_int_eq(call(door, ANSWER, 1), 0);
    began = door_test_now_ms();
    ck_assert_int_eq(call(door, op, 0), EINTR);
    ck_assert_int_lt(door_test_now_ms() - began, NOTICE_MS);
    ck_assert_int_eq(call(door, ANSWER, 1), EBADF);
    ck_assert_int_eq(door_test_exit_status(server), 3);
}

START_TEST(the_procedure_exits)
{
    ends_by_itself(EXIT);
}
END_TEST

START_TEST(the_procedure_exits_at_once)
{
    ends_by_itself(QUICK_EXIT);
}
END_TEST

static void serve_for_a_byte(void *arg)
{
    int d = door_create(serve, NULL, 0);

    door_test_require(d >= 0);
    door_test_attach(d, path);
    door_test_ready();
    door_test_require(door_test_sem_wait(arg));
    exit(4);
}

START_TEST(main_exits_during_a_call)
{
    struct caller caller;
    int64_t ended_ms;
    sem_t *end;

    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
    path = door_test_path("door");
    end = door_test_shared(sizeof(*end));
    door_test_sem_init(end);
    server = door_test_spawn(serve_for_a_byte, end);
    door = door_test_open(path);
    start_callers(&caller, 1, BLOCK);
    ck_assert(door_test_sem_wait(&shared->entered));
    ended_ms = door_test_now_ms();
    sem_post(end);
    pthread_join(caller.thread, NULL);
    ck_assert_int_eq(caller.error, EINTR);
    ck_assert_int_lt(caller.ended_ms - ended_ms, NOTICE_MS);
    ck_assert_int_eq(door_test_exit_status(server), 4);
}
END_TEST

START_TEST(the_first_call_comes_after_the_death)
{
    start();
    door_test_stop(server);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(call(door, COUNT, 1), EBADF);
    ck_assert_int_eq(shared->runs[1], 0);
}
END_TEST

START_TEST(later_calls_by_other_threads_and_processes)
{
    struct caller callers[8];
    pid_t child;

    start();
    ck_assert_int_eq(call(door, ANSWER, 1), 0);
    door_test_stop(server);
    start_callers(callers, 8, ANSWER);
    for (int i = 0; i < 8; i++) {
        pthread_join(callers[i].thread, NULL);
        ck_assert_int_eq(callers[i].error, EBADF);
    }
    child = fork();
    if (child == 0)
        _exit(call(door, ANSWER, 1) == EBADF ? 0 : 1);
    ck_assert_int_eq(door_test_exit_status(child), 0);
}
END_TEST

/* A stopped process runs nothing: whatever the errno, no call may have run. */
START_TEST(calls_queued_at_a_stopped_server)
{
    struct caller callers[8];
    struct timespec queue_time = {.tv_nsec = 200 * 1000000};
    int64_t killed_ms;

    start();
    ck_assert_int_eq(call(door, ANSWER, 1), 0);
    door_test_freeze(server);
    start_callers(callers, 8, COUNT);
    nanosleep(&queue_time, NULL); /* nothing tells that a call is queued */
    killed_ms = door_test_now_ms();
    door_test_stop(server);
    for (int i = 0; i < 8; i++) {
        pthread_join(callers[i].thread, NULL);
        ck_assert_msg(callers[i].error == EBADF || callers[i].error == EINTR, "errno %d",
                      callers[i].error);
        ck_assert_int_lt(callers[i].ended_ms - killed_ms, NOTICE_MS);
    }
    ck_assert_int_eq(shared->runs[0], 0);
}
END_TEST

START_TEST(a_stopped_server_goes_on)
{
    struct caller callers[8];

    start();
    ck_assert_int_eq(call(door, ANSWER, 1), 0);
    door_test_freeze(server);
    start_callers(callers, 8, COUNT);
    nanosleep(&(struct timespec){.tv_nsec = 300 * 1000000}, NULL);
    ck_assert_int_eq(kill(server, SIGCONT), 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(callers[i].thread, NULL);
        ck_assert_int_eq(callers[i].error, 0);
    }
    ck_assert_int_eq(shared->runs[0], 8);
}
END_TEST

/* Calls until its door is dead, each with an id of its own. */
struct counter {
    pthread_t thread;
    int door;
    const char *wrong;
    long ok;
};

static void *count_until_dead(void *arg)
{
    struct counter *c = arg;

    for (;;) {
        uint32_t id = atomic_fetch_add(&shared->next_id, 1);
        int error = id < MAX_IDS ? call(c->door, COUNT, id) : EBADF;
        int runs = id < MAX_IDS ? shared->runs[id] : 0;

        c->ok += error == 0;
        if (error == 0 && runs != 1)
            c->wrong = "a call that succeeded did not run once";
        if (error == EBADF && runs != 0)
            c->wrong = "a call that was refused ran";
        if (error == EINTR && runs > 1)
            c->wrong = "a call that was broken off ran twice";
        if (error != 0 && error != EBADF && error != EINTR)
            c->wrong = "another errno";
        if (error != 0)
            return NULL;
    }
}

/* Kills the server under load and brings the next one up under the same name. */
START_TEST(nothing_runs_twice)
{
    enum { THREADS = 8, ROUNDS = 20 };
    struct counter counters[THREADS];

    start();
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < THREADS; i++) {
            counters[i] = (struct counter){.door = door};
            pthread_create(&counters[i].thread, NULL, count_until_dead, &counters[i]);
        }
        nanosleep(&(struct timespec){.tv_nsec = (10 + 7 * round % 40) * 1000000}, NULL);
        door_test_stop(server);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(counters[i].thread, NULL);
            ck_assert_msg(counters[i].wrong == NULL, "%s", counters[i].wrong);
        }
        close(door);
        server = door_test_serve(path, serve, NULL, 0);
        door = door_test_open(path);
        ck_assert_int_eq(call(door, ANSWER, 1), 0);
    }
    for (uint32_t id = 0; id < MAX_IDS; id++)
        ck_assert_int_le(shared->runs[id], 1);
}
END_TEST

START_TEST(the_next_server_under_the_same_name)
{
    int old;

    start();
    ck_assert_int_eq(call(door, ANSWER, 1), 0);
    door_test_stop(server);
    old = door;
    ck_assert_int_eq(call(old, ANSWER, 1), EBADF);
    server = door_test_serve(path, serve, NULL, 0);
    ck_assert_int_eq(call(old, ANSWER, 1), EBADF);
    door = door_test_open(path);
    ck_assert_int_eq(call(door, ANSWER, 1), 0);
    ck_assert_int_eq(call(old, ANSWER, 1), EBADF);
    close(old);
    ck_assert_int_eq(call(door, ANSWER, 1), 0);
}
END_TEST

START_TEST(dead_servers_leave_no_descriptors)
{
    int before = 0;

    start();
    for (int round = 0; round < 20; round++) {
        if (round == 5)
            before = door_test_fd_count();
        ck_assert_int_eq(call(door, ANSWER, 1), 0);
        door_test_stop(server);
        ck_assert_int_eq(call(door, ANSWER, 1), EBADF);
        close(door);
        server = door_test_serve(path, serve, NULL, 0);
        door = door_test_open(path);
    }
    ck_assert_msg(door_test_fds_settle(0, before + 4), "%d descriptors, %d before",
                  door_test_fd_count(), before);
}
END_TEST

static bool all_finished(void *arg)
{
    return shared->finished == *(long *)arg;
}

/* The procedure runs to its end although nobody waits for its result. */
START_TEST(a_caller_is_killed_during_its_call)
{
    enum { CLIENTS = 40 };
    long finished = 0;
    int before = 0;

    start();
    ck_assert_int_eq(call(door, ANSWER, 1), 0);
    for (int i = 0; i < CLIENTS; i++) {
        pid_t client = fork();

        if (client == 0)
            _exit(call(door, BLOCK, 1));
        ck_assert(door_test_sem_wait(&shared->entered));
        door_test_stop(client);
        ck_assert_int_eq(call(door, ANSWER, 7), 0);
        sem_post(&shared->released);
        finished++;
        ck_assert(door_test_await(all_finished, &finished));
        ck_assert_int_eq(call(door, ANSWER, 8), 0);
        if (i == 10)
            before = door_test_fd_count_of(server);
    }
    ck_assert_msg(door_test_fds_settle(server, before + 4), "%d descriptors, %d before",
                  door_test_fd_count_of(server), before);
}
END_TEST

static void serve_with_one_thread(void *unused)
{
    int own = door_create(serve, NULL, 0);

    (void)unused;
    door_test_require(door_set_threads(own, 1, 0) == 0);
    door_test_attach(own, path);
    door_test_ready();
    door_test_pause();
}

/* Nobody waits for their results, and others would have to wait for their end. */
START_TEST(calls_of_a_killed_client_that_wait)
{
    enum { CALLERS = 20 };
    struct caller callers[CALLERS];
    pid_t client;

    start();
    door_test_stop(server);
    server = door_test_spawn(serve_with_one_thread, NULL);
    door = door_test_open(path);
    client = fork();
    if (client == 0) {
        start_callers(callers, CALLERS, BLOCK);
        door_test_pause();
    }
    ck_assert(door_test_sem_wait(&shared->entered));
    poll(NULL, 0, NOTICE_MS / 2); /* until the others wait */
    door_test_stop(client);
    poll(NULL, 0, NOTICE_MS);
    sem_post(&shared->released);
    ck_assert_int_eq(call(door, ANSWER, 1), 0);
    ck_assert_int_eq(shared->finished, 1);
    ck_assert_int_eq(sem_trywait(&shared->entered), -1);
}
END_TEST

START_TEST(clients_are_killed_under_load)
{
    pid_t clients[6];

    start();
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 6; i++) {
            clients[i] = fork();
            while (clients[i] == 0)
                if (call(door, ANSWER, i) != 0)
                    _exit(1);
        }
        for (int i = 0; i < 100; i++)
            ck_assert_int_eq(call(door, ANSWER, i), 0);
        for (int i = 0; i < 6; i++) {
            kill(clients[i], SIGKILL);
            ck_assert_int_eq(door_test_exit_status(clients[i]), -1);
            ck_assert_int_eq(call(door, ANSWER, i), 0);
        }
    }
}
END_TEST

/*
 * The leak checker asks for this.  The client may exit when the library's own thread has just
 * been created and has not begun: what was allocated for it is then nobody's.
 */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:thread_start_blocked";
}

START_TEST(a_client_exits_while_its_threads_call)
{
    start();
    for (int round = 0; round < 10; round++) {
        pid_t client = fork();

        if (client == 0) {
            struct caller callers[4];

            start_callers(callers, 4, BLOCK);
            for (int i = 0; i < 4; i++)
                door_test_require(door_test_sem_wait(&shared->entered));
            exit(5);
        }
        ck_assert_int_eq(door_test_exit_status(client), 5);
        ck_assert_int_eq(call(door, ANSWER, 1), 0);
        for (int i = 0; i < 4; i++)
            sem_post(&shared->released);
        ck_assert_int_eq(call(door, ANSWER, 2), 0);
    }
}
END_TEST

static bool has_begun(void *arg)
{
    return *(_Atomic pid_t *)arg != 0;
}

/* A child of the server must not keep the door alive, or look like the server. */
static void serve_with_a_child(void *arg)
{
    int d = door_create(serve, NULL, 0);
    pid_t child;

    door_test_require(d >= 0);
    door_test_attach(d, path);
    child = fork();
    if (child == 0) { /* only now has it closed what it had of the server's */
        *(_Atomic pid_t *)arg = getpid();
        door_test_pause();
    }
    door_test_require(door_test_await(has_begun, arg));
    door_test_ready();
    door_test_pause();
}

START_TEST(a_child_of_the_server_outlives_it)
{
    pid_t *child = door_test_shared(sizeof(*child));
    struct caller caller;
    int64_t killed_ms;

    shared = door_test_shared(sizeof(*shared));
    door_test_sem_init(&shared->entered);
    door_test_sem_init(&shared->released);
    path = door_test_path("door");
    server = door_test_spawn(serve_with_a_child, child);
    door = door_test_open(path);
    start_callers(&caller, 1, BLOCK);
    ck_assert(door_test_sem_wait(&shared->entered));
    killed_ms = door_test_now_ms();
    door_test_stop(server);
    pthread_join(caller.thread, NULL);
    ck_assert_int_eq(caller.error, EINTR);
    ck_assert_int_lt(caller.ended_ms - killed_ms, NOTICE_MS);
    ck_assert_int_eq(call(door, ANSWER, 1), EBADF);
    server = door_test_serve(path, serve, NULL, 0);
    kill(*child, SIGKILL);
}
END_TEST

static void add_server_tests(TCase *tc)
{
    tcase_add_test(tc, killed_during_a_call);
    tcase_add_test(tc, killed_during_many_calls);
    tcase_add_test(tc, the_procedure_exits);
    tcase_add_test(tc, the_procedure_exits_at_once);
    tcase_add_test(tc, main_exits_during_a_call);
    tcase_add_test(tc, the_first_call_comes_after_the_death);
    tcase_add_test(tc, later_calls_by_other_threads_and_processes);
    tcase_add_test(tc, calls_queued_at_a_stopped_server);
    tcase_add_test(tc, a_stopped_server_goes_on);
    tcase_add_test(tc, nothing_runs_twice);
    tcase_add_test(tc, the_next_server_under_the_same_name);
    tcase_add_test(tc, dead_servers_leave_no_descriptors);
    tcase_add_test(tc, a_child_of_the_server_outlives_it);
}

int main(void)
{
    Suite *suite = suite_create("death");
    TCase *servers = door_test_tcase(suite, "servers", 60);
    TCase *clients = door_test_tcase(suite, "clients", 60);

    add_server_tests(servers);
    tcase_add_test(clients, a_caller_is_killed_during_its_call);
    tcase_add_test(clients, calls_of_a_killed_client_that_wait);
    tcase_add_test(clients, clients_are_killed_under_load);
    tcase_add_test(clients, a_client_exits_while_its_threads_call);
    return door_test_run(suite);
}
