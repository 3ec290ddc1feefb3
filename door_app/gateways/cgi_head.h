/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * cgi_head.h: the head of a CGI/1.1 response (RFC 3875, 6), as it comes: header lines
 * up to an empty one.  It does not know where the bytes come from.
 */
#ifndef DOOR_APP_GATEWAYS_CGI_HEAD_H
#define DOOR_APP_GATEWAYS_CGI_HEAD_H

#include <stddef.h>

struct door_app_request;

#define CGI_HEAD_MAX (1024 * 1024) /* bytes */

/* Zeroed: nothing has come. */
struct cgi_head {
    char *bytes; /* malloc()ed */
    size_t len, cap;
    const char *own_name; /* NULL, or the header that is the gateway's: it is not sent */
    const char *own_value; /* the last value of that, in bytes; or NULL */
};

/*
 * Takes bytes up to the head's end: *taken of them.
 *
 * Returns: 1 the head is whole, 0 there is more to come, or -1.
 * Errors:  EMSGSIZE it is longer than CGI_HEAD_MAX; ENOMEM.
 */
int cgi_head_take(struct cgi_head *head, const char *bytes, size_t len, size_t *taken);

/*
 * Makes a whole head that of the request's response.  A Location that is no path has the
 * status 302 unless there is another one.
 *
 * Returns: 0, or -1: EBADMSG there is a line that is no header, or a status that is none;
 *          ENOMEM.  *wrong is that line then.
 */
int cgi_head_apply(struct cgi_head *head, struct door_app_request *req, const char **wrong);

void cgi_head_free(struct cgi_head *head);

#endif
