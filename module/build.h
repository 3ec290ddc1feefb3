/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * build.h: which build of the module this is.  The Makefile generates the definition.
 */
#ifndef MOD_DOOR_BUILD_H
#define MOD_DOOR_BUILD_H

/* Different in each build of the module: the version and a checksum. */
extern const char mod_door_build[];
#define MOD_DOOR_BUILD_MAX 64 /* only this many bytes are compared */

#endif
