/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_compat.c: opening and calling by door_compat.h, in both forms that there
 * are: the library's own, and the one for systems with doors of their own.
 */
#include "door_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "portable_compat.h"

#define MS 1000000ll

static const struct {
    int64_t (*now_ns)(void);
    int (*openat)(int, const char *, int);
    struct door_handle *(*open)(int);
    void (*close)(struct door_handle *);
    int (*call)(struct door_handle *, door_arg_t *, struct door_terms *);
    void (*close_received)(int);
} forms[] = {
    {door_now_ns, door_openat, door_handle_open, door_handle_close, door_handle_call,
     door_close_received},
    {portable_now_ns, portable_openat, portable_handle_open, portable_handle_close,
     portable_handle_call, portable_close_received},
};

/* Sleeps as many milliseconds as asked for, and says so. */
static void sleep_ms(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    long ms;

    (void)c;
    (void)dp;
    (void)n_desc;
    door_test_require(arg_size == sizeof(ms));
    memcpy(&ms, argp, sizeof(ms));
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * MS}, NULL);
    door_return((char *)&ms, sizeof(ms), NULL, 0);
}

static int start(int form)
{
    const char *path = door_test_path("door");

    door_test_serve(path, sleep_ms, NULL, 0);
    return forms[form].openat(AT_FDCWD, path, 0);
}

/* 0 and the right result, the errno, or -1. */
static int call(int form, int d, long ms, const _Atomic int64_t *deadline_ns)
{
    long result = -1;
    door_arg_t params = {.data_ptr = (char *)&ms,
                         .data_size = sizeof(ms),
                         .rbuf = (char *)&result,
                         .rsize = sizeof(result)};

    struct door_terms terms = {.deadline_ns = deadline_ns};
    struct door_handle *handle = forms[form].open(d);
    int error;

    if (handle == NULL)
        return errno;
    error = forms[form].call(handle, &params, &terms) < 0 ? errno : 0;
    forms[form].close(handle);
    return error != 0 ? error : params.data_size == sizeof(result) && result == ms ? 0 : -1;
}

START_TEST(a_call_in_time)
{
    _Atomic int64_t never = 0, later = forms[_i].now_ns() + 60000 * MS;
    int d = start(_i);

    ck_assert_int_eq(call(_i, d, 0, NULL), 0);
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(call(_i, d, i % 3, &never), 0);
        ck_assert_int_eq(call(_i, d, i % 3, &later), 0);
    }
}
END_TEST

START_TEST(a_late_call_is_given_up)
{
    int d = start(_i);

    for (int i = 0; i < 5; i++) {
        int64_t begun_ns = forms[_i].now_ns();
        _Atomic int64_t soon = begun_ns + 30 * MS;
        ck_assert_int_eq(call(_i, d, 30000, &soon), ETIMEDOUT);
        ck_assert_int_ge(forms[_i].now_ns(), begun_ns + 30 * MS);
        ck_assert_int_lt(forms[_i].now_ns(), begun_ns + 10000 * MS);
        /* The next call gets its own reply. */
        ck_assert_int_eq(call(_i, d, i, NULL), 0);
    }
}
END_TEST

struct mover {
    _Atomic int64_t *deadline_ns;
    int64_t to_ns;
};

static void *move_deadline(void *arg)
{
    struct mover *m = arg;

    nanosleep(&(struct timespec){.tv_nsec = 50 * MS}, NULL);
    atomic_store(m->deadline_ns, m->to_ns);
    return NULL;
}

START_TEST(a_deadline_that_is_moved_later)
{
    int d = start(_i), error = ETIMEDOUT;

    for (int i = 0; i < 5 && error == ETIMEDOUT; i++) { /* it may be moved too late */
        _Atomic int64_t deadline = forms[_i].now_ns() + 2000 * MS;
        struct mover mover = {&deadline, forms[_i].now_ns() + 60000 * MS};
        pthread_t thread;

        ck_assert_int_eq(pthread_create(&thread, NULL, move_deadline, &mover), 0);
        error = call(_i, d, 2300, &deadline);
        pthread_join(thread, NULL);
    }
    ck_assert_int_eq(error, 0);
}
END_TEST

START_TEST(a_deadline_that_is_moved_earlier)
{
    int d = start(_i);
    _Atomic int64_t deadline = forms[_i].now_ns() + 60000 * MS;
    struct mover mover = {&deadline, 1};
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, move_deadline, &mover), 0);
    ck_assert_int_eq(call(_i, d, 20000, &deadline), ETIMEDOUT);
    pthread_join(thread, NULL);
}
END_TEST

/* httpd's workers block all signals; a stopped server does not even take the call. */
START_TEST(a_stopped_server_and_blocked_signals)
{
    const char *path = door_test_path("door");
    pid_t server = door_test_serve(path, sleep_ms, NULL, 0);
    int d = forms[_i].openat(AT_FDCWD, path, 0);
    sigset_t all;

    ck_assert_int_eq(call(_i, d, 0, NULL), 0);
    sigfillset(&all);
    ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &all, NULL), 0);
    door_test_freeze(server);
    _Atomic int64_t soon = forms[_i].now_ns() + 100 * MS;
    ck_assert_int_eq(call(_i, d, 2000, &soon), ETIMEDOUT);
    ck_assert_int_eq(kill(server, SIGCONT), 0);
    ck_assert_int_eq(call(_i, d, 0, NULL), 0);
}
END_TEST

START_TEST(what_cannot_be_opened)
{
    const char *path = door_test_path("door"), *file = door_test_path("file");
    pid_t server = door_test_serve(path, sleep_ms, NULL, 0);

    ck_assert_int_eq(symlink("door", door_test_path("link")), 0);
    ck_assert_int_ge(forms[_i].openat(AT_FDCWD, door_test_path("link"), 0), 0);
    ck_assert_int_eq(forms[_i].openat(AT_FDCWD, door_test_path("link"), O_NOFOLLOW), -1);
    ck_assert_int_eq(errno, ELOOP);
    ck_assert_int_eq(forms[_i].openat(AT_FDCWD, door_test_path("none"), 0), -1);
    ck_assert_int_eq(errno, ENOENT);
    door_test_file(file, "text", 0644);
    ck_assert_int_eq(forms[_i].openat(AT_FDCWD, file, 0), -1);
    ck_assert_int_eq(errno, EINVAL);
    door_test_stop(server);
    ck_assert_int_eq(forms[_i].openat(AT_FDCWD, path, 0), -1);
    ck_assert_int_eq(errno, EBADF);
}
END_TEST

static _Atomic bool may_reply;

static void wait_for_it(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)c;
    (void)argp;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    while (!may_reply)
        nanosleep(&(struct timespec){.tv_nsec = MS}, NULL);
    door_return(NULL, 0, NULL, 0);
}

static void *call_it(void *d)
{
    door_test_require(door_call(*(int *)d, NULL) == 0);
    return NULL;
}

static bool two_run(void *d)
{
    return door_running_calls(*(int *)d) == 2;
}

static bool none_runs(void *d)
{
    return door_running_calls(*(int *)d) == 0;
}

/* What a server waits for before it ends: also of a door that is revoked. */
START_TEST(calls_that_run)
{
    int d = door_create(wait_for_it, NULL, 0), copy = dup(d);
    pthread_t threads[2];

    ck_assert_int_eq(door_running_calls(d), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, call_it, &copy), 0);
    ck_assert(door_test_await(two_run, &d));
    ck_assert_int_eq(door_revoke(d), 0);
    ck_assert_int_eq(door_running_calls(copy), 2);
    may_reply = true;
    ck_assert(door_test_await(none_runs, &copy));
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(close(copy), 0);
    ck_assert_int_eq(door_running_calls(copy), -1);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(door_running_calls(start(0)), -1); /* another process's */
    ck_assert_int_eq(errno, EBADF);
}
END_TEST

/* The kernel has noted who attached it; whoever may open it can ask. */
static uid_t attacher;

static void attach_as_another(void *path)
{
    int own = door_create(sleep_ms, NULL, 0);
    uid_t before = geteuid();

    door_test_require(seteuid(attacher) == 0 && fattach(own, path) == 0 && seteuid(before) == 0);
    door_test_ready();
    door_test_pause();
}

START_TEST(who_attached_it)
{
    char *path = strdup(door_test_path("door"));
    uid_t uid = (uid_t)-1;
    int d;

    attacher = door_test_unprivileged_uid();
    ck_assert_int_eq(chmod(door_test_path(""), 0777), 0);
    door_test_file(path, "", 0666);
    if (geteuid() == 0)
        ck_assert_int_eq(chown(path, attacher, (gid_t)-1), 0);
    pid_t server = door_test_spawn(attach_as_another, path);
    d = door_openat(AT_FDCWD, path, 0);
    ck_assert_int_eq(door_attached_by(d, &uid), 0);
    ck_assert_uint_eq(uid, attacher); /* whoever serves it by now */
    ck_assert_int_eq(portable_attached_by(d, &uid), -1);
    ck_assert_int_eq(errno, ENOTSUP);
    ck_assert_int_eq(door_attached_by(STDIN_FILENO, &uid), -1);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(portable_attached_by(STDIN_FILENO, &uid), -1);
    ck_assert_int_eq(errno, EBADF);
    door_test_stop(server);
    free(path);
}
END_TEST

/* Its close(2) lasts as long as nobody reads what was sent. */
static int lingering_socket(int *reader)
{
    static char data[65536];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    struct linger linger = {1, 3600};
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, len), 0);
    *reader = accept(listener, NULL, NULL);
    ck_assert_int_ge(*reader, 0);
    while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
        continue;
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    close(listener);
    return fd;
}

static bool is_closed(void *fd)
{
    return fcntl(*(int *)fd, F_GETFD) == -1;
}

START_TEST(closing_what_a_peer_has_sent)
{
    int64_t begun_ns = door_now_ns();
    int reader, fd = lingering_socket(&reader);

    errno = EDOM;
    forms[_i].close_received(fd);
    forms[_i].close_received(-1);
    ck_assert_int_eq(errno, EDOM);
    ck_assert_int_lt(door_now_ns(), begun_ns + 30000 * MS);
    ck_assert(door_test_await(is_closed, &fd)); /* the number is free, whoever waits */
}
END_TEST

START_TEST(where_a_procedure_is)
{
    int d = door_create(sleep_ms, (void *)1234, 0);
    door_info_t info;

    ck_assert_int_eq(door_info(d, &info), 0);
    ck_assert(info.di_proc == (door_ptr_t)(uintptr_t)sleep_ms && info.di_data == 1234);
    ck_assert_int_eq(portable_hide_procedure(d), -1);
    ck_assert_int_eq(errno, ENOTSUP);
    ck_assert_int_eq(door_hide_procedure(d), 0);
    ck_assert_int_eq(door_info(d, &info), 0);
    ck_assert(info.di_proc == 0 && info.di_data == 0);
    ck_assert_int_eq(info.di_target, getpid());
    d = start(0); /* another process's */
    ck_assert_int_eq(door_hide_procedure(d), -1);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(portable_hide_procedure(d), -1);
    ck_assert_int_eq(errno, EBADF);
}
END_TEST

/* The memory for calls would be larger than the process may make a file. */
START_TEST(a_low_limit_of_file_sizes)
{
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 1 << 20;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(door_create(wait_for_it, NULL, 0), -1);
    ck_assert_int_eq(errno, EFBIG);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compat");
    TCase *tc = door_test_tcase(suite, "compat", 60);

    tcase_add_loop_test(tc, a_call_in_time, 0, 2);
    tcase_add_loop_test(tc, a_late_call_is_given_up, 0, 2);
    tcase_add_loop_test(tc, a_deadline_that_is_moved_later, 0, 2);
    tcase_add_loop_test(tc, a_deadline_that_is_moved_earlier, 0, 2);
    tcase_add_loop_test(tc, a_stopped_server_and_blocked_signals, 0, 2);
    tcase_add_loop_test(tc, what_cannot_be_opened, 0, 2);
    tcase_add_test(tc, who_attached_it);
    tcase_add_loop_test(tc, closing_what_a_peer_has_sent, 0, 2);
    tcase_add_test(tc, where_a_procedure_is);
    tcase_add_test(tc, calls_that_run);
    tcase_add_test(tc, a_low_limit_of_file_sizes);
    return door_test_run(suite);
}
