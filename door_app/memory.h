/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * memory.h: what a server thread keeps from request to request; memory.c.
 */
#ifndef DOOR_APP_MEMORY_H
#define DOOR_APP_MEMORY_H

#include <stddef.h>

/* Memory that has grown beyond this is freed after the request, and not reused. */
#define DOOR_RT_KEEP_MAX ((size_t)1 << 20)

/* Room in front of the body for the message's head. */
#define DOOR_RT_HEAD_ROOM 1024

/* A body up to this length is collected and sent with the reply. */
#define DOOR_RT_INLINE_MAX ((size_t)64 << 10)

struct door_rt_chunk;

/* Memory that is freed all at once.  If zeroed, it is empty.  Used by one thread. */
struct door_rt_arena {
    struct door_rt_chunk *chunks; /* the first one is in use */
};

void *door_rt_alloc(struct door_rt_arena *arena, size_t len);                  /* or NULL, ENOMEM */
char *door_rt_copy(struct door_rt_arena *arena, const char *text, size_t len); /* adds a NUL */

/* Joins the texts before the NULL.  Returns NULL with ENOMEM. */
char *door_rt_join(struct door_rt_arena *arena, ...) __attribute__((__sentinel__));

void door_rt_arena_reset(struct door_rt_arena *arena);
void door_rt_arena_free(struct door_rt_arena *arena);

/*
 * A response: DOOR_RT_HEAD_ROOM bytes, len bytes of body, and free room up to cap.  A short
 * response is in the thread's own memory; a longer one is in memory that is shared with httpd.
 */
struct door_rt_buffer {
    char *bytes; /* own, or the call's result buffer; NULL while cap is 0 */
    size_t cap;
    size_t len;
    char *own; /* malloc()ed, or NULL */
    size_t own_cap;
};

/* Makes room for more bytes behind the body.  Returns 0, or -1 with ENOMEM. */
int door_rt_buffer_room(struct door_rt_buffer *buffer, size_t more);

/* Moves the body to other memory of cap bytes, which must have room for it. */
void door_rt_buffer_move(struct door_rt_buffer *buffer, char *bytes, size_t cap);

/* Empties the buffer, and returns to its own memory. */
void door_rt_buffer_reset(struct door_rt_buffer *buffer);
void door_rt_buffer_free(struct door_rt_buffer *buffer);

#endif
