/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgi_protocol.h: FastCGI 1.0's records, as a web server writes and reads them.
 * It knows bytes only: no descriptor, no request, no process.  Whatever a program
 * sends, nothing is read or written beyond the lengths that are given here.
 *
 * Functions that return int return 0, or -1 and errno.  Threads: any, one at a time
 * for each structure.
 */
#ifndef DOOR_APP_GATEWAYS_FCGI_PROTOCOL_H
#define DOOR_APP_GATEWAYS_FCGI_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FCGI_HEADER_LEN  8
#define FCGI_CONTENT_MAX 65535 /* bytes of one record */
#define FCGI_REQUEST_ID  1     /* the only one: a connection has one request at a time */

/* The specification's numbers. */
enum fcgi_type {
    FCGI_BEGIN_REQUEST = 1,
    FCGI_ABORT_REQUEST = 2,
    FCGI_END_REQUEST = 3,
    FCGI_PARAMS = 4,
    FCGI_STDIN = 5,
    FCGI_STDOUT = 6,
    FCGI_STDERR = 7,
    FCGI_DATA = 8,
    FCGI_GET_VALUES = 9,
    FCGI_GET_VALUES_RESULT = 10,
    FCGI_UNKNOWN_TYPE = 11
};

enum fcgi_role { FCGI_RESPONDER = 1, FCGI_AUTHORIZER = 2, FCGI_FILTER = 3 };

/* How a request ended. */
enum fcgi_protocol_status {
    FCGI_REQUEST_COMPLETE = 0,
    FCGI_CANT_MPX_CONN = 1,
    FCGI_OVERLOADED = 2,
    FCGI_UNKNOWN_ROLE = 3
};

/* ---------------------------------------------------------------- to write */

/* The header of a record with so much content, at most FCGI_CONTENT_MAX bytes. */
void fcgi_header(unsigned char header[FCGI_HEADER_LEN], enum fcgi_type type, size_t content_len);

/*
 * Records one behind the other, in memory that grows.  Zeroed: empty.  Of what did not
 * fit error has the errno: all that follows does nothing then.
 */
struct fcgi_writer {
    unsigned char *bytes; /* malloc()ed */
    size_t len, cap;
    size_t record; /* where the record begins that the next pair goes to */
    int is_open;   /* there is one */
    int error;
};

/* Zeroes it, and gives its memory back. */
void fcgi_writer_free(struct fcgi_writer *writer);

/* FCGI_BEGIN_REQUEST of a connection that is kept. */
void fcgi_write_begin(struct fcgi_writer *writer, enum fcgi_role role);

/* A name and a value in a stream of that type (FCGI_PARAMS, FCGI_GET_VALUES). */
void fcgi_write_pair(struct fcgi_writer *writer, enum fcgi_type type, const char *name,
                     size_t name_len, const char *value, size_t value_len);

/* The record that is being written is whole: another one follows, or none. */
void fcgi_write_close(struct fcgi_writer *writer);

/* Bytes of a stream of that type. */
void fcgi_write_bytes(struct fcgi_writer *writer, enum fcgi_type type, const void *bytes,
                      size_t len);

/* The empty record that ends a stream. */
void fcgi_write_end(struct fcgi_writer *writer, enum fcgi_type type);

/* ---------------------------------------------------------------- to read */

#define FCGI_WHOLE_MAX 1024 /* bytes of content that is given out in one piece */

/* What a program sends.  Zeroed: at the beginning. */
struct fcgi_reader {
    unsigned char header[FCGI_HEADER_LEN];
    size_t header_len; /* of it that have come */
    size_t content_left, padding_left;
    unsigned char whole[FCGI_WHOLE_MAX];
    size_t whole_len;
};

/*
 * A piece of what has come.  Of FCGI_STDOUT and FCGI_STDERR it is as much of a record's
 * content as there is; an empty record, the stream's end, is a piece without bytes.  Of
 * all others it is the record's whole content.
 */
struct fcgi_piece {
    enum fcgi_type type;
    const unsigned char *bytes; /* in the caller's data, or in the reader until the next call */
    size_t len;
};

/*
 * Takes from the len bytes at data up to the end of the next piece.
 *
 * Returns: 1 and *piece; 0: all was taken, and no piece is there; -1.  *taken is how many
 *          bytes were.
 * Errors:  EBADMSG it is no FastCGI, or a record that a program does not send.  The
 *          connection is of no use any more.
 */
int fcgi_read(struct fcgi_reader *reader, const unsigned char *data, size_t len, size_t *taken,
              struct fcgi_piece *piece);

/* Whether what came ended with a record. */
int fcgi_is_between(const struct fcgi_reader *reader);

struct fcgi_end {
    uint32_t app_status;
    enum fcgi_protocol_status protocol_status;
};

/* What an FCGI_END_REQUEST says; EBADMSG. */
int fcgi_read_end(const struct fcgi_piece *piece, struct fcgi_end *end);

struct fcgi_pair {
    const char *name, *value; /* no NUL behind them */
    size_t name_len, value_len;
};

/*
 * Steps through the pairs of an FCGI_GET_VALUES_RESULT; start with *position 0.
 * 1 and *pair, 0 at the end, -1 with EBADMSG: one is longer than the piece.
 */
int fcgi_read_pair(const struct fcgi_piece *piece, size_t *position, struct fcgi_pair *pair);

#endif
