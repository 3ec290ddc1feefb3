/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_hostile_letters.c: what a client sends, or does not send, beside its
 * calls: descriptors, credentials, anything.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "hostile.h"
#include "hostile_target.h"
#include "mailbox.h"

#define NO_REPLY_MS 3000 /* longer than the server asks a caller that does not answer */

START_TEST(descriptors_that_never_came)
{
    static const uint32_t counts[] = {1, 2, MAILBOX_MAX, MAILBOX_MAX + 1, 1u << 31, UINT32_MAX};
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        hostile_slot(&p, i)->arg_desc_count = counts[i];
        hostile_start(&p, i);
        ck_assert_int_gt(hostile_reply(&p, i, NO_REPLY_MS + TARGET_SERVES_MS), 0);
    }
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* One less than announced: an error; one more: the end.  Nothing is kept. */
START_TEST(descriptors_of_another_number)
{
    struct hostile_peer p;
    int fds[3];

    target_start(0);
    for (int i = 0; i < 3; i++)
        fds[i] = open("/dev/null", O_RDONLY);
    for (uint32_t claimed = 1; claimed < 4; claimed++) {
        ck_assert(hostile_open(&p, target_path));
        struct shm_slot *s = hostile_slot(&p, claimed);
        s->arg_desc_count = claimed;
        s->call = 7;
        hostile_start(&p, claimed);
        ck_assert(hostile_await(&p, claimed, SLOT_SEND, TARGET_SERVES_MS));
        ck_assert(hostile_letter(&p, LETTER_DESCRIPTORS, claimed, 7, fds, 2));
        hostile_answer(&p, claimed, SLOT_SENT);
        int error = hostile_reply(&p, claimed, TARGET_SERVES_MS);
        if (claimed == 2)
            ck_assert_int_eq(error, 0);
        else
            ck_assert_int_gt(error, 0);
        ck_assert_int_eq(hostile_is_dropped(&p, claimed == 1 ? TARGET_SERVES_MS : 0), claimed == 1);
        hostile_close(&p);
    }
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    target_is_clean();
}
END_TEST

/* ------------------------------------------------ letters */

START_TEST(letters_of_any_form)
{
    struct letter good = {.magic = MSG_MAGIC, .kind = LETTER_DESCRIPTORS, .slot = 1, .call = 1};
    struct letter bad[] = {{.magic = 1}, good, good, good};
    struct hostile_peer p;
    char bytes[64] = {0};

    target_start(0);
    bad[1].slot = SHM_SLOT_COUNT;
    bad[2].slot = 0xffff;
    bad[3].kind = 0xffff;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert(hostile_open(&p, target_path));
        ck_assert_int_eq(fd_send(p.control, &bad[i], sizeof(bad[i]), &p.bell, 1), 0);
        ck_assert(i == 3 || hostile_is_dropped(&p, TARGET_SERVES_MS));
        hostile_close(&p);
    }
    for (size_t len = 1; len <= sizeof(bytes); len++) {
        if (len == sizeof(struct letter))
            continue;
        ck_assert(hostile_open(&p, target_path));
        ck_assert_int_eq(fd_send(p.control, bytes, len, &p.bell, 1), 0);
        ck_assert(hostile_is_dropped(&p, TARGET_SERVES_MS));
        hostile_close(&p);
    }
    target_is_clean();
}
END_TEST

/* Credentials that nobody asked for, with sockets that nobody wants. */
START_TEST(credentials_without_a_question)
{
    struct hostile_peer p;
    int pair[2];

    target_start(0);
    ck_assert_int_eq(fd_pair(pair), 0);
    ck_assert(hostile_open(&p, target_path));
    for (unsigned i = 0; i < 2000; i++) {
        struct letter letter = {.magic = MSG_MAGIC,
                                .kind = LETTER_CREDENTIALS,
                                .slot = (uint16_t)(i % SHM_SLOT_COUNT),
                                .call = i,
                                .which = i % 7};
        if (fd_send(p.control, &letter, sizeof(letter), pair, i % 3) < 0)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    target_serves();
    close(pair[0]);
    close(pair[1]);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* Asked who it is, it says nothing, or says it for somebody else's call. */
START_TEST(questions_that_are_not_answered)
{
    struct target_request r = {TARGET_IDENTIFY, 0}, answer;
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    memcpy(hostile_slot(&p, 0)->data, &r, sizeof(r));
    hostile_argument(&p, 0, sizeof(r));
    hostile_start(&p, 0);
    target_serves();
    ck_assert_int_eq(hostile_reply(&p, 0, NO_REPLY_MS + TARGET_SERVES_MS), 0);
    memcpy(&answer, hostile_slot(&p, 0)->data, sizeof(answer));
    ck_assert_int_eq((int)answer.count, -1);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* What the procedure was told of a caller that answers with letters of these kinds and fd. */
static int identified(uint32_t op, const uint32_t which[3], int fd)
{
    struct target_request r = {op, 0}, answer;
    struct hostile_peer p;

    ck_assert(hostile_open(&p, target_path));
    memcpy(hostile_slot(&p, 0)->data, &r, sizeof(r));
    hostile_argument(&p, 0, sizeof(r));
    hostile_slot(&p, 0)->call = 7;
    hostile_start(&p, 0);
    ck_assert(hostile_await(&p, 0, SLOT_IDENTIFY, TARGET_SERVES_MS));
    for (int i = 0; i < 3; i++) {
        struct letter letter = {MSG_MAGIC, LETTER_CREDENTIALS, 0, 7, which[i]};
        ck_assert_int_eq(fd_send(p.control, &letter, sizeof(letter), &fd, i == 0), 0);
    }
    hostile_answer(&p, 0, SLOT_WAITING);
    ck_assert_int_eq(hostile_reply(&p, 0, TARGET_SERVES_MS), 0);
    memcpy(&answer, hostile_slot(&p, 0)->data, sizeof(answer));
    hostile_close(&p);
    return (int)answer.count;
}

/* Ids that it does not say must not be taken for 0, which is root. */
START_TEST(credentials_that_are_not_complete)
{
    static const uint32_t all[3] = {0, 1, 2},
                          some[][3] = {{0, 0, 0}, {1, 1, 1}, {0, 1, 1}, {0, 2, 2}, {0, 1, 3}};
    int pair[2];

    target_start(0);
    ck_assert_int_eq(fd_pair(pair), 0);
    ck_assert_int_eq(identified(TARGET_IDENTIFY, all, pair[0]), 0);
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++)
        ck_assert_int_eq(identified(TARGET_IDENTIFY, some[i], pair[0]), -1);
    close(pair[0]);
    close(pair[1]);
    target_is_clean();
}
END_TEST

static int send_socket(void *way)
{
    int pair[2];

    door_test_require(fd_pair(pair) == 0);
    return fd_send(*(int *)way, "x", 1, &pair[0], 1);
}

/* It tells the groups of whoever made it. */
START_TEST(credentials_with_another_ones_socket)
{
    static const uint32_t all[3] = {0, 1, 2};
    int way[2], own[2], other;
    unsigned count;
    char byte;

    target_start(0);
    ck_assert_int_eq(fd_pair(way), 0);
    ck_assert_int_eq(fd_pair(own), 0);
    ck_assert_int_eq(door_test_in_child(send_socket, &way[1]), 0);
    ck_assert_int_eq(fd_recv(way[0], &byte, 1, &other, 1, &count), 0);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_ge(identified(TARGET_GROUPS, all, own[0]), 0);
    ck_assert_int_eq(identified(TARGET_GROUPS, all, other), -1);
    target_is_clean();
}
END_TEST

/* Results with descriptors for a client that never reads its socket. */
START_TEST(descriptors_that_are_never_taken)
{
    enum { CALLS = 16 };
    struct target_request r = {TARGET_GIVE_DESCS, 400};
    struct hostile_peer p;
    struct rlimit limit;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 2 * CALLS * r.count) /* the server has them open, all at once */
        r.count = (uint32_t)limit.rlim_cur / (2 * CALLS);
    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    for (unsigned slot = 0; slot < CALLS; slot++) {
        memcpy(hostile_slot(&p, slot)->data, &r, sizeof(r));
        hostile_argument(&p, slot, sizeof(r));
        hostile_start(&p, slot);
    }
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

START_TEST(a_close_that_blocks_with_a_letter)
{
    struct hostile_peer p;
    int peer, fd;

    target_start(0);
    for (unsigned kind = LETTER_DESCRIPTORS; kind <= LETTER_ABANDONED + 1; kind++) {
        ck_assert(hostile_open(&p, target_path));
        fd = hostile_lingering(&peer);
        target_hold();
        ck_assert(hostile_letter(&p, kind, 5, 1, &fd, 1));
        hostile_close(&p);
        target_serves_after_close(fd, peer);
    }
    target_is_clean();
}
END_TEST

START_TEST(a_close_that_blocks_with_a_refused_call)
{
    struct hostile_peer p;
    int peer, fd;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    fd = hostile_lingering(&peer);
    target_hold();
    ck_assert(hostile_letter(&p, LETTER_DESCRIPTORS, 5, 1, &fd, 1));
    hostile_slot(&p, 5)->call = 1;
    hostile_slot(&p, 5)->arg_desc_count = 2;
    hostile_start(&p, 5);
    target_serves_after_close(fd, peer);
    ck_assert_int_gt(hostile_reply(&p, 5, NO_REPLY_MS + TARGET_SERVES_MS), 0);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* ------------------------------------------------ calls that are given up */

static void start_call(struct hostile_peer *p, uint32_t op, uint32_t number)
{
    struct target_request r = {op, 0};

    memcpy(hostile_slot(p, 0)->data, &r, sizeof(r));
    hostile_argument(p, 0, sizeof(r));
    hostile_slot(p, 0)->call = number;
    hostile_start(p, 0);
}

/* The server has read it when it has served somebody else who came later. */
static void give_up(struct hostile_peer *p, uint32_t number)
{
    ck_assert(hostile_letter(p, LETTER_ABANDONED, 0, number, NULL, 0));
    target_serves();
}

static bool has_finished(void *count)
{
    return target_shared->finished == *(long *)count;
}

/* Whoever answers the same thread a moment later must not lose it for the others. */
START_TEST(given_up_while_its_caller_is_asked)
{
    struct hostile_peer p;

    target_is_cancelable = true;
    target_start(0);
    for (uint32_t number = 1; number < 4; number++) {
        ck_assert(hostile_open(&p, target_path));
        start_call(&p, TARGET_IDENTIFY, number);
        ck_assert(hostile_await(&p, 0, SLOT_IDENTIFY, TARGET_SERVES_MS));
        give_up(&p, number);
        hostile_answer(&p, 0, SLOT_WAITING);
        for (int i = 0; i < 3; i++)
            target_serves();
        hostile_close(&p);
    }
}
END_TEST

/* A letter that comes late, when its slot has another call, or one for no call at all. */
START_TEST(a_letter_about_another_call)
{
    static const uint32_t others[] = {6, 8, 0, UINT32_MAX};
    struct hostile_peer p;
    long finished = 1;

    target_is_cancelable = true;
    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    start_call(&p, TARGET_BLOCK, 7);
    ck_assert(door_test_sem_wait(&target_shared->entered));
    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        give_up(&p, others[i]);
    sem_post(&target_shared->released);
    ck_assert(door_test_await(has_finished, &finished));
    ck_assert_int_eq(hostile_reply(&p, 0, TARGET_SERVES_MS), 0);
    start_call(&p, TARGET_BLOCK, 8);
    ck_assert(door_test_sem_wait(&target_shared->entered));
    give_up(&p, 8);
    ck_assert_int_eq(hostile_reply(&p, 0, TARGET_SERVES_MS), EINTR);
    hostile_close(&p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile letters");
    TCase *tc = door_test_tcase(suite, "clients", 60);

    tcase_add_test(tc, descriptors_that_never_came);
    tcase_add_test(tc, descriptors_of_another_number);
    tcase_add_test(tc, letters_of_any_form);
    tcase_add_test(tc, credentials_without_a_question);
    tcase_add_test(tc, questions_that_are_not_answered);
    tcase_add_test(tc, credentials_that_are_not_complete);
    tcase_add_test(tc, credentials_with_another_ones_socket);
    tcase_add_test(tc, descriptors_that_are_never_taken);
    tcase_add_test(tc, a_close_that_blocks_with_a_letter);
    tcase_add_test(tc, a_close_that_blocks_with_a_refused_call);
    tcase_add_test(tc, given_up_while_its_caller_is_asked);
    tcase_add_test(tc, a_letter_about_another_call);
    return door_test_run(suite);
}
