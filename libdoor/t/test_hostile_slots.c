/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_hostile_slots.c: clients that write anything into the memory that
 * they share with the server, and use its bell as they like.
 */
#include "door_test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hostile.h"
#include "hostile_target.h"

/* ------------------------------------------------ lies in the slots */

START_TEST(sizes_that_cannot_be)
{
    static const uint64_t sizes[] = {SHM_WINDOW_SIZE + 1, 1ull << 40, 1ull << 63, UINT64_MAX,
                                     UINT64_MAX - 4095};
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        hostile_argument(&p, 255 - i, sizes[i]);
        hostile_start(&p, 255 - i);
        ck_assert_int_eq(hostile_reply(&p, 255 - i, TARGET_SERVES_MS), E2BIG);
    }
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* More than was ever written: refused, or the rest reads as zeros. */
START_TEST(sizes_of_what_was_not_written)
{
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    for (unsigned i = 0; i < 8; i++) {
        hostile_argument(&p, i, SHM_INLINE_SIZE + (1u << (12 + i)));
        hostile_start(&p, i);
        ck_assert_int_ge(hostile_reply(&p, i, TARGET_SERVES_MS), 0);
    }
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

static void start_at(struct hostile_peer *p, unsigned slot, uint64_t at, uint64_t size)
{
    hostile_slot(p, slot)->arg_size = size;
    hostile_slot(p, slot)->arg_at = at;
    hostile_start(p, slot);
}

START_TEST(arguments_that_cannot_be_there)
{
    static const struct {
        uint64_t at, size;
    } places[] = {{SHM_WINDOW_SIZE, 1},
                  {SHM_WINDOW_SIZE - 1, 2},
                  {1, SHM_WINDOW_SIZE},
                  {1ull << 63, 8},
                  {UINT64_MAX - 1, 1},
                  {UINT64_MAX - 1, 2}, /* the sum is 0 */
                  {UINT64_MAX - 7, 70000},
                  {SHM_IN_SLOT, SHM_INLINE_SIZE + 1},
                  {SHM_IN_SLOT, SHM_WINDOW_SIZE},
                  {SHM_IN_SLOT, UINT64_MAX},
                  {0, SHM_WINDOW_SIZE + 1}};
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        start_at(&p, i, places[i].at, places[i].size);
        ck_assert_int_eq(hostile_reply(&p, i, TARGET_SERVES_MS), E2BIG);
    }
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* What was written, and passed, behind it does not make up for what was not. */
START_TEST(arguments_that_begin_where_nothing_was_written)
{
    static const char written[8192];
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    ck_assert_int_eq(pwrite(p.memory, written, 8192, shm_window_offset(0) + 65536), 8192);
    for (int i = 0; i < 2; i++) {
        start_at(&p, 0, 65536, 8192);
        ck_assert_int_eq(hostile_reply(&p, 0, TARGET_SERVES_MS), 0);
        start_at(&p, 0, 0, 65536 + 8192);
        ck_assert_int_eq(hostile_reply(&p, 0, TARGET_SERVES_MS), EFAULT);
        start_at(&p, 0, 61440, 8192);
        ck_assert_int_eq(hostile_reply(&p, 0, TARGET_SERVES_MS), EFAULT);
    }
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* What was written elsewhere in the window does not help. */
START_TEST(arguments_where_nothing_was_written)
{
    static const uint64_t places[] = {1 << 20, (1 << 20) + 1, 3 << 20, SHM_DATA_MAX / 2,
                                      SHM_DATA_MAX - 8192};
    static const char written[8192];
    struct hostile_peer p;
    long before_kb;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    before_kb = door_test_resident_kb(target_pid);
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        ck_assert_int_eq(pwrite(p.memory, written, 8192, shm_window_offset(i)), 8192);
        ck_assert_int_eq(pwrite(p.memory, written, 8192, shm_window_offset(i) + (2 << 20)), 8192);
        start_at(&p, i, 0, 8192);
        ck_assert_int_eq(hostile_reply(&p, i, TARGET_SERVES_MS), 0);
        start_at(&p, i, places[i], 8192);
        ck_assert_int_eq(hostile_reply(&p, i, TARGET_SERVES_MS), EFAULT);
        start_at(&p, i, 0, places[i] + 8192);
        ck_assert_int_eq(hostile_reply(&p, i, TARGET_SERVES_MS), EFAULT);
        start_at(&p, i, 4096, 8192);
        ck_assert_int_eq(hostile_reply(&p, i, TARGET_SERVES_MS), EFAULT);
    }
    target_serves();
    ck_assert_int_lt(door_test_resident_kb(target_pid), before_kb + 65536);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

static _Atomic int stop_changing;

static void *change_slots(void *arg)
{
    struct hostile_peer *p = arg;
    static const uint64_t sizes[] = {0, 1, 8, SHM_INLINE_SIZE, SHM_INLINE_SIZE + 1, 70000,
                                     1 << 20, 1ull << 33, UINT64_MAX};
    static const uint64_t places[] = {SHM_IN_SLOT, 0, SHM_IN_SLOT, 5, 70000, SHM_WINDOW_SIZE - 1,
                                      1ull << 63};
    static const uint32_t nexts[] = {SHM_NEXT_NONE, 1, 5, SHM_NEXT_LATE, 0, SHM_NEXT_NONE,
                                     SHM_NEXT_NONE, SHM_NEXT_NONE, 3, 255, UINT32_MAX};

    for (unsigned i = 0; !atomic_load(&stop_changing); i++) {
        volatile struct shm_slot *s = hostile_slot(p, i % 4);
        s->arg_size = sizes[i % 9];
        s->arg_at = places[i % 7];
        atomic_store(&s->next, nexts[i % 11]);
        s->arg_desc_count = i % 3;
        s->result_size = ~0ull;
        s->call = i;
        s->data[0] = (char)(i % 2 * TARGET_GIVE_DESCS);
        s->state = i % 97 == 0 ? i : s->state;
    }
    return NULL;
}

/* Everything in the slot changes while the server reads it. */
START_TEST(slots_that_change_meanwhile)
{
    struct hostile_peer p;
    pthread_t changer;
    int64_t until_ms;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    ck_assert_int_eq(pthread_create(&changer, NULL, change_slots, &p), 0);
    until_ms = door_test_now_ms() + 1500;
    for (unsigned i = 0; door_test_now_ms() < until_ms; i++) {
        atomic_fetch_or(&hostile_head(&p)->pending[0], 1u << i % 4);
        hostile_ring(&p);
        if (i % 256 == 0 && hostile_is_dropped(&p, 0)) {
            atomic_store(&stop_changing, 1);
            pthread_join(changer, NULL);
            hostile_close(&p);
            ck_assert(hostile_open(&p, target_path));
            atomic_store(&stop_changing, 0);
            ck_assert_int_eq(pthread_create(&changer, NULL, change_slots, &p), 0);
        }
    }
    target_serves();
    atomic_store(&stop_changing, 1);
    pthread_join(changer, NULL);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

START_TEST(calls_in_all_slots_at_once)
{
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    for (int round = 0; round < 20; round++) {
        for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++) {
            atomic_store(&hostile_slot(&p, slot)->next, SHM_NEXT_NONE);
            atomic_store(&hostile_slot(&p, slot)->state, SLOT_WAITING);
        }
        for (unsigned word = 0; word < SHM_WORD_COUNT; word++)
            atomic_store(&hostile_head(&p)->pending[word], ~0ull);
        hostile_ring(&p);
        for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++)
            ck_assert_int_eq(hostile_reply(&p, slot, TARGET_SERVES_MS), 0);
    }
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* The bits are set again and again, whether calls run there or not. */
START_TEST(bits_that_never_go_out)
{
    struct hostile_peer p;
    int64_t until_ms;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    until_ms = door_test_now_ms() + 500;
    while (door_test_now_ms() < until_ms && !hostile_is_dropped(&p, 0)) {
        for (unsigned word = 0; word < SHM_WORD_COUNT; word++)
            atomic_store(&hostile_head(&p)->pending[word], ~0ull);
        hostile_ring(&p);
    }
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

static void start_blocking(struct hostile_peer *p, unsigned slot)
{
    struct target_request r = {TARGET_BLOCK, 0};

    memcpy(hostile_slot(p, slot)->data, &r, sizeof(r));
    hostile_argument(p, slot, sizeof(r));
    hostile_start(p, slot);
    ck_assert(door_test_sem_wait(&target_shared->entered));
}

static bool has_finished(void *count)
{
    return target_shared->finished >= *(long *)count;
}

/* The channel of one that broke the rules ends; the call that blocks comes to its end. */
static void is_dropped_and_runs_on(struct hostile_peer *p)
{
    long one = 1;

    ck_assert(hostile_is_dropped(p, TARGET_SERVES_MS));
    target_serves();
    sem_post(&target_shared->released);
    ck_assert(door_test_await(has_finished, &one));
    hostile_close(p);
    target_is_clean();
}

START_TEST(a_second_call_in_a_slot_that_runs)
{
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    start_blocking(&p, 9);
    hostile_start(&p, 9);
    is_dropped_and_runs_on(&p);
}
END_TEST

/* ------------------------------------------------ what follows a call */

START_TEST(a_free_slot_follows)
{
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    for (unsigned slot = 0; slot + 1 < SHM_SLOT_COUNT; slot += 2) {
        atomic_store(&hostile_slot(&p, slot + 1)->next, SHM_NEXT_NONE);
        hostile_start_before(&p, slot, slot + 1);
        ck_assert_int_eq(hostile_reply(&p, slot, TARGET_SERVES_MS), 0);
        ck_assert_int_eq(hostile_reply(&p, slot + 1, TARGET_SERVES_MS), 0);
    }
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* Each slot is said to be followed by the next one, and the last one by the first. */
static void link_ring(struct hostile_peer *p)
{
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++)
        atomic_store(&hostile_slot(p, slot)->next, (slot + 1) % SHM_SLOT_COUNT);
}

START_TEST(all_slots_in_a_ring)
{
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    link_ring(&p);
    hostile_start_before(&p, 0, 1);
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++)
        ck_assert_int_eq(hostile_reply(&p, slot, TARGET_SERVES_MS), 0);
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

START_TEST(no_slot_follows_that_there_is)
{
    static const uint32_t nexts[] = {SHM_NEXT_LATE, SHM_NEXT_LATE + 1, 4096, 1u << 31, UINT32_MAX};
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    for (unsigned i = 0; i < sizeof(nexts) / sizeof(nexts[0]); i++) {
        hostile_start_before(&p, i, nexts[i]);
        ck_assert_int_eq(hostile_reply(&p, i, TARGET_SERVES_MS), 0);
        ck_assert_uint_eq(atomic_load(&hostile_slot(&p, i)->next), SHM_NEXT_LATE);
    }
    for (unsigned word = 0; word < SHM_WORD_COUNT; word++)
        ck_assert_uint_eq(atomic_load(&hostile_head(&p)->pending[word]), 0);
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* One after the other is no offence; that ends when the client does not say it again. */
START_TEST(a_slot_follows_itself)
{
    struct target_request r = {TARGET_BLOCK, 0};
    struct hostile_peer p;
    long two = 2;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    memcpy(hostile_slot(&p, 7)->data, &r, sizeof(r));
    hostile_argument(&p, 7, sizeof(r));
    hostile_start_before(&p, 7, 7);
    for (int i = 0; i < 2; i++) {
        ck_assert(door_test_sem_wait(&target_shared->entered));
        target_serves();
        sem_post(&target_shared->released);
    }
    ck_assert(door_test_await(has_finished, &two));
    ck_assert_int_eq(hostile_reply(&p, 7, TARGET_SERVES_MS), 0);
    ck_assert(!hostile_is_dropped(&p, 0));
    hostile_close(&p);
    target_is_clean();
}
END_TEST

START_TEST(a_slot_follows_that_runs_already)
{
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    start_blocking(&p, 9);
    hostile_start_before(&p, 8, 9);
    is_dropped_and_runs_on(&p);
}
END_TEST

/* Each slot of a ring once more, and the calls that run already. */
#define WHAT_IS_LEFT (2 * (int)SHM_SLOT_COUNT)

static void let_run(int count)
{
    while (count-- > 0)
        sem_post(&target_shared->released);
}

/*
 * Says again and again what follows, and does not let the server get to where it has
 * not said it anew: the ring never ends.
 */
static void *keep_up_a_ring(void *arg)
{
    struct hostile_peer *p = arg;
    int allowed;

    while (!atomic_load(&stop_changing)) {
        link_ring(p);
        sem_getvalue(&target_shared->released, &allowed);
        if (allowed < (int)SHM_SLOT_COUNT / 4)
            let_run(1);
    }
    return NULL;
}

static void start_ring(struct hostile_peer *p)
{
    struct target_request r = {TARGET_BLOCK, 0};

    door_test_require(hostile_open(p, target_path));
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++) {
        memcpy(hostile_slot(p, slot)->data, &r, sizeof(r));
        hostile_argument(p, slot, sizeof(r));
    }
    link_ring(p);
    hostile_start_before(p, 0, 1);
}

static void ring_goes_round(void)
{
    long wanted = target_shared->finished + 2 * SHM_SLOT_COUNT;

    ck_assert(door_test_await(has_finished, &wanted));
}

START_TEST(a_ring_without_end)
{
    pthread_t keeper;
    struct hostile_peer p;

    target_start(0);
    atomic_store(&stop_changing, 0);
    start_ring(&p);
    ck_assert_int_eq(pthread_create(&keeper, NULL, keep_up_a_ring, &p), 0);
    for (int i = 0; i < 20; i++) {
        ring_goes_round();
        target_serves();
    }
    ck_assert(!hostile_is_dropped(&p, 0));
    atomic_store(&stop_changing, 1);
    pthread_join(keeper, NULL);
    let_run(WHAT_IS_LEFT);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

static void keep_up_a_ring_of_its_own(void *unused)
{
    struct hostile_peer p;

    (void)unused;
    start_ring(&p);
    door_test_ready();
    keep_up_a_ring(&p);
}

START_TEST(who_keeps_up_a_ring_is_killed)
{
    target_start(0);
    atomic_store(&stop_changing, 0);
    for (int i = 0; i < 5; i++) {
        pid_t client = door_test_spawn(keep_up_a_ring_of_its_own, NULL);

        ring_goes_round();
        door_test_stop(client);
        let_run(WHAT_IS_LEFT);
        target_is_clean();
        while (sem_trywait(&target_shared->released) == 0)
            continue;
    }
}
END_TEST

/* ------------------------------------------------ bell and memory */

START_TEST(a_bell_that_is_full)
{
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    while (write(p.bell, "", 1) == 1)
        continue;
    ck_assert_int_eq(errno, EAGAIN);
    target_serves();
    fcntl(p.bell, F_SETFL, 0);
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

START_TEST(a_bell_that_never_stops)
{
    struct hostile_peer p;
    int64_t until_ms;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    until_ms = door_test_now_ms() + 300;
    while (door_test_now_ms() < until_ms)
        hostile_ring(&p);
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

START_TEST(memory_that_keeps_its_size)
{
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    ck_assert_int_eq(ftruncate(p.memory, 0), -1);
    ck_assert_int_eq(ftruncate(p.memory, SHM_FILE_SIZE - 4096), -1);
    ck_assert_int_eq(ftruncate(p.memory, SHM_FILE_SIZE + 4096), -1);
    ck_assert_int_eq(fcntl(p.memory, F_ADD_SEALS, F_SEAL_WRITE), -1);
    ck_assert_int_eq(fcntl(p.memory, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
    target_serves();
    hostile_close(&p);
    target_is_clean();
}
END_TEST

static void *punch_holes(void *arg)
{
    struct hostile_peer *p = arg;

    while (!atomic_load(&stop_changing))
        fallocate(p->memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, SHM_SLOTS,
                  SHM_FILE_SIZE - SHM_SLOTS);
    return NULL;
}

START_TEST(holes_under_calls)
{
    struct hostile_peer p;
    pthread_t puncher;
    int64_t until_ms;

    target_start(0);
    atomic_store(&stop_changing, 0);
    ck_assert(hostile_open(&p, target_path));
    ck_assert_int_eq(pthread_create(&puncher, NULL, punch_holes, &p), 0);
    until_ms = door_test_now_ms() + 700;
    for (unsigned i = 0; door_test_now_ms() < until_ms; i++) {
        unsigned slot = i % SHM_SLOT_COUNT;
        hostile_argument(&p, slot, i % 2 ? 300000 : 16);
        hostile_start(&p, slot);
        hostile_reply(&p, slot, 10);
    }
    target_serves();
    atomic_store(&stop_changing, 1);
    pthread_join(puncher, NULL);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* An argument that is claimed, not written, costs no memory. */
START_TEST(a_gigabyte_that_was_not_written)
{
    struct hostile_peer p;
    long before_kb;

    target_start(0);
    before_kb = door_test_resident_kb(target_pid);
    ck_assert(hostile_open(&p, target_path));
    hostile_argument(&p, 0, 1 << 30);
    hostile_start(&p, 0);
    target_serves();
    hostile_reply(&p, 0, 10000);
    ck_assert_int_lt(door_test_resident_kb(target_pid), before_kb + 65536);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

struct held_file {
    int memory, helper;
    void *page;
};

static void *write_for_ever(void *arg)
{
    const struct held_file *held = arg;

    if (held->page != NULL)
        door_test_require(pwrite(held->memory, held->page, 4096, shm_window_offset(9)) != 0);
    return NULL;
}

/* Who writes to a file holds its lock, and may wait for the memory with the data. */
START_TEST(memory_whose_lock_is_held)
{
    static const char written[3 * SHM_SLOT_SIZE];
    struct hostile_peer p;
    struct held_file held;
    pthread_t writer;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    ck_assert_int_eq(pwrite(p.memory, written, sizeof(written), shm_window_offset(0)),
                     sizeof(written));
    held.memory = p.memory;
    held.page = hostile_memory_that_waits(&held.helper);
    ck_assert_int_eq(pthread_create(&writer, NULL, write_for_ever, &held), 0);
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    start_at(&p, 0, 0, sizeof(written));
    ck_assert_int_eq(hostile_reply(&p, 0, TARGET_SERVES_MS), 0);
    start_at(&p, 1, 0, sizeof(written));
    ck_assert_int_eq(hostile_reply(&p, 1, TARGET_SERVES_MS), EFAULT);
    target_serves();
    close(held.helper);
    pthread_join(writer, NULL);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* Its server thread was busy until then, and finds nothing: nobody can use the channel any more. */
START_TEST(a_call_withdrawn_once_the_door_is_closed)
{
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    atomic_fetch_or(&hostile_head(&p)->pending[0], 1);
    close(p.door);
    p.door = -1;
    ck_assert(!hostile_is_dropped(&p, 100));
    atomic_fetch_and(&hostile_head(&p)->pending[0], ~1ull);
    hostile_ring(&p);
    ck_assert(hostile_is_dropped(&p, TARGET_SERVES_MS));
    hostile_close(&p);
    target_is_clean();
}
END_TEST

static void add_queue_tests(TCase *tc)
{
    tcase_add_test(tc, a_free_slot_follows);
    tcase_add_test(tc, all_slots_in_a_ring);
    tcase_add_test(tc, no_slot_follows_that_there_is);
    tcase_add_test(tc, a_slot_follows_itself);
    tcase_add_test(tc, a_slot_follows_that_runs_already);
    tcase_add_test(tc, a_ring_without_end);
    tcase_add_test(tc, who_keeps_up_a_ring_is_killed);
}

int main(void)
{
    Suite *suite = suite_create("hostile slots");
    TCase *tc = door_test_tcase(suite, "clients", 60);

    add_queue_tests(door_test_tcase(suite, "queues", 60));
    tcase_add_test(tc, sizes_that_cannot_be);
    tcase_add_test(tc, sizes_of_what_was_not_written);
    tcase_add_test(tc, arguments_that_cannot_be_there);
    tcase_add_test(tc, arguments_that_begin_where_nothing_was_written);
    tcase_add_test(tc, arguments_where_nothing_was_written);
    tcase_add_test(tc, slots_that_change_meanwhile);
    tcase_add_test(tc, calls_in_all_slots_at_once);
    tcase_add_test(tc, bits_that_never_go_out);
    tcase_add_test(tc, a_second_call_in_a_slot_that_runs);
    tcase_add_test(tc, a_bell_that_is_full);
    tcase_add_test(tc, a_bell_that_never_stops);
    tcase_add_test(tc, memory_that_keeps_its_size);
    tcase_add_test(tc, holes_under_calls);
    tcase_add_test(tc, memory_whose_lock_is_held);
    tcase_add_test(tc, a_call_withdrawn_once_the_door_is_closed);
    tcase_add_test(tc, a_gigabyte_that_was_not_written);
    return door_test_run(suite);
}
