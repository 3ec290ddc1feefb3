/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_app_cplusplus.cc: an application in C++: it includes the header, links
 * with the runtime, and answers.  TAP by hand: check is for C.
 */
#include <door.h>
#include <door_app.h>

extern "C" {
#include "wire.h"
}

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

static int count;

static void ok(bool good, const char *what)
{
    std::printf("%sok %d - C++: %s\n", good ? "" : "not ", ++count, what);
}

struct greeter {
    std::string greeting;
};

static void greet(door_app_request *req, void *data)
{
    std::string text = static_cast<greeter *>(data)->greeting + door_app_param(req, "name");

    door_app_printf(req, "%s\n", text.c_str());
}

static int serve(const char *path)
{
    greeter data = {"Hello, "};
    door_app *app = door_app_create();

    door_app_route(
        app, "GET", "/none", [](door_app_request *req, void *) { door_app_status(req, 204); },
        nullptr);
    door_app_route(app, "GET", "/{name}", greet, &data);
    int status = door_app_run(app, path);
    door_app_destroy(app);
    return status;
}

/* What is answered for the path: its status and body. */
static std::string ask(int door, const char *path)
{
    char message[512], reply[512];
    door_wire_writer writer;
    door_wire_reader reader;
    door_arg_t arg = {};

    door_wire_begin(&writer, message, sizeof(message));
    door_wire_field(&writer, DOOR_WIRE_METHOD, "", 0, "GET", 3);
    door_wire_field(&writer, DOOR_WIRE_PATH_INFO, "", 0, path, std::strlen(path));
    arg.data_ptr = message;
    arg.data_size = door_wire_end(&writer, DOOR_WIRE_REQUEST, 0, 0, 0);
    arg.rbuf = reply;
    arg.rsize = sizeof(reply);
    if (door_call(door, &arg) == -1 ||
        door_wire_read(&reader, DOOR_WIRE_RESPONSE, arg.data_ptr, arg.data_size) == -1)
        return "no answer";
    return std::to_string(reader.status) + " " + std::string(reader.body, reader.body_len);
}

int main()
{
    char dir[] = "/tmp/door_app.XXXXXX";
    int door = -1, status = -1;

    ok(mkdtemp(dir) != nullptr, "workspace");
    std::string path = std::string(dir) + "/door";
    std::fflush(stdout); /* or the child may have it, too */
    pid_t pid = fork();
    if (pid == 0)
        _exit(serve(path.c_str()));
    ok(pid > 0, "started");
    for (int i = 0; i < 1000 && ask(door, "/none") == "no answer"; i++) {
        usleep(10000);
        close(door);
        door = open(path.c_str(), O_RDONLY);
    }
    ok(ask(door, "/none") == "204 ", "a lambda answers");
    ok(ask(door, "/world") == "200 Hello, world\n", "a function answers, with its data");
    ok(ask(door, "/a/b").compare(0, 4, "404 ") == 0, "what has no handler");
    kill(pid, SIGTERM);
    ok(waitpid(pid, &status, 0) == pid && status == 0, "it ends in order");
    unlink(path.c_str());
    rmdir(dir);
    std::printf("1..%d\n", count);
    return 0;
}
