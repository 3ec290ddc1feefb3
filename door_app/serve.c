/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * serve.c: the door procedure: decode, route, run the handler, reply.  A reply
 * does not come back, so nothing is held across it but the thread's own state,
 * which the thread's next request finds again.
 */
#include <errno.h>

#include "app.h"

static void not_found(struct door_app_request *req)
{
    door_app_status(req, 404);
    door_app_printf(req, "Not found\n");
}

static void run_handler(const struct door_app *app, struct door_app_request *req)
{
    const char *path_info = door_app_path_info(req);
    const struct door_rt_route *route;

    route = door_rt_find_route(app, path_info[0] != '\0' ? path_info : "/");
    if (route != NULL)
        route->handler(req, route->data);
    else
        not_found(req);
}

/* What to say to a message that is no request. */
static size_t refuse(int error, char *spare, size_t cap)
{
    switch (error) {
    case EBADMSG:
        return door_rt_plain(spare, cap, 400, "The application got a malformed message\n");
    case EPROTONOSUPPORT:
        return door_rt_plain(spare, cap, 502, "The application speaks another protocol version\n");
    default:
        return door_rt_plain(spare, cap, 500, "The application could not make its answer\n");
    }
}

size_t door_rt_answer(struct door_app *app, const void *data, size_t len, char *spare, size_t cap,
                      char **answer)
{
    struct door_rt_thread *thread = door_rt_thread();
    size_t answer_len = 0;
    int error;

    *answer = spare;
    if (thread == NULL)
        return refuse(ENOMEM, spare, cap);
    door_rt_arena_reset(&thread->arena);
    door_rt_buffer_reset(&thread->body);
    if (door_rt_request_read(&thread->req, data, len) == -1) {
        error = errno;
    } else {
        thread->serving = app;
        run_handler(app, &thread->req);
        thread->serving = NULL;
        answer_len = door_rt_response(&thread->req, answer);
        error = answer_len == 0 ? ENOMEM : 0;
    }
    door_rt_arena_reset(&thread->arena);
    if (error != 0) {
        *answer = spare;
        return refuse(error, spare, cap);
    }
    return answer_len;
}

void door_rt_serve(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    struct door_app *app = cookie;
    char spare[256];
    char *answer;
    size_t len;

    (void)dp; /* the door refuses descriptors */
    (void)n_desc;
    atomic_fetch_add(&app->started, 1);
    len = door_rt_answer(app, argp, arg_size, spare, sizeof(spare), &answer);
    atomic_fetch_add(&app->ended, 1);
    door_return(answer, len, NULL, 0);
    /* Back here: the caller cannot take it.  Something small is better than nothing. */
    len = door_rt_plain(spare, sizeof(spare), 500, "The answer could not be delivered\n");
    door_return(spare, len, NULL, 0);
    door_return(NULL, 0, NULL, 0);
}
