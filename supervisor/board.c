/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * board.c: what the supervisor tells httpd's children, and what they count.
 *
 * A process has a cell as long as it lives, and is up while an application's
 * row points to the cell.  A child enters a cell before it looks whether the
 * row still points there; so once the row does not, the calls that are counted
 * are all that there will be.
 */
#include <string.h>
#include <sys/mman.h>

#include <door_compat.h>

#include "supervisor.h"

struct board *board_make(void)
{
    struct board *board;

    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANON, -1, 0);
    if (board == MAP_FAILED)
        return NULL;
    board->version = SUPERVISOR_VERSION;
    return board;
}

void board_forget(struct board *board)
{
    munmap(board, sizeof(*board));
}

struct ledger *ledger_make(void)
{
    void *ledger;

    ledger =
        mmap(NULL, sizeof(struct ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANON, -1, 0);
    return ledger != MAP_FAILED ? ledger : NULL;
}

void ledger_forget(struct ledger *ledger)
{
    munmap(ledger, sizeof(*ledger));
}

void ledger_share(struct ledger *ledger, int is_shared)
{
#ifdef MADV_DONTFORK
    madvise(ledger, sizeof(*ledger), is_shared ? MADV_DOFORK : MADV_DONTFORK);
#else
    (void)ledger;
    (void)is_shared;
#endif
}

void ledger_leave(struct ledger *ledger)
{
#ifdef MADV_DONTFORK
    (void)ledger; /* it is not there, and something else may be */
#else
    ledger_forget(ledger);
#endif
}

void board_name_row(struct board *board, uint32_t number, const char *name)
{
    struct board_app *row = &board->apps[number];

    memset(row->name, 0, sizeof(row->name));
    strncpy(row->name, name, APP_NAME_MAX);
    atomic_store(&row->leaving, 0);
    atomic_store(&row->restarts, 0);
    atomic_store(&row->crashes, 0);
    atomic_store(&row->crash_time, 0);
    for (uint32_t i = 0; i < APP_INSTANCES_MAX; i++)
        atomic_store(&row->instances[i], 0);
    atomic_store(&row->state, APP_DOWN);
}

void board_clear(struct board *board)
{
    for (uint32_t i = 0; i < BOARD_CELLS; i++)
        atomic_store(&board->cells[i].serial, 0);
    for (uint32_t i = 0; i < APP_MAX; i++)
        for (uint32_t k = 0; k < APP_INSTANCES_MAX; k++)
            atomic_store(&board->apps[i].instances[k], 0);
}

/* ---------------------------------------------------------------- a call */

uint64_t board_running(const struct board_cell *cell)
{
    uint64_t left = atomic_load(&cell->left); /* first: it is the lower one */
    uint64_t entered = atomic_load(&cell->entered);

    return entered > left ? entered - left : 0;
}

/* Of the instances that are up the one with the fewest calls, from another one on each time. */
static uint32_t least_busy(struct board *board, struct board_app *app)
{
    uint32_t first = atomic_load(&app->instances[0]);
    uint32_t turn, best = 0;
    uint64_t least = 0;

    if (first != 0 && atomic_load(&app->instances[1]) == 0)
        return first; /* the most usual case */
    turn = atomic_fetch_add(&app->turn, 1);
    for (uint32_t i = 0; i < APP_INSTANCES_MAX; i++) {
        uint32_t cell = atomic_load(&app->instances[(turn + i) % APP_INSTANCES_MAX]);
        uint64_t running;

        if (cell == 0 || cell > BOARD_CELLS)
            continue;
        running = board_running(&board->cells[cell - 1]);
        if (best == 0 || running < least) {
            best = cell;
            least = running;
        }
    }
    return best;
}

static int is_up(const struct board_app *app, uint32_t cell)
{
    for (uint32_t i = 0; i < APP_INSTANCES_MAX; i++)
        if (atomic_load(&app->instances[i]) == cell)
            return 1;
    return 0;
}

uint32_t board_enter(struct board *board, uint32_t row, uint64_t *serial)
{
    struct board_app *app = &board->apps[row];
    uint32_t number;

    while ((number = least_busy(board, app)) != 0) {
        struct board_cell *cell = &board->cells[number - 1];
        int64_t none = 0;

        *serial = atomic_load(&cell->serial);
        atomic_fetch_add(&cell->entered, 1);
        if (*serial != 0 && is_up(app, number) && atomic_load(&cell->serial) == *serial) {
            atomic_compare_exchange_strong(&cell->since_ns, &none, door_now_ns());
            return number;
        }
        atomic_fetch_sub(&cell->entered, 1);
    }
    return 0;
}

uint64_t board_leave(struct board *board, uint32_t number, enum call_end how)
{
    struct board_cell *cell = &board->cells[number - 1];
    uint64_t left;

    if (how == CALL_FAILED || how == CALL_TIMED_OUT)
        atomic_fetch_add(&cell->errors, 1);
    if (how == CALL_TIMED_OUT)
        atomic_fetch_add(&cell->timeouts, 1);
    if (how == CALL_NOT_TAKEN) { /* it was none: whoever tries again and again counts once */
        atomic_fetch_sub(&cell->entered, 1);
        left = atomic_load(&cell->left);
    } else {
        left = atomic_fetch_add(&cell->left, 1) + 1;
    }
    if (how == CALL_ENDED || how == CALL_FAILED)
        board_note_progress(board, number);
    if (how != CALL_TIMED_OUT && atomic_load(&cell->entered) == left &&
        atomic_load(&cell->timeouts) == 0)
        atomic_store(&cell->since_ns, 0);
    return left;
}

void board_note_progress(struct board *board, uint32_t number)
{
    struct board_cell *cell = &board->cells[number - 1];

    if (atomic_load(&cell->timeouts) != 0)
        atomic_store(&cell->timeouts, 0);
    atomic_store(&cell->since_ns, door_now_ns());
}

int64_t board_waited_ns(const struct board_cell *cell, int64_t now_ns)
{
    int64_t since = atomic_load(&cell->since_ns);

    if (since <= 0 || since > now_ns)
        return 0;
    return board_running(cell) > 0 || atomic_load(&cell->timeouts) > 0 ? now_ns - since : 0;
}
