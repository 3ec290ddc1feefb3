/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_cred.c: door_cred() and door_ucred(): who calls, at the time of the call
 * and not when the door was opened.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* getresuid() */
#endif

#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define GROUPS_MAX_HERE 16

/* What the procedure learnt of its caller. */
struct told {
    int cred_error;
    int ucred_error;
    door_cred_t cred;
    pid_t pid;
    uid_t euid, ruid, suid;
    gid_t egid, rgid, sgid;
    int groups_count;
    gid_t groups[GROUPS_MAX_HERE];
};

static void ask_ucred(struct told *t)
{
    ucred_t *uc = NULL;
    const gid_t *groups;

    if (door_ucred(&uc) != 0) {
        t->ucred_error = errno;
        return;
    }
    t->pid = ucred_getpid(uc);
    t->euid = ucred_geteuid(uc);
    t->ruid = ucred_getruid(uc);
    t->suid = ucred_getsuid(uc);
    t->egid = ucred_getegid(uc);
    t->rgid = ucred_getrgid(uc);
    t->sgid = ucred_getsgid(uc);
    t->groups_count = ucred_getgroups(uc, &groups);
    for (int i = 0; i < t->groups_count && i < GROUPS_MAX_HERE; i++)
        t->groups[i] = groups[i];
    ucred_free(uc);
}

static void tell(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    struct told t;

    (void)c;
    (void)argp;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    memset(&t, 0, sizeof(t));
    if (door_cred(&t.cred) != 0)
        t.cred_error = errno;
    ask_ucred(&t);
    door_return((char *)&t, sizeof(t), NULL, 0);
}

/* 0 if the door tells of the caller what is so, otherwise the line that was not. */
static int is_told_right(void *arg)
{
    struct told t;
    uid_t ruid, euid, suid;
    gid_t rgid, egid, sgid;

    if (door_test_call(*(int *)arg, NULL, 0, &t, sizeof(t)) != sizeof(t))
        return __LINE__ % 256;
    if (t.cred_error != 0 || t.ucred_error != 0)
        return __LINE__ % 256;
    getresuid(&ruid, &euid, &suid);
    getresgid(&rgid, &egid, &sgid);
    if (t.cred.dc_pid != getpid() || t.pid != getpid())
        return __LINE__ % 256;
    if (t.cred.dc_euid != euid || t.cred.dc_ruid != ruid)
        return __LINE__ % 256;
    if (t.cred.dc_egid != egid || t.cred.dc_rgid != rgid)
        return __LINE__ % 256;
    if (t.euid != euid || t.ruid != ruid || t.suid != suid)
        return __LINE__ % 256;
    if (t.egid != egid || t.rgid != rgid || t.sgid != sgid)
        return __LINE__ % 256;
    return 0;
}

static int start(void)
{
    const char *path = door_test_path("door");

    door_test_serve(path, tell, NULL, 0);
    return door_test_open(path);
}

START_TEST(of_the_caller)
{
    int d = start();

    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(is_told_right(&d), 0);
}
END_TEST

START_TEST(of_a_child_that_inherited_the_door)
{
    int d = start();

    ck_assert_int_eq(is_told_right(&d), 0);
    ck_assert_int_eq(door_test_in_child(is_told_right, &d), 0);
    ck_assert_int_eq(is_told_right(&d), 0);
}
END_TEST

START_TEST(of_a_child_that_dropped_its_rights)
{
    int d = start();

    ck_assert_int_eq(door_test_unprivileged(is_told_right, &d), 0);
}
END_TEST

/* Called first as root, over a channel that root opened. */
static int drop_between_calls(void *arg)
{
    int line = is_told_right(arg);

    if (line != 0 || geteuid() != 0)
        return line;
    if (setgid(door_test_unprivileged_gid()) != 0 || setuid(65534) != 0)
        return 1;
    return is_told_right(arg);
}

START_TEST(after_rights_were_dropped)
{
    int d = start();

    ck_assert_int_eq(door_test_in_child(drop_between_calls, &d), 0);
}
END_TEST

static int differing_ids(void *arg)
{
    if (geteuid() != 0)
        return is_told_right(arg);
    if (setresgid(101, 102, 103) != 0 || setresuid(201, 202, 203) != 0)
        return 1;
    return is_told_right(arg);
}

START_TEST(effective_real_and_saved_ids)
{
    int d = start();

    ck_assert_int_eq(door_test_in_child(differing_ids, &d), 0);
}
END_TEST

static int supplementary_groups(void *arg)
{
    static const gid_t groups[] = {301, 302, 303};
    struct told t;
    int found = 0;

    if (geteuid() != 0)
        return 0;
    if (setgroups(3, groups) != 0)
        return 1;
    if (door_test_call(*(int *)arg, NULL, 0, &t, sizeof(t)) != sizeof(t) || t.ucred_error != 0)
        return 2;
    for (int i = 0; i < t.groups_count; i++)
        for (int j = 0; j < 3; j++)
            found += t.groups[i] == groups[j];
    return found == 3 ? 0 : 3;
}

START_TEST(groups)
{
    int d = start();

    if (door_test_emulated())
        return; /* qemu knows no SO_PEERGROUPS */
    ck_assert_int_eq(door_test_in_child(supplementary_groups, &d), 0);
}
END_TEST

START_TEST(outside_of_a_call)
{
    door_cred_t cred;
    ucred_t *uc = NULL;

    errno = 0;
    ck_assert_int_eq(door_cred(&cred), -1);
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    ck_assert_int_eq(door_ucred(&uc), -1);
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

static void *ask_again_and_again(void *arg)
{
    for (long i = door_test_emulated() ? 20 : door_test_scaled(1500); i > 0; i--)
        if (is_told_right(arg) != 0)
            return arg;
    return NULL;
}

/* What came with the letters is closed meanwhile, by threads that others keep waiting. */
START_TEST(many_ask_at_a_time)
{
    enum { THREADS = 8 };
    const char *path = door_test_path("door");
    pthread_t threads[THREADS];
    void *failed[THREADS];
    int d;

    door_test_serve(path, tell, NULL, 0);
    d = door_test_open(path);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_again_and_again, &d), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], &failed[i]);
    for (int i = 0; i < THREADS; i++)
        ck_assert_ptr_null(failed[i]);
}
END_TEST

START_TEST(asking_leaks_nothing)
{
    const char *path = door_test_path("door");
    pid_t server = door_test_serve(path, tell, NULL, 0);
    int d = door_test_open(path), fds = 0, server_fds = 0;

    for (int i = 0; i < 300; i++) {
        ck_assert_int_eq(is_told_right(&d), 0);
        if (i == 20) {
            fds = door_test_fd_count();
            server_fds = door_test_fd_count_of(server);
        }
    }
    ck_assert(door_test_fds_settle(0, fds + 2));
    ck_assert(door_test_fds_settle(server, server_fds + 2));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cred");
    TCase *tc = door_test_tcase(suite, "cred", 30);

    tcase_add_test(tc, of_the_caller);
    tcase_add_test(tc, of_a_child_that_inherited_the_door);
    tcase_add_test(tc, of_a_child_that_dropped_its_rights);
    tcase_add_test(tc, after_rights_were_dropped);
    tcase_add_test(tc, effective_real_and_saved_ids);
    tcase_add_test(tc, groups);
    tcase_add_test(tc, outside_of_a_call);
    tcase_add_test(tc, asking_leaks_nothing);
    tcase_add_test(tc, many_ask_at_a_time);
    return door_test_run(suite);
}
