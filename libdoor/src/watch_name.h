/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * watch_name.h: notices what is done to a name that this process serves: it may be
 * removed or moved, or its mode changed.  Used by the loop thread only.  This file knows
 * nothing of doors.
 */
#ifndef LIBDOOR_WATCH_NAME_H
#define LIBDOOR_WATCH_NAME_H

#include <sys/queue.h>

#include "fd.h"

struct name_watch {
    LIST_ENTRY(name_watch) link;
    int descriptor; /* inotify's watch descriptor; -1: the name is not watched */
    struct own_fd path;      /* the socket, O_PATH */
    struct own_fd directory; /* the one with the socket and its placeholder, O_PATH; -1: unknown */
    void (*removed)(struct name_watch *w);
};

/*
 * Watches the socket that path_fd (O_PATH) refers to; takes path_fd over.  From now on, its
 * mode is adapted after chmod(2), and its placeholder follows rename(2).  When the socket
 * has no name any more, the placeholder is removed, and removed() is called, which must end
 * the watch.  If the kernel allows no watch, none of this happens.
 */
void name_watch_start(struct name_watch *w, int path_fd, void (*removed)(struct name_watch *w));

/* Ends the watch.  Needed even if the kernel has allowed none. */
void name_watch_end(struct name_watch *w);

#endif
