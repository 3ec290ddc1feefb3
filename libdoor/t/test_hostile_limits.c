/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_hostile_limits.c: hostile clients that use up what others need.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <door_compat.h>

#include "hostile.h"
#include "hostile_target.h"
#include "mailbox.h"

START_TEST(the_doors_own_socket_as_control)
{
    int door;

    target_start(0);
    door = hostile_connect(target_path);
    ck_assert(hostile_request(door, MSG_OPEN, (int[]){door, door}, 2));
    target_serves();
    close(door);
    target_is_clean();
}
END_TEST

/* The same in a letter that no call asks for. */
START_TEST(a_letter_with_its_own_control)
{
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    ck_assert(hostile_letter(&p, LETTER_DESCRIPTORS, 5, 1, (int[]){p.control, p.door}, 2));
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* Channels without end, on one connection. */
START_TEST(channels_until_the_limit)
{
    enum { COUNT = 400 };
    static struct hostile_peer p[COUNT];
    int n = 0;

    target_start(1024);
    p[0].door = hostile_connect(target_path);
    while (n < COUNT - 1 && hostile_open_channel(&p[n])) {
        p[n + 1].door = p[n].door;
        p[n].door = -1;
        n++;
    }
    target_serves();
    for (int i = 0; i <= n; i++)
        hostile_close(&p[i]);
    target_is_clean();
}
END_TEST

/* Connections without end. */
START_TEST(connections_until_the_limit)
{
    enum { LIMIT = 512, COUNT = LIMIT + 88 };
    static int doors[COUNT];

    target_start(LIMIT);
    for (int i = 0; i < COUNT; i++)
        doors[i] = hostile_connect(target_path);
    target_serves();
    for (int i = 0; i < COUNT; i++)
        close(doors[i]);
    target_is_clean();
}
END_TEST

static bool is_turned_away(void *d)
{
    return door_test_call(*(int *)d, NULL, 0, NULL, 0) < 0 && errno == EMFILE;
}

/* It is no dead server that turns a client away: whoever is turned away hears why. */
START_TEST(who_is_turned_away_hears_why)
{
    enum { COUNT = 1100 };
    static int doors[COUNT];
    int d;

    target_start(1024);
    for (int i = 0; i < COUNT; i++)
        doors[i] = hostile_connect(target_path);
    d = door_openat(AT_FDCWD, target_path, 0);
    if (d < 0)
        ck_assert_int_eq(errno, EMFILE);
    else /* the server has turned it away since, or does so soon */
        ck_assert(door_test_await(is_turned_away, &d));
    for (int i = 0; i < COUNT; i++)
        close(doors[i]);
    close(d);
    target_is_clean();
}
END_TEST

static void do_nothing(void *c, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)c, (void)argp, (void)arg_size, (void)dp, (void)n_desc;
    door_return(NULL, 0, NULL, 0);
}

static void serve_without_descriptors(void *path)
{
    struct rlimit limit = {64, 64};

    door_test_require(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    door_test_attach(door_create(do_nothing, NULL, 0), path);
    while (dup(STDIN_FILENO) >= 0)
        continue;
    door_test_ready();
    door_test_pause();
}

/* Nobody waits for its time to be up before a server that cannot let him in. */
START_TEST(a_server_without_descriptors)
{
    const char *path = door_test_path("full");
    pid_t server = door_test_spawn(serve_without_descriptors, (void *)path);

    for (int i = 0; i < 20; i++) {
        _Atomic int64_t deadline_ns = door_now_ns() + DOOR_TEST_DEADLINE_MS * 1000000ll;
        int d = door_openat(AT_FDCWD, path, 0);
        struct door_terms terms = {.deadline_ns = &deadline_ns};
        struct door_handle *handle;

        ck_assert(d >= 0 || errno == EMFILE);
        if (d < 0)
            continue;
        handle = door_handle_open(d);
        ck_assert_ptr_nonnull(handle);
        ck_assert_int_eq(door_handle_call(handle, NULL, &terms), -1);
        ck_assert_int_eq(errno, EMFILE);
        door_handle_close(handle);
        close(d);
    }
    door_test_stop(server);
}
END_TEST

/* How many clients have been answered, or told that they cannot be. */
static struct crowd {
    const char *path;
    _Atomic int told, served;
} *crowd;

static void serve_few(void *path)
{
    door_test_require(setrlimit(RLIMIT_NOFILE, &(struct rlimit){32, 32}) == 0);
    door_test_attach(door_create(do_nothing, NULL, 0), path);
    door_test_ready();
    door_test_pause();
}

/* Calls once, and keeps what it has of the server's descriptors. */
static void call_and_stay(void *unused)
{
    int d = door_openat(AT_FDCWD, crowd->path, 0);

    (void)unused;
    door_test_ready();
    if (door_test_call(d, NULL, 0, NULL, 0) == 0)
        atomic_fetch_add(&crowd->served, 1);
    else
        door_test_require(errno == EMFILE);
    atomic_fetch_add(&crowd->told, 1);
    door_test_pause();
}

static bool is_everybody_told(void *count)
{
    return atomic_load(&crowd->told) == *(int *)count;
}

/* Also if they have sent something by the time at which they are turned away. */
START_TEST(a_crowd_before_a_full_server)
{
    enum { COUNT = 48 };
    pid_t clients[COUNT], server;

    crowd = door_test_shared(sizeof(*crowd));
    crowd->path = door_test_path("crowded");
    server = door_test_spawn(serve_few, (void *)crowd->path);
    door_test_freeze(server);
    for (int i = 0; i < COUNT; i++)
        clients[i] = door_test_spawn(call_and_stay, NULL);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL); /* they send */
    kill(server, SIGCONT);
    ck_assert_msg(door_test_await(is_everybody_told, &(int){COUNT}), "%d of %d wait",
                  COUNT - atomic_load(&crowd->told), COUNT);
    ck_assert_int_ge(atomic_load(&crowd->served), 1);
    for (int i = 0; i < COUNT; i++)
        door_test_stop(clients[i]);
    door_test_stop(server);
}
END_TEST

/* A process that holds as many connections as it is given, until it is killed. */
static void hog(void *unused)
{
    (void)unused;
    for (int i = 0; i < 300; i++)
        hostile_connect(target_path);
    door_test_ready();
    door_test_pause();
}

/* One user's processes together leave room for another user's, and all of it when they end. */
START_TEST(processes_until_the_limit)
{
    enum { COUNT = 12 };
    pid_t hogs[COUNT];

    target_start(1024);
    ck_assert_int_eq(chmod(target_path, 0666), 0);
    for (int i = 0; i < COUNT; i++)
        hogs[i] = door_test_spawn(hog, NULL);
    if (geteuid() == 0)
        ck_assert_int_eq(target_call_unprivileged(), 0);
    for (int i = 0; i < COUNT; i++)
        door_test_stop(hogs[i]);
    target_is_clean();
}
END_TEST

static void ordinary(void *unused)
{
    int d = open(target_path, O_RDONLY);
    struct target_request r = {TARGET_ECHO, 0};

    (void)unused;
    door_test_require(door_test_call(d, &r, sizeof(r), &r, sizeof(r)) == sizeof(r));
    door_test_ready();
    door_test_pause();
}

/* So many that call now and then are no hog. */
START_TEST(many_ordinary_clients)
{
    enum { COUNT = 140 };
    pid_t clients[COUNT];

    target_start(1024);
    for (int i = 0; i < COUNT; i++)
        clients[i] = door_test_spawn(ordinary, NULL);
    target_serves();
    for (int i = 0; i < COUNT; i++)
        door_test_stop(clients[i]);
    target_is_clean();
}
END_TEST

/*
 * What is under way the kernel counts for the user, who without privilege may be the
 * server's as well, until the server has read it.
 */
static bool serves_again(void *unused)
{
    int error = target_call();

    (void)unused;
    ck_assert(error == 0 || (error == EMFILE && geteuid() != 0));
    return error == 0;
}

/* Letters for no call until the server has no descriptor left for others. */
START_TEST(letters_for_no_call_until_the_limit)
{
    struct hostile_peer p;
    int fds[200];

    target_start(1024);
    for (int i = 0; i < 200; i++)
        door_test_require((fds[i] = open("/dev/null", O_RDONLY)) >= 0);
    ck_assert(hostile_open(&p, target_path));
    for (unsigned i = 0; i < 200; i++) { /* many at first, then one by one */
        while (!hostile_letter(&p, LETTER_DESCRIPTORS, i, 1, fds, i < 10 ? 200 : 1))
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    ck_assert(door_test_await(serves_again, NULL));
    target_serves();
    hostile_close(&p);
    for (int i = 0; i < 200; i++)
        close(fds[i]);
    target_is_clean();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile limits");
    TCase *tc = door_test_tcase(suite, "clients", 60);

    tcase_add_test(tc, the_doors_own_socket_as_control);
    tcase_add_test(tc, a_letter_with_its_own_control);
    tcase_add_test(tc, channels_until_the_limit);
    tcase_add_test(tc, connections_until_the_limit);
    tcase_add_test(tc, who_is_turned_away_hears_why);
    tcase_add_test(tc, a_server_without_descriptors);
    tcase_add_test(tc, a_crowd_before_a_full_server);
    tcase_add_test(tc, processes_until_the_limit);
    tcase_add_test(tc, many_ordinary_clients);
    tcase_add_test(tc, letters_for_no_call_until_the_limit);
    return door_test_run(suite);
}
