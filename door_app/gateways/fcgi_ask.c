/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgi_ask.c: see fcgi_ask.h.
 */
#include "fcgi_ask.h"

#include <string.h>
#include <sys/socket.h>

#include "fcgi_protocol.h"

#define DIGITS_MAX 9
#define READS_MAX  8 /* of the answer, each of which may take FCGI_TICK_MS: nobody waits longer */

static const char name[] = "FCGI_MAX_CONNS";

static int ask(int fd)
{
    struct fcgi_writer question = {0};
    int is_sent;

    fcgi_write_pair(&question, FCGI_GET_VALUES, name, strlen(name), "", 0);
    fcgi_write_close(&question);
    is_sent = question.error == 0 &&
              send(fd, question.bytes, question.len, MSG_NOSIGNAL) == (ssize_t)question.len;
    fcgi_writer_free(&question);
    return is_sent;
}

static unsigned number(const char *digits, size_t len)
{
    unsigned value = 0;

    if (len > DIGITS_MAX)
        return 0;
    for (size_t i = 0; i < len; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return 0;
        value = 10 * value + (unsigned)(digits[i] - '0');
    }
    return value;
}

unsigned fcgi_max_conns(const struct fcgi_piece *piece)
{
    struct fcgi_pair pair;
    size_t position = 0;

    if (piece->type != FCGI_GET_VALUES_RESULT)
        return 0;
    while (fcgi_read_pair(piece, &position, &pair) == 1)
        if (pair.name_len == strlen(name) && memcmp(pair.name, name, pair.name_len) == 0)
            return number(pair.value, pair.value_len);
    return 0;
}

unsigned fcgi_ask_max_conns(int fd)
{
    struct fcgi_reader reader = {0};
    unsigned char bytes[FCGI_HEADER_LEN + 256];
    struct fcgi_piece piece;

    if (!ask(fd))
        return 0;
    for (int i = 0; i < READS_MAX; i++) {
        ssize_t len = recv(fd, bytes, sizeof(bytes), 0);
        size_t taken;
        int found;

        if (len <= 0)
            return 0;
        found = fcgi_read(&reader, bytes, (size_t)len, &taken, &piece);

        if (found != 0)
            return found == 1 ? fcgi_max_conns(&piece) : 0;
    }
    return 0;
}
