/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * hostile.c: see hostile.h.
 */
#include "hostile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "door_test.h"
#include "fd.h"
#include "mailbox.h"
#include "../src/thread.h"

#define ANSWER_MS (door_test_sanitized() ? 10000 : 2000)
#define LINGER_S 30

int hostile_connect(const char *path)
{
    return door_test_open(path);
}

bool hostile_request(int door, unsigned op, const int *fds, unsigned count)
{
    struct msg_request request = {
        .magic = MSG_MAGIC, .version = SHM_VERSION, .op = (uint16_t)op};

    return fd_send(door, &request, sizeof(request), fds, count) == 0;
}

bool hostile_wait_readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, timeout_ms) == 1;
}

bool hostile_open_channel(struct hostile_peer *p)
{
    struct msg_answer answer;
    int pair[2], fds[2], heard;
    unsigned count = 0;

    p->control = p->memory = p->bell = p->receiver = -1;
    p->shm = NULL;
    door_test_require(fd_pair(pair) == 0);
    struct own_fd bell = fd_bell(&heard);
    door_test_require(bell.fd >= 0);
    bool sent = hostile_request(p->door, MSG_OPEN, (int[]){pair[1], heard}, 2);
    close(pair[1]);
    close(heard);
    p->bell = bell.fd;
    if (sent && hostile_wait_readable(pair[0], ANSWER_MS))
        fd_recv(pair[0], &answer, sizeof(answer), fds, 2, &count);
    close(pair[0]);
    if (count != 2) {
        fd_close(p->bell);
        p->bell = -1;
        return false;
    }
    p->control = fds[0];
    p->memory = fds[1];
    void *shm = mmap(NULL, SHM_MAPPED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, p->memory, 0);
    door_test_require(shm != MAP_FAILED);
    p->shm = shm;
    return true;
}

bool hostile_open(struct hostile_peer *p, const char *path)
{
    p->door = hostile_connect(path);
    return hostile_open_channel(p);
}

void hostile_close(struct hostile_peer *p)
{
    if (p->shm != NULL)
        munmap(p->shm, SHM_MAPPED_SIZE);
    fd_close(p->control);
    fd_close(p->memory);
    fd_close(p->bell);
    fd_close(p->door);
    fd_close(p->receiver);
    *p = (struct hostile_peer){-1, -1, -1, -1, NULL, -1};
}

struct shm_head *hostile_head(struct hostile_peer *p)
{
    return (struct shm_head *)p->shm;
}

struct shm_slot *hostile_slot(struct hostile_peer *p, unsigned slot)
{
    return shm_slot(p->shm, slot);
}

void hostile_ring(struct hostile_peer *p)
{
    door_test_require(write(p->bell, "", 1) == 1 || errno == EAGAIN);
}

void hostile_argument(struct hostile_peer *p, unsigned slot, uint64_t size)
{
    hostile_slot(p, slot)->arg_size = size;
    hostile_slot(p, slot)->arg_at = size <= SHM_INLINE_SIZE ? SHM_IN_SLOT : 0;
}

void hostile_start(struct hostile_peer *p, unsigned slot)
{
    hostile_start_before(p, slot, SHM_NEXT_NONE);
}

void hostile_start_before(struct hostile_peer *p, unsigned slot, uint32_t next)
{
    atomic_store(&hostile_slot(p, slot)->next, next);
    atomic_store(&hostile_slot(p, slot)->state, SLOT_WAITING);
    atomic_fetch_or(&hostile_head(p)->pending[slot / 64], 1ull << (slot % 64));
    hostile_ring(p);
}

bool hostile_await(struct hostile_peer *p, unsigned slot, unsigned state, int timeout_ms)
{
    int64_t until_ms = door_test_now_ms() + timeout_ms;

    while (atomic_load(&hostile_slot(p, slot)->state) != state) {
        if (door_test_now_ms() > until_ms)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    return true;
}

void hostile_answer(struct hostile_peer *p, unsigned slot, unsigned state)
{
    atomic_store(&hostile_slot(p, slot)->state, state);
    futex_wake(&hostile_slot(p, slot)->state);
}

int hostile_reply(struct hostile_peer *p, unsigned slot, int timeout_ms)
{
    if (!hostile_await(p, slot, SLOT_DONE, timeout_ms))
        return -1;
    return (int)hostile_slot(p, slot)->error;
}

bool hostile_is_dropped(struct hostile_peer *p, int timeout_ms)
{
    struct pollfd pfd = {.fd = p->control, .events = POLLRDHUP};

    return poll(&pfd, 1, timeout_ms) == 1 && (pfd.revents & (POLLRDHUP | POLLHUP)) != 0;
}

bool hostile_letter(struct hostile_peer *p, unsigned kind, unsigned slot, uint32_t call,
                    const int *fds, unsigned count)
{
    struct letter letter = {
        .magic = MSG_MAGIC, .kind = (uint16_t)kind, .slot = (uint16_t)slot, .call = call};

    return fd_send(p->receiver >= 0 ? p->receiver : p->control, &letter, sizeof(letter), fds,
                   count) == 0;
}

int hostile_lingering(int *peer)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger linger = {.l_onoff = 1, .l_linger = LINGER_S};
    socklen_t len = sizeof(address);
    static const char data[65536];
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    door_test_require(listening >= 0 && fd >= 0);
    door_test_require(bind(listening, (struct sockaddr *)&address, len) == 0);
    door_test_require(listen(listening, 1) == 0);
    door_test_require(getsockname(listening, (struct sockaddr *)&address, &len) == 0);
    door_test_require(connect(fd, (struct sockaddr *)&address, len) == 0);
    *peer = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    door_test_require(*peer >= 0);
    close(listening);
    while (send(fd, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        continue;
    door_test_require(errno == EAGAIN);
    door_test_require(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
    return fd;
}

void *hostile_memory_that_waits(int *helper)
{
    struct uffdio_api api = {.api = UFFD_API};
    struct uffdio_register area = {.mode = UFFDIO_REGISTER_MODE_MISSING};
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    *helper = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
    area.range.start = (uintptr_t)page;
    area.range.len = 4096;
    if (*helper < 0 || page == MAP_FAILED || ioctl(*helper, UFFDIO_API, &api) < 0 ||
        ioctl(*helper, UFFDIO_REGISTER, &area) < 0)
        return NULL;
    return page;
}

int hostile_listen(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", name);
    door_test_require(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    door_test_require(listen(fd, 10) == 0);
    return fd;
}

int hostile_nest(int fd)
{
    int pair[2];

    door_test_require(fd_pair(pair) == 0);
    door_test_require(fd_send(pair[1], "x", 1, &fd, 1) == 0);
    close(fd);
    close(pair[1]);
    return pair[0];
}
