/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * attach.c: fattach() and fdetach().
 *
 * A name is a socket on which the door's server listens.  One rename puts it in the
 * place of the file that had the name (the placeholder).  The file is kept in the same
 * directory under a name with the socket's inode number, so that it can be found even
 * if the socket is renamed.  fdetach() brings the file back.
 */
#include <stropts.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "ask.h"
#include "fd.h"
#include "name.h"
#include "rename.h"
#include "thread.h"

#define DETACH_MAX_NS 1000000000ll

/* Where a name is.  Symbolic links are followed, so that they lead to the door afterwards. */
struct place {
    int dir_fd;                 /* O_PATH */
    char name[NAME_MAX + 1];    /* in that directory */
    char temporary[24];         /* the socket's first name */
    char kept[NAME_KEPT_SIZE];  /* the placeholder's name while the socket has its own */
    struct stat st;             /* of the file that has the name now */
    enum name_state state;      /* if that file is a socket */
};

static int find_place(const char *path, struct place *p)
{
    char *real = realpath(path, NULL), *slash;
    unsigned long long random;
    int result = -1;

    p->dir_fd = -1;
    if (real == NULL)
        return -1;
    slash = strrchr(real, '/');
    if (slash[1] == '\0') {
        errno = EBUSY; /* the root directory */
    } else if (strlen(slash + 1) > NAME_MAX) {
        errno = ENAMETOOLONG;
    } else if (getrandom(&random, sizeof(random), 0) == sizeof(random)) {
        snprintf(p->name, sizeof(p->name), "%.255s", slash + 1);
        snprintf(p->temporary, sizeof(p->temporary), ".door-%016llx", random);
        slash[slash == real] = '\0';
        p->dir_fd = fd_open(AT_FDCWD, real, O_PATH | O_DIRECTORY | O_CLOEXEC);
        result = p->dir_fd < 0 ? -1 : 0;
    }
    free(real);
    return result;
}

/* Looks at the file that has the name.  Returns -1 if the caller may not change it. */
static int look(struct place *p)
{
    int fd = fd_open(p->dir_fd, p->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int result = -1;

    if (fd < 0)
        return -1;
    if (fstat(fd, &p->st) == 0) {
        if (S_ISSOCK(p->st.st_mode))
            p->state = name_probe(fd);
        if (geteuid() != 0 && geteuid() != p->st.st_uid)
            errno = EPERM;
        else
            result = 0;
    }
    fd_close(fd);
    return result;
}

/*
 * Gives the socket the file's owner and mode, and returns an O_PATH descriptor of it.  Works
 * through that descriptor: in a directory where others can write, the temporary name may by
 * now lead to something else.
 */
static int give_attributes(struct place *p)
{
    char path[NAME_PROC_SIZE];
    struct stat st;
    int fd = fd_open(p->dir_fd, p->temporary, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode) || st.st_nlink != 1 ||
        st.st_uid != geteuid()) {
        errno = EBUSY;
    } else if (fchownat(fd, "", p->st.st_uid, p->st.st_gid, AT_EMPTY_PATH) == 0 &&
               chmod(name_in_proc(path, fd), name_mode(p->st.st_mode)) == 0) {
        name_kept(p->kept, st.st_ino);
        return fd;
    }
    fd_close(fd);
    return -1;
}

/* Makes the listening socket.  *path_fd becomes an O_PATH descriptor of its name. */
static int bind_temporary(struct place *p, int *path_fd)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = fd_hide(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));

    if (fd < 0)
        return -1;
    snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", p->dir_fd, p->temporary);
    /* Until the mode is right, nobody else may connect. */
    if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
        fd_close(fd);
        return -1;
    }
    *path_fd = give_attributes(p);
    if (*path_fd >= 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int error = errno;
    fd_close(*path_fd);
    unlinkat(p->dir_fd, p->temporary, 0);
    fd_close(fd);
    errno = error;
    return -1;
}

/* No data may be overwritten, so a file that already has the kept name must be empty. */
static int check_kept(struct place *p)
{
    struct stat st;

    if (fstatat(p->dir_fd, p->kept, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -1;
    if (S_ISREG(st.st_mode) && st.st_size == 0)
        return 0;
    errno = EBUSY;
    return -1;
}

/* Takes a dead server's name, whose placeholder is already kept under the old socket's number. */
static int take_dead_name(struct place *p)
{
    char kept[NAME_KEPT_SIZE];
    int error, is_there;

    name_kept(kept, p->st.st_ino);
    is_there = renameat(p->dir_fd, kept, p->dir_fd, p->kept) == 0;
    if (!is_there && errno != ENOENT)
        return -1;
    if (renameat(p->dir_fd, p->temporary, p->dir_fd, p->name) == 0)
        return 0;
    error = errno;
    if (is_there)
        renameat(p->dir_fd, p->kept, p->dir_fd, kept);
    errno = error;
    return -1;
}

/* Exchanges the temporary socket and the file that has the name, and keeps that file. */
static int take_name(struct place *p)
{
    if (check_kept(p) < 0)
        return -1;
    if (S_ISSOCK(p->st.st_mode))
        return take_dead_name(p);
    if (renameat2(p->dir_fd, p->temporary, p->dir_fd, p->name, RENAME_EXCHANGE) < 0)
        return -1;
    if (renameat(p->dir_fd, p->temporary, p->dir_fd, p->kept) == 0)
        return 0;
    int error = errno;
    renameat2(p->dir_fd, p->temporary, p->dir_fd, p->name, RENAME_EXCHANGE);
    errno = error;
    return -1;
}

/* Empty placeholders whose sockets are gone, or at first, may be gone. */
struct leftovers {
    ino_t socket[64];
    unsigned count;
};

static void find_leftovers(DIR *dir, struct leftovers *found)
{
    struct dirent *entry;
    struct stat st;

    while (found->count < sizeof(found->socket) / sizeof(found->socket[0]) &&
           (entry = readdir(dir)) != NULL) {
        char kept[NAME_KEPT_SIZE];
        unsigned long long socket;

        if (sscanf(entry->d_name, ".door-placeholder.%llu", &socket) != 1)
            continue;
        name_kept(kept, (ino_t)socket);
        if (strcmp(kept, entry->d_name) == 0 &&
            fstatat(dirfd(dir), kept, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            st.st_size == 0)
            found->socket[found->count++] = (ino_t)socket;
    }
}

/* Removes a socket that exists from the list. */
static void strike_out(struct leftovers *found, ino_t socket)
{
    for (unsigned i = 0; i < found->count; i++) {
        if (found->socket[i] == socket)
            found->socket[i--] = found->socket[--found->count];
    }
}

/*
 * Removes empty placeholders without a socket.  If somebody removes a dead server's name, its
 * placeholder stays; a program that does so at each start would leave one each time.
 */
static void sweep(int dir_fd)
{
    struct leftovers found = {.count = 0};
    struct dirent *entry;
    struct stat st;
    int fd = fd_open(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (dir == NULL) {
        fd_close(fd);
        return;
    }
    find_leftovers(dir, &found);
    rewinddir(dir);
    while (found.count > 0 && (entry = readdir(dir)) != NULL) {
        if ((entry->d_type == DT_SOCK || entry->d_type == DT_UNKNOWN) &&
            fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            strike_out(&found, st.st_ino);
    }
    while (found.count > 0) {
        char kept[NAME_KEPT_SIZE];
        name_kept(kept, found.socket[--found.count]);
        unlinkat(fd, kept, 0);
    }
    closedir(dir);
}

/* Whether a door may get this name. */
static int check_name(const struct place *p)
{
    if (S_ISREG(p->st.st_mode))
        return faccessat(p->dir_fd, p->name, W_OK, AT_EACCESS);
    if (S_ISSOCK(p->st.st_mode) && p->state == NAME_DEAD)
        return 0;
    errno = S_ISSOCK(p->st.st_mode) && p->state == NAME_LIVE ? EBUSY : EINVAL;
    return -1;
}

static int attach(int fd, struct place *p)
{
    struct msg_answer answer;
    int listening_fd, path_fd, result;

    if (look(p) < 0 || check_name(p) < 0 || (listening_fd = bind_temporary(p, &path_fd)) < 0)
        return -1;
    result = door_ask_attach(fd, listening_fd, path_fd, &answer);
    fd_close(path_fd);
    if (result == 0)
        result = take_name(p);
    if (result < 0) {
        int error = errno;
        shutdown(listening_fd, SHUT_RDWR); /* so that the server drops its copy */
        unlinkat(p->dir_fd, p->temporary, 0);
        errno = error;
    }
    fd_close(listening_fd);
    if (result == 0)
        sweep(p->dir_fd);
    return result;
}

int fattach(int fd, const char *path)
{
    THREAD_UNCANCELLED;
    struct place p;
    int is_door = fd_is_door(fd), result;

    if (is_door != 1) {
        errno = is_door < 0 ? EBADF : EINVAL;
        return -1;
    }
    result = find_place(path, &p);
    if (result == 0)
        result = attach(fd, &p);
    fd_close(p.dir_fd);
    return result;
}

/* Gives the kept file its name again; if there is none, removes the name. */
static int give_name_back(struct place *p)
{
    if (renameat(p->dir_fd, p->kept, p->dir_fd, p->name) == 0)
        return 0;
    return errno == ENOENT ? unlinkat(p->dir_fd, p->name, 0) : -1;
}

static int detach(struct place *p)
{
    struct msg_answer answer;
    int result, door;

    if (look(p) < 0)
        return -1;
    if (!S_ISSOCK(p->st.st_mode) || p->state == NAME_OTHER) {
        errno = EINVAL;
        return -1;
    }
    name_kept(p->kept, p->st.st_ino);
    door = p->state == NAME_LIVE ? name_open(p->dir_fd, p->name, O_CLOEXEC) : -1;
    if (door >= 0 && faccessat(p->dir_fd, p->kept, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        /* Just moved here from another directory: asked, the server moves the placeholder, too. */
        door_ask(door, MSG_INFO, thread_now_ns() + DETACH_MAX_NS, &answer, NULL, 0);
    result = give_name_back(p);
    if (result == 0 && door >= 0)
        /* A server that does not answer in time will read the request later. */
        door_ask(door, MSG_DETACH, thread_now_ns() + DETACH_MAX_NS, &answer, NULL, 0);
    fd_close(door);
    return result;
}

int fdetach(const char *path)
{
    THREAD_UNCANCELLED;
    struct place p;
    int result = find_place(path, &p);

    if (result == 0)
        result = detach(&p);
    fd_close(p.dir_fd);
    return result;
}
