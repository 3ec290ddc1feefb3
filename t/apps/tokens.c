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
 *     /linger  as /keep, with an answer that takes its time to be sent
 *     /hold    writes its token into the file DOOR.held, and waits until that is removed
 *     /borrow/DOOR    asks with the token in the file of that door, on its own response door
 *     /twice   asks while it reads a body that does not come, makes the file DOOR.twice, and
 *              answers with what it got once the body has come
 *     /body    answers with how much of the body came with the request, and whether it was all
 *     /descriptors    asks with a descriptor, four times, and once with two
 *
 *     tokens DOOR
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <door.h>
#include <stropts.h>

#include "wire.h"

#define ROOM      4096
#define LONG      (8 << 20) /* more than any socket takes */
#define DOORS_MAX 64
#define ID_SIZE   (DOOR_WIRE_ID_LEN + 1)

/* What a request says of itself. */
struct request {
    char path[64];
    char door[ID_SIZE];
    char token[ID_SIZE];
    size_t body_len;
    int is_whole;
};

/* The response doors that came, by id, and the token of /keep; both under the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char id[ID_SIZE];
    int fd;
} doors[DOORS_MAX];
static int door_count;
static char kept[ID_SIZE];
static const char *own_path;

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

/* Calls with this token and descriptors: the acknowledgement's errno, or minus that of the call. */
static int call_with_descs(int door, enum door_wire_kind kind, const char *token,
                           door_desc_t *descs, unsigned count)
{
    char message[ROOM], reply[ROOM];
    struct door_wire_writer w;
    struct door_wire_reader r;
    door_arg_t arg = {.data_ptr = message,
                      .desc_ptr = descs,
                      .desc_num = count,
                      .rbuf = reply,
                      .rsize = sizeof(reply)};
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

static int call_with(int door, enum door_wire_kind kind, const char *token)
{
    return call_with_descs(door, kind, token, NULL, 0);
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
    request->body_len = (size_t)r.body_len;
    request->is_whole = (r.flags & DOOR_WIRE_MORE) == 0;
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

/* True once the file is there, or is not; false if that takes too long. */
static int await_file(const char *path, int is_there)
{
    for (int i = 0; i < 3000; i++) {
        if ((access(path, F_OK) == 0) == is_there)
            return 1;
        usleep(10000);
    }
    return 0;
}

static void write_file(const char *path, const char *text)
{
    char whole[512];
    FILE *file;

    snprintf(whole, sizeof(whole), "%s.new", path);
    file = fopen(whole, "w");
    if (file == NULL)
        return;
    fputs(text, file);
    fclose(file);
    rename(whole, path);
}

static int hold(const struct request *request, char *text, size_t size)
{
    char path[512];

    snprintf(path, sizeof(path), "%s.held", own_path);
    write_file(path, request->token);
    return snprintf(text, size, "held=%d\n", await_file(path, 0));
}

static int borrow(int door, const char *name, char *text, size_t size)
{
    char path[512], token[ID_SIZE] = "";
    const char *slash = strrchr(own_path, '/');
    FILE *file;

    snprintf(path, sizeof(path), "%.*s/%s.held", (int)(slash - own_path), own_path, name);
    file = fopen(path, "r");
    if (file == NULL || fgets(token, sizeof(token), file) == NULL)
        token[0] = '\0';
    if (file != NULL)
        fclose(file);
    return snprintf(text, size, "borrowed=%d len=%zu\n", call_with(door, DOOR_WIRE_ASK, token),
                    strlen(token));
}

struct reading {
    int door;
    const char *token;
};

static void *read_body(void *arg)
{
    const struct reading *reading = arg;

    (void)call_with(reading->door, DOOR_WIRE_READ, reading->token);
    return NULL;
}

static int ask_twice(int door, const struct request *request, char *text, size_t size)
{
    struct reading reading = {door, request->token};
    pthread_t thread;
    char path[512];
    int result = 0;

    if (pthread_create(&thread, NULL, read_body, &reading) != 0)
        return 0;
    for (int i = 0; i < 3000 && result == 0; i++) { /* until the other one is inside */
        usleep(10000);
        result = call_with(door, DOOR_WIRE_ASK, request->token);
    }
    snprintf(path, sizeof(path), "%s.twice", own_path);
    write_file(path, "");
    pthread_join(thread, NULL);
    return snprintf(text, size, "twice=%d\n", result);
}

static int pass_descriptors(int door, const struct request *request, char *text, size_t size)
{
    door_desc_t descs[2];
    int wrong = 0;

    for (int i = 0; i < 2; i++)
        descs[i] = (door_desc_t){.d_attributes = DOOR_DESCRIPTOR,
                                 .d_data.d_desc.d_descriptor = STDIN_FILENO};
    for (int i = 0; i < 4; i++)
        wrong += call_with_descs(door, DOOR_WIRE_ASK, request->token, descs, 1) != 0;
    return snprintf(text, size, "wrong=%d two=%d\n", wrong,
                    call_with_descs(door, DOOR_WIRE_ASK, request->token, descs, 2));
}

/* With so many bytes more after the text. */
static void respond(enum door_wire_kind kind, unsigned status, const char *text, size_t len,
                    size_t more)
{
    char small[ROOM];
    char *message = more > 0 ? calloc(1, ROOM + more) : small;
    struct door_wire_writer w;
    size_t head_len;

    if (message == NULL)
        abort();
    door_wire_begin(&w, message, ROOM);
    head_len = door_wire_end(&w, kind, status, 0, len + more);
    memcpy(message + head_len, text, len);
    (void)door_return(message, head_len + len + more, NULL, 0);
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
        respond(DOOR_WIRE_WHO, 0, "", 0, 0);
    if (strcmp(request.path, "/try") == 0) {
        len = try_all(door, &request, text, sizeof(text));
    } else if (strcmp(request.path, "/early") == 0) { /* a part of what has not begun */
        len = snprintf(text, sizeof(text), "part=%d\n",
                       call_with(door, DOOR_WIRE_PART, request.token));
    } else if (strcmp(request.path, "/hold") == 0) {
        len = hold(&request, text, sizeof(text));
    } else if (strncmp(request.path, "/borrow/", 8) == 0) {
        len = borrow(door, request.path + 8, text, sizeof(text));
    } else if (strcmp(request.path, "/twice") == 0) {
        len = ask_twice(door, &request, text, sizeof(text));
    } else if (strcmp(request.path, "/body") == 0) {
        len = snprintf(text, sizeof(text), "came=%zu whole=%d\n", request.body_len,
                       request.is_whole);
    } else if (strcmp(request.path, "/descriptors") == 0) {
        len = pass_descriptors(door, &request, text, sizeof(text));
    } else { /* keep, linger */
        pthread_mutex_lock(&lock);
        strcpy(kept, request.token);
        pthread_mutex_unlock(&lock);
    }
    respond(DOOR_WIRE_RESPONSE, 200, text, (size_t)len,
            strcmp(request.path, "/linger") == 0 ? LONG : 0);
}

int main(int argc, char **argv)
{
    int door, fd;

    if (argc != 2) {
        fprintf(stderr, "usage: tokens DOOR\n");
        return 2;
    }
    own_path = argv[1];
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
