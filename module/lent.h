/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * lent.c: buckets of memory that another process may write.
 */
#ifndef MOD_DOOR_LENT_H
#define MOD_DOOR_LENT_H

#include <apr_buckets.h>

#include "mod_door.h"

/*
 * A bucket of bytes that another process can change.  They must stay valid until the
 * brigade has been passed.  Reading the bucket returns copies, in pieces.
 */
apr_bucket *mod_door_lent_bucket(const char *bytes, apr_size_t len, apr_bucket_alloc_t *list);

#endif
