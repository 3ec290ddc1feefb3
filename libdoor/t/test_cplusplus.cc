/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * test_cplusplus.cc: a C++ program includes the headers, with C linkage, and
 * makes, attaches and calls a door.  TAP by hand: check is for C.
 */
#include <door.h>
#include <stropts.h>
#include <synch.h>
#include <thread.h>
#include <ucred.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <unistd.h>

#include "layout.h" /* this compiles: C++ sees the structures as C does */

static void greet(void *cookie, char *argp, size_t arg_size, door_desc_t *, uint_t)
{
    std::string *greeting = static_cast<std::string *>(cookie);
    static thread_local char reply[64];

    *greeting += argp == nullptr ? "" : std::string(argp, arg_size);
    std::snprintf(reply, sizeof(reply), "%s", greeting->c_str());
    door_return(reply, std::strlen(reply) + 1, nullptr, 0);
}

static void *hold(void *mutex)
{
    mutex_lock(static_cast<mutex_t *>(mutex));
    return mutex;
}

static int count;

static void ok(bool good, const char *what)
{
    std::printf("%sok %d - cplusplus: %s\n", good ? "" : "not ", ++count, what);
}

int main()
{
    std::string greeting = "hello ";
    char dir[] = "/tmp/door_test.XXXXXX";
    char argument[] = "world";
    char result[64] = "";
    door_arg_t params = {};
    door_info_t info = {};

    ok(mkdtemp(dir) != nullptr, "workspace");
    std::string path = std::string(dir) + "/door";
    int d = door_create(greet, &greeting, 0);
    ok(d >= 0, "door_create");
    close(creat(path.c_str(), 0600));
    ok(fattach(d, path.c_str()) == 0, "fattach");
    int opened = open(path.c_str(), O_RDONLY);
    ok(opened >= 0, "open");
    params.data_ptr = argument;
    params.data_size = std::strlen(argument);
    params.rbuf = result;
    params.rsize = sizeof(result);
    ok(door_call(opened, &params) == 0, "door_call");
    ok(std::strcmp(result, "hello world") == 0, "result");
    ok(door_info(opened, &info) == 0 && info.di_target == getpid(), "door_info");
    ok(isastream(opened) == 1, "isastream");
    ok(fdetach(path.c_str()) == 0, "fdetach");
    ok(door_revoke(d) == 0, "door_revoke");
    ok(door_call(opened, nullptr) == -1 && errno == EBADF, "door_call on a revoked door");
    mutex_t mutex = {};
    thread_t thread = {};
    void *status = nullptr;
    ok(thr_create(nullptr, 0, hold, &mutex, THR_BOUND, &thread) == 0 &&
           thr_join(thread, nullptr, &status) == 0 && status == &mutex,
       "thr_create");
    ok(mutex_trylock(&mutex) == EBUSY, "mutex_trylock");
    unlink(path.c_str());
    rmdir(dir);
    std::printf("1..%d\n", count);
    return 0;
}
