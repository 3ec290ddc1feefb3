/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_fcgi.c: whatever a program sends, the reader stays inside it, makes the same of it
 * however it is cut, and gives out no more than has come; and so does what takes the
 * output for a CGI program's response.
 *
 * The input's first byte says how the rest is cut.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cgi_response.h"
#include "fcgi_ask.h"
#include "fcgi_protocol.h"
#include "replay.h"

enum aim { OUTPUT, END, VALUES, BAD_VALUES, OTHER, BAD_RECORD, BAD_END, CUT, HEAD, MAX_CONNS };

/* What came out, as one number; and the program's output one behind the other. */
struct outcome {
    uint64_t sum;
    int failed;
    char *output;
    size_t output_len;
};

static void add(struct outcome *outcome, unsigned char byte)
{
    outcome->sum = (outcome->sum ^ byte) * 1099511628211u;
}

static void take_values(const struct fcgi_piece *piece)
{
    struct fcgi_pair pair;
    size_t position = 0, total = 0;
    int found;

    while ((found = fcgi_read_pair(piece, &position, &pair)) == 1) {
        total += pair.name_len + pair.value_len;
        replay_require(total <= piece->len);
        replay_require(position <= piece->len);
        replay_reached(VALUES);
    }
    if (found == -1)
        replay_reached(BAD_VALUES);
    if (fcgi_max_conns(piece) > 0)
        replay_reached(MAX_CONNS);
}

static void take(struct outcome *outcome, const struct fcgi_piece *piece)
{
    struct fcgi_end end;

    /* Empty pieces and cuts are no difference but for the stream's end. */
    for (size_t i = 0; i < piece->len; i++) {
        add(outcome, (unsigned char)piece->type);
        add(outcome, piece->bytes[i]);
    }
    if (piece->type == FCGI_STDOUT) {
        memcpy(outcome->output + outcome->output_len, piece->bytes, piece->len);
        outcome->output_len += piece->len;
        replay_reached(OUTPUT);
    } else if (piece->type == FCGI_END_REQUEST) {
        replay_reached(fcgi_read_end(piece, &end) == 0 ? END : BAD_END);
    } else if (piece->type == FCGI_GET_VALUES_RESULT) {
        take_values(piece);
    } else {
        replay_reached(OTHER);
    }
}

/* In pieces of at most so many bytes. */
static void read_in_pieces(const uint8_t *data, size_t size, size_t cut, struct outcome *outcome)
{
    struct fcgi_reader reader = {0};
    size_t at = 0;

    outcome->output = malloc(size + 1);
    replay_require(outcome->output != NULL);
    while (at < size && !outcome->failed) {
        size_t len = size - at < cut ? size - at : cut, taken;
        struct fcgi_piece piece;
        int found = fcgi_read(&reader, data + at, len, &taken, &piece);

        replay_require(taken <= len);
        replay_require(found == 1 || found == -1 || taken == len);
        outcome->failed = found == -1;
        if (found == 1)
            take(outcome, &piece);
        at += taken;
    }
    if (outcome->failed)
        replay_reached(BAD_RECORD);
    else if (!fcgi_is_between(&reader))
        replay_reached(CUT);
}

/* A header field is not set: there is no request here. */
static int take_field(void *data, const char *name, const char *value)
{
    struct outcome *outcome = data;

    for (; *name != '\0'; name++)
        add(outcome, (unsigned char)*name);
    for (; *value != '\0'; value++)
        add(outcome, (unsigned char)*value);
    return 1;
}

/* The output as the response of a CGI program: its fields are added to the outcome. */
static void read_response(struct outcome *outcome, size_t cut)
{
    struct cgi_response response = {.take = take_field, .data = outcome, .is_bodiless = 1};
    int result = 0;

    for (size_t at = 0; at < outcome->output_len && result == 0;) {
        size_t len = outcome->output_len - at < cut ? outcome->output_len - at : cut;

        result = cgi_response_write(&response, outcome->output + at, len);
        at += len;
    }
    if (response.has_head)
        replay_reached(HEAD);
    add(outcome, (unsigned char)response.has_head);
    add(outcome, result == -1);
    cgi_response_end(&response);
    free(outcome->output);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole = {0}, cut = {0};
    size_t piece = size > 0 ? 1 + data[0] % 64 : 1;

    if (size == 0)
        return 0;
    read_in_pieces(data + 1, size - 1, SIZE_MAX, &whole);
    read_in_pieces(data + 1, size - 1, piece, &cut);
    replay_require(whole.output_len == cut.output_len);
    read_response(&whole, SIZE_MAX);
    read_response(&cut, piece);
    replay_require(whole.failed == cut.failed && whole.sum == cut.sum);
    return 0;
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
    static const char *const aims[] = {"output",
                                       "an end",
                                       "values",
                                       "no values",
                                       "another record",
                                       "no record",
                                       "no end",
                                       "a part of a record",
                                       "a response's head",
                                       "how many connections there may be",
                                       NULL};

    return replay(LLVMFuzzerTestOneInput, "door_app/gateways/t/corpus/fcgi/*", aims, argc, argv);
}
#endif
