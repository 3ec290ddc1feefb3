/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * open_loop.c: asks at a fixed rate, as users do, who do not wait for one another:
 *
 *     open_loop PORT PATH RATE CONNECTIONS SECONDS
 *
 * sends RATE GETs per second for so many SECONDS to 127.0.0.1, in turn over kept
 * CONNECTIONS.  A request that is due while its connection is busy waits in the
 * connection's queue, and its latency counts from when it was due: a server that
 * stalls is late for all that came meanwhile, not only for those it was serving.
 *
 * Prints one JSON object; times are in microseconds:
 *
 *     asked, rate       requests/s: asked for, and answered rightly
 *     requests, errors  how many; of these those with no answer or another status than 200
 *     p50 p90 p99 p999 max   latencies; a request without an answer has that until the end
 *     late_p99          how late the client itself sent what it could have sent at once
 *
 * A connection that ends is opened again; what was asked on it is an error.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "response.h"

#define SECOND_NS       1000000000LL
#define DRAIN_NS        (2 * SECOND_NS) /* how long answers may come after the last request was due */
#define CONNECT_S       5
#define EVENTS          64
#define CONNECTIONS_MAX 10000
#define REQUESTS_MAX    100000000.0

enum state {
    CLOSED,
    CONNECTING,
    FREE,
    BUSY /* with request number next */
};

struct connection {
    enum state state;
    int fd;
    long
        next; /* the number of the request at the head of its queue; each count-th one is its own */
    struct response response;
};

struct latencies {
    long long *ns;
    long count;
};

struct load {
    struct sockaddr_in address;
    char request[1024];
    size_t request_len;
    double rate;
    int count; /* of connections */
    struct connection *connections;
    int epoll;
    long long began_ns, ended_ns;
    long total; /* requests */
    long due;   /* so many have been due */
    long ended; /* so many have been answered, or have failed */
    long errors;
    struct latencies latencies, late;
};

static long long now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

static long long due_ns(const struct load *load, long number)
{
    return load->began_ns + (long long)((double)number * (double)SECOND_NS / load->rate);
}

static void note(struct latencies *latencies, long long ns)
{
    latencies->ns[latencies->count++] = ns;
}

/* ---------------------------------------------------------------- connections */

static int watch(const struct load *load, struct connection *connection, int how, unsigned events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};

    return epoll_ctl(load->epoll, how, connection->fd, &event);
}

static void lose(struct connection *connection)
{
    if (connection->state != CLOSED)
        close(connection->fd);
    connection->state = CLOSED;
}

/* Starts to connect; -1 if that cannot even be started. */
static int reopen(const struct load *load, struct connection *connection)
{
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd == -1)
        return -1;
    connection->state = CONNECTING;
    if ((connect(connection->fd, (const struct sockaddr *)&load->address, sizeof(load->address)) ==
             -1 &&
         errno != EINPROGRESS) ||
        watch(load, connection, EPOLL_CTL_ADD, EPOLLOUT) == -1) {
        lose(connection);
        return -1;
    }
    return 0;
}

/* The request at the head of the queue has failed; the next one takes its place. */
static void fail(struct load *load, struct connection *connection)
{
    connection->next += load->count;
    load->errors++;
    load->ended++;
}

static int send_request(const struct load *load, struct connection *connection)
{
    ssize_t sent =
        send(connection->fd, load->request, load->request_len, MSG_NOSIGNAL | MSG_DONTWAIT);

    connection->response = (struct response){0};
    connection->state = BUSY;
    return sent == (ssize_t)load->request_len ? 0 : -1;
}

/* Does what can be done for the connection's queue now. */
static void go_on(struct load *load, struct connection *connection)
{
    while (connection->next < load->due &&
           (connection->state == CLOSED || connection->state == FREE)) {
        int is_done =
            connection->state == CLOSED ? reopen(load, connection) : send_request(load, connection);

        if (is_done == -1) {
            lose(connection);
            fail(load, connection);
        }
    }
}

static void connected(struct load *load, struct connection *connection)
{
    int error = 0;
    socklen_t len = sizeof(error);

    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error == 0 && watch(load, connection, EPOLL_CTL_MOD, EPOLLIN) == 0) {
        connection->state = FREE;
        return;
    }
    lose(connection);
    fail(load, connection);
}

/* The answer is whole. */
static void answered(struct load *load, struct connection *connection)
{
    if (!connection->response.is_right) {
        fail(load, connection);
    } else {
        note(&load->latencies, now_ns() - due_ns(load, connection->next));
        connection->next += load->count;
        load->ended++;
    }
    connection->state = FREE;
}

static void readable(struct load *load, struct connection *connection)
{
    static char buf[65536];
    ssize_t got = recv(connection->fd, buf, sizeof(buf), MSG_DONTWAIT);
    struct response *response = &connection->response;
    long taken = 0;

    if (got == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0 && connection->state == BUSY)
        taken = response_take(response, buf, got);
    if (connection->state == BUSY &&
        (response->part == RESPONSE_DONE || (got == 0 && response->part == RESPONSE_TO_CLOSE)))
        answered(load, connection);
    else if (connection->state == BUSY && got <= 0)
        fail(load, connection);
    if (got <= 0 || taken < got) /* it has ended, or says what nobody asked for */
        lose(connection);
}

/* ---------------------------------------------------------------- the run */

/* Waits for the connections' beginnings, so that the first requests are as any others. */
static int open_all(struct load *load)
{
    struct timeval timeout = {.tv_sec = CONNECT_S};

    for (int i = 0; i < load->count; i++) {
        struct connection *connection = &load->connections[i];

        *connection = (struct connection){.state = FREE, .next = i};
        connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(connection->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
        if (connection->fd == -1 ||
            connect(connection->fd, (struct sockaddr *)&load->address, sizeof(load->address)) ==
                -1 ||
            watch(load, connection, EPOLL_CTL_ADD, EPOLLIN) == -1)
            return -1;
    }
    return 0;
}

static void send_due(struct load *load)
{
    while (load->due < load->total && due_ns(load, load->due) <= now_ns()) {
        struct connection *connection = &load->connections[load->due % load->count];
        int is_free = connection->state == FREE;
        long number = load->due++;

        go_on(load, connection);
        if (is_free)
            note(&load->late, now_ns() - due_ns(load, number));
    }
}

/* Until the time, or until something has come. */
static void serve(struct load *load, long long until_ns)
{
    struct epoll_event events[EVENTS];
    long long left_ns = until_ns - now_ns();
    struct timespec wait = {0};
    int count;

    if (left_ns > 0)
        wait = (struct timespec){left_ns / SECOND_NS, left_ns % SECOND_NS};
    count = epoll_pwait2(load->epoll, events, EVENTS, &wait, NULL);
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;

        if (connection->state == CONNECTING)
            connected(load, connection);
        else
            readable(load, connection);
        go_on(load, connection);
    }
}

static void run(struct load *load)
{
    long long end_ns;

    load->began_ns = now_ns();
    end_ns = due_ns(load, load->total) + DRAIN_NS;
    while (load->ended < load->total && now_ns() < end_ns) {
        send_due(load);
        serve(load, load->due < load->total ? due_ns(load, load->due) : end_ns);
    }
    load->ended_ns = now_ns();
}

/* What has no answer yet has had to wait until now at least. */
static void give_up(struct load *load)
{
    long long now = now_ns();

    for (int i = 0; i < load->count; i++) {
        struct connection *connection = &load->connections[i];

        while (connection->next < load->total) {
            note(&load->latencies, now - due_ns(load, connection->next));
            fail(load, connection);
        }
        lose(connection);
    }
}

/* ---------------------------------------------------------------- the result */

static int compare(const void *a, const void *b)
{
    long long x = *(const long long *)a, y = *(const long long *)b;

    return (x > y) - (x < y);
}

/* That share of the sorted latencies is no higher. */
static double percentile_us(const struct latencies *latencies, double share)
{
    long i = (long)(share * (double)latencies->count);

    if (latencies->count == 0)
        return 0;
    return (double)latencies->ns[i < latencies->count ? i : latencies->count - 1] / 1e3;
}

static void print_result(struct load *load)
{
    struct latencies *all = &load->latencies, *late = &load->late;
    double asked_s = (double)load->total / load->rate;
    double took_s = (double)(load->ended_ns - load->began_ns) / (double)SECOND_NS;

    qsort(all->ns, (size_t)all->count, sizeof(*all->ns), compare);
    qsort(late->ns, (size_t)late->count, sizeof(*late->ns), compare);
    printf("{\"asked\": %.0f, \"rate\": %.1f, \"requests\": %ld, \"errors\": %ld, "
           "\"p50\": %.0f, \"p90\": %.0f, \"p99\": %.0f, \"p999\": %.0f, \"max\": %.0f, "
           "\"late_p99\": %.0f}\n",
           load->rate, (double)(load->total - load->errors) / (took_s > asked_s ? took_s : asked_s),
           load->total, load->errors, percentile_us(all, 0.5), percentile_us(all, 0.9),
           percentile_us(all, 0.99), percentile_us(all, 0.999), percentile_us(all, 1),
           percentile_us(late, 0.99));
}

static int prepare(struct load *load, char **argv)
{
    double requests;
    int len = snprintf(load->request, sizeof(load->request),
                       "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", argv[2]);

    load->address = (struct sockaddr_in){.sin_family = AF_INET,
                                         .sin_port = htons((unsigned short)atoi(argv[1])),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    load->rate = atof(argv[3]);
    load->count = atoi(argv[4]);
    requests = load->rate * atof(argv[5]);
    if (len >= (int)sizeof(load->request) || requests < 1 || requests > REQUESTS_MAX ||
        load->count < 1 || load->count > CONNECTIONS_MAX)
        return -1;
    load->request_len = (size_t)len;
    load->total = (long)requests;
    load->connections = calloc((size_t)load->count, sizeof(*load->connections));
    load->latencies.ns = calloc((size_t)load->total, sizeof(*load->latencies.ns));
    load->late.ns = calloc((size_t)load->total, sizeof(*load->late.ns));
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    return load->connections && load->latencies.ns && load->late.ns && load->epoll != -1 ? 0 : -1;
}

static void clean_up(struct load *load)
{
    free(load->connections);
    free(load->latencies.ns);
    free(load->late.ns);
    close(load->epoll);
}

int main(int argc, char **argv)
{
    struct load load = {.epoll = -1};
    int status = 1;

    if (argc != 6 || prepare(&load, argv) == -1) {
        fprintf(stderr, "usage: open_loop PORT PATH RATE CONNECTIONS SECONDS\n");
        clean_up(&load);
        return 2;
    }
    prctl(PR_SET_TIMERSLACK, 1UL);
    if (open_all(&load) == -1) {
        fprintf(stderr, "open_loop: cannot connect to 127.0.0.1:%s: %s\n", argv[1],
                strerror(errno));
    } else {
        run(&load);
        give_up(&load);
        print_result(&load);
        status = 0;
    }
    clean_up(&load);
    return status;
}
