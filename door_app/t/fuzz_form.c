/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_form.c: whatever a client sends as query, cookies and form, the runtime
 * stays inside it, and gives out the same however the body is cut into pieces
 * and however much of a part is read at a time.
 *
 * The input is two bytes, the lengths of the pieces and of what is read at a time,
 * and then the query, Content-Type and Cookie, each with a NUL behind it, and
 * the body.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <door.h>

#include "serve.h"
#include "replay.h"

#define ID         "0123456789abcdef0123456789abcdef"
#define SIZE_LIMIT 16384 /* so that the answer is one message */
#define PIECES_MAX 64

struct sent {
    const char *query, *type, *cookie, *body;
    size_t body_len;
};

/* What httpd has yet to send. */
static struct {
    pthread_mutex_t lock;
    const char *body;
    size_t len, piece_len;
} rest = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t read_len; /* how much of a part is read at a time */

/* The query's fields, as they should be written. */
static char encoded[4 * SIZE_LIMIT];
static char *encoded_end;

/* ---------------------------------------------------------------- httpd */

static const char *take_piece(size_t *len)
{
    const char *piece = rest.body;

    *len = rest.len < rest.piece_len ? rest.len : rest.piece_len;
    rest.body += *len;
    rest.len -= *len;
    return piece;
}

/* The response door: more of the body, which is all that the handler can ask for. */
static void serve(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    char reply[SIZE_LIMIT + 64];
    struct door_wire_writer writer;
    const char *piece;
    size_t head_len, len;

    (void)cookie;
    (void)argp;
    (void)arg_size;
    (void)dp;
    (void)n_desc;
    pthread_mutex_lock(&rest.lock);
    piece = take_piece(&len);
    door_wire_begin(&writer, reply, sizeof(reply));
    head_len = door_wire_end(&writer, DOOR_WIRE_PART, 0, rest.len > 0 ? DOOR_WIRE_MORE : 0, len);
    memcpy(reply + head_len, piece, len);
    pthread_mutex_unlock(&rest.lock);
    door_return(reply, head_len + len, NULL, 0);
}

static void put(struct door_wire_writer *writer, enum door_wire_type type, const char *name,
                const char *value)
{
    door_wire_field(writer, type, name, strlen(name), value, strlen(value));
}

/* The request with the first of its pieces: the bytes of the message. */
static size_t make_request(char *message, size_t cap, const struct sent *sent, size_t piece_len)
{
    struct door_wire_writer writer;
    const char *piece;
    size_t head_len, len;

    pthread_mutex_lock(&rest.lock);
    rest.body = sent->body;
    rest.len = sent->body_len;
    rest.piece_len = piece_len;
    piece = take_piece(&len);
    door_wire_begin(&writer, message, cap);
    put(&writer, DOOR_WIRE_METHOD, "", "POST");
    put(&writer, DOOR_WIRE_PATH_INFO, "", "/");
    put(&writer, DOOR_WIRE_QUERY, "", sent->query);
    put(&writer, DOOR_WIRE_HEADER, "Content-Type", sent->type);
    put(&writer, DOOR_WIRE_HEADER, "Cookie", sent->cookie);
    put(&writer, DOOR_WIRE_DOOR, "", ID);
    put(&writer, DOOR_WIRE_TOKEN, "", ID);
    head_len = door_wire_end(&writer, DOOR_WIRE_REQUEST, 0, rest.len > 0 ? DOOR_WIRE_MORE : 0, len);
    replay_require(head_len > 0 && head_len + len <= cap);
    memcpy(message + head_len, piece, len);
    pthread_mutex_unlock(&rest.lock);
    return head_len + len;
}

/* ---------------------------------------------------------------- the application */

/* What is encoded means the same. */
static void encode_again(struct door_app_request *req, const char *text)
{
    const char *code = door_app_percent_encode(req, text);
    const char *decoded = door_app_percent_decode(req, code);

    replay_require(strcmp(decoded, text) == 0);
    encoded_end = stpcpy(encoded_end, code);
}

static void show_query(struct door_app_request *req)
{
    const char *name, *value;
    size_t position = 0;

    encoded_end = encoded;
    while (door_app_query_next(req, &position, &name, &value)) {
        const char *cookie = door_app_cookie(req, name);

        replay_require(position <= DOOR_APP_FIELDS_MAX);
        replay_require(door_app_query_value(req, name) != NULL);
        encode_again(req, name);
        encoded_end = stpcpy(encoded_end, "=");
        encode_again(req, value);
        encoded_end = stpcpy(encoded_end, "&");
        door_app_printf(req, "[%s=%s|%zu]", name, value, cookie != NULL ? strlen(cookie) : 0);
    }
    *encoded_end = '\0';
}

static void show_form(struct door_app_request *req)
{
    const char *name, *value;
    size_t position = 0;

    if (door_app_form_read(req, SIZE_LIMIT) == -1)
        return;
    while (door_app_form_next(req, &position, &name, &value)) {
        replay_require(position <= DOOR_APP_FIELDS_MAX);
        replay_require(door_app_form_value(req, name) != NULL);
        door_app_printf(req, "[%s=%s]", name, value);
    }
}

static void show_parts(struct door_app_request *req)
{
    struct door_app_part part;
    char *bytes = malloc(read_len); /* no longer, so that a step beyond it is seen */
    ssize_t got;

    replay_require(bytes != NULL);
    while (door_app_part_next(req, &part) == 1) {
        door_app_printf(req, "[%s|%s|%s|", part.name, part.filename != NULL ? part.filename : "",
                        part.content_type != NULL ? part.content_type : "");
        while ((got = door_app_part_read(req, bytes, read_len)) > 0)
            door_app_write(req, bytes, (size_t)got);
    }
    free(bytes);
}

static void show(struct door_app_request *req, void *data)
{
    (void)data;
    show_query(req);
    if (door_app_header(req, "Content-Type")[0] == 'm')
        show_parts(req);
    else
        show_form(req);
}

/* ---------------------------------------------------------------- both */

/* Answers with memory that is free()d. */
static char *ask(struct door_app *app, int door, const struct sent *sent, size_t piece_len,
                 size_t *len)
{
    size_t cap = 8 * SIZE_LIMIT;
    char *message = malloc(cap), *copy;
    struct door_rt_answer answer;
    struct door_wire_reader reader;

    replay_require(message != NULL);
    *len = make_request(message, cap, sent, piece_len);
    message = realloc(message, *len); /* so that a step beyond it is seen */
    door_rt_answer(app, message, *len, door, &answer);
    replay_require(door_wire_read(&reader, DOOR_WIRE_RESPONSE, answer.bytes, answer.len) == 0);
    *len = reader.body_len; /* the head says when that was */
    copy = malloc(*len + 1);
    replay_require(copy != NULL);
    memcpy(copy, reader.body, *len);
    free(message);
    return copy;
}

static const char *next_text(char **at, const char *end)
{
    const char *text = *at;

    *at += strlen(text);
    if (*at < end)
        ++*at;
    return text;
}

/* Whether the handler finds the same in other; ours is what it found before. */
static void is_answered_alike(struct door_app *app, const struct sent *other, size_t piece_len,
                              const char *ours, size_t len)
{
    size_t other_len;
    char *answer = ask(app, -1, other, piece_len, &other_len);

    replay_require(other_len == len && memcmp(answer, ours, len) == 0);
    free(answer);
}

static struct door_app *app;

/* httpd's door is told once; the runtime keeps it. */
static void begin(void)
{
    int door = door_create(serve, NULL, 0);
    struct sent nothing = {"", "", "", "", 0};
    size_t len;

    app = door_app_create();
    replay_require(door >= 0 && door_app_handle(app, "/", show, NULL) == 0);
    read_len = 1;
    free(ask(app, door, &nothing, 1, &len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = calloc(1, size + 1), *at = copy;
    char query[sizeof(encoded)];
    struct sent sent;
    size_t piece_len, len;
    char *answer;

    replay_require(copy != NULL);
    if (app == NULL)
        begin();
    if (size > 2 && size <= SIZE_LIMIT) {
        memcpy(copy, data + 2, size - 2);
        sent.query = next_text(&at, copy + size - 2);
        sent.type = next_text(&at, copy + size - 2);
        sent.cookie = next_text(&at, copy + size - 2);
        sent.body = at;
        sent.body_len = (size_t)(copy + size - 2 - at);
        read_len = SIZE_LIMIT;
        answer = ask(app, -1, &sent, SIZE_LIMIT, &len);
        piece_len = sent.body_len / PIECES_MAX + 1;
        read_len = data[1] + 1u;
        is_answered_alike(app, &sent, piece_len > data[0] ? piece_len : data[0], answer, len);
        sent.query = strcpy(query, encoded);
        is_answered_alike(app, &sent, SIZE_LIMIT, answer, len);
        free(answer);
        replay_reached(0);
    }
    free(copy);
    return 0;
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
    static const char *const aims[] = {"a request is answered", NULL};

    return replay(LLVMFuzzerTestOneInput, "door_app/t/corpus/form/*", aims, argc, argv);
}
#endif
