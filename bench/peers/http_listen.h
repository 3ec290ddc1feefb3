/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * http_listen.h: the listening socket of libmicrohttpd's applications.
 */
#ifndef BENCH_HTTP_LISTEN_H
#define BENCH_HTTP_LISTEN_H

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* address is a port on 127.0.0.1, or a path. */
static inline int http_listen(const char *address)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in port = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(address))};
    int is_path = address[0] == '/', on = 1;
    int fd = socket(is_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    port.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    strncpy(path.sun_path, address, sizeof(path.sun_path) - 1);
    if (bind(fd, is_path ? (struct sockaddr *)&path : (struct sockaddr *)&port,
             is_path ? sizeof(path) : sizeof(port)) == -1 ||
        listen(fd, 1024) == -1)
        exit(1);
    return fd;
}

#endif
