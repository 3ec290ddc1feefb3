/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client.c: the HTTP client for what wrk does not do, on 127.0.0.1:
 *
 *     client events PORT PATH STREAMS COUNT   each stream gets COUNT server-sent events
 *     client get PORT PATH                    one body, as fast as it comes
 *     client put PORT PATH MIB                one body sent
 *     client slow PORT PATH STREAMS SECONDS   bodies that are read at 1 MiB/s each
 *
 * It prints one line for bench.pl: RESULT and numbers, that of errors last.  An
 * event's text is the CLOCK_MONOTONIC time at which the handler wrote it.
 * It knows of HTTP only what httpd sends to it.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

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

/* ---------------------------------------------------------------- a body of known length */

/* Reads a response's head; what came of the body with it stays at the start of buf. */
static long read_head(int fd, size_t *left_over)
{
    static const char name[] = "\r\ncontent-length:";
    size_t have = 0;
    char *end = NULL, *length;

    while (end == NULL) {
        ssize_t got = have < PIECE ? recv(fd, buf + have, PIECE - have, 0) : -1;

        if (got <= 0)
            return -1;
        have += (size_t)got;
        buf[have] = 0;
        end = strstr(buf, "\r\n\r\n");
    }
    *end = 0;
    length = strcasestr(buf, name);
    if (strncmp(buf, "HTTP/1.1 200 ", 13) != 0 || length == NULL)
        return -1;
    long len = atol(length + sizeof(name) - 1);

    *left_over = have - (size_t)(end + 4 - buf);
    memmove(buf, end + 4, *left_over);
    return len;
}

/* All of it; returns how many bytes came, *is_right if that was the length. */
static long read_body(int fd, int *is_right)
{
    size_t have;
    long len = read_head(fd, &have), sum = (long)have;

    *is_right = 0;
    if (len == -1)
        return 0;
    while (sum < len) {
        ssize_t got = recv(fd, buf, sizeof(buf), 0);

        if (got <= 0)
            return sum;
        sum += got;
    }
    *is_right = sum == len;
    return sum;
}

static int get(const char *port, const char *path)
{
    long long began = now_ns();
    int fd = connect_to(port, 0), is_right = 0;
    long sum = 0;

    if (fd != -1 && ask(fd, "GET", path, -1) == 0)
        sum = read_body(fd, &is_right);
    printf("RESULT %ld %lld %d\n", sum, (now_ns() - began) / 1000, !is_right);
    return 0;
}

/* The answer says how many bytes have arrived. */
static int put(const char *port, const char *path, long len)
{
    long long began = now_ns();
    int fd = connect_to(port, 0), is_right = 0;
    long sent = 0;

    memset(buf, 'p', sizeof(buf));
    if (fd != -1 && ask(fd, "POST", path, len) == 0)
        while (sent < len && send_all(fd, buf, PIECE) == 0)
            sent += PIECE;
    if (sent == len) {
        memset(buf, 0, 64);
        read_body(fd, &is_right);
    }
    printf("RESULT %ld %lld %d\n", sent, (now_ns() - began) / 1000, !is_right || atol(buf) != len);
    return 0;
}

/* ---------------------------------------------------------------- slow readers */

static int slow(const char *port, const char *path, int streams, int seconds)
{
    long long until;
    struct pollfd *fds = calloc((size_t)streams, sizeof(*fds));
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

            sum += got > 0 ? got : 0;
            if (got == 0 && fds[i].fd != -1) { /* it has ended too early */
                close(fds[i].fd);
                fds[i].fd = -1;
            }
        }
    }
    for (int i = 0; i < streams; i++)
        errors += fds[i].fd == -1;
    printf("RESULT %ld %d %d\n", sum, seconds * 1000000, errors);
    free(fds);
    return 0;
}

/* ---------------------------------------------------------------- server-sent events */

enum part { HEAD, CHUNK_LENGTH, CHUNK, CHUNK_END, TO_CLOSE };

struct line {
    char text[256]; /* what of it has come so far */
    int len;
};

struct stream {
    enum part part;
    struct line frame; /* of the head, or a chunk's length */
    struct line body;
    int is_right, is_chunked;
    long left; /* in the chunk */
    long events;
};

static long long *latencies; /* ns */
static long latency_count, latency_max;

static void body_line(struct stream *stream, const char *line)
{
    long seconds, ns;

    if (sscanf(line, "data: %ld.%9ld", &seconds, &ns) != 2)
        return;
    stream->events++;
    if (latency_count < latency_max)
        latencies[latency_count++] = now_ns() - (seconds * 1000000000LL + ns);
}

static void head_line(struct stream *stream, const char *line)
{
    if (strncmp(line, "HTTP/1.1 200 ", 13) == 0)
        stream->is_right = 1;
    if (strcasecmp(line, "Transfer-Encoding: chunked") == 0)
        stream->is_chunked = 1;
    if (line[0] == 0)
        stream->part = stream->is_chunked ? CHUNK_LENGTH : TO_CLOSE;
}

static void frame_line(struct stream *stream, const char *line)
{
    if (stream->part == HEAD) {
        head_line(stream, line);
    } else if (stream->part == CHUNK_LENGTH) {
        stream->left = strtol(line, NULL, 16);
        stream->part = CHUNK;
    } else {
        stream->part = CHUNK_LENGTH; /* the line end behind a chunk */
    }
}

static void take(struct stream *stream, char c)
{
    int is_body = stream->part == CHUNK || stream->part == TO_CLOSE;
    struct line *line = is_body ? &stream->body : &stream->frame;

    if (c == '\n') {
        line->text[line->len] = 0;
        line->len = 0;
        (is_body ? body_line : frame_line)(stream, line->text);
    } else if (c != '\r' && line->len < (int)sizeof(line->text) - 1) {
        line->text[line->len++] = c;
    }
}

static void take_all(struct stream *stream, const char *data, ssize_t len)
{
    for (ssize_t i = 0; i < len; i++) {
        int is_in_chunk = stream->part == CHUNK;

        take(stream, data[i]);
        if (is_in_chunk && --stream->left <= 0)
            stream->part = CHUNK_END;
    }
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
static void open_streams(const char *port, const char *path, struct pollfd *fds, int count)
{
    for (int i = 0; i < count; i++) {
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
    open_streams(port, path, fds, count);
    while (open > 0 && ready > 0) {
        ready = poll(fds, (nfds_t)count, TIMEOUT_MS);
        open = 0;
        for (int i = 0; i < count; i++) {
            ssize_t got = 1;

            if (fds[i].revents != 0) {
                got = recv(fds[i].fd, buf, sizeof(buf), 0);
                take_all(&streams[i], buf, got);
            }
            if (got <= 0 || fds[i].fd == -1)
                fds[i] = (struct pollfd){.fd = -1};
            else
                open++;
        }
    }
    for (int i = 0; i < count; i++)
        missing += streams[i].is_right ? each - streams[i].events : each;
    qsort(latencies, (size_t)latency_count, sizeof(*latencies), compare);
    printf("RESULT %ld %.0f %.0f %.0f %ld\n", latency_count, percentile_us(0.5),
           percentile_us(0.99), percentile_us(0.999), missing);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "get") == 0)
        return get(argv[2], argv[3]);
    if (argc == 5 && strcmp(argv[1], "put") == 0)
        return put(argv[2], argv[3], atol(argv[4]) * 1024 * 1024);
    if (argc == 6 && strcmp(argv[1], "slow") == 0)
        return slow(argv[2], argv[3], atoi(argv[4]), atoi(argv[5]));
    if (argc == 6 && strcmp(argv[1], "events") == 0)
        return events(argv[2], argv[3], atoi(argv[4]), atol(argv[5]));
    fprintf(stderr, "usage: client events|get|put|slow PORT PATH ...\n");
    return 2;
}
