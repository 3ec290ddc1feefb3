/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * doors.c: this child's table of open doors, and the call through one.
 *
 * A door is opened for its first request and shared by all later ones.  It is
 * replaced when it refuses a call, or when its name now belongs to another door: a
 * replaced application may still be running.  Each door counts its users, and the
 * table is one of them; the last user closes it.  Opening may block, so it happens
 * outside the lock.  If two threads open the same door, the later one closes its own
 * and takes the other's.
 *
 * This file knows nothing of messages and HTTP.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ap_mpm.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "mod_door.h"
#include "settings.h"
#include "doors.h"
#include "received.h"
#include "tokens.h"

/*
 * How many doors named by .htaccess files stay open.  The authors may name any number,
 * and each open door takes a few of the descriptors that all requests need.
 */
#define UNTRUSTED_MAX 64

/* How often to check whether a name has become another door's. */
#define CHECK_INTERVAL apr_time_from_sec(1)

/* To open a directory only for openat(2) in it, search permission is enough. */
#ifndef O_SEARCH
#ifdef O_PATH
#define O_SEARCH O_PATH
#else
#define O_SEARCH O_RDONLY
#endif
#endif

static struct {
    apr_thread_mutex_t *lock; /* guards the table, and members of struct mod_door as doors.h says */
    apr_hash_t *open;         /* key: struct mod_door * */
    unsigned untrusted_count; /* doors in the table that .htaccess files named */
    sigset_t graceful;        /* signals that must not interrupt a call */
    int is_threaded;          /* httpd's worker threads have these signals blocked already */
} doors;

static _Atomic unsigned long last_serial;

/* -------------------------------------------------------------- opening */

/* Opens the subdirectory of that name, and closes dir.  Returns its descriptor, or -1 and errno. */
static int descend(int dir, const char *name, apr_size_t name_len)
{
    char component[NAME_MAX + 1];
    int fd = -1;
    int error;

    if (name_len > NAME_MAX) {
        error = ENAMETOOLONG;
    } else {
        memcpy(component, name, name_len);
        component[name_len] = '\0';
        fd = openat(dir, component, O_SEARCH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        error = errno;
    }
    close(dir);
    errno = error;
    return fd;
}

/*
 * Opens the door at door_name->path.  Symbolic links are followed only in the first
 * trusted_len bytes of the path: somebody who may write an .htaccess file can often make
 * links beside the door, and an application can in its own directory.  *dir_owner becomes
 * the owner of the last directory.
 */
static int open_beneath(const struct mod_door_name *door_name, uid_t *dir_owner)
{
    char prefix[PATH_MAX];
    const char *path = door_name->path;
    apr_size_t trusted_len = door_name->trusted_len;
    const char *name = path + trusted_len;
    struct stat st;
    int dir;
    int fd;
    int error;

    if (trusted_len + 1 >= sizeof(prefix)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(prefix, path, trusted_len);
    strcpy(prefix + trusted_len, trusted_len == 0 ? "/" : "");
    dir = open(prefix, O_SEARCH | O_DIRECTORY | O_CLOEXEC);
    for (name++; dir != -1 && strchr(name, '/') != NULL; name = strchr(name, '/') + 1)
        dir = descend(dir, name, strcspn(name, "/"));
    if (dir == -1)
        return -1;
    fd = fstat(dir, &st) == 0 ? door_openat(dir, name, O_NOFOLLOW) : -1;
    error = errno;
    *dir_owner = st.st_uid;
    close(dir);
    errno = error;
    return fd;
}

static int open_fd(const struct mod_door_name *name, uid_t *dir_owner)
{
    int fd;

    do {
        if (name->path[name->trusted_len] == '\0')
            fd = door_openat(AT_FDCWD, name->path, 0);
        else
            fd = open_beneath(name, dir_owner);
    } while (fd == -1 && errno == EINTR);
    return fd;
}

static void look_at_name(const char *path, struct mod_door *door)
{
    struct stat st;

    if (stat(path, &st) == -1)
        return;
    door->dev = st.st_dev;
    door->ino = st.st_ino;
    /* A new file may get the same inode number at once, but not the same change time. */
    door->changed = apr_time_from_sec(st.st_ctim.tv_sec) + st.st_ctim.tv_nsec / 1000;
}

static pid_t server_pid(int fd)
{
    door_info_t info;

    return door_info(fd, &info) == 0 ? info.di_target : -1;
}

static void close_door(struct mod_door *door)
{
    if (door == NULL)
        return;
    if (door->response_fd != -1)
        door_revoke(door->response_fd); /* closes it, too */
    door_handle_close(door->handle);
    mod_door_drop_sender(door->sender);
    close(door->fd);
    free(door);
}

/* Opens a door, which has no users yet.  Returns NULL and errno if it fails. */
static struct mod_door *open_door(const struct mod_door_name *name, apr_time_t now)
{
    apr_size_t key_size = strlen(name->key) + 1;
    struct mod_door *door = calloc(1, sizeof(*door) + key_size);
    uid_t dir_owner = 0;
    int error;

    if (door == NULL)
        return NULL;
    memcpy(door->key, name->key, key_size);
    door->version = name->version;
    /* Before the door is opened, so that a later check notices a change in between. */
    look_at_name(name->path, door);
    door->checked = now;
    door->fd = open_fd(name, &dir_owner);
    if (door->fd == -1) {
        error = errno;
        free(door);
        errno = error;
        return NULL;
    }
    door->pid = server_pid(door->fd);
    door->response_fd = -1;
    door->is_attacher_known = door_attached_by(door->fd, &door->attacher) == 0;
    door->sender = mod_door_hold_sender(name->sender);
    door->handle = door_handle_open(door->fd);
    if (door->handle == NULL) {
        error = errno;
        close_door(door);
        errno = error;
        return NULL;
    }
    door->serial = atomic_fetch_add(&last_serial, 1) + 1;
    error = mod_door_random_id(door->id);
    if (error != APR_SUCCESS) {
        close_door(door);
        errno = error;
        return NULL;
    }
    if (name->in_own_dir && door->is_attacher_known && door->attacher != dir_owner) {
        close_door(door);
        errno = MOD_DOOR_EOWNER;
        return NULL;
    }
    return door;
}

static int is_replaced(const char *path, const struct mod_door *door)
{
    struct mod_door now = {.dev = door->dev, .ino = door->ino, .changed = door->changed};

    /* If the name is gone, the door may still be served, so it does not count as replaced. */
    look_at_name(path, &now);
    return now.dev != door->dev || now.ino != door->ino || now.changed != door->changed;
}

/* ---------------------------------------------------------------- table */

/* Called under the lock; the caller closes what it returns, after unlocking. */
static struct mod_door *drop_user(struct mod_door *door)
{
    return --door->users == 0 ? door : NULL;
}

void mod_door_release(struct mod_door *door)
{
    struct mod_door *unused;

    apr_thread_mutex_lock(doors.lock);
    unused = drop_user(door);
    apr_thread_mutex_unlock(doors.lock);
    close_door(unused);
}

/* Whether an .htaccess file named it: all other keys are absolute paths. */
static int is_untrusted(const struct mod_door *door)
{
    return door->key[0] != '/';
}

/* Under the lock: takes the door out of the table.  The result is to be closed as drop_user()'s. */
static struct mod_door *remove_door(struct mod_door *door)
{
    apr_hash_set(doors.open, door->key, APR_HASH_KEY_STRING, NULL);
    if (is_untrusted(door))
        doors.untrusted_count--;
    return drop_user(door);
}

/* Under the lock: takes out an untrusted door that has no request, if there is one. */
static struct mod_door *evict_untrusted(void)
{
    apr_hash_index_t *i;

    for (i = apr_hash_first(NULL, doors.open); i != NULL; i = apr_hash_next(i)) {
        struct mod_door *door = apr_hash_this_val(i);

        if (is_untrusted(door) && door->users == 1)
            return remove_door(door);
    }
    return NULL;
}

/*
 * Under the lock: puts the door into the table.  If there is no room, it is not entered
 * and lasts for one request.  Returns an evicted door, which the caller closes, or NULL.
 */
static struct mod_door *add_door(struct mod_door *door)
{
    struct mod_door *evicted = NULL;

    if (is_untrusted(door)) {
        if (doors.untrusted_count >= UNTRUSTED_MAX)
            evicted = evict_untrusted();
        if (doors.untrusted_count >= UNTRUSTED_MAX)
            return NULL;
        doors.untrusted_count++;
    }
    apr_hash_set(doors.open, door->key, APR_HASH_KEY_STRING, door);
    door->users++;
    return evicted;
}

/*
 * The door in the table, or NULL if there is none or only old (which may be NULL).
 * *check becomes 1 if the caller should check its name now; other threads need not.
 */
static struct mod_door *find_door(const struct mod_door_name *name, const struct mod_door *old,
                                  apr_time_t now, int *check)
{
    struct mod_door *door;

    apr_thread_mutex_lock(doors.lock);
    door = apr_hash_get(doors.open, name->key, APR_HASH_KEY_STRING);
    if (door == old)
        door = NULL;
    if (door != NULL) {
        door->users++;
        *check = name->version == 0 &&
                 (now < door->checked || now - door->checked >= CHECK_INTERVAL);
        if (*check)
            door->checked = now;
    }
    apr_thread_mutex_unlock(doors.lock);
    return door;
}

/*
 * Puts the opened door into the table, in place of old (or NULL).  If another thread was
 * faster, its door is taken instead.  The caller is a user of the door that is returned.
 */
static struct mod_door *enter_door(struct mod_door *opened, const struct mod_door *old)
{
    struct mod_door *present;
    struct mod_door *unused = NULL;
    struct mod_door *evicted = NULL;

    apr_thread_mutex_lock(doors.lock);
    present = apr_hash_get(doors.open, opened->key, APR_HASH_KEY_STRING);
    if (present != NULL && present != old) {
        unused = opened;
        opened = present;
    } else {
        if (present != NULL)
            unused = remove_door(present);
        evicted = add_door(opened);
    }
    opened->users++;
    apr_thread_mutex_unlock(doors.lock);
    close_door(unused);
    close_door(evicted);
    return opened;
}

void mod_door_discard(struct mod_door *door)
{
    struct mod_door *unused;

    apr_thread_mutex_lock(doors.lock);
    if (apr_hash_get(doors.open, door->key, APR_HASH_KEY_STRING) == door)
        remove_door(door); /* this does not drop the last user: the caller is one */
    unused = drop_user(door);
    apr_thread_mutex_unlock(doors.lock);
    close_door(unused);
}

static apr_status_t acquire(const struct mod_door_name *name, apr_time_t now,
                            struct mod_door **door)
{
    struct mod_door *old;
    struct mod_door *opened;
    apr_status_t error;
    int check = 0;

    *door = NULL;
    old = find_door(name, NULL, now, &check);
    if (old != NULL && old->version == name->version &&
        (!check || !is_replaced(name->path, old))) {
        *door = old;
        return APR_SUCCESS;
    }
    opened = open_door(name, now);
    if (opened == NULL && old != NULL && old->version == name->version) {
        /* The name's new door cannot be opened; the old one may still answer. */
        *door = old;
        return APR_SUCCESS;
    }
    if (opened == NULL) {
        error = errno;
        if (old != NULL)
            mod_door_discard(old);
        return error;
    }
    *door = enter_door(opened, old);
    if (old != NULL)
        mod_door_release(old);
    return APR_SUCCESS;
}

static apr_status_t renew(const struct mod_door_name *name, apr_time_t now, struct mod_door **door)
{
    struct mod_door *old = *door;
    struct mod_door *opened;
    apr_status_t error;
    int check;

    /* All threads that called the old door come here; one may have opened the new door already. */
    *door = find_door(name, old, now, &check);
    if (*door == NULL) {
        opened = open_door(name, now);
        if (opened == NULL) {
            error = errno;
            mod_door_discard(old);
            return error;
        }
        *door = enter_door(opened, old);
    }
    mod_door_release(old);
    return APR_SUCCESS;
}

/* Checked for each request: one path may be named with owner= in one place and not in another. */
static apr_status_t check_owner(const struct mod_door_name *name, struct mod_door **door)
{
    apr_status_t error = APR_SUCCESS;

    if (name->has_owner && !(*door)->is_attacher_known)
        error = ENOTSUP;
    else if (name->has_owner && (*door)->attacher != name->owner)
        error = MOD_DOOR_EOWNER;
    if (error == APR_SUCCESS)
        return APR_SUCCESS;
    mod_door_release(*door);
    *door = NULL;
    return error;
}

apr_status_t mod_door_acquire(const struct mod_door_name *name, apr_time_t now,
                              struct mod_door **door)
{
    apr_status_t error = acquire(name, now, door);

    return error == APR_SUCCESS ? check_owner(name, door) : error;
}

apr_status_t mod_door_renew(const struct mod_door_name *name, apr_time_t now,
                            struct mod_door **door)
{
    apr_status_t error = renew(name, now, door);

    return error == APR_SUCCESS ? check_owner(name, door) : error;
}

int mod_door_response_fd(struct mod_door *door, mod_door_response_maker *make)
{
    int error;

    apr_thread_mutex_lock(doors.lock);
    if (door->response_fd == -1)
        door->response_fd = make(door);
    error = errno;
    apr_thread_mutex_unlock(doors.lock);
    errno = error;
    return door->response_fd;
}

/* Under the lock. */
static struct mod_door *find_serial(unsigned long serial)
{
    apr_hash_index_t *i;

    for (i = apr_hash_first(NULL, doors.open); i != NULL; i = apr_hash_next(i)) {
        struct mod_door *door = apr_hash_this_val(i);

        if (door->serial == serial)
            return door;
    }
    return NULL;
}

void mod_door_cut_off(unsigned long serial)
{
    struct mod_door *door;
    int copy = -1;

    apr_thread_mutex_lock(doors.lock);
    door = find_serial(serial);
    if (door != NULL) {
        door->users++;
        remove_door(door); /* this does not drop the last user */
        copy = fcntl(door->response_fd, F_DUPFD_CLOEXEC, 0); /* door_revoke() closes its argument */
    }
    apr_thread_mutex_unlock(doors.lock);
    if (copy != -1)
        door_revoke(copy);
    if (door != NULL)
        mod_door_release(door);
}

/* ------------------------------------------------------------ the child */

/*
 * Closes the doors when the child ends.  A prefork child ends inside a signal handler, which
 * may have interrupted a call or a change of the table, so this must not wait for the lock.
 */
static apr_status_t close_idle(void *unused)
{
    apr_hash_index_t *i;

    (void)unused;
    if (apr_thread_mutex_trylock(doors.lock) != APR_SUCCESS)
        return APR_SUCCESS;
    while ((i = apr_hash_first(NULL, doors.open)) != NULL)
        close_door(remove_door(apr_hash_this_val(i)));
    apr_thread_mutex_unlock(doors.lock);
    return APR_SUCCESS;
}

apr_status_t mod_door_init(apr_pool_t *child_pool)
{
    static const int passing[] = {SIGTERM, SIGHUP, SIGINT,  SIGQUIT, SIGSEGV, SIGBUS,
                                  SIGFPE,  SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    apr_pool_t *pool;
    apr_status_t error;
    apr_size_t i;

    if (ap_mpm_query(AP_MPMQ_IS_THREADED, &doors.is_threaded) != APR_SUCCESS)
        doors.is_threaded = 0;
    sigfillset(&doors.graceful);
    for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
        sigdelset(&doors.graceful, passing[i]);
    error = apr_pool_create(&pool, child_pool); /* used under the lock only */
    if (error != APR_SUCCESS)
        return error;
    doors.open = apr_hash_make(pool);
    error = apr_thread_mutex_create(&doors.lock, APR_THREAD_MUTEX_DEFAULT, child_pool);
    if (error == APR_SUCCESS)
        apr_pool_cleanup_register(child_pool, NULL, close_idle, apr_pool_cleanup_null);
    return error;
}

/* -------------------------------------------------------------- calling */

apr_status_t mod_door_invoke(const struct mod_door *door, door_arg_t *args,
                             struct door_terms *terms)
{
    apr_status_t error = APR_SUCCESS;
    sigset_t before;

    if (!doors.is_threaded)
        pthread_sigmask(SIG_BLOCK, &doors.graceful, &before);
    if (door_handle_call(door->handle, args, terms) == -1)
        error = errno;
    if (!doors.is_threaded)
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}
