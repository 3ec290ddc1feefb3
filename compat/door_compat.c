/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door_compat.c: door_compat.h for systems that have doors of their own
 * (illumos).  On Linux libdoor does the same by simpler means, and this file
 * is only tested.
 *
 * A door_call() cannot be given a time limit, but a signal ends it.  A watchdog
 * thread sends one to the callers whose deadline has passed, and sends it again
 * until their call has returned: a signal that is handled just before the
 * thread falls asleep would go unnoticed.
 *
 * Nothing can be shared here: what would be is copied by the system's doors.
 */
#include "door_compat.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define WAKE_SIGNAL (SIGRTMAX - 2) /* nobody else's, one hopes: its handler is replaced */
#define REPEAT_NS 10000000ll
#define LOOK_NS 1000000000ll /* how late a deadline that was moved earlier is noticed */

/* A call that runs; on its caller's stack, in the list for as long as it does. */
struct timed_call {
    struct timed_call *next, **link;
    pthread_t caller;
    const _Atomic int64_t *deadline_ns;
    int is_late; /* the watchdog has given it up */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all of these */
static pthread_cond_t added; /* on CLOCK_MONOTONIC */
static struct timed_call *calls;
static pid_t watchdog_pid; /* the process that has one: a forked child does not */

int64_t door_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int door_openat(int dirfd, const char *path, int oflag)
{
    struct door_info info;
    int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | oflag);
    int error;

    if (fd < 0)
        return -1;
    error = door_info(fd, &info) < 0 ? EINVAL : info.di_target == -1 ? EBADF : 0;
    if (error == 0)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

int door_attached_by(int d, uid_t *uid)
{
    struct door_info info;

    (void)uid;
    errno = door_info(d, &info) < 0 ? EBADF : ENOTSUP;
    return -1;
}

static void *close_it(void *fd)
{
    close((int)(intptr_t)fd);
    return NULL;
}

/* A thread may wait; if there is none, this one has to. */
void door_close_received(int fd)
{
    int saved = errno;
    sigset_t all, before;
    pthread_t thread;

    if (fd >= 0) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        if (pthread_create(&thread, NULL, close_it, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
        else
            close(fd);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    errno = saved;
}

/* With the lock held: wakes the callers that are late; when to look again. */
static int64_t wake_late_callers(int64_t now_ns)
{
    int64_t next_ns = now_ns + LOOK_NS;

    for (struct timed_call *call = calls; call != NULL; call = call->next) {
        int64_t deadline_ns = atomic_load(call->deadline_ns);

        if (deadline_ns != 0 && deadline_ns <= now_ns) {
            call->is_late = 1;
            pthread_kill(call->caller, WAKE_SIGNAL);
            deadline_ns = now_ns + REPEAT_NS;
        }
        if (deadline_ns != 0 && deadline_ns < next_ns)
            next_ns = deadline_ns;
    }
    return next_ns;
}

static void *watch(void *unused)
{
    pthread_mutex_lock(&lock);
    for (;;) {
        int64_t next_ns = wake_late_callers(door_now_ns());
        struct timespec until = {.tv_sec = next_ns / 1000000000, .tv_nsec = next_ns % 1000000000};

        if (calls == NULL)
            pthread_cond_wait(&added, &lock);
        else
            pthread_cond_timedwait(&added, &lock, &until);
    }
    return unused;
}

static void ignore(int signal_number)
{
    (void)signal_number;
}

/* With the lock held: the watchdog, which takes no signals itself. */
static int start_watchdog(void)
{
    struct sigaction action = {.sa_handler = ignore}; /* no SA_RESTART: it is to interrupt */
    pthread_condattr_t monotonic;
    sigset_t all, before;
    pthread_t thread;
    int error;

    if (watchdog_pid == getpid())
        return 0;
    calls = NULL;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&added, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (sigaction(WAKE_SIGNAL, &action, NULL) < 0)
        return -1;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, NULL, watch, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        errno = error;
        return -1;
    }
    pthread_detach(thread);
    watchdog_pid = getpid();
    return 0;
}

static int enter(struct timed_call *call)
{
    int result;

    pthread_mutex_lock(&lock);
    result = start_watchdog();
    if (result == 0) {
        call->next = calls;
        call->link = &calls;
        if (calls != NULL)
            calls->link = &call->next;
        calls = call;
        pthread_cond_signal(&added);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

/* Once this returns no more signals are sent for the call. */
static void leave(struct timed_call *call)
{
    pthread_mutex_lock(&lock);
    *call->link = call->next;
    if (call->next != NULL)
        call->next->link = call->link;
    pthread_mutex_unlock(&lock);
}

/* Closed by the last who needs it: its owner, or a call that is begun now and ended later. */
struct door_handle {
    atomic_uint refs;
    int d; /* a copy: the caller's may be closed, and its number another door's */
};

struct door_handle *door_handle_open(int d)
{
    struct door_handle *handle;
    struct door_info info;

    while (door_info(d, &info) < 0) {
        if (errno != EINTR) /* a late signal of the watchdog's */
            return NULL;
    }
    handle = malloc(sizeof(*handle));
    if (handle == NULL)
        return NULL;
    atomic_init(&handle->refs, 1);
    handle->d = fcntl(d, F_DUPFD_CLOEXEC, 0);
    if (handle->d >= 0)
        return handle;
    free(handle);
    return NULL;
}

void door_handle_close(struct door_handle *handle)
{
    int saved = errno;

    if (handle != NULL && atomic_fetch_sub(&handle->refs, 1) == 1) {
        close(handle->d);
        free(handle);
    }
    errno = saved;
}

static void close_descriptors(const door_arg_t *arg)
{
    for (uint_t i = 0; i < arg->desc_num; i++)
        if (arg->desc_ptr[i].d_attributes & DOOR_DESCRIPTOR)
            door_close_received(arg->desc_ptr[i].d_data.d_desc.d_descriptor);
}

static int call_until(int d, door_arg_t *params, const _Atomic int64_t *deadline_ns)
{
    struct timed_call call = {.caller = pthread_self(), .deadline_ns = deadline_ns};
    sigset_t wake, before;
    int result, error;

    if (deadline_ns == NULL)
        return door_call(d, params);
    if (enter(&call) < 0)
        return -1;
    sigemptyset(&wake);
    sigaddset(&wake, WAKE_SIGNAL);
    /* One that came too late for the call before is delivered here, and harmless. */
    pthread_sigmask(SIG_UNBLOCK, &wake, &before);
    result = door_call(d, params);
    error = errno;
    leave(&call);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = result < 0 && error == EINTR && call.is_late ? ETIMEDOUT : error;
    return result;
}

/* These errors of door_call() come before a thread takes the call, or instead of it. */
static int may_be_taken(int error)
{
    static const int refused[] = {EBADF, EINVAL, EFAULT, E2BIG, ENOTSUP, ENFILE, ENOBUFS};

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (error == refused[i])
            return 0;
    return 1;
}

/* The result has come, in before's buffer or in a mapping that takes its place. */
static int take_result(door_arg_t *params, const door_arg_t *before, const struct door_terms *terms)
{
    int is_mapped = params->rbuf != before->rbuf;

    if (params->desc_num > terms->desc_max) {
        close_descriptors(params);
        if (is_mapped)
            munmap(params->rbuf, params->rsize);
        *params = *before;
        errno = EMFILE;
        return -1;
    }
    if (terms->loan != NULL && is_mapped) {
        terms->loan->mapping = params->rbuf;
        terms->loan->mapping_size = params->rsize;
        params->rbuf = before->rbuf;
        params->rsize = before->rsize;
    }
    return 0;
}

/* Bytes of the argument and all that is behind it; -1 and errno. */
static int measure(const door_arg_t *params, const struct door_terms *terms, size_t *size)
{
    int is_nowhere = params->data_ptr == NULL && params->data_size > 0;

    *size = params->data_size;
    for (unsigned i = 0; i < terms->more_count && !is_nowhere; i++) {
        const struct iovec *piece = &terms->more[i];

        is_nowhere = piece->iov_base == NULL && piece->iov_len > 0;
        if (piece->iov_len > SIZE_MAX - *size) {
            errno = E2BIG;
            return -1;
        }
        *size += piece->iov_len;
    }
    if (is_nowhere)
        errno = EFAULT;
    return is_nowhere ? -1 : 0;
}

/* The argument is one piece from now on, that is to be freed; NULL and errno. */
static char *join(door_arg_t *params, const struct door_terms *terms)
{
    size_t size, len = params->data_size;
    char *whole = measure(params, terms, &size) == 0 ? malloc(size > 0 ? size : 1) : NULL;

    if (whole == NULL)
        return NULL;
    if (len > 0)
        memcpy(whole, params->data_ptr, len);
    for (unsigned i = 0; i < terms->more_count; i++) {
        const struct iovec *piece = &terms->more[i];

        if (piece->iov_len > 0)
            memcpy(whole + len, piece->iov_base, piece->iov_len);
        len += piece->iov_len;
    }
    params->data_ptr = size > 0 ? whole : NULL;
    params->data_size = size;
    return whole;
}

/* Where the call fails, params stay. */
static int call_joined(int d, door_arg_t *params, const struct door_terms *terms)
{
    door_arg_t joined = *params;
    char *whole = join(&joined, terms);
    int result, error;

    if (whole == NULL)
        return -1;
    result = call_until(d, &joined, terms->deadline_ns);
    error = errno;
    free(whole);
    if (result == 0)
        *params = joined;
    errno = error;
    return result;
}

/* take_by_ns has no meaning: nobody here can tell whether a call was taken. */
int door_handle_call(struct door_handle *handle, door_arg_t *params, struct door_terms *terms)
{
    struct door_terms none = {.deadline_ns = NULL};
    door_arg_t before = params != NULL ? *params : (door_arg_t){.rbuf = NULL};
    int result;

    if (terms == NULL)
        terms = &none;
    if (terms->loan != NULL)
        *terms->loan = (struct door_loan){NULL, 0, NULL, 0};
    result = params != NULL && terms->more != NULL
                 ? call_joined(handle->d, params, terms)
                 : call_until(handle->d, params, terms->deadline_ns);
    terms->was_taken = result == 0 || may_be_taken(errno);
    return result == 0 && params != NULL ? take_result(params, &before, terms) : result;
}

void door_end_loan(struct door_loan *loan)
{
    if (loan->mapping != NULL)
        munmap(loan->mapping, loan->mapping_size);
    *loan = (struct door_loan){NULL, 0, NULL, 0};
}

struct door_async {
    struct door_handle *handle; /* a reference: the caller's may be closed meanwhile */
    int has_begun; /* and was not ended */
    int error;    /* errno that the last call has ended with, or 0 */
    size_t size;  /* bytes, of the buffer */
    char *result; /* in mapping, or in small */
    size_t result_len;
    char *mapping;
    size_t mapping_size; /* 0: there is none */
    char small[256];
    max_align_t buffer[];
};

struct door_async *door_async_open(struct door_handle *handle, size_t size)
{
    struct door_async *call = NULL;
    struct door_info info;

    if (door_info(handle->d, &info) < 0 || info.di_target == -1) {
        errno = EBADF;
        return NULL;
    }
    if (size <= SIZE_MAX - sizeof(*call))
        call = malloc(sizeof(*call) + size);
    if (call == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    atomic_fetch_add(&handle->refs, 1);
    *call = (struct door_async){.size = size, .error = EINVAL, .handle = handle};
    return call;
}

char *door_async_buffer(struct door_async *call)
{
    return (char *)call->buffer;
}

static void forget_result(struct door_async *call)
{
    if (call->mapping_size > 0)
        munmap(call->mapping, call->mapping_size);
    call->mapping_size = 0;
}

int door_async_begin(struct door_async *call, const char *data, size_t len,
                     const struct door_async *behind)
{
    door_arg_t arg = {.data_ptr = (char *)data,
                      .data_size = len,
                      .rbuf = call->small,
                      .rsize = sizeof(call->small)};

    (void)behind; /* it is over */
    if (call->has_begun) {
        errno = EINVAL;
        return -1;
    }
    forget_result(call);
    call->has_begun = 1;
    call->error = door_call(call->handle->d, &arg) < 0 ? errno : 0;
    if (call->error != 0)
        return 0;
    close_descriptors(&arg);
    call->result = arg.data_ptr;
    call->result_len = arg.data_size;
    if (arg.rbuf != call->small) {
        call->mapping = arg.rbuf;
        call->mapping_size = arg.rsize;
    }
    return 0;
}

int door_async_is_over(const struct door_async *call)
{
    (void)call;
    return 1;
}

int door_async_end(struct door_async *call, char **result, size_t *result_size)
{
    call->has_begun = 0;
    *result = call->result;
    *result_size = call->result_len;
    errno = call->error;
    return call->error == 0 ? 0 : -1;
}

void door_async_close(struct door_async *call)
{
    int saved = errno;

    if (call != NULL) {
        forget_result(call);
        door_handle_close(call->handle);
    }
    free(call);
    errno = saved;
}

int door_share_arguments(int d)
{
    struct door_info info;

    if (door_info(d, &info) == 0 && (info.di_attributes & DOOR_LOCAL))
        return 0;
    errno = EBADF;
    return -1;
}

int door_hide_procedure(int d)
{
    struct door_info info;

    errno = door_info(d, &info) == 0 && (info.di_attributes & DOOR_LOCAL) ? ENOTSUP : EBADF;
    return -1;
}

/* A server thread's; its pages are given back when it ends. */
static pthread_key_t buffer_key;
static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;
static int buffer_error;

struct result_buffer {
    size_t size;
    max_align_t bytes[];
};

static void make_buffer_key(void)
{
    buffer_error = pthread_key_create(&buffer_key, free);
}

void *door_result_buffer(size_t size)
{
    struct result_buffer *buffer;

    pthread_once(&buffer_once, make_buffer_key);
    if (buffer_error != 0 || size > SIZE_MAX - sizeof(*buffer)) {
        errno = buffer_error != 0 ? ENOMEM : E2BIG;
        return NULL;
    }
    buffer = pthread_getspecific(buffer_key);
    if (buffer != NULL && buffer->size >= size)
        return buffer->bytes;
    pthread_setspecific(buffer_key, NULL);
    free(buffer);
    buffer = malloc(sizeof(*buffer) + size);
    if (buffer == NULL)
        return NULL;
    buffer->size = size;
    if (pthread_setspecific(buffer_key, buffer) != 0) {
        free(buffer);
        errno = ENOMEM;
        return NULL;
    }
    return buffer->bytes;
}

/* The system starts a thread when the last idle one is taken, and they stay. */
static int has_no_say(int d)
{
    struct door_info info;

    errno = door_info(d, &info) == 0 && (info.di_attributes & DOOR_LOCAL) ? ENOTSUP : EBADF;
    return -1;
}

int door_set_threads(int d, unsigned max, unsigned idle_ms)
{
    (void)max;
    (void)idle_ms;
    return has_no_say(d);
}

int door_take_turns(int d)
{
    return has_no_say(d);
}

int door_wait_turn(int is_waiting)
{
    (void)is_waiting;
    errno = ENOTSUP;
    return -1;
}

int door_prepare_threads(int d, int (*prepare)(void *data), void *data)
{
    (void)prepare;
    (void)data;
    return has_no_say(d);
}

int door_prepare_again(void)
{
    errno = ENOTSUP;
    return -1;
}

int door_ask_load(int d, struct door_load *load)
{
    struct door_info info;

    (void)load;
    errno = door_info(d, &info) == 0 ? ENOTSUP : EBADF;
    return -1;
}

int door_running_calls(int d)
{
    (void)d;
    errno = ENOTSUP;
    return -1;
}
