/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * xcreate.h: doors that bring their own thread creation, door_xcreate(3C).
 */
#ifndef LIBDOOR_XCREATE_H
#define LIBDOOR_XCREATE_H

#include "server.h"

/* In a server thread of door, whose pool has no idle thread left. */
void xcreate_depleted(struct door *door);

#endif
