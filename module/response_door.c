/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * response_door.c: the doors that this child serves, one for each application's
 * door that it has opened, and the tokens that name requests on them.  A request
 * is its own thread's until that calls the application; from then until the
 * call has ended it is the door thread's that has come with its token, one at a
 * time.  Whoever touches it has been let in here.
 *
 * Knows nothing of HTTP: what a message does to a request is stream.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
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

#define RANDOM_LEN 16
#define RANDOM_COUNT 128 /* numbers that are fetched at a time */

/* How long an ending child waits for door threads that it has cut off from their clients. */
#define STOP_TICKS 500
#define STOP_TICK_NS 10000000L

#define NOW_NS 1 /* a deadline that has passed */

/* Guards the rest, and busy and client_fd in each call.  No pool's: a late door thread may outlive those. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t left = PTHREAD_COND_INITIALIZER; /* a door thread has left its call */

static apr_hash_t *calls; /* token: struct mod_door_call * */
static _Atomic int is_stopping; /* then calls may be gone */
static unsigned char random_bytes[RANDOM_COUNT][RANDOM_LEN];
static unsigned random_left;

int mod_door_is_stopping(void)
{
    return is_stopping;
}

/* ------------------------------------------------------------- tokens */

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

void mod_door_open_token(struct mod_door_call *call)
{
    pthread_mutex_lock(&lock);
    call->client_fd = -1;
    call->is_over = 0;
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
 * The client's socket, to wake a door thread that waits for it: a child that is
 * told to die closes its own number, which wakes nobody.
 */
static int copy_client_fd(conn_rec *c)
{
    apr_os_sock_t fd;

    if (c->master != NULL || apr_os_sock_get(&fd, ap_get_conn_socket(c)) != APR_SUCCESS)
        return -1;
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* Lets a door thread in; the application's time stands still while it is there. */
static apr_status_t enter(unsigned long serial, const char *token, struct mod_door_call **entered)
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
        call->paused_ns = atomic_exchange(&call->deadline_ns, 0);
        call->keeps_deadline = 0;
    }
    pthread_mutex_unlock(&lock);
    *entered = call;
    return error;
}

static void leave(struct mod_door_call *call)
{
    pthread_mutex_lock(&lock);
    if (is_stopping)
        atomic_store(&call->deadline_ns, NOW_NS);
    else if (call->keeps_deadline)
        atomic_store(&call->deadline_ns, call->paused_ns);
    else
        mod_door_set_deadline(call);
    if (call->instance.cell != 0 && !call->keeps_deadline)
        board_note_progress(mod_door_board(), call->instance.cell);
    call->busy = 0;
    pthread_cond_broadcast(&left);
    pthread_mutex_unlock(&lock);
}

/* ---------------------------------------------------------------- door */

static const char *find_token(struct door_wire_reader message)
{
    struct door_wire_field field;

    while (door_wire_next(&message, &field))
        if (field.type == DOOR_WIRE_TOKEN)
            return field.value_len == DOOR_WIRE_ID_LEN ? field.value : NULL;
    return NULL;
}

static void answer_message(unsigned long serial, const struct door_wire_reader *message, int *fd,
                           struct mod_door_reply *reply)
{
    const char *token = find_token(*message);
    struct mod_door_call *call;
    apr_status_t error = token == NULL ? EINVAL : enter(serial, token, &call);

    if (error != APR_SUCCESS) {
        mod_door_ack(reply, error, 0);
        return;
    }
    mod_door_serve(call, message, fd, reply);
    leave(call);
}

/*
 * A message whose head is longer than any may be: of it only the token is read,
 * its first field, so that the request's end can tell.
 */
static void refuse(unsigned long serial, const char *argp, struct mod_door_reply *reply)
{
    struct {
        struct door_wire_head head;
        struct door_wire_field_head field;
        char name_and_value[1 + DOOR_WIRE_ID_LEN + 1];
    } __attribute__((packed)) first;
    struct door_wire_reader message;
    struct mod_door_call *call;
    const char *token = NULL;

    memcpy(&first, argp, sizeof(first));
    first.head.head_len = sizeof(first);
    first.head.field_count = 1;
    first.head.body_len = 0;
    if (door_wire_read(&message, DOOR_WIRE_ANY, &first, sizeof(first)) == 0)
        token = find_token(message);
    if (token != NULL && enter(serial, token, &call) == APR_SUCCESS) {
        if (call->complaint == APR_SUCCESS)
            call->complaint = MOD_DOOR_EHEAD;
        leave(call);
    }
    mod_door_ack(reply, EINVAL, 0);
}

/* The arguments are shared with the application: their head is believed only as a copy. */
static void answer(unsigned long serial, const char *argp, apr_size_t arg_size, int *fd,
                   struct mod_door_reply *reply)
{
    apr_size_t head_len = door_wire_head_len(argp, arg_size);
    struct door_wire_reader message;
    char small[1024];
    char *head;

    if (head_len > MOD_DOOR_HEAD_MAX) {
        refuse(serial, argp, reply);
        return;
    }
    head = head_len <= sizeof(small) ? small : malloc(head_len);
    if (head == NULL) {
        mod_door_ack(reply, ENOMEM, 0);
        return;
    }
    if (head_len > 0)
        memcpy(head, argp, head_len);
    if (door_wire_read_copied(&message, DOOR_WIRE_ANY, head, head_len, argp, arg_size) == 0)
        answer_message(serial, &message, fd, reply);
    else
        mod_door_ack(reply, EINVAL, 0);
    if (head != small)
        free(head);
}

/*
 * The procedure's cookie is a number, as the door of a late call may be gone: which
 * door it is, and who sends what comes here.
 */
static void *make_cookie(const struct mod_door *door)
{
    return (void *)(door->serial * MOD_DOOR_SENDERS + door->sender);
}

static unsigned long serial_of(const void *cookie)
{
    return (unsigned long)cookie / MOD_DOOR_SENDERS;
}

static unsigned sender_of(const void *cookie)
{
    return (unsigned long)cookie % MOD_DOOR_SENDERS;
}

/* The door's limit lets no more of them in; where it does, others than the first are closed. */
static int take_descriptor(const door_desc_t *dp, uint_t n_desc, unsigned sender)
{
    int fd = -1;
    uint_t i;

    for (i = 0; i < n_desc; i++) {
        if (!(dp[i].d_attributes & DOOR_DESCRIPTOR))
            continue;
        if (fd == -1)
            fd = dp[i].d_data.d_desc.d_descriptor;
        else
            mod_door_close_received(sender, dp[i].d_data.d_desc.d_descriptor);
    }
    return fd;
}

/* The procedure. */
static void serve(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    unsigned long serial = serial_of(cookie);
    unsigned sender = sender_of(cookie);
    struct mod_door_reply reply;
    int fd = take_descriptor(dp, n_desc, sender);

    answer(serial, argp, arg_size, &fd, &reply);
    if (fd != -1)
        mod_door_close_received(sender, fd);
    if (n_desc > 0 && mod_door_is_overdrawn(sender))
        mod_door_cut_off(serial); /* or there would be more and more of them */
    door_return(reply.bytes, reply.len, NULL, 0);
    /* Back here, the reply cannot be delivered: nobody waits for one. */
    door_return(NULL, 0, NULL, 0);
}

int mod_door_make_response_door(const struct mod_door *door)
{
    sigset_t all;
    sigset_t before;
    int fd;

    /* Its threads inherit the mask: the MPM's signal handlers must not run on them. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    fd = door_create(serve, make_cookie(door), DOOR_NO_CANCEL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (fd == -1)
        return -1;
    door_setparam(fd, DOOR_PARAM_DESC_MAX, MOD_DOOR_DESC_MAX);
    door_hide_procedure(fd);  /* an application need not know where our code lies */
    door_share_arguments(fd); /* what it gets is passed on, not looked at */
    return fd;
}

/* ------------------------------------------------------------ the child */

/* Nothing that runs waits for a client or an application any longer; how many door threads do run. */
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
            atomic_store(&call->deadline_ns, NOW_NS);
    }
    return busy;
}

/*
 * Refuses whatever comes from now on, and cuts off what runs: until that could
 * be done once, or until no door thread is left.  A signal handler of prefork's
 * may have interrupted a thread that has the lock.  Returns 0 if it is done.
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
/* A threaded child that is to end at once waits for its requests' threads first. */
static void end_child(apr_pool_t *child_pool, int is_graceful)
{
    (void)child_pool;
    if (!is_graceful && calls != NULL)
        stop_calls(0);
}
#endif

/*
 * The child ends; prefork's does so in a signal handler, which may have
 * interrupted the thread of a request while a door thread writes for it.  All
 * memory is about to go, so that thread has to be out first.
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

apr_status_t mod_door_init_response_doors(apr_pool_t *child_pool)
{
    apr_pool_t *pool;
    apr_status_t error = apr_pool_create(&pool, child_pool); /* used under the lock only */

    if (error != APR_SUCCESS)
        return error;
    calls = apr_hash_make(pool);
    apr_pool_pre_cleanup_register(child_pool, NULL, stop);
    return APR_SUCCESS;
}
