/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * response.h: what has come of one HTTP/1.1 response, for the clients here: its
 * end is known by its Content-Length, its last chunk, or the connection's end.
 * It knows of HTTP only what httpd sends to a GET or a POST.
 */
#ifndef BENCH_RESPONSE_H
#define BENCH_RESPONSE_H

enum response_part {
    RESPONSE_HEAD, /* of a response that is all zeros: nothing has come yet */
    RESPONSE_CHUNK_LENGTH,
    RESPONSE_CHUNK,
    RESPONSE_CHUNK_END,
    RESPONSE_TRAILER, /* what is behind the last chunk */
    RESPONSE_BODY,
    RESPONSE_TO_CLOSE,
    RESPONSE_DONE
};

/* A line of which not all may have come. */
struct line {
    char text[256];
    int len;
};

/* Adds a byte; returns whether that ends the line, which is in text then. */
int line_add(struct line *line, char c);

struct response {
    enum response_part part;
    struct line frame; /* of the head, or a chunk's length */
    int is_right;      /* the status is 200 */
    int is_chunked, has_length;
    long left;                                                /* in the chunk or the body */
    long sum;                                                 /* of the body's bytes */
    void (*on_body)(void *data, const char *bytes, long len); /* or NULL: nobody looks at it */
    void *data;
};

/* Takes the bytes up to the response's end, and returns how many these are. */
long response_take(struct response *response, const char *bytes, long len);

#endif
