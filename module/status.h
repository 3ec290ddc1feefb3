/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * status.c: the applications on the page of mod_status.
 */
#ifndef MOD_DOOR_STATUS_H
#define MOD_DOOR_STATUS_H

#include "mod_door.h"

void mod_door_register_status(void);

#endif
