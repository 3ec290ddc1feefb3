/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_hostile_server_next.c: what hostile servers can still do to a client,
 * to be moved among the other plans there.
 */
#define main run_the_others
#include "../test_hostile_server.c"
#undef main

/* Writing there raises SIGPIPE. */
static int broken_pipe(void)
{
    int fds[2];

    door_test_require(pipe(fds) == 0);
    close(fds[0]);
    return fds[1];
}

/* Writing there blocks. */
static int full_bell(void)
{
    int fd = eventfd(0, 0);
    uint64_t full = UINT64_MAX - 1;

    door_test_require(write(fd, &full, sizeof(full)) == sizeof(full));
    return fd;
}

static void ask_without_end(struct hostile_peer *p)
{
    unsigned slot = (unsigned)first_call(p);

    for (;;)
        set_state(p, slot, SLOT_IDENTIFY);
}

static void deliver_without_end(struct hostile_peer *p)
{
    unsigned slot = (unsigned)first_call(p);

    for (uint32_t i = 0;; i++) {
        hostile_slot(p, slot)->result_desc_count = i * 99991;
        set_state(p, slot, SLOT_DELIVER);
    }
}

static void go_through_all_states(struct hostile_peer *p)
{
    unsigned slot = (unsigned)first_call(p);

    for (uint32_t i = 0;; i++) {
        if (i % 16 != SLOT_DONE)
            set_state(p, slot, i % 16);
    }
}

static const struct plan bells[] = {
    {"a broken pipe as a bell", GOOD, good_memory, broken_pipe, 0, never_take},
    {"a full bell", GOOD, good_memory, full_bell, 0, never_take},
    {"a device as a bell", GOOD, good_memory, device, 0, never_take},
    {"asks without end", GOOD, good_memory, good_bell, 0, ask_without_end},
    {"delivers without end", GOOD, good_memory, good_bell, 0, deliver_without_end},
    {"all states", GOOD, good_memory, good_bell, 0, go_through_all_states},
};

START_TEST(bells_that_are_none)
{
    meet(&bells[_i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile server, next");
    TCase *tc = door_test_tcase(suite, "servers", 20);

    tcase_add_loop_test(tc, bells_that_are_none, 0, sizeof(bells) / sizeof(bells[0]));
    return door_test_run(suite);
}
