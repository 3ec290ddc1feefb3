/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * received.c: descriptors that an application has sent.  Any operation on one may
 * block for as long as the application likes: reading a file of the application's
 * own FUSE, closing a socket that lingers or has such a socket in its queue.  A
 * thread that serves requests must not block in that way.  So an operation that may
 * block is done by a thread of its own.  Each sender can have only a few of these
 * threads, and is not called any more while it has too many.
 *
 * This file knows nothing of HTTP and messages.
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

/* How many threads may be blocked by the descriptors of one sender. */
#define WAITING_MAX 8

/* These threads need hardly any stack. */
#define STACK_SIZE (64 * 1024)

/* How often a caller that waits for such a thread checks whether it should go on. */
#define LOOK_NS 250000000L

/* Guards the variables below, and every job. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done; /* a job is done; on CLOCK_MONOTONIC */

/* A late call of a response door may still use a number.  The first one is shared. */
static struct sender {
    char *name;
    unsigned doors;   /* open doors of that name */
    unsigned waiting; /* jobs that are not done */
} senders[MOD_DOOR_SENDERS];

/* What a thread of its own does: closes a descriptor, or reads. */
struct job {
    unsigned sender;
    int fd;                         /* to be closed; -1: file is to be read */
    struct mod_door_received *file; /* the job has a reference to it */
    char *bytes;                    /* malloc()ed */
    apr_size_t len;
    apr_off_t offset;
    ssize_t got;
    int error;
    int is_done;
    int is_abandoned; /* nobody waits for the job: its thread frees it */
};

void mod_door_init_received(void)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&done, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

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
 * Whether the application cannot make this file block: it is on a disk of this machine,
 * which only an administrator can mount, or in memory (a memfd).  File systems without a
 * device, whose major number is 0, do not count.  Among them are FUSE and network file
 * systems, but also harmless ones such as overlays and btrfs's subvolumes.
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

/*
 * Whether reading cannot bring descriptors, as it can with a socket of another family:
 * recv(2) closes these at once, and that may block.
 */
static int is_bare_socket(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);

    return getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
           (address.ss_family == AF_INET || address.ss_family == AF_INET6);
}

/* A pipe does not count as read at once: read_now() finds out whether it has something. */
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

    /* fstat(2) and fstatfs(2) may ask the server of the file system, and block. */
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_SIZE, &st) == -1)
        return errno;
    look->kind = kind_of(st.stx_mode);
    look->size = (apr_off_t)st.stx_size;
    look_for_waits(fd, st.stx_dev_major, look);
#else
    struct stat st;

    /* On systems without this call, only an administrator can mount file systems. */
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

/* Switches off lingering, which the application may have set, so that close(2) is quick. */
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

/* With the lock held: gives the job a thread.  Returns 0 or an errno value. */
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
    /* The MPM's signal handlers must not run in that thread. */
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

/*
 * Reads without waiting.  errno is EAGAIN if that would block, and EOPNOTSUPP if it cannot be
 * known whether it would.
 */
static ssize_t read_now(const struct mod_door_received *file, char *buf, apr_size_t len,
                        apr_off_t offset)
{
    int is_file = file->look.kind == MOD_DOOR_FILE;

    if (file->look.reads_at_once)
        return is_file ? pread(file->fd, buf, len, offset)
                       : recv(file->fd, buf, len, MSG_DONTWAIT);
#ifdef RWF_NOWAIT
    struct iovec v = {.iov_base = buf, .iov_len = len};

    /* O_NONBLOCK would not help: the application shares the flag, and can clear it. */
    if (file->look.kind != MOD_DOOR_SOCKET)
        return preadv2(file->fd, &v, 1, is_file ? offset : -1, RWF_NOWAIT);
#endif
    errno = EOPNOTSUPP;
    return -1;
}

/* Whether read_now() has failed only because it does not wait. */
static int is_worth_waiting(const struct mod_door_received *file, int error)
{
    if (file->look.reads_at_once)
        return 0;
    return error == EOPNOTSUPP || error == EINVAL || error == ENOSYS ||
           (error == EAGAIN && file->look.kind == MOD_DOOR_FILE);
}

/* With the lock held: waits a moment.  Returns 0, or an error if the caller should give up. */
static int wait_a_moment(apr_time_t until, mod_door_check *check, void *data)
{
    struct timespec moment;
    int error = 0;

    clock_gettime(CLOCK_MONOTONIC, &moment);
    moment.tv_nsec += LOOK_NS;
    moment.tv_sec += moment.tv_nsec / 1000000000L;
    moment.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&done, &lock, &moment);
    if (check != NULL) { /* without the lock, because check() may take long */
        pthread_mutex_unlock(&lock);
        error = check(data);
        pthread_mutex_lock(&lock);
    }
    if (error == 0 && mod_door_is_stopping())
        error = ECONNABORTED;
    if (error == 0 && until > 0 && mod_door_now() > until)
        error = MOD_DOOR_ESILENT;
    return error;
}

/*
 * With the lock held: waits until the sender may have another thread, starts the job, and
 * waits for its end.  Returns 0 if the job is done.
 */
static int run(struct job *job, apr_time_t until, mod_door_check *check, void *data)
{
    int error = 0;

    while (error == 0 && senders[job->sender].waiting >= WAITING_MAX)
        error = wait_a_moment(until, check, data);
    if (error == 0)
        error = start(job);
    if (error != 0) {
        job->is_done = 1; /* it has no thread, so the caller frees it */
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
    error = run(job, timeout > 0 ? mod_door_now() + timeout : 0, check, data);
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
