/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * desc.h: converts between door_desc_t, for programs, and plain descriptors, which
 * sockets carry.  The same on both sides of a call.
 */
#ifndef LIBDOOR_DESC_H
#define LIBDOOR_DESC_H

#include <stddef.h>

#include <door.h>

/*
 * Fills fds with the descriptors to send for count descs.  For a door of this process,
 * that is a new descriptor, so that its references can be counted; desc_unprepare()
 * closes these.  Returns 0, or -1 with EINVAL (a desc is no descriptor), EBADF, EMFILE.
 */
int desc_prepare(const door_desc_t *descs, unsigned count, int *fds);
void desc_unprepare(const door_desc_t *descs, unsigned count, const int *fds);

/* Closes the descriptors that were passed with DOOR_RELEASE. */
void desc_release(const door_desc_t *descs, unsigned count);

/*
 * Fills descs for the receiver of fds, which are no longer close-on-exec then.  For doors, the
 * attributes are asked of their servers, which takes a second at most, unless are_plain is set.
 */
void desc_receive(const int *fds, unsigned count, int are_plain, door_desc_t *descs);

#endif
