/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * kitchen.c: one handler for each thing that the runtime can do; the demo shows
 * them and the tests rely on what they answer.
 *
 *     /env                    CGI/1.1 variables, NAME=value lines, sorted
 *     /threads                how many server threads there are, and which one answers;
 *                             at most N after --threads N
 *     /status?code=N          answers with status N (200 to 599)
 *     /headers                several headers, some of them repeated; &more=N&bytes=M: N more, of
 *                             M bytes each; &how=flushed sends them before the body
 *     /trailers               the request's trailer X-Sum, and one of the response's own
 *     /logged?dish=NAME&eater=NAME    fields of the access log, the second one at its end
 *     /hints                  a 103 (Early Hints) before the response
 *     /redirect?to=URL        a Location and a cookie; after to=URL: &how=flushed, long, file or
 *                             pipe: with a body that goes these ways, which nobody gets
 *
 *     /echo                   the request's body, with its content type
 *     /upload                 reads the body as it comes: bytes=N sha256=HEX;
 *                             /upload?count tells the bytes alone
 *     /form                   a form's fields, of the query and the body: NAME=VALUE
 *     /parts                  a form's parts: NAME FILENAME TYPE bytes=N sha256=HEX
 *     /duplex                 writes each piece of the body back at once
 *
 *     /big?bytes=N            N bytes: the letters a to z over and over
 *     /trickle?bytes=N&chunk=K    the same, written K bytes at a time
 *     /stream?lines=N&ms=M    a numbered line every M milliseconds, at once
 *     /events?events=N&ms=M   the same as server-sent events, with the time of each
 *     /file?name=NAME         a file of the folder KITCHEN_FILES, by descriptor;
 *                             &offset=N&length=N a part of it; &kept=1 of a file
 *                             that was opened once and is never opened again
 *     /pipe?bytes=N           what /big sends, through a pipe; &ms=M: the pipe stays open so long
 *
 *     /sleep?ms=N             answers after N milliseconds
 *     /gone                   computes until the client has gone; /gone?count how often it had,
 *                             /gone?running how many compute now
 *     /short?promise=N&bytes=M    a Content-Length of N, and M bytes
 *     /die?after=N            sends N bytes and ends the process
 *     /keep                   uses a request where it should not be used
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include <door_app.h>

#define ECHO_MAX     ((size_t)256 << 20)
#define SLEEP_MAX_MS (10UL * 60 * 1000)

static void refuse(struct door_app_request *req, const char *why)
{
    door_app_status(req, 400);
    door_app_printf(req, "%s\n", why);
}

/* The number after "name=" in the query: 0, or -1 if there is none in min..max. */
static int query_number(const struct door_app_request *req, const char *name, unsigned long min,
                        unsigned long max, unsigned long *number)
{
    const char *at = door_app_query(req);
    size_t len = strlen(name);
    char *end;

    while (strncmp(at, name, len) != 0 || at[len] != '=') {
        at = strchr(at, '&');
        if (at == NULL)
            return -1;
        at++;
    }
    at += len + 1;
    if (*at < '0' || *at > '9') /* strtoul() would take spaces and signs */
        return -1;
    errno = 0;
    *number = strtoul(at, &end, 10);
    if (errno != 0 || (*end != '\0' && *end != '&') || *number < min || *number > max)
        return -1;
    return 0;
}

/* So that a client knows when a long response is complete, and HEAD can tell. */
static void promise_length(struct door_app_request *req, unsigned long bytes)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%lu", bytes);
    door_app_header_set(req, "Content-Length", digits);
}

struct variable {
    const char *name;
    const char *value;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct variable *)a)->name, ((const struct variable *)b)->name);
}

/* Values may be anything that a client sent; line ends in them would forge variables. */
static void print_variable(struct door_app_request *req, const struct variable *variable)
{
    door_app_printf(req, "%s=", variable->name);
    for (const char *at = variable->value; *at != '\0'; at++)
        door_app_write(req, *at == '\n' || *at == '\r' ? " " : at, 1);
    door_app_write(req, "\n", 1);
}

static void env(struct door_app_request *req, void *data)
{
    struct variable *found = NULL;
    struct variable one;
    size_t position = 0;
    size_t count = 0;

    (void)data;
    while (door_app_cgi_next(req, &position, &one.name, &one.value) == 1) {
        struct variable *grown = realloc(found, (count + 1) * sizeof(*found));

        if (grown == NULL)
            break;
        found = grown;
        found[count++] = one;
    }
    if (count > 0)
        qsort(found, count, sizeof(*found), by_name);
    for (size_t i = 0; i < count; i++)
        print_variable(req, &found[i]);
    free(found);
}

/* ---------------------------------------------------------------- the body */

/* All of it is read before the first byte goes back: few clients do both at once. */
static void echo(struct door_app_request *req, void *data)
{
    const char *type = door_app_header(req, "Content-Type");
    size_t len;
    const char *body = door_app_body(req, ECHO_MAX, &len);

    (void)data;
    if (body == NULL) {
        door_app_status(req, errno == EFBIG ? 413 : 400);
        return;
    }
    door_app_content_type(req, type != NULL ? type : "application/octet-stream");
    promise_length(req, len);
    door_app_write(req, body, len);
}

typedef ssize_t reader(struct door_app_request *req, void *buf, size_t len);

/* What was read to its end: how many bytes, and their hash in hexadecimal digits; or -1. */
static long long read_and_hash(struct door_app_request *req, reader *read_some, char *hex)
{
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    long long bytes = 0;
    char piece[65536];
    ssize_t len;

    EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
    while ((len = read_some(req, piece, sizeof(piece))) > 0) {
        EVP_DigestUpdate(hash, piece, (size_t)len);
        bytes += len;
    }
    EVP_DigestFinal_ex(hash, digest, &digest_len);
    EVP_MD_CTX_free(hash);
    for (unsigned i = 0; i < digest_len; i++)
        sprintf(hex + 2 * i, "%02x", digest[i]);
    return len == 0 ? bytes : -1;
}

/* What was read to its end: how many bytes; or -1. */
static long long read_and_count(struct door_app_request *req)
{
    long long bytes = 0;
    char piece[65536];
    ssize_t len;

    while ((len = door_app_read(req, piece, sizeof(piece))) > 0)
        bytes += len;
    return len == 0 ? bytes : -1;
}

static void upload(struct door_app_request *req, void *data)
{
    int is_count = strcmp(door_app_query(req), "count") == 0;
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    long long bytes = is_count ? read_and_count(req) : read_and_hash(req, door_app_read, hex);

    (void)data;
    if (bytes == -1) {
        door_app_status(req, 400);
        door_app_printf(req, "not all of it: %s\n", strerror(errno));
        return;
    }
    if (is_count)
        door_app_printf(req, "bytes=%lld\n", bytes);
    else
        door_app_printf(req, "bytes=%lld sha256=%s\n", bytes, hex);
}

static void parts(struct door_app_request *req, void *data)
{
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    struct door_app_part part;

    (void)data;
    while (door_app_part_next(req, &part) == 1) {
        long long bytes = read_and_hash(req, door_app_part_read, hex);

        if (bytes == -1)
            return;
        door_app_printf(req, "%s %s %s bytes=%lld sha256=%s\n", part.name,
                        part.filename != NULL ? part.filename : "-",
                        part.content_type != NULL ? part.content_type : "-", bytes, hex);
    }
}

static void form(struct door_app_request *req, void *data)
{
    const char *name, *value;
    size_t position = 0;

    (void)data;
    while (door_app_query_next(req, &position, &name, &value))
        door_app_printf(req, "%s=%s\n", name, value);
    if (strcmp(door_app_method(req), "POST") != 0 || door_app_form_read(req, 1000000) == -1)
        return;
    for (position = 0; door_app_form_next(req, &position, &name, &value);)
        door_app_printf(req, "%s=%s\n", name, value);
}

static void duplex(struct door_app_request *req, void *data)
{
    char piece[65536];
    ssize_t len;

    (void)data;
    door_app_content_type(req, "application/octet-stream");
    while ((len = door_app_read(req, piece, sizeof(piece))) > 0)
        if (door_app_write(req, piece, (size_t)len) == -1 || door_app_flush(req) == -1)
            return;
}

static void trailers(struct door_app_request *req, void *data)
{
    const char *sum;
    char piece[4096];

    (void)data;
    while (door_app_read(req, piece, sizeof(piece)) > 0)
        continue;
    sum = door_app_trailer(req, "X-Sum");
    door_app_printf(req, "X-Sum: %s\n", sum != NULL ? sum : "none");
    door_app_trailer_add(req, "X-After", "the body");
}

/* The second one when the head of the response has gone. */
static void logged(struct door_app_request *req, void *data)
{
    const char *dish = door_app_query_value(req, "dish");
    const char *eater = door_app_query_value(req, "eater");

    (void)data;
    if (dish != NULL && door_app_log_field(req, "dish", dish) == -1)
        door_app_printf(req, "dish: %s\n", strerror(errno));
    door_app_printf(req, "It is in the log\n");
    if (eater != NULL && door_app_flush(req) == 0)
        door_app_log_field(req, "eater", eater);
}

/* ---------------------------------------------------------------- much */

#define PATTERN_LEN (26 * 1024)

/* Made once for each thread that needs it. */
static const char *pattern(void)
{
    static _Thread_local char letters[PATTERN_LEN];

    if (letters[0] == '\0')
        for (int i = 0; i < PATTERN_LEN; i++)
            letters[i] = (char)('a' + i % 26);
    return letters;
}

/* bytes of the pattern, at most chunk at a time. */
static int write_pattern(struct door_app_request *req, unsigned long bytes, unsigned long chunk)
{
    unsigned long at = 0;

    while (at < bytes) {
        unsigned long start = at % PATTERN_LEN;
        unsigned long len = PATTERN_LEN - start;

        if (len > chunk)
            len = chunk;
        if (len > bytes - at)
            len = bytes - at;
        if (door_app_write(req, pattern() + start, len) == -1)
            return -1;
        at += len;
    }
    return 0;
}

static void big(struct door_app_request *req, void *data)
{
    unsigned long bytes;

    (void)data;
    if (query_number(req, "bytes", 0, ULONG_MAX, &bytes) == -1) {
        refuse(req, "usage: /big?bytes=N");
        return;
    }
    promise_length(req, bytes);
    write_pattern(req, bytes, PATTERN_LEN);
}

static void trickle(struct door_app_request *req, void *data)
{
    unsigned long bytes, chunk;

    (void)data;
    if (query_number(req, "bytes", 0, ULONG_MAX, &bytes) == -1 ||
        query_number(req, "chunk", 1, ULONG_MAX, &chunk) == -1)
        refuse(req, "usage: /trickle?bytes=N&chunk=K");
    else
        write_pattern(req, bytes, chunk);
}

static void pause_ms(unsigned long ms)
{
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&left, &left) == -1 && errno == EINTR)
        continue;
}

static void stream(struct door_app_request *req, void *data)
{
    unsigned long lines, ms;

    (void)data;
    if (query_number(req, "lines", 0, ULONG_MAX, &lines) == -1 ||
        query_number(req, "ms", 0, SLEEP_MAX_MS, &ms) == -1) {
        refuse(req, "usage: /stream?lines=N&ms=M");
        return;
    }
    for (unsigned long line = 1; line <= lines; line++) {
        if (line > 1)
            pause_ms(ms);
        door_app_printf(req, "line %lu\n", line);
        if (door_app_flush(req) == -1)
            return;
    }
}

/* The time is that of the clock which the client has, too: CLOCK_REALTIME. */
static void events(struct door_app_request *req, void *data)
{
    unsigned long count, ms;
    struct timespec now;

    (void)data;
    if (query_number(req, "events", 0, ULONG_MAX, &count) == -1 ||
        query_number(req, "ms", 0, SLEEP_MAX_MS, &ms) == -1) {
        refuse(req, "usage: /events?events=N&ms=M");
        return;
    }
    door_app_content_type(req, "text/event-stream");
    for (unsigned long event = 1; event <= count; event++) {
        if (event > 1)
            pause_ms(ms);
        clock_gettime(CLOCK_REALTIME, &now);
        door_app_printf(req, "id: %lu\ndata: %lld.%06ld\n\n", event, (long long)now.tv_sec,
                        now.tv_nsec / 1000);
        if (door_app_flush(req) == -1)
            return;
    }
}

/* ---------------------------------------------------------------- descriptors */

/* The value after "name=" in the query, which ends at '&'; its bytes, 0 if there is none. */
static size_t query_text(const struct door_app_request *req, const char *name, const char **text)
{
    const char *at = door_app_query(req);
    size_t len = strlen(name);

    while (at != NULL && (strncmp(at, name, len) != 0 || at[len] != '=')) {
        at = strchr(at, '&');
        if (at != NULL)
            at++;
    }
    *text = at != NULL ? at + len + 1 : "";
    return strcspn(*text, "&");
}

/* A name in the folder that leads nowhere else, opened. */
static int open_file(const char *name, size_t name_len)
{
    const char *folder = getenv("KITCHEN_FILES");
    char path[4096];

    if (folder == NULL || name_len == 0 || name[0] == '.' || memchr(name, '/', name_len) != NULL ||
        snprintf(path, sizeof(path), "%s/%.*s", folder, (int)name_len, name) >= (int)sizeof(path))
        return -1;
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* Another descriptor of the file that the first request opened: they share its offset. */
static int open_kept(const char *name, size_t name_len)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static int kept = -1;
    int fd;

    pthread_mutex_lock(&lock);
    if (kept == -1)
        kept = open_file(name, name_len);
    fd = kept != -1 ? fcntl(kept, F_DUPFD_CLOEXEC, 0) : -1;
    pthread_mutex_unlock(&lock);
    return fd;
}

static void file(struct door_app_request *req, void *data)
{
    const char *name;
    size_t name_len = query_text(req, "name", &name);
    unsigned long kept, offset = 0, length = 0;
    int has_length = query_number(req, "length", 0, LONG_MAX, &length) == 0;
    int is_kept = query_number(req, "kept", 1, 1, &kept) == 0;
    int fd = is_kept ? open_kept(name, name_len) : open_file(name, name_len);

    (void)data;
    if (fd == -1) {
        door_app_status(req, 404);
        door_app_printf(req, "no such file\n");
        return;
    }
    query_number(req, "offset", 0, LONG_MAX, &offset);
    door_app_content_type(req, "application/octet-stream");
    if (door_app_send_fd(req, fd, (off_t)offset, has_length ? (off_t)length : -1) == -1) {
        close(fd);
        refuse(req, "no such part of the file");
    }
}

struct pour {
    int fd;
    unsigned long bytes, ms;
};

static void *pour(void *arg)
{
    struct pour *job = arg;
    unsigned long at = 0;

    while (at < job->bytes) {
        unsigned long start = at % PATTERN_LEN;
        unsigned long len = PATTERN_LEN - start;
        ssize_t written =
            write(job->fd, pattern() + start, len < job->bytes - at ? len : job->bytes - at);

        if (written == -1)
            break;
        at += (unsigned long)written;
    }
    pause_ms(job->ms);
    close(job->fd);
    free(job);
    return NULL;
}

static void pipe_through(struct door_app_request *req, void *data)
{
    struct pour *job = malloc(sizeof(*job));
    pthread_t thread;
    int ends[2];

    (void)data;
    if (job == NULL || query_number(req, "bytes", 0, ULONG_MAX, &job->bytes) == -1 ||
        pipe(ends) == -1) {
        free(job);
        refuse(req, "usage: /pipe?bytes=N");
        return;
    }
    job->ms = 0;
    query_number(req, "ms", 0, SLEEP_MAX_MS, &job->ms);
    job->fd = ends[1];
    if (pthread_create(&thread, NULL, pour, job) != 0) {
        close(ends[0]);
        close(ends[1]);
        free(job);
        return;
    }
    pthread_detach(thread);
    if (door_app_send_fd(req, ends[0], 0, -1) == -1)
        close(ends[0]);
}

/* ---------------------------------------------------------------- endings */

static void sleep_ms(struct door_app_request *req, void *data)
{
    unsigned long ms;

    (void)data;
    if (query_number(req, "ms", 0, SLEEP_MAX_MS, &ms) == -1) {
        refuse(req, "usage: /sleep?ms=N, at most 600000");
        return;
    }
    pause_ms(ms);
    door_app_printf(req, "slept %lu ms\n", ms);
}

static void gone(struct door_app_request *req, void *data)
{
    static _Atomic unsigned long count, running;
    volatile unsigned long work = 0;

    (void)data;
    if (strcmp(door_app_query(req), "count") == 0) {
        door_app_printf(req, "%lu\n", atomic_load(&count));
        return;
    }
    if (strcmp(door_app_query(req), "running") == 0) {
        door_app_printf(req, "%lu\n", atomic_load(&running));
        return;
    }
    atomic_fetch_add(&running, 1);
    while (door_app_client_gone(req) == DOOR_APP_CLIENT_HERE)
        work++;
    atomic_fetch_sub(&running, 1);
    atomic_fetch_add(&count, 1);
}

static void short_of(struct door_app_request *req, void *data)
{
    unsigned long promise, bytes;

    (void)data;
    if (query_number(req, "promise", 0, ULONG_MAX, &promise) == -1 ||
        query_number(req, "bytes", 0, ULONG_MAX, &bytes) == -1) {
        refuse(req, "usage: /short?promise=N&bytes=M");
        return;
    }
    promise_length(req, promise);
    write_pattern(req, bytes, PATTERN_LEN);
}

static void die(struct door_app_request *req, void *data)
{
    unsigned long after;

    (void)data;
    if (query_number(req, "after", 0, ULONG_MAX, &after) == -1) {
        refuse(req, "usage: /die?after=N");
        return;
    }
    write_pattern(req, after, PATTERN_LEN);
    if (after > 0)
        door_app_flush(req);
    _exit(1);
}

static void *use_elsewhere(void *req)
{
    errno = 0;
    return (void *)(intptr_t)(door_app_printf(req, "from elsewhere\n") == -1 ? errno : 0);
}

/* The errno that another thread got for this request, and this one for the last. */
static void keep(struct door_app_request *req, void *data)
{
    static struct door_app_request *_Atomic kept;
    struct door_app_request *last = atomic_exchange(&kept, req);
    pthread_t thread;
    void *elsewhere = NULL;
    int later = 0;

    (void)data;
    if (last != NULL && door_app_printf(last, "from the last one\n") == -1)
        later = errno;
    if (pthread_create(&thread, NULL, use_elsewhere, req) == 0)
        pthread_join(thread, &elsewhere);
    door_app_printf(req, "elsewhere=%d later=%d\n", (int)(intptr_t)elsewhere, later);
}

/* ---------------------------------------------------------------- the head */

static void status(struct door_app_request *req, void *data)
{
    unsigned long code;

    (void)data;
    if (query_number(req, "code", 200, 599, &code) == -1) {
        refuse(req, "usage: /status?code=N, 200 to 599");
        return;
    }
    door_app_status(req, (int)code);
    if (code != 204 && code != 304)
        door_app_printf(req, "status %lu\n", code);
}

static void add_more_headers(struct door_app_request *req)
{
    unsigned long more = 0, bytes = 1;
    char *value;

    query_number(req, "more", 1, 1000000, &more);
    query_number(req, "bytes", 1, 10000000, &bytes);
    value = more > 0 ? calloc(1, bytes + 1) : NULL;
    if (value == NULL)
        return;
    memset(value, 'x', bytes);
    while (more-- > 0)
        door_app_header_add(req, "X-More", value);
    free(value);
}

static void headers(struct door_app_request *req, void *data)
{
    const char *how;

    (void)data;
    add_more_headers(req);
    if (query_text(req, "how", &how) == 7 && strncmp(how, "flushed", 7) == 0)
        door_app_flush(req);
    door_app_header_set(req, "X-Kitchen", "replaced");
    door_app_header_set(req, "X-Kitchen", "soup");
    door_app_header_add(req, "X-Course", "first");
    door_app_header_add(req, "X-Course", "second");
    door_app_header_add(req, "Set-Cookie", "spoon=1; Path=/");
    door_app_header_add(req, "Set-Cookie", "fork=2; Path=/");
    door_app_header_set(req, "Cache-Control", "no-store");
    door_app_content_type(req, "text/html; charset=utf-8");
    door_app_printf(req, "<p>See the headers.</p>\n");
}

static void hints(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_header_add(req, "Link", "</kitchen.css>; rel=preload; as=style");
    door_app_early_hints(req);
    door_app_printf(req, "hinted\n");
}

/* A body that the client of a local Location never gets, as it may come. */
static void write_unwanted(struct door_app_request *req, const char *how, size_t len)
{
    int ends[2];

    if (len == 7 && strncmp(how, "flushed", len) == 0) {
        door_app_printf(req, "elsewhere\n");
        door_app_flush(req);
        door_app_printf(req, "still elsewhere\n");
    } else if (len == 4 && strncmp(how, "long", len) == 0) {
        write_pattern(req, 1000000, PATTERN_LEN);
    } else if (len == 4 && strncmp(how, "file", len) == 0) {
        int fd = open_file("text", 4);

        if (fd != -1 && door_app_send_fd(req, fd, 0, -1) == -1)
            close(fd);
    } else if (len == 4 && strncmp(how, "pipe", len) == 0 && pipe(ends) == 0) {
        close(ends[1]);
        if (door_app_send_fd(req, ends[0], 0, -1) == -1)
            close(ends[0]);
    }
}

static void redirect(struct door_app_request *req, void *data)
{
    const char *to, *how;
    size_t len = query_text(req, "to", &to);
    char url[1024];

    (void)data;
    snprintf(url, sizeof(url), "%.*s", (int)len, to);
    if (door_app_header_set(req, "Location", url) == -1) {
        refuse(req, "usage: /redirect?to=URL");
        return;
    }
    door_app_cookie_set(req, "redirected", "1", "Path=/");
    len = query_text(req, "how", &how);
    write_unwanted(req, how, len);
}

#define THREAD_IDLE_MS 10000

static void threads(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_printf(req, "threads=%lu\nthread=%lu\n", door_app_thread_count(),
                    door_app_thread_number(req));
}

static const struct {
    const char *path;
    door_app_handler *handler;
    const char *usage;
} dishes[] = {
    {"/env", env, ""},
    {"/threads", threads, ""},
    {"/status", status, "?code=N"},
    {"/headers", headers, ""},
    {"/trailers", trailers, ""},
    {"/logged", logged, "?dish=NAME&eater=NAME"},
    {"/hints", hints, ""},
    {"/redirect", redirect, "?to=URL"},
    {"/echo", echo, ""},
    {"/upload", upload, ""},
    {"/duplex", duplex, ""},
    {"/form", form, "?NAME=VALUE"},
    {"/parts", parts, ""},
    {"/big", big, "?bytes=N"},
    {"/trickle", trickle, "?bytes=N&chunk=K"},
    {"/stream", stream, "?lines=N&ms=M"},
    {"/events", events, "?events=N&ms=M"},
    {"/file", file, "?name=NAME"},
    {"/pipe", pipe_through, "?bytes=N"},
    {"/sleep", sleep_ms, "?ms=N"},
    {"/gone", gone, ""},
    {"/short", short_of, "?promise=N&bytes=M"},
    {"/die", die, "?after=N"},
    {"/keep", keep, ""},
};

#define DISH_COUNT (sizeof(dishes) / sizeof(dishes[0]))

/* Registered for all that the others are not, but only the top has a menu. */
static void menu(struct door_app_request *req, void *data)
{
    const char *path = door_app_path_info(req);

    (void)data;
    if (strcmp(path, "") != 0 && strcmp(path, "/") != 0) {
        door_app_status(req, 404);
        door_app_printf(req, "There is no %s in this kitchen\n", path);
        return;
    }
    for (size_t i = 0; i < DISH_COUNT; i++)
        door_app_printf(req, "%s%s\n", dishes[i].path, dishes[i].usage);
}

int main(int argc, char **argv)
{
    struct door_app *app = door_app_create();

    if (argc > 2 && strcmp(argv[1], "--threads") == 0) {
        door_app_set_threads(app, (unsigned)strtoul(argv[2], NULL, 10), THREAD_IDLE_MS);
        argc -= 2;
        argv += 2;
    }
    signal(SIGPIPE, SIG_IGN); /* /pipe: whose reader may go */
    for (size_t i = 0; i < DISH_COUNT; i++)
        door_app_handle(app, dishes[i].path, dishes[i].handler, NULL);
    door_app_handle(app, "/", menu, NULL);
    return door_app_run(app, argc > 1 ? argv[1] : NULL);
}
