/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * exported.h: included before everything else, by the compiler's command line: what
 * the public headers declare is visible outside the library, and nothing else is.
 * The version map then gives these names their version.
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
