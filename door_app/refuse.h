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

/* What is set so far stays; what is set from here on door_app_reset() takes away. */
void door_rt_keep(struct door_rt_request *req);

/* Whether the application has a page for the status that has not been at work. */
int door_rt_has_page(const struct door_rt_request *req, int status);

/* Answers with the application's page for the status or a line of text, besides what is set. */
void door_rt_refuse(struct door_rt_request *req, int status, const char *text);

#endif
