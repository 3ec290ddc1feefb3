/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * suggest.c: finds the known name that a wrong one was probably meant to be: the nearest
 * by edit distance (characters added, left out, changed, or two neighbours exchanged), if
 * it is near enough.
 */
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "mod_door.h"
#include "suggest.h"

#define WORD_MAX 64 /* bytes; no suggestions for longer words */
#define FAR      (2 * WORD_MAX)

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static int is_same(char a, char b)
{
    return apr_tolower(a) == apr_tolower(b);
}

/* Fills row i of the table of distances between the beginnings of a and b. */
static void fill_row(const char *a, const char *b, apr_size_t i, unsigned rows[][WORD_MAX + 1])
{
    apr_size_t len = strlen(b);
    apr_size_t j;

    rows[i][0] = (unsigned)i;
    for (j = 1; j <= len; j++) {
        unsigned changed = rows[i - 1][j - 1] + !is_same(a[i - 1], b[j - 1]);

        rows[i][j] = least(changed, least(rows[i - 1][j], rows[i][j - 1]) + 1);
        if (i > 1 && j > 1 && is_same(a[i - 1], b[j - 2]) && is_same(a[i - 2], b[j - 1]))
            rows[i][j] = least(rows[i][j], rows[i - 2][j - 2] + 1);
    }
}

static unsigned distance(const char *a, const char *b)
{
    unsigned rows[WORD_MAX + 1][WORD_MAX + 1];
    apr_size_t i;

    if (strlen(a) > WORD_MAX || strlen(b) > WORD_MAX)
        return FAR;
    for (i = 0; i <= strlen(b); i++)
        rows[0][i] = (unsigned)i;
    for (i = 1; i <= strlen(a); i++)
        fill_row(a, b, i, rows);
    return rows[strlen(a)][strlen(b)];
}

const char *mod_door_nearest(const char *word, const apr_array_header_t *names)
{
    unsigned best = 1 + (unsigned)strlen(word) / 4; /* what is farther away is another word */
    const char *found = NULL;
    int i;

    for (i = 0; i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);
        unsigned steps = distance(word, name);

        if (steps < strlen(word) && (found == NULL ? steps <= best : steps < best)) {
            best = steps;
            found = name;
        }
    }
    return found;
}

const char *mod_door_suggest(apr_pool_t *pool, const char *word, const apr_array_header_t *names,
                             const char *suffix)
{
    const char *name = mod_door_nearest(word, names);

    return name != NULL ? apr_psprintf(pool, "; did you mean %s%s?", name, suffix) : "";
}
