/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * watch_name.h: what others do to a name that this process serves: remove it, move
 * it, change its mode.  Loop thread only.  Knows nothing of doors.
 */
#ifndef LIBDOOR_WATCH_NAME_H
#define LIBDOOR_WATCH_NAME_H

#include <sys/queue.h>

#include "fd.h"

struct name_watch {
    LIST_ENTRY(name_watch) link;
    int descriptor; /* inotify's number for it; -1: it is not watched */
    struct own_fd path;      /* the socket, O_PATH */
    struct own_fd directory; /* where it is, and its placeholder; O_PATH, -1: unknown */
    void (*removed)(struct name_watch *w);
};

/*
 * Watches the socket that path_fd (O_PATH) refers to; takes path_fd over.  From now on
 * its mode follows chmod(2), its placeholder follows rename(2), and when it has no name
 * any more the placeholder is removed and removed() is called, which must end the watch.
 * Where the kernel allows no watch, nothing of this happens.
 */
void name_watch_start(struct name_watch *w, int path_fd, void (*removed)(struct name_watch *w));

/* Also of one that is not watched. */
void name_watch_end(struct name_watch *w);

#endif
