/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * stray.c: processes that an earlier supervisor, which was killed, has left.
 */
#include <signal.h>

#include "state.h"

/*
 * What an earlier supervisor has launched is no child of ours: it was told to
 * end when that died, and is given the time that an application has for it.
 */
void stray_find(int64_t now)
{
    sv.kill_strays_ns = NEVER;
    for (uint32_t i = 0; i < BOARD_CELLS; i++)
        if (atomic_load(&sv.start.ledger->pids[i]) != 0)
            sv.kill_strays_ns = now + S; /* when the definitions are there */
    board_clear(sv.start.board);
}

static int64_t longest_stop(void)
{
    int64_t longest = 0;

    for (const struct app *app = sv.apps; app != NULL; app = app->next)
        if (app->def->stop_ns > longest)
            longest = app->def->stop_ns;
    return longest;
}

void stray_end(int64_t now)
{
    static int64_t until_ns;
    static int is_told;
    int are_left = 0;

    is_told |= !sv.must_ask_parent; /* then the kernel has done so; twice means at once */

    if (sv.is_stopping)
        until_ns = now;
    if (until_ns == 0)
        until_ns = now + longest_stop();
    for (uint32_t i = 0; i < BOARD_CELLS; i++) {
        pid_t pid = (pid_t)atomic_load(&sv.start.ledger->pids[i]);
        int is_ours = 0;

        for (const struct process *p = sv.processes; p != NULL; p = p->next)
            is_ours |= p->pid == pid;
        if (pid == 0 || is_ours)
            continue;
        if (now < until_ns && kill(pid, is_told ? 0 : SIGTERM) == 0) {
            are_left = 1;
        } else {
            kill(-pid, SIGKILL);
            atomic_store(&sv.start.ledger->pids[i], 0);
        }
    }
    is_told = 1;
    sv.kill_strays_ns = are_left ? now + S : NEVER;
}
