/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * create.h: making a door, for door_create() and door_xcreate().
 */
#ifndef LIBDOOR_CREATE_H
#define LIBDOOR_CREATE_H

#include "record.h"

/*
 * A new door and its first descriptor; *made is a reference to it.  The
 * attributes are taken as they are.  -1 and errno.
 */
int door_make(door_server_procedure_t *procedure, void *cookie, door_attr_t attributes,
              struct door **made);

#endif
