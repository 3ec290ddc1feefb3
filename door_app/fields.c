/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fields.c: names and values: which ones are valid in headers, lists and tables of
 * them, and how they are read from and written to messages.  This file knows neither
 * requests nor responses.
 */
#include <stdint.h>
#include <string.h>

#include "fail.h"
#include "fields.h"

/* ---------------------------------------------------------------- names */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

int door_rt_is_name(const char *name, const char *text, size_t len)
{
    size_t i = 0;

    while (i < len && lower(name[i]) == lower(text[i]) && name[i] != '\0')
        i++;
    return i == len && name[i] == '\0';
}

int door_rt_same_name(const char *a, const char *b)
{
    return door_rt_is_name(a, b, strlen(b));
}

int door_rt_is_type(const char *header, const char *type)
{
    return header != NULL && door_rt_is_name(type, header, strcspn(header, "; \t"));
}

/* A tchar of RFC 9110.  isalnum() would depend on the locale. */
static int is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

int door_rt_is_header_name(const char *name)
{
    size_t len = 0;

    while (is_token_char(name[len]))
        len++;
    return len > 0 && len <= UINT16_MAX && name[len] == '\0';
}

static int is_header_value(const char *value)
{
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return 0;
    }
    return 1;
}

/* ---------------------------------------------------------------- lists */

static struct door_rt_header *copy(struct door_rt_arena *arena, const char *name,
                                   const char *value)
{
    struct door_rt_header *header = door_rt_alloc(arena, sizeof(*header));

    if (header == NULL)
        return NULL;
    header->next = NULL;
    header->name = door_rt_copy(arena, name, strlen(name));
    header->value = door_rt_copy(arena, value, strlen(value));
    return header->name != NULL && header->value != NULL ? header : NULL;
}

static void append(struct door_rt_header **headers, struct door_rt_header *header)
{
    if (*headers == NULL)
        *headers = header;
    else
        (*headers)->last->next = header;
    (*headers)->last = header;
}

int door_rt_list_put(struct door_rt_arena *arena, struct door_rt_header **headers,
                     const char *name, const char *value, int replace)
{
    struct door_rt_header *header;

    if (name == NULL || value == NULL || !door_rt_is_header_name(name) || !is_header_value(value))
        return door_rt_fail(EINVAL);
    header = copy(arena, name, value);
    if (header == NULL)
        return -1;
    if (replace)
        door_rt_list_remove(headers, name);
    append(headers, header);
    return 0;
}

void door_rt_list_remove(struct door_rt_header **headers, const char *name)
{
    struct door_rt_header *header = *headers;

    *headers = NULL;
    while (header != NULL) {
        struct door_rt_header *next = header->next;

        header->next = NULL;
        if (!door_rt_same_name(header->name, name))
            append(headers, header);
        header = next;
    }
}

const char *door_rt_list_find(const struct door_rt_header *headers, const char *name)
{
    while (headers != NULL && !door_rt_same_name(headers->name, name))
        headers = headers->next;
    return headers != NULL ? headers->value : NULL;
}

int door_rt_list_copy(struct door_rt_arena *arena, struct door_rt_header **to,
                      const struct door_rt_header *from)
{
    for (*to = NULL; from != NULL; from = from->next) {
        struct door_rt_header *header = door_rt_alloc(arena, sizeof(*header));

        if (header == NULL)
            return -1;
        *header = (struct door_rt_header){NULL, NULL, from->name, from->value};
        append(to, header);
    }
    return 0;
}

int door_rt_list_read(struct door_rt_arena *arena, struct door_wire_reader message,
                      enum door_wire_type type, struct door_rt_header **headers)
{
    struct door_wire_field field;

    while (door_wire_next(&message, &field)) {
        struct door_rt_header *header;

        if (field.type != type)
            continue;
        header = copy(arena, field.name, field.value);
        if (header == NULL)
            return -1;
        append(headers, header);
    }
    return 0;
}

void door_rt_list_write(struct door_wire_writer *writer, enum door_wire_type type,
                        const struct door_rt_header *headers)
{
    for (; headers != NULL; headers = headers->next)
        door_wire_field(writer, type, headers->name, strlen(headers->name), headers->value,
                        strlen(headers->value));
}

/* ---------------------------------------------------------------- tables */

const char *door_rt_find(const struct door_rt_fields *fields, const char *name)
{
    for (size_t i = 0; fields != NULL && i < fields->count; i++)
        if (strcmp(fields->at[i].name, name) == 0)
            return fields->at[i].value;
    return NULL;
}

int door_rt_next(const struct door_rt_fields *fields, size_t *position, const char **name,
                 const char **value)
{
    if (fields == NULL || *position >= fields->count)
        return 0;
    *name = fields->at[*position].name;
    *value = fields->at[*position].value;
    ++*position;
    return 1;
}

/* ---------------------------------------------------------------- messages */

int door_rt_next_header(struct door_wire_reader *reader, const char *name,
                        struct door_wire_field *field)
{
    while (door_wire_next(reader, field))
        if (field->type == DOOR_WIRE_HEADER &&
            (name == NULL || door_rt_is_name(name, field->name, field->name_len)))
            return 1;
    return 0;
}
