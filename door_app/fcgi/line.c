/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * line.c: see line.h.  A door's procedure cannot be a loop that accepts: door_return()
 * does not come back.  So a server thread lends its request to a thread of the program
 * that waits for one, and waits until it has that back.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

#include "line.h"

#define SHORT_NS 50000000ll /* whoever waits no longer still wants the answer */

/* On the server thread's stack. */
struct line_place {
    STAILQ_ENTRY(line_place) link;
    struct door_app_request *req;
    void *lent;
    int64_t since_ns;
    int is_question;
    sem_t is_back;
};

static struct {
    pthread_mutex_t lock;
    STAILQ_HEAD(, line_place) places; /* that nobody has taken */
    sem_t count;                      /* of them, and one more once it is over */
    sem_t has_ended;                  /* the door is served no more, and all is answered */
    int is_open;
    _Atomic int is_over;
} line = {.lock = PTHREAD_MUTEX_INITIALIZER, .places = STAILQ_HEAD_INITIALIZER(line.places)};

static int is_question;

/* The program takes no more; whoever asked may ask another process. */
static void send_away(struct door_app_request *req)
{
    door_app_refuse(req, 503, "The program is about to end");
    door_app_header_set(req, "Retry-After", "5");
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

/* 0, or -1: nobody will take it. */
static int stand_in_line(struct line_place *place)
{
    int is_over;

    pthread_mutex_lock(&line.lock);
    is_over = atomic_load(&line.is_over);
    if (!is_over)
        STAILQ_INSERT_TAIL(&line.places, place, link);
    pthread_mutex_unlock(&line.lock);
    if (!is_over)
        sem_post(&line.count);
    return is_over ? -1 : 0;
}

/* Who stands in front, or NULL. */
static struct line_place *take_first(void)
{
    struct line_place *place;

    pthread_mutex_lock(&line.lock);
    place = STAILQ_FIRST(&line.places);
    if (place != NULL)
        STAILQ_REMOVE_HEAD(&line.places, link);
    pthread_mutex_unlock(&line.lock);
    return place;
}

/* On a server thread. */
static void serve(struct door_app_request *req, void *kind)
{
    struct line_place place = {
        .req = req, .lent = door_app_lend(req), .since_ns = now_ns(),
        .is_question = kind == &is_question};

    sem_init(&place.is_back, 0, 0);
    if (stand_in_line(&place) == 0) {
        while (sem_wait(&place.is_back) == -1)
            continue;
    } else {
        send_away(req);
    }
    sem_destroy(&place.is_back);
}

static void *run(void *app)
{
    door_app_run(app, NULL); /* stderr tells what has failed */
    line_close();
    sem_post(&line.has_ended);
    return NULL;
}

static int start(void)
{
    struct door_app *app = door_app_create();
    pthread_t thread;
    int error;

    door_app_handle(app, "/", serve, NULL);
    for (int role = DOOR_APP_AUTHENTICATOR; role <= DOOR_APP_ACCESS_CHECKER; role++)
        door_app_guard(app, (enum door_app_role)role, serve, &is_question);
    sem_init(&line.count, 0, 0);
    sem_init(&line.has_ended, 0, 0);
    error = pthread_create(&thread, NULL, run, app);
    if (error == 0)
        pthread_detach(thread);
    return error;
}

int line_open(void)
{
    int error = 0;

    pthread_mutex_lock(&line.lock);
    if (!line.is_open)
        error = start();
    line.is_open = error == 0;
    pthread_mutex_unlock(&line.lock);
    return error;
}

/* What others have taken is waited for: a program that ends sooner would break it off. */
static void wait_for_end(void)
{
    struct line_place *place;

    while ((place = take_first()) != NULL) {
        door_app_borrow(place->lent);
        send_away(place->req);
        line_leave(place);
    }
    while (sem_wait(&line.has_ended) == -1)
        continue;
    sem_post(&line.has_ended); /* for all others */
}

void line_leave(struct line_place *place)
{
    door_app_give_back();
    sem_post(&place->is_back);
}

/*
 * Whether a client still waits; if not, that is the request's end.  As in httpd's own line, one
 * that has closed its sending side counts as gone: nothing else shows that it is.
 */
static int is_awaited(struct line_place *place)
{
    if (now_ns() - place->since_ns < SHORT_NS ||
        door_app_client_gone(place->req) == DOOR_APP_CLIENT_HERE)
        return 1;
    door_app_refuse(place->req, 503, "The client has gone");
    return 0;
}

/* Takes the first request that somebody waits for; NULL: it is over. */
static struct line_place *take_awaited(void)
{
    struct line_place *place;

    for (;;) {
        while (sem_wait(&line.count) == -1)
            continue;
        place = atomic_load(&line.is_over) ? NULL : take_first();
        if (place == NULL)
            return NULL;
        door_app_borrow(place->lent);
        if (is_awaited(place))
            return place;
        line_leave(place);
    }
}

struct line_place *line_enter(struct door_app_request **req, int *question)
{
    struct line_place *place = take_awaited();

    if (place == NULL) { /* it is over, perhaps only just */
        sem_post(&line.count); /* for all others */
        wait_for_end();
        return NULL;
    }
    *req = place->req;
    *question = place->is_question;
    return place;
}

void line_close(void)
{
    atomic_store(&line.is_over, 1);
    door_app_stop();
    sem_post(&line.count);
}
