/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * server_thread.c: a server thread's life: take a call, run the procedure,
 * reply in door_return(), and start again with a clean stack.
 */
#include "server_thread.h"

#include <door_compat.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "connection.h"
#include "desc.h"
#include "fork.h"
#include "grow.h"
#include "pool_size.h"
#include "prepare.h"
#include "thread.h"

/* This thread's state, from its first door_bind() or door_return() on. */
static _Thread_local struct server_thread *self;

static pthread_key_t key; /* its destructor runs when the thread ends */
static pthread_mutex_t key_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int has_key; /* the key has been made; set under key_lock */

static door_server_func_t *_Atomic create_function; /* NULL: the library's own */
static _Atomic int shared_started; /* the shared pool's first thread was requested */

static void forked(void)
{
    atomic_store(&shared_started, 0);
    pthread_mutex_init(&key_lock, NULL);
}

static struct fork_part part = {.child = forked};

/* In a child that a procedure has forked, the thread is no server thread any more. */
static struct server_thread *current(void)
{
    if (self != NULL && self->generation != fork_generation())
        self = NULL;
    return self;
}

/* ------------------------------------------------ who starts them */

static void *run(void *pool);

/* Starts a thread of the library's own for the shared pool.  Returns 0, or -1 and errno. */
static int start_thread(struct pool *pool)
{
    int result;

    if (pool_reserve_thread(pool) < 0)
        return -1;
    atomic_fetch_add(&pool->starting_count, 1);
    result = thread_start(run, pool, &pool->signal_mask);
    if (result < 0) {
        atomic_fetch_sub(&pool->starting_count, 1);
        pool_lose_thread(pool);
    }
    return result;
}

static int grow_shared(void)
{
    return pool_grow(server_thread_pool(), start_thread);
}

/* Whether the library decides when the shared pool grows, and not a function of the program. */
static int is_builtin(void)
{
    return atomic_load(&create_function) == NULL;
}

static void check_shared(struct pool *pool)
{
    (void)pool;
    if (is_builtin())
        loop_repeat(LOOP_GROW, grow_shared);
}

struct pool *server_thread_pool(void)
{
    return pool_shared(check_shared);
}

static void builtin_create(door_info_t *info)
{
    struct pool *pool = info == NULL ? server_thread_pool() : NULL;

    /* A private pool has only threads that bind themselves to it. */
    if (pool != NULL && start_thread(pool) < 0)
        pool_check(pool); /* tries again while no thread is idle */
}

door_server_func_t *door_server_create(door_server_func_t *create_proc)
{
    door_server_func_t *next = create_proc == builtin_create ? NULL : create_proc;
    door_server_func_t *old = atomic_exchange(&create_function, next);

    return old != NULL ? old : builtin_create;
}

static void call_create_function(door_info_t *info)
{
    door_server_func_t *create = atomic_load(&create_function);

    if (create == NULL)
        create = builtin_create;
    create(info);
}

void server_thread_created(struct door *door)
{
    fork_register(&part);
    if (door->owns_pool)
        call_create_function(&door->told);
    else if (!atomic_exchange(&shared_started, 1))
        call_create_function(NULL);
}

/* Called before the procedure, in the thread whose call has left no idle thread. */
static void pool_depleted(struct pool *pool)
{
    struct door *door = pool->door;

    if (door != NULL && door->depleted != NULL)
        door->depleted(door);
    else if (!is_builtin())
        call_create_function(door != NULL ? &door->told_depleted : NULL);
}

/* ------------------------------------------------ one call */

/* Ends the current call, if there is one, with error, or with 0 and its stored result. */
static void end_call(struct server_thread *t, int error)
{
    struct server_channel *ch = t->channel;

    if (t->unreferenced != NULL) {
        door_drop(t->unreferenced);
        t->unreferenced = NULL;
    }
    if (ch == NULL)
        return;
    atomic_store_explicit(&t->in_call, NULL, memory_order_relaxed);
    if (t->cancellable != NULL) { /* read without the lock, as only this thread changes it */
        pthread_mutex_lock(&t->pool->lock);
        t->cancellable = NULL;
        pthread_mutex_unlock(&t->pool->lock);
    }
    free(t->descs);
    t->descs = NULL;
    t->channel = NULL;
    server_channel_reply(ch, t->slot, error);
    server_channel_release(ch);
    server_channel_trim(&t->arguments, &t->arguments_cap);
}

/*
 * Receives the call's descriptors.  Returns 0, or -1 and the errno for the caller.  For a door
 * that shares its arguments, received doors are not described, because that would wait for
 * their servers.
 */
static int receive_descriptors(struct server_thread *t, const struct door *door,
                               const struct server_call *call)
{
    int *fds, result;

    if (call->desc_count == 0)
        return 0;
    fds = malloc(call->desc_count * sizeof(*fds));
    t->descs = malloc(call->desc_count * sizeof(*t->descs));
    result = fds == NULL || t->descs == NULL
                 ? -1
                 : server_channel_collect(t->channel, t->slot, call->number, fds, call->desc_count);
    if (result == 0)
        desc_receive(fds, call->desc_count, atomic_load(&door->shares_arguments), t->descs);
    free(fds);
    return result;
}

/*
 * Finds the arguments, which are copied unless the door shares them.  Returns 0, or -1 and the
 * errno for the caller.
 */
static int find_arguments(struct server_thread *t, const struct door *door,
                          const struct server_call *call, char **argp)
{
    t->shares_window = 0;
    *argp = NULL;
    if (call->arg_size == 0)
        return 0;
    if (!atomic_load(&door->shares_arguments)) {
        int result = server_channel_arguments(t->channel, t->slot, call, &t->arguments,
                                              &t->arguments_cap);
        *argp = t->arguments;
        return result;
    }
    t->shares_window = call->arg_at != SHM_IN_SLOT;
    *argp = server_channel_shared_arguments(t->channel, t->slot, call);
    return *argp != NULL ? 0 : -1;
}

/* From here on, a client that gives up cancels this thread, if thread and door allow it. */
static void allow_cancelling(struct server_thread *t, const struct door *door)
{
    if (!t->cancel_enabled)
        return;
    if ((door->attributes & DOOR_NO_CANCEL) == 0 && t->channel != NULL)
        pool_let_cancel(t);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
}

static void run_procedure(struct server_thread *t, struct door *door, char *argp, size_t arg_size,
                          unsigned desc_count)
{
    if (t->depleted)
        pool_depleted(t->pool);
    atomic_store_explicit(&t->waits_turn, 0, memory_order_relaxed);
    atomic_store_explicit(&t->in_call, door, memory_order_relaxed);
    t->began_ns = thread_now_ns();
    allow_cancelling(t, door);
    door->procedure(door->cookie, argp, arg_size, t->descs, desc_count);
    pthread_exit(NULL); /* a procedure that returns ends its thread, as on illumos */
}

static void run_call(struct server_thread *t)
{
    struct door *door = t->channel->door;
    struct server_call call = server_channel_call(t->channel, t->slot);
    int error = door_check_call(door, call.arg_size, call.desc_count);
    char *argp;

    if (error == 0 && call.desc_count > MAILBOX_MAX)
        error = ENFILE;
    t->call_number = call.number;
    if (error == 0 && (find_arguments(t, door, &call, &argp) < 0 ||
                       receive_descriptors(t, door, &call) < 0))
        error = errno;
    if (error != 0)
        end_call(t, error);
    else
        run_procedure(t, door, argp, call.arg_size, call.desc_count);
}

/* ------------------------------------------------ the thread */

static void leave_pool(struct server_thread *t)
{
    if (t->pool == NULL)
        return;
    pool_leave_channel(t);
    pool_remove_thread(t);
    pool_check(t->pool);
    pool_drop(t->pool);
    t->pool = NULL;
}

/*
 * The key's destructor: the thread ends, maybe in a call, whose caller must not wait for ever.
 * Without THREAD_UNCANCELLED, the thread could still be cancelled here, in a close(2).
 */
static void thread_ended(void *arg)
{
    THREAD_UNCANCELLED;
    struct server_thread *t = arg;

    if (t->generation != fork_generation())
        return; /* in a forked child, the state is the parent's */
    self = NULL;
    end_call(t, EINTR);
    leave_pool(t);
    if (t->bound != NULL)
        door_drop(t->bound);
    if (t->arguments_cap > 0)
        munmap(t->arguments, t->arguments_cap);
    free(t);
}

/* The program may have all keys that there are, and not for ever. */
static int make_key(void)
{
    if (atomic_load(&has_key))
        return 0;
    pthread_mutex_lock(&key_lock);
    if (!has_key)
        has_key = pthread_key_create(&key, thread_ended) == 0;
    pthread_mutex_unlock(&key_lock);
    return has_key ? 0 : -1;
}

static struct server_thread *get_self(void)
{
    struct server_thread *t = current();

    if (t != NULL)
        return t;
    if (fork_register(&part) < 0 || loop_start() < 0)
        return NULL;
    t = make_key() < 0 ? NULL : calloc(1, sizeof(*t));
    if (t == NULL || pthread_setspecific(key, t) != 0) {
        free(t);
        errno = EAGAIN;
        return NULL;
    }
    t->pthread = pthread_self();
    t->tid = gettid();
    t->generation = fork_generation();
    return self = t;
}

/* Joins the pool of the door that the thread is bound to; -1 with EINVAL if that door is gone. */
static int join_pool(struct server_thread *t)
{
    struct pool *pool = t->bound != NULL ? t->bound->pool : server_thread_pool();

    if (pool == NULL || atomic_load(&pool->closed)) {
        int error = pool == NULL ? errno : EINVAL;
        pool_leave_channel(t);
        errno = error;
        return -1;
    }
    if (pool == t->pool)
        return 0;
    leave_pool(t);
    pool_hold(pool);
    t->pool = pool;
    pool_add_thread(pool, t);
    return 0;
}

/*
 * Acts on a cancellation of the call that has just ended, so that it does not hit the next call.
 * Waiting threads cannot be cancelled, because they might lose an event: door_return() has
 * disabled cancellation.
 */
static void park(struct server_thread *t)
{
    if (t->cancelled) {
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        pthread_testcancel();
    }
}

static void nothing(void *unused)
{
    (void)unused;
}

/*
 * Never returns.  Each round registers a cleanup handler.  Removing it also removes handlers of
 * a procedure that has left through door_return(), whose stack is gone.
 */
static void serve(struct server_thread *t)
{
    for (;;) {
        pthread_cleanup_push(nothing, NULL);
        if (_setjmp(t->base) == 0) {
            park(t);
            if (pool_take_call(t) < 0)
                pthread_exit(NULL); /* its private door is gone, or it was idle for too long */
            if (t->unreferenced != NULL)
                run_procedure(t, t->unreferenced, DOOR_UNREF_DATA, 0, 0);
            else
                run_call(t);
        }
        pthread_cleanup_pop(0);
    }
}

static void *run(void *arg)
{
    struct pool *pool = arg;
    struct server_thread *t = get_self();

    if (t != NULL)
        atomic_store(&pool->failed_count, 0);
    else
        pool_note_failed(pool);
    atomic_fetch_sub(&pool->starting_count, 1);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    if (t != NULL) {
        t->is_ours = t->is_counted = 1;
        door_return(NULL, 0, NULL, 0); /* comes back only if it fails */
        t->is_counted = 0;
    }
    pool_lose_thread(pool);
    pool_check(pool); /* it may have been the only one: another is to try */
    return NULL;
}

/* Stores the result, and delivers its descriptors.  Returns 0, or -1 and errno. */
static int put_results(struct server_thread *t, const char *data, size_t size,
                       const door_desc_t *descs, unsigned count)
{
    int *fds, result;

    if ((size > 0 && data == NULL) || (count > 0 && descs == NULL)) {
        errno = EFAULT;
        return -1;
    }
    if (server_channel_result(t->channel, t->slot, data, size) < 0)
        return -1;
    if (count == 0)
        return server_channel_deliver(t->channel, t->slot, t->call_number, NULL, 0);
    fds = count > MAILBOX_MAX ? NULL : malloc(count * sizeof(*fds));
    if (fds == NULL) {
        errno = EMFILE;
        return -1;
    }
    result = desc_prepare(descs, count, fds);
    if (result == 0) {
        result = server_channel_deliver(t->channel, t->slot, t->call_number, fds, count);
        desc_unprepare(descs, count, fds);
    } else if (errno == EBADF) {
        errno = EINVAL;
    }
    free(fds);
    return result;
}

/* Ends the call, if there is one, and joins the pool for the next one.  Returns -1 and errno. */
static int leave_call(struct server_thread *t, const char *data, size_t size,
                      const door_desc_t *descs, uint_t count)
{
    if (t->channel != NULL && put_results(t, data, size, descs, count) < 0 &&
        !atomic_load(&t->channel->gone))
        return -1;
    if (t->pool != NULL && descs != NULL)
        desc_release(descs, count);
    pool_look_out(t);
    end_call(t, 0);
    return join_pool(t);
}

/* Cancellation is disabled from here to the next procedure, or until this fails. */
int door_return(char *data_ptr, size_t data_size, door_desc_t *desc_ptr, uint_t num_desc)
{
    int cancel_state = thread_no_cancel();
    struct server_thread *t = get_self();
    int is_new = t == NULL || t->pool == NULL;

    if (t == NULL || leave_call(t, data_ptr, data_size, desc_ptr, num_desc) < 0) {
        thread_set_cancel(&cancel_state);
        return -1;
    }
    t->cancel_enabled = cancel_state == PTHREAD_CANCEL_ENABLE;
    if (!is_new)
        longjmp(t->base, 1); /* keeps the signal mask, since _setjmp() has not saved it */
    serve(t);
    return 0;
}

void *door_result_buffer(size_t size)
{
    THREAD_UNCANCELLED;
    struct server_thread *t = current();

    if (t != NULL && t->channel != NULL && !t->shares_window)
        return server_channel_result_buffer(t->channel, t->slot, size);
    errno = t == NULL || t->channel == NULL ? EINVAL : EBUSY;
    return NULL;
}

int door_wait_turn(int is_waiting)
{
    struct server_thread *t = current();

    if (t != NULL && t->channel != NULL) {
        atomic_store_explicit(&t->waits_turn, is_waiting, memory_order_relaxed);
        return 0;
    }
    errno = EINVAL;
    return -1;
}

int door_prepare_again(void)
{
    struct server_thread *t = current();

    if (t != NULL && t->channel != NULL) {
        prepare_undo(t);
        return 0;
    }
    errno = EINVAL;
    return -1;
}

int server_thread_identify(struct credentials *credentials)
{
    struct server_thread *t = current();

    if (t != NULL && t->channel != NULL)
        return server_channel_identify(t->channel, t->slot, t->call_number, credentials);
    errno = EINVAL;
    return -1;
}

int server_thread_bind(struct door *door)
{
    THREAD_UNCANCELLED;
    struct server_thread *t = get_self();

    if (t == NULL)
        return -1;
    if (t->bound != NULL)
        door_drop(t->bound);
    door_hold(door);
    t->bound = door;
    return 0;
}

int door_bind(int did)
{
    THREAD_UNCANCELLED;
    struct door *door = door_find_own(did);
    int result = -1;

    if (door == NULL)
        errno = EBADF;
    else if (!door->owns_pool)
        errno = EINVAL;
    else
        result = server_thread_bind(door);
    if (door != NULL)
        door_drop(door);
    return result;
}

int door_unbind(void)
{
    THREAD_UNCANCELLED;
    struct server_thread *t = current();

    if (t == NULL || t->bound == NULL) {
        errno = EBADF;
        return -1;
    }
    door_drop(t->bound);
    t->bound = NULL;
    return 0;
}

struct door *server_thread_bound(void)
{
    struct server_thread *t = current();

    if (t == NULL || t->bound == NULL)
        return NULL;
    door_hold(t->bound);
    return t->bound;
}
