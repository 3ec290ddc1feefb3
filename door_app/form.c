/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * form.c: names and values that a client sends: in the query, in a form's body
 * (application/x-www-form-urlencoded), in cookies.  They are decoded once, into
 * the request's memory.
 */
#include <errno.h>
#include <string.h>

#include "app.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/*
 * Decodes len bytes of text to to, which has room for as many and a NUL.  A "%"
 * without two digits stands for itself, as browsers have it.  -1 if a NUL would
 * be inside, which no text of C can hold.
 */
static int decode(char *to, const char *text, size_t len, int plus_is_space)
{
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (c == '%' && len - i > 2 && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
            c = (char)(hex(text[i + 1]) * 16 + hex(text[i + 2]));
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == '\0')
            return -1;
        *to++ = c;
    }
    *to = '\0';
    return 0;
}

static char *decoded(struct door_rt_arena *arena, const char *text, size_t len, int plus_is_space)
{
    char *copy = door_rt_alloc(arena, len + 1);

    if (copy != NULL && decode(copy, text, len, plus_is_space) == -1) {
        errno = EBADMSG;
        return NULL;
    }
    return copy;
}

/* Reads "name=value&name=value..." to *fields, in its order; *count goes up to the limit. */
static int read_pairs(struct door_rt_arena *arena, const char *text, size_t len,
                      struct door_rt_header **fields)
{
    const char *end = text + len;
    unsigned count = 0;

    while (text < end) {
        const char *stop = memchr(text, '&', (size_t)(end - text));
        const char *equals;
        struct door_rt_header *field;

        if (stop == NULL)
            stop = end;
        equals = memchr(text, '=', (size_t)(stop - text));
        if (equals == NULL)
            equals = stop;
        if (stop > text) {
            if (++count > DOOR_APP_FIELDS_MAX) {
                errno = E2BIG;
                return -1;
            }
            field = door_rt_alloc(arena, sizeof(*field));
            if (field == NULL)
                return -1;
            field->next = NULL;
            field->name = decoded(arena, text, (size_t)(equals - text), 1);
            field->value = equals < stop
                               ? decoded(arena, equals + 1, (size_t)(stop - equals - 1), 1)
                               : decoded(arena, "", 0, 1);
            if (field->name == NULL || field->value == NULL)
                return -1;
            *fields = field;
            fields = &field->next;
        }
        text = stop < end ? stop + 1 : end;
    }
    return 0;
}

static const char *find(const struct door_rt_header *field, const char *name)
{
    while (field != NULL && strcmp(field->name, name) != 0)
        field = field->next;
    return field != NULL ? field->value : NULL;
}

/* *position counts the fields that were given out. */
static int next(const struct door_rt_header *field, size_t *position, const char **name,
                const char **value)
{
    for (size_t i = 0; field != NULL && i < *position; i++)
        field = field->next;
    if (field == NULL)
        return 0;
    *name = field->name;
    *value = field->value;
    ++*position;
    return 1;
}

/* ---------------------------------------------------------------- the query */

static const struct door_rt_header *query(const struct door_app_request *handle)
{
    struct door_rt_request *req = door_rt_request(handle);
    const char *text = door_app_query(handle);

    if (req == NULL)
        return NULL;
    if (!req->query_is_read &&
        read_pairs(&req->thread->arena, text, strlen(text), &req->query) == -1)
        req->query = NULL;
    req->query_is_read = 1;
    return req->query;
}

const char *door_app_query_value(const struct door_app_request *handle, const char *name)
{
    return find(query(handle), name);
}

int door_app_query_next(const struct door_app_request *handle, size_t *position, const char **name,
                        const char **value)
{
    return next(query(handle), position, name, value);
}

/* ---------------------------------------------------------------- the form */

int door_rt_refuse_body(struct door_app_request *handle, int error)
{
    int status = error == EFBIG || error == E2BIG ? 413 : error == EPROTONOSUPPORT ? 415 : 400;

    if (error == ENOMEM)
        status = 503;
    if (error != ECONNRESET && error != EALREADY && door_app_status(handle, status) == 0)
        door_app_printf(handle, "%s\n",
                        status == 413   ? "The form is too large"
                        : status == 415 ? "That is not how this form is sent"
                        : status == 503 ? "Out of memory"
                                        : "The form cannot be read");
    errno = error;
    return -1;
}

int door_rt_is_type(const char *header, const char *type)
{
    size_t len = strlen(type);

    if (header == NULL)
        return 0;
    for (size_t i = 0; i < len; i++)
        if (header[i] == '\0' || (header[i] | 0x20) != (type[i] | 0x20))
            return 0;
    return header[len] == '\0' || header[len] == ';' || header[len] == ' ' || header[len] == '\t';
}

int door_app_form_read(struct door_app_request *handle, size_t max)
{
    struct door_rt_request *req = door_rt_request(handle);
    const char *body;
    size_t len;

    if (req == NULL)
        return -1;
    if (!door_rt_is_type(door_app_header(handle, "Content-Type"),
                         "application/x-www-form-urlencoded"))
        return door_rt_refuse_body(handle, EPROTONOSUPPORT);
    body = door_app_body(handle, max, &len);
    if (body == NULL || read_pairs(&req->thread->arena, body, len, &req->form) == -1) {
        req->form = NULL;
        return door_rt_refuse_body(handle, errno);
    }
    return 0;
}

const char *door_app_form_value(const struct door_app_request *handle, const char *name)
{
    const struct door_rt_request *req = door_rt_request(handle);

    return req != NULL ? find(req->form, name) : NULL;
}

int door_app_form_next(const struct door_app_request *handle, size_t *position, const char **name,
                       const char **value)
{
    const struct door_rt_request *req = door_rt_request(handle);

    return req != NULL ? next(req->form, position, name, value) : 0;
}

/* ---------------------------------------------------------------- cookies */

/* The value in "a=b; name=value; c=d", and its length; or NULL. */
static const char *find_cookie(const char *text, const char *name, size_t *len)
{
    size_t name_len = strlen(name);

    while (*text != '\0') {
        text += strspn(text, " \t;");
        *len = strcspn(text, ";");
        if (*len > name_len && strncmp(text, name, name_len) == 0 && text[name_len] == '=') {
            text += name_len + 1;
            *len -= name_len + 1;
            while (*len > 0 && (text[*len - 1] == ' ' || text[*len - 1] == '\t'))
                --*len;
            if (*len >= 2 && text[0] == '"' && text[*len - 1] == '"') {
                text++;
                *len -= 2;
            }
            return text;
        }
        text += *len;
    }
    return NULL;
}

const char *door_app_cookie(const struct door_app_request *handle, const char *name)
{
    struct door_rt_request *req = door_rt_request(handle);
    const char *header_name, *value, *found;
    size_t position = 0, len;

    while (req != NULL && door_app_header_next(handle, &position, &header_name, &value)) {
        if (!door_rt_same_name(header_name, "Cookie"))
            continue;
        found = find_cookie(value, name, &len);
        if (found != NULL)
            return door_rt_copy(&req->thread->arena, found, len);
    }
    return NULL;
}

/* A cookie's value has no blank, quote, comma, semicolon or backslash (RFC 6265, 4.1.1). */
static int is_cookie_text(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text == 0x7f || strchr("\",;\\", *text) != NULL)
            return 0;
    return 1;
}

int door_app_cookie_set(struct door_app_request *handle, const char *name, const char *value,
                        const char *attributes)
{
    struct door_rt_request *req = door_rt_request(handle);
    size_t len;
    char *text;

    if (req == NULL)
        return -1;
    if (*name == '\0' || !is_cookie_text(name) || strchr(name, '=') != NULL ||
        !is_cookie_text(value)) {
        errno = EINVAL;
        return -1;
    }
    if (attributes == NULL)
        attributes = "";
    len = strlen(name) + strlen(value) + strlen(attributes) + 4;
    text = door_rt_alloc(&req->thread->arena, len);
    if (text == NULL)
        return -1;
    strcpy(text, name);
    strcat(text, "=");
    strcat(text, value);
    if (*attributes != '\0')
        strcat(text, "; ");
    strcat(text, attributes);
    return door_app_header_add(handle, "Set-Cookie", text);
}

/* ---------------------------------------------------------------- percent */

const char *door_app_percent_decode(struct door_app_request *handle, const char *text)
{
    struct door_rt_request *req = door_rt_request(handle);

    return req != NULL ? decoded(&req->thread->arena, text, strlen(text), 0) : NULL;
}

static int is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

const char *door_app_percent_encode(struct door_app_request *handle, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    struct door_rt_request *req = door_rt_request(handle);
    char *encoded = req != NULL ? door_rt_alloc(&req->thread->arena, 3 * strlen(text) + 1) : NULL;
    char *to = encoded;

    if (encoded == NULL)
        return NULL;
    for (; *text != '\0'; text++) {
        if (is_unreserved(*text)) {
            *to++ = *text;
        } else {
            *to++ = '%';
            *to++ = digits[(unsigned char)*text >> 4];
            *to++ = digits[(unsigned char)*text & 15];
        }
    }
    *to = '\0';
    return encoded;
}
