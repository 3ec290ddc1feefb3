/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * hostile_target.c: see hostile_target.h.
 */
#include "hostile_target.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <door_compat.h>

#define SPARE_THREADS 68 /* the pool keeps what it once needed, and grows by 64 at once */
#define GIVEN_MAX 500
#define QUIET_MS 50

struct target_shared *target_shared;
const char *target_path;
pid_t target_pid;
bool target_is_cancelable;

static int fds_before, threads_before;

static void give_descriptors(unsigned count)
{
    door_desc_t descs[GIVEN_MAX];

    for (unsigned i = 0; i < count; i++) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        door_test_require(fd >= 0);
        descs[i] = (door_desc_t){.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE,
                                 .d_data.d_desc.d_descriptor = fd};
    }
    door_return(NULL, 0, descs, count);
    for (unsigned i = 0; i < count; i++) /* the client did not take them */
        close(descs[i].d_data.d_desc.d_descriptor);
}

static int count_groups(void)
{
    const gid_t *groups;
    ucred_t *uc = NULL;
    int count = door_ucred(&uc) < 0 ? -2 : ucred_getgroups(uc, &groups);

    ucred_free(uc);
    return count;
}

static void serve(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    struct target_request r = {TARGET_ECHO, 0};
    door_cred_t cred;

    (void)c;
    if (arg_size >= sizeof(r))
        memcpy(&r, argp, sizeof(r));
    for (uint_t i = 0; i < n_desc; i++)
        close(dp[i].d_data.d_desc.d_descriptor);
    if (r.op == TARGET_BLOCK) {
        sem_post(&target_shared->entered);
        door_test_require(door_test_sem_wait(&target_shared->released));
        atomic_fetch_add(&target_shared->finished, 1);
    } else if (r.op == TARGET_GIVE_DESCS && r.count <= GIVEN_MAX) {
        give_descriptors(r.count);
    } else if (r.op == TARGET_IDENTIFY) {
        r.count = (uint32_t)door_cred(&cred);
    } else if (r.op == TARGET_GROUPS) {
        r.count = (uint32_t)count_groups();
    }
    /* The last byte is looked at: it has to be there. */
    if (arg_size > sizeof(r))
        r.count = (uint32_t)argp[arg_size - 1];
    door_return((char *)&r, sizeof(r), NULL, 0);
}

static void *run_cancelable(void *unused)
{
    door_return(NULL, 0, NULL, 0);
    return unused;
}

static void create_cancelable(door_info_t *info)
{
    pthread_t thread;

    (void)info;
    door_test_require(pthread_create(&thread, NULL, run_cancelable, NULL) == 0);
    pthread_detach(thread);
}

static void run_server(void *fd_limit)
{
    rlim_t limit = *(unsigned *)fd_limit;
    int door;

    if (limit != 0)
        door_test_require(setrlimit(RLIMIT_NOFILE, &(struct rlimit){limit, limit}) == 0);
    if (target_is_cancelable)
        door_server_create(create_cancelable);
    door = door_create(serve, NULL, 0);
    door_test_require(door >= 0);
    door_test_attach(door, target_path);
    door_test_ready();
    door_test_pause();
}

static int call_well(void *unused)
{
    struct target_request r = {TARGET_ECHO, 0}, answer;
    door_arg_t arg = {.data_ptr = (char *)&r,
                      .data_size = sizeof(r),
                      .rbuf = (char *)&answer,
                      .rsize = sizeof(answer)};
    _Atomic int64_t deadline_ns = door_now_ns() + TARGET_SERVES_MS * 1000000ll;
    struct door_terms terms = {.deadline_ns = &deadline_ns};
    struct door_handle *handle = door_handle_open(open(target_path, O_RDONLY));

    (void)unused;
    if (handle == NULL || door_handle_call(handle, &arg, &terms) < 0)
        return errno;
    return arg.data_size == sizeof(r) ? 0 : EPROTO;
}

int target_call(void)
{
    return door_test_in_child(call_well, NULL);
}

void target_serves(void)
{
    ck_assert_int_eq(target_call(), 0);
}

int target_call_unprivileged(void)
{
    return door_test_unprivileged(call_well, NULL);
}

void target_serves_after_close(int fd, int peer)
{
    close(fd);
    target_go_on();
    target_serves();
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    target_serves();
    close(peer);
}

static bool threads_settled(void *arg)
{
    (void)arg;
    return door_test_thread_count(target_pid) <= threads_before + SPARE_THREADS;
}

void target_is_clean(void)
{
    target_serves();
    ck_assert_int_eq(waitpid(target_pid, NULL, WNOHANG), 0);
    ck_assert_msg(door_test_fds_settle(target_pid, fds_before),
                  "the server has %d descriptors, not %d", door_test_fd_count_of(target_pid),
                  fds_before);
    ck_assert_msg(door_test_await(threads_settled, NULL), "the server has %d threads, not %d",
                  door_test_thread_count(target_pid), threads_before);
}

/* The library looks into /proc while the pool grows: the least of a while counts. */
static int quiet_fd_count(void)
{
    int64_t until_ms = door_test_now_ms() + QUIET_MS;
    int least = door_test_fd_count_of(target_pid);

    while (door_test_now_ms() < until_ms) {
        int count = door_test_fd_count_of(target_pid);
        least = count < least ? count : least;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return least;
}

void target_start(unsigned fd_limit)
{
    signal(SIGPIPE, SIG_IGN);
    target_shared = door_test_shared(sizeof(*target_shared));
    door_test_sem_init(&target_shared->entered);
    door_test_sem_init(&target_shared->released);
    target_path = door_test_path("door");
    target_pid = door_test_spawn(run_server, &fd_limit);
    target_serves();
    fds_before = quiet_fd_count();
    threads_before = door_test_thread_count(target_pid);
}

void target_hold(void)
{
    ck_assert_int_eq(kill(target_pid, SIGSTOP), 0);
    ck_assert_int_eq(waitpid(target_pid, NULL, WUNTRACED), target_pid);
}

void target_go_on(void)
{
    ck_assert_int_eq(kill(target_pid, SIGCONT), 0);
}
