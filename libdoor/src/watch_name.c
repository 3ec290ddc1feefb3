/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * watch_name.c: see watch_name.h.  One inotify(7) instance watches all names of the
 * process, by O_PATH descriptors of their sockets.  It reports chmod(2) and unlink(2) as
 * IN_ATTRIB, and rename(2) as IN_MOVE_SELF.  /proc then says where the socket is.
 */
#include "watch_name.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fork.h"
#include "loop.h"
#include "name.h"
#include "rename.h"

static LIST_HEAD(, name_watch) watches = LIST_HEAD_INITIALIZER(watches);

static void events_ready(struct watch *w, uint32_t events);
static struct watch events = {.fd = -1, .ready = events_ready};

/* fd.c closes the descriptors. */
static void forked(void)
{
    LIST_INIT(&watches);
    events = (struct watch){.fd = -1, .ready = events_ready};
}

/* The directory of w's socket now; .fd is -1 if it cannot be found. */
static struct own_fd find_directory(const struct name_watch *w)
{
    struct own_fd found = {.fd = -1};
    char link[NAME_PROC_SIZE], path[PATH_MAX], *slash;
    ssize_t len = readlink(name_in_proc(link, w->path.fd), path, sizeof(path) - 1);
    struct stat st;

    if (len <= 0 || path[0] != '/')
        return found;
    path[len] = '\0';
    slash = strrchr(path, '/');
    *slash = '\0';
    found = own_fd(fd_open(AT_FDCWD, slash == path ? "/" : path, O_PATH | O_DIRECTORY | O_CLOEXEC));
    /* In another mount namespace, the path may lead to another file. */
    if (found.fd >= 0 && (fstatat(found.fd, slash + 1, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
                          st.st_ino != w->path.ino || st.st_dev != w->path.dev))
        own_fd_close(&found);
    return found;
}

static void follow_move(struct name_watch *w)
{
    struct own_fd found = find_directory(w);
    char kept[NAME_KEPT_SIZE];

    if (found.fd < 0)
        return;
    name_kept(kept, w->path.ino);
    if (own_fd_check(&w->directory) &&
        (found.ino != w->directory.ino || found.dev != w->directory.dev))
        renameat2(w->directory.fd, kept, found.fd, kept, RENAME_NOREPLACE);
    own_fd_close(&w->directory);
    w->directory = found;
}

static void remove_placeholder(struct name_watch *w)
{
    char kept[NAME_KEPT_SIZE];
    struct stat st;

    name_kept(kept, w->path.ino);
    if (own_fd_check(&w->directory) &&
        fstatat(w->directory.fd, kept, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
        unlinkat(w->directory.fd, kept, 0);
}

/* Looks at the socket to find out what has changed, since events may be old, or lost. */
static void look(struct name_watch *w)
{
    char path[NAME_PROC_SIZE];
    struct stat st;

    if (!own_fd_check(&w->path) || fstat(w->path.fd, &st) < 0)
        return;
    if (st.st_nlink == 0) {
        remove_placeholder(w);
        w->removed(w);
        return;
    }
    if ((st.st_mode & 0777) != name_mode(st.st_mode))
        chmod(name_in_proc(path, w->path.fd), name_mode(st.st_mode));
    follow_move(w);
}

static void look_at(const struct inotify_event *event)
{
    struct name_watch *w, *next;

    for (w = LIST_FIRST(&watches); w != NULL; w = next) {
        next = LIST_NEXT(w, link);
        if (event->wd == w->descriptor || (event->mask & IN_Q_OVERFLOW))
            look(w);
    }
}

static void events_ready(struct watch *w, uint32_t unused)
{
    _Alignas(struct inotify_event) char buffer[4096];
    ssize_t len = read(w->fd, buffer, sizeof(buffer));

    (void)unused;
    for (ssize_t at = 0; at < len;) {
        const struct inotify_event *event = (const struct inotify_event *)(buffer + at);
        look_at(event);
        at += (ssize_t)(sizeof(*event) + event->len);
    }
}

/* Makes the inotify instance, also if the program has closed the last one. */
static int start_events(void)
{
    if (events.fd >= 0 && loop_has(&events))
        return 0;
    events.fd = fd_hide(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (events.fd < 0 || loop_add(&events, EPOLLIN) == 0)
        return events.fd < 0 ? -1 : 0;
    fd_close(events.fd);
    events.fd = -1;
    return -1;
}

void name_watch_start(struct name_watch *w, int path_fd, void (*removed)(struct name_watch *w))
{
    static struct fork_part part = {.child = forked};
    char path[NAME_PROC_SIZE];

    fork_register(&part);
    w->path = own_fd(path_fd);
    w->directory = (struct own_fd){.fd = -1};
    w->descriptor = -1;
    w->removed = removed;
    if (w->path.fd >= 0 && start_events() == 0)
        w->descriptor = inotify_add_watch(events.fd, name_in_proc(path, w->path.fd),
                                          IN_ATTRIB | IN_MOVE_SELF);
    if (w->descriptor < 0) {
        own_fd_close(&w->path);
        return;
    }
    w->directory = find_directory(w);
    LIST_INSERT_HEAD(&watches, w, link);
}

void name_watch_end(struct name_watch *w)
{
    if (w->descriptor >= 0) {
        LIST_REMOVE(w, link);
        if (loop_has(&events))
            inotify_rm_watch(events.fd, w->descriptor);
    }
    own_fd_close(&w->path);
    own_fd_close(&w->directory);
}
