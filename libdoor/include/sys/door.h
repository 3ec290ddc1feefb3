/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * sys/door.h: where illumos keeps the types of <door.h>.  Here they are in
 * that header itself.
 */
#ifndef LIBDOOR_SYS_DOOR_H
#define LIBDOOR_SYS_DOOR_H

#include <door.h>

#endif
