/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * desc.h: between door_desc_t, as programs pass and get them, and descriptors,
 * as sockets carry them.  The same on both sides of a call.
 */
#ifndef LIBDOOR_DESC_H
#define LIBDOOR_DESC_H

#include <stddef.h>

#include <door.h>

/*
 * The descriptors to send for count descs, in fds.  A door of this process's
 * own gets a fresh descriptor, so that its references can be counted: those
 * are the caller's to close, with desc_unprepare().  0, or -1 with EINVAL
 * (none is passed, or something else than a descriptor), EBADF, EMFILE.
 */
int desc_prepare(const door_desc_t *descs, unsigned count, int *fds);
void desc_unprepare(const door_desc_t *descs, unsigned count, const int *fds);

/* Closes those that were passed with DOOR_RELEASE. */
void desc_release(const door_desc_t *descs, unsigned count);

/*
 * What the receiver of fds gets; the descriptors survive an exec from now on.  Of those
 * that are doors their servers are asked what they are, which takes a second at most;
 * or it is not told, if they are plain.
 */
void desc_receive(const int *fds, unsigned count, int are_plain, door_desc_t *descs);

#endif
