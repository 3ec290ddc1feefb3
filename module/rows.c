/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * rows.c: goes through the applications on the board; rows.h says what counts there.
 */
#include "rows.h"

#include <string.h>

#include "definitions.h"

void mod_door_begin_rows(struct mod_door_rows *rows, const struct board *board)
{
    memset(rows, 0, sizeof(*rows));
    rows->board = board;
}

static int is_known(const struct mod_door_rows *rows, const char *name)
{
    unsigned i;

    for (i = 0; i < rows->name_count; i++)
        if (!strcmp(rows->names[i], name))
            return 1;
    return 0;
}

/* Copies the row's name.  Returns it if the row counts, or else NULL. */
static const char *take_name(struct mod_door_rows *rows, const struct board_app *row)
{
    char *name = rows->names[rows->name_count];

    memcpy(name, row->name, APP_NAME_MAX);
    name[APP_NAME_MAX] = '\0';
    if (atomic_load(&row->state) == APP_FREE || !mod_door_is_app_name(name) ||
        is_known(rows, name))
        return NULL;
    rows->name_count++;
    return name;
}

const struct board_app *mod_door_next_row(struct mod_door_rows *rows, const char **name)
{
    while (rows->board != NULL && rows->next < APP_MAX) {
        const struct board_app *row = &rows->board->apps[rows->next++];

        *name = take_name(rows, row);
        if (*name != NULL)
            return row;
    }
    return NULL;
}

uint32_t mod_door_take_cell(struct mod_door_rows *rows, const struct board_app *row,
                            unsigned index)
{
    uint32_t number = atomic_load(&row->instances[index]);

    if (number == 0 || number > BOARD_CELLS || rows->is_shown[number - 1])
        return 0;
    rows->is_shown[number - 1] = 1;
    return number;
}
