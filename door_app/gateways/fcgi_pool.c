/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgi_pool.c: see fcgi_pool.h.  A thread takes the keeper's reports and starts
 * programs again when that is due; whoever waits for a seat is called by whoever
 * makes one free.
 *
 * A program is held by its place while new connections go to it, by the seats that are
 * connected with it, and by the keeper until that has reported its end.  One that is to
 * be replaced loses its place first; when its last seat has gone it is told to end.
 */
#include "fcgi_pool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <door_app.h>

#include "clock.h"
#include "fcgi_ask.h"

#define MS              1000000LL
#define SHORT_LIFE_NS   (1000 * MS)
#define BACKOFF_MIN_NS  (500 * MS)
#define BACKOFF_MAX_NS  (60000 * MS)

struct fcgi_program {
    LIST_ENTRY(fcgi_program) link;
    struct fcgi_place *place; /* of which it is or was the program */
    uint32_t id;
    int pid;
    int is_up, is_told_to_end;
    int is_over; /* its process has ended */
    unsigned max_connected; /* how many it takes, as it says; 0: it does not */
    unsigned holders;   /* see above */
    unsigned connected; /* seats */
    uint64_t served;    /* requests that it was given */
    uint64_t completed;
    int64_t since_ns;
};

struct fcgi_place {
    struct fcgi_program *current; /* or NULL */
    unsigned failures;            /* in a row */
    int64_t retry_ns;             /* when another one is due, if there is none */
};

struct waiter { /* on its thread's stack */
    TAILQ_ENTRY(waiter) link;
    pthread_cond_t called;
    struct fcgi_seat *seat;
};

struct fcgi_pool {
    struct fcgi_pool_config config;
    struct keeper keeper;
    pthread_mutex_t lock; /* of all that follows, and of orders to the keeper */
    LIST_HEAD(, fcgi_program) programs;
    struct fcgi_place *places;
    unsigned place_count;
    struct fcgi_seat *seats;
    struct fcgi_seat *free_seats;
    TAILQ_HEAD(, waiter) waiters;
    unsigned waiting;
    uint32_t last_id;
    int is_closing;
    int wake_fds[2]; /* written to when the thread is to look again */
    pthread_t thread;
};

/* ---------------------------------------------------------------- programs
 *
 * All with the lock held. */

static void release(struct fcgi_program *program)
{
    if (--program->holders > 0)
        return;
    LIST_REMOVE(program, link);
    free(program);
}

static void start(struct fcgi_pool *pool, struct fcgi_place *place)
{
    struct fcgi_program *program = calloc(1, sizeof(*program));

    place->retry_ns = now_ns() + BACKOFF_MIN_NS;
    if (program == NULL)
        return;
    program->place = place;
    program->id = ++pool->last_id;
    program->holders = 2;
    program->since_ns = now_ns();
    LIST_INSERT_HEAD(&pool->programs, program, link);
    place->current = program;
    keeper_start(&pool->keeper, program->id); /* if the keeper is gone, so are we, soon */
}

static void end_if_unused(struct fcgi_pool *pool, struct fcgi_program *program)
{
    if (program->connected > 0 || program->place->current == program || program->is_told_to_end)
        return;
    program->is_told_to_end = 1;
    keeper_stop(&pool->keeper, program->id);
}

static void disconnect(struct fcgi_pool *pool, struct fcgi_seat *seat)
{
    if (seat->fd != -1)
        close(seat->fd);
    seat->fd = -1;
    memset(&seat->reader, 0, sizeof(seat->reader));
    if (seat->program == NULL)
        return;
    seat->program->connected--;
    end_if_unused(pool, seat->program);
    release(seat->program);
    seat->program = NULL;
}

/* New connections go to another one from now on; those that are idle are closed. */
static void unseat(struct fcgi_pool *pool, struct fcgi_program *program)
{
    if (program->place->current == program) {
        program->place->current = NULL;
        release(program);
    }
    for (unsigned i = 0; i < pool->config.seats; i++)
        if (pool->seats[i].program == program && !pool->seats[i].is_busy)
            disconnect(pool, &pool->seats[i]);
}

static void replace(struct fcgi_pool *pool, struct fcgi_program *program)
{
    int is_current = program->place->current == program;

    program->holders++;
    unseat(pool, program);
    end_if_unused(pool, program);
    if (is_current && !pool->is_closing)
        start(pool, program->place);
    release(program);
}

/* ---------------------------------------------------------------- seats */

/* With the lock held. */
static int is_usable(const struct fcgi_pool *pool, const struct fcgi_seat *seat)
{
    const struct fcgi_program *program = seat->place->current;

    return program != NULL && program->is_up &&
           (program->max_connected == 0 || seat < pool->seats + program->max_connected);
}

/* With the lock held: a free one that can be used, taken, or NULL. */
static struct fcgi_seat *take_free(struct fcgi_pool *pool)
{
    for (struct fcgi_seat **link = &pool->free_seats; *link != NULL; link = &(*link)->next) {
        struct fcgi_seat *seat = *link;

        if (!is_usable(pool, seat))
            continue;
        *link = seat->next;
        seat->is_busy = 1;
        return seat;
    }
    return NULL;
}

/* With the lock held: is a program up, or about to be? */
static int is_hopeful(const struct fcgi_pool *pool)
{
    for (unsigned i = 0; i < pool->place_count; i++)
        if (pool->places[i].current != NULL)
            return 1;
    return 0;
}

/* With the lock held: those who wait get what there is, or are told that there is nothing. */
static void call_waiters(struct fcgi_pool *pool)
{
    struct waiter *waiter;

    while ((waiter = TAILQ_FIRST(&pool->waiters)) != NULL) {
        waiter->seat = take_free(pool);
        if (waiter->seat == NULL && is_hopeful(pool))
            return;
        TAILQ_REMOVE(&pool->waiters, waiter, link);
        pool->waiting--;
        pthread_cond_signal(&waiter->called);
        if (waiter->seat == NULL)
            waiter->link.tqe_prev = NULL;
    }
}

/* With the lock held, which it gives up while it waits. */
static struct fcgi_seat *wait_in_line(struct fcgi_pool *pool)
{
    int64_t until_ns = now_ns() + pool->config.queue_ms * MS;
    struct timespec until = {.tv_sec = (time_t)(until_ns / (1000 * MS)),
                             .tv_nsec = (long)(until_ns % (1000 * MS))};
    struct waiter waiter = {.seat = NULL};
    pthread_condattr_t monotonic;
    int error = 0, is_in_line = 1;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&waiter.called, &monotonic);
    pthread_condattr_destroy(&monotonic);
    TAILQ_INSERT_TAIL(&pool->waiters, &waiter, link);
    pool->waiting++;
    while (waiter.seat == NULL && is_in_line && error == 0) {
        error = pthread_cond_timedwait(&waiter.called, &pool->lock, &until);
        is_in_line = waiter.seat == NULL && waiter.link.tqe_prev != NULL;
    }
    if (is_in_line) {
        TAILQ_REMOVE(&pool->waiters, &waiter, link);
        pool->waiting--;
    }
    pthread_cond_destroy(&waiter.called);
    if (waiter.seat == NULL)
        errno = is_in_line ? EBUSY : ENOENT;
    return waiter.seat;
}

struct fcgi_seat *fcgi_pool_take(struct fcgi_pool *pool)
{
    struct fcgi_seat *seat = NULL;

    pthread_mutex_lock(&pool->lock);
    if (TAILQ_EMPTY(&pool->waiters))
        seat = take_free(pool);
    if (seat == NULL && !is_hopeful(pool))
        errno = ENOENT;
    else if (seat == NULL && (pool->waiting >= pool->config.queue_length || pool->config.queue_ms == 0))
        errno = EBUSY;
    else if (seat == NULL)
        seat = wait_in_line(pool);
    pthread_mutex_unlock(&pool->lock);
    return seat;
}

/* Nothing may come between two requests: neither the end nor anything else. */
static int is_still_connected(const struct fcgi_seat *seat)
{
    struct pollfd look = {.fd = seat->fd, .events = POLLIN};

    return seat->fd != -1 && poll(&look, 1, 0) == 0;
}

static int connect_to(const struct fcgi_pool *pool, uint32_t id)
{
    const struct timeval tick = {.tv_sec = FCGI_TICK_MS / 1000};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    keeper_path(&pool->keeper, id, address.sun_path, sizeof(address.sun_path));
    if (fd == -1)
        return -1;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof(tick)); /* while its line is full, too */
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1) {
        int error = errno;

        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* With the lock held: the seat is with its place's program, if there is one. */
static void hold_program(struct fcgi_pool *pool, struct fcgi_seat *seat, int is_connected)
{
    struct fcgi_program *program = seat->place->current;

    if (!is_connected || seat->program != program)
        disconnect(pool, seat);
    if (program == NULL)
        return;
    if (seat->program == NULL) {
        seat->program = program;
        program->holders++;
        program->connected++;
    }
    program->served++;
}

/* With the lock held: fd, or -1 and the errno of why the seat's program is not to be had. */
static void note_connection(struct fcgi_pool *pool, struct fcgi_seat *seat, int fd, int error)
{
    seat->fd = fd;
    if (fd != -1 && seat->program->is_over) /* it has ended since: has_ended() could not do this */
        shutdown(fd, SHUT_RDWR);
    if (fd == -1 && (error == ECONNREFUSED || error == ENOENT)) { /* it does not listen any more */
        seat->program->is_up = 0;
        keeper_stop(&pool->keeper, seat->program->id);
    }
    if (fd == -1)
        disconnect(pool, seat);
}

int fcgi_pool_connect(struct fcgi_pool *pool, struct fcgi_seat *seat)
{
    int is_connected = is_still_connected(seat), error = ECONNREFUSED;

    pthread_mutex_lock(&pool->lock);
    hold_program(pool, seat, is_connected);
    pthread_mutex_unlock(&pool->lock);
    if (seat->fd == -1 && seat->program != NULL) {
        int fd = connect_to(pool, seat->program->id);

        error = errno;
        pthread_mutex_lock(&pool->lock);
        note_connection(pool, seat, fd, error);
        pthread_mutex_unlock(&pool->lock);
    }
    errno = error;
    return seat->fd != -1 ? 0 : -1;
}

static int is_used_up(const struct fcgi_pool *pool, const struct fcgi_program *program)
{
    uint64_t max = pool->config.max_requests;

    if (pool->config.is_shared)
        max *= pool->config.seats;
    return max > 0 && program->served >= max;
}

void fcgi_pool_give_back(struct fcgi_pool *pool, struct fcgi_seat *seat,
                         enum fcgi_outcome outcome)
{
    struct fcgi_program *program;

    pthread_mutex_lock(&pool->lock);
    program = seat->program;
    if (program != NULL) {
        program->holders++;
        program->completed += outcome == FCGI_KEEP;
        if (outcome == FCGI_REPLACE || is_used_up(pool, program))
            replace(pool, program);
        if (outcome != FCGI_KEEP || program->place->current != program)
            disconnect(pool, seat);
        release(program);
    }
    seat->is_busy = 0;
    seat->next = pool->free_seats;
    pool->free_seats = seat;
    call_waiters(pool);
    pthread_mutex_unlock(&pool->lock);
}

int fcgi_pool_pid(struct fcgi_pool *pool, const struct fcgi_seat *seat)
{
    int pid;

    pthread_mutex_lock(&pool->lock);
    pid = seat->program != NULL ? seat->program->pid : 0;
    pthread_mutex_unlock(&pool->lock);
    return pid;
}

/* ---------------------------------------------------------------- reports
 *
 * With the lock held. */

static int64_t pause_after(unsigned failures)
{
    int64_t pause = BACKOFF_MIN_NS;

    if (failures <= 1)
        return 0;
    for (unsigned i = 2; i < failures && pause < BACKOFF_MAX_NS; i++)
        pause *= 2;
    return pause < BACKOFF_MAX_NS ? pause : BACKOFF_MAX_NS;
}

/* A place has lost its program: another one is started, if not at once. */
static void refill(struct fcgi_pool *pool, struct fcgi_place *place, int has_failed)
{
    int64_t pause;

    place->failures = has_failed ? place->failures + 1 : 0;
    pause = pause_after(place->failures);
    if (pool->is_closing)
        return;
    if (pause == 0) {
        start(pool, place);
        return;
    }
    place->retry_ns = now_ns() + pause;
    door_app_log(NULL, LOG_ERR, "door_fcgi: %s failed %u times in a row, next try in %.1f s",
                 pool->config.keeper.argv[0], place->failures, (double)pause / 1e9);
}

static void log_end(const struct fcgi_pool *pool, const struct fcgi_program *program, int status)
{
    const char *name = pool->config.keeper.argv[0];
    int is_expected = program->is_told_to_end || pool->is_closing;

    if (WIFSIGNALED(status))
        door_app_log(NULL, is_expected ? LOG_INFO : LOG_ERR, "door_fcgi: %s (pid %d): signal %d",
                     name, program->pid, WTERMSIG(status));
    else
        door_app_log(NULL, is_expected || WEXITSTATUS(status) == 0 ? LOG_INFO : LOG_ERR,
                     "door_fcgi: %s (pid %d): exit status %d", name, program->pid,
                     WEXITSTATUS(status));
}

static void has_ended(struct fcgi_pool *pool, struct fcgi_program *program, int has_failed)
{
    struct fcgi_place *place = program->place;
    int is_current = place->current == program;

    program->is_told_to_end = 1; /* no need to */
    program->is_over = 1;
    /* What it has started may have its connections still: nobody answers on them. */
    for (unsigned i = 0; i < pool->config.seats; i++)
        if (pool->seats[i].program == program)
            shutdown(pool->seats[i].fd, SHUT_RDWR);
    unseat(pool, program);
    if (is_current)
        refill(pool, place, has_failed);
    release(program);
}

/* Which is not up yet: a program that shares its children out tells how many there are. */
static unsigned ask(const struct fcgi_pool *pool, uint32_t id)
{
    int fd = connect_to(pool, id);
    unsigned max = fd != -1 ? fcgi_ask_max_conns(fd) : 0;

    if (fd != -1)
        close(fd);
    if (max > 0 && max < pool->config.seats)
        door_app_log(NULL, LOG_WARNING, "door_fcgi: %s takes %u connections, and not %u",
                     pool->config.keeper.argv[0], max, pool->config.seats);
    return max;
}

/* max_connected: of one that is up. */
static void take_report(struct fcgi_pool *pool, const struct keeper_report *report,
                        unsigned max_connected)
{
    struct fcgi_program *program;

    LIST_FOREACH(program, &pool->programs, link)
        if (program->id == report->id)
            break;
    if (program == NULL)
        return;
    if (report->event == KEEPER_STARTED) {
        program->is_up = 1;
        program->max_connected = max_connected;
        program->pid = report->pid;
    } else if (report->event == KEEPER_FAILED) {
        door_app_log(NULL, LOG_ERR, "door_fcgi: %s cannot be started: %s",
                     pool->config.keeper.argv[0], strerror(report->value));
        has_ended(pool, program, 1);
    } else {
        log_end(pool, program, report->value);
        has_ended(pool, program,
                  program->completed == 0 && now_ns() - program->since_ns < SHORT_LIFE_NS);
    }
    call_waiters(pool);
}

/* Starts what is due: milliseconds until the next one is, or -1. */
static int start_again(struct fcgi_pool *pool)
{
    int64_t now = now_ns(), next = INT64_MAX;

    for (unsigned i = 0; i < pool->place_count && !pool->is_closing; i++) {
        struct fcgi_place *place = &pool->places[i];

        if (place->current == NULL && place->retry_ns <= now)
            start(pool, place);
        if (place->current == NULL && place->retry_ns - now < next)
            next = place->retry_ns - now;
    }
    return next == INT64_MAX ? -1 : (int)(next / MS) + 1;
}

/* Without the keeper nothing can be started or ended in order: mod_door starts us anew. */
static void give_up(struct fcgi_pool *pool)
{
    door_app_log(NULL, LOG_CRIT, "door_fcgi: the process that keeps the programs is gone");
    keeper_lost(&pool->keeper);
    _exit(1);
}

static void *watch(void *data)
{
    struct fcgi_pool *pool = data;
    int is_closing = 0;

    while (!is_closing) {
        struct pollfd fds[] = {{.fd = pool->keeper.fd, .events = POLLIN},
                               {.fd = pool->wake_fds[0], .events = POLLIN}};
        struct keeper_report report;
        unsigned max_connected = 0;
        int timeout_ms;

        pthread_mutex_lock(&pool->lock);
        timeout_ms = start_again(pool);
        pthread_mutex_unlock(&pool->lock);
        poll(fds, 2, timeout_ms);
        if (fds[0].revents != 0 && keeper_next(&pool->keeper, &report) == -1)
            give_up(pool);
        if (fds[0].revents != 0 && report.event == KEEPER_STARTED && pool->config.is_shared)
            max_connected = ask(pool, report.id);
        pthread_mutex_lock(&pool->lock);
        if (fds[0].revents != 0)
            take_report(pool, &report, max_connected);
        is_closing = pool->is_closing;
        pthread_mutex_unlock(&pool->lock);
    }
    return NULL;
}

/* ---------------------------------------------------------------- the pool */

static int make_seats(struct fcgi_pool *pool)
{
    unsigned count = pool->config.seats;

    pool->place_count = pool->config.is_shared ? 1 : count;
    pool->places = calloc(pool->place_count, sizeof(*pool->places));
    pool->seats = calloc(count, sizeof(*pool->seats));
    if (pool->places == NULL || pool->seats == NULL)
        return -1;
    for (unsigned i = count; i-- > 0;) {
        struct fcgi_seat *seat = &pool->seats[i];

        seat->fd = -1;
        seat->place = &pool->places[pool->config.is_shared ? 0 : i];
        seat->next = pool->free_seats;
        pool->free_seats = seat;
    }
    return 0;
}

/* Signals are for the thread that waits for them. */
static int start_thread(struct fcgi_pool *pool)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&pool->thread, NULL, watch, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return error == 0 ? 0 : -1;
}

static void free_pool(struct fcgi_pool *pool)
{
    struct fcgi_program *program;

    while ((program = LIST_FIRST(&pool->programs)) != NULL) {
        LIST_REMOVE(program, link);
        free(program);
    }
    free(pool->seats);
    free(pool->places);
    free(pool);
}

struct fcgi_pool *fcgi_pool_open(const struct fcgi_pool_config *config)
{
    struct fcgi_pool *pool = calloc(1, sizeof(*pool));

    if (pool == NULL)
        return NULL;
    pool->config = *config;
    pthread_mutex_init(&pool->lock, NULL);
    TAILQ_INIT(&pool->waiters);
    if (make_seats(pool) == -1 || keeper_open(&pool->keeper, &pool->config.keeper) == -1) {
        free_pool(pool);
        return NULL;
    }
    start_again(pool); /* who comes at once waits for them */
    if (pipe(pool->wake_fds) == -1 || start_thread(pool) == -1) {
        keeper_close(&pool->keeper);
        free_pool(pool);
        return NULL;
    }
    return pool;
}

void fcgi_pool_close(struct fcgi_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->is_closing = 1;
    for (unsigned i = 0; i < pool->config.seats; i++)
        disconnect(pool, &pool->seats[i]);
    pthread_mutex_unlock(&pool->lock);
    close(pool->wake_fds[1]); /* wakes it */
    pthread_join(pool->thread, NULL);
    close(pool->wake_fds[0]);
    keeper_close(&pool->keeper);
    free_pool(pool);
}
