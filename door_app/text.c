/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * text.c: escapes text for HTML and JSON; media types of files; the log.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>
#include <unistd.h>

#include "door_app.h"
#include "fail.h"
#include "memory.h"
#include "request.h"

/* Replacements of the bytes that must be escaped. */
static const char *const html[UCHAR_MAX + 1] = {
    ['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;", ['\''] = "&#39;",
};

/* Also "<", so that the JSON may be inside a <script>. */
static const char *const json[UCHAR_MAX + 1] = {
    ['"'] = "\\\"", ['\\'] = "\\\\",   ['\n'] = "\\n",
    ['\t'] = "\\t", ['<'] = "\\u003c", [0x7f] = "\\u007f",
};

/* In JSON, control characters are escaped by their numbers. */
static int write_replaced(struct door_app_request *req, const char *text,
                          const char *const *replacements)
{
    const char *from = text;
    char number[8];

    for (; *text != '\0'; text++) {
        const char *instead = replacements[(unsigned char)*text];

        if (instead == NULL && replacements == json && (unsigned char)*text < 0x20) {
            snprintf(number, sizeof(number), "\\u%04x", (unsigned char)*text);
            instead = number;
        }
        if (instead == NULL)
            continue;
        if (text > from && door_app_write(req, from, (size_t)(text - from)) == -1)
            return -1;
        if (door_app_write(req, instead, strlen(instead)) == -1)
            return -1;
        from = text + 1;
    }
    return text > from ? door_app_write(req, from, (size_t)(text - from)) : 0;
}

int door_app_write_html(struct door_app_request *req, const char *text)
{
    return write_replaced(req, text, html);
}

int door_app_write_json(struct door_app_request *req, const char *text)
{
    if (text == NULL)
        return door_app_write(req, "null", 4);
    if (door_app_write(req, "\"", 1) == -1 || write_replaced(req, text, json) == -1)
        return -1;
    return door_app_write(req, "\"", 1);
}

int door_app_redirect(struct door_app_request *req, int status, const char *location)
{
    if ((status != 301 && status != 302 && status != 303 && status != 307 && status != 308) ||
        location == NULL)
        return door_rt_fail(EINVAL);
    if (door_app_header_set(req, "Location", location) == -1)
        return -1;
    return door_app_status(req, status);
}

const char *door_app_type_of(const char *file)
{
    static const struct {
        const char *extension, *type;
    } types[] = {
        {"avif", "image/avif"},
        {"css", "text/css; charset=utf-8"},
        {"csv", "text/csv; charset=utf-8"},
        {"gif", "image/gif"},
        {"gz", "application/gzip"},
        {"htm", "text/html; charset=utf-8"},
        {"html", "text/html; charset=utf-8"},
        {"ico", "image/vnd.microsoft.icon"},
        {"jpeg", "image/jpeg"},
        {"jpg", "image/jpeg"},
        {"js", "text/javascript; charset=utf-8"},
        {"json", "application/json"},
        {"mjs", "text/javascript; charset=utf-8"},
        {"mp3", "audio/mpeg"},
        {"mp4", "video/mp4"},
        {"ogg", "audio/ogg"},
        {"pdf", "application/pdf"},
        {"png", "image/png"},
        {"svg", "image/svg+xml"},
        {"tar", "application/x-tar"},
        {"txt", "text/plain; charset=utf-8"},
        {"wasm", "application/wasm"},
        {"webm", "video/webm"},
        {"webp", "image/webp"},
        {"woff2", "font/woff2"},
        {"xml", "application/xml"},
        {"zip", "application/zip"},
    };
    const char *slash = strrchr(file, '/');
    const char *dot = strrchr(slash != NULL ? slash : file, '.');

    for (size_t i = 0; dot != NULL && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcasecmp(dot + 1, types[i].extension) == 0)
            return types[i].type;
    return "application/octet-stream";
}

/* ---------------------------------------------------------------- the log */

const char *door_app_request_id(struct door_app_request *req)
{
    return door_app_cgi(req, "UNIQUE_ID");
}

/* Bytes of the id in front of a line: a client may have sent it. */
#define ID_MAX 256

/* One write(2) per line, so that the lines of several threads do not mix. */
void door_app_log(struct door_app_request *req, int level, const char *format, ...)
{
    int error = errno; /* looking for the id may change it */
    const char *id = req != NULL ? door_app_request_id(req) : NULL;
    char line[4096];
    size_t len;
    va_list args;

    len = (size_t)snprintf(line, sizeof(line), "<%d>%.*s%s", level & LOG_PRIMASK, ID_MAX,
                           id != NULL ? id : "", id != NULL ? ": " : "");
    va_start(args, format);
    errno = error;                                               /* for %m */
    vsnprintf(line + len, sizeof(line) - 1 - len, format, args); /* 1: for the line end */
    va_end(args);
    for (char *at = line; (at = strchr(at, '\n')) != NULL;)
        *at = ' ';
    strcat(line, "\n");
    if (write(STDERR_FILENO, line, strlen(line)) == -1)
        errno = error; /* the failure cannot be reported anywhere */
    errno = error;
}

/* ---------------------------------------------------------------- memory */

void *door_app_alloc(struct door_app_request *handle, size_t len)
{
    struct door_rt_request *req = door_rt_request(handle);

    return req != NULL ? door_rt_alloc(&req->thread->arena, len) : NULL;
}
