/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * rows.h: the applications on the board, as the status pages go through them.
 *
 * Every child can write every byte of the board.  So a row counts only if it has a valid name
 * that no row before it has, and a cell belongs only to the first row that names it.  Pages
 * then show nothing twice, and have no more processes than there are cells.
 */
#ifndef MOD_DOOR_ROWS_H
#define MOD_DOOR_ROWS_H

#include "supervisor.h"

struct mod_door_rows {
    const struct board *board; /* or NULL */
    unsigned next;             /* index of the row that is looked at next */
    unsigned name_count;
    char names[APP_MAX][APP_NAME_MAX + 1]; /* copies, as the board may change at any time */
    char is_shown[BOARD_CELLS];
};

void mod_door_begin_rows(struct mod_door_rows *rows, const struct board *board);

/* The next application's row, or NULL.  Its name is one of rows->names. */
const struct board_app *mod_door_next_row(struct mod_door_rows *rows, const char **name);

/* The number of the cell (from 1) of the row's process with that index, or 0. */
uint32_t mod_door_take_cell(struct mod_door_rows *rows, const struct board_app *row,
                            unsigned index);

#endif
