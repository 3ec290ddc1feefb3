/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * stropts.h: names in the file system for doors.  Linux has no STREAMS, so this has
 * only that part of illumos' header that doors need.
 *
 * Threads: any.  Every function returns -1 and sets errno on failure.
 */
#ifndef LIBDOOR_STROPTS_H
#define LIBDOOR_STROPTS_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Gives the door fd the name path.  The file at path must exist, and the caller must
 * own it and have write permission, or be privileged.  The name has the file's mode and
 * owner: whoever may read the file may open() the door.  Removing the name detaches the
 * door, renaming it moves the door, and its mode may be changed.  fd stays the caller's.
 *
 * Errors: EACCES no write permission on path; EBADF fd is not open; EBUSY a
 * live door has this name; EINVAL fd is no door, or path is neither a regular
 * file nor a former door; ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG as for open(2);
 * EPERM the caller does not own path.
 */
int fattach(int fd, const char *path);

/*
 * Takes the name from the door; the file that had the name before comes back.
 *
 * Errors: EINVAL no door has this name; EPERM the caller does not own it;
 * ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG as for open(2).
 */
int fdetach(const char *path);

/* 1 if fd is a door (illumos: or a STREAM), 0 if not, -1 with EBADF. */
int isastream(int fd);

#ifdef __cplusplus
}
#endif

#endif
