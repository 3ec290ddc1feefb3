/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * output.c: from what applications print to lines of the error log.  Each
 * process's pipe is read whenever there is something, so no application waits
 * for the log.  The lines go into a queue, and one thread writes them: when the
 * log blocks, the queue fills, lines are dropped, and their number is told.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "supervisor.h"

#define LINE_MAX_LEN 8000 /* with what httpd puts in front, under its own 8 KiB */
#define QUEUE_MAX    1024 /* lines that wait to be written */
#define QUEUE_BYTES  (1024 * 1024)
#define LINES_PER_S  1000 /* of one process; more are dropped */
#define LINES_FAIR   50   /* so many have a place in the queue that others have half filled */
#define READ_LEN     16384

struct line {
    struct line *next;
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
    output_writer *writer;
    void *data;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* --------------------------------------------------------------- the queue */

static void put(int level, const char *text)
{
    size_t size = strlen(text) + 1;
    struct line *line = malloc(sizeof(*line) + size);

    pthread_mutex_lock(&queue.lock);
    if (line == NULL || queue.count >= QUEUE_MAX || queue.bytes + size > QUEUE_BYTES) {
        queue.dropped++;
        free(line);
    } else {
        line->next = NULL;
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

/* Then a process that prints much must not take what is left from those that print little. */
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
    put(level, text);
}

/* With the lock held: the next line, whose owner the caller is. */
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
    snprintf(text, sizeof(text), "%lu lines dropped, the log did not take them", dropped);
    queue.writer(LOG_WARNING, text, queue.data);
}

static void *write_lines(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&queue.lock);
    for (;;) {
        struct line *line;
        unsigned long dropped;

        while (queue.first == NULL) {
            queue.is_writing = 0;
            pthread_cond_broadcast(&queue.emptied);
            pthread_cond_wait(&queue.added, &queue.lock);
        }
        queue.is_writing = 1;
        line = take();
        dropped = queue.dropped;
        queue.dropped = 0;
        pthread_mutex_unlock(&queue.lock);
        queue.writer(line->level, line->text, queue.data);
        tell_dropped(dropped);
        free(line);
        pthread_mutex_lock(&queue.lock);
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
    pthread_cond_init(&queue.added, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
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
    while ((queue.first != NULL || queue.is_writing) && error == 0)
        error = pthread_cond_timedwait(&queue.emptied, &queue.lock, &until);
    pthread_mutex_unlock(&queue.lock);
}

/* -------------------------------------------------------- one process's lines */

struct output {
    int fd;
    char prefix[APP_NAME_MAX + 32];
    int64_t second_ns; /* in which lines are counted */
    unsigned lines;    /* in it */
    unsigned dropped;  /* in it */
    int is_cut;        /* the rest of the line is not wanted */
    size_t len;
    char line[LINE_MAX_LEN - APP_NAME_MAX - 32];
};

struct output *output_open(const char *name, pid_t pid, int fd)
{
    struct output *out = calloc(1, sizeof(*out));

    if (out == NULL)
        return NULL;
    out->fd = fd;
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
        output_log(LOG_WARNING, "%s: %u lines dropped", out->prefix, out->dropped);
    out->second_ns = now_ns;
    out->lines = out->dropped = 0;
}

/* "<3>text" has a level, as for systemd (sd-daemon(3)). */
static int take_level(const char **text)
{
    const char *at = *text;

    if (at[0] != '<' || at[1] < '0' || at[1] > '7' || at[2] != '>')
        return LOG_WARNING;
    *text = at + 3;
    return at[1] - '0';
}

static void end_line(struct output *out)
{
    const char *text = out->line;
    int level;

    out->line[out->len] = '\0';
    level = take_level(&text);
    if (*text != '\0') {
        if (out->lines++ < (is_half_full() ? LINES_FAIR : LINES_PER_S))
            output_log(level, "%s: %s%s", out->prefix, text, out->is_cut ? " [...]" : "");
        else if (out->dropped++ == 0)
            output_log(LOG_WARNING, "%s: over %u lines in a second, others are dropped",
                       out->prefix, out->lines - 1);
    }
    out->len = 0;
    out->is_cut = 0;
}

static void add_byte(struct output *out, char c)
{
    if (c == '\n')
        end_line(out);
    else if (out->len < sizeof(out->line) - 8)
        out->line[out->len++] = c != '\0' ? c : ' ';
    else
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
