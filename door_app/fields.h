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

/* Whether header names are equal.  The case of ASCII letters does not matter in any locale. */
int door_rt_same_name(const char *a, const char *b);

/* The same, for a name and the len bytes at text. */
int door_rt_is_name(const char *name, const char *text, size_t len);

/* Whether name is a token of RFC 9110, as a header's name must be. */
int door_rt_is_header_name(const char *name);

/* Whether a header such as Content-Type has that value, with any parameters. */
int door_rt_is_type(const char *header, const char *type);

/* ---------------------------------------------------------------- lists */

/* Headers of a response, trailers, or log fields.  In the arena.  An empty list is NULL. */
struct door_rt_header {
    struct door_rt_header *next;
    struct door_rt_header *last; /* the list's last element; set in its first one only */
    char *name;
    char *value;
};

/*
 * Copies a header to the end of the list.  With replace, others of its name are removed.
 * Returns 0, or -1 with EINVAL (name or value is not valid) or ENOMEM; then the list has
 * not changed.
 */
int door_rt_list_put(struct door_rt_arena *arena, struct door_rt_header **headers,
                     const char *name, const char *value, int replace);
void door_rt_list_remove(struct door_rt_header **headers, const char *name);
const char *door_rt_list_find(const struct door_rt_header *headers, const char *name); /* or NULL */

/* Copies the list to *to; the texts are shared.  Returns 0, or -1 with ENOMEM. */
int door_rt_list_copy(struct door_rt_arena *arena, struct door_rt_header **to,
                      const struct door_rt_header *from);

/* Appends copies of the message's fields of that type.  Returns 0, or -1 with ENOMEM. */
int door_rt_list_read(struct door_rt_arena *arena, struct door_wire_reader message,
                      enum door_wire_type type, struct door_rt_header **headers);
void door_rt_list_write(struct door_wire_writer *writer, enum door_wire_type type,
                        const struct door_rt_header *headers);

/* ---------------------------------------------------------------- tables */

/* Fields of a query or a form, or CGI variables.  In the arena. */
struct door_rt_fields {
    size_t count;
    struct door_rt_field {
        const char *name, *value;
    } at[];
};

/* The first value of that name, or NULL; fields may be NULL. */
const char *door_rt_find(const struct door_rt_fields *fields, const char *name);

/* Steps through the fields.  Returns 1 with *name, *value and *position set, or 0 at the end. */
int door_rt_next(const struct door_rt_fields *fields, size_t *position, const char **name,
                 const char **value);

/* ---------------------------------------------------------------- messages */

/* Reads the next header, or if name is not NULL, the next of that name.  Returns 1, or 0. */
int door_rt_next_header(struct door_wire_reader *reader, const char *name,
                        struct door_wire_field *field);

#endif
