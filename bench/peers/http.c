/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * http.c: libmicrohttpd's application: http MODE ADDRESS, behind mod_proxy_http.
 * MODE threads: a thread for each connection, which may block; epoll: a few
 * threads, each for many connections, so that it has no part in /sleep and /events.
 */
#include <signal.h>

#include <microhttpd.h>

#include "http_listen.h"
#include "work.h"

/* libmicrohttpd's buffer for each connection: room for a piece of a body. */
#define CONNECTION_MEMORY ((size_t)128 * 1024)

static ssize_t next_piece(void *cls, uint64_t pos, char *buf, size_t max)
{
    size_t len = max < WORK_PIECE ? max : WORK_PIECE;

    (void)cls, (void)pos;
    memcpy(buf, work_bytes(WORK_PIECE), len);
    return (ssize_t)len;
}

static ssize_t next_event(void *cls, uint64_t pos, char *buf, size_t max)
{
    long *left = cls;

    (void)pos;
    if ((*left)-- == 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    return work_event(buf, max);
}

static struct MHD_Response *make_events(long count)
{
    long *left = malloc(sizeof(*left));

    *left = count;
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1024, next_event, left, free);
}

static struct MHD_Response *make(const char *url, long received)
{
    struct work todo = work(strrchr(url, '/'));
    char text[32];
    int fd;

    switch (todo.kind) {
    case WORK_COUNT:
        snprintf(text, sizeof(text), "%ld\n", received);
        return MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY);
    case WORK_PIECES:
        return MHD_create_response_from_callback((uint64_t)todo.len, WORK_PIECE, next_piece, NULL,
                                                 NULL);
    case WORK_FILE:
        fd = work_file(&todo.len);
        return MHD_create_response_from_fd64((uint64_t)todo.len, fd);
    case WORK_EVENTS:
        return make_events(todo.len);
    default:
        return MHD_create_response_from_buffer((size_t)todo.len, (void *)work_bytes(todo.len),
                                               MHD_RESPMEM_PERSISTENT);
    }
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

int main(int argc, char **argv)
{
    struct MHD_OptionItem pool[] = {{MHD_OPTION_THREAD_POOL_SIZE, 4, NULL},
                                    {MHD_OPTION_END, 0, NULL}};
    int is_epoll = argc == 3 && strcmp(argv[1], "epoll") == 0;

    if (argc != 3)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    MHD_start_daemon(is_epoll ? MHD_USE_EPOLL_INTERNAL_THREAD
                              : MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION,
                     0, NULL, NULL, answer, NULL, MHD_OPTION_LISTEN_SOCKET, http_listen(argv[2]),
                     MHD_OPTION_NOTIFY_COMPLETED, forget, NULL, MHD_OPTION_CONNECTION_LIMIT, 2000u,
                     MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_ARRAY,
                     is_epoll ? pool : pool + 1, MHD_OPTION_END);
    for (;;)
        pause();
}
