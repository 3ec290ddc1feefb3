/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fcgi_exchange.h: one request through one FastCGI program, and its answer back.  Both
 * bodies pass as they come, on the thread that runs the request.
 */
#ifndef DOOR_APP_GATEWAYS_FCGI_EXCHANGE_H
#define DOOR_APP_GATEWAYS_FCGI_EXCHANGE_H

#include <stdint.h>

#include <door_app.h>

#include "fcgi_pool.h"

struct fcgi_exchange_config {
    struct fcgi_pool *pool;
    enum fcgi_role role;
    int is_question; /* whether another request may pass: yes if the program does not say no */
    int64_t abort_ms;          /* how long a program may go on with what nobody waits for */
    const char *sendfile_root; /* NULL, or where the files are that X-Sendfile may name; a real path */
};

/* Answers the request, be it with an error; a door_app_handler whose data is the config. */
void fcgi_exchange(struct door_app_request *req, void *config);

#endif
