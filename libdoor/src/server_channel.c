/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * server_channel.c: one client process's calls, as the server sees them.
 * Everything in the shared memory may be a lie: it is read once, checked, and
 * indexes nothing that was not masked.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd.h"
#include "pool.h"
#include "server.h"
#include "thread.h"

#define CHANNEL_DESCRIPTORS 3 /* control, memory, bell */

#define ARGUMENTS_MIN_SIZE ((size_t)16 << 10)
#define ARGUMENTS_KEEP ((size_t)1 << 20)
#define WRITTEN_MAX ((size_t)320 << 10)
#define PAGE_MIN 4096 /* bytes; some systems have longer ones */

#define REVOKED_MAX (2 * SHM_SLOT_COUNT)

/* A caller that is asked something answers at once, unless it is stopped or hostile. */
#define ANSWER_MAX_NS 1000000000ll
#define ANSWER_POLL_NS 100000000ll

int server_channel_allowed(void)
{
    struct rlimit limit;

    /* Beyond this limit ftruncate(2) would raise SIGXFSZ. */
    if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur >= (rlim_t)SHM_FILE_SIZE)
        return 0;
    errno = EFBIG;
    return -1;
}

/* A file that keeps its size, whatever its holders do: touching it is safe. */
static int make_memory(void)
{
    int fd;

    if (server_channel_allowed() < 0)
        return -1;
    fd = fd_hide(memfd_create("door", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (fd >= 0 && (ftruncate(fd, SHM_FILE_SIZE) < 0 ||
                    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)) {
        fd_close(fd);
        return -1;
    }
    return fd;
}

static void destroy(struct server_channel *ch)
{
    if (ch->shm != MAP_FAILED)
        munmap(ch->shm, SHM_MAPPED_SIZE);
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++)
        shm_window_unmap(&ch->window[slot]);
    mailbox_destroy(&ch->mailbox);
    fd_close(ch->control.fd);
    fd_close(ch->memory_fd);
    fd_close(ch->bell_fd);
    quota_give_back(&ch->share);
    door_unrefer(ch->door, 0);
    free(ch);
}

void server_channel_hold(struct server_channel *ch)
{
    atomic_fetch_add(&ch->refs, 1);
}

void server_channel_release(struct server_channel *ch)
{
    if (atomic_fetch_sub(&ch->refs, 1) == 1)
        destroy(ch);
}

void server_channel_condemn(struct server_channel *ch)
{
    shutdown(ch->control.fd, SHUT_RDWR);
}

static void control_end(struct server_channel *ch)
{
    loop_remove(&ch->control);
    atomic_store(&ch->gone, 1);
    server_channel_condemn(ch);
    if (ch->is_linked)
        LIST_REMOVE(ch, link);
    pool_remove_channel(ch->door->pool, ch);
    pool_cancel_calls(ch->door->pool, ch, -1);
    server_channel_release(ch);
}

static void control_ready(struct watch *w, uint32_t events)
{
    struct server_channel *ch = (struct server_channel *)w;

    (void)events;
    if (mailbox_read(&ch->mailbox) < 0)
        control_end(ch); /* the peer is gone, or no peer of ours */
}

/* The caller has given up. */
static void call_abandoned(struct mailbox *m, unsigned slot)
{
    struct server_channel *ch =
        (struct server_channel *)((char *)m - offsetof(struct server_channel, mailbox));

    pool_cancel_calls(ch->door->pool, ch, (int)slot);
}

/* Both ends are of our making: no client can hand us a socket that never ends. */
static int make_control(struct server_channel *ch, int *client_end)
{
    int pair[2], on = 1;

    if (fd_pair(pair) < 0)
        return -1;
    *client_end = pair[1];
    ch->control = (struct watch){fd_hide(pair[0]), control_ready};
    mailbox_init(&ch->mailbox, ch->control.fd, call_abandoned, NULL);
    if (ch->control.fd >= 0 &&
        setsockopt(ch->control.fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0)
        return 0;
    fd_close(pair[1]);
    return -1;
}

static int open_channel(struct server_channel *ch)
{
    ch->memory_fd = make_memory();
    ch->bell_fd = fd_hide(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (ch->memory_fd < 0 || ch->bell_fd < 0)
        return -1;
    ch->shm = shm_map(ch->memory_fd, 0, SHM_MAPPED_SIZE);
    if (ch->shm == MAP_FAILED || pool_add_channel(ch->door->pool, ch) < 0)
        return -1;
    if (loop_add(&ch->control, EPOLLIN | EPOLLRDHUP) == 0)
        return 0;
    pool_remove_channel(ch->door->pool, ch);
    return -1;
}

struct server_channel *server_channel_create(struct door *door, const struct ucred *who,
                                             int *client_control)
{
    struct server_channel *ch = calloc(1, sizeof(*ch));

    if (ch == NULL)
        return NULL;
    atomic_init(&ch->refs, 1);
    ch->control.fd = ch->memory_fd = ch->bell_fd = -1;
    ch->shm = MAP_FAILED;
    ch->door = door;
    door_refer(door, 0);
    mailbox_init(&ch->mailbox, -1, NULL, NULL);
    *client_control = -1;
    if (quota_take(&ch->share, who, CHANNEL_DESCRIPTORS) == 0 &&
        make_control(ch, client_control) == 0 && open_channel(ch) == 0)
        return ch;
    int error = errno;
    fd_close(*client_control);
    server_channel_release(ch);
    errno = error;
    return NULL;
}

static int is_quiet(struct server_channel *ch)
{
    return atomic_load(&ch->running) == 0 && server_channel_pending(ch) == 0;
}

void server_channel_orphan(struct server_channel *ch)
{
    ch->is_linked = 0;
    atomic_store(&ch->orphan, 1);
    if (is_quiet(ch))
        server_channel_condemn(ch);
}

int server_channel_look_out(struct server_channel *ch)
{
    return atomic_exchange(&shm_head(ch->shm)->waking, 1) == 0;
}

void server_channel_heard(struct server_channel *ch)
{
    atomic_store(&shm_head(ch->shm)->waking, 0);
}

unsigned server_channel_pending(struct server_channel *ch)
{
    unsigned count = 0;

    for (unsigned word = 0; word < SHM_WORD_COUNT; word++)
        count += (unsigned)__builtin_popcountll(atomic_load(&shm_head(ch->shm)->pending[word]));
    return count;
}

static void end_running(struct server_channel *ch)
{
    atomic_fetch_sub(&ch->running, 1);
    if (atomic_load(&ch->orphan) && is_quiet(ch))
        server_channel_condemn(ch);
}

/* The call in slot is ours if its bit was still set. */
static int claim(struct server_channel *ch, unsigned slot)
{
    unsigned word = slot / 64;

    /* First: a call that is taken is always counted. */
    atomic_fetch_add(&ch->running, 1);
    if ((atomic_fetch_and(&shm_head(ch->shm)->pending[word], ~shm_bit(slot)) & shm_bit(slot)) == 0) {
        end_running(ch);
        return 0;
    }
    if (atomic_fetch_or(&ch->busy[word], shm_bit(slot)) & shm_bit(slot)) {
        end_running(ch);
        server_channel_condemn(ch); /* two calls in one slot */
        return 0;
    }
    thread_observe();
    atomic_store(&ch->cursor, slot + 1);
    return 1;
}

/* From a moving start, so that no slot waits for the others for ever. */
int server_channel_take(struct server_channel *ch)
{
    unsigned start = atomic_load(&ch->cursor) % SHM_SLOT_COUNT;

    for (unsigned step = 0; step <= SHM_WORD_COUNT; step++) {
        unsigned word = (start / 64 + step) % SHM_WORD_COUNT;
        uint64_t wanted = ~0ull;
        if (step == 0)
            wanted <<= start % 64;
        if (step == SHM_WORD_COUNT)
            wanted = ~(wanted << start % 64);
        uint64_t bits = atomic_load(&shm_head(ch->shm)->pending[word]) & wanted;
        for (; bits != 0; bits &= bits - 1) {
            unsigned slot = word * 64 + (unsigned)__builtin_ctzll(bits);
            if (claim(ch, slot))
                return (int)slot;
        }
    }
    return -1;
}

static void trim_window(struct server_channel *ch, unsigned slot)
{
    if (ch->window[slot].size > SHM_WINDOW_KEEP)
        shm_window_unmap(&ch->window[slot]);
}

void server_channel_trim(char **buf, size_t *cap)
{
    if (*cap <= ARGUMENTS_KEEP)
        return;
    munmap(*buf, *cap);
    *buf = NULL;
    *cap = 0;
}

static int grow_buffer(char **buf, size_t *cap, size_t size)
{
    size_t want = ARGUMENTS_MIN_SIZE;

    if (size <= *cap)
        return 0;
    while (want < size)
        want *= 2;
    char *base = mmap(NULL, want, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return -1;
    if (*cap > 0)
        munmap(*buf, *cap);
    *buf = base;
    *cap = want;
    return 0;
}

struct server_call server_channel_call(struct server_channel *ch, unsigned slot)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);

    return (struct server_call){SHM_READ(s->arg_size), SHM_READ(s->arg_at),
                                SHM_READ(s->arg_desc_count), SHM_READ(s->call)};
}

/*
 * Puts the slot into a state that asks something of the caller, and waits for
 * what it answers; -1 if it does not.
 */
static int ask_caller(struct server_channel *ch, unsigned slot, uint32_t question)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);
    int64_t deadline_ns = thread_now_ns() + ANSWER_MAX_NS;
    uint32_t state;

    if (atomic_exchange(&s->state, question) != SLOT_CALLING)
        futex_wake(&s->state);
    while ((state = atomic_load(&s->state)) == question) {
        int64_t left_ns = deadline_ns - thread_now_ns();
        if (left_ns <= 0 || atomic_load(&ch->gone))
            break;
        futex_wait(&s->state, question, left_ns < ANSWER_POLL_NS ? left_ns : ANSWER_POLL_NS);
    }
    if (state != question)
        return (int)state;
    atomic_compare_exchange_strong(&s->state, &question, SLOT_WAITING);
    return -1;
}

int server_channel_collect(struct server_channel *ch, unsigned slot, uint32_t number, int *fds,
                           unsigned count)
{
    int error = EAGAIN; /* it was asked, and does not answer */

    if (mailbox_expect(&ch->mailbox, slot, number, count) < 0)
        return -1;
    if (ask_caller(ch, slot, SLOT_SEND) == SLOT_SENT) {
        if (mailbox_take(&ch->mailbox, slot, number, fds, count) == 0)
            return 0;
        error = errno;
    }
    mailbox_close(&ch->mailbox, slot);
    errno = error;
    return -1;
}

int server_channel_deliver(struct server_channel *ch, unsigned slot, const int *fds, unsigned count)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);
    uint32_t reply = atomic_fetch_add(&ch->reply_count, 1);

    if (count == 0) {
        s->result_desc_count = 0;
        return 0;
    }
    if (mailbox_send(&ch->mailbox, slot, reply, fds, count, thread_now_ns() + ANSWER_MAX_NS) == 0) {
        s->reply = reply;
        s->result_desc_count = count;
        if (ask_caller(ch, slot, SLOT_DELIVER) == SLOT_TAKEN)
            return 0;
    }
    errno = EMFILE;
    return -1;
}

int server_channel_identify(struct server_channel *ch, unsigned slot, uint32_t number,
                            struct credentials *credentials)
{
    if (mailbox_expect(&ch->mailbox, slot, number, 0) == 0 &&
        ask_caller(ch, slot, SLOT_IDENTIFY) >= 0 &&
        mailbox_take_credentials(&ch->mailbox, slot, number, credentials) == 0)
        return 0;
    mailbox_close(&ch->mailbox, slot);
    errno = EINVAL;
    return -1;
}

/*
 * What the caller never wrote would cost us the memory that it did not spend.  Asking
 * takes long: not again for as much as it has once spent on this slot, if that is little.
 */
static int is_written(struct server_channel *ch, unsigned slot, uint64_t at, size_t size)
{
    off_t from = shm_window_offset(slot) + (off_t)at;
    uint64_t end = at + size;

    if (end <= ch->written[slot])
        return 1;
    if (lseek(ch->memory_fd, from, SEEK_HOLE) < from + (off_t)size)
        return 0;
    if (at < PAGE_MIN || at <= ch->written[slot]) /* no hole before it either */
        ch->written[slot] = (uint32_t)(end < WRITTEN_MAX ? end : WRITTEN_MAX);
    return 1;
}

char *server_channel_shared_arguments(struct server_channel *ch, unsigned slot,
                                      const struct server_call *call)
{
    uint64_t size = call->arg_size, at = call->arg_at;
    char *window;

    if (at == SHM_IN_SLOT && size <= SHM_INLINE_SIZE)
        return shm_slot(ch->shm, slot)->data;
    if (size > SHM_WINDOW_SIZE || at > SHM_WINDOW_SIZE - size) {
        errno = E2BIG;
        return NULL;
    }
    if (!is_written(ch, slot, at, size)) {
        errno = EFAULT;
        return NULL;
    }
    window = shm_window_map(&ch->window[slot], ch->memory_fd, slot, at + size);
    if (window != NULL)
        return window + at;
    errno = EAGAIN;
    return NULL;
}

int server_channel_arguments(struct server_channel *ch, unsigned slot,
                             const struct server_call *call, char **buf, size_t *cap)
{
    const char *from = server_channel_shared_arguments(ch, slot, call);

    if (from == NULL)
        return -1;
    if (grow_buffer(buf, cap, call->arg_size) < 0) {
        errno = EAGAIN;
        return -1;
    }
    if (call->arg_size > 0)
        memcpy(*buf, from, call->arg_size);
    return 0;
}

char *server_channel_result_buffer(struct server_channel *ch, unsigned slot, size_t size)
{
    if (size <= SHM_WINDOW_SIZE)
        return shm_window_map(&ch->window[slot], ch->memory_fd, slot, size > 0 ? size : 1);
    errno = E2BIG;
    return NULL;
}

/* How far into the slot's window data is; SHM_IN_SLOT if it is elsewhere. */
static uint64_t offset_in_window(const struct server_channel *ch, unsigned slot, const char *data,
                                 size_t size)
{
    const struct shm_window *w = &ch->window[slot];
    uintptr_t at = (uintptr_t)data - (uintptr_t)w->base;

    return at < w->size && size <= w->size - at ? at : SHM_IN_SLOT;
}

int server_channel_result(struct server_channel *ch, unsigned slot, const char *data, size_t size)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);
    uint64_t at = offset_in_window(ch, slot, data, size);
    char *to = s->data;

    if (at == SHM_IN_SLOT && size > SHM_INLINE_SIZE) {
        to = server_channel_result_buffer(ch, slot, size);
        if (to == NULL)
            return -1;
        memcpy(to, data, size);
        at = 0;
    } else if (at == SHM_IN_SLOT && size > 0) {
        memmove(to, data, size); /* out of shared arguments, maybe */
    }
    s->result_at = at;
    s->result_size = size;
    return 0;
}

/* The call that was to follow is pending now; who has replied looks for it, or passes that on. */
static int start_next(struct server_channel *ch, struct shm_slot *s)
{
    uint32_t next = atomic_exchange(&s->next, SHM_NEXT_LATE);

    if (next >= SHM_SLOT_COUNT || atomic_load(&ch->gone))
        return 0;
    atomic_fetch_or(&shm_head(ch->shm)->pending[next / 64], shm_bit(next));
    return 1;
}

/* True if another call has its turn now. */
static int reply(struct server_channel *ch, unsigned slot, int error)
{
    int is_followed;
    struct shm_slot *s = shm_slot(ch->shm, slot);

    s->error = (uint32_t)error;
    trim_window(ch, slot);
    atomic_fetch_and(&ch->busy[slot / 64], ~shm_bit(slot));
    thread_publish();
    is_followed = start_next(ch, s);
    if (atomic_exchange(&s->state, SLOT_DONE) != SLOT_CALLING)
        futex_wake(&s->state);
    end_running(ch);
    return is_followed;
}

/* Of a door that is revoked.  Honest callers make no more calls then. */
static void refuse_pending(struct server_channel *ch)
{
    int slot = -1;

    for (unsigned i = 0; i < REVOKED_MAX && (slot = server_channel_take(ch)) >= 0; i++)
        reply(ch, (unsigned)slot, EBADF);
    if (slot >= 0)
        server_channel_condemn(ch);
}

void server_channel_reply(struct server_channel *ch, unsigned slot, int error)
{
    if (reply(ch, slot, error) && atomic_load(&ch->door->revoked))
        refuse_pending(ch); /* there may be no thread any more that would take it */
}

void server_channel_revoke(struct server_channel *ch)
{
    atomic_store(&shm_head(ch->shm)->revoked, 1);
    refuse_pending(ch);
}
