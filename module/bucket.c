/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * bucket.c: a bucket type that owns the mapping in which a long result came
 * from door_call().  httpd may write after the handler has returned, so the
 * mapping must live as long as the last bucket that shows a part of it.  Knows
 * nothing of doors or requests.
 */
#include <sys/mman.h>

#include "mod_door.h"

struct shared_mapping {
    apr_bucket_refcount refcount; /* first, as apr_bucket_shared_*() want it */
    char *start;
    apr_size_t len;
};

static apr_status_t mapping_read(apr_bucket *b, const char **data, apr_size_t *len,
                                 apr_read_type_e block)
{
    const struct shared_mapping *shared = b->data;

    (void)block;
    *data = shared->start + b->start;
    *len = b->length;
    return APR_SUCCESS;
}

static void mapping_destroy(void *data)
{
    struct shared_mapping *shared = data;

    if (apr_bucket_shared_destroy(shared)) {
        munmap(shared->start, shared->len);
        apr_bucket_free(shared);
    }
}

/* Nothing to set aside: the memory belongs to the bucket, not to the caller's stack or pool. */
static const apr_bucket_type_t mapping_type = {
    .name = "DOOR_MAPPING",
    .num_func = 5,
    .is_metadata = APR_BUCKET_DATA,
    .destroy = mapping_destroy,
    .read = mapping_read,
    .setaside = apr_bucket_setaside_noop,
    .split = apr_bucket_shared_split,
    .copy = apr_bucket_shared_copy,
};

apr_bucket *mod_door_mapping_bucket(void *mapping, apr_size_t mapping_len, apr_size_t offset,
                                    apr_size_t len, apr_bucket_alloc_t *list)
{
    apr_bucket *b = apr_bucket_alloc(sizeof(*b), list);
    struct shared_mapping *shared = apr_bucket_alloc(sizeof(*shared), list);

    shared->start = mapping;
    shared->len = mapping_len;
    APR_BUCKET_INIT(b);
    b->free = apr_bucket_free;
    b->list = list;
    apr_bucket_shared_make(b, shared, (apr_off_t)offset, len);
    b->type = &mapping_type;
    return b;
}
