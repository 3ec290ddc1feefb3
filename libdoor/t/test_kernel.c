/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_kernel.c: what an older kernel, an emulator or a sandbox does not have, and
 * what a large machine has: the library is linked with functions of this file
 * where it calls the system.
 */
#include "door_test.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "fd.h"
#include "../src/thread.h" /* the other one is for programs */

static _Atomic int cookie_error; /* of SO_COOKIE; 0: there is one */
static _Atomic int memory_error; /* of memfd_create() */
static _Atomic int random_error; /* of getrandom() */
static int ignores_advice;       /* of madvise() about forks, as qemu does */
static const char *release;      /* of the kernel; NULL: as it is */
static unsigned processors;      /* 0: as many as there are */
static _Thread_local int early_ends; /* how often an end is to be reported too early */

/* libc's own. */
static struct {
    int (*getsockopt)(int, int, int, void *, socklen_t *);
    int (*uname)(struct utsname *);
    int (*memfd_create)(const char *, unsigned);
    int (*madvise)(void *, size_t, int);
    ssize_t (*getrandom)(void *, size_t, unsigned);
    int (*sched_getaffinity)(pid_t, size_t, cpu_set_t *);
    ssize_t (*recvmsg)(int, struct msghdr *, int);
} real;

/* Before main(): a sanitizer's runtime calls some of them. */
__attribute__((constructor)) static void find_real(void)
{
    real.getsockopt = (int (*)(int, int, int, void *, socklen_t *))dlsym(RTLD_NEXT, "getsockopt");
    real.uname = (int (*)(struct utsname *))dlsym(RTLD_NEXT, "uname");
    real.memfd_create = (int (*)(const char *, unsigned))dlsym(RTLD_NEXT, "memfd_create");
    real.madvise = (int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "madvise");
    real.getrandom = (ssize_t(*)(void *, size_t, unsigned))dlsym(RTLD_NEXT, "getrandom");
    real.sched_getaffinity =
        (int (*)(pid_t, size_t, cpu_set_t *))dlsym(RTLD_NEXT, "sched_getaffinity");
    real.recvmsg = (ssize_t(*)(int, struct msghdr *, int))dlsym(RTLD_NEXT, "recvmsg");
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    if (cookie_error != 0 && level == SOL_SOCKET && name == SO_COOKIE) {
        errno = cookie_error;
        return -1;
    }
    if (release != NULL && level == SOL_SOCKET && name == SO_COOKIE) {
        *(uint64_t *)value = 1; /* another network namespace has the same */
        return 0;
    }
    return real.getsockopt(fd, level, name, value, len);
}

int uname(struct utsname *system)
{
    int result = real.uname(system);

    if (result == 0 && release != NULL)
        strcpy(system->release, release);
    return result;
}

int memfd_create(const char *name, unsigned flags)
{
    if (memory_error != 0) {
        errno = memory_error;
        return -1;
    }
    return real.memfd_create(name, flags);
}

int madvise(void *base, size_t size, int advice)
{
    if (ignores_advice && (advice == MADV_WIPEONFORK || advice == MADV_DONTFORK))
        return 0;
    return real.madvise(base, size, advice);
}

ssize_t getrandom(void *buffer, size_t size, unsigned flags)
{
    if (random_error != 0) {
        errno = random_error;
        return -1;
    }
    return real.getrandom(buffer, size, flags);
}

/* As the kernel: a set that cannot hold all processors that there may be is EINVAL. */
int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
    if (processors == 0)
        return real.sched_getaffinity(pid, size, set);
    if (size * 8 < processors) {
        errno = EINVAL;
        return -1;
    }
    CPU_ZERO_S(size, set);
    for (unsigned i = 0; i < processors; i++)
        CPU_SET_S(i, size, set);
    return 0;
}

/*
 * As the kernel, if a message and the end come after it has found no message, and before it looks
 * for the end.
 */
ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    ssize_t got = real.recvmsg(fd, msg, flags);
    struct pollfd end = {.fd = fd};

    if (got >= 0 || errno != EAGAIN || early_ends == 0)
        return got;
    door_test_require(poll(&end, 1, DOOR_TEST_DEADLINE_MS) == 1); /* POLLHUP */
    early_ends--;
    msg->msg_controllen = 0;
    msg->msg_flags = 0;
    return 0;
}

static void respond(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)argp;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    door_return(c, 1, NULL, 0);
}

/* Each of two doors, of another process and of this one, answers by its own byte. */
static void doors_are_told_apart(void)
{
    static char bytes[] = "ab";
    int own[2];

    for (int i = 0; i < 2; i++) {
        int other = door_test_serve_byte(&bytes[i]);
        own[i] = door_create(respond, &bytes[i], 0);
        ck_assert_int_ge(own[i], 0);
        ck_assert_int_eq(door_test_ask(other), bytes[i]);
    }
    ck_assert_int_eq(door_test_ask(own[1]), 'b');
    ck_assert_int_eq(door_test_ask(own[0]), 'a');
    ck_assert_int_eq(door_test_ask(dup(own[1])), 'b');
}

/* EINVAL is what qemu's user emulation says, ENOPROTOOPT a kernel before 4.12. */
START_TEST(sockets_without_a_cookie)
{
    static const int errors[] = {EINVAL, ENOPROTOOPT};

    cookie_error = errors[_i];
    doors_are_told_apart();
}
END_TEST

/* Each network namespace counted for itself before Linux 5.3. */
START_TEST(cookies_that_are_not_unique)
{
    static const char *const releases[] = {"5.2.21-generic", "4.19.0", "3.17"};

    release = releases[_i];
    doors_are_told_apart();
}
END_TEST

START_TEST(what_is_no_socket_has_no_number)
{
    int pair[2];

    cookie_error = EINVAL;
    ck_assert_int_eq(pipe(pair), 0);
    ck_assert_uint_eq(fd_cookie(pair[0]), 0);
    ck_assert_uint_eq(fd_cookie(-1), 0);
}
END_TEST

START_TEST(no_memory_files)
{
    memory_error = ENOSYS;
    errno = 0;
    ck_assert_int_eq(door_create(respond, NULL, 0), -1);
    ck_assert_int_eq(errno, ENOSYS);
    memory_error = 0;
    ck_assert_int_ge(door_create(respond, NULL, 0), 0);
}
END_TEST

/* As by a filter of system calls that the server puts itself under when it has its doors. */
START_TEST(no_memory_files_any_more)
{
    static char byte = 'a';
    int d = door_create(respond, &byte, 0);

    ck_assert_int_ge(d, 0);
    memory_error = ENOSYS;
    ck_assert_int_eq(door_test_ask(d), -ENOSYS);
    memory_error = EPERM;
    ck_assert_int_eq(door_test_ask(d), -EAGAIN);
    memory_error = 0;
    ck_assert_int_eq(door_test_ask(d), 'a');
}
END_TEST

START_TEST(no_random_numbers)
{
    static char byte = 'a';
    door_info_t first, second;
    int d;

    random_error = ENOSYS;
    d = door_create(respond, &byte, 0);
    ck_assert_int_eq(door_test_ask(d), 'a');
    ck_assert_int_eq(door_info(d, &first), 0);
    ck_assert_int_eq(door_info(door_create(respond, &byte, 0), &second), 0);
    ck_assert_uint_ne(first.di_uniquifier, second.di_uniquifier);
}
END_TEST

/* The child serves none of its parent's doors, calls them, and has its own. */
static int use_in_child(void *d)
{
    static char byte = 'c';
    door_info_t info;

    if (door_info(*(int *)d, &info) != 0 || (info.di_attributes & DOOR_LOCAL) != 0)
        return 1;
    if (door_test_ask(*(int *)d) != 'p')
        return 2;
    return door_test_ask(door_create(respond, &byte, 0)) == 'c' ? 0 : 3;
}

START_TEST(forks_that_memory_does_not_tell)
{
    static char byte = 'p';
    int d;

    ignores_advice = 1;
    d = door_create(respond, &byte, 0);
    ck_assert_int_eq(door_test_ask(d), 'p');
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(door_test_in_child(use_in_child, &d), 0);
    ck_assert_int_eq(door_test_ask(d), 'p');
}
END_TEST

static bool ask_although_the_end_is_early(int d)
{
    door_info_t info;

    early_ends = 1;
    ck_assert_int_eq(door_info(d, &info), 0);
    ck_assert_int_ne(info.di_target, -1);
    return early_ends == 0;
}

/* The server may be so quick that the answer is there at the first look. */
START_TEST(an_end_before_the_last_message)
{
    static char byte = 'a';
    int d = door_test_serve_byte(&byte), tries = 0;

    while (!ask_although_the_end_is_early(d))
        ck_assert_int_lt(++tries, 10000);
    early_ends = 1;
    ck_assert_int_eq(door_test_ask(d), 'a');
}
END_TEST

START_TEST(as_many_processors_as_there_are)
{
    static const unsigned counts[] = {1, 64, 1024, 1025, 8192};

    ck_assert_uint_ge(thread_processor_count(), 1);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        processors = counts[i];
        ck_assert_uint_eq(thread_processor_count(), counts[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernel");
    TCase *tc = door_test_tcase(suite, "kernel", 30);

    tcase_add_loop_test(tc, sockets_without_a_cookie, 0, 2);
    tcase_add_loop_test(tc, cookies_that_are_not_unique, 0, 3);
    tcase_add_test(tc, what_is_no_socket_has_no_number);
    tcase_add_test(tc, no_memory_files);
    tcase_add_test(tc, no_memory_files_any_more);
    tcase_add_test(tc, no_random_numbers);
    tcase_add_test(tc, forks_that_memory_does_not_tell);
    tcase_add_test(tc, an_end_before_the_last_message);
    tcase_add_test(tc, as_many_processors_as_there_are);
    return door_test_run(suite);
}
