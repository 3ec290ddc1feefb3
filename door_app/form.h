/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * form.h: what the two kinds of forms share; form.c.
 */
#ifndef DOOR_APP_FORM_H
#define DOOR_APP_FORM_H

#include "door_app.h"

/* Answers a body that cannot be read, if nothing else was answered: -1 with that errno. */
int door_rt_refuse_body(struct door_app_request *handle, int error);

#endif
