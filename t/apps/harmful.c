/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * harmful.c: an application whose messages are good, and whose descriptors are not.
 * Each path below its location is one way to keep httpd busy or to use it up.
 *
 *     /lingering     answers with a socket whose close(2) lasts a day
 *     /nested        with one that has such a socket in its queue: nothing tells from outside
 *     /late-nested   hands such a one over on the response door
 *     /silent-pipe   with a pipe that nobody ever writes to; /silent-socket likewise
 *     /error-queue   with a socket that poll(2) takes for readable, while recv(2) has nothing
 *     /many          with eight descriptors: "N" is the errno of that
 *     /many-back     calls the response door with eight: "N" is the errno of that
 *     /file?PATH     with the first eight bytes of that file
 *     /silent-file   with those of a file whose file system says nothing (root only)
 *     /info          what door_info(3) tells of the response door: "PROC DATA"
 *     /parts?PATH    with 500 times that file, each a descriptor of its own, and then a silence
 *     /hints?N       N early hints of 100,000 bytes: "N" is the errno of the last
 *     /second-try    begins a response with a bad status, and then with a good one
 *     /attributes    whatever else: "fine"
 *
 *     harmful [DOOR]     or at $DOOR_PATH
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <door.h>
#include <stropts.h>

#include "silent_fs.h"
#include "wire.h"

#define ROOM     4096
#define LINGER_S 86400
#define MANY     8
#define HINT_LEN 100000

struct request {
    char path[64];
    char query[256];
    char token[DOOR_WIRE_ID_LEN + 1];
};

static void read_request(const char *argp, size_t arg_size, struct request *request)
{
    struct door_wire_reader r;
    struct door_wire_field field;

    memset(request, 0, sizeof(*request));
    if (door_wire_read(&r, DOOR_WIRE_REQUEST, argp, arg_size) == -1)
        return;
    while (door_wire_next(&r, &field)) {
        if (field.type == DOOR_WIRE_PATH_INFO)
            snprintf(request->path, sizeof(request->path), "%s", field.value);
        if (field.type == DOOR_WIRE_QUERY)
            snprintf(request->query, sizeof(request->query), "%s", field.value);
        if (field.type == DOOR_WIRE_TOKEN)
            snprintf(request->token, sizeof(request->token), "%s", field.value);
    }
}

static const char silent_len[] = "8"; /* of a part of the silent file */

/* Does not come back.  fd is handed over, count times; -1: none. */
static void respond(enum door_wire_kind kind, const char *text, int fd, unsigned count,
                    const char *file_len)
{
    char message[ROOM];
    door_desc_t desc[MANY];
    struct door_wire_writer w;
    size_t head_len;

    door_wire_begin(&w, message, sizeof(message));
    if (file_len != NULL)
        door_wire_field(&w, DOOR_WIRE_FILE_LENGTH, "", 0, file_len, strlen(file_len));
    head_len = door_wire_end(&w, kind, kind == DOOR_WIRE_RESPONSE ? 200 : 0, 0, strlen(text));
    strcpy(message + head_len, text);
    for (unsigned i = 0; i < count; i++) {
        desc[i] = (door_desc_t){.d_attributes = DOOR_DESCRIPTOR};
        desc[i].d_data.d_desc.d_descriptor = fd;
    }
    if (count == 1 && file_len != silent_len)
        desc[0].d_attributes |= DOOR_RELEASE; /* not where closing it would keep us waiting */
    door_return(message, head_len + strlen(text), desc, fd == -1 ? 0 : count);
    if (count != MANY)
        door_return(NULL, 0, NULL, 0);
}

/* They are refused, and the thread may answer something else. */
static void answer_with_many(void)
{
    char text[16];

    respond(DOOR_WIRE_RESPONSE, "x", STDIN_FILENO, MANY, NULL);
    snprintf(text, sizeof(text), "%d\n", errno);
    respond(DOOR_WIRE_RESPONSE, text, -1, 0, NULL);
}

/* ---------------------------------------------------------------- descriptors */

static int listener = -1;
static struct sockaddr_in address;

static void listen_for_lingering(void)
{
    socklen_t len = sizeof(address);
    int small = 2048;

    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    if (bind(listener, (void *)&address, len) == -1 || listen(listener, 4096) == -1 ||
        getsockname(listener, (void *)&address, &len) == -1) {
        perror("harmful");
        exit(1);
    }
}

/* Has data that nobody reads.  Its other end has been shut down for writing: it reads as ended. */
static int lingering_socket(void)
{
    static char data[65536];
    struct linger linger = {1, LINGER_S};
    int small = 2048, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;

    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    if (fd == -1 || connect(fd, (void *)&address, sizeof(address)) == -1)
        return -1;
    peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC); /* stays open */
    while (send(fd, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        continue;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    shutdown(peer, SHUT_WR);
    return fd;
}

/* A Unix socket that has a lingering one in its queue: reading it waits, too. */
static int nested_socket(void)
{
    int pair[2], fd = lingering_socket();
    char byte = 0;
    struct iovec v = {&byte, 1};
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr head;
    } u;
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof(u)};

    memset(&u, 0, sizeof(u));
    u.head.cmsg_level = SOL_SOCKET;
    u.head.cmsg_type = SCM_RIGHTS;
    u.head.cmsg_len = CMSG_LEN(sizeof(int));
    if (fd == -1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
        return -1;
    memcpy(CMSG_DATA(&u.head), &fd, sizeof(fd));
    if (sendmsg(pair[1], &m, MSG_DONTWAIT) != 1)
        perror("harmful: sendmsg");
    close(fd);
    close(pair[1]);
    return pair[0];
}

static int silent_pipe(void)
{
    int ends[2];

    return pipe(ends) == -1 ? -1 : ends[0]; /* the other one stays open */
}

static int silent_socket(void)
{
    int ends[2];

    return socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1 ? -1 : ends[0];
}

/* Its error queue has the time at which a byte was sent.  Nothing comes from its other end. */
static int socket_with_error(void)
{
    int wanted = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd p = {.fd = fd};

    if (fd == -1 || connect(fd, (void *)&address, sizeof(address)) == -1 ||
        accept4(listener, NULL, NULL, SOCK_CLOEXEC) == -1 || /* stays open */
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &wanted, sizeof(wanted)) == -1 ||
        send(fd, "x", 1, MSG_NOSIGNAL) != 1 || poll(&p, 1, 10000) != 1)
        perror("harmful: no error queue");
    return fd;
}

/* ---------------------------------------------------------------- the response door */

/* The errno of a call with that descriptor, count times, or 0. */
static int call_back(int response_door, const char *token, int fd, unsigned count)
{
    char message[ROOM], reply[ROOM];
    door_desc_t desc[MANY];
    struct door_wire_writer w;
    door_arg_t arg = {.data_ptr = message,
                      .desc_ptr = desc,
                      .desc_num = count,
                      .rbuf = reply,
                      .rsize = sizeof(reply)};

    for (unsigned i = 0; i < count; i++) {
        desc[i] = (door_desc_t){.d_attributes = DOOR_DESCRIPTOR};
        desc[i].d_data.d_desc.d_descriptor = fd;
    }
    door_wire_begin(&w, message, sizeof(message));
    door_wire_field(&w, DOOR_WIRE_TOKEN, "", 0, token, strlen(token));
    arg.data_size = door_wire_end(&w, DOOR_WIRE_ASK, 0, 0, 0);
    return door_call(response_door, &arg) == -1 ? errno : 0;
}

/*
 * A good message to the response door, with a field of filler_len bytes and, unless it is
 * -1, a descriptor: what it has been answered.
 */
static unsigned send_back(int response_door, const char *token, enum door_wire_kind kind,
                          unsigned status, size_t filler_len, int fd)
{
    static _Thread_local char message[HINT_LEN + ROOM], filler[HINT_LEN];
    char reply[ROOM];
    door_desc_t desc = {.d_attributes = DOOR_DESCRIPTOR, .d_data.d_desc.d_descriptor = fd};
    door_arg_t arg = {.data_ptr = message, .desc_ptr = &desc, .desc_num = fd != -1,
                      .rbuf = reply, .rsize = sizeof(reply)};
    struct door_wire_reader answer;
    struct door_wire_writer w;

    memset(filler, 'x', filler_len);
    door_wire_begin(&w, message, sizeof(message));
    door_wire_field(&w, DOOR_WIRE_TOKEN, "", 0, token, strlen(token));
    if (filler_len > 0)
        door_wire_field(&w, DOOR_WIRE_HEADER, "X-Filler", 8, filler, filler_len);
    arg.data_size = door_wire_end(&w, kind, status, kind == DOOR_WIRE_PART ? DOOR_WIRE_FLUSH : 0, 0);
    if (door_call(response_door, &arg) == -1)
        return (unsigned)errno;
    return door_wire_read(&answer, DOOR_WIRE_ACK, arg.data_ptr, arg.data_size) == 0 ? answer.status
                                                                                    : EBADMSG;
}

static void answer_in_parts(int response_door, const struct request *request)
{
    unsigned error = send_back(response_door, request->token, DOOR_WIRE_RESPONSE, 200, 0, -1);
    int fd = open(request->query, O_RDONLY | O_CLOEXEC);

    for (int i = 0; i < 500 && error == 0; i++)
        error = send_back(response_door, request->token, DOOR_WIRE_PART, 0, 0, fd);
    close(fd);
    close(response_door);
    respond(DOOR_WIRE_END, "", silent_pipe(), 1, NULL);
}

static void answer_with_hints(int response_door, const struct request *request)
{
    unsigned error = 0;
    char text[16];

    for (int i = atoi(request->query); i > 0; i--)
        error = send_back(response_door, request->token, DOOR_WIRE_RESPONSE, 103, HINT_LEN, -1);
    snprintf(text, sizeof(text), "%u\n", error);
    close(response_door);
    respond(DOOR_WIRE_RESPONSE, text, -1, 0, NULL);
}

static void answer_twice(int response_door, const struct request *request)
{
    unsigned first = send_back(response_door, request->token, DOOR_WIRE_RESPONSE, 700, 0, -1);
    unsigned second = send_back(response_door, request->token, DOOR_WIRE_RESPONSE, 200, 0, -1);

    fprintf(stderr, "harmful: a second try: %u, %u\n", first, second);
    close(response_door);
    respond(second == 0 ? DOOR_WIRE_END : DOOR_WIRE_RESPONSE, "x", -1, 0, NULL);
}

static void answer_with_info(int response_door)
{
    char text[128];
    struct door_info info;

    if (door_info(response_door, &info) == -1)
        snprintf(text, sizeof(text), "errno %d\n", errno);
    else
        snprintf(text, sizeof(text), "%llx %llx\n", (unsigned long long)info.di_proc,
                 (unsigned long long)info.di_data);
    close(response_door);
    respond(DOOR_WIRE_RESPONSE, text, -1, 0, NULL);
}

static void answer_back(int response_door, const struct request *request)
{
    char text[32];
    int is_nested = strcmp(request->path, "/late-nested") == 0;
    int fd = is_nested ? nested_socket() : STDIN_FILENO;

    snprintf(text, sizeof(text), "%d\n", call_back(response_door, request->token, fd,
                                                    is_nested ? 1 : MANY));
    close(response_door); /* the descriptor is kept: it would be us who wait */
    respond(DOOR_WIRE_RESPONSE, text, -1, 0, NULL);
}

static int needs_door(const char *path)
{
    static const char *const paths[] = {"/many-back", "/late-nested", "/info",
                                        "/parts",     "/hints",       "/second-try"};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (strcmp(path, paths[i]) == 0)
            return 1;
    return 0;
}

static void serve(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    struct request request;
    const char *path = request.path;
    int response_door = -1;

    (void)cookie;
    read_request(argp, arg_size, &request);
    if (needs_door(path) && n_desc == 0)
        respond(DOOR_WIRE_WHO, "", -1, 0, NULL);
    if (needs_door(path))
        response_door = dp[0].d_data.d_desc.d_descriptor;
    if (strcmp(path, "/lingering") == 0)
        respond(DOOR_WIRE_RESPONSE, "x", lingering_socket(), 1, NULL);
    if (strcmp(path, "/nested") == 0)
        respond(DOOR_WIRE_RESPONSE, "x", nested_socket(), 1, NULL);
    if (strcmp(path, "/silent-pipe") == 0)
        respond(DOOR_WIRE_RESPONSE, "x", silent_pipe(), 1, NULL);
    if (strcmp(path, "/silent-socket") == 0)
        respond(DOOR_WIRE_RESPONSE, "x", silent_socket(), 1, NULL);
    if (strcmp(path, "/error-queue") == 0)
        respond(DOOR_WIRE_RESPONSE, "x", socket_with_error(), 1, NULL);
    if (strcmp(path, "/many") == 0)
        answer_with_many();
    if (strcmp(path, "/file") == 0)
        respond(DOOR_WIRE_RESPONSE, "", open(request.query, O_RDONLY | O_CLOEXEC), 1, "8\0");
    if (strcmp(path, "/silent-file") == 0)
        respond(DOOR_WIRE_RESPONSE, "", silent_fs_open(), 1, silent_len);
    if (strcmp(path, "/info") == 0)
        answer_with_info(response_door);
    if (strcmp(path, "/parts") == 0)
        answer_in_parts(response_door, &request);
    if (strcmp(path, "/hints") == 0)
        answer_with_hints(response_door, &request);
    if (strcmp(path, "/second-try") == 0)
        answer_twice(response_door, &request);
    if (needs_door(path))
        answer_back(response_door, &request);
    respond(DOOR_WIRE_RESPONSE, "fine\n", -1, 0, NULL);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : getenv("DOOR_PATH");
    int has_fs = geteuid() == 0 && silent_fs_start() == 0;
    int door = door_create(serve, NULL, DOOR_NO_CANCEL);
    int fd = path != NULL ? open(path, O_RDWR | O_CREAT, 0600) : -1;

    if (fd != -1)
        close(fd);
    if (geteuid() == 0 && !has_fs)
        fprintf(stderr, "harmful: no FUSE\n");
    listen_for_lingering();
    if (door == -1 || path == NULL || fattach(door, path) == -1) {
        fprintf(stderr, "harmful: %s: %s\n", path != NULL ? path : "DOOR_PATH", strerror(errno));
        return 1;
    }
    for (;;)
        pause();
}
