/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * form.h: what form.c and multipart.c share; form.c.
 */
#ifndef DOOR_APP_FORM_H
#define DOOR_APP_FORM_H

#include "door_app.h"

/* Refuses a request whose body cannot be read.  Returns -1 with errno error. */
int door_rt_refuse_body(struct door_app_request *handle, int error);

#endif
