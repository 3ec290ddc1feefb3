/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door-call.c: calls an application as mod_door would, without httpd, and prints what
 * it answers; door-call(1).  It offers no response door: what a handler sends early
 * comes with the rest, and what it would ask it is not told.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <door.h>
#include <door_compat.h>

#include "wire.h"

#define HEADERS_MAX 1000

/* What the command line asks for. */
static struct {
    const char *door, *method;
    char *path;  /* decoded */
    char *query; /* or NULL */
    const char *target, *scheme, *script_name, *user;
    char *host;
    char *headers[HEADERS_MAX]; /* "Name: value" */
    int header_count;
    char *body;
    size_t body_len;
} asked = {.scheme = "http", .script_name = "", .target = ""};

static void usage(FILE *to)
{
    fprintf(to, "usage: door-call [-H 'NAME: VALUE']... [-d DATA|@FILE] [-s SCRIPT_NAME] [-u USER]"
                " DOOR METHOD URL\n");
}

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "door-call: %s: %s\n", what, why);
    exit(1);
}

static void misuse(const char *what, const char *why)
{
    fprintf(stderr, "door-call: %s: %s\n", what, why);
    exit(2);
}

static char *copy(const char *text, size_t len)
{
    char *copied = strndup(text, len);

    if (copied == NULL)
        fail("memory", strerror(ENOMEM));
    return copied;
}

/* ---------------------------------------------------------------- the command line */

/* Decodes "%41" where it is. */
static void decode(char *text)
{
    char *to = text;
    unsigned byte;

    for (; *text != '\0'; text++) {
        char digits[3] = {text[0] == '%' ? text[1] : '\0', text[1] != '\0' ? text[2] : '\0', '\0'};

        if (strspn(digits, "0123456789abcdefABCDEF") == 2 && sscanf(digits, "%2x", &byte) == 1) {
            *to++ = (char)byte;
            text += 2;
        } else {
            *to++ = *text;
        }
    }
    *to = '\0';
}

/* "/path?query", or "http://host:port/path?query". */
static void take_url(const char *url)
{
    size_t scheme_len = strcspn(url, ":/?");
    size_t len;

    if (strncmp(url + scheme_len, "://", 3) == 0) {
        asked.scheme = copy(url, scheme_len);
        url += scheme_len + 3;
        asked.host = copy(url, strcspn(url, "/?"));
        url += strlen(asked.host);
        if (*url == '\0')
            url = "/";
    }
    if (*url != '/')
        misuse(url, "no '/' in front");
    asked.target = url;
    len = strcspn(url, "?");
    asked.path = copy(url, len);
    decode(asked.path);
    asked.query = url[len] == '?' ? copy(url + len + 1, strlen(url + len + 1)) : NULL;
}

static void take_header(char *text)
{
    if (strchr(text, ':') == NULL || *text == ':')
        misuse(text, "a header is 'NAME: VALUE'");
    if (asked.header_count == HEADERS_MAX)
        misuse(text, "too many headers");
    asked.headers[asked.header_count++] = text;
}

static void read_all(const char *name, FILE *from)
{
    size_t cap = 0;

    do {
        if (asked.body_len == cap) {
            cap = 2 * cap + 65536;
            asked.body = realloc(asked.body, cap);
            if (asked.body == NULL)
                fail(name, strerror(ENOMEM));
        }
        asked.body_len += fread(asked.body + asked.body_len, 1, cap - asked.body_len, from);
        if (ferror(from))
            fail(name, strerror(errno));
    } while (!feof(from));
}

static void take_data(char *text)
{
    const char *name = text + 1;
    FILE *from;

    free(asked.body);
    asked.body = NULL;
    asked.body_len = 0;
    if (*text != '@') {
        asked.body = copy(text, strlen(text));
        asked.body_len = strlen(text);
        return;
    }
    from = strcmp(name, "-") == 0 ? stdin : fopen(name, "r");
    if (from == NULL)
        fail(name, strerror(errno));
    read_all(name, from);
    fclose(from);
}

static void take_arguments(int argc, char **argv)
{
    size_t len;
    int option;

    while ((option = getopt(argc, argv, "H:d:s:u:h")) != -1) {
        if (option == 'H')
            take_header(optarg);
        else if (option == 'd')
            take_data(optarg);
        else if (option == 's')
            asked.script_name = optarg;
        else if (option == 'u')
            asked.user = optarg;
        else {
            usage(option == 'h' ? stdout : stderr);
            exit(option == 'h' ? 0 : 2);
        }
    }
    if (argc - optind != 3) {
        usage(stderr);
        exit(2);
    }
    asked.door = argv[optind];
    asked.method = argv[optind + 1];
    take_url(argv[optind + 2]);
    len = strlen(asked.script_name);
    if (strncmp(asked.path, asked.script_name, len) != 0 ||
        (asked.path[len] != '/' && asked.path[len] != '\0'))
        misuse(asked.path, "not below the path that -s gives");
    asked.path += len;
}

/* ---------------------------------------------------------------- the request */

static void put(struct door_wire_writer *w, enum door_wire_type type, const char *value)
{
    if (value != NULL)
        door_wire_field(w, type, "", 0, value, strlen(value));
}

static void put_header(struct door_wire_writer *w, const char *name, size_t len, const char *value)
{
    door_wire_field(w, DOOR_WIRE_HEADER, name, len, value, strlen(value));
}

static int has_header(const char *name)
{
    size_t len = strlen(name);

    for (int i = 0; i < asked.header_count; i++)
        if (strncasecmp(asked.headers[i], name, len) == 0 && asked.headers[i][len] == ':')
            return 1;
    return 0;
}

static void put_headers(struct door_wire_writer *w)
{
    char digits[24];

    if (!has_header("Host"))
        put_header(w, "Host", 4, asked.host != NULL ? asked.host : "localhost");
    for (int i = 0; i < asked.header_count; i++) {
        size_t len = strcspn(asked.headers[i], ":");
        const char *value = asked.headers[i] + len + 1;

        put_header(w, asked.headers[i], len, value + strspn(value, " \t"));
    }
    if (asked.body == NULL)
        return;
    if (!has_header("Content-Type"))
        put_header(w, "Content-Type", 12, "application/x-www-form-urlencoded");
    snprintf(digits, sizeof(digits), "%zu", asked.body_len);
    if (!has_header("Content-Length"))
        put_header(w, "Content-Length", 14, digits);
}

/* Written, or measured if buf is NULL: bytes of the head. */
static size_t encode(char *buf, size_t cap)
{
    struct door_wire_writer w;

    door_wire_begin(&w, buf, cap);
    put(&w, DOOR_WIRE_METHOD, asked.method);
    put(&w, DOOR_WIRE_TARGET, asked.target);
    put(&w, DOOR_WIRE_SCRIPT_NAME, asked.script_name);
    put(&w, DOOR_WIRE_PATH_INFO, asked.path);
    put(&w, DOOR_WIRE_QUERY, asked.query);
    put(&w, DOOR_WIRE_PROTOCOL, "HTTP/1.1");
    put(&w, DOOR_WIRE_SCHEME, asked.scheme);
    put(&w, DOOR_WIRE_SERVER_NAME, "localhost");
    put(&w, DOOR_WIRE_SERVER_PORT, strcmp(asked.scheme, "https") == 0 ? "443" : "80");
    put(&w, DOOR_WIRE_SERVER_SOFTWARE, "door-call");
    put(&w, DOOR_WIRE_REMOTE_ADDR, "127.0.0.1");
    put(&w, DOOR_WIRE_REMOTE_USER, asked.user);
    put_headers(&w);
    return door_wire_end(&w, DOOR_WIRE_REQUEST, 0, 0, asked.body_len);
}

static void call(door_arg_t *arg)
{
    size_t head_len = encode(NULL, 0);
    char *message = head_len > 0 ? malloc(head_len + asked.body_len) : NULL;
    int door = door_openat(AT_FDCWD, asked.door, 0);

    if (door == -1)
        fail(asked.door, strerror(errno));
    if (message == NULL)
        fail("the request", strerror(errno));
    encode(message, head_len);
    if (asked.body_len > 0)
        memcpy(message + head_len, asked.body, asked.body_len);
    *arg = (door_arg_t){.data_ptr = message, .data_size = head_len + asked.body_len};
    if (door_call(door, arg) == -1)
        fail(asked.door, errno == EBADF ? "no door, or nobody serves it" : strerror(errno));
}

/* ---------------------------------------------------------------- the response */

static off_t number_of(struct door_wire_reader reader, enum door_wire_type type, off_t none)
{
    struct door_wire_field field;

    while (door_wire_next(&reader, &field))
        if (field.type == type)
            return (off_t)strtoll(field.value, NULL, 10);
    return none;
}

static void print_fields(struct door_wire_reader reader, enum door_wire_type type, FILE *to,
                         const char *what)
{
    struct door_wire_field field;

    while (door_wire_next(&reader, &field))
        if (field.type == type)
            fprintf(to, "%s%s: %s\n", what, field.name, field.value);
}

/* All of it, or that part of a file that the message tells. */
static void print_descriptor(const struct door_wire_reader *answer, int fd)
{
    off_t at = number_of(*answer, DOOR_WIRE_FILE_OFFSET, 0);
    off_t left = number_of(*answer, DOOR_WIRE_FILE_LENGTH, -1);
    char bytes[65536];

    if (at > 0 && lseek(fd, at, SEEK_SET) == -1)
        fail("the file", strerror(errno));
    while (left != 0) {
        size_t want = left > 0 && left < (off_t)sizeof(bytes) ? (size_t)left : sizeof(bytes);
        ssize_t got = read(fd, bytes, want);

        if (got == -1)
            fail("the file", strerror(errno));
        if (got == 0)
            break;
        fwrite(bytes, 1, (size_t)got, stdout);
        left -= left > 0 ? got : 0;
    }
}

static void print_response(const struct door_wire_reader *answer, const door_arg_t *arg)
{
    printf("Status: %u\n", answer->status);
    print_fields(*answer, DOOR_WIRE_HEADER, stdout, "");
    printf("\n");
    fwrite(answer->body, 1, (size_t)answer->body_len, stdout);
    if (arg->desc_num > 0)
        print_descriptor(answer, arg->desc_ptr[0].d_data.d_desc.d_descriptor);
    fflush(stdout);
    print_fields(*answer, DOOR_WIRE_TRAILER, stderr, "trailer ");
    print_fields(*answer, DOOR_WIRE_LOG_FIELD, stderr, "log ");
    if (ferror(stdout))
        fail("stdout", strerror(errno));
}

int main(int argc, char **argv)
{
    struct door_wire_reader answer;
    door_arg_t arg;

    take_arguments(argc, argv);
    call(&arg);
    if (door_wire_read(&answer, DOOR_WIRE_ANY, arg.data_ptr, arg.data_size) == -1)
        fail(asked.door, errno == EPROTONOSUPPORT ? "it speaks another version of the protocol"
                                                  : "the answer is no message of the protocol");
    if (answer.kind == DOOR_WIRE_BUSY)
        fail(asked.door, "it is busy");
    if (answer.kind == DOOR_WIRE_END)
        fail("the response could not be made", strerror(answer.status));
    if (answer.kind != DOOR_WIRE_RESPONSE)
        fail(asked.door, "the answer is no response");
    print_response(&answer, &arg);
    return 0;
}
