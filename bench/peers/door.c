/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * door.c: mod_door's application.
 */
#include <door_app.h>

#include "work.h"

static void count(struct door_app_request *req)
{
    char buf[WORK_PIECE];
    long sum = 0;
    ssize_t got;

    while ((got = door_app_read(req, buf, sizeof(buf))) > 0)
        sum += got;
    door_app_printf(req, "%ld\n", sum);
}

static void pieces(struct door_app_request *req, long len)
{
    char length[32];

    snprintf(length, sizeof(length), "%ld", len);
    door_app_header_set(req, "Content-Length", length);
    for (; len > 0; len -= WORK_PIECE)
        if (door_app_write(req, work_bytes(WORK_PIECE), WORK_PIECE) == -1)
            return;
}

static void events(struct door_app_request *req, long count)
{
    char event[64];

    door_app_content_type(req, "text/event-stream");
    for (; count > 0; count--) {
        int len = work_event(event, sizeof(event));

        if (door_app_write(req, event, (size_t)len) == -1 || door_app_flush(req) == -1)
            return;
    }
}

static void answer(struct door_app_request *req, void *data)
{
    struct work todo = work(door_app_path_info(req));

    (void)data;
    door_app_content_type(req, "text/plain");
    if (todo.kind == WORK_COUNT)
        count(req);
    else if (todo.kind == WORK_PIECES)
        pieces(req, todo.len);
    else if (todo.kind == WORK_FILE)
        door_app_send_fd(req, work_file(&todo.len), 0, -1);
    else if (todo.kind == WORK_EVENTS)
        events(req, todo.len);
    else
        door_app_write(req, work_bytes(todo.len), (size_t)todo.len);
}

int main(void)
{
    struct door_app *app = door_app_create();

    door_app_handle(app, "/", answer, NULL);
    return door_app_run(app, NULL);
}
