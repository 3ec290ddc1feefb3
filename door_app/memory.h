/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * memory.h: what a server thread keeps from request to request; memory.c.
 */
#ifndef DOOR_APP_MEMORY_H
#define DOOR_APP_MEMORY_H

#include <stddef.h>

/* Reused memory that has grown beyond this is given back. */
#define DOOR_RT_KEEP_MAX ((size_t)1 << 20)

/* Room in front of the body for the message's head. */
#define DOOR_RT_HEAD_ROOM 1024

/* A body up to this long goes back with the reply. */
#define DOOR_RT_INLINE_MAX ((size_t)64 << 10)

struct door_rt_chunk;

/* Memory that is freed all at once; zeroed is empty.  One thread's. */
struct door_rt_arena {
    struct door_rt_chunk *chunks; /* the one in use first */
};

void *door_rt_alloc(struct door_rt_arena *arena, size_t len);                  /* or NULL, ENOMEM */
char *door_rt_copy(struct door_rt_arena *arena, const char *text, size_t len); /* adds a NUL */

/* The texts one behind the other, up to a NULL; or NULL with ENOMEM. */
char *door_rt_join(struct door_rt_arena *arena, ...) __attribute__((__sentinel__));

void door_rt_arena_reset(struct door_rt_arena *arena);
void door_rt_arena_free(struct door_rt_arena *arena);

/*
 * The response: DOOR_RT_HEAD_ROOM bytes, len bytes of body, free room up to cap.  A
 * short one is in the thread's own memory, a longer one is made where httpd gets it.
 */
struct door_rt_buffer {
    char *bytes; /* own, or the call's result buffer; NULL while cap is 0 */
    size_t cap;
    size_t len;
    char *own; /* malloc()ed, or NULL */
    size_t own_cap;
};

int door_rt_buffer_room(struct door_rt_buffer *buffer, size_t more); /* or -1, ENOMEM */

/* From now on the body is in other memory of cap bytes, which has room for it. */
void door_rt_buffer_move(struct door_rt_buffer *buffer, char *bytes, size_t cap);

/* Empty, and in its own memory. */
void door_rt_buffer_reset(struct door_rt_buffer *buffer);
void door_rt_buffer_free(struct door_rt_buffer *buffer);

#endif
