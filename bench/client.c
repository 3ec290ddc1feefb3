/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client.c: the HTTP client for what wrk does not do, on 127.0.0.1:
 *
 *     client events PORT PATH STREAMS COUNT   each stream gets COUNT server-sent events
 *     client get PORT PATH MIB                one body, as fast as it comes
 *     client put PORT PATH MIB                one body sent
 *     client slow PORT PATH STREAMS SECONDS   bodies that are read at 1 MiB/s each
 *
 * It prints one line for bench.pl: RESULT and numbers, that of errors last.  An
 * event's text is the CLOCK_MONOTONIC time at which the handler wrote it.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "response.h"

#define BUF_LEN     (256 * 1024)
#define PIECE       65536
#define TIMEOUT_MS  20000
#define SLOW_MS     50
#define SLOW_LEN    (1024 * 1024 * SLOW_MS / 1000)
#define SLOW_RCVBUF (64 * 1024) /* what the kernel holds for it would hide what servers hold */

static char buf[BUF_LEN];

static long long now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int connect_to(const char *port, int rcvbuf)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((unsigned short)atoi(port))};
    struct timeval timeout = {.tv_sec = TIMEOUT_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (rcvbuf != 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1) {
        close(fd);
        return -1;
    }
    return fd;
}

static int send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

        if (sent <= 0)
            return -1;
        data += sent;
        len -= (size_t)sent;
    }
    return 0;
}

static int ask(int fd, const char *method, const char *path, long body_len)
{
    char text[512], length[64] = "";

    if (body_len >= 0)
        snprintf(length, sizeof(length), "Content-Length: %ld\r\n", body_len);
    snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n",
             method, path, length);
    return send_all(fd, text, strlen(text));
}

/* ---------------------------------------------------------------- a response */

/* All of it; the last bytes that came stay in buf, with a NUL behind them. */
static void read_response(int fd, struct response *response)
{
    ssize_t got;

    while ((got = recv(fd, buf, sizeof(buf) - 1, 0)) > 0) {
        response_take(response, buf, got);
        buf[got] = 0;
    }
    if (response->part != RESPONSE_DONE && response->part != RESPONSE_TO_CLOSE)
        response->is_right = 0;
}

/* ---------------------------------------------------------------- one large body */

static int get(const char *port, const char *path, long len)
{
    struct response response = {0};
    long long began = now_ns();
    int fd = connect_to(port, 0);

    if (fd != -1 && ask(fd, "GET", path, -1) == 0)
        read_response(fd, &response);
    printf("RESULT %ld %lld %d\n", response.sum, (now_ns() - began) / 1000,
           !response.is_right || response.sum != len);
    return 0;
}

/* The answer says how many bytes have arrived. */
static int put(const char *port, const char *path, long len)
{
    struct response response = {0};
    long long began = now_ns();
    int fd = connect_to(port, 0);
    char said[32];
    long sent = 0;

    memset(buf, 'p', sizeof(buf));
    if (fd != -1 && ask(fd, "POST", path, len) == 0)
        while (sent < len && send_all(fd, buf, PIECE) == 0)
            sent += PIECE;
    buf[0] = 0;
    if (sent == len)
        read_response(fd, &response);
    snprintf(said, sizeof(said), "%ld\n", len);
    printf("RESULT %ld %lld %d\n", sent, (now_ns() - began) / 1000,
           !response.is_right || strstr(buf, said) == NULL);
    return 0;
}

/* ---------------------------------------------------------------- slow readers */

static int slow(const char *port, const char *path, int streams, int seconds)
{
    long long until;
    struct pollfd *fds = calloc((size_t)streams, sizeof(*fds));
    char *has_begun = calloc((size_t)streams, 1);
    long sum = 0;
    int errors = 0;

    for (int i = 0; i < streams; i++) {
        fds[i] = (struct pollfd){.fd = connect_to(port, SLOW_RCVBUF), .events = POLLIN};
        if (fds[i].fd != -1)
            ask(fds[i].fd, "GET", path, -1);
    }
    for (until = now_ns() + seconds * 1000000000LL; now_ns() < until; usleep(SLOW_MS * 1000)) {
        for (int i = 0; i < streams; i++) {
            ssize_t got = fds[i].fd != -1 ? recv(fds[i].fd, buf, SLOW_LEN, MSG_DONTWAIT) : 0;

            if (got > 0) {
                sum += got;
                has_begun[i] = 1;
            }
            if (got == 0 && fds[i].fd != -1) { /* it has ended too early */
                close(fds[i].fd);
                fds[i].fd = -1;
            }
        }
    }
    for (int i = 0; i < streams; i++)
        errors += fds[i].fd == -1 || !has_begun[i];
    printf("RESULT %ld %d %d\n", sum, seconds * 1000000, errors);
    free(fds);
    free(has_begun);
    return 0;
}

/* ---------------------------------------------------------------- server-sent events */

struct stream {
    struct response response;
    struct line line; /* the body's last one */
    long events;
};

static long long *latencies; /* ns */
static long latency_count, latency_max;

static void event_line(struct stream *stream)
{
    long seconds, ns;

    if (sscanf(stream->line.text, "data: %ld.%9ld", &seconds, &ns) != 2)
        return;
    stream->events++;
    if (latency_count < latency_max)
        latencies[latency_count++] = now_ns() - (seconds * 1000000000LL + ns);
}

static void take_events(void *data, const char *bytes, long len)
{
    struct stream *stream = data;

    for (long i = 0; i < len; i++)
        if (line_add(&stream->line, bytes[i]))
            event_line(stream);
}

static int compare(const void *a, const void *b)
{
    long long x = *(const long long *)a, y = *(const long long *)b;

    return (x > y) - (x < y);
}

static double percentile_us(double share)
{
    return latency_count > 0 ? latencies[(long)((double)(latency_count - 1) * share)] / 1e3 : 0;
}

/* One beside the other within the time of an event, so that they do not beat in step. */
static void open_streams(const char *port, const char *path, struct pollfd *fds,
                         struct stream *streams, int count)
{
    for (int i = 0; i < count; i++) {
        streams[i].response.on_body = take_events;
        streams[i].response.data = &streams[i];
        fds[i] = (struct pollfd){.fd = connect_to(port, 0), .events = POLLIN};
        if (fds[i].fd != -1)
            ask(fds[i].fd, "GET", path, -1);
        usleep(500);
    }
}

static int events(const char *port, const char *path, int count, long each)
{
    struct pollfd *fds = calloc((size_t)count, sizeof(*fds));
    struct stream *streams = calloc((size_t)count, sizeof(*streams));
    long missing = 0, open = count;
    int ready = 1;

    latency_max = count * each;
    latencies = calloc((size_t)latency_max, sizeof(*latencies));
    open_streams(port, path, fds, streams, count);
    while (open > 0 && ready > 0) {
        ready = poll(fds, (nfds_t)count, TIMEOUT_MS);
        open = 0;
        for (int i = 0; i < count; i++) {
            ssize_t got = 1;

            if (fds[i].revents != 0) {
                got = recv(fds[i].fd, buf, sizeof(buf), 0);
                response_take(&streams[i].response, buf, got);
            }
            if (got <= 0 || fds[i].fd == -1)
                fds[i] = (struct pollfd){.fd = -1};
            else
                open++;
        }
    }
    for (int i = 0; i < count; i++)
        missing += streams[i].response.is_right ? each - streams[i].events : each;
    qsort(latencies, (size_t)latency_count, sizeof(*latencies), compare);
    printf("RESULT %ld %.0f %.0f %.0f %ld\n", latency_count, percentile_us(0.5),
           percentile_us(0.99), percentile_us(0.999), missing);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "get") == 0)
        return get(argv[2], argv[3], atol(argv[4]) * 1024 * 1024);
    if (argc == 5 && strcmp(argv[1], "put") == 0)
        return put(argv[2], argv[3], atol(argv[4]) * 1024 * 1024);
    if (argc == 6 && strcmp(argv[1], "slow") == 0)
        return slow(argv[2], argv[3], atoi(argv[4]), atoi(argv[5]));
    if (argc == 6 && strcmp(argv[1], "events") == 0)
        return events(argv[2], argv[3], atoi(argv[4]), atol(argv[5]));
    fprintf(stderr, "usage: client events|get|put|slow PORT PATH ...\n");
    return 2;
}
