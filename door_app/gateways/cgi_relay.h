/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * cgi_relay.h: the request's body to a program, and what it says to the client, at the
 * same time and on one thread.
 */
#ifndef DOOR_APP_GATEWAYS_CGI_RELAY_H
#define DOOR_APP_GATEWAYS_CGI_RELAY_H

#include "cgi_program.h"
#include "cgi_response.h"

enum cgi_outcome {
    CGI_DONE,  /* it has said all */
    CGI_GONE,  /* nobody waits for it any more */
    CGI_LATE,  /* it was silent for too long, and took nothing */
    CGI_WRONG, /* that is no response; nothing has been sent */
    CGI_FAILED /* errno */
};

/*
 * Runs until the program has closed its stdout, or one of the other outcomes.
 *
 * timeout_ms: how long it may neither take nor say anything; 0: as httpd lets it.
 * Threads: the request's.
 */
enum cgi_outcome cgi_relay(struct door_app_request *req, struct cgi_program *program,
                           struct cgi_response *response, int timeout_ms);

#endif
