/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client.c: finding and making channels; see client.h.  What happens to a call
 * inside a channel is client_call.c's business, large data client_window.c's.
 */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "client_channel.h"
#include "fd.h"
#include "thread.h"

#define BUCKET_COUNT 64
#define ENDING_MS 100 /* between the first of a process's descriptors that its end closes and the last */
#define POLL_MAX_NS 1000000000ll /* how long to sleep at most, whatever the deadline */

/* Guards the table, every channel's refs and opening. */
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static struct client_channel *table[BUCKET_COUNT];

static struct client_channel **bucket(uint64_t cookie)
{
    return &table[cookie % BUCKET_COUNT];
}

static void destroy(struct client_channel *ch)
{
    if (ch->shm != MAP_FAILED)
        munmap(ch->shm, SHM_MAPPED_SIZE);
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++)
        shm_window_unmap(&ch->window[slot]);
    mailbox_destroy(&ch->mailbox);
    own_fd_close(&ch->memory);
    own_fd_close(&ch->bell);
    if (ch->control.fd >= 0 && fd_cookie(ch->control.fd) == ch->mailbox.cookie)
        fd_close(ch->control.fd);
    free(ch);
}

void client_release(struct client_channel *ch)
{
    pthread_mutex_lock(&table_lock);
    unsigned left = --ch->refs;
    pthread_mutex_unlock(&table_lock);
    if (left == 0)
        destroy(ch);
}

void client_forget(struct client_channel *ch)
{
    int found;

    pthread_mutex_lock(&table_lock);
    struct client_channel **link = bucket(ch->cookie);
    while (*link != NULL && *link != ch)
        link = &(*link)->next;
    found = *link != NULL;
    if (found)
        *link = ch->next;
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&table_lock);
    if (found)
        client_release(ch);
}

/* The control socket ended: the server is gone, or through with us. */
static void control_ready(struct watch *w, uint32_t events)
{
    struct client_channel *ch = (struct client_channel *)w;

    if ((events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) == 0)
        return;
    loop_remove(w);
    client_channel_died(ch);
    client_forget(ch);
}

static int64_t sooner_ns(int64_t deadline_ns)
{
    int64_t left_ns = deadline_ns == 0 ? POLL_MAX_NS : deadline_ns - thread_now_ns();

    return left_ns < POLL_MAX_NS ? left_ns : POLL_MAX_NS;
}

/* 0 when fd has one of events, -1 with EINTR or ETIMEDOUT. */
static int await(int fd, short events, int64_t deadline_ns)
{
    struct pollfd p = {.fd = fd, .events = events};

    for (;;) {
        int64_t left_ns = sooner_ns(deadline_ns);
        if (left_ns <= 0) {
            errno = ETIMEDOUT;
            return -1;
        }
        struct timespec timeout = {.tv_sec = left_ns / 1000000000,
                                   .tv_nsec = left_ns % 1000000000};
        int count = ppoll(&p, 1, &timeout, NULL);
        if (count != 0)
            return count < 0 ? -1 : 0;
    }
}

static int send_request(int d, enum msg_op op, const int *fds, unsigned count, int64_t deadline_ns)
{
    struct msg_request request = {.magic = MSG_MAGIC, .version = SHM_VERSION, .op = (uint16_t)op};
    /* Left out, the kernel would tell the real ids. */
    struct ucred ids = {getpid(), geteuid(), getegid()};

    while (fd_send_as(d, &request, sizeof(request), fds, count, &ids) < 0) {
        switch (errno) {
        case EAGAIN:
            if (await(d, POLLOUT, deadline_ns) < 0)
                return -1;
            break;
        case EPIPE:
        case ECONNRESET:
        case ENOTCONN:
        case ECONNREFUSED:
            errno = ECONNRESET;
            return -1;
        case ETOOMANYREFS:
            errno = EMFILE;
            return -1;
        default:
            return -1;
        }
    }
    return 0;
}

/*
 * The way back has ended without an answer, or the way there: the server is gone.  Or it
 * lives, and could not receive the descriptor of the way back; or it has turned us
 * away, and says why.
 */
static int why_unanswered(int d)
{
    struct pollfd p = {.fd = d};
    int refusal = fd_refusal(d);

    if (refusal != 0)
        return refusal;
    return poll(&p, 1, ENDING_MS) == 0 ? EMFILE : EBADF;
}

static int receive_answer(int fd, int64_t deadline_ns, struct msg_answer *answer, int *fds,
                          unsigned wanted)
{
    unsigned count;

    while (fd_recv(fd, answer, sizeof(*answer), fds, wanted, &count) < 0) {
        if (errno != EAGAIN || await(fd, POLLIN, deadline_ns) < 0)
            return -1;
    }
    if (answer->magic == MSG_MAGIC && answer->error == 0 && count == wanted)
        return 0;
    while (count > 0)
        close_foreign(fds[--count]);
    errno = answer->magic != MSG_MAGIC || answer->error <= 0 ? EPROTO : answer->error;
    return -1;
}

int client_ask(int d, enum msg_op op, int pass_fd, int64_t deadline_ns, struct msg_answer *answer,
               int *fds, unsigned count)
{
    int pair[2], passed[2], result;

    if (fd_pair(pair) < 0)
        return -1;
    passed[0] = pair[1];
    passed[1] = pass_fd;
    result = send_request(d, op, passed, pass_fd < 0 ? 1 : 2, deadline_ns);
    fd_close(pair[1]);
    if (result == 0)
        result = receive_answer(pair[0], deadline_ns, answer, fds, count);
    fd_close(pair[0]);
    if (result < 0 && errno == ECONNRESET)
        errno = why_unanswered(d);
    return result;
}

/* Only memory that cannot shrink under us, and that is no file of somebody's. */
static int check_memory(int fd)
{
    struct statfs fs;
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals >= 0 && (seals & F_SEAL_SHRINK) && fstatfs(fd, &fs) == 0 &&
        fs.f_type == TMPFS_MAGIC && fstat(fd, &st) == 0 && st.st_size >= SHM_FILE_SIZE)
        return 0;
    errno = EPROTO;
    return -1;
}

/* Writing to something else might block, or raise a signal. */
static int check_bell(int fd)
{
    static const char eventfd_name[] = "anon_inode:[eventfd]";
    char path[32], name[sizeof(eventfd_name)];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (readlink(path, name, sizeof(name)) == sizeof(eventfd_name) - 1 &&
        memcmp(name, eventfd_name, sizeof(eventfd_name) - 1) == 0 &&
        fcntl(fd, F_SETFL, O_NONBLOCK) == 0)
        return 0;
    errno = EPROTO;
    return -1;
}

/* The slot is some thread's, so the server may send what belongs to its reply. */
static int has_call(const struct mailbox *m, unsigned slot)
{
    const struct client_channel *ch =
        (const struct client_channel *)((const char *)m - offsetof(struct client_channel, mailbox));

    return (atomic_load(&ch->free_slots[slot / 64]) & shm_bit(slot)) == 0 &&
           (atomic_load(&ch->abandoned[slot / 64]) & shm_bit(slot)) == 0;
}

/*
 * A descriptor of our own for the socket of that cookie: another thread may give
 * the number d to another door meanwhile.  -1 with EBADF if it has done so.
 */
static int hold_socket(int d, uint64_t cookie)
{
    int own = fd_hide(fcntl(d, F_DUPFD_CLOEXEC, 0));

    if (own < 0 || (fd_cookie(own) == cookie && fd_is_door(own) == 1))
        return own;
    fd_close(own);
    errno = EBADF;
    return -1;
}

/* Fills in a channel that the table holds as opening. */
static int open_channel(struct client_channel *ch, int d, int64_t deadline_ns)
{
    int fds[3], own = hold_socket(d, ch->cookie), result;

    if (own < 0)
        return -1;
    result = client_ask(own, MSG_OPEN, -1, deadline_ns, &ch->answer, fds, 3);
    fd_close(own);
    if (result < 0)
        return -1;
    ch->control.fd = fd_hide(fds[0]);
    mailbox_init(&ch->mailbox, ch->control.fd, NULL, has_call);
    ch->memory = own_fd(fds[1]);
    ch->bell = own_fd(fds[2]);
    if (ch->control.fd < 0 || !fd_is_seqpacket(ch->control.fd, 0) || ch->memory.fd < 0 || ch->bell.fd < 0 ||
        check_memory(ch->memory.fd) < 0 || check_bell(ch->bell.fd) < 0)
        return -1;
    ch->shm = shm_map(ch->memory.fd, 0, SHM_MAPPED_SIZE);
    if (ch->shm == MAP_FAILED)
        return -1;
    return loop_add(&ch->control, EPOLLRDHUP);
}

static struct client_channel *new_channel(uint64_t cookie)
{
    struct client_channel *ch = calloc(1, sizeof(*ch));

    if (ch == NULL)
        return NULL;
    ch->control.fd = ch->memory.fd = ch->bell.fd = -1;
    ch->control.ready = control_ready;
    mailbox_init(&ch->mailbox, -1, NULL, has_call);
    ch->shm = MAP_FAILED;
    ch->cookie = cookie;
    ch->refs = 2; /* the table's, and the maker's */
    ch->opening = 1;
    for (unsigned word = 0; word < SHM_WORD_COUNT; word++)
        atomic_init(&ch->free_slots[word], ~0ull);
    return ch;
}

/* Called and left with table_lock held; lets go of it while the server answers. */
static int make_channel(int d, uint64_t cookie, int64_t deadline_ns)
{
    struct client_channel *ch = new_channel(cookie);
    int result, error;

    if (ch == NULL)
        return -1;
    ch->next = *bucket(cookie);
    *bucket(cookie) = ch;
    pthread_mutex_unlock(&table_lock);
    result = open_channel(ch, d, deadline_ns);
    error = errno;
    if (result < 0) {
        client_forget(ch);
        client_release(ch);
    }
    pthread_mutex_lock(&table_lock);
    if (result == 0) {
        ch->opening = 0;
        ch->refs--;
        if (ch->refs == 0) { /* it ended already */
            destroy(ch);
            errno = error = EBADF;
            result = -1;
        }
    }
    pthread_cond_broadcast(&opened);
    errno = error;
    return result;
}

/* With table_lock held.  1 and a seat, 0 none, -1 wait: a channel is opening. */
static int find_seat(uint64_t cookie, struct client_seat *seat)
{
    int result = 0;

    for (struct client_channel *ch = *bucket(cookie); ch != NULL; ch = ch->next) {
        if (ch->cookie != cookie)
            continue;
        if (ch->opening) {
            result = -1;
        } else if (client_take_slot(ch, &seat->slot)) {
            ch->refs++;
            seat->ch = ch;
            return 1;
        }
    }
    return result;
}

/* 0, or -1 with ETIMEDOUT; table_lock is held again afterwards. */
static int wait_for_opening(int64_t deadline_ns)
{
    int64_t left_ns = sooner_ns(deadline_ns);
    struct timespec until;

    if (left_ns <= 0) {
        errno = ETIMEDOUT;
        return -1;
    }
    int64_t until_ns = thread_now_ns() + left_ns;
    until.tv_sec = until_ns / 1000000000;
    until.tv_nsec = until_ns % 1000000000;
    pthread_cond_clockwait(&opened, &table_lock, CLOCK_MONOTONIC, &until);
    return 0;
}

int client_acquire(int d, int64_t deadline_ns, struct client_seat *seat)
{
    uint64_t cookie = fd_cookie(d);
    int found, result = 0;

    if (cookie == 0) {
        errno = EBADF;
        return -1;
    }
    pthread_mutex_lock(&table_lock);
    while (result == 0 && (found = find_seat(cookie, seat)) != 1) {
        if (found < 0) {
            result = wait_for_opening(deadline_ns);
        } else {
            result = loop_start() < 0 ? -1 : make_channel(d, cookie, deadline_ns);
        }
    }
    pthread_mutex_unlock(&table_lock);
    return result;
}

int client_give_back_idle(void)
{
    int is_left = 0;

    pthread_mutex_lock(&table_lock);
    for (unsigned i = 0; i < BUCKET_COUNT; i++) {
        for (struct client_channel *ch = table[i]; ch != NULL; ch = ch->next) {
            if (!ch->opening)
                is_left |= client_windows_give_back(ch);
        }
    }
    pthread_mutex_unlock(&table_lock);
    return is_left;
}

void client_lock(void)
{
    pthread_mutex_lock(&table_lock);
}

void client_unlock(void)
{
    pthread_mutex_unlock(&table_lock);
}

void client_forked(void)
{
    pthread_mutex_init(&table_lock, NULL);
    for (unsigned i = 0; i < BUCKET_COUNT; i++) {
        while (table[i] != NULL) {
            struct client_channel *ch = table[i];
            table[i] = ch->next;
            destroy(ch);
        }
    }
    pthread_cond_init(&opened, NULL);
}
