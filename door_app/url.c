/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * url.c: percent-encoding, and the URLs of an application: where it is for its clients.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "door_app.h"
#include "fail.h"
#include "memory.h"
#include "request.h"
#include "url.h"

static const char unreserved[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789-._~";

int door_rt_decode(char *text, int plus_is_space)
{
    char *to = text;

    for (; *text != '\0'; text++) {
        char c = *text == '+' && plus_is_space ? ' ' : *text;

        if (c == '%' && isxdigit((unsigned char)text[1]) && isxdigit((unsigned char)text[2])) {
            c = (char)strtol((char[]){text[1], text[2], '\0'}, NULL, 16);
            text += 2;
        }
        if (c == '\0')
            return door_rt_fail(EBADMSG);
        *to++ = c;
    }
    *to = '\0';
    return 0;
}

const char *door_app_percent_decode(struct door_app_request *handle, const char *text)
{
    struct door_rt_request *req = door_rt_request(handle);
    char *copy = req != NULL ? door_rt_join(&req->thread->arena, text, NULL) : NULL;

    return copy != NULL && door_rt_decode(copy, 0) == 0 ? copy : NULL;
}

/* Percent-encodes each byte but the unreserved ones and those in stay. */
static char *encode(struct door_rt_request *req, const char *text, const char *stay)
{
    char *encoded = req != NULL ? door_rt_alloc(&req->thread->arena, 3 * strlen(text) + 1) : NULL;
    char *to = encoded;

    if (encoded == NULL)
        return NULL;
    for (; *text != '\0'; text++) {
        if (strchr(unreserved, *text) != NULL || strchr(stay, *text) != NULL)
            *to++ = *text;
        else
            to += sprintf(to, "%%%02X", (unsigned char)*text);
    }
    *to = '\0';
    return encoded;
}

const char *door_app_percent_encode(struct door_app_request *handle, const char *text)
{
    return encode(door_rt_request(handle), text, "");
}

/* A URL that begins with "//" would name another host, so "/." is put in front. */
const char *door_app_url(struct door_app_request *handle, const char *path)
{
    struct door_rt_request *req = door_rt_request(handle);
    const char *base = door_app_script_name(handle);
    char *joined;

    if (req == NULL)
        return NULL;
    if (*path != '/' && *path != '\0')
        return door_rt_none(EINVAL);
    joined = door_rt_join(&req->thread->arena, base, path, NULL);
    if (joined != NULL && *joined == '\0')
        return "/";
    if (joined != NULL && strncmp(joined, "//", 2) == 0)
        joined = door_rt_join(&req->thread->arena, "/.", joined, NULL);
    return joined != NULL ? encode(req, joined, "/") : NULL;
}

static int is_default_port(const char *scheme, const char *port)
{
    return *port == '\0' || (strcmp(scheme, "http") == 0 && strcmp(port, "80") == 0) ||
           (strcmp(scheme, "https") == 0 && strcmp(port, "443") == 0);
}

const char *door_app_host(struct door_app_request *handle)
{
    struct door_rt_request *req = door_rt_request(handle);
    const char *said = door_app_header(handle, "Host");
    const char *name = req != NULL ? req->part[DOOR_WIRE_SERVER_NAME] : NULL;
    const char *port = req != NULL ? req->part[DOOR_WIRE_SERVER_PORT] : NULL;

    if (said != NULL && *said != '\0')
        return said;
    if (name == NULL || port == NULL || is_default_port(door_app_scheme(handle), port))
        return name != NULL ? name : "";
    name = door_rt_join(&req->thread->arena, name, ":", port, NULL);
    return name != NULL ? name : "";
}
