/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * doorctl.h: an answer of the supervisor's, between doorctl.c and doorctl_show.c.
 */
#ifndef MOD_DOOR_DOORCTL_H
#define MOD_DOOR_DOORCTL_H

#include "ctl.h"

struct answer {
    struct ctl_reply head;
    struct ctl_app apps[APP_MAX];
    struct ctl_process processes[BOARD_CELLS];
};

/* On the standard output, for people or as JSON. */
void show(const struct answer *answer, const char *dir, int is_json);
void show_json_error(const char *text);

/* On the standard error. */
void show_error(const char *text);

#endif
