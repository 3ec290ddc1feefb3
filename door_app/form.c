/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * form.c: names and values that a client sends in the query, in a form's body
 * (application/x-www-form-urlencoded), or in cookies.  Queries and forms are decoded
 * once, into the request's memory.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "form.h"
#include "request.h"
#include "url.h"

/* Reads "name=value&name=value..."; NULL with EBADMSG, E2BIG, ENOMEM. */
static const struct door_rt_fields *read_pairs(struct door_rt_arena *arena, const char *text,
                                               size_t len)
{
    size_t max = len / 2 < DOOR_APP_FIELDS_MAX ? len / 2 + 1 : DOOR_APP_FIELDS_MAX;
    struct door_rt_fields *fields =
        door_rt_alloc(arena, sizeof(*fields) + max * sizeof(fields->at[0]));
    char *rest = door_rt_copy(arena, text, len);
    char *name, *value;

    if (fields == NULL || rest == NULL)
        return NULL;
    fields->count = 0;
    if (strlen(rest) != len)
        return door_rt_none(EBADMSG);
    while ((value = strsep(&rest, "&")) != NULL) {
        if (*value == '\0')
            continue;
        if (fields->count == max)
            return door_rt_none(E2BIG);
        name = strsep(&value, "=");
        if (value == NULL)
            value = name + strlen(name);
        if (door_rt_decode(name, 1) == -1 || door_rt_decode(value, 1) == -1)
            return NULL;
        fields->at[fields->count++] = (struct door_rt_field){name, value};
    }
    return fields;
}

/* ---------------------------------------------------------------- the query */

static const struct door_rt_fields *query(const struct door_app_request *handle)
{
    static const struct door_rt_fields none;
    struct door_rt_request *req = door_rt_request(handle);
    const char *text = door_app_query(handle);

    if (req == NULL)
        return NULL;
    if (req->query == NULL)
        req->query = read_pairs(&req->thread->arena, text, strlen(text));
    if (req->query == NULL)
        req->query = &none;
    return req->query;
}

const char *door_app_query_value(const struct door_app_request *handle, const char *name)
{
    return door_rt_find(query(handle), name);
}

int door_app_query_next(const struct door_app_request *handle, size_t *position, const char **name,
                        const char **value)
{
    return door_rt_next(query(handle), position, name, value);
}

/* ---------------------------------------------------------------- the form */

int door_rt_refuse_body(struct door_app_request *handle, int error)
{
    if (error == EFBIG || error == E2BIG)
        door_app_refuse(handle, 413, "The form is too large");
    else if (error == EPROTONOSUPPORT)
        door_app_refuse(handle, 415, "That is not how this form is sent");
    else if (error == ENOMEM)
        door_app_refuse(handle, 503, "Out of memory");
    else if (error != ECONNRESET) /* after that, no client would get the answer */
        door_app_refuse(handle, 400, "The form cannot be read");
    return door_rt_fail(error);
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
    req->form = body != NULL ? read_pairs(&req->thread->arena, body, len) : NULL;
    return req->form != NULL ? 0 : door_rt_refuse_body(handle, errno);
}

static const struct door_rt_fields *form(const struct door_app_request *handle)
{
    const struct door_rt_request *req = door_rt_request(handle);

    return req != NULL ? req->form : NULL;
}

const char *door_app_form_value(const struct door_app_request *handle, const char *name)
{
    return door_rt_find(form(handle), name);
}

int door_app_form_next(const struct door_app_request *handle, size_t *position, const char **name,
                       const char **value)
{
    return door_rt_next(form(handle), position, name, value);
}

/* ---------------------------------------------------------------- cookies */

/*
 * Whether httpd has joined two Cookie fields at this place, by ", ".  A cookie's value should
 * not contain a comma (RFC 6265, 4.1.1), but some do.  So it counts as a joint only if what
 * follows looks like a cookie.
 */
static int is_joint(const char *at)
{
    size_t len;

    if (at[0] != ',' || at[1] != ' ')
        return 0;
    len = strcspn(at + 2, "=;,\" \t");
    return len > 0 && at[2 + len] == '=';
}

/* The end of the cookie with this value. */
static const char *value_end(const char *value)
{
    const char *quote = *value == '"' ? strpbrk(value + 1, "\";") : NULL;

    if (quote != NULL && *quote == '"')
        value = quote;
    while (*value != '\0' && *value != ';' && !is_joint(value))
        value++;
    return value;
}

/* A copy of the value, without blanks behind it and quotes around it. */
static const char *cookie_value(struct door_rt_arena *arena, const char *text)
{
    size_t len = (size_t)(value_end(text) - text);

    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        len--;
    if (len >= 2 && text[0] == '"' && text[len - 1] == '"')
        return door_rt_copy(arena, text + 1, len - 2);
    return door_rt_copy(arena, text, len);
}

/*
 * The value of the first cookie of that name in the field, or NULL.  behind_joint: looks only
 * at cookies behind a joint; otherwise only at those at the beginning or behind ';'.
 */
static const char *find_cookie(const char *at, const char *name, int behind_joint)
{
    size_t len = strlen(name);
    int is_behind_joint = 0;

    while (*at != '\0') {
        at += strspn(at, " \t;");
        if (is_behind_joint == behind_joint && strncmp(at, name, len) == 0 && at[len] == '=')
            return at + len + 1;
        at += strcspn(at, "=;");
        at = value_end(*at == '=' ? at + 1 : at);
        is_behind_joint = *at == ',';
        at += is_behind_joint;
    }
    return NULL;
}

/* Browsers restrict who may set these cookies (RFC 6265bis), so no other value may pass for one. */
static int is_protected(const char *name)
{
    return strncmp(name, "__Host-", 7) == 0 || strncmp(name, "__Secure-", 9) == 0;
}

/* There may be several Cookie fields such as "a=b; name=value; c=d", joined or not. */
const char *door_app_cookie(const struct door_app_request *handle, const char *name)
{
    struct door_rt_request *req = door_rt_request(handle);
    struct door_wire_reader none = {0};
    struct door_wire_field header;

    for (int behind_joint = 0; behind_joint <= !is_protected(name); behind_joint++) {
        struct door_wire_reader reader = req != NULL ? req->message : none;

        while (door_rt_next_header(&reader, "Cookie", &header)) {
            const char *value = find_cookie(header.value, name, behind_joint);

            if (value != NULL)
                return cookie_value(&req->thread->arena, value);
        }
    }
    return NULL;
}

/* Whether text has no blank, quote, comma, semicolon or backslash (RFC 6265, 4.1.1). */
static int is_cookie_text(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text >= 0x7f || strchr("\",;\\", *text) != NULL)
            return 0;
    return 1;
}

int door_app_cookie_set(struct door_app_request *handle, const char *name, const char *value,
                        const char *attributes)
{
    struct door_rt_request *req = door_rt_request(handle);
    char *text;

    if (req == NULL)
        return -1;
    if (*name == '\0' || !is_cookie_text(name) || strchr(name, '=') != NULL ||
        !is_cookie_text(value))
        return door_rt_fail(EINVAL);
    if (attributes == NULL)
        attributes = "";
    text = door_rt_join(&req->thread->arena, name, "=", value, *attributes != '\0' ? "; " : "",
                        attributes, NULL);
    return text != NULL ? door_app_header_add(handle, "Set-Cookie", text) : -1;
}
