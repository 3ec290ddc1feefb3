/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * exported.h: the compiler's command line includes this before everything else.  Only what
 * the public headers declare becomes visible outside the library.  The version map then
 * gives these names their version.
 */
#ifndef LIBDOOR_EXPORTED_H
#define LIBDOOR_EXPORTED_H

#pragma GCC visibility push(default)
#include <door.h>
#include <door_compat.h>
#include <stropts.h>
#include <ucred.h>
#pragma GCC visibility pop

#endif
