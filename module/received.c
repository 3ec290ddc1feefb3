/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * received.c: descriptors that an application has sent.  Whatever is done with
 * one may wait for as long as the application likes: reading a file of its own
 * FUSE, closing a socket that lingers, or one that has such a socket in its queue.
 * No thread that serves others does that: what may wait is done by a thread of
 * its own, there are few of those for each sender, and one that has too many is
 * not called any more.
 *
 * Knows nothing of HTTP and messages.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "mod_door.h"
#include "received.h"
#include "tokens.h"

/* Threads that may wait for one sender. */
#define WAITING_MAX 8

/* What they need of a stack is next to nothing. */
#define STACK_SIZE (64 * 1024)

/* How often one that waits for such a thread looks whether it still should. */
#define LOOK_NS 250000000L

/* Guards the rest, and every job. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER; /* a job is */

/* Never freed: a late call of a response door may still name one.  The first is nobody's. */
static struct sender {
    char *name;
    unsigned doors;   /* open ones of that name */
    unsigned waiting; /* jobs that are not done */
} senders[MOD_DOOR_SENDERS];

/* What a thread of its own does. */
struct job {
    unsigned sender;
    int fd;                         /* to be closed, or -1: */
    struct mod_door_received *file; /* to be read, held */
    char *bytes;                    /* malloc()ed */
    apr_size_t len;
    apr_off_t offset;
    ssize_t got;
    int error;
    int is_done;
    int is_abandoned; /* whoever waited for it does so no more */
};

/* ------------------------------------------------------------- senders */

unsigned mod_door_hold_sender(const char *name)
{
    unsigned found = 0, i;

    pthread_mutex_lock(&lock);
    for (i = MOD_DOOR_SENDERS - 1; i > 0; i--) {
        struct sender *s = &senders[i];

        if (s->name != NULL && !strcmp(s->name, name)) {
            found = i;
            break;
        }
        if (s->doors == 0 && s->waiting == 0)
            found = i;
    }
    if (found > 0 && i == 0) {
        char *copy = strdup(name);

        free(senders[found].name);
        senders[found].name = copy;
        if (copy == NULL)
            found = 0;
    }
    senders[found].doors++;
    pthread_mutex_unlock(&lock);
    return found;
}

void mod_door_drop_sender(unsigned sender)
{
    pthread_mutex_lock(&lock);
    senders[sender].doors--;
    pthread_mutex_unlock(&lock);
}

int mod_door_is_overdrawn(unsigned sender)
{
    int is_overdrawn;

    pthread_mutex_lock(&lock);
    is_overdrawn = senders[sender].waiting >= WAITING_MAX;
    pthread_mutex_unlock(&lock);
    return is_overdrawn;
}

/* ------------------------------------------------------------- looking */

/*
 * A file that neither the application nor a file system of its own can keep us
 * waiting for: on a disk of this machine, which takes an administrator to mount,
 * or in memory.  FUSE, overlays, network file systems, btrfs's subvolumes and the like have no
 * device of their own, which is a pity for some of them.
 */
static int is_prompt_file(int fd, unsigned dev_major)
{
#ifdef F_GET_SEALS
    if (fcntl(fd, F_GET_SEALS) != -1)
        return 1;
#else
    (void)fd;
#endif
    return dev_major != 0;
}

/* With what is read from any other socket descriptors may come, which are closed at once. */
static int is_bare_socket(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);

    return getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
           (address.ss_family == AF_INET || address.ss_family == AF_INET6);
}

/* A pipe's reading is by its readiness. */
static void look_for_waits(int fd, unsigned dev_major, struct mod_door_look *look)
{
    int is_prompt_regular = look->kind == MOD_DOOR_FILE && is_prompt_file(fd, dev_major);

    look->closes_at_once = look->kind == MOD_DOOR_PIPE || is_prompt_regular;
    look->reads_at_once =
        is_prompt_regular || (look->kind == MOD_DOOR_SOCKET && is_bare_socket(fd));
}

static enum mod_door_received_kind kind_of(mode_t mode)
{
    return S_ISREG(mode)    ? MOD_DOOR_FILE
           : S_ISFIFO(mode) ? MOD_DOOR_PIPE
           : S_ISSOCK(mode) ? MOD_DOOR_SOCKET
                            : MOD_DOOR_OTHER;
}

apr_status_t mod_door_look_at(int fd, struct mod_door_look *look)
{
#ifdef AT_STATX_DONT_SYNC
    struct statx st;

    /* fstat(2) and fstatfs(2) ask whoever serves the file system. */
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_SIZE, &st) == -1)
        return errno;
    look->kind = kind_of(st.stx_mode);
    look->size = (apr_off_t)st.stx_size;
    look_for_waits(fd, st.stx_dev_major, look);
#else
    struct stat st;

    /* Where there is no such call nobody but an administrator mounts anything. */
    if (fstat(fd, &st) == -1)
        return errno;
    look->kind = kind_of(st.st_mode);
    look->size = st.st_size;
    look_for_waits(fd, 1, look);
#endif
    return APR_SUCCESS;
}

/* ---------------------------------------------------------------- jobs */

static void free_job(struct job *job)
{
    if (job->file != NULL)
        mod_door_release_received(job->file);
    free(job->bytes);
    free(job);
}

/* Lingering is the application's wish. */
static void close_now(int fd)
{
    struct linger none = {0};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    close(fd);
}

static ssize_t read_file(const struct job *job)
{
    switch (job->file->look.kind) {
    case MOD_DOOR_FILE:
        return pread(job->file->fd, job->bytes, job->len, job->offset);
    case MOD_DOOR_SOCKET:
        return recv(job->file->fd, job->bytes, job->len, MSG_DONTWAIT);
    default:
        return read(job->file->fd, job->bytes, job->len);
    }
}

static void *work(void *data)
{
    struct job *job = data;
    int is_abandoned;

    if (job->fd != -1) {
        close_now(job->fd);
    } else {
        job->got = read_file(job);
        job->error = job->got == -1 ? errno : 0;
    }
    pthread_mutex_lock(&lock);
    senders[job->sender].waiting--;
    job->is_done = 1;
    is_abandoned = job->is_abandoned;
    pthread_cond_broadcast(&done);
    pthread_mutex_unlock(&lock);
    if (is_abandoned)
        free_job(job);
    return NULL;
}

/* With the lock held: the job has a thread, or an errno value. */
static int start(struct job *job)
{
    pthread_attr_t attr;
    sigset_t all, before;
    pthread_t thread;
    int error = pthread_attr_init(&attr);

    if (error != 0)
        return error;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    /* The MPM's signal handlers must not run there. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, &attr, work, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (error == 0)
        senders[job->sender].waiting++;
    return error;
}

/* ------------------------------------------------------------- closing */

void mod_door_close_received(unsigned sender, int fd)
{
    struct mod_door_look look;
    struct job *job;
    int error = ENOMEM;

    if (mod_door_look_at(fd, &look) == APR_SUCCESS && look.closes_at_once) {
        close(fd);
        return;
    }
    job = calloc(1, sizeof(*job));
    if (job != NULL) {
        job->sender = sender;
        job->fd = fd;
        job->is_abandoned = 1;
        pthread_mutex_lock(&lock);
        error = start(job);
        pthread_mutex_unlock(&lock);
    }
    if (error != 0) {
        door_close_received(fd);
        free(job);
    }
}

struct mod_door_received *mod_door_keep_received(unsigned sender, int fd,
                                                 const struct mod_door_look *look)
{
    struct mod_door_received *file = malloc(sizeof(*file));

    if (file == NULL) {
        mod_door_close_received(sender, fd);
        return NULL;
    }
    *file = (struct mod_door_received){.fd = fd, .sender = sender, .look = *look};
    atomic_init(&file->refs, 1);
    return file;
}

void mod_door_release_received(struct mod_door_received *file)
{
    if (atomic_fetch_sub(&file->refs, 1) > 1)
        return;
    mod_door_close_received(file->sender, file->fd);
    free(file);
}

/* ------------------------------------------------------------- reading */

/* Without waiting: EAGAIN if that cannot be, EOPNOTSUPP if that cannot be known. */
static ssize_t read_now(const struct mod_door_received *file, char *buf, apr_size_t len,
                        apr_off_t offset)
{
    int is_file = file->look.kind == MOD_DOOR_FILE;

    if (file->look.reads_at_once)
        return is_file ? pread(file->fd, buf, len, offset)
                       : recv(file->fd, buf, len, MSG_DONTWAIT);
#ifdef RWF_NOWAIT
    struct iovec v = {.iov_base = buf, .iov_len = len};

    /* O_NONBLOCK is the application's as well, and so no promise. */
    if (file->look.kind != MOD_DOOR_SOCKET)
        return preadv2(file->fd, &v, 1, is_file ? offset : -1, RWF_NOWAIT);
#endif
    errno = EOPNOTSUPP;
    return -1;
}

/* What read_now() has failed with is no more than that it would not wait. */
static int is_worth_waiting(const struct mod_door_received *file, int error)
{
    if (file->look.reads_at_once)
        return 0;
    return error == EOPNOTSUPP || error == EINVAL || error == ENOSYS ||
           (error == EAGAIN && file->look.kind == MOD_DOOR_FILE);
}

/* With the lock held: a moment; an errno value if that was one too many. */
static int wait_a_moment(apr_time_t until, mod_door_check *check, void *data)
{
    struct timespec moment;
    int error = 0;

    clock_gettime(CLOCK_REALTIME, &moment);
    moment.tv_nsec += LOOK_NS;
    moment.tv_sec += moment.tv_nsec / 1000000000L;
    moment.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&done, &lock, &moment);
    if (check != NULL) { /* it may take its time */
        pthread_mutex_unlock(&lock);
        error = check(data);
        pthread_mutex_lock(&lock);
    }
    if (error == 0 && mod_door_is_stopping())
        error = ECONNABORTED;
    if (error == 0 && until > 0 && apr_time_now() > until)
        error = MOD_DOOR_ESILENT;
    return error;
}

/* With the lock held: in its turn among the sender's, the job gets a thread and ends. */
static int run(struct job *job, apr_time_t until, mod_door_check *check, void *data)
{
    int error = 0;

    while (error == 0 && senders[job->sender].waiting >= WAITING_MAX)
        error = wait_a_moment(until, check, data);
    if (error == 0)
        error = start(job);
    if (error != 0) {
        job->is_done = 1; /* nobody has it */
        return error;
    }
    while (error == 0 && !job->is_done)
        error = wait_a_moment(until, check, data);
    return job->is_done ? 0 : error;
}

static apr_status_t read_patiently(struct mod_door_received *file, char *buf, apr_size_t len,
                                   apr_off_t offset, apr_interval_time_t timeout,
                                   mod_door_check *check, void *data, apr_size_t *got)
{
    struct job *job = calloc(1, sizeof(*job));
    char *bytes = malloc(len);
    int error, is_done;

    if (job == NULL || bytes == NULL) {
        free(job);
        free(bytes);
        return ENOMEM;
    }
    *job = (struct job){.sender = file->sender, .fd = -1, .file = file, .bytes = bytes, .len = len,
                        .offset = offset};
    atomic_fetch_add(&file->refs, 1);
    pthread_mutex_lock(&lock);
    error = run(job, timeout > 0 ? apr_time_now() + timeout : 0, check, data);
    is_done = job->is_done;
    job->is_abandoned = !is_done;
    pthread_mutex_unlock(&lock);
    if (!is_done)
        return error;
    if (error == 0 && job->got == -1)
        error = job->error;
    if (error == 0) {
        *got = (apr_size_t)job->got;
        memcpy(buf, bytes, *got);
    }
    free_job(job);
    return error;
}

apr_status_t mod_door_read_received(struct mod_door_received *file, char *buf, apr_size_t len,
                                    apr_off_t offset, apr_interval_time_t timeout,
                                    mod_door_check *check, void *data, apr_size_t *got)
{
    ssize_t count;

    do
        count = read_now(file, buf, len, offset);
    while (count == -1 && errno == EINTR);
    *got = count > 0 ? (apr_size_t)count : 0;
    if (count >= 0)
        return APR_SUCCESS;
    if (!is_worth_waiting(file, errno))
        return errno;
    return read_patiently(file, buf, len, offset, timeout, check, data, got);
}
