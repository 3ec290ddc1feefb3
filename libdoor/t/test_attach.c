/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_attach.c: a door's name: over which files, with which rights, what is
 * there after fdetach() or the server's death, and isastream().
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DATA "data of the file beneath\n"

static char answer[] = "answered";

static void respond(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)argp;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    door_return(c, strlen(c) + 1, NULL, 0);
}

static int new_door(void)
{
    int d = door_create(respond, answer, 0);

    ck_assert_int_ge(d, 0);
    return d;
}

static bool answers(int d)
{
    char result[64] = "";

    return door_test_call(d, NULL, 0, result, sizeof(result)) > 0 && strcmp(result, answer) == 0;
}

/* Opens the name, calls, closes. */
static bool name_answers(const char *path)
{
    int d = open(path, O_RDONLY);
    bool good;

    if (d < 0)
        return false;
    good = answers(d);
    close(d);
    return good;
}

static void attach_fails(int d, const char *path, int error)
{
    errno = 0;
    ck_assert_int_eq(fattach(d, path), -1);
    ck_assert_msg(errno == error, "fattach(%d, %.99s): errno %d, not %d", d, path, errno, error);
}

static void detach_fails(const char *path, int error)
{
    errno = 0;
    ck_assert_int_eq(fdetach(path), -1);
    ck_assert_msg(errno == error, "fdetach(%s): errno %d, not %d", path, errno, error);
}

static void file_is_back(const char *path, const char *text, mode_t mode)
{
    char read_back[256];
    struct stat st;

    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert(S_ISREG(st.st_mode));
    ck_assert_int_eq(st.st_mode & 07777, mode);
    door_test_read_file(path, read_back, sizeof(read_back));
    ck_assert_str_eq(read_back, text);
}

START_TEST(over_an_empty_file)
{
    const char *path = door_test_path("door");
    int d = new_door();

    door_test_file(path, "", 0644);
    ck_assert_int_eq(fattach(d, path), 0);
    ck_assert(name_answers(path));
    ck_assert_int_eq(fdetach(path), 0);
    file_is_back(path, "", 0644);
}
END_TEST

START_TEST(fdetach_gives_the_file_and_its_data_back)
{
    const char *path = door_test_path("door");
    int d = new_door();

    door_test_file(path, DATA, 0640);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(fattach(d, path), 0);
        ck_assert(name_answers(path));
        ck_assert_int_eq(fdetach(path), 0);
        file_is_back(path, DATA, 0640);
    }
    ck_assert(answers(d));
}
END_TEST

START_TEST(a_door_opened_before_fdetach_still_answers)
{
    const char *path = door_test_path("door");
    int d = new_door(), opened;

    door_test_file(path, "", 0644);
    ck_assert_int_eq(fattach(d, path), 0);
    opened = door_test_open(path);
    ck_assert_int_eq(fdetach(path), 0);
    ck_assert(answers(opened));
    close(opened);
}
END_TEST

START_TEST(the_name_has_the_files_mode_and_owner)
{
    static const mode_t modes[] = {0400, 0600, 0444, 0644, 0640, 0666, 0440};
    const char *path = door_test_path("door");
    int d = new_door();
    struct stat st;

    door_test_file(path, "", 0600);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if ((modes[i] & 0200) == 0 && geteuid() != 0)
            continue;
        ck_assert_int_eq(chmod(path, modes[i]), 0);
        ck_assert_int_eq(fattach(d, path), 0);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_eq(st.st_mode & 0444, modes[i] & 0444);
        ck_assert(!S_ISREG(st.st_mode));
        ck_assert_uint_eq(st.st_uid, geteuid());
        ck_assert_int_eq(fdetach(path), 0);
        file_is_back(path, "", modes[i]);
    }
}
END_TEST

START_TEST(the_name_has_the_owner_of_the_file)
{
    const char *path = door_test_path("door");
    int d = new_door();
    struct stat st;

    if (geteuid() != 0)
        return;
    door_test_file(path, DATA, 0600);
    ck_assert_int_eq(
        chown(path, door_test_unprivileged_uid(), door_test_unprivileged_gid()), 0);
    ck_assert_int_eq(fattach(d, path), 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_uid, door_test_unprivileged_uid());
    ck_assert_uint_eq(st.st_gid, door_test_unprivileged_gid());
    ck_assert_int_eq(fdetach(path), 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_uid, door_test_unprivileged_uid());
}
END_TEST

struct attempt {
    const char *path;
    int error; /* expected errno, 0 for success */
};

static int open_in_child(void *arg)
{
    const struct attempt *a = arg;
    int d;

    errno = 0;
    d = open(a->path, O_RDONLY);
    if (d < 0)
        return errno == a->error ? 0 : 1;
    return a->error == 0 && answers(d) ? 0 : 2;
}

START_TEST(who_may_read_may_open_and_call)
{
    const char *path = door_test_path("door");
    int d = new_door();

    if (geteuid() != 0)
        return;
    door_test_file(path, "", 0644);
    ck_assert_int_eq(fattach(d, path), 0);
    ck_assert_int_eq(door_test_unprivileged(open_in_child, &(struct attempt){path, 0}), 0);
    ck_assert_int_eq(fdetach(path), 0);
    ck_assert_int_eq(chmod(path, 0600), 0);
    ck_assert_int_eq(fattach(d, path), 0);
    ck_assert_int_eq(door_test_unprivileged(open_in_child, &(struct attempt){path, EACCES}), 0);
    ck_assert_int_eq(fdetach(path), 0);
    ck_assert_int_eq(chmod(path, 0622), 0);
    ck_assert_int_eq(fattach(d, path), 0);
    ck_assert_int_eq(door_test_unprivileged(open_in_child, &(struct attempt){path, EACCES}), 0);
    ck_assert(name_answers(path));
}
END_TEST

/* Its owner could not write it, a privileged server attached to it. */
START_TEST(the_owner_may_call_a_name_of_mode_0400)
{
    const char *path = door_test_path("door");
    uid_t uid = door_test_unprivileged_uid();
    int d = new_door();

    if (geteuid() != 0)
        return;
    door_test_file(path, "", 0400);
    ck_assert_int_eq(chown(path, uid, door_test_unprivileged_gid()), 0);
    ck_assert_int_eq(fattach(d, path), 0);
    ck_assert_int_eq(door_test_unprivileged(open_in_child, &(struct attempt){path, 0}), 0);
    ck_assert_int_eq(fdetach(path), 0);
    file_is_back(path, "", 0400);
}
END_TEST

static int attach_in_child(void *arg)
{
    const struct attempt *a = arg;
    int d = door_create(respond, answer, 0);

    errno = 0;
    if (d < 0 || fattach(d, a->path) == 0)
        return 1;
    return errno == a->error ? 0 : 2;
}

static int detach_in_child(void *arg)
{
    const struct attempt *a = arg;

    errno = 0;
    return fdetach(a->path) == -1 && errno == a->error ? 0 : 1;
}

START_TEST(only_the_owner_attaches_and_detaches)
{
    const char *path = door_test_path("door");
    int d = new_door();

    if (geteuid() != 0)
        return;
    door_test_file(path, DATA, 0666);
    ck_assert_int_eq(door_test_unprivileged(attach_in_child, &(struct attempt){path, EPERM}), 0);
    file_is_back(path, DATA, 0666);
    ck_assert_int_eq(fattach(d, path), 0);
    ck_assert_int_eq(door_test_unprivileged(detach_in_child, &(struct attempt){path, EPERM}), 0);
    ck_assert(name_answers(path));
}
END_TEST

START_TEST(the_owner_must_be_able_to_write)
{
    const char *dir = door_test_path("own"), *path = door_test_path("own/door");
    uid_t uid = door_test_unprivileged_uid();
    gid_t gid = door_test_unprivileged_gid();

    if (geteuid() != 0)
        return;
    ck_assert_int_eq(mkdir(dir, 0755), 0);
    ck_assert_int_eq(chown(dir, uid, gid), 0);
    door_test_file(path, DATA, 0444);
    ck_assert_int_eq(chown(path, uid, gid), 0);
    ck_assert_int_eq(door_test_unprivileged(attach_in_child, &(struct attempt){path, EACCES}),
                     0);
    file_is_back(path, DATA, 0444);
}
END_TEST

START_TEST(a_live_name_is_busy)
{
    const char *path = door_test_path("door");
    int first = new_door(), second = new_door();
    door_info_t before, after;
    int d;

    door_test_file(path, DATA, 0644);
    ck_assert_int_eq(fattach(first, path), 0);
    ck_assert_int_eq(door_info(first, &before), 0);
    attach_fails(second, path, EBUSY);
    attach_fails(first, path, EBUSY);
    d = door_test_open(path);
    ck_assert_int_eq(door_info(d, &after), 0);
    ck_assert_uint_eq(after.di_uniquifier, before.di_uniquifier);
    ck_assert(answers(d));
    close(d);
    ck_assert_int_eq(fdetach(path), 0);
    file_is_back(path, DATA, 0644);
}
END_TEST

START_TEST(a_live_name_of_another_process_is_busy)
{
    const char *path = door_test_path("door");
    int d;

    door_test_serve(path, respond, answer, 0);
    d = new_door();
    attach_fails(d, path, EBUSY);
    ck_assert(name_answers(path));
}
END_TEST

START_TEST(what_cannot_be_attached)
{
    const char *path = door_test_path("file"), *dir = door_test_path("dir");
    const char *loop = door_test_path("loop");
    char long_name[NAME_MAX + 2];
    int d = new_door(), file;

    door_test_file(path, DATA, 0644);
    file = open(path, O_RDONLY);
    ck_assert_int_eq(mkdir(dir, 0755), 0);
    ck_assert_int_eq(symlink("loop", loop), 0);
    attach_fails(file, path, EINVAL);
    attach_fails(-1, path, EBADF);
    attach_fails(d, dir, EINVAL);
    attach_fails(d, door_test_path("none"), ENOENT);
    attach_fails(d, "", ENOENT);
    attach_fails(d, door_test_path("file/below"), ENOTDIR);
    attach_fails(d, loop, ELOOP);
    memset(long_name, 'n', sizeof(long_name));
    long_name[sizeof(long_name) - 1] = '\0';
    attach_fails(d, door_test_path(long_name), ENAMETOOLONG);
    file_is_back(path, DATA, 0644);
}
END_TEST

START_TEST(what_cannot_be_detached)
{
    const char *path = door_test_path("file");

    door_test_file(path, DATA, 0644);
    detach_fails(path, EINVAL);
    file_is_back(path, DATA, 0644);
    detach_fails(door_test_path("none"), ENOENT);
    detach_fails(door_test_path("file/below"), ENOTDIR);
    ck_assert_int_eq(fattach(new_door(), path), 0);
    ck_assert_int_eq(fdetach(path), 0);
    detach_fails(path, EINVAL);
}
END_TEST

/* Four directories of 60 bytes: far more than an address of a socket holds. */
static const char *deep_dir(void)
{
    char dir[61], path[300] = "deep";

    memset(dir, 'd', sizeof(dir));
    dir[0] = '/';
    dir[sizeof(dir) - 1] = '\0';
    door_test_require(mkdir(door_test_path(path), 0755) == 0);
    for (int i = 0; i < 4; i++) {
        strcat(path, dir);
        door_test_require(mkdir(door_test_path(path), 0755) == 0);
    }
    return door_test_path(path);
}

START_TEST(long_paths)
{
    const char *dir = deep_dir();
    char path[PATH_MAX];
    int d = new_door();

    snprintf(path, sizeof(path), "%s/door", dir);
    door_test_file(path, DATA, 0644);
    ck_assert_int_eq(fattach(d, path), 0);
    ck_assert(name_answers(path));
    attach_fails(d, path, EBUSY);
    ck_assert_int_eq(chdir(dir), 0);
    ck_assert(name_answers("door"));
    ck_assert(name_answers("./door"));
    ck_assert_int_eq(fdetach(path), 0);
    file_is_back(path, DATA, 0644);
}
END_TEST

START_TEST(long_names)
{
    char name[NAME_MAX + 1];
    const char *path;
    int d = new_door();

    memset(name, 'n', sizeof(name));
    name[200] = '\0';
    path = door_test_path(name);
    door_test_file(path, DATA, 0600);
    ck_assert_int_eq(fattach(d, path), 0);
    ck_assert(name_answers(path));
    ck_assert_int_eq(fdetach(path), 0);
    file_is_back(path, DATA, 0600);
}
END_TEST

START_TEST(relative_names)
{
    int d = new_door();

    ck_assert_int_eq(chdir(door_test_path("")), 0);
    door_test_file("door", DATA, 0600);
    ck_assert_int_eq(fattach(d, "door"), 0);
    ck_assert(name_answers("door"));
    ck_assert(name_answers(door_test_path("door")));
    ck_assert_int_eq(fdetach("door"), 0);
    file_is_back("door", DATA, 0600);
}
END_TEST

START_TEST(several_names_for_one_door)
{
    const char *paths[] = {door_test_path("a"), door_test_path("b"), door_test_path("c")};
    int d = new_door(), opened;
    door_info_t own, info;

    ck_assert_int_eq(door_info(d, &own), 0);
    for (int i = 0; i < 3; i++) {
        door_test_file(paths[i], DATA, 0600);
        ck_assert_int_eq(fattach(d, paths[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        opened = door_test_open(paths[i]);
        ck_assert_int_eq(door_info(opened, &info), 0);
        ck_assert_uint_eq(info.di_uniquifier, own.di_uniquifier);
        ck_assert(answers(opened));
        close(opened);
    }
    ck_assert_int_eq(fdetach(paths[1]), 0);
    file_is_back(paths[1], DATA, 0600);
    ck_assert(name_answers(paths[0]));
    ck_assert(name_answers(paths[2]));
}
END_TEST

START_TEST(through_a_symbolic_link)
{
    const char *path = door_test_path("door"), *link = door_test_path("link");
    int d = new_door();
    struct stat st;

    door_test_file(path, DATA, 0644);
    ck_assert_int_eq(symlink("door", link), 0);
    ck_assert_int_eq(fattach(d, link), 0);
    ck_assert_int_eq(lstat(link, &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    ck_assert(name_answers(path));
    ck_assert(name_answers(link));
    ck_assert_int_eq(fdetach(link), 0);
    file_is_back(path, DATA, 0644);
}
END_TEST

START_TEST(ways_to_open)
{
    const char *path = door_test_path("door");
    int dir, d;

    door_test_serve(path, respond, answer, 0);
    d = open(path, O_RDONLY);
    ck_assert(answers(d));
    ck_assert_int_eq(fcntl(d, F_GETFD) & FD_CLOEXEC, 0);
    close(d);
    d = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert(answers(d));
    ck_assert_int_eq(fcntl(d, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    close(d);
    d = open(path, O_RDWR);
    ck_assert(answers(d));
    close(d);
    d = open(path, O_RDWR | O_CREAT, 0600);
    ck_assert(answers(d));
    close(d);
    errno = 0;
    ck_assert_int_eq(open(path, O_RDWR | O_CREAT | O_EXCL, 0600), -1);
    ck_assert_int_eq(errno, EEXIST);
    dir = open(door_test_path(""), O_RDONLY);
    d = openat(dir, "door", O_RDONLY);
    ck_assert(answers(d));
    close(d);
    d = openat(AT_FDCWD, path, O_RDONLY);
    ck_assert(answers(d));
    close(d);
    close(dir);
}
END_TEST

/* The lowest free number, as open(2) promises. */
START_TEST(open_takes_the_lowest_number)
{
    const char *path = door_test_path("door");
    int lowest, d;

    door_test_serve(path, respond, answer, 0);
    for (int i = 0; i < 10; i++) {
        lowest = dup(0);
        close(lowest);
        d = door_test_open(path);
        ck_assert_int_eq(d, lowest);
        ck_assert(answers(d));
        if (i % 2 == 0)
            close(d);
    }
}
END_TEST

START_TEST(a_dead_servers_name_opens_as_a_dead_door)
{
    const char *path = door_test_path("door");
    pid_t server = door_test_serve(path, respond, answer, 0);
    int d;

    ck_assert(name_answers(path));
    door_test_stop(server);
    d = door_test_open(path);
    ck_assert_int_eq(door_call(d, NULL), -1);
    ck_assert_int_eq(errno, EBADF);
    close(d);
}
END_TEST

START_TEST(a_dead_servers_name_is_replaced)
{
    const char *path = door_test_path("door");

    for (int i = 0; i < 5; i++) {
        pid_t server = door_test_serve(path, respond, answer, 0);

        ck_assert(name_answers(path));
        door_test_stop(server);
        ck_assert(!name_answers(path));
    }
}
END_TEST

/* The placeholder is made by creat(), as the manual's example does it. */
static void serve_with_creat(void *arg)
{
    int d = door_create(respond, answer, 0), fd = creat(arg, 0600);

    door_test_require(d >= 0 && fd >= 0);
    close(fd);
    door_test_require(fattach(d, arg) == 0);
    door_test_ready();
    door_test_pause();
}

START_TEST(a_dead_servers_name_is_replaced_with_creat)
{
    const char *path = door_test_path("door");

    for (int i = 0; i < 3; i++) {
        pid_t server = door_test_spawn(serve_with_creat, (void *)path);

        ck_assert(name_answers(path));
        door_test_stop(server);
    }
}
END_TEST

START_TEST(data_beneath_outlives_dead_servers)
{
    const char *path = door_test_path("door");

    door_test_file(path, DATA, 0640);
    for (int i = 0; i < 3; i++) {
        door_test_stop(door_test_serve(path, respond, answer, 0));
        ck_assert(!name_answers(path));
    }
    ck_assert_int_eq(fdetach(path), 0);
    file_is_back(path, DATA, 0640);
}
END_TEST

START_TEST(attaching_leaks_no_descriptor)
{
    const char *path = door_test_path("door"), *none = door_test_path("none");
    int d = new_door(), before = 0;

    door_test_file(path, DATA, 0644);
    for (int i = 0; i < 100; i++) {
        if (i == 5)
            before = door_test_fd_count();
        ck_assert_int_eq(fattach(d, path), 0);
        attach_fails(d, path, EBUSY);
        ck_assert_int_eq(fdetach(path), 0);
        attach_fails(d, none, ENOENT);
    }
    ck_assert(door_test_fds_settle(0, before));
}
END_TEST

START_TEST(no_files_are_left_behind)
{
    const char *path = door_test_path("only/door");
    int d = new_door();

    ck_assert_int_eq(mkdir(door_test_path("only"), 0755), 0);
    door_test_file(path, DATA, 0644);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(fattach(d, path), 0);
        ck_assert_int_eq(fdetach(path), 0);
    }
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(door_test_path("only")), 0);
}
END_TEST

START_TEST(is_a_stream)
{
    int d = new_door(), opened, file = open("/dev/null", O_RDONLY);
    const char *path = door_test_path("door");

    ck_assert_int_eq(isastream(d), 1);
    door_test_file(path, "", 0644);
    ck_assert_int_eq(fattach(d, path), 0);
    opened = door_test_open(path);
    ck_assert_int_eq(isastream(opened), 1);
    close(opened);
    errno = 0;
    ck_assert_int_eq(isastream(opened), -1);
    ck_assert_int_eq(errno, EBADF);
    ck_assert_int_eq(isastream(file), 0);
    close(file);
}
END_TEST

static void add_name_tests(TCase *tc)
{
    tcase_add_test(tc, over_an_empty_file);
    tcase_add_test(tc, fdetach_gives_the_file_and_its_data_back);
    tcase_add_test(tc, a_door_opened_before_fdetach_still_answers);
    tcase_add_test(tc, a_live_name_is_busy);
    tcase_add_test(tc, a_live_name_of_another_process_is_busy);
    tcase_add_test(tc, what_cannot_be_attached);
    tcase_add_test(tc, what_cannot_be_detached);
    tcase_add_test(tc, long_paths);
    tcase_add_test(tc, long_names);
    tcase_add_test(tc, relative_names);
    tcase_add_test(tc, several_names_for_one_door);
    tcase_add_test(tc, through_a_symbolic_link);
    tcase_add_test(tc, ways_to_open);
    tcase_add_test(tc, open_takes_the_lowest_number);
    tcase_add_test(tc, attaching_leaks_no_descriptor);
    tcase_add_test(tc, no_files_are_left_behind);
    tcase_add_test(tc, is_a_stream);
}

int main(void)
{
    Suite *suite = suite_create("attach");
    TCase *names = door_test_tcase(suite, "names", 30);
    TCase *rights = door_test_tcase(suite, "rights", 30);
    TCase *death = door_test_tcase(suite, "dead servers", 30);

    add_name_tests(names);
    tcase_add_test(rights, the_name_has_the_files_mode_and_owner);
    tcase_add_test(rights, the_name_has_the_owner_of_the_file);
    tcase_add_test(rights, the_owner_may_call_a_name_of_mode_0400);
    tcase_add_test(rights, who_may_read_may_open_and_call);
    tcase_add_test(rights, only_the_owner_attaches_and_detaches);
    tcase_add_test(rights, the_owner_must_be_able_to_write);
    tcase_add_test(death, a_dead_servers_name_opens_as_a_dead_door);
    tcase_add_test(death, a_dead_servers_name_is_replaced);
    tcase_add_test(death, a_dead_servers_name_is_replaced_with_creat);
    tcase_add_test(death, data_beneath_outlives_dead_servers);
    return door_test_run(suite);
}
