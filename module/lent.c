/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * lent.c: a bucket of bytes that an application has lent while a brigade is passed,
 * and can still change.  A filter may look at the same bytes more than once and must
 * not see them change, so a read returns a copy.  Each read copies one piece, however
 * long the bucket is.  This file knows nothing of doors and requests.
 */
#include <string.h>

#include "mod_door.h"
#include "lent.h"

#define PIECE_LEN (64 * 1024)

/* The bucket becomes a copy of its first bytes.  The rest becomes a new bucket behind it. */
static apr_status_t lent_read(apr_bucket *b, const char **data, apr_size_t *len,
                              apr_read_type_e block)
{
    const char *bytes = (const char *)b->data + b->start;
    apr_size_t piece_len = b->length < PIECE_LEN ? b->length : PIECE_LEN;
    char *piece = apr_bucket_alloc(piece_len, b->list);

    (void)block;
    memcpy(piece, bytes, piece_len);
    if (piece_len < b->length)
        apr_bucket_split(b, piece_len);
    apr_bucket_heap_make(b, piece, piece_len, apr_bucket_free);
    *data = piece;
    *len = piece_len;
    return APR_SUCCESS;
}

/* A filter that keeps the bucket for later needs a copy of all of it. */
static apr_status_t lent_setaside(apr_bucket *b, apr_pool_t *pool)
{
    (void)pool;
    apr_bucket_heap_make(b, (const char *)b->data + b->start, b->length, NULL);
    return APR_SUCCESS;
}

static const apr_bucket_type_t lent_type = {
    .name = "DOOR_LENT",
    .num_func = 5,
    .is_metadata = APR_BUCKET_DATA,
    .destroy = apr_bucket_destroy_noop,
    .read = lent_read,
    .setaside = lent_setaside,
    .split = apr_bucket_simple_split,
    .copy = apr_bucket_simple_copy,
};

apr_bucket *mod_door_lent_bucket(const char *bytes, apr_size_t len, apr_bucket_alloc_t *list)
{
    apr_bucket *b = apr_bucket_alloc(sizeof(*b), list);

    APR_BUCKET_INIT(b);
    b->free = apr_bucket_free;
    b->list = list;
    b->type = &lent_type;
    b->data = (void *)bytes;
    b->start = 0;
    b->length = len;
    return b;
}
