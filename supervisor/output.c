/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * output.c: makes lines of the error log from what applications print.  Each process's
 * pipe is read whenever it has something, so that no application waits for the log.  The
 * lines go into a queue, and one thread writes them.  When the log blocks and the queue is
 * full, lines are dropped, and their number is logged later.  An application may have a log
 * of its own, which gets the lines as they were printed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <door_compat.h>

#include "supervisor.h"
#include "tag.h"

#define LINE_MAX_LEN 8000 /* below httpd's limit of 8 KiB, with the prefix that httpd adds */
#define QUEUE_MAX    1024 /* waiting lines for own logs of applications; see has_room() */
#define QUEUE_BYTES  (1024 * 1024)
#define LINES_PER_S  1000 /* of one process; more are dropped */
#define LINES_FAIR   50   /* of one process, in a second in which the queue is half full */
#define READ_LEN     16384
#define TELL_NS      1000000000ll /* the least time between two log lines about dropped ones */

#define RAW_WAIT_MS 1000 /* a piped program that does not read for so long loses lines */

/* A log of an application's own.  Its users are the route and each line that waits for it. */
struct sink {
    unsigned users;
    int fd;
    int is_raw;
    int is_cut;     /* the last line was not written to its end; the writing thread's */
    int is_blocked; /* the log did not take the last line in time; the writing thread's */
};

/* Where the lines of an application go if not to the error log. */
struct route {
    struct route *next;
    struct sink *sink;
    int is_said; /* it was set since the last output_end_routes() */
    char name[];
};

struct line {
    struct line *next;
    struct sink *sink; /* or NULL: the log */
    int level;
    size_t size;
    char text[];
};

static struct {
    pthread_mutex_t lock; /* guards all of these */
    pthread_cond_t added, emptied;
    struct line *first, **last;
    unsigned count;
    size_t bytes;
    unsigned long dropped;
    int is_writing;
    struct route *routes;
    output_writer *writer;
    void *data;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ------------------------------------------------------------------ routes */

/* With the lock held, as for the next two functions. */
static struct route *find_route(const char *name)
{
    struct route *route = queue.routes;

    while (route != NULL && (name == NULL || strcmp(route->name, name) != 0))
        route = route->next;
    return route;
}

static void release_sink(struct sink *sink)
{
    if (sink == NULL || --sink->users > 0)
        return;
    close(sink->fd);
    free(sink);
}

static struct route *add_route(const char *name)
{
    size_t size = strlen(name) + 1;
    struct route *route = calloc(1, sizeof(*route) + size);

    if (route == NULL)
        return NULL;
    memcpy(route->name, name, size);
    route->next = queue.routes;
    queue.routes = route;
    return route;
}

int output_route(const char *name, int fd, int is_raw)
{
    struct sink *sink = calloc(1, sizeof(*sink));
    struct route *route;
    struct stat st;

    if (sink == NULL) {
        close(fd);
        return -1;
    }
    *sink = (struct sink){.users = 1, .fd = fd, .is_raw = is_raw};
    /* httpd's parent shares this flag, but it never writes to the pipe itself. */
    if (is_raw && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode))
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    pthread_mutex_lock(&queue.lock);
    route = find_route(name);
    if (route == NULL)
        route = add_route(name);
    if (route != NULL) {
        release_sink(route->sink);
        route->sink = sink;
        route->is_said = 1;
    } else {
        release_sink(sink);
    }
    pthread_mutex_unlock(&queue.lock);
    return route != NULL ? 0 : -1;
}

void output_end_routes(void)
{
    struct route **link = &queue.routes;

    pthread_mutex_lock(&queue.lock);
    while (*link != NULL) {
        struct route *route = *link;

        if (route->is_said) {
            route->is_said = 0;
            link = &route->next;
            continue;
        }
        *link = route->next;
        release_sink(route->sink);
        free(route);
    }
    pthread_mutex_unlock(&queue.lock);
}

static int goes_raw(const char *name)
{
    const struct route *route;
    int result;

    pthread_mutex_lock(&queue.lock);
    route = find_route(name);
    result = route != NULL && route->sink->is_raw;
    pthread_mutex_unlock(&queue.lock);
    return result;
}

/* --------------------------------------------------------------- the queue */

/*
 * With the lock held.  Applications with a log of their own have no limit of lines, so they
 * must leave room for the others; and these must leave room for the supervisor's own lines.
 */
static int has_room(size_t size, const char *name, const struct route *route)
{
    unsigned halves = name == NULL ? 4 : route != NULL && route->sink->is_raw ? 2 : 3;

    return queue.count < QUEUE_MAX * halves / 2 && queue.bytes + size <= QUEUE_BYTES * halves / 2;
}

/* Queues a line of the application of that name, or of the supervisor if name is NULL. */
static void put(int level, const char *text, const char *name)
{
    struct route *route;
    size_t size = strlen(text) + 1;
    struct line *line = malloc(sizeof(*line) + size);

    pthread_mutex_lock(&queue.lock);
    route = find_route(name);
    if (line == NULL || !has_room(size, name, route)) {
        queue.dropped++;
        free(line);
    } else {
        line->next = NULL;
        line->sink = route != NULL ? route->sink : NULL;
        if (line->sink != NULL)
            line->sink->users++;
        line->level = level;
        line->size = size;
        memcpy(line->text, text, size);
        *queue.last = line;
        queue.last = &line->next;
        queue.count++;
        queue.bytes += size;
        pthread_cond_signal(&queue.added);
    }
    pthread_mutex_unlock(&queue.lock);
}

/* When the queue is half full, a process that prints much must leave room for others. */
static int is_half_full(void)
{
    int result;

    pthread_mutex_lock(&queue.lock);
    result = queue.count >= QUEUE_MAX / 2 || queue.bytes >= QUEUE_BYTES / 2;
    pthread_mutex_unlock(&queue.lock);
    return result;
}

void output_log(int level, const char *format, ...)
{
    char text[LINE_MAX_LEN];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    put(level, text, NULL);
}

/* With the lock held: takes the next line out of the queue.  The caller frees it. */
static struct line *take(void)
{
    struct line *line = queue.first;

    queue.first = line->next;
    if (queue.first == NULL)
        queue.last = &queue.first;
    queue.count--;
    queue.bytes -= line->size;
    return line;
}

static void tell_dropped(unsigned long dropped)
{
    char text[100];

    if (dropped == 0)
        return;
    snprintf(text, sizeof(text), DOORNO(0506) "%lu lines dropped, the log did not take them in time", dropped);
    queue.writer(LOG_WARNING, text, -1, queue.data);
}

/* Returns how many lines were lost. */
static unsigned write_raw(struct sink *sink, const char *text)
{
    struct iovec parts[] = {{(char *)"\n", sink->is_cut ? 1 : 0},
                            {(char *)text, strlen(text)},
                            {(char *)"\n", 1}};
    ssize_t size = (ssize_t)(parts[0].iov_len + parts[1].iov_len + 1);
    struct pollfd fd = {.fd = sink->fd, .events = POLLOUT};
    ssize_t written;

    sink->is_blocked = poll(&fd, 1, sink->is_blocked ? 0 : RAW_WAIT_MS) == 0;
    if (sink->is_blocked)
        return 1;
    written = writev(sink->fd, parts, 3);
    if (written > 0)
        sink->is_cut = written < size;
    return written == size ? 0 : 1;
}

/* Returns how many lines were lost, as far as that is known. */
static unsigned write_one(const struct line *line)
{
    if (line->sink != NULL && line->sink->is_raw)
        return write_raw(line->sink, line->text);
    queue.writer(line->level, line->text, line->sink != NULL ? line->sink->fd : -1, queue.data);
    return 0;
}

/* With the lock held: waits until there is a line, or dropped lines are to be logged. */
static void wait_for_work(int64_t tell_ns)
{
    const struct timespec until = {.tv_sec = (time_t)(tell_ns / 1000000000),
                                   .tv_nsec = (long)(tell_ns % 1000000000)};
    int error = 0;

    while (queue.first == NULL && error == 0) {
        queue.is_writing = 0;
        pthread_cond_broadcast(&queue.emptied);
        if (queue.dropped == 0)
            pthread_cond_wait(&queue.added, &queue.lock);
        else
            error = pthread_cond_timedwait(&queue.added, &queue.lock, &until);
    }
    queue.is_writing = 1;
}

/* With the lock held: the number of dropped lines that is to be logged now, or 0. */
static unsigned long take_dropped(int64_t *tell_ns)
{
    unsigned long dropped = queue.dropped;
    int64_t now = door_now_ns();

    if (dropped == 0 || now < *tell_ns)
        return 0;
    *tell_ns = now + TELL_NS;
    queue.dropped = 0;
    return dropped;
}

static void *write_lines(void *unused)
{
    int64_t tell_ns = 0;

    (void)unused;
    pthread_mutex_lock(&queue.lock);
    for (;;) {
        struct line *line;
        unsigned long dropped;
        unsigned lost = 0;

        wait_for_work(tell_ns);
        line = queue.first != NULL ? take() : NULL;
        dropped = take_dropped(&tell_ns);
        pthread_mutex_unlock(&queue.lock);
        if (line != NULL)
            lost = write_one(line);
        tell_dropped(dropped);
        pthread_mutex_lock(&queue.lock);
        queue.dropped += lost;
        if (line != NULL)
            release_sink(line->sink);
        free(line);
    }
    return NULL;
}

int output_start(output_writer *writer, void *data)
{
    pthread_condattr_t clock;
    pthread_t thread;
    int error;

    queue.last = &queue.first;
    queue.writer = writer;
    queue.data = data;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&queue.added, &clock);
    pthread_cond_init(&queue.emptied, &clock);
    pthread_condattr_destroy(&clock);
    error = pthread_create(&thread, NULL, write_lines, NULL);
    if (error == 0)
        error = pthread_detach(thread);
    errno = error;
    return error == 0 ? 0 : -1;
}

void output_flush(int64_t timeout_ns)
{
    struct timespec until;
    int error = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    timeout_ns += until.tv_nsec;
    until.tv_sec += (time_t)(timeout_ns / 1000000000);
    until.tv_nsec = (long)(timeout_ns % 1000000000);
    pthread_mutex_lock(&queue.lock);
    while ((queue.first != NULL || queue.is_writing || queue.dropped > 0) && error == 0)
        error = pthread_cond_timedwait(&queue.emptied, &queue.lock, &until);
    pthread_mutex_unlock(&queue.lock);
}

/* -------------------------------------------------------- one process's lines */

struct output {
    int fd;
    char name[APP_NAME_MAX + 1];
    char prefix[APP_NAME_MAX + 32];
    int64_t second_ns; /* when the second began in which lines are counted */
    unsigned lines;    /* in that second */
    unsigned dropped;  /* in that second */
    int is_cut;        /* the line is too long, and its rest is ignored */
    size_t len;
    char line[LINE_MAX_LEN - APP_NAME_MAX - 32];
};

struct output *output_open(const char *name, pid_t pid, int fd)
{
    struct output *out = calloc(1, sizeof(*out));

    if (out == NULL)
        return NULL;
    out->fd = fd;
    snprintf(out->name, sizeof(out->name), "%s", name);
    snprintf(out->prefix, sizeof(out->prefix), "%s[%ld]", name, (long)pid);
    return out;
}

int output_fd(const struct output *out)
{
    return out->fd;
}

static void end_second(struct output *out, int64_t now_ns)
{
    if (out->dropped > 0)
        output_log(LOG_WARNING, DOORNO(0507) "%s: %u lines dropped", out->prefix, out->dropped);
    out->second_ns = now_ns;
    out->lines = out->dropped = 0;
}

/* A line may begin with its level, such as "<3>text", as for systemd (sd-daemon(3)). */
static int take_level(const char **text)
{
    const char *at = *text;

    if (at[0] != '<' || at[1] < '0' || at[1] > '7' || at[2] != '>')
        return LOG_WARNING;
    *text = at + 3;
    return at[1] - '0';
}

static void put_line(const struct output *out, int level, const char *text)
{
    char line[LINE_MAX_LEN];

    snprintf(line, sizeof(line), "%s: %s%s", out->prefix, text, out->is_cut ? " [...]" : "");
    put(level, line, out->name);
}

static void end_line(struct output *out)
{
    const char *text = out->line;
    int level;

    out->line[out->len] = '\0';
    level = take_level(&text);
    if (goes_raw(out->name)) {
        put(level, text, out->name); /* no limit; a long line continues as the next one */
    } else if (*text != '\0') {
        if (out->lines++ < (is_half_full() ? LINES_FAIR : LINES_PER_S))
            put_line(out, level, text);
        else if (out->dropped++ == 0)
            output_log(LOG_WARNING, DOORNO(0508) "%s: over %u lines in a second, others are dropped",
                       out->prefix, out->lines - 1);
    }
    out->len = 0;
    out->is_cut = 0;
}

static void add_byte(struct output *out, char c)
{
    const size_t room = sizeof(out->line) - 8;

    if (c == '\n' || (out->len == room && goes_raw(out->name)))
        end_line(out);
    if (c != '\n' && out->len < room)
        out->line[out->len++] = c != '\0' ? c : ' ';
    else if (c != '\n')
        out->is_cut = 1;
}

int output_read(struct output *out, int64_t now_ns)
{
    char bytes[READ_LEN];
    ssize_t got = read(out->fd, bytes, sizeof(bytes));

    if (got == -1)
        return errno == EAGAIN || errno == EINTR;
    if (now_ns - out->second_ns >= 1000000000)
        end_second(out, now_ns);
    for (ssize_t i = 0; i < got; i++)
        add_byte(out, bytes[i]);
    return got > 0;
}

void output_close(struct output *out)
{
    if (out == NULL)
        return;
    if (out->len > 0)
        end_line(out);
    end_second(out, 0);
    close(out->fd);
    free(out);
}
