/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_names.c: what becomes of a door's name and of its descriptors when other
 * calls than those for doors are used on them: unlink(2), rename(2), chmod(2) of a
 * name, open(2) of /proc, read(2).
 */
#include "door_test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/inotify.h>
#endif
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATA "data of the file beneath\n"

static char answer[] = "answered";
static _Atomic long unrefs;

static void respond(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    if (argp == DOOR_UNREF_DATA) {
        atomic_fetch_add(&unrefs, 1);
        door_return(NULL, 0, NULL, 0);
    }
    door_return(c, strlen(c) + 1, NULL, 0);
}

static int new_door(void)
{
    int d = door_create(respond, answer, DOOR_UNREF_MULTI);

    ck_assert_int_ge(d, 0);
    return d;
}

static bool answers(int d)
{
    char result[64] = "";

    return door_test_call(d, NULL, 0, result, sizeof(result)) > 0 && strcmp(result, answer) == 0;
}

static bool name_answers(const char *path)
{
    int d = open(path, O_RDONLY);
    bool good = d >= 0 && answers(d);

    if (d >= 0)
        close(d);
    return good;
}

static int attached(const char *path, mode_t mode)
{
    int d = new_door();

    door_test_file(path, DATA, mode);
    ck_assert_int_eq(fattach(d, path), 0);
    return d;
}

static void file_is_back(const char *path)
{
    char text[256];

    door_test_read_file(path, text, sizeof(text));
    ck_assert_str_eq(text, DATA);
}

static bool told(void *count)
{
    return unrefs == *(long *)count;
}

static void is_told(long count)
{
    ck_assert_msg(door_test_await(told, &count), "told %ld times, not %ld", (long)unrefs, count);
}

/* How many files are in the directory. */
static int file_count(const char *path)
{
    DIR *dir = opendir(path);
    int count = -2; /* . and .. */

    ck_assert_ptr_nonnull(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static bool can_be_removed(void *directory)
{
    return rmdir(directory) == 0;
}

static const char *new_directory(const char *name)
{
    const char *path = door_test_path(name);

    ck_assert_int_eq(mkdir(path, 0755), 0);
    return path;
}

/* ------------------------------------------------ unlink */

START_TEST(removing_a_name_detaches_it)
{
    const char *dir = new_directory("dir"), *path = door_test_path("dir/door");
    int d = attached(path, 0644), opened = door_test_open(path);

    ck_assert_int_eq(unlink(path), 0);
    ck_assert(answers(opened));
    ck_assert_int_eq(unrefs, 0);
    close(opened);
    is_told(1);
    ck_assert(door_test_await(can_be_removed, (void *)dir));
    ck_assert(answers(d));
}
END_TEST

/* Also if the server has not come to it when the name goes. */
START_TEST(who_has_opened_a_name_keeps_the_door)
{
    const char *path = door_test_path("door");
    int d = new_door(), opened;

    for (int i = 0; i < 300; i++) {
        door_test_file(path, DATA, 0600);
        ck_assert_int_eq(fattach(d, path), 0);
        opened = door_test_open(path);
        if (i % 2 == 0)
            ck_assert_int_eq(fdetach(path), 0);
        ck_assert_int_eq(unlink(path), 0);
        ck_assert(answers(opened));
        close(opened);
    }
}
END_TEST

START_TEST(removing_names_leaks_nothing)
{
    const char *path = door_test_path("door");
    int d = new_door(), before = 0;

    for (int i = 0; i < 300; i++) {
        door_test_file(path, "", 0600);
        ck_assert_int_eq(fattach(d, path), 0);
        ck_assert_int_eq(unlink(path), 0);
        is_told(i + 1);
        if (i == 5)
            before = door_test_fd_count();
    }
    ck_assert(door_test_fds_settle(0, before));
    ck_assert_int_eq(file_count(door_test_path("")), 0);
}
END_TEST

/* The socket has two names, and is attached until the last one goes. */
START_TEST(a_second_link_keeps_the_name)
{
    const char *dir = new_directory("dir"), *path = door_test_path("dir/door");
    const char *second = door_test_path("dir/second");

    attached(path, 0644);
    ck_assert_int_eq(link(path, second), 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert(name_answers(second));
    ck_assert_int_eq(unlink(second), 0);
    is_told(1);
    ck_assert(door_test_await(can_be_removed, (void *)dir));
}
END_TEST

/* ------------------------------------------------ rename */

START_TEST(a_renamed_name_is_detached_by_the_new_one)
{
    const char *dir = new_directory("dir"), *from = door_test_path("dir/x.tmp");
    const char *to = door_test_path("dir/x");

    attached(from, 0640);
    ck_assert_int_eq(rename(from, to), 0);
    ck_assert(name_answers(to));
    errno = 0;
    ck_assert_int_eq(fdetach(from), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(fdetach(to), 0);
    is_told(1);
    file_is_back(to);
    ck_assert_int_eq(unlink(to), 0);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

/* As programs do that replace a name in one step. */
START_TEST(a_name_is_renamed_over_another)
{
    const char *dir = new_directory("dir"), *from = door_test_path("dir/x.tmp");
    const char *to = door_test_path("dir/x");

    for (int i = 0; i < 10; i++) {
        attached(from, 0600);
        ck_assert_int_eq(rename(from, to), 0);
        is_told(i); /* the one that had the name before has none */
        ck_assert(name_answers(to));
    }
    ck_assert_int_eq(fdetach(to), 0);
    file_is_back(to);
    ck_assert_int_eq(unlink(to), 0);
    ck_assert(door_test_await(can_be_removed, (void *)dir));
}
END_TEST

START_TEST(a_name_is_moved_to_another_directory)
{
    const char *old = new_directory("old"), *new = new_directory("new");
    const char *from = door_test_path("old/door"), *to = door_test_path("new/other");

    attached(from, 0600);
    ck_assert_int_eq(rename(from, to), 0);
    ck_assert(name_answers(to));
    ck_assert_int_eq(fdetach(to), 0);
    file_is_back(to);
    ck_assert_int_eq(rmdir(old), 0);
    ck_assert_int_eq(unlink(to), 0);
    ck_assert_int_eq(rmdir(new), 0);
}
END_TEST

START_TEST(a_dead_servers_name_is_renamed_and_detached)
{
    const char *dir = new_directory("dir"), *from = door_test_path("dir/x.tmp");
    const char *to = door_test_path("dir/x");

    door_test_file(from, DATA, 0600);
    door_test_stop(door_test_serve(from, respond, answer, 0));
    ck_assert_int_eq(rename(from, to), 0);
    ck_assert_int_eq(fdetach(to), 0);
    file_is_back(to);
    ck_assert_int_eq(unlink(to), 0);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

/* Nobody is there to remove its placeholder; the next who attaches does. */
START_TEST(dead_servers_leave_no_more_than_one_file)
{
    const char *dir = new_directory("dir"), *path = door_test_path("dir/door");

    for (int i = 0; i < 5; i++) {
        door_test_stop(door_test_serve(path, respond, answer, 0));
        ck_assert_int_eq(unlink(path), 0);
        ck_assert_int_le(file_count(dir), 1);
    }
}
END_TEST

/* ------------------------------------------------ chmod */

struct access {
    const char *path;
    bool wanted;
};

static int try_access(void *arg)
{
    return name_answers(arg);
}

static bool access_is_as_wanted(void *arg)
{
    const struct access *a = arg;

    return door_test_unprivileged(try_access, (void *)a->path) == a->wanted;
}

START_TEST(the_mode_is_followed)
{
    static const struct {
        mode_t mode;
        bool others_may_call;
    } changes[] = {{0600, false}, {0644, true}, {0400, false}, {0444, true}, {0622, false},
                   {0666, true},  {0, false},   {0604, true},  {0440, false}};
    const char *path = door_test_path("door");

    if (geteuid() != 0)
        return;
    attached(path, 0640);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct access a = {path, changes[i].others_may_call};
        ck_assert_int_eq(chmod(path, changes[i].mode), 0);
        ck_assert_msg(door_test_await(access_is_as_wanted, &a), "%o", changes[i].mode);
        usleep(10000);
        ck_assert_msg(access_is_as_wanted(&a), "%o, later", changes[i].mode);
    }
    ck_assert_int_eq(fdetach(path), 0);
    file_is_back(path);
}
END_TEST

/* Without root it is the owner itself who would be refused. */
START_TEST(the_owner_keeps_its_access)
{
    const char *path = door_test_path("door");
    struct stat st;

    attached(path, 0600);
    ck_assert_int_eq(chmod(path, 0444), 0);
    for (int i = 0; i < DOOR_TEST_DEADLINE_MS / 10; i++) {
        ck_assert_int_eq(stat(path, &st), 0);
        if ((st.st_mode & 0777) == 0666)
            break;
        usleep(10000);
    }
    ck_assert_int_eq(st.st_mode & 0777, 0666);
    ck_assert(name_answers(path));
}
END_TEST

#ifdef __linux__
/* ------------------------------------------------ no watch to be had */

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        _exit(77);
    close(fd);
}

static int use_unwatched(void *path)
{
    char to[256];
    int d;

    /* A user namespace has limits of its own. */
    if (unshare(CLONE_NEWUSER) < 0)
        return 77;
    write_file("/proc/self/setgroups", "deny");
    write_file("/proc/self/uid_map", "0 0 1");
    write_file("/proc/self/gid_map", "0 0 1");
    write_file("/proc/sys/user/max_inotify_instances", "0");
    if (inotify_init() >= 0)
        return 77;
    snprintf(to, sizeof(to), "%s.moved", (char *)path);
    d = door_create(respond, answer, 0);
    door_test_require(d >= 0 && fattach(d, path) == 0 && name_answers(path));
    door_test_require(rename(path, to) == 0 && name_answers(to) && fdetach(to) == 0);
    door_test_require(answers(d));
    return 0;
}

START_TEST(names_work_without_a_watch)
{
    const char *path = door_test_path("door");
    int status;

    if (geteuid() != 0)
        return;
    door_test_file(path, DATA, 0600);
    status = door_test_in_child(use_unwatched, (void *)path);
    if (status == 77) /* this system allows no such namespace */
        return;
    ck_assert_int_eq(status, 0);
    file_is_back(door_test_path("door.moved"));
}
END_TEST
#endif

/* ------------------------------------------------ descriptors */

START_TEST(reading_a_door_does_not_block)
{
    const char *path = door_test_path("door");
    int own = new_door(), opened;
    char byte;

    door_test_serve(path, respond, answer, 0);
    opened = door_test_open(path);
    for (int i = 0; i < 2; i++) { /* before the first call and after it */
        ck_assert_int_le(read(own, &byte, 1), 0);
        ck_assert_int_le(read(opened, &byte, 1), 0);
        ck_assert(answers(own));
        ck_assert(answers(opened));
    }
}
END_TEST

START_TEST(writing_to_a_stopped_servers_door_does_not_block)
{
    const char *path = door_test_path("door");
    pid_t server = door_test_serve(path, respond, answer, 0);
    int opened = door_test_open(path), i = 0;

    ck_assert(answers(opened));
    door_test_freeze(server);
    while (i < 100000 && write(opened, "nonsense", 8) == 8)
        i++;
    ck_assert_int_lt(i, 100000);
    ck_assert_int_eq(errno, EAGAIN);
    kill(server, SIGCONT);
    ck_assert(answers(opened));
}
END_TEST

/* What illumos has no data path for reaches nobody here. */
START_TEST(writing_to_a_door_harms_nobody)
{
    const char *path = door_test_path("door");
    int opened;

    door_test_serve(path, respond, answer, 0);
    opened = door_test_open(path);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_le(write(opened, "nonsense", i % 9), 8);
    ck_assert(answers(opened));
}
END_TEST

#ifdef __linux__
/* Opens descriptor fd by this kind of name; another one of the same door. */
static void opens_again(int fd, const char *directory, int oflag)
{
    struct stat first, second;
    char path[64];
    int again;

    snprintf(path, sizeof(path), "%s/%d", directory, fd);
    again = open(path, oflag);
    ck_assert_msg(again >= 0, "%s: %s", path, strerror(errno));
    ck_assert_int_ne(again, fd);
    ck_assert_int_eq(fcntl(again, F_GETFD), oflag & O_CLOEXEC ? FD_CLOEXEC : 0);
    ck_assert(answers(again));
    ck_assert_int_eq(fstat(fd, &first), 0);
    ck_assert_int_eq(fstat(again, &second), 0);
    ck_assert_uint_eq(first.st_ino, second.st_ino);
    close(again);
}

START_TEST(a_descriptor_is_opened_by_its_name_in_proc)
{
    const char *path = door_test_path("door"), *link = door_test_path("link");
    int own = new_door(), opened, again;
    char in_proc[64];

    door_test_serve(path, respond, answer, 0);
    opened = door_test_open(path);
    opens_again(own, "/proc/self/fd", O_RDONLY);
    opens_again(opened, "/proc/self/fd", O_RDWR);
    opens_again(opened, "/dev/fd", O_RDONLY | O_CLOEXEC);
    snprintf(in_proc, sizeof(in_proc), "/proc/self/fd/%d", opened);
    ck_assert_int_eq(symlink(in_proc, link), 0);
    again = door_test_open(link);
    ck_assert(answers(again));
}
END_TEST

/* A socket that is no door stays what the kernel says of it. */
START_TEST(no_other_socket_is_opened_so)
{
    char path[64];
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", pair[0]);
    errno = 0;
    ck_assert_int_eq(open(path, O_RDONLY), -1);
    ck_assert_int_eq(errno, ENXIO);
}
END_TEST
#endif

int main(void)
{
    Suite *suite = suite_create("names");
    TCase *names = door_test_tcase(suite, "names", 60);
    TCase *descriptors = door_test_tcase(suite, "descriptors", 30);

    tcase_add_test(names, removing_a_name_detaches_it);
    tcase_add_test(names, who_has_opened_a_name_keeps_the_door);
    tcase_add_test(names, removing_names_leaks_nothing);
    tcase_add_test(names, a_second_link_keeps_the_name);
    tcase_add_test(names, a_renamed_name_is_detached_by_the_new_one);
    tcase_add_test(names, a_name_is_renamed_over_another);
    tcase_add_test(names, a_name_is_moved_to_another_directory);
    tcase_add_test(names, a_dead_servers_name_is_renamed_and_detached);
    tcase_add_test(names, dead_servers_leave_no_more_than_one_file);
    tcase_add_test(names, the_mode_is_followed);
    tcase_add_test(names, the_owner_keeps_its_access);
#ifdef __linux__
    tcase_add_test(names, names_work_without_a_watch);
#endif
    tcase_add_test(descriptors, reading_a_door_does_not_block);
    tcase_add_test(descriptors, writing_to_a_stopped_servers_door_does_not_block);
    tcase_add_test(descriptors, writing_to_a_door_harms_nobody);
#ifdef __linux__
    tcase_add_test(descriptors, a_descriptor_is_opened_by_its_name_in_proc);
    tcase_add_test(descriptors, no_other_socket_is_opened_so);
#endif
    return door_test_run(suite);
}
