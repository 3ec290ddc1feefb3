/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * refuse.h: answers with an error; refuse.c.
 */
#ifndef DOOR_APP_REFUSE_H
#define DOOR_APP_REFUSE_H

#include "door_app.h"
#include "request.h"

/* The application's page for an error. */
struct door_rt_page {
    struct door_rt_page *next;
    int status;
    door_app_handler *handler;
    void *data;
};

/* Marks what is set so far as kept: door_app_reset() removes only what is set after this. */
void door_rt_keep(struct door_rt_request *req);

/* Whether the application has a page for the status, and no such page was called yet. */
int door_rt_has_page(const struct door_rt_request *req, int status);

/* Answers with the application's page for the status or a line of text.  Keeps what is set. */
void door_rt_refuse(struct door_rt_request *req, int status, const char *text);

#endif
