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
        hostile_slot(&p, 255 - i)->arg_size = sizes[i];
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
        hostile_slot(&p, i)->arg_size = SHM_INLINE_SIZE + (1u << (12 + i));
        hostile_start(&p, i);
        ck_assert_int_ge(hostile_reply(&p, i, TARGET_SERVES_MS), 0);
    }
    target_serves();
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

    for (unsigned i = 0; !atomic_load(&stop_changing); i++) {
        volatile struct shm_slot *s = hostile_slot(p, i % 4);
        s->arg_size = sizes[i % 9];
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
        for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++)
            atomic_store(&hostile_slot(&p, slot)->state, SLOT_WAITING);
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
    hostile_slot(p, slot)->arg_size = sizeof(r);
    hostile_start(p, slot);
    ck_assert(door_test_sem_wait(&target_shared->entered));
}

static bool has_finished(void *count)
{
    return target_shared->finished >= *(long *)count;
}

START_TEST(a_second_call_in_a_slot_that_runs)
{
    struct hostile_peer p;
    long one = 1;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    start_blocking(&p, 9);
    hostile_start(&p, 9);
    ck_assert(hostile_is_dropped(&p, TARGET_SERVES_MS));
    target_serves();
    sem_post(&target_shared->released);
    ck_assert(door_test_await(has_finished, &one));
    hostile_close(&p);
    target_is_clean();
}
END_TEST

/* ------------------------------------------------ bell and memory */

START_TEST(a_bell_that_is_full)
{
    uint64_t full = UINT64_MAX - 1, one = 1, rings;
    struct hostile_peer p;

    target_start(0);
    ck_assert(hostile_open(&p, target_path));
    ck_assert(read(p.bell, &rings, sizeof(rings)) == sizeof(rings) || errno == EAGAIN);
    ck_assert_int_eq(write(p.bell, &full, sizeof(full)), sizeof(full));
    ck_assert_int_eq(write(p.bell, &one, sizeof(one)), -1);
    ck_assert_int_eq(errno, EAGAIN);
    target_serves();
    fcntl(p.bell, F_SETFL, 0); /* blocking, for everybody who has it */
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
        hostile_slot(&p, slot)->arg_size = i % 2 ? 300000 : 16;
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
    hostile_slot(&p, 0)->arg_size = 1 << 30;
    hostile_start(&p, 0);
    target_serves();
    hostile_reply(&p, 0, 10000);
    ck_assert_int_lt(door_test_resident_kb(target_pid), before_kb + 65536);
    hostile_close(&p);
    target_is_clean();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hostile slots");
    TCase *tc = door_test_tcase(suite, "clients", 60);

    tcase_add_test(tc, sizes_that_cannot_be);
    tcase_add_test(tc, sizes_of_what_was_not_written);
    tcase_add_test(tc, slots_that_change_meanwhile);
    tcase_add_test(tc, calls_in_all_slots_at_once);
    tcase_add_test(tc, bits_that_never_go_out);
    tcase_add_test(tc, a_second_call_in_a_slot_that_runs);
    tcase_add_test(tc, a_bell_that_is_full);
    tcase_add_test(tc, a_bell_that_never_stops);
    tcase_add_test(tc, memory_that_keeps_its_size);
    tcase_add_test(tc, holes_under_calls);
    tcase_add_test(tc, a_gigabyte_that_was_not_written);
    return door_test_run(suite);
}
