/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fields.h: names and values, as lists that grow and as tables; fields.c.
 */
#ifndef DOOR_APP_FIELDS_H
#define DOOR_APP_FIELDS_H

#include <stddef.h>

#include "memory.h"
#include "wire.h"

/* ---------------------------------------------------------------- names */

/* Compares header names: ASCII letters in any case, whatever the locale. */
int door_rt_same_name(const char *a, const char *b);

/* Is name what the len bytes at text say?  Likewise. */
int door_rt_is_name(const char *name, const char *text, size_t len);

/* Whether it is a token of RFC 9110, as a header's name has to be. */
int door_rt_is_header_name(const char *name);

/* Whether a Content-Type or the like is that, whatever its parameters. */
int door_rt_is_type(const char *header, const char *type);

/* ---------------------------------------------------------------- lists */

/* Headers of a response, trailers, log fields; in the arena.  An empty list is NULL. */
struct door_rt_header {
    struct door_rt_header *next;
    struct door_rt_header *last; /* of the list, in its first one */
    char *name;
    char *value;
};

/*
 * Copies a header to the list's end; with replace, those of its name go.  0, or -1
 * with EINVAL (no header's name or value) or ENOMEM, and the list is as it was.
 */
int door_rt_list_put(struct door_rt_arena *arena, struct door_rt_header **headers,
                     const char *name, const char *value, int replace);
void door_rt_list_remove(struct door_rt_header **headers, const char *name);
const char *door_rt_list_find(const struct door_rt_header *headers, const char *name); /* or NULL */

/* Makes *to a list of the same headers: 0, or -1 with ENOMEM.  They share their texts. */
int door_rt_list_copy(struct door_rt_arena *arena, struct door_rt_header **to,
                      const struct door_rt_header *from);

/* Copies the message's fields of that type: 0, or -1 with ENOMEM. */
int door_rt_list_read(struct door_rt_arena *arena, struct door_wire_reader message,
                      enum door_wire_type type, struct door_rt_header **headers);
void door_rt_list_write(struct door_wire_writer *writer, enum door_wire_type type,
                        const struct door_rt_header *headers);

/* ---------------------------------------------------------------- tables */

/* Those of a query, a form or the CGI variables; in the arena. */
struct door_rt_fields {
    size_t count;
    struct door_rt_field {
        const char *name, *value;
    } at[];
};

/* The first value of that name, or NULL; fields may be NULL. */
const char *door_rt_find(const struct door_rt_fields *fields, const char *name);

/* Steps through them: 1 and all set, or 0 at the end. */
int door_rt_next(const struct door_rt_fields *fields, size_t *position, const char **name,
                 const char **value);

/* ---------------------------------------------------------------- messages */

/* The reader's next header, of that name unless it is NULL: 1 and *field, or 0. */
int door_rt_next_header(struct door_wire_reader *reader, const char *name,
                        struct door_wire_field *field);

#endif
