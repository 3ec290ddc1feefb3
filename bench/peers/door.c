/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door.c: mod_door's application.
 */
#include <door_app.h>

#include "work.h"

static void answer(struct door_app_request *req, void *data)
{
    long len = work(door_app_path_info(req));
    char buf[65536];
    ssize_t got;

    (void)data;
    door_app_content_type(req, "text/plain");
    if (len == -1) {
        for (len = 0; (got = door_app_read(req, buf, sizeof(buf))) > 0; len += got)
            continue;
        door_app_printf(req, "%ld\n", len);
    } else {
        door_app_write(req, work_bytes(len), (size_t)len);
    }
}

int main(void)
{
    struct door_app *app = door_app_create();

    door_app_handle(app, "/", answer, NULL);
    return door_app_run(app, NULL);
}
