/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door_db.c: mod_door's application for /db.
 */
#include <door_app.h>

#include "page.h"

static void answer(struct door_app_request *req, void *data)
{
    const char *aid = door_app_query_value(req, "aid");
    char buf[1024];
    int len = page(aid != NULL ? aid : "0", buf, sizeof(buf));

    (void)data;
    door_app_content_type(req, "text/html");
    if (len == -1)
        door_app_status(req, 503);
    else
        door_app_write(req, buf, (size_t)len);
}

int main(void)
{
    struct door_app *app = door_app_create();

    door_app_handle(app, "/", answer, NULL);
    return door_app_run(app, NULL);
}
