/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * serve.h: the door procedure; serve.c.
 */
#ifndef DOOR_APP_SERVE_H
#define DOOR_APP_SERVE_H

#include <stddef.h>

#include <door.h>

#include "app.h"

door_server_procedure_t door_rt_serve; /* the cookie is the struct door_app */

/* The answer to httpd. */
struct door_rt_answer {
    char *bytes; /* in the thread's memory, or in storage */
    size_t len;
    int fd; /* sent along, and closed then; or -1 */
    char storage[256];
};

/*
 * Answers one message, in most cases by running a handler.  fd came with the message (or is -1),
 * and is taken over.
 */
void door_rt_answer(struct door_app *app, const void *data, size_t len, int fd,
                    struct door_rt_answer *answer);

#endif
