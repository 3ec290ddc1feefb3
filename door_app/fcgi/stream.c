/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * stream.c: see stream.h, and fcgiapp.h for what the functions are.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream.h"

void stream_open(FCGX_Stream *stream, enum stream_kind kind, struct door_app_request *req)
{
    stream->kind = kind;
    stream->req = req;
    stream->response = (struct cgi_response){.req = req};
    stream->at = stream->len = 1;
    stream->is_closed = stream->is_at_end = stream->is_data = stream->error = 0;
    stream->file_fd = -1;
}

static int fail(FCGX_Stream *stream, int error)
{
    if (stream->error == 0)
        stream->error = error;
    return -1;
}

/* ---------------------------------------------------------------- reading */

static ssize_t read_some(FCGX_Stream *stream)
{
    char *to = stream->bytes + 1;
    ssize_t len;

    if (!stream->is_data)
        return door_app_read(stream->req, to, STREAM_BUFFER_LEN);
    do
        len = read(stream->file_fd, to, STREAM_BUFFER_LEN);
    while (len == -1 && errno == EINTR);
    return len;
}

/* 0, or -1 at the end. */
static int fill(FCGX_Stream *stream)
{
    ssize_t len;

    if (stream->kind != STREAM_IN || stream->is_closed || stream->is_at_end)
        return -1;
    len = read_some(stream);
    if (len == -1)
        fail(stream, errno);
    stream->at = 1;
    stream->len = 1 + (len > 0 ? (size_t)len : 0);
    stream->is_at_end = len <= 0;
    return len > 0 ? 0 : -1;
}

int FCGX_GetChar(FCGX_Stream *stream)
{
    if (stream->at == stream->len && fill(stream) == -1)
        return EOF;
    return (unsigned char)stream->bytes[stream->at++];
}

int FCGX_UnGetChar(int c, FCGX_Stream *stream)
{
    if (c == EOF || stream->kind != STREAM_IN || stream->is_closed || stream->at == 0)
        return EOF;
    stream->bytes[--stream->at] = (char)c;
    return c;
}

int FCGX_GetStr(char *text, int len, FCGX_Stream *stream)
{
    int got = 0;

    while (got < len && (stream->at < stream->len || fill(stream) == 0)) {
        size_t here = stream->len - stream->at;

        if (here > (size_t)(len - got))
            here = (size_t)(len - got);
        memcpy(text + got, stream->bytes + stream->at, here);
        stream->at += here;
        got += (int)here;
    }
    return got;
}

char *FCGX_GetLine(char *text, int len, FCGX_Stream *stream)
{
    int got = 0, c = 0;

    while (got < len - 1 && c != '\n' && (c = FCGX_GetChar(stream)) != EOF)
        text[got++] = (char)c;
    text[len > 0 ? got : 0] = '\0';
    return got > 0 ? text : NULL;
}

int FCGX_HasSeenEOF(FCGX_Stream *stream)
{
    return stream->kind == STREAM_IN && stream->at == stream->len && stream->is_at_end ? EOF : 0;
}

/* One that is not at the body's end has nothing more to read, as with libfcgi. */
int FCGX_StartFilterData(FCGX_Stream *stream)
{
    int may = stream->kind == STREAM_IN && stream->file_fd != -1 && !stream->is_data &&
              FCGX_HasSeenEOF(stream) == EOF;

    if (stream->kind == STREAM_IN) {
        stream->at = stream->len = 1;
        stream->is_at_end = !may;
        stream->is_data |= may;
    }
    return may ? 0 : fail(stream, FCGX_CALL_SEQ_ERROR);
}

/* ---------------------------------------------------------------- writing */

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, bytes, len);

        if (written == -1 && errno != EINTR)
            return -1;
        bytes += written > 0 ? written : 0;
        len -= written > 0 ? (size_t)written : 0;
    }
    return 0;
}

/* A reply that waits in the buffer goes to the client with what comes later, or at the end. */
static int put(FCGX_Stream *stream, const char *bytes, size_t len)
{
    int result = stream->kind == STREAM_ERR ? write_all(STDERR_FILENO, bytes, len)
                                            : cgi_response_write(&stream->response, bytes, len);

    return result == 0 ? 0 : fail(stream, errno);
}

int stream_flush(FCGX_Stream *stream, int to_client)
{
    size_t len = stream->len - stream->at;

    if (stream->kind == STREAM_IN || stream->error != 0)
        return stream->error != 0 ? -1 : 0;
    stream->len = stream->at = 1;
    if (len > 0 && put(stream, stream->bytes + 1, len) == -1)
        return -1;
    if (to_client && stream->kind == STREAM_OUT && stream->response.has_head &&
        door_app_flush(stream->req) == -1 && errno != ENOTSUP)
        return fail(stream, errno);
    return 0;
}

int FCGX_PutStr(const char *text, int len, FCGX_Stream *stream)
{
    if (stream->kind == STREAM_IN || stream->is_closed || stream->error != 0 || len < 0)
        return -1;
    if ((size_t)len > sizeof(stream->bytes) - stream->len && stream_flush(stream, 0) == -1)
        return -1;
    if ((size_t)len > sizeof(stream->bytes) - stream->len)
        return put(stream, text, (size_t)len) == 0 ? len : -1;
    memcpy(stream->bytes + stream->len, text, (size_t)len);
    stream->len += (size_t)len;
    /* What is wrong should be in the log though the program dies of it. */
    if (stream->kind == STREAM_ERR && len > 0 && text[len - 1] == '\n' &&
        stream_flush(stream, 0) == -1)
        return -1;
    return len;
}

int FCGX_PutChar(int c, FCGX_Stream *stream)
{
    char byte = (char)c;

    return FCGX_PutStr(&byte, 1, stream) == 1 ? (unsigned char)byte : EOF;
}

int FCGX_PutS(const char *text, FCGX_Stream *stream)
{
    return FCGX_PutStr(text, (int)strlen(text), stream);
}

/* What does not fit into the room that there is. */
static int print_elsewhere(FCGX_Stream *stream, const char *format, va_list args)
{
    char *text;
    int len = vasprintf(&text, format, args);

    if (len == -1)
        return -1;
    len = FCGX_PutStr(text, len, stream);
    free(text);
    return len;
}

int FCGX_VFPrintF(FCGX_Stream *stream, const char *format, va_list args)
{
    size_t room = sizeof(stream->bytes) - stream->len;
    va_list again;
    int len;

    /* The end of a line of the log has to be seen. */
    if (stream->kind != STREAM_OUT || stream->is_closed || stream->error != 0)
        return print_elsewhere(stream, format, args);
    va_copy(again, args);
    len = vsnprintf(stream->bytes + stream->len, room, format, args);
    if (len >= 0 && (size_t)len < room)
        stream->len += (size_t)len;
    else
        len = print_elsewhere(stream, format, again);
    va_end(again);
    return len;
}

int FCGX_FPrintF(FCGX_Stream *stream, const char *format, ...)
{
    va_list args;
    int len;

    va_start(args, format);
    len = FCGX_VFPrintF(stream, format, args);
    va_end(args);
    return len;
}

int FCGX_FFlush(FCGX_Stream *stream)
{
    if (stream->kind == STREAM_IN)
        return 0;
    return stream->is_closed ? -1 : stream_flush(stream, 1);
}

int FCGX_FClose(FCGX_Stream *stream)
{
    if (stream == NULL)
        return 0;
    if (!stream->is_closed)
        stream_flush(stream, 0);
    stream->is_closed = 1;
    return stream->error == 0 ? 0 : -1;
}

int FCGX_GetError(FCGX_Stream *stream)
{
    return stream->error;
}

void FCGX_ClearError(FCGX_Stream *stream)
{
    stream->error = 0;
}
