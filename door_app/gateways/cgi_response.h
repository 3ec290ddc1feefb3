/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * cgi_response.h: what a CGI program says (RFC 3875, 6): header fields, an empty line and
 * the body, in pieces of any size.  It becomes the response of a request.  Knows nothing
 * of how it comes: FastCGI programs say the same.
 */
#ifndef DOOR_APP_GATEWAYS_CGI_RESPONSE_H
#define DOOR_APP_GATEWAYS_CGI_RESPONSE_H

#include <stddef.h>

#include <door_app.h>

/* Zeroed but for req is a new one. */
struct cgi_response {
    struct door_app_request *req;
    int is_answer;       /* to a question: its status is 200 if none is said, and one only */
    int has_status_line; /* an nph- program's: HTTP/1.1 200 OK is its first line */

    /*
     * NULL, or it is shown each header field before it is set: 1, it has been dealt with;
     * 0, it is as any other; -1, errno.
     */
    int (*take)(void *data, const char *name, const char *value);
    void *data;
    int is_bodiless; /* the body that comes is dropped: something else is it, or nobody reads it */

    char *head; /* as far as it has come; malloc()ed */
    size_t head_len, head_cap;
    size_t looked_len, line; /* how far its end was looked for, and where the last line begins */
    int has_head; /* it is the request's: what comes now is the body */
};

/*
 * Takes len bytes more.
 *
 * Blocks:  as door_app_write().
 * Returns: 0, or -1: EBADMSG that is no head of a response, of which nothing has been
 *          set; those of door_app_write(), but what is beyond a Content-Length is dropped.
 */
int cgi_response_write(struct cgi_response *response, const char *bytes, size_t len);

/* Frees what it holds; errno stays. */
void cgi_response_end(struct cgi_response *response);

#endif
