/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * create.h: making a door, for door_create() and door_xcreate().
 */
#ifndef LIBDOOR_CREATE_H
#define LIBDOOR_CREATE_H

#include "record.h"

/*
 * Makes a door and returns its first descriptor; *made becomes the door, with a reference.
 * Most attributes are not checked.  Returns -1 and errno if it fails.
 */
int door_make(door_server_procedure_t *procedure, void *cookie, door_attr_t attributes,
              struct door **made);

#endif
