/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * response.c: see response.h.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "response.h"

int line_add(struct line *line, char c)
{
    if (c != '\n') {
        if (c != '\r' && line->len < (int)sizeof(line->text) - 1)
            line->text[line->len++] = c;
        return 0;
    }
    line->text[line->len] = 0;
    line->len = 0;
    return 1;
}

static enum response_part behind_head(const struct response *response)
{
    if (response->is_chunked)
        return RESPONSE_CHUNK_LENGTH;
    if (!response->has_length)
        return RESPONSE_TO_CLOSE;
    return response->left > 0 ? RESPONSE_BODY : RESPONSE_DONE;
}

static void head_line(struct response *response, const char *line)
{
    if (strncmp(line, "HTTP/1.1 200 ", 13) == 0)
        response->is_right = 1;
    if (strcasecmp(line, "Transfer-Encoding: chunked") == 0)
        response->is_chunked = 1;
    if (strncasecmp(line, "Content-Length: ", 16) == 0) {
        response->has_length = 1;
        response->left = atol(line + 16);
    }
    if (line[0] == 0)
        response->part = behind_head(response);
}

static void frame_line(struct response *response, const char *line)
{
    switch (response->part) {
    case RESPONSE_HEAD:
        head_line(response, line);
        break;
    case RESPONSE_CHUNK_LENGTH:
        response->left = strtol(line, NULL, 16);
        response->part = response->left > 0 ? RESPONSE_CHUNK : RESPONSE_TRAILER;
        break;
    case RESPONSE_TRAILER:
        if (line[0] == 0)
            response->part = RESPONSE_DONE;
        break;
    default: /* the line end behind a chunk */
        response->part = RESPONSE_CHUNK_LENGTH;
    }
}

static int is_in_body(const struct response *response)
{
    return response->part == RESPONSE_CHUNK || response->part == RESPONSE_BODY ||
           response->part == RESPONSE_TO_CLOSE;
}

/* Returns how many of the bytes belong to the body, or to this chunk. */
static long take_body(struct response *response, const char *bytes, long len)
{
    int has_end = response->part != RESPONSE_TO_CLOSE;

    if (has_end && len > response->left)
        len = response->left;
    response->sum += len;
    if (response->on_body != NULL)
        response->on_body(response->data, bytes, len);
    if (!has_end)
        return len;
    response->left -= len;
    if (response->left == 0)
        response->part = response->part == RESPONSE_CHUNK ? RESPONSE_CHUNK_END : RESPONSE_DONE;
    return len;
}

long response_take(struct response *response, const char *bytes, long len)
{
    long taken = 0;

    while (taken < len && response->part != RESPONSE_DONE) {
        if (is_in_body(response))
            taken += take_body(response, bytes + taken, len - taken);
        else if (line_add(&response->frame, bytes[taken++]))
            frame_line(response, response->frame.text);
    }
    return taken;
}
