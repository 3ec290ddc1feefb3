/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * tokens.c: which thread may touch a request, and how long the application may take.  A
 * request belongs to its own thread until that thread calls the application.  From then
 * until the end of the call, it belongs to the door threads that come with its token, one
 * at a time.  The application's time runs only during the application's turn, not while
 * such a thread works.  When the child ends, no thread can enter any more, and all
 * waiting ends.
 *
 * This file knows nothing of messages and HTTP.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_hash.h>
#include <apr_network_io.h>
#include <apr_portable.h>
#include <http_core.h>
#include <mpm_common.h>

#include "mod_door.h"
#include "call_state.h"
#include "supervision.h"
#include "tokens.h"
#include "wire.h"

#define RANDOM_LEN 16
#define RANDOM_COUNT 128 /* random numbers that are fetched at a time */

/* An ending child waits STOP_TICKS * STOP_TICK_NS for door threads, whose clients it cuts off. */
#define STOP_TICKS 500
#define STOP_TICK_NS 10000000L

#define NOW_NS 1 /* a deadline that has passed */

/*
 * Guards the variables below, and busy, client_fd and paused_ns in each call.  It belongs to no
 * pool, because a late door thread may outlive the pools.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t left = PTHREAD_COND_INITIALIZER; /* a door thread has left its call */

static apr_hash_t *calls; /* token: struct mod_door_call * */
static _Atomic int is_stopping; /* once set, the table may be gone */
static unsigned char random_bytes[RANDOM_COUNT][RANDOM_LEN];
static unsigned random_left;

int mod_door_is_stopping(void)
{
    return is_stopping;
}

/* ------------------------------------------------------------------ ids */

apr_status_t mod_door_random_id(char id[DOOR_WIRE_ID_LEN + 1])
{
    unsigned char bytes[RANDOM_LEN];
    apr_status_t error = APR_SUCCESS;
    int i;

    pthread_mutex_lock(&lock);
    if (random_left == 0) {
        error = apr_generate_random_bytes(random_bytes[0], sizeof(random_bytes));
        random_left = error == APR_SUCCESS ? RANDOM_COUNT : 0;
    }
    if (random_left > 0)
        memcpy(bytes, random_bytes[--random_left], RANDOM_LEN);
    pthread_mutex_unlock(&lock);
    if (error != APR_SUCCESS)
        return error;
    for (i = 0; i < RANDOM_LEN; i++) {
        id[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        id[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    id[DOOR_WIRE_ID_LEN] = '\0';
    return APR_SUCCESS;
}

/* ------------------------------------------------- a call and its time */

apr_interval_time_t mod_door_timeout(const struct mod_door_call *call)
{
    return call->conf->timeout >= 0 ? call->conf->timeout : call->r->server->timeout;
}

/* The deadline is set first: no reader may see the new phase with the old deadline. */
void mod_door_give_turn(struct mod_door_call *call)
{
    int64_t timeout_ns = (int64_t)mod_door_timeout(call) * 1000;

    atomic_store(&call->note->deadline_ns, timeout_ns > 0 ? door_now_ns() + timeout_ns : 0);
    atomic_store(&call->note->phase, CALL_MADE);
}

/* Makes it httpd's turn: the application's time stops. */
static void take_turn(struct mod_door_call *call)
{
    atomic_store(&call->note->phase, CALL_PAUSED);
    atomic_store(&call->note->deadline_ns, 0);
}

void mod_door_open_token(struct mod_door_call *call)
{
    pthread_mutex_lock(&lock);
    call->client_fd = -1;
    atomic_store(&call->is_over, 0);
    apr_hash_set(calls, call->token, DOOR_WIRE_ID_LEN, call);
    pthread_mutex_unlock(&lock);
}

void mod_door_close_token(struct mod_door_call *call)
{
    pthread_mutex_lock(&lock);
    apr_hash_set(calls, call->token, DOOR_WIRE_ID_LEN, NULL);
    atomic_store(&call->is_over, 1);
    while (call->busy)
        pthread_cond_wait(&left, &lock);
    if (call->client_fd != -1)
        close(call->client_fd);
    call->client_fd = -1;
    pthread_mutex_unlock(&lock);
}

/*
 * A copy of the client's socket, to wake a door thread that waits for the client.  When a child
 * must end, httpd only closes its own descriptor, and that wakes no thread.
 */
static int copy_client_fd(conn_rec *c)
{
    apr_os_sock_t fd;

    if (c->master != NULL || apr_os_sock_get(&fd, ap_get_conn_socket(c)) != APR_SUCCESS)
        return -1;
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

apr_status_t mod_door_enter_call(unsigned long serial, const char *token, struct mod_door_call **entered)
{
    struct mod_door_call *call = NULL;
    apr_status_t error = APR_SUCCESS;

    pthread_mutex_lock(&lock);
    if (!is_stopping)
        call = apr_hash_get(calls, token, DOOR_WIRE_ID_LEN);
    if (call == NULL || call->serial != serial)
        error = ESTALE;
    else if (call->busy)
        error = EBUSY;
    else
        call->busy = 1;
    if (error == APR_SUCCESS && call->client_fd == -1)
        call->client_fd = copy_client_fd(call->r->connection);
    if (error == APR_SUCCESS) {
        call->paused_ns = atomic_load(&call->note->deadline_ns);
        call->keeps_deadline = 0;
        take_turn(call);
    }
    pthread_mutex_unlock(&lock);
    *entered = call;
    return error;
}

void mod_door_leave_call(struct mod_door_call *call)
{
    pthread_mutex_lock(&lock);
    mod_door_give_turn(call);
    if (is_stopping)
        atomic_store(&call->note->deadline_ns, NOW_NS);
    else if (call->keeps_deadline)
        atomic_store(&call->note->deadline_ns, call->paused_ns);
    if (call->target.cell != 0 && !call->keeps_deadline)
        board_note_progress(mod_door_board(), call->target.cell);
    call->busy = 0;
    pthread_cond_broadcast(&left);
    pthread_mutex_unlock(&lock);
}

/* ------------------------------------------------------------ the child */

/* Ends all waiting for clients and applications.  Returns how many door threads are in calls. */
static unsigned cut_off_calls(void)
{
    apr_hash_index_t *i;
    unsigned busy = 0;

    for (i = apr_hash_first(NULL, calls); i != NULL; i = apr_hash_next(i)) {
        struct mod_door_call *call = apr_hash_this_val(i);

        busy += call->busy != 0;
        if (call->client_fd != -1)
            shutdown(call->client_fd, SHUT_RDWR);
        if (!call->busy)
            atomic_store(&call->note->deadline_ns, NOW_NS);
    }
    return busy;
}

/*
 * Lets no more door threads in, and cuts off running calls: once, or until no door thread is
 * left.  Only tries to get the lock, because prefork calls this in a signal handler, which may
 * have interrupted a thread with the lock.  Returns 0 if no door thread is left.
 */
static unsigned stop_calls(int until_all_left)
{
    const struct timespec tick = {.tv_nsec = STOP_TICK_NS};
    unsigned busy = 1;
    int is_done = 0;
    int i;

    is_stopping = 1;
    for (i = 0; i < STOP_TICKS && !is_done; i++) {
        if (pthread_mutex_trylock(&lock) == 0) {
            busy = cut_off_calls();
            is_done = busy == 0 || !until_all_left;
            pthread_mutex_unlock(&lock);
        }
        if (!is_done)
            nanosleep(&tick, NULL);
    }
    return busy;
}

#if AP_MODULE_MAGIC_AT_LEAST(20120211, 110)
/* A threaded child waits for the threads of its requests, so their calls must be ended first. */
static void end_child(apr_pool_t *child_pool, int is_graceful)
{
    (void)child_pool;
    if (!is_graceful && calls != NULL)
        stop_calls(0);
}
#endif

/*
 * Runs when the child ends.  A prefork child ends in a signal handler, which may have
 * interrupted a request while a door thread writes for it.  The memory is about to be freed,
 * so the door thread must leave first.
 */
static apr_status_t stop(void *unused)
{
    (void)unused;
    if (stop_calls(1) > 0)
        _exit(0);
    return APR_SUCCESS;
}

void mod_door_register_child_end(void)
{
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 110)
    ap_hook_child_stopping(end_child, NULL, NULL, APR_HOOK_MIDDLE);
#endif
}

apr_status_t mod_door_init_tokens(apr_pool_t *child_pool)
{
    apr_pool_t *pool;
    apr_status_t error = apr_pool_create(&pool, child_pool); /* used under the lock only */

    if (error != APR_SUCCESS)
        return error;
    calls = apr_hash_make(pool);
    apr_pool_pre_cleanup_register(child_pool, NULL, stop);
    return APR_SUCCESS;
}
