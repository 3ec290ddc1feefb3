/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * http_door.c: libmicrohttpd with a door behind it and nothing in front, as
 * mod_door's first prototype was: a thread for each connection, and one
 * door_call() to DOOR_NAME (raw's door) per request.  http_door PORT
 */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <microhttpd.h>

#include <door.h>

#include "http_listen.h"

static int door;

static enum MHD_Result answer(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *len, void **state)
{
    static int is_known;
    char text[1024];
    door_arg_t args = {.rbuf = text, .rsize = sizeof(text)};
    struct MHD_Response *response;
    enum MHD_Result result;

    (void)cls, (void)url, (void)method, (void)version, (void)data;
    *len = 0;
    if (*state == NULL) {
        *state = &is_known;
        return MHD_YES;
    }
    if (door_call(door, &args) == -1)
        return MHD_NO;
    response =
        MHD_create_response_from_buffer(args.data_size, args.data_ptr, MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(response, "Content-Type", "text/plain");
    result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

int main(int argc, char **argv)
{
    const char *name = getenv("DOOR_NAME");

    if (argc != 2 || name == NULL)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    door = open(name, O_RDONLY); /* libdoor's open() knows doors */
    if (door == -1)
        return 1;
    MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL, NULL,
                     answer, NULL, MHD_OPTION_LISTEN_SOCKET, http_listen(argv[1]),
                     MHD_OPTION_CONNECTION_LIMIT, 2000u, MHD_OPTION_END);
    for (;;)
        pause();
}
