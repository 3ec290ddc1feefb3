/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * tokens.c: an application that calls httpd's response doors with tokens that
 * are not, or no longer, its request's.  Written on bare <door.h>, with the wire
 * code: the runtime would not do that.
 *
 *     /keep    keeps its token for later
 *     /try     asks with each token, and answers with what it got:
 *              own, stale (of the last /keep, which has ended), forged, short, and none
 *
 *     tokens DOOR
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <door.h>
#include <stropts.h>

#include "wire.h"

#define ROOM      4096
#define DOORS_MAX 64
#define ID_SIZE   (DOOR_WIRE_ID_LEN + 1)

/* What a request says of itself. */
struct request {
    char path[64];
    char door[ID_SIZE];
    char token[ID_SIZE];
};

/* The response doors that came, by id, and the token of /keep; both under the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char id[ID_SIZE];
    int fd;
} doors[DOORS_MAX];
static int door_count;
static char kept[ID_SIZE];

static int find_door(const char *id)
{
    int fd = -1;

    pthread_mutex_lock(&lock);
    for (int i = 0; i < door_count; i++)
        if (strcmp(doors[i].id, id) == 0)
            fd = doors[i].fd;
    pthread_mutex_unlock(&lock);
    return fd;
}

static int keep_door(const char *id, int fd)
{
    pthread_mutex_lock(&lock);
    if (door_count < DOORS_MAX) {
        strcpy(doors[door_count].id, id);
        doors[door_count++].fd = fd;
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

/* Calls with this token: the acknowledgement's errno, or minus that of the call. */
static int call_with(int door, enum door_wire_kind kind, const char *token)
{
    char message[ROOM], reply[ROOM];
    struct door_wire_writer w;
    struct door_wire_reader r;
    door_arg_t arg = {.data_ptr = message, .rbuf = reply, .rsize = sizeof(reply)};
    int result = -EPROTO;

    door_wire_begin(&w, message, sizeof(message));
    if (token != NULL)
        door_wire_field(&w, DOOR_WIRE_TOKEN, "", 0, token, strlen(token));
    arg.data_size = door_wire_end(&w, kind, 0, 0, 0);
    if (door_call(door, &arg) == -1)
        return -errno;
    if (door_wire_read(&r, DOOR_WIRE_ACK, arg.data_ptr, arg.data_size) == 0)
        result = r.status;
    if (arg.rbuf != reply)
        munmap(arg.rbuf, arg.rsize);
    return result;
}

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
        if (field.type == DOOR_WIRE_DOOR)
            snprintf(request->door, ID_SIZE, "%s", field.value);
        if (field.type == DOOR_WIRE_TOKEN)
            snprintf(request->token, ID_SIZE, "%s", field.value);
    }
}

static int try_all(int door, const struct request *request, char *text, size_t size)
{
    char stale[ID_SIZE], forged[ID_SIZE];

    pthread_mutex_lock(&lock);
    strcpy(stale, kept);
    pthread_mutex_unlock(&lock);
    strcpy(forged, request->token);
    forged[DOOR_WIRE_ID_LEN - 1] = (char)(forged[DOOR_WIRE_ID_LEN - 1] == '0' ? '1' : '0');
    return snprintf(text, size, "own=%d stale=%d stale-part=%d forged=%d short=%d none=%d\n",
                    call_with(door, DOOR_WIRE_ASK, request->token),
                    call_with(door, DOOR_WIRE_ASK, stale), call_with(door, DOOR_WIRE_PART, stale),
                    call_with(door, DOOR_WIRE_ASK, forged), call_with(door, DOOR_WIRE_ASK, "abc"),
                    call_with(door, DOOR_WIRE_ASK, NULL));
}

static void respond(enum door_wire_kind kind, unsigned status, const char *text, size_t len)
{
    char message[ROOM];
    struct door_wire_writer w;
    size_t head_len;

    door_wire_begin(&w, message, sizeof(message));
    head_len = door_wire_end(&w, kind, status, 0, len);
    memcpy(message + head_len, text, len);
    (void)door_return(message, head_len + len, NULL, 0);
    (void)door_return(NULL, 0, NULL, 0);
}

static void serve(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    char text[512] = "kept\n";
    struct request request;
    int door, len = 5;

    (void)cookie;
    read_request(argp, arg_size, &request);
    door = n_desc > 0 ? keep_door(request.door, dp[0].d_data.d_desc.d_descriptor)
                      : find_door(request.door);
    if (door == -1)
        respond(DOOR_WIRE_WHO, 0, "", 0);
    if (strcmp(request.path, "/try") == 0) {
        len = try_all(door, &request, text, sizeof(text));
    } else if (strcmp(request.path, "/early") == 0) { /* a part of what has not begun */
        len = snprintf(text, sizeof(text), "part=%d\n",
                       call_with(door, DOOR_WIRE_PART, request.token));
    } else {
        pthread_mutex_lock(&lock);
        strcpy(kept, request.token);
        pthread_mutex_unlock(&lock);
    }
    respond(DOOR_WIRE_RESPONSE, 200, text, (size_t)len);
}

int main(int argc, char **argv)
{
    int door, fd;

    if (argc != 2) {
        fprintf(stderr, "usage: tokens DOOR\n");
        return 2;
    }
    door = door_create(serve, NULL, 0);
    fd = open(argv[1], O_RDWR | O_CREAT, 0600);
    if (fd >= 0)
        close(fd);
    if (door < 0 || fattach(door, argv[1]) != 0) {
        fprintf(stderr, "tokens: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    for (;;)
        pause();
}
