/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_request.c: whatever messages come on a door's socket, with whatever
 * descriptors, the next honest request is answered.
 *
 * The input is a list of records: a byte that says what descriptors come along,
 * and the bytes of a struct msg_request (or less of it, at the end).
 */
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <door.h>

#include "fd.h"
#include "replay.h"
#include "shm.h"

#define ANSWER_MAX_MS 10000

static void serve(void *cookie, char *argp, size_t arg_size, door_desc_t *dp, uint_t n_desc)
{
    (void)cookie;
    (void)dp;
    (void)n_desc;
    door_return(argp, arg_size, NULL, 0);
}

/*
 * The server has each descriptor that it does not want closed by a thread of its
 * own.  On a busy machine there are hundreds before these have run, which is more
 * than the usual limit leaves for the next door.
 */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    replay_require(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    replay_require(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* Up to three of them: both ends of a pair, and files. */
static void send_request(int door, const void *bytes, size_t len, unsigned which)
{
    int pair[2], fds[3], given[4];

    replay_require(fd_pair(pair) == 0);
    given[0] = pair[0];
    given[1] = 0;
    given[2] = 1;
    given[3] = pair[1];
    for (unsigned i = 0; i < 3; i++)
        fds[i] = given[(which >> 2 * (i + 1)) % 4];
    fd_send(door, bytes, len, fds, which % 4);
    fd_close(pair[0]);
    fd_close(pair[1]);
}

/* True when the server has seen all that came before. */
static int is_answered(int door)
{
    struct msg_request request = {MSG_MAGIC, SHM_VERSION, MSG_INFO};
    struct pollfd p = {.events = POLLIN};
    struct msg_answer answer;
    unsigned count;
    int pair[2], result;

    replay_require(fd_pair(pair) == 0);
    while (fd_send(door, &request, sizeof(request), &pair[1], 1) < 0)
        poll(NULL, 0, 1);
    p.fd = pair[0];
    fd_close(pair[1]);
    result = poll(&p, 1, ANSWER_MAX_MS) == 1 &&
             fd_recv(pair[0], &answer, sizeof(answer), NULL, 0, &count) == 0 &&
             answer.magic == MSG_MAGIC && answer.error == 0;
    fd_close(pair[0]);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int is_ready;
    int door;

    if (!is_ready)
        raise_descriptor_limit();
    is_ready = 1;
    door = door_create(serve, NULL, 0);
    replay_require(door >= 0);
    while (size > 1) {
        size_t len = size - 1 < sizeof(struct msg_request) ? size - 1 : sizeof(struct msg_request);

        send_request(door, data + 1, len, data[0]);
        data += 1 + len;
        size -= 1 + len;
    }
    replay_require(is_answered(door));
    fd_close(door);
    return 0;
}

#ifdef FUZZ_REPLAY
int main(int argc, char **argv)
{
    return replay(LLVMFuzzerTestOneInput, "libdoor/t/corpus/request/*", argc, argv);
}
#endif
