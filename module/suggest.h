/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * suggest.c: finds the known name that a wrong one was probably meant to be.
 */
#ifndef MOD_DOOR_SUGGEST_H
#define MOD_DOOR_SUGGEST_H

#include <apr_pools.h>
#include <apr_tables.h>

/* The one of names (const char *) that is nearest to word, or NULL if none is near. */
const char *mod_door_nearest(const char *word, const apr_array_header_t *names);

/* "; did you mean NAME?", with suffix behind the name; or "". */
const char *mod_door_suggest(apr_pool_t *pool, const char *word, const apr_array_header_t *names,
                             const char *suffix);

#endif
