/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_hostile_info.c: servers that lie about themselves when they are asked.
 */
#include "door_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "hostile.h"

static const char *path;

/* A server that says it is this process. */
struct pretender {
    int listening;
    struct msg_answer answer;
};

/* What this process tells everybody who has its door. */
static struct msg_answer ask(int d)
{
    struct msg_answer answer;
    unsigned count;
    int pair[2];

    door_test_require(fd_pair(pair) == 0 && hostile_request(d, MSG_INFO, &pair[1], 1));
    door_test_require(hostile_wait_readable(pair[0], DOOR_TEST_DEADLINE_MS));
    door_test_require(fd_recv(pair[0], &answer, sizeof(answer), NULL, 0, &count) == 0);
    close(pair[0]);
    close(pair[1]);
    return answer;
}

static void *answer_once(void *arg)
{
    const struct pretender *p = arg;
    struct msg_request request;
    unsigned count;
    int reply, door = accept(p->listening, NULL, NULL);

    door_test_require(door >= 0 && hostile_wait_readable(door, DOOR_TEST_DEADLINE_MS));
    door_test_require(fd_recv(door, &request, sizeof(request), &reply, 1, &count) == 0);
    door_test_require(fd_send(reply, &p->answer, sizeof(p->answer), NULL, 0) == 0);
    close(reply);
    return NULL;
}

static struct door_info told_by(struct pretender *p)
{
    struct door_info info;
    pthread_t server;
    int d;

    door_test_require(pthread_create(&server, NULL, answer_once, p) == 0);
    d = open(path, O_RDONLY);
    door_test_require(d >= 0 && door_info(d, &info) == 0);
    pthread_join(server, NULL);
    close(d);
    return info;
}

static int ask_pretenders(void *unused)
{
    static int cookie;
    int own = door_create(door_test_nothing, &cookie, 0);
    struct pretender p = {hostile_listen(path), ask(own)};
    struct door_info info;

    (void)unused;
    p.answer.info.di_data = p.answer.info.di_proc = 1;
    info = told_by(&p);
    if ((info.di_attributes & DOOR_LOCAL) && info.di_data != (door_ptr_t)(uintptr_t)&cookie)
        return 1;
    p.answer.info.di_uniquifier ^= 1;
    if (told_by(&p).di_attributes & DOOR_LOCAL)
        return 2;
    p.answer.instance_id ^= 1;
    p.answer.info.di_attributes |= DOOR_LOCAL;
    return told_by(&p).di_attributes & DOOR_LOCAL ? 3 : 0;
}

/* The cookie of a door of one's own is a pointer that one may follow. */
START_TEST(nobody_else_is_local)
{
    path = door_test_path("door");
    ck_assert_int_eq(door_test_in_child(ask_pretenders, NULL), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile info");
    TCase *tc = door_test_tcase(suite, "servers", 60);

    tcase_add_test(tc, nobody_else_is_local);
    return door_test_run(suite);
}
