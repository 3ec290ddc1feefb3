/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_board.c: what httpd's children are shown of applications, and enter.
 */
#include <check.h>
#include <stdlib.h>

#include "door_test_run.h"
#include "supervisor.h"

#define ROW    3
#define CELL   5 /* 1 + its index */
#define SERIAL 7

static struct board *board;
static struct calls *calls;

static void set_up(void)
{
    board = board_make();
    calls = calls_make();
    ck_assert_ptr_nonnull(board);
    ck_assert_ptr_nonnull(calls);
    board_name_row(board, ROW, "app");
    atomic_store(&board->cells[CELL - 1].serial, SERIAL);
    atomic_store(&board->apps[ROW].instances[0], CELL);
}

START_TEST(a_process_is_entered)
{
    struct call_note *note;
    uint64_t serial = 0;

    set_up();
    note = calls_take(calls);
    ck_assert_uint_eq(board_enter(board, calls, ROW, note, &serial), CELL);
    ck_assert_uint_eq(serial, SERIAL);
    ck_assert_uint_eq(atomic_load(&note->key), SERIAL);
    ck_assert_uint_eq(board_leave(board, CELL, note, CALL_ENDED), 1);
    ck_assert_uint_eq(atomic_load(&note->key), 0);
}
END_TEST

/* Its supervisor may have ended between these two, and whoever comes next be far. */
START_TEST(a_process_that_has_ended_and_is_shown)
{
    struct call_note *note;
    uint64_t serial = 0;

    set_up();
    atomic_store(&board->cells[CELL - 1].serial, 0);
    atomic_store(&board->apps[ROW].instances[1], _i == 0 ? 0 : CELL);
    note = calls_take(calls);
    ck_assert_uint_eq(board_enter(board, calls, ROW, note, &serial), 0);
    ck_assert_uint_eq(atomic_load(&note->key), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("board");
    TCase *tc = tcase_create("board");

    tcase_add_test(tc, a_process_is_entered);
    tcase_add_loop_test(tc, a_process_that_has_ended_and_is_shown, 0, 2);
    suite_add_tcase(suite, tc);
    return door_test_run(suite);
}
