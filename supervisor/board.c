/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * board.c: shows httpd's children which processes are up.
 *
 * A process has a cell while it lives, and is up while its application's row points to the
 * cell.  A call first writes the process into its note, and then checks that the row still
 * points there.  So once the row does not, no further calls can enter the process.
 */
#include <string.h>
#include <sys/mman.h>

#include <door_compat.h>

#include "supervisor.h"

/* Waiting calls count as one continuous wait if no longer pause lies between them. */
#define PAUSE_NS 30000000000ll

/* A waiting call notes that a few times a second; an older note means that none waits. */
#define FRESH_NS 2000000000ll

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
    (void)ledger; /* it was not inherited, and other memory may be at this address */
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
    for (uint32_t i = 0; i < BOARD_EVENTS; i++)
        atomic_store(&row->events[i].time_ms, 0);
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

/* Lists the cells and serials of the instances that are up.  Returns how many there are. */
static unsigned list_instances(struct board *board, const struct board_app *app,
                               uint32_t cells[APP_INSTANCES_MAX],
                               uint64_t serials[APP_INSTANCES_MAX])
{
    unsigned count = 0;

    for (uint32_t i = 0; i < APP_INSTANCES_MAX; i++) {
        uint32_t cell = atomic_load(&app->instances[i]);

        if (cell == 0 || cell > BOARD_CELLS)
            continue;
        cells[count] = cell;
        serials[count++] = atomic_load(&board->cells[cell - 1].serial);
    }
    return count;
}

/*
 * Chooses the instance with the fewest calls.  Among equals, each choice begins with another
 * one.  Returns 1 + the index of the cell, or 0 if none is up.
 */
static uint32_t choose(struct board *board, struct calls *calls, uint32_t row)
{
    struct board_app *app = &board->apps[row];
    uint32_t first = atomic_load(&app->instances[0]);
    uint32_t cells[APP_INSTANCES_MAX], turn, best = 0;
    uint64_t serials[APP_INSTANCES_MAX];
    unsigned counts[APP_INSTANCES_MAX], count;

    if (first != 0 && first <= BOARD_CELLS && atomic_load(&app->instances[1]) == 0)
        return first; /* the usual case: one instance */
    count = list_instances(board, app, cells, serials);
    if (count == 0)
        return 0;
    calls_count(calls, serials, counts, count);
    turn = atomic_fetch_add(&app->turn, 1);
    for (unsigned i = 0; i < count; i++)
        if (i == 0 || counts[(turn + i) % count] < counts[best])
            best = (turn + i) % count;
    return cells[best];
}

int board_is_better(struct board *board, struct calls *calls, uint32_t row, uint64_t serial)
{
    uint32_t cells[APP_INSTANCES_MAX];
    uint64_t serials[APP_INSTANCES_MAX];
    unsigned counts[APP_INSTANCES_MAX], mine = 0;
    unsigned count = list_instances(board, &board->apps[row], cells, serials);

    while (mine < count && serials[mine] != serial)
        mine++;
    if (mine == count || count == 1)
        return mine == count && count > 0;
    calls_count(calls, serials, counts, count);
    for (unsigned i = 0; i < count; i++)
        if (counts[i] + 1 < counts[mine])
            return 1;
    return 0;
}

static int is_up(const struct board_app *app, uint32_t cell)
{
    for (uint32_t i = 0; i < APP_INSTANCES_MAX; i++)
        if (atomic_load(&app->instances[i]) == cell)
            return 1;
    return 0;
}

uint32_t board_enter(struct board *board, struct calls *calls, uint32_t row,
                     struct call_note *note, uint64_t *serial)
{
    struct board_app *app = &board->apps[row];
    uint32_t number;

    atomic_store(&note->phase, CALL_ENTERED);
    while ((number = choose(board, calls, row)) != 0) {
        struct board_cell *cell = &board->cells[number - 1];

        *serial = atomic_load(&cell->serial);
        if (*serial == 0)
            return 0; /* it has ended, which is shown in a moment, if its supervisor has not */
        atomic_store(&note->key, *serial);
        if (is_up(app, number) && atomic_load(&cell->serial) == *serial)
            return number;
        atomic_store(&note->key, 0);
    }
    return 0;
}

uint64_t board_leave(struct board *board, uint32_t number, struct call_note *note,
                     enum call_end how)
{
    struct board_cell *cell = &board->cells[number - 1];
    uint64_t ended;

    if (how == CALL_FAILED || how == CALL_TIMED_OUT)
        atomic_fetch_add(&cell->errors, 1);
    if (how == CALL_NOT_TAKEN) /* the process has not had the call, so it is not counted */
        ended = atomic_load(&cell->ended);
    else
        ended = atomic_fetch_add(&cell->ended, 1) + 1;
    if (how == CALL_ENDED || how == CALL_FAILED)
        board_note_progress(board, number);
    atomic_store(&note->phase, CALL_ENTERED);
    atomic_store(&note->key, 0);
    return ended;
}

void board_note_progress(struct board *board, uint32_t number)
{
    struct board_cell *cell = &board->cells[number - 1];

    if (atomic_load(&cell->seen_ns) != 0)
        atomic_store(&cell->waits_ns, door_now_ns());
}

void board_note_wait(struct board *board, uint32_t number, int64_t since_ns)
{
    struct board_cell *cell = &board->cells[number - 1];
    int64_t now_ns = door_now_ns();

    if (now_ns - atomic_load(&cell->seen_ns) > PAUSE_NS)
        atomic_store(&cell->waits_ns, since_ns);
    atomic_store(&cell->seen_ns, now_ns);
}

int64_t board_waited_ns(const struct board_cell *cell, int64_t now_ns)
{
    int64_t since = atomic_load(&cell->waits_ns);
    int64_t seen = atomic_load(&cell->seen_ns);

    if (seen <= 0 || seen > now_ns || now_ns - seen > FRESH_NS)
        return 0;
    return since > 0 && since < seen ? seen - since : 0;
}
