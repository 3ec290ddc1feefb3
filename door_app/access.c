/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * access.c: httpd asks whether a request may pass, and a handler of the application
 * answers.  Only an explicit yes lets the request pass; anything else refuses it.
 */
#include <errno.h>
#include <string.h>

#include "access.h"
#include "app.h"
#include "door_app.h"
#include "refuse.h"
#include "request.h"
#include "wire.h"

static const char *const roles[] = {
    [DOOR_APP_AUTHENTICATOR] = DOOR_WIRE_AUTHENTICATOR,
    [DOOR_APP_AUTHORIZER] = DOOR_WIRE_AUTHORIZER,
    [DOOR_APP_ACCESS_CHECKER] = DOOR_WIRE_ACCESS_CHECKER,
};

#define ROLES (sizeof(roles) / sizeof(roles[0]))

int door_app_guard(struct door_app *app, enum door_app_role role, door_app_handler *handler,
                   void *data)
{
    if ((size_t)role >= ROLES || handler == NULL)
        return door_rt_mistake(app, EINVAL, "door_app_guard: no such role, or no handler");
    if (app == NULL || app->guards[role].handler != NULL)
        return door_rt_mistake(app, EEXIST, "door_app_guard: the role %s has a handler",
                               roles[role]);
    app->guards[role] = (struct door_rt_guard){handler, data};
    return 0;
}

void door_rt_guard(const struct door_app *app, struct door_rt_request *req)
{
    const char *asked = req->part[DOOR_WIRE_ROLE];
    size_t role = 0;

    while (role < ROLES && strcmp(roles[role], asked) != 0)
        role++;
    if (role == ROLES || app->guards[role].handler == NULL) {
        door_app_refuse(door_rt_handle(req), 501, "No handler for that role");
        return;
    }
    req->role = roles[role];
    req->status = req->kept.status = 403;
    if (req->is_oversized)
        door_rt_refuse(req, 431, "Too many or too long header fields");
    else
        app->guards[role].handler(door_rt_handle(req), app->guards[role].data);
}
