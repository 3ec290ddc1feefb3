/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgi_protocol.c: see fcgi_protocol.h.
 */
#include "fcgi_protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VERSION   1
#define KEEP_CONN 1
#define BEGIN_LEN 8
#define END_LEN   8

/* Where the fields of a header are. */
enum { AT_VERSION, AT_TYPE, AT_ID, AT_CONTENT_LEN = 4, AT_PADDING_LEN = 6 };

static int fail(int error)
{
    errno = error;
    return -1;
}

/* Management records belong to the connection, all others to its request. */
static unsigned id_of(enum fcgi_type type)
{
    return type >= FCGI_GET_VALUES ? 0 : FCGI_REQUEST_ID;
}

void fcgi_header(unsigned char header[FCGI_HEADER_LEN], enum fcgi_type type, size_t content_len)
{
    memset(header, 0, FCGI_HEADER_LEN);
    header[AT_VERSION] = VERSION;
    header[AT_TYPE] = (unsigned char)type;
    header[AT_ID + 1] = (unsigned char)id_of(type);
    header[AT_CONTENT_LEN] = (unsigned char)(content_len >> 8);
    header[AT_CONTENT_LEN + 1] = (unsigned char)content_len;
}

/* ---------------------------------------------------------------- to write */

void fcgi_writer_free(struct fcgi_writer *writer)
{
    free(writer->bytes);
    memset(writer, 0, sizeof(*writer));
}

/* Room for so many more, or NULL: what is there is as it was. */
static unsigned char *room(struct fcgi_writer *writer, size_t more)
{
    if (writer->error != 0)
        return NULL;
    if (more > writer->cap - writer->len) {
        size_t cap = 2 * (writer->len + more) + 2048;
        unsigned char *bytes = more < SIZE_MAX / 4 ? realloc(writer->bytes, cap) : NULL;

        if (bytes == NULL) {
            writer->error = ENOMEM;
            return NULL;
        }
        writer->bytes = bytes;
        writer->cap = cap;
    }
    return writer->bytes + writer->len;
}

static size_t record_len(const struct fcgi_writer *writer)
{
    return writer->len - writer->record - FCGI_HEADER_LEN;
}

static void begin_record(struct fcgi_writer *writer, enum fcgi_type type)
{
    unsigned char *at = room(writer, FCGI_HEADER_LEN);

    if (at == NULL)
        return;
    fcgi_header(at, type, 0);
    writer->record = writer->len;
    writer->len += FCGI_HEADER_LEN;
    writer->is_open = 1;
}

/* Its length is known: it is written into its header. */
static void end_record(struct fcgi_writer *writer)
{
    unsigned char *header;

    if (writer->error != 0 || !writer->is_open)
        return;
    header = writer->bytes + writer->record;
    fcgi_header(header, header[AT_TYPE], record_len(writer));
    writer->is_open = 0;
}

/* What does not fit goes on in the next record: the specification has streams of bytes. */
static void append(struct fcgi_writer *writer, enum fcgi_type type, const void *data, size_t len)
{
    const unsigned char *from = data;

    while (len > 0 && writer->error == 0) {
        size_t some = len;
        unsigned char *at;

        if (writer->is_open && record_len(writer) == FCGI_CONTENT_MAX)
            end_record(writer);
        if (!writer->is_open)
            begin_record(writer, type);
        if (writer->error != 0)
            return;
        if (some > FCGI_CONTENT_MAX - record_len(writer))
            some = FCGI_CONTENT_MAX - record_len(writer);
        at = room(writer, some);
        if (at == NULL)
            return;
        memcpy(at, from, some);
        writer->len += some;
        from += some;
        len -= some;
    }
}

void fcgi_write_begin(struct fcgi_writer *writer, enum fcgi_role role)
{
    const unsigned char body[BEGIN_LEN] = {0, (unsigned char)role, KEEP_CONN};

    append(writer, FCGI_BEGIN_REQUEST, body, sizeof(body));
    end_record(writer);
}

static size_t encode_len(unsigned char bytes[4], size_t len)
{
    if (len < 128) {
        bytes[0] = (unsigned char)len;
        return 1;
    }
    bytes[0] = (unsigned char)(len >> 24 | 128);
    bytes[1] = (unsigned char)(len >> 16);
    bytes[2] = (unsigned char)(len >> 8);
    bytes[3] = (unsigned char)len;
    return 4;
}

void fcgi_write_pair(struct fcgi_writer *writer, enum fcgi_type type, const char *name,
                     size_t name_len, const char *value, size_t value_len)
{
    unsigned char lengths[8];
    size_t len;

    if (name_len > INT32_MAX || value_len > INT32_MAX) {
        writer->error = EMSGSIZE;
        return;
    }
    len = encode_len(lengths, name_len);
    len += encode_len(lengths + len, value_len);
    /* PHP takes each record for whole pairs: one is cut only if it is longer than any record. */
    if (writer->is_open && len + name_len + value_len > FCGI_CONTENT_MAX - record_len(writer))
        end_record(writer);
    append(writer, type, lengths, len);
    append(writer, type, name, name_len);
    append(writer, type, value, value_len);
}

void fcgi_write_close(struct fcgi_writer *writer)
{
    end_record(writer);
}

void fcgi_write_bytes(struct fcgi_writer *writer, enum fcgi_type type, const void *bytes,
                      size_t len)
{
    append(writer, type, bytes, len);
}

void fcgi_write_end(struct fcgi_writer *writer, enum fcgi_type type)
{
    end_record(writer);
    begin_record(writer, type);
    end_record(writer);
}

/* ---------------------------------------------------------------- to read */

static enum fcgi_type type_of(const struct fcgi_reader *reader)
{
    return (enum fcgi_type)reader->header[AT_TYPE];
}

static int is_stream(enum fcgi_type type)
{
    return type == FCGI_STDOUT || type == FCGI_STDERR;
}

/* The header is there: is that what a program sends? */
static int check_header(struct fcgi_reader *reader)
{
    const unsigned char *header = reader->header;
    enum fcgi_type type = type_of(reader);

    reader->content_left =
        (size_t)header[AT_CONTENT_LEN] << 8 | (size_t)header[AT_CONTENT_LEN + 1];
    reader->padding_left = header[AT_PADDING_LEN];
    reader->whole_len = 0;
    if (header[AT_VERSION] != VERSION)
        return fail(EBADMSG);
    if (!is_stream(type) && type != FCGI_END_REQUEST && type != FCGI_GET_VALUES_RESULT &&
        type != FCGI_UNKNOWN_TYPE)
        return fail(EBADMSG);
    if (((unsigned)header[AT_ID] << 8 | header[AT_ID + 1]) != id_of(type))
        return fail(EBADMSG);
    return is_stream(type) || reader->content_left <= FCGI_WHOLE_MAX ? 0 : fail(EBADMSG);
}

/* Of len bytes as many as are wanted are copied; how many. */
static size_t fill(unsigned char *to, size_t *have, size_t want, const unsigned char *data,
                   size_t len)
{
    if (len > want - *have)
        len = want - *have;
    memcpy(to + *have, data, len);
    *have += len;
    return len;
}

/* The record's content from what is at data, which is not empty unless the content is. */
static int read_content(struct fcgi_reader *reader, const unsigned char *data, size_t len,
                        size_t *taken, struct fcgi_piece *piece)
{
    piece->type = type_of(reader);
    if (is_stream(piece->type)) {
        piece->bytes = data;
        piece->len = len < reader->content_left ? len : reader->content_left;
        *taken += piece->len;
        reader->content_left -= piece->len;
    } else {
        size_t some = fill(reader->whole, &reader->whole_len,
                           reader->whole_len + reader->content_left, data, len);

        *taken += some;
        reader->content_left -= some;
        piece->bytes = reader->whole;
        piece->len = reader->whole_len;
    }
    if (reader->content_left == 0 && reader->padding_left == 0)
        reader->header_len = 0;
    return is_stream(piece->type) || reader->content_left == 0;
}

static void skip_padding(struct fcgi_reader *reader, size_t len, size_t *taken)
{
    size_t some = len < reader->padding_left ? len : reader->padding_left;

    reader->padding_left -= some;
    *taken += some;
    if (reader->padding_left == 0)
        reader->header_len = 0;
}

int fcgi_read(struct fcgi_reader *reader, const unsigned char *data, size_t len, size_t *taken,
              struct fcgi_piece *piece)
{
    *taken = 0;
    while (*taken < len) {
        if (reader->header_len == FCGI_HEADER_LEN && reader->content_left == 0) {
            skip_padding(reader, len - *taken, taken);
            continue;
        }
        if (reader->header_len < FCGI_HEADER_LEN) {
            *taken += fill(reader->header, &reader->header_len, FCGI_HEADER_LEN, data + *taken,
                           len - *taken);
            if (reader->header_len < FCGI_HEADER_LEN)
                return 0;
            if (check_header(reader) == -1)
                return -1;
            if (*taken == len && reader->content_left > 0)
                return 0;
        }
        if (read_content(reader, data + *taken, len - *taken, taken, piece))
            return 1;
    }
    return 0;
}

int fcgi_is_between(const struct fcgi_reader *reader)
{
    return reader->header_len == 0;
}

static uint32_t number(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
           (uint32_t)bytes[3];
}

int fcgi_read_end(const struct fcgi_piece *piece, struct fcgi_end *end)
{
    if (piece->type != FCGI_END_REQUEST || piece->len != END_LEN ||
        piece->bytes[4] > FCGI_UNKNOWN_ROLE)
        return fail(EBADMSG);
    end->app_status = number(piece->bytes);
    end->protocol_status = (enum fcgi_protocol_status)piece->bytes[4];
    return 0;
}

/* A length of one byte or of four. */
static int read_len(const struct fcgi_piece *piece, size_t *position, size_t *len)
{
    const unsigned char *at = piece->bytes + *position;
    size_t left = piece->len - *position;

    if (left >= 1 && at[0] < 128) {
        *len = at[0];
        *position += 1;
        return 0;
    }
    if (left < 4)
        return fail(EBADMSG);
    *len = number(at) & INT32_MAX;
    *position += 4;
    return 0;
}

int fcgi_read_pair(const struct fcgi_piece *piece, size_t *position, struct fcgi_pair *pair)
{
    size_t left;

    if (*position == piece->len)
        return 0;
    if (read_len(piece, position, &pair->name_len) == -1 ||
        read_len(piece, position, &pair->value_len) == -1)
        return -1;
    left = piece->len - *position;
    if (pair->name_len > left || pair->value_len > left - pair->name_len)
        return fail(EBADMSG);
    pair->name = (const char *)piece->bytes + *position;
    pair->value = pair->name + pair->name_len;
    *position += pair->name_len + pair->value_len;
    return 1;
}
