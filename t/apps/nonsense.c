/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * nonsense.c: an application that answers badly.  Each path below its location
 * is one way to break the protocol or HTTP; the suite asks for all of them and
 * wants a clean 502 for each.  Written on bare <door.h>, with the wire code to
 * make a good answer first and then bend it.
 *
 *     nonsense DOOR
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <door.h>
#include <stropts.h>

#include "wire.h"

#define BODY "fine\n"
#define ROOM 4096

static const char *const headers[][3] = {
    /* path, name, value; "" as name: an ordinary answer */
    {"/ok", "X-Fine", "yes"},
    {"/ranges/none", "Accept-Ranges", "none"},
    {"/ranges/bytes", "Accept-Ranges", "bytes"},
    {"/header/cr", "X-Bad", "a\rb"},
    {"/header/lf", "X-Bad", "a\nSet-Cookie: stolen=1"},
    {"/header/crlf", "X-Bad", "a\r\nSet-Cookie: stolen=1"},
    {"/header/name-space", "X Bad", "a"},
    {"/header/name-colon", "X-Bad:", "a"},
    {"/header/name-crlf", "X-Bad\r\nSet-Cookie", "stolen=1"},
    {"/header/name-empty", "", "a"},
    {"/length/letters", "Content-Length", "5x"},
    {"/length/empty", "Content-Length", ""},
    {"/length/negative", "Content-Length", "-5"},
    {"/length/plus", "Content-Length", "+5"},
    {"/length/list", "Content-Length", "5, 5"},
    {"/length/overflow", "Content-Length", "99999999999999999999999999"},
    {"/length/more", "Content-Length", "500"}, /* than there is */
    {"/length/less", "Content-Length", "2"},
};

static const struct {
    const char *path;
    size_t offset; /* in the message's head */
    size_t len;
    uint64_t value;
} bends[] = {
    {"/magic", offsetof(struct door_wire_head, magic), 4, 0x504f4f44},
    {"/version/0", offsetof(struct door_wire_head, version), 2, 0},
    {"/version/next", offsetof(struct door_wire_head, version), 2, DOOR_WIRE_VERSION + 1},
    {"/kind/request", offsetof(struct door_wire_head, kind), 2, DOOR_WIRE_REQUEST},
    {"/kind/none", offsetof(struct door_wire_head, kind), 2, 77},
    {"/head-len/0", offsetof(struct door_wire_head, head_len), 4, 0},
    {"/head-len/less", offsetof(struct door_wire_head, head_len), 4, 33},
    {"/head-len/more", offsetof(struct door_wire_head, head_len), 4, ROOM},
    {"/head-len/max", offsetof(struct door_wire_head, head_len), 4, UINT32_MAX},
    {"/field-count/0", offsetof(struct door_wire_head, field_count), 4, 0},
    {"/field-count/more", offsetof(struct door_wire_head, field_count), 4, 9},
    {"/field-count/max", offsetof(struct door_wire_head, field_count), 4, UINT32_MAX},
    {"/body-len/less", offsetof(struct door_wire_head, body_len), 8, 1},
    {"/body-len/more", offsetof(struct door_wire_head, body_len), 8, 4000},
    {"/body-len/max", offsetof(struct door_wire_head, body_len), 8, UINT64_MAX},
    {"/name-len", sizeof(struct door_wire_head) + offsetof(struct door_wire_field_head, name_len),
     2, UINT16_MAX},
    {"/value-len", sizeof(struct door_wire_head) + offsetof(struct door_wire_field_head, value_len),
     4, UINT32_MAX},
};

static size_t write_answer(char *buf, unsigned status, const char *name, const char *value,
                           size_t value_len, int times)
{
    struct door_wire_writer w;
    size_t head_len;

    door_wire_begin(&w, buf, ROOM);
    while (times-- > 0) {
        door_wire_field(&w, DOOR_WIRE_HEADER, name, strlen(name), value, value_len);
    }
    head_len = door_wire_end(&w, DOOR_WIRE_RESPONSE, status, 0, strlen(BODY));
    memcpy(buf + head_len, BODY, strlen(BODY));
    return head_len + strlen(BODY);
}

/* An answer with one bad header or number in it; 0 if path is no such case. */
static size_t bent_answer(char *buf, const char *path)
{
    size_t i;

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (strcmp(path, headers[i][0]) == 0) {
            return write_answer(buf, 200, headers[i][1], headers[i][2], strlen(headers[i][2]), 1);
        }
    }
    for (i = 0; i < sizeof(bends) / sizeof(bends[0]); i++) {
        if (strcmp(path, bends[i].path) == 0) {
            size_t len = write_answer(buf, 200, "X-Fine", "yes", 3, 1);
            uint16_t value16 = (uint16_t)bends[i].value;
            uint32_t value32 = (uint32_t)bends[i].value;
            const void *value = bends[i].len == 2   ? (const void *)&value16
                                : bends[i].len == 4 ? (const void *)&value32
                                                    : (const void *)&bends[i].value;

            memcpy(buf + bends[i].offset, value, bends[i].len);
            return len;
        }
    }
    return 0;
}

static size_t write_fields(char *buf, const char *const (*fields)[2], size_t count)
{
    struct door_wire_writer w;
    size_t head_len, i;

    door_wire_begin(&w, buf, ROOM);
    for (i = 0; i < count; i++) {
        door_wire_field(&w, DOOR_WIRE_HEADER, fields[i][0], strlen(fields[i][0]), fields[i][1],
                        strlen(fields[i][1]));
    }
    head_len = door_wire_end(&w, DOOR_WIRE_RESPONSE, 200, 0, strlen(BODY));
    memcpy(buf + head_len, BODY, strlen(BODY));
    return head_len + strlen(BODY);
}

/* Nothing wrong: an answer with validators, for conditional requests. */
static size_t validated(char *buf)
{
    static const char *const fields[][2] = {
        {"ETag", "\"v1\""},
        {"Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"},
        {"X-Fine", "yes"},
    };

    return write_fields(buf, fields, 3);
}

/* Legal, but these fields are the connection's business, not the application's. */
static size_t hop_by_hop(char *buf)
{
    static const char *const fields[][2] = {
        {"Connection", "close, X-Private"},
        {"X-Private", "1"},
        {"Keep-Alive", "timeout=99"},
        {"Transfer-Encoding", "chunked"},
        {"TE", "trailers"},
        {"Trailer", "X-Later"},
        {"Upgrade", "h2c"},
        {"Proxy-Thing", "1"},
        {"X-Public", "1"},
        {"Proxy-Authenticate", "Basic"},
        {"Proxy-Connection", "keep-alive"},
    };

    return write_fields(buf, fields, sizeof(fields) / sizeof(fields[0]));
}

/* Its length concerns nobody but the next hop, as it says itself. */
static size_t private_length(char *buf)
{
    static const char *const fields[][2] = {
        {"Connection", "Content-Length"}, {"Content-Length", "500"}, {"X-Fine", "yes"}};

    return write_fields(buf, fields, 3);
}

/* Good trailers and bad ones, after a good answer. */
static size_t trailers(char *buf)
{
    static const char *const fields[][2] = {
        {"X-Before", "yes"},
        {"X Space", "a"},
        {"X-Line", "a\r\nX-Stolen: 1"},
        {"", "a"},
        {"Connection", "X-Behind"},
        {"TE", "trailers"},
        {"Keep-Alive", "timeout=9"},
        {"X-Behind", "yes"},
    };
    struct door_wire_writer w;
    size_t head_len, i;

    door_wire_begin(&w, buf, ROOM);
    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        door_wire_field(&w, DOOR_WIRE_TRAILER, fields[i][0], strlen(fields[i][0]), fields[i][1],
                        strlen(fields[i][1]));
    }
    head_len = door_wire_end(&w, DOOR_WIRE_RESPONSE, 200, 0, strlen(BODY));
    memcpy(buf + head_len, BODY, strlen(BODY));
    return head_len + strlen(BODY);
}

static size_t random_bytes(char *buf)
{
    uint64_t x = (uint64_t)getpid() * 2654435761u + 1;
    size_t i;

    for (i = 0; i < ROOM; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        buf[i] = (char)(x >> 56);
    }
    return ROOM;
}

/* A good answer of which only the first bytes arrive: "/cut/N". */
static size_t cut(char *buf, const char *path)
{
    size_t len = write_answer(buf, 200, "X-Fine", "yes", 3, 1);
    size_t wanted = strtoul(path + strlen("/cut/"), NULL, 10);

    return wanted < len ? wanted : len;
}

/*
 * N bytes of a list that httpd goes through again and again, no two of its words alike:
 * in many fields, or in one beside many others.
 */
static size_t list_answer(char *buf, size_t cap, const char *name, size_t list_len, int in_one)
{
    static const size_t count = 900;
    size_t len = in_one ? list_len : list_len / count, at = 0;
    char *list = malloc(list_len + 16);
    struct door_wire_writer w;
    unsigned word = 0;

    if (list == NULL)
        abort();
    while (at < list_len)
        at += (size_t)sprintf(list + at, "%x,", word++);
    door_wire_begin(&w, buf, cap);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !in_one)
            door_wire_field(&w, DOOR_WIRE_HEADER, name, strlen(name), list + i * len, len);
        else
            door_wire_field(&w, DOOR_WIRE_HEADER, "X-Fine", 6, "yes", 3);
    }
    free(list);
    return door_wire_end(&w, DOOR_WIRE_RESPONSE, 200, 0, 0);
}

/* "/lists/NAME/N", "/list/NAME/N"; N is never huge. */
static void answer_list(const char *path)
{
    char name[32];
    size_t list_len, cap;
    char *buf;

    if (sscanf(path, "/list/%31[^/]/%zu", name, &list_len) != 2 &&
        sscanf(path, "/lists/%31[^/]/%zu", name, &list_len) != 2)
        return;
    cap = list_len + 1024 * 64;
    buf = malloc(cap);
    if (buf == NULL)
        abort();
    (void)door_return(buf, list_answer(buf, cap, name, list_len, path[5] == '/'), NULL, 0);
}

/* A descriptor that nobody asked for comes with a good answer. */
static void return_descriptors(char *buf, size_t len)
{
    door_desc_t descriptors[2] = {{.d_attributes = DOOR_DESCRIPTOR},
                                  {.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE}};

    descriptors[0].d_data.d_desc.d_descriptor = STDIN_FILENO;
    descriptors[1].d_data.d_desc.d_descriptor = open("/dev/null", O_RDONLY);
    (void)door_return(buf, len, descriptors, 2);
}

/*
 * An answer that would be a good one if it were shorter: "/fields/N" headers,
 * "/head/N" bytes of them in one, "/body/N" bytes of zeros; N is never huge.
 */
static void answer_at_length(const char *path)
{
    size_t fields = 1, value_len = 1, body_len = 0, head_len;
    struct door_wire_writer w;
    char *value, *buf;

    if (sscanf(path, "/fields/%zu", &fields) != 1 && sscanf(path, "/head/%zu", &value_len) != 1 &&
        sscanf(path, "/body/%zu", &body_len) != 1) {
        return;
    }
    value = malloc(value_len);
    buf = calloc(1, fields * (value_len + 64) + ROOM + body_len);
    if (value == NULL || buf == NULL) {
        abort();
    }
    memset(value, 'x', value_len);
    door_wire_begin(&w, buf, fields * (value_len + 64) + ROOM);
    while (fields-- > 0) {
        door_wire_field(&w, DOOR_WIRE_HEADER, "X-Long", 6, value, value_len);
    }
    head_len = door_wire_end(&w, DOOR_WIRE_RESPONSE, 200, 0, body_len);
    (void)door_return(buf, head_len + body_len, NULL, 0);
}

static size_t special_answer(char *buf, const char *path)
{
    if (strncmp(path, "/status/", 8) == 0) {
        return write_answer(buf, (unsigned)atoi(path + 8), "X-Fine", "yes", 3, 1);
    }
    if (strncmp(path, "/cut/", 5) == 0) {
        return cut(buf, path);
    }
    if (strcmp(path, "/header/nul") == 0) {
        return write_answer(buf, 200, "X-Bad", "a\0b", 3, 1);
    }
    if (strcmp(path, "/length/twice") == 0) {
        return write_answer(buf, 200, "Content-Length", "5", 1, 2);
    }
    if (strcmp(path, "/validated") == 0) {
        return validated(buf);
    }
    if (strcmp(path, "/hop-by-hop") == 0) {
        return hop_by_hop(buf);
    }
    if (strcmp(path, "/length/private") == 0) {
        return private_length(buf);
    }
    if (strcmp(path, "/trailers") == 0) {
        return trailers(buf);
    }
    if (strcmp(path, "/random") == 0) {
        return random_bytes(buf);
    }
    return bent_answer(buf, path);
}

/* The ways to end a call without an answer. */
static void no_answer(const char *path)
{
    if (strcmp(path, "/exit") == 0) {
        _exit(3);
    }
    if (strcmp(path, "/abort") == 0) {
        abort();
    }
    while (strcmp(path, "/hang") == 0) {
        pause();
    }
}

static void answer(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    char buf[ROOM] = "";
    char path[256] = "";
    struct door_wire_reader r;
    struct door_wire_field field;
    size_t len;

    (void)cookie;
    (void)dp;
    (void)n_desc;
    if (door_wire_read(&r, DOOR_WIRE_REQUEST, argp, arg_size) == 0) {
        while (door_wire_next(&r, &field)) {
            if (field.type == DOOR_WIRE_PATH_INFO) {
                snprintf(path, sizeof(path), "%s", field.value);
            }
        }
    }
    no_answer(path);
    if (strcmp(path, "/descriptors") == 0) {
        return_descriptors(buf, write_answer(buf, 200, "X-Fine", "yes", 3, 1));
    }
    answer_at_length(path);
    answer_list(path);
    len = special_answer(buf, path); /* 0 for "/nothing" and what else is unknown */
    (void)door_return(buf, len, NULL, 0);
    (void)door_return(NULL, 0, NULL, 0);
}

int main(int argc, char **argv)
{
    int door, fd;

    if (argc != 2) {
        fprintf(stderr, "usage: nonsense DOOR\n");
        return 2;
    }
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* for /abort */
    door = door_create(answer, NULL, 0);
    fd = open(argv[1], O_RDWR | O_CREAT, 0600);
    if (fd >= 0) {
        close(fd);
    }
    if (door < 0 || fattach(door, argv[1]) != 0) {
        fprintf(stderr, "nonsense: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    for (;;) {
        pause();
    }
}
