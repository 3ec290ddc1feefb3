/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * refuse.h: answers that say what is wrong; refuse.c.
 */
#ifndef DOOR_APP_REFUSE_H
#define DOOR_APP_REFUSE_H

#include "door_app.h"
#include "request.h"

/* What the application has for a status. */
struct door_rt_page {
    struct door_rt_page *next;
    int status;
    door_app_handler *handler;
    void *data;
};

/* From here on what is set belongs to the handler, and door_app_reset() takes it away. */
void door_rt_begin_handler(struct door_rt_request *req);

/* Whether the application has a page for the status that has not been at work. */
int door_rt_has_page(const struct door_rt_request *req, int status);

/* Answers with the application's page for the status or a line of text, besides what is set. */
void door_rt_refuse(struct door_rt_request *req, int status, const char *text);

#endif
