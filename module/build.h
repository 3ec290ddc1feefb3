/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * build.h: which build of the module this is; the Makefile makes what it declares.
 */
#ifndef MOD_DOOR_BUILD_H
#define MOD_DOOR_BUILD_H

/* Tells this build of the module from any other one: its version, and a checksum.  The Makefile's.
 */
extern const char mod_door_build[];
#define MOD_DOOR_BUILD_MAX 64 /* bytes of it that count */

#endif
