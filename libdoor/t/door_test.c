/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door_test.c: the tests' helpers.  check forks every test into a process group
 * of its own and kills what is left of it, so servers of a failed test do not
 * stay.  What is counted in processes is in door_test_counts.c.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* nftw() */
#endif

#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <door_compat.h>

#define SANITIZED_SLOWER 10
#define POLL_MS 1

static char workspace[64]; /* of the case */
static char room[96];      /* of the test, a directory in the workspace */
static int ready_fd = -1;

noreturn void door_test_die(const char *file, int line, const char *what)
{
    int error = errno;

    fprintf(stderr, "# %s:%d: not so: %s (errno %d: %s)\n", file, line, what, error,
            strerror(error));
    _exit(99);
}

bool door_test_sanitized(void)
{
    return DOOR_TEST_SANITIZED;
}

bool door_test_emulated(void)
{
    return getenv("DOOR_TEST_EMULATED") != NULL; /* make check-valgrind sets it */
}

long door_test_scaled(long n)
{
    return DOOR_TEST_SANITIZED ? n / SANITIZED_SLOWER + 1 : n;
}

/* -- workspace -- */

static void make_workspace(void)
{
    snprintf(workspace, sizeof(workspace), "/tmp/door_test.XXXXXX");
    door_test_require(mkdtemp(workspace) != NULL);
    door_test_require(chmod(workspace, 0755) == 0);
}

/* Runs in the process of the test. */
static void make_room(void)
{
    snprintf(room, sizeof(room), "%s/%ld", workspace, (long)getpid());
    door_test_require(mkdir(room, 0755) == 0);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    (void)fdetach(path);
    (void)remove(path); /* the rest of the tree goes all the same */
    return 0;
}

static void remove_workspace(void)
{
    nftw(workspace, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

TCase *door_test_tcase(Suite *suite, const char *name, int timeout_s)
{
    TCase *tc = tcase_create(name);

    tcase_add_unchecked_fixture(tc, make_workspace, remove_workspace);
    tcase_add_checked_fixture(tc, make_room, NULL);
    tcase_set_timeout(tc, DOOR_TEST_SANITIZED ? timeout_s * SANITIZED_SLOWER : timeout_s);
    suite_add_tcase(suite, tc);
    return tc;
}

const char *door_test_path(const char *name)
{
    static char paths[16][1024];
    static unsigned turn;
    char *path = paths[turn++ % 16];

    snprintf(path, sizeof(paths[0]), "%s/%s", room, name);
    return path;
}

void door_test_file(const char *path, const char *text, mode_t mode)
{
    size_t len = strlen(text);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

    door_test_require(fd >= 0);
    door_test_require(write(fd, text, len) == (ssize_t)len);
    door_test_require(fchmod(fd, mode) == 0);
    close(fd);
}

void door_test_read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY);
    ssize_t len;

    door_test_require(fd >= 0);
    len = read(fd, text, size - 1);
    door_test_require(len >= 0);
    text[len] = '\0';
    close(fd);
}

/* -- processes -- */

void *door_test_shared(size_t size)
{
    void *memory =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    door_test_require(memory != MAP_FAILED);
    return memory;
}

void door_test_ready(void)
{
    door_test_require(write(ready_fd, "r", 1) == 1);
    close(ready_fd);
    ready_fd = -1;
}

noreturn void door_test_pause(void)
{
    for (;;)
        pause();
}

/* Blocks until the child is ready; false if it died or the deadline is over. */
static bool wait_ready(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    char byte;
    int n;

    do
        n = poll(&pfd, 1, DOOR_TEST_DEADLINE_MS);
    while (n < 0 && errno == EINTR);
    return n == 1 && read(fd, &byte, 1) == 1;
}

pid_t door_test_spawn(void (*body)(void *), void *arg)
{
    int fds[2];
    bool ready;
    pid_t pid;

    ck_assert_int_eq(pipe(fds), 0);
    fflush(NULL);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(fds[0]);
        ready_fd = fds[1];
        body(arg);
        _exit(0);
    }
    close(fds[1]);
    ready = wait_ready(fds[0]);
    close(fds[0]);
    ck_assert_msg(ready, "the server process did not come up");
    return pid;
}

void door_test_attach(int door, const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT, 0600);

    door_test_require(fd >= 0);
    close(fd);
    door_test_require(fattach(door, path) == 0);
}

struct serve {
    const char *path;
    door_server_procedure_t *procedure;
    void *cookie;
    uint_t attributes;
};

static void serve(void *arg)
{
    struct serve *s = arg;
    int door = door_create(s->procedure, s->cookie, s->attributes);

    door_test_require(door >= 0);
    door_test_attach(door, s->path);
    door_test_ready();
    door_test_pause();
}

pid_t door_test_serve(const char *path, door_server_procedure_t *procedure, void *cookie,
                      uint_t attributes)
{
    struct serve s = {path, procedure, cookie, attributes};

    return door_test_spawn(serve, &s);
}

void door_test_freeze(pid_t pid)
{
    int status;

    ck_assert_int_eq(kill(pid, SIGSTOP), 0);
    ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
    ck_assert(WIFSTOPPED(status));
}

void door_test_stop(pid_t pid)
{
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

struct reap {
    pid_t pid;
    int status;
};

static bool reaped(void *arg)
{
    struct reap *r = arg;

    return waitpid(r->pid, &r->status, WNOHANG) == r->pid;
}

int door_test_exit_status(pid_t pid)
{
    struct reap r = {pid, 0};

    if (!door_test_await(reaped, &r)) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        ck_abort_msg("a child process did not end");
    }
    return WIFEXITED(r.status) ? WEXITSTATUS(r.status) : -1;
}

int door_test_in_child(int (*body)(void *), void *arg)
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(body(arg));
    return door_test_exit_status(pid);
}

uid_t door_test_unprivileged_uid(void)
{
    struct passwd *pw = getpwnam("nobody");

    return geteuid() != 0 ? geteuid() : pw != NULL ? pw->pw_uid : 65534;
}

gid_t door_test_unprivileged_gid(void)
{
    struct passwd *pw = getpwnam("nobody");

    return geteuid() != 0 ? getegid() : pw != NULL ? pw->pw_gid : 65534;
}

int door_test_unprivileged(int (*body)(void *), void *arg)
{
    uid_t uid = door_test_unprivileged_uid();
    gid_t gid = door_test_unprivileged_gid();
    pid_t pid;

    fflush(NULL);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        if (geteuid() == 0) {
            door_test_require(setgroups(0, NULL) == 0);
            door_test_require(setgid(gid) == 0);
            door_test_require(setuid(uid) == 0);
        }
        _exit(body(arg));
    }
    return door_test_exit_status(pid);
}

/* -- calls and data -- */

void door_test_nothing(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)cookie;
    (void)argp;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    door_return(NULL, 0, NULL, 0);
}

int door_test_open(const char *path)
{
    int d = open(path, O_RDONLY);

    ck_assert_msg(d >= 0, "open(%s): %s", path, strerror(errno));
    return d;
}

ssize_t door_test_call(int door, const void *arg, size_t arg_size, void *result,
                       size_t result_size)
{
    door_arg_t params = {.data_ptr = (char *)arg,
                         .data_size = arg_size,
                         .rbuf = result,
                         .rsize = result_size};

    if (door_call(door, &params) != 0)
        return -1;
    if (params.data_size > 0 && result_size > 0 && params.data_ptr != result)
        memmove(result, params.data_ptr,
                params.data_size < result_size ? params.data_size : result_size);
    if (params.rbuf != result && params.rbuf != NULL)
        munmap(params.rbuf, params.rsize);
    return (ssize_t)params.data_size;
}

/* Differs between neighbours, pages and 64 KiB blocks. */
static char pattern(size_t at, unsigned seed)
{
    return (char)(at + (at >> 8) * 7 + (at >> 16) * 13 + seed * 31);
}

void door_test_fill(char *data, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        data[i] = pattern(i, seed);
}

bool door_test_filled(const char *data, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        if (data[i] != pattern(i, seed))
            return false;
    return true;
}

/* -- waiting -- */

int64_t door_test_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void door_test_sem_init(sem_t *sem)
{
    door_test_require(sem_init(sem, 1, 0) == 0);
}

bool door_test_sem_wait(sem_t *sem)
{
    struct timespec until;
    int rc;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DOOR_TEST_DEADLINE_MS / 1000;
    do
        rc = sem_timedwait(sem, &until);
    while (rc != 0 && errno == EINTR);
    return rc == 0;
}

static void *be_late(void *arg)
{
    struct door_test_late *late = arg;

    door_test_require(door_test_sem_wait(late->sem));
    atomic_store(&late->deadline_ns, 1);
    return NULL;
}

void door_test_late_after(struct door_test_late *late, sem_t *sem)
{
    late->sem = sem;
    atomic_store(&late->deadline_ns, door_now_ns() + 600000000000);
    door_test_require(pthread_create(&late->thread, NULL, be_late, late) == 0);
}

void door_test_late_end(struct door_test_late *late)
{
    door_test_require(pthread_join(late->thread, NULL) == 0);
}

bool door_test_await(bool (*is_so)(void *), void *arg)
{
    const struct timespec pause_time = {.tv_nsec = POLL_MS * 1000000L};
    int64_t until = door_test_now_ms() + DOOR_TEST_DEADLINE_MS;

    while (!is_so(arg)) {
        if (door_test_now_ms() > until)
            return false;
        nanosleep(&pause_time, NULL);
    }
    return true;
}

static void answer_byte(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)argp;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    door_return(c, 1, NULL, 0);
}

int door_test_serve_byte(const char *byte)
{
    char name[16];

    snprintf(name, sizeof(name), "door-%c", *byte);
    door_test_serve(door_test_path(name), answer_byte, (void *)byte, 0);
    return door_test_open(door_test_path(name));
}

int door_test_ask(int d)
{
    char result = 0;

    errno = 0;
    return door_test_call(d, "?", 1, &result, 1) == 1 ? result : -errno;
}
