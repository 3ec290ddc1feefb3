/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * memory.c: the two kinds of memory that a server thread keeps from request to
 * request: an arena for small pieces, and a buffer for the response's body.  An
 * ordinary request needs no malloc().  This file knows nothing of requests.
 */
#include <errno.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <door_compat.h>

#include "memory.h"

/*
 * In builds with AddressSanitizer, memory of the arena that is not allocated is poisoned, and
 * there is a piece of it behind each block.
 */
#if defined(__SANITIZE_ADDRESS__)
#define HAS_RED_ZONES 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_RED_ZONES 1
#endif
#endif

#ifdef HAS_RED_ZONES
#include <sanitizer/asan_interface.h>
#define RED_ZONE 32
#else
#define RED_ZONE                           0
#define ASAN_POISON_MEMORY_REGION(at, len) ((void)(at), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(at, len) ((void)(at), (void)(len))
#endif

#define CHUNK_MIN ((size_t)8 << 10)
#define BODY_MIN  ((size_t)16 << 10)

/* Size of the door's result buffer, where a body that exceeds BODY_MIN is made. */
#define RESULT_CAP (DOOR_RT_HEAD_ROOM + DOOR_RT_INLINE_MAX)

struct door_rt_chunk {
    struct door_rt_chunk *next;
    size_t cap;
    size_t used;
    alignas(max_align_t) char bytes[];
};

static size_t aligned(size_t len)
{
    return (len + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

static struct door_rt_chunk *add_chunk(struct door_rt_arena *arena, size_t len)
{
    size_t cap = len > CHUNK_MIN ? len : CHUNK_MIN;
    struct door_rt_chunk *chunk = malloc(sizeof(*chunk) + cap);

    if (chunk == NULL)
        return NULL;
    ASAN_POISON_MEMORY_REGION(chunk->bytes, cap);
    chunk->next = arena->chunks;
    chunk->cap = cap;
    chunk->used = 0;
    arena->chunks = chunk;
    return chunk;
}

void *door_rt_alloc(struct door_rt_arena *arena, size_t len)
{
    struct door_rt_chunk *chunk = arena->chunks;
    size_t size = aligned(len) + RED_ZONE;
    void *found;

    if (len > SIZE_MAX / 2) {
        errno = ENOMEM;
        return NULL;
    }
    if (chunk == NULL || chunk->cap - chunk->used < size)
        chunk = add_chunk(arena, size);
    if (chunk == NULL)
        return NULL;
    found = chunk->bytes + chunk->used;
    chunk->used += size;
    ASAN_UNPOISON_MEMORY_REGION(found, len);
    return found;
}

char *door_rt_copy(struct door_rt_arena *arena, const char *text, size_t len)
{
    char *copy = len < SIZE_MAX ? door_rt_alloc(arena, len + 1) : NULL;

    if (copy == NULL)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

char *door_rt_join(struct door_rt_arena *arena, ...)
{
    const char *text;
    size_t len = 0;
    char *joined, *end;
    va_list args;

    va_start(args, arena);
    while ((text = va_arg(args, const char *)) != NULL)
        len += strlen(text);
    va_end(args);
    joined = end = door_rt_alloc(arena, len + 1);
    va_start(args, arena);
    while (joined != NULL && (text = va_arg(args, const char *)) != NULL)
        end = stpcpy(end, text);
    va_end(args);
    return joined;
}

/* Keeps the newest chunk, unless it is very large. */
void door_rt_arena_reset(struct door_rt_arena *arena)
{
    struct door_rt_chunk *kept = arena->chunks;

    if (kept == NULL)
        return;
    if (kept->cap > DOOR_RT_KEEP_MAX) {
        door_rt_arena_free(arena);
        return;
    }
    arena->chunks = kept->next;
    door_rt_arena_free(arena);
    kept->next = NULL;
    kept->used = 0;
    ASAN_POISON_MEMORY_REGION(kept->bytes, kept->cap);
    arena->chunks = kept;
}

void door_rt_arena_free(struct door_rt_arena *arena)
{
    while (arena->chunks != NULL) {
        struct door_rt_chunk *chunk = arena->chunks;

        arena->chunks = chunk->next;
        ASAN_UNPOISON_MEMORY_REGION(chunk->bytes, chunk->cap);
        free(chunk);
    }
}

void door_rt_buffer_move(struct door_rt_buffer *buffer, char *bytes, size_t cap)
{
    if (buffer->len > 0)
        memcpy(bytes + DOOR_RT_HEAD_ROOM, buffer->bytes + DOOR_RT_HEAD_ROOM, buffer->len);
    buffer->bytes = bytes;
    buffer->cap = cap;
}

static int use_result_buffer(struct door_rt_buffer *buffer)
{
    char *bytes = door_result_buffer(RESULT_CAP);

    if (bytes == NULL)
        return -1;
    door_rt_buffer_move(buffer, bytes, RESULT_CAP);
    return 0;
}

/* Doubles the size, so that each byte of a long body is copied only a few times on average. */
static int grow_own(struct door_rt_buffer *buffer, size_t used, size_t more)
{
    size_t cap = buffer->own_cap > 0 ? buffer->own_cap : BODY_MIN;
    char *own;

    if (more > SIZE_MAX / 4 || used > SIZE_MAX / 4) {
        errno = ENOMEM;
        return -1;
    }
    while (cap - used < more || cap < used)
        cap *= 2;
    own = realloc(buffer->own, cap);
    if (own == NULL)
        return -1;
    if (buffer->bytes != buffer->own && buffer->len > 0)
        memcpy(own + DOOR_RT_HEAD_ROOM, buffer->bytes + DOOR_RT_HEAD_ROOM, buffer->len);
    buffer->own = buffer->bytes = own;
    buffer->own_cap = buffer->cap = cap;
    return 0;
}

int door_rt_buffer_room(struct door_rt_buffer *buffer, size_t more)
{
    size_t used = DOOR_RT_HEAD_ROOM + buffer->len;

    if (buffer->cap > 0 && buffer->cap - used >= more)
        return 0;
    if (used + more > BODY_MIN && more <= RESULT_CAP && used + more <= RESULT_CAP &&
        use_result_buffer(buffer) == 0)
        return 0;
    return grow_own(buffer, used, more);
}

/* The buffer may still point to the result buffer of an earlier call, which is gone. */
void door_rt_buffer_reset(struct door_rt_buffer *buffer)
{
    if (buffer->own_cap > DOOR_RT_KEEP_MAX)
        door_rt_buffer_free(buffer);
    buffer->bytes = buffer->own;
    buffer->cap = buffer->own_cap;
    buffer->len = 0;
}

void door_rt_buffer_free(struct door_rt_buffer *buffer)
{
    free(buffer->own);
    *buffer = (struct door_rt_buffer){NULL, 0, 0, NULL, 0};
}
