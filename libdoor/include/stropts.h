/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * stropts.h: names in the file system for doors.  Linux has no STREAMS; of
 * illumos' header only what doors need is here.
 *
 * Threads: any.  Every function returns -1 and sets errno on failure.
 */
#ifndef LIBDOOR_STROPTS_H
#define LIBDOOR_STROPTS_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Gives the door fd the name path.  The file at path must exist; the caller
 * must own it and may write it, or be privileged.  The name takes the file's
 * mode and owner, and whoever may read it may open() the door.  Removing the name
 * detaches it, renaming it moves the door, and its mode may be changed.
 *
 * Errors: EACCES no write permission on path; EBADF fd is not open; EBUSY a
 * live door has this name; EINVAL fd is no door, or path is neither a regular
 * file nor a former door; ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG as for open(2);
 * EPERM the caller does not own path.
 */
int fattach(int fd, const char *path);

/*
 * Takes the name away again; the file that was there before comes back.
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
