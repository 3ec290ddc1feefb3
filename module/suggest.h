/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * suggest.c: which of some names was meant.
 */
#ifndef MOD_DOOR_SUGGEST_H
#define MOD_DOOR_SUGGEST_H

#include <apr_pools.h>
#include <apr_tables.h>

/* Of names (const char *) the one that word is nearly, or NULL if it is like none of them. */
const char *mod_door_nearest(const char *word, const apr_array_header_t *names);

/* "; did you mean NAME?", with suffix behind the name; or "". */
const char *mod_door_suggest(apr_pool_t *pool, const char *word, const apr_array_header_t *names,
                             const char *suffix);

#endif
