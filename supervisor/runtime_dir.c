/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * runtime_dir.c: the directories that contain doors.
 *
 *     PARENT/mod_door.PID[.N]/      the supervisor's; only the supervisor writes there
 *         lock                      locked while the supervisor lives
 *         NAME.SERIAL/              a process's: it may write, and httpd's group may search
 *             door                  made here, so that owner, group and mode are right
 *
 * If this runs as root, it never works by name in a directory in which another user can
 * write.  A process's directory is filled while root owns it, and root takes it back before
 * it is emptied.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor.h"

#define PREFIX    "mod_door."
#define LOCK_NAME "lock"
#define DOOR_NAME "door"
#define NAMES_MAX 100 /* names that are tried for a new directory */
#define ENVIRONMENT_MAX (64 * 1024 * 1024) /* bytes; more than execve(2) accepts */

static int open_dir(int dir_fd, const char *name)
{
    return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Removes everything in the directory, down to depth levels of inner directories. */
static void empty(int fd, int depth)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy != -1 ? fdopendir(copy) : NULL;
    struct dirent *entry;

    if (dir == NULL) {
        if (copy != -1)
            close(copy);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(fd, entry->d_name, 0) == -1 && depth > 0) {
            int child = open_dir(fd, entry->d_name);

            if (child != -1 && (geteuid() != 0 || fchown(child, 0, 0) == 0) &&
                fchmod(child, 0700) == 0)
                empty(child, depth - 1);
            if (child != -1)
                close(child);
            unlinkat(fd, entry->d_name, AT_REMOVEDIR);
        }
    }
    closedir(dir);
}

/* ------------------------------------------------------ the supervisor's */

/* Takes the lock.  Returns its descriptor, or -1 if another process holds it. */
static int lock(int dir_fd)
{
    int fd = openat(dir_fd, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    if (fd != -1)
        close(fd);
    return -1;
}

/*
 * The environment with which the process was started, as strings with their NULs.  The caller
 * frees it.  NULL if it cannot be read.
 */
static char *read_environment(pid_t pid, size_t *len)
{
    char path[64], *text = NULL, *more;
    size_t cap = 0;
    ssize_t got = 0;
    int fd;

    snprintf(path, sizeof(path), "/proc/%ld/environ", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    *len = 0;
    while (fd != -1) {
        if (*len + 1 >= cap) {
            cap = cap == 0 ? 16384 : 2 * cap;
            more = cap <= ENVIRONMENT_MAX ? realloc(text, cap) : NULL;
            if (more == NULL)
                break;
            text = more;
        }
        got = read(fd, text + *len, cap - *len - 1);
        if (got <= 0)
            break;
        *len += (size_t)got;
    }
    if (fd != -1)
        close(fd);
    if (text != NULL)
        text[*len] = '\0';
    return text;
}

/* Whether the process, or an ancestor of it, was launched with a door below that directory. */
static int has_door_below(pid_t pid, const void *data)
{
    const char *dir = data;
    size_t dir_len = strlen(dir), len;
    char *environment = read_environment(pid, &len);
    int result = 0;

    for (char *at = environment; at != NULL && at < environment + len; at += strlen(at) + 1)
        if (strncmp(at, "DOOR_PATH=", 10) == 0 && strncmp(at + 10, dir, dir_len) == 0 &&
            at[10 + dir_len] == '/')
            result = 1;
    free(environment);
    return result;
}

/*
 * Kills processes that did not end when their supervisor died.  Without /proc/PID/environ they
 * are not found, and stay.
 */
static void end_orphans(const char *parent, const char *name)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    char path[RUNTIME_DIR_MAX];

    snprintf(path, sizeof(path), "%s/%s", parent, name);
    while (dir != NULL && (entry = readdir(dir)) != NULL)
        if (strspn(entry->d_name, "0123456789") == strlen(entry->d_name))
            process_signal((pid_t)strtol(entry->d_name, NULL, 10), SIGKILL, has_door_below, path);
    if (dir != NULL)
        closedir(dir);
}

static void remove_stale(const char *parent, int parent_fd, const char *name)
{
    struct stat st;
    int lock_fd;
    int fd = open_dir(parent_fd, name);

    if (fd == -1)
        return;
    if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && (lock_fd = lock(fd)) != -1) {
        end_orphans(parent, name);
        empty(fd, 2);
        unlinkat(parent_fd, name, AT_REMOVEDIR);
        close(lock_fd);
    }
    close(fd);
}

void runtime_dir_clean(const char *parent)
{
    DIR *dir = opendir(parent);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0)
            remove_stale(parent, dirfd(dir), entry->d_name);
    if (dir != NULL)
        closedir(dir);
}

/* Makes the directory with that name and takes its lock.  Returns -1 if another process has it. */
static int make_named(struct runtime_dir *dir, int parent_fd, const char *name)
{
    int error;

    if (mkdirat(parent_fd, name, 0700) == -1)
        return -1;
    dir->fd = open_dir(parent_fd, name);
    dir->lock_fd = dir->fd != -1 ? lock(dir->fd) : -1;
    /* Everybody may search it, and only its owner may list it. */
    if (dir->lock_fd != -1 && fchmod(dir->fd, 0711) == 0)
        return 0;
    error = errno;
    if (dir->lock_fd != -1)
        close(dir->lock_fd);
    if (dir->fd != -1)
        close(dir->fd);
    errno = error;
    return -1;
}

static int open_parent(const char *parent)
{
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd == -1 && errno == ENOENT && mkdir(parent, 0755) == 0)
        fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd;
}

/*
 * The first name is the pid's.  A process with the same pid in another PID namespace may
 * already have a directory of that name here.
 */
struct runtime_dir *runtime_dir_make(const char *parent)
{
    struct runtime_dir *dir = calloc(1, sizeof(*dir));
    int parent_fd = dir != NULL ? open_parent(parent) : -1;
    int result = -1;
    int error;

    for (int i = 0; parent_fd != -1 && i < NAMES_MAX && result == -1; i++) {
        char number[16] = "";

        if (i > 0)
            snprintf(number, sizeof(number), ".%d", i);
        error = ENAMETOOLONG;
        if ((size_t)snprintf(dir->path, sizeof(dir->path), "%s/" PREFIX "%ld%s", parent,
                             (long)getpid(), number) >= sizeof(dir->path))
            break;
        result = make_named(dir, parent_fd, strrchr(dir->path, '/') + 1);
        error = errno;
        if (result == -1 && error != EEXIST && error != EWOULDBLOCK)
            break;
    }
    if (parent_fd == -1)
        error = errno;
    else
        close(parent_fd);
    if (result == 0) {
        dir->parent_len = strlen(parent);
        dir->users = 1;
        return dir;
    }
    free(dir);
    errno = error;
    return NULL;
}

int runtime_dir_is_there(const struct runtime_dir *dir)
{
    struct stat named, ours;

    return lstat(dir->path, &named) == 0 && fstat(dir->fd, &ours) == 0 &&
           named.st_dev == ours.st_dev && named.st_ino == ours.st_ino;
}

void runtime_dir_release(struct runtime_dir *dir)
{
    if (dir == NULL || --dir->users > 0)
        return;
    empty(dir->fd, 1);
    if (runtime_dir_is_there(dir))
        rmdir(dir->path);
    close(dir->lock_fd);
    close(dir->fd);
    free(dir);
}

/* -------------------------------------------------------------- a process's */

int door_path(const char *runtime_dir, const char *name, uint64_t serial, char *path, size_t size)
{
    int len = snprintf(path, size, "%s/%s.%llu/" DOOR_NAME, runtime_dir, name,
                       (unsigned long long)serial);

    if (len > 0 && (size_t)len < size)
        return 0;
    errno = ENAMETOOLONG;
    return -1;
}

static void name_door_dir(const struct app_definition *def, uint64_t serial, char *name,
                          size_t size)
{
    snprintf(name, size, "%s.%llu", def->name, (unsigned long long)serial);
}

/* The placeholder is a file whose owner, group and mode the attached door will have. */
static int make_placeholder(int dir_fd, const struct app_definition *def)
{
    int fd = openat(dir_fd, DOOR_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int result = fd;

    if (fd == -1)
        return -1;
    if (def->has_credentials)
        result = fchown(fd, def->uid, def->door_gid);
    if (result != -1)
        result = fchmod(fd, 0660);
    close(fd);
    return result;
}

int door_dir_make(int dir_fd, const struct app_definition *def, uint64_t serial)
{
    char name[APP_NAME_MAX + 32];
    int result, error, fd;

    name_door_dir(def, serial, name, sizeof(name));
    if (mkdirat(dir_fd, name, 0700) == -1)
        return -1;
    fd = open_dir(dir_fd, name);
    result = fd != -1 ? make_placeholder(fd, def) : -1;
    if (result != -1 && def->has_credentials)
        result = fchown(fd, def->uid, def->door_gid);
    /* Set-group-ID: files made in it get its group, whatever groups the process has. */
    if (result != -1)
        result = fchmod(fd, 02710);
    error = errno;
    if (fd != -1)
        close(fd);
    errno = error;
    return result == -1 ? -1 : 0;
}

int door_dir_is_attached(int dir_fd, const struct app_definition *def, uint64_t serial)
{
    char name[APP_NAME_MAX + 32 + sizeof(DOOR_NAME)];
    struct stat st;

    name_door_dir(def, serial, name, sizeof(name));
    strcat(name, "/" DOOR_NAME);
    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode) &&
           !S_ISLNK(st.st_mode);
}

void door_dir_remove(int dir_fd, const struct app_definition *def, uint64_t serial)
{
    char name[APP_NAME_MAX + 32];
    int fd;

    name_door_dir(def, serial, name, sizeof(name));
    fd = open_dir(dir_fd, name);
    if (fd == -1)
        return;
    if ((!def->has_credentials || fchown(fd, geteuid(), getegid()) == 0) && fchmod(fd, 0700) == 0)
        empty(fd, 1);
    close(fd);
    unlinkat(dir_fd, name, AT_REMOVEDIR);
}
