/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * status_page.c: SetHandler door-status.
 */
#ifndef MOD_DOOR_STATUS_PAGE_H
#define MOD_DOOR_STATUS_PAGE_H

#include "mod_door.h"

void mod_door_register_status_page(void);

#endif
