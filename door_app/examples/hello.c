/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * hello.c: the smallest application.  Its first argument, or DOOR_PATH in the
 * environment, is the name of its door.
 */
#include <door_app.h>

static void hello(struct door_app_request *req, void *data)
{
    (void)data;
    door_app_printf(req, "Well, hello to you too!\n");
}

int main(int argc, char **argv)
{
    struct door_app *app = door_app_create();

    door_app_handle(app, "/", hello, NULL);
    return door_app_run(app, argc > 1 ? argv[1] : NULL);
}
