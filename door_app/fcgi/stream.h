/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * stream.h: the streams of a request: its body, its response, and stderr.
 */
#ifndef DOOR_FCGI_STREAM_H
#define DOOR_FCGI_STREAM_H

#include <door_app.h>

#include "../gateways/cgi_response.h"
#include "fcgiapp.h"

#define STREAM_BUFFER_LEN 8192

enum stream_kind { STREAM_IN, STREAM_OUT, STREAM_ERR };

/* Buffered: the bytes from at on are to be read, or those up to len to be written. */
struct FCGX_Stream {
    enum stream_kind kind;
    struct door_app_request *req;
    struct cgi_response response; /* STREAM_OUT's */
    size_t at, len;
    int is_closed, is_at_end;
    int file_fd; /* STREAM_IN's, of a filter: the caller's; or -1 */
    int is_data; /* what is read now is that file */
    int error;
    char bytes[1 + STREAM_BUFFER_LEN]; /* the first one is for FCGX_UnGetChar() */
};

void stream_open(FCGX_Stream *stream, enum stream_kind kind, struct door_app_request *req);

/* Sends what is in the buffer, and to_client more: 0, or -1. */
int stream_flush(FCGX_Stream *stream, int to_client);

#endif
