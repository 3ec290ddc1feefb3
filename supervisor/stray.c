/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * stray.c: processes that an earlier supervisor, which was killed, has left.  They
 * are no children of ours; they were told to end when it died, and each is given
 * the time that it has for that.  What is running in them comes to its end.
 */
#include <signal.h>

#include "state.h"

static int64_t found_ns;

void stray_find(struct supervisor *sv, int64_t now)
{
    found_ns = now;
    sv->kill_strays_ns = NEVER;
    for (uint32_t i = 0; i < BOARD_CELLS; i++)
        if (atomic_load(&sv->start.ledger->pids[i]) != 0)
            sv->kill_strays_ns = now;
    board_clear(sv->start.board);
    if (sv->kill_strays_ns == NEVER)
        runtime_dir_clean(sv->runtime_parent);
}

static int is_the_one(pid_t pid, const void *began)
{
    return *(const uint64_t *)began == 0 || process_began(pid) == *(const uint64_t *)began;
}

static int is_ours(const struct supervisor *sv, uint32_t cell)
{
    for (const struct process *p = sv->processes; p != NULL; p = p->next)
        if (p->cell == cell)
            return 1;
    return 0;
}

/*
 * With all that it has started: its number is that of their group, too.  What one has
 * left behind that has ended is found by its environment, see runtime_dir_clean().
 */
static void kill_stray(pid_t pid, uint64_t began)
{
    if (process_signal(pid, 0, is_the_one, &began) == 0) {
        kill(-pid, SIGKILL);
        process_signal(pid, SIGKILL, is_the_one, &began);
    }
}

void stray_end(struct supervisor *sv, int64_t now)
{
    static int is_told;
    struct ledger *ledger = sv->start.ledger;
    int are_left = 0;

    is_told |= !sv->must_ask_parent; /* then the kernel has done so; twice means at once */
    for (uint32_t i = 0; i < BOARD_CELLS; i++) {
        pid_t pid = (pid_t)atomic_load(&ledger->pids[i]);
        uint64_t began = atomic_load(&ledger->began[i]);

        if (pid == 0 || is_ours(sv, i))
            continue;
        if (now < found_ns + atomic_load(&ledger->stop_ns[i]) &&
            process_signal(pid, is_told ? 0 : SIGTERM, is_the_one, &began) == 0) {
            are_left = 1;
            continue;
        }
        kill_stray(pid, began);
        atomic_store(&ledger->pids[i], 0);
    }
    is_told = 1;
    sv->kill_strays_ns = are_left ? now + S : NEVER;
    if (!are_left)
        runtime_dir_clean(sv->runtime_parent);
}
