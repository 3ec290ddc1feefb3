/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgi_exchange.c: see fcgi_exchange.h.
 *
 * What a program gets is a head (FCGI_BEGIN_REQUEST and the variables) and then a
 * stream or two.  Until the whole head has been written the program cannot have begun:
 * if that fails another one is asked.  Afterwards nothing is asked twice.
 */
#include "fcgi_exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "cgi_response.h"
#include "clock.h"
#include "fcgi_role.h"

#define PIECE_MAX 16384 /* bytes of a body in one record */
#define FLUSH_MS  20    /* a program that has written, and then nothing for so long, has its client see it */
#define LINE_MAX_LEN 1000
#define TRIES        4 /* programs that are asked, one after the other */
#define MS        1000000LL

struct exchange {
    const struct fcgi_exchange_config *config;
    struct door_app_request *req;
    struct fcgi_seat *seat;
    struct fcgi_writer head;
    size_t begun_len; /* so much of the head, and the program may begin */

    /* To the program: what of a record is not written yet, and where the next one comes from. */
    unsigned char out[FCGI_HEADER_LEN + PIECE_MAX + FCGI_HEADER_LEN];
    size_t out_at, out_len;
    enum { FROM_BODY, FROM_FILE, FROM_NOTHING } source;
    int file_fd; /* the filter's, or -1 */

    /* From the program. */
    struct cgi_response response;
    char *sendfile;   /* what X-Sendfile says; malloc()ed, or NULL */
    int is_discarded; /* nobody wants the rest */
    int is_unflushed;
    int is_ended;
    struct fcgi_end end;
    char line[LINE_MAX_LEN + 1]; /* of its stderr */
    size_t line_len;

    int64_t look_ns;  /* when the client was looked for, or will be abandoned */
    int64_t abort_ns; /* when the program has to be through; 0: the client is there */
};

/* An error, in place of what there was; if that has begun, the client sees that it is broken. */
static void refuse(struct door_app_request *req, int status)
{
    if (door_app_refuse(req, status, "The application does not answer as it should") == -1)
        door_app_fail(req);
}

/* An answer of our own, and what the log says. */
static void answer(struct exchange *x, int status, const char *reason)
{
    door_app_log(x->req, LOG_ERR, "door_fcgi: %s (pid %d)", reason,
                 x->seat != NULL ? fcgi_pool_pid(x->config->pool, x->seat) : 0);
    refuse(x->req, status);
}

/* ---------------------------------------------------------------- the head */

static void write_variable(struct exchange *x, const char *name, const char *value)
{
    fcgi_write_pair(&x->head, FCGI_PARAMS, name, strlen(name), value, strlen(value));
}

static void write_number(struct exchange *x, const char *name, long long number)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%lld", number);
    write_variable(x, name, digits);
}

/* The file that a filter filters. */
static int open_file(struct exchange *x)
{
    struct stat st;

    x->file_fd = fcgi_role_open_file(x->req, &st);
    if (x->file_fd == -1)
        return -1;
    write_number(x, "FCGI_DATA_LENGTH", (long long)st.st_size);
    write_number(x, "FCGI_DATA_LAST_MOD", (long long)st.st_mtime);
    return 0;
}

static int make_head(struct exchange *x)
{
    const char *name, *value;
    size_t position = 0;
    int more;

    fcgi_write_begin(&x->head, x->config->role);
    while ((more = door_app_cgi_next(x->req, &position, &name, &value)) == 1)
        if (fcgi_role_has(x->config->role, name))
            write_variable(x, name, value);
    if (more == -1) /* without them the program might say yes to what it must refuse */
        return -1;
    write_variable(x, "FCGI_ROLE", fcgi_role_name(x->config->role));
    if (x->config->role == FCGI_FILTER && open_file(x) == -1)
        return -1;
    fcgi_write_end(&x->head, FCGI_PARAMS);
    x->begun_len = x->head.len;
    errno = x->head.error != 0 ? x->head.error : errno;
    return x->head.error != 0 ? -1 : 0;
}

/* ---------------------------------------------------------------- who waits */

/* The end of the record that is being written, and the one that says that it is over. */
static void begin_abort(struct exchange *x)
{
    if (x->abort_ns != 0)
        return;
    x->abort_ns = now_ns() + x->config->abort_ms * MS;
    x->is_discarded = 1;
    x->is_unflushed = 0;
    x->source = FROM_NOTHING;
    fcgi_header(x->out + x->out_len, FCGI_ABORT_REQUEST, 0);
    x->out_len += FCGI_HEADER_LEN;
}

/* Once a second: is it all over, for the client or for httpd?  -1: so it is for the program. */
static int look_for_client(struct exchange *x)
{
    int64_t now = now_ns();

    if (x->abort_ns != 0)
        return now < x->abort_ns ? 0 : -1;
    if (now < x->look_ns)
        return 0;
    x->look_ns = now + FCGI_TICK_MS * MS;
    if (door_app_client_gone(x->req) == DOOR_APP_CLIENT_GONE)
        begin_abort(x);
    return 0;
}

/* ---------------------------------------------------------------- to the program */

/* Writes the whole head: how much of it, which is less if the program does not take it. */
static size_t send_head(struct exchange *x)
{
    size_t at = 0;

    while (at < x->head.len && x->abort_ns == 0) {
        ssize_t some = send(x->seat->fd, x->head.bytes + at, x->head.len - at, MSG_NOSIGNAL);

        if (some == -1 && errno != EAGAIN && errno != EINTR)
            break;
        at += some > 0 ? (size_t)some : 0;
        if (some == -1)
            look_for_client(x);
    }
    return at;
}

static void end_body(struct exchange *x)
{
    x->source = x->file_fd != -1 ? FROM_FILE : FROM_NOTHING;
}

/* What has come of the body goes along with the head: mostly all of it. */
static void add_body(struct exchange *x)
{
    while (x->source == FROM_BODY && x->head.len - x->begun_len < PIECE_MAX) {
        ssize_t len = door_app_read_now(x->req, x->out, PIECE_MAX);

        if (len == -1)
            break; /* for now, or it is told again */
        if (len > 0) {
            fcgi_write_bytes(&x->head, FCGI_STDIN, x->out, (size_t)len);
            continue;
        }
        fcgi_write_end(&x->head, FCGI_STDIN);
        end_body(x);
    }
    fcgi_write_close(&x->head);
}

static void put_record(struct exchange *x, enum fcgi_type type, size_t len)
{
    fcgi_header(x->out, type, len);
    x->out_at = 0;
    x->out_len = FCGI_HEADER_LEN + len;
}

/* What the client sends.  One that does not complete it has nobody read the answer. */
static void read_body(struct exchange *x)
{
    ssize_t len = door_app_read_now(x->req, x->out + FCGI_HEADER_LEN, PIECE_MAX);

    if (len == -1 && errno == EAGAIN)
        return;
    if (len == -1) {
        begin_abort(x);
        return;
    }
    put_record(x, FCGI_STDIN, (size_t)len);
    if (len == 0)
        end_body(x);
}

static void read_file(struct exchange *x)
{
    ssize_t len = read(x->file_fd, x->out + FCGI_HEADER_LEN, PIECE_MAX);

    if (len < 0) {
        door_app_log(x->req, LOG_ERR, "door_fcgi: cannot read the file: %m");
        begin_abort(x);
        return;
    }
    put_record(x, FCGI_DATA, (size_t)len);
    if (len == 0)
        x->source = FROM_NOTHING;
}

/* Makes the next record if the last one has gone. */
static void make_record(struct exchange *x)
{
    if (x->out_at < x->out_len)
        return;
    x->out_at = x->out_len = 0;
    if (x->source == FROM_BODY)
        read_body(x);
    else if (x->source == FROM_FILE)
        read_file(x);
}

/* A program that does not read to the end may have answered all the same. */
static void send_some(struct exchange *x)
{
    ssize_t some = send(x->seat->fd, x->out + x->out_at, x->out_len - x->out_at,
                        MSG_NOSIGNAL | MSG_DONTWAIT);

    if (some >= 0) {
        x->out_at += (size_t)some;
    } else if (errno != EAGAIN && errno != EINTR) {
        x->out_at = x->out_len = 0;
        x->source = FROM_NOTHING;
    }
}

/* ---------------------------------------------------------------- from the program */

static void log_line(struct exchange *x)
{
    x->line[x->line_len] = '\0';
    if (x->line_len > 0)
        door_app_log(x->req, LOG_WARNING, "%s", x->line);
    x->line_len = 0;
}

static void take_stderr(struct exchange *x, const unsigned char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != '\n' && bytes[i] != '\0')
            x->line[x->line_len++] = (char)bytes[i];
        if (bytes[i] == '\n' || x->line_len == LINE_MAX_LEN)
            log_line(x);
    }
}

/* A file below the root, or -1. */
static int open_below(const char *root, const char *name)
{
    char *path = NULL, *real;
    size_t root_len = strlen(root);
    struct stat st;
    int fd = -1;

    if (name[0] != '/') {
        path = malloc(root_len + strlen(name) + 2);
        if (path == NULL)
            return -1;
        sprintf(path, "%s/%s", root, name);
    }
    real = realpath(path != NULL ? path : name, NULL);
    if (real != NULL && strncmp(real, root, root_len) == 0 &&
        (real[root_len] == '/' || root[root_len - 1] == '/'))
        fd = open(real, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    else if (real != NULL)
        errno = EACCES;
    if (fd != -1 && (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))) {
        close(fd);
        fd = -1;
        errno = ENOENT;
    }
    free(path);
    free(real);
    return fd;
}

/* The file is the body, whatever else the program writes. */
static void send_file(struct exchange *x)
{
    int fd = open_below(x->config->sendfile_root, x->sendfile);

    x->is_discarded = 1;
    door_app_header_set(x->req, "Content-Length", NULL);
    if (fd == -1) {
        door_app_log(x->req, LOG_ERR, "door_fcgi: X-Sendfile %s: %m", x->sendfile);
        refuse(x->req, 404);
    } else if (door_app_send_fd(x->req, fd, 0, -1) == -1) {
        close(fd);
    }
}

/* A header field that is for us and no client: 1. */
static int take_field(void *data, const char *name, const char *value)
{
    struct exchange *x = data;

    if (x->config->sendfile_root == NULL || strcasecmp(name, "X-Sendfile") != 0)
        return 0;
    free(x->sendfile);
    x->sendfile = strdup(value);
    x->response.is_bodiless = 1;
    return x->sendfile != NULL ? 1 : -1;
}

static int take_stdout(struct exchange *x, const unsigned char *bytes, size_t len)
{
    int had_head = x->response.has_head, result;

    if (x->is_discarded)
        return 0;
    result = cgi_response_write(&x->response, (const char *)bytes, len);
    if (result == -1 && errno == EBADMSG)
        return -1;
    if (result == -1) {
        begin_abort(x);
    } else if (!had_head && x->response.has_head && x->sendfile != NULL) {
        send_file(x);
    } else if (x->response.has_head && len > 0) {
        x->is_unflushed = 1;
    }
    return 0;
}

static int take_piece(struct exchange *x, const struct fcgi_piece *piece)
{
    switch (piece->type) {
    case FCGI_STDOUT:
        return take_stdout(x, piece->bytes, piece->len);
    case FCGI_STDERR:
        take_stderr(x, piece->bytes, piece->len);
        return 0;
    case FCGI_END_REQUEST:
        if (fcgi_read_end(piece, &x->end) == -1)
            return -1;
        x->is_ended = 1;
        return 0;
    default: /* nothing was asked: no harm */
        return 0;
    }
}

/* 1 what has come is taken, 0 nothing has, -1 it is the connection's end, or nonsense. */
static int receive(struct exchange *x, int flags)
{
    struct fcgi_seat *seat = x->seat;
    ssize_t len = recv(seat->fd, seat->in, sizeof(seat->in), flags);
    size_t at = 0;

    if (len == -1 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (len <= 0) {
        errno = len == 0 ? ECONNRESET : errno;
        return -1;
    }
    while (at < (size_t)len) {
        struct fcgi_piece piece;
        size_t taken;
        int found = fcgi_read(&seat->reader, seat->in + at, (size_t)len - at, &taken, &piece);

        if (found == 1 && x->is_ended) { /* padding may follow the end */
            errno = EBADMSG;
            return -1;
        }
        if (found == -1 || (found == 1 && take_piece(x, &piece) == -1))
            return -1;
        at += taken;
    }
    return 1;
}

/* ---------------------------------------------------------------- both ways */

/* The client sees what there is if nothing more comes at once.  What is ready, as poll(2). */
static int wait_for_either(struct exchange *x)
{
    int timeout_ms = x->is_unflushed ? FLUSH_MS : FCGI_TICK_MS;
    struct pollfd fd = {.fd = x->seat->fd, .events = POLLIN};
    int ready;

    if (x->out_at == x->out_len && x->source == FROM_BODY) {
        ready = door_app_wait(x->req, x->seat->fd, timeout_ms);
        if (ready == -1)
            begin_abort(x);
        return ready == -1 || !(ready & DOOR_APP_FD_READY) ? 0 : POLLIN;
    }
    if (x->out_at < x->out_len || x->source == FROM_FILE) /* of which there always is more */
        fd.events |= POLLOUT;
    ready = poll(&fd, 1, timeout_ms);
    return ready == 1 ? fd.revents : 0;
}

static void flush(struct exchange *x)
{
    x->is_unflushed = 0;
    if (door_app_flush(x->req) == -1 && errno != ENOTSUP)
        begin_abort(x);
}

/* One step: 0, or -1: the connection is of no use any more. */
static int step(struct exchange *x)
{
    int ready;

    make_record(x);
    if (x->out_at < x->out_len)
        send_some(x);
    if (x->source == FROM_NOTHING && x->out_at == x->out_len && !x->is_unflushed) {
        ready = receive(x, 0); /* up to a tick */
        return ready == -1 ? -1 : look_for_client(x);
    }
    ready = wait_for_either(x);
    if (ready == 0 && x->is_unflushed)
        flush(x);
    if (ready & ~POLLOUT && receive(x, MSG_DONTWAIT) == -1)
        return -1;
    return look_for_client(x);
}

static void answer_break(struct exchange *x, int error)
{
    answer(x, 502,
           error == ECONNRESET || error == EPIPE ? "the program closed the connection in mid-request"
           : error == EBADMSG                    ? "what the program sends makes no sense"
                                                 : strerror(error));
}

/* The answer has not come as it should. */
static void answer_end(struct exchange *x)
{
    switch (x->end.protocol_status) {
    case FCGI_REQUEST_COMPLETE:
        if (!x->response.has_head)
            answer(x, 502, "the program ended the request without an answer");
        break;
    case FCGI_OVERLOADED:
        answer(x, 503, "the program is overloaded");
        break;
    default:
        answer(x, 502, "the program refuses the request");
        break;
    }
}

/* The program has the request: until it has answered, or will not. */
static enum fcgi_outcome converse(struct exchange *x)
{
    int is_sound = 0, error;

    while (is_sound == 0 && !x->is_ended)
        is_sound = step(x);
    error = errno;
    log_line(x);
    if (x->abort_ns != 0 && !x->is_ended && now_ns() >= x->abort_ns) {
        answer(x, 504, "the program goes on though nobody waits for it: it is replaced");
        return FCGI_REPLACE;
    }
    if (x->abort_ns != 0)
        refuse(x->req, 502); /* nobody reads it */
    else if (!x->is_ended)
        answer_break(x, error);
    else
        answer_end(x);
    /* What was written for this one must not be taken for another one's. */
    return is_sound == 0 && x->out_at == x->out_len && x->source == FROM_NOTHING &&
                   fcgi_is_between(&x->seat->reader)
               ? FCGI_KEEP
               : FCGI_CLOSE;
}

static void answer_without_seat(struct exchange *x)
{
    const char *reason = errno == EBUSY ? "too many requests run and wait" : "no program is up";

    door_app_log(x->req, LOG_ERR, "door_fcgi: %s", reason);
    refuse(x->req, 503);
    door_app_header_set(x->req, "Retry-After", "5");
}

/* One try: 1 it has the head, 0 it can have done nothing with it, -1 it may have. */
static int ask_program(struct exchange *x)
{
    size_t sent;

    if (fcgi_pool_connect(x->config->pool, x->seat) == -1)
        return 0;
    sent = send_head(x);
    if (sent == x->head.len)
        return 1;
    return sent < x->begun_len && x->abort_ns == 0 ? 0 : -1;
}

/* A seat whose program has the head: 0, or -1 and the client is answered. */
static int find_program(struct exchange *x)
{
    int found = 0;

    for (unsigned i = 0; i < TRIES && found == 0; i++) {
        x->seat = fcgi_pool_take(x->config->pool);
        if (x->seat == NULL) {
            answer_without_seat(x);
            return -1;
        }
        found = ask_program(x);
        if (found == 1)
            return 0;
        if (found == -1 || i + 1 == TRIES)
            answer_break(x, errno);
        /* One that has not even read the head in all the time that there was is stuck. */
        fcgi_pool_give_back(x->config->pool, x->seat, x->abort_ns != 0 ? FCGI_REPLACE : FCGI_CLOSE);
        x->seat = NULL;
    }
    return -1;
}

void fcgi_exchange(struct door_app_request *req, void *data)
{
    const struct fcgi_exchange_config *config = data;
    struct exchange x;

    memset(&x, 0, offsetof(struct exchange, out));
    memset(&x.out_at, 0, sizeof(x) - offsetof(struct exchange, out_at));
    x.config = config;
    x.req = req;
    x.file_fd = -1;
    x.source = config->role == FCGI_AUTHORIZER ? FROM_NOTHING : FROM_BODY;
    x.response.req = req;
    x.response.take = take_field;
    x.response.data = &x;
    x.response.is_answer = x.response.is_bodiless = config->is_question;
    x.look_ns = now_ns() + FCGI_TICK_MS * MS;
    if (make_head(&x) == 0)
        add_body(&x);
    if (x.begun_len == 0 || x.head.error != 0) {
        int is_missing = x.head.error == 0 && errno != ENOMEM; /* what is to be filtered */

        door_app_log(req, LOG_ERR, "door_fcgi: no request can be made: %m");
        refuse(req, is_missing ? 404 : 503);
    } else if (find_program(&x) == 0) {
        fcgi_pool_give_back(config->pool, x.seat, converse(&x));
    }
    if (x.file_fd != -1)
        close(x.file_fd);
    fcgi_writer_free(&x.head);
    cgi_response_end(&x.response);
    free(x.sendfile);
}
