/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * http.c: libmicrohttpd's application: http MODE ADDRESS, behind mod_proxy_http
 * (MODE threads: one for each connection; epoll: a few, each for many) or with
 * nothing in front and a door behind (MODE door: the first prototype's shape;
 * DOOR_NAME is raw's).
 * ADDRESS is a port on 127.0.0.1, or a path.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <microhttpd.h>

#include <door.h>

#include "work.h"

static int door = -1;

static struct MHD_Response *make(const char *url, long received)
{
    char text[1024];
    struct MHD_Response *response;
    long len;

    if (door != -1) {
        door_arg_t args = {.rbuf = text, .rsize = sizeof(text)};

        if (door_call(door, &args) == -1)
            return NULL;
        return MHD_create_response_from_buffer(args.data_size, args.data_ptr,
                                               MHD_RESPMEM_MUST_COPY);
    }
    len = work(strrchr(url, '/'));
    if (len == -1) {
        len = snprintf(text, sizeof(text), "%ld\n", received);
        return MHD_create_response_from_buffer((size_t)len, text, MHD_RESPMEM_MUST_COPY);
    }
    response = MHD_create_response_from_buffer((size_t)len, (void *)work_bytes(len),
                                               MHD_RESPMEM_PERSISTENT);
    return response;
}

static enum MHD_Result answer(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *len, void **state)
{
    struct MHD_Response *response;
    enum MHD_Result result;

    (void)cls, (void)method, (void)version, (void)data;
    if (*state == NULL) {
        *state = calloc(1, sizeof(long));
        return MHD_YES;
    }
    if (*len > 0) {
        *(long *)*state += (long)*len;
        *len = 0;
        return MHD_YES;
    }
    response = make(url, *(long *)*state);
    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", "text/plain");
    result = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static void forget(void *cls, struct MHD_Connection *connection, void **state,
                   enum MHD_RequestTerminationCode how)
{
    (void)cls, (void)connection, (void)how;
    free(*state);
}

static int listen_at(const char *address)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in port = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(address))};
    int is_path = address[0] == '/', on = 1;
    int fd = socket(is_path ? AF_UNIX : AF_INET, SOCK_STREAM, 0);

    port.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    strncpy(path.sun_path, address, sizeof(path.sun_path) - 1);
    if (bind(fd, is_path ? (struct sockaddr *)&path : (struct sockaddr *)&port,
             is_path ? sizeof(path) : sizeof(port)) == -1 ||
        listen(fd, 1024) == -1)
        exit(1);
    return fd;
}

int main(int argc, char **argv)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION;
    int fd;

    if (argc != 3)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    fd = listen_at(argv[2]);
    if (strcmp(argv[1], "door") == 0) {
        const char *name = getenv("DOOR_NAME");

        door = name != NULL ? open(name, O_RDONLY) : -1; /* libdoor's open() knows doors */
        if (door == -1)
            return 1;
    }
    if (strcmp(argv[1], "epoll") == 0) {
        flags = MHD_USE_EPOLL_INTERNAL_THREAD;
        MHD_start_daemon(flags, 0, NULL, NULL, answer, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
                         MHD_OPTION_NOTIFY_COMPLETED, forget, NULL, MHD_OPTION_THREAD_POOL_SIZE, 4u,
                         MHD_OPTION_CONNECTION_LIMIT, 2000u, MHD_OPTION_END);
    } else {
        MHD_start_daemon(flags, 0, NULL, NULL, answer, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
                         MHD_OPTION_NOTIFY_COMPLETED, forget, NULL, MHD_OPTION_CONNECTION_LIMIT,
                         2000u, MHD_OPTION_END);
    }
    for (;;)
        pause();
}
