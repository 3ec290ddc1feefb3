/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_names.c: what becomes of a door's name and of its descriptors when other
 * calls than those for doors are used on them: open(2) of /proc, read(2).
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

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
    TCase *descriptors = door_test_tcase(suite, "descriptors", 30);

    tcase_add_test(descriptors, reading_a_door_does_not_block);
    tcase_add_test(descriptors, writing_to_a_door_harms_nobody);
#ifdef __linux__
    tcase_add_test(descriptors, a_descriptor_is_opened_by_its_name_in_proc);
    tcase_add_test(descriptors, no_other_socket_is_opened_so);
#endif
    return door_test_run(suite);
}
