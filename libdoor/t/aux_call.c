/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * aux_call.c: aux_call PROGRAM starts PROGRAM, another build of this one, as a server and
 * calls it: processes of 32 and of 64 bits understand each other.  TAP by hand.
 */
#include <door.h>
#include <stropts.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define COOKIE 0x1234
#define WAIT_MAX_MS 20000

static int count, failed;

static void ok(int good, const char *what)
{
    printf("%sok %d - %s\n", good ? "" : "not ", ++count, what);
    failed |= !good;
}

/* The arguments come back, and with them a pipe whose other end was passed. */
static void serve(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    door_desc_t back = {.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE};
    int ends[2];
    ucred_t *caller = NULL;

    if (cookie != (void *)COOKIE || door_ucred(&caller) != 0 || ucred_geteuid(caller) != geteuid())
        _exit(1);
    ucred_free(caller);
    if (n_desc == 0)
        door_return(argp, arg_size, NULL, 0);
    if (pipe(ends) != 0 || write(dp->d_data.d_desc.d_descriptor, "there", 5) != 5 ||
        write(ends[1], "back", 4) != 4)
        _exit(1);
    close(ends[1]);
    close(dp->d_data.d_desc.d_descriptor);
    back.d_data.d_desc.d_descriptor = ends[0];
    door_return(argp, arg_size, &back, 1);
}

/* Until its parent, who has the other end of standard input, is gone. */
static int be_server(const char *path)
{
    int d = door_create(serve, (void *)COOKIE, DOOR_UNREF), fd = creat(path, 0600);
    char byte;

    if (d < 0 || fd < 0 || door_setparam(d, DOOR_PARAM_DATA_MIN, 0) != 0 ||
        fattach(d, path) != 0) {
        perror(path);
        return 1;
    }
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    return 0;
}

static pid_t start_server(const char *program, const char *path)
{
    int ends[2];
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0 || (pid = fork()) < 0)
        return -1;
    if (pid == 0) {
        dup2(ends[0], STDIN_FILENO);
        execl(program, program, "serve", path, (char *)NULL);
        _exit(127);
    }
    close(ends[0]);
    return pid; /* the other end stays open until this process ends */
}

static int open_door(const char *path)
{
    int d = -1;

    for (int ms = 0; ms < WAIT_MAX_MS; ms += 10) {
        d = open(path, O_RDONLY);
        if (d >= 0 && isastream(d) == 1)
            return d;
        if (d >= 0)
            close(d);
        poll(NULL, 0, 10);
    }
    return -1;
}

static void echo(int d, size_t size)
{
    char *data = malloc(size + 1), what[64];
    door_arg_t arg = {.data_ptr = data, .data_size = size};

    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 31 + size);
    snprintf(what, sizeof(what), "%zu bytes there and back", size);
    ok(door_call(d, &arg) == 0 && arg.data_size == size &&
           (size == 0 || memcmp(arg.data_ptr, data, size) == 0),
       what);
    if (arg.rbuf != NULL)
        munmap(arg.rbuf, arg.rsize);
    free(data);
}

static void pass_descriptors(int d)
{
    char buffer[16] = "";
    door_desc_t desc = {.d_attributes = DOOR_DESCRIPTOR | DOOR_RELEASE};
    door_arg_t arg = {.data_ptr = buffer, .data_size = 3, .desc_ptr = &desc, .desc_num = 1};
    int ends[2], back;

    if (pipe(ends) != 0)
        exit(1);
    desc.d_data.d_desc.d_descriptor = ends[1];
    ok(door_call(d, &arg) == 0 && arg.data_size == 3 && arg.desc_num == 1, "descriptors");
    ok(read(ends[0], buffer, sizeof(buffer)) == 5 && memcmp(buffer, "there", 5) == 0, "... there");
    back = arg.desc_num == 1 ? arg.desc_ptr->d_data.d_desc.d_descriptor : -1;
    ok(read(back, buffer, sizeof(buffer)) == 4 && memcmp(buffer, "back", 4) == 0, "... and back");
    ok(fcntl(ends[1], F_GETFD) < 0, "... released");
    close(back);
    close(ends[0]);
}

static void ask(int d, pid_t server)
{
    door_info_t info;
    size_t value;

    ok(door_info(d, &info) == 0 && info.di_target == server && info.di_data == COOKIE &&
           info.di_attributes == DOOR_UNREF && info.di_uniquifier != 0,
       "door_info");
    ok(door_getparam(d, DOOR_PARAM_DATA_MAX, &value) == 0 && value == SIZE_MAX, "no limit");
    ok(door_getparam(d, DOOR_PARAM_DATA_MIN, &value) == 0 && value == 0, "a limit");
}

static void call_server(const char *program)
{
    static const size_t sizes[] = {0, 1, 16000, 16384, 100000, 5000000};
    char dir[] = "/tmp/door_test.XXXXXX", path[64];
    int d, status = 0;
    pid_t server;

    if (mkdtemp(dir) == NULL)
        exit(1);
    snprintf(path, sizeof(path), "%s/door", dir);
    server = start_server(program, path);
    d = server < 0 ? -1 : open_door(path);
    ok(d >= 0, program);
    for (size_t i = 0; d >= 0 && i < sizeof(sizes) / sizeof(sizes[0]); i++)
        echo(d, sizes[i]);
    if (d >= 0) {
        pass_descriptors(d);
        ask(d, server);
        ok(fdetach(path) == 0, "fdetach");
    }
    ok(server > 0 && waitpid(server, &status, WNOHANG) == 0, "the server is well");
    if (server > 0) {
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
    }
    unlink(path);
    rmdir(dir);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        return be_server(argv[2]);
    if (argc != 2)
        return 2;
    call_server(argv[1]);
    printf("1..%d\n", count);
    return failed;
}
