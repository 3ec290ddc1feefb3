/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * stray.c: processes that are left of an earlier supervisor, which was killed.  They are
 * not children of this supervisor.  They got SIGTERM when the earlier one died, or get it
 * here, and each may use its stop-timeout, so that running calls can end.
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
 * Kills the process and all that it has started, since its pid is also their process group.
 * If the process has already ended, runtime_dir_clean() finds what it has started by the
 * environment.
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

    /* If the kernel has sent SIGTERM, a second one would end the processes at once. */
    is_told |= !sv->must_ask_parent;
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
