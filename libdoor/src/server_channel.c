/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * server_channel.c: see server_channel.h.  Everything in the shared memory may be wrong
 * or change at any time.  So each value is read once, and checked before it is used.
 */
#include "server_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <door_compat.h>

#include "slot.h"
#include "thread.h"

#define CHANNEL_DESCRIPTORS 3 /* control, memory, bell */

#define ARGUMENTS_MIN_SIZE ((size_t)16 << 10)
#define ARGUMENTS_KEEP ((size_t)1 << 20)

#define REVOKED_MAX (2 * SHM_SLOT_COUNT)
#define DELIVER_MAX_NS 1000000000ll

_Static_assert(SHM_FILE_SIZE == DOOR_FSIZE_MIN, "door_compat.h tells how large a file must be");

static int is_size_allowed(void)
{
    struct rlimit limit;

    /* Beyond this limit ftruncate(2) would raise SIGXFSZ. */
    if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur >= (rlim_t)SHM_FILE_SIZE)
        return 1;
    errno = EFBIG;
    return 0;
}

/* Makes a sealed memory file.  Nobody can change its size, so accessing it is safe. */
static int make_memory(void)
{
    int fd;

    if (!is_size_allowed())
        return -1;
    fd = fd_hide(memfd_create("door", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (fd >= 0 && (ftruncate(fd, SHM_FILE_SIZE) < 0 ||
                    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)) {
        fd_close(fd);
        return -1;
    }
    return fd;
}

int server_channel_allowed(void)
{
    static _Atomic int has_memory_files;
    int fd;

    if (has_memory_files)
        return is_size_allowed() ? 0 : -1;
    fd = make_memory();
    if (fd < 0)
        return -1;
    fd_close(fd);
    has_memory_files = 1;
    return 0;
}

static void destroy(struct server_channel *ch)
{
    if (ch->shm != MAP_FAILED)
        munmap(ch->shm, SHM_MAPPED_SIZE);
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++)
        shm_window_unmap(&ch->window[slot]);
    mailbox_close_sockets(&ch->mailbox);
    if (own_fd_check(&ch->bell))
        closer_let_go(ch->mailbox.account, ch->bell.fd); /* a client may block the pipe's lock */
    own_fd_close(&ch->memory);
    mailbox_destroy(&ch->mailbox);
    quota_give_back(&ch->share);
    quota_give_back(&ch->delivery_share);
    door_reference_release(ch->reference);
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
    mailbox_shut(&ch->mailbox);
}

static void control_end(struct server_channel *ch)
{
    loop_remove(&ch->control);
    atomic_store(&ch->gone, 1);
    server_channel_condemn(ch);
    if (ch->is_linked)
        LIST_REMOVE(ch, link);
    ch->events->ended(ch);
    server_channel_release(ch);
}

static void control_ready(struct watch *w, uint32_t events)
{
    struct server_channel *ch = (struct server_channel *)w;

    int is_over = (events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0;
    int is_behind = mailbox_read(&ch->mailbox);

    if (is_behind < 0 || (is_behind && is_over))
        control_end(ch); /* the peer is gone, or does not follow the protocol */
    else if (is_behind)
        loop_pause(w);
}

/* For the mailbox: a caller has given up its call. */
static void call_abandoned(struct mailbox *m, unsigned slot, uint32_t call)
{
    struct server_channel *ch =
        (struct server_channel *)((char *)m - offsetof(struct server_channel, mailbox));

    ch->events->abandoned(ch, slot, call);
}

/* The server makes both ends, so that no client can pass in a socket that never ends. */
static int make_control(struct server_channel *ch, uid_t peer, int *client_end)
{
    int pair[2], on = 1;

    if (fd_pair(pair) < 0)
        return -1;
    *client_end = pair[1];
    ch->control = (struct watch){.fd = fd_hide(pair[0]), .ready = control_ready};
    mailbox_init(&ch->mailbox, ch->control.fd, -1, peer, call_abandoned, NULL);
    if (ch->control.fd >= 0 &&
        setsockopt(ch->control.fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0)
        return 0;
    return -1; /* server_channel_create() closes the client's end */
}

/* Takes bell_fd over, also on failure. */
static int take_bell(struct server_channel *ch, int bell_fd)
{
    if (!fd_is_bell(bell_fd)) {
        closer_let_go(ch->mailbox.account, bell_fd);
        errno = EPROTO;
        return -1;
    }
    ch->bell = own_fd(bell_fd);
    return ch->bell.fd < 0 ? -1 : 0;
}

static int make_parts(struct server_channel *ch, const struct ucred *who, int *client_control)
{
    if (quota_take(&ch->share, who, CHANNEL_DESCRIPTORS) < 0 ||
        make_control(ch, who->uid, client_control) < 0)
        return -1;
    ch->memory = own_fd(make_memory());
    if (ch->memory.fd < 0)
        return -1;
    ch->shm = shm_map(ch->memory.fd, 0, SHM_MAPPED_SIZE);
    return ch->shm == MAP_FAILED ? -1 : 0;
}

struct server_channel *server_channel_create(struct door_reference *reference,
                                             const struct ucred *who, int bell_fd,
                                             const struct channel_events *events,
                                             int *client_control)
{
    struct server_channel *ch = calloc(1, sizeof(*ch));

    if (ch == NULL) {
        close_foreign(bell_fd);
        return NULL;
    }
    atomic_init(&ch->refs, 1);
    ch->control.fd = ch->memory.fd = ch->bell.fd = -1;
    ch->shm = MAP_FAILED;
    ch->events = events;
    ch->reference = reference;
    ch->door = reference->door;
    ch->who = *who;
    door_reference_hold(reference);
    mailbox_init(&ch->mailbox, -1, -1, (uid_t)-1, NULL, NULL);
    *client_control = -1;
    if (take_bell(ch, bell_fd) == 0 && make_parts(ch, who, client_control) == 0)
        return ch;
    int error = errno;
    fd_close(*client_control);
    server_channel_release(ch);
    errno = error;
    return NULL;
}

int server_channel_watch(struct server_channel *ch)
{
    return loop_add(&ch->control, EPOLLIN | EPOLLRDHUP);
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
    return slot_look_out(ch->shm);
}

void server_channel_heard(struct server_channel *ch)
{
    slot_heard(ch->shm);
}

unsigned server_channel_pending(struct server_channel *ch)
{
    return atomic_load(&ch->gone) ? 0 : slot_pending_count(ch->shm);
}

static void end_if_over(struct server_channel *ch)
{
    if (atomic_load(&ch->orphan) && is_quiet(ch))
        server_channel_condemn(ch);
}

static void end_running(struct server_channel *ch)
{
    atomic_fetch_sub(&ch->running, 1);
    end_if_over(ch);
}

int server_channel_take(struct server_channel *ch)
{
    int slot;

    if (server_channel_pending(ch) == 0) {
        end_if_over(ch); /* the last call may have been withdrawn */
        return -1;
    }
    /* Counted before it is taken, so that a taken call is always counted. */
    atomic_fetch_add(&ch->running, 1);
    slot = slot_take(ch->shm, atomic_load(&ch->cursor));
    if (slot >= 0 && (atomic_fetch_or(&ch->busy[slot / 64], shm_bit(slot)) & shm_bit(slot))) {
        server_channel_condemn(ch); /* two calls in one slot */
        slot = -1;
    }
    if (slot < 0)
        end_running(ch);
    else
        atomic_store(&ch->cursor, (unsigned)slot + 1);
    return slot;
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

/* Asks the caller for descriptors, by that question.  Returns 0, or -1 and errno. */
static int collect(struct server_channel *ch, unsigned slot, uint32_t question, uint32_t number,
                   int *fds, unsigned count)
{
    int error = EAGAIN; /* the caller does not answer */

    if (mailbox_expect(&ch->mailbox, slot, number, count) < 0)
        return -1;
    if (slot_ask(ch->shm, slot, question, &ch->gone) == SLOT_SENT) {
        if (mailbox_take(&ch->mailbox, slot, number, fds, count) == 0)
            return 0;
        error = errno;
    }
    mailbox_close(&ch->mailbox, slot);
    errno = error;
    return -1;
}

int server_channel_collect(struct server_channel *ch, unsigned slot, uint32_t number, int *fds,
                           unsigned count)
{
    return collect(ch, slot, SLOT_SEND, number, fds, count);
}

/* Charges the client for the socket, once.  Returns 0, or -1 with EMFILE: it has its maximum. */
static int charge_receiver(struct server_channel *ch)
{
    if (atomic_exchange(&ch->is_delivery_charged, 1) ||
        quota_take(&ch->delivery_share, &ch->who, 1) == 0)
        return 0;
    atomic_store(&ch->is_delivery_charged, 0);
    return -1;
}

/*
 * Makes sure that there is a socket to which descriptors can be sent.  The client makes it, so
 * that no other process can read there.  Several threads may ask at once, and share the socket.
 */
static int find_receiver(struct server_channel *ch, unsigned slot, uint32_t number)
{
    int fd;

    if (mailbox_can_send(&ch->mailbox))
        return 0;
    if (charge_receiver(ch) < 0)
        return -1;
    return collect(ch, slot, SLOT_RECEIVE, number, &fd, 1) == 0 ? mailbox_accept(&ch->mailbox, fd)
                                                                : -1;
}

int server_channel_deliver(struct server_channel *ch, unsigned slot, uint32_t number,
                           const int *fds, unsigned count)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);
    uint32_t reply = atomic_fetch_add(&ch->reply_count, 1);

    if (count == 0) {
        s->result_desc_count = 0;
        return 0;
    }
    if (count <= SHM_READ(s->result_desc_max) && find_receiver(ch, slot, number) == 0 &&
        mailbox_send(&ch->mailbox, slot, reply, fds, count, thread_now_ns() + DELIVER_MAX_NS) ==
            0) {
        s->reply = reply;
        s->result_desc_count = count;
        if (slot_ask(ch->shm, slot, SLOT_DELIVER, &ch->gone) == SLOT_TAKEN)
            return 0;
    }
    errno = EMFILE;
    return -1;
}

int server_channel_identify(struct server_channel *ch, unsigned slot, uint32_t number,
                            struct credentials *credentials)
{
    if (mailbox_expect(&ch->mailbox, slot, number, 0) == 0 &&
        slot_ask(ch->shm, slot, SLOT_IDENTIFY, &ch->gone) >= 0 &&
        mailbox_take_credentials(&ch->mailbox, slot, number, credentials) == 0)
        return 0;
    mailbox_close(&ch->mailbox, slot);
    errno = EINVAL;
    return -1;
}

char *server_channel_shared_arguments(struct server_channel *ch, unsigned slot,
                                      const struct server_call *call)
{
    uint64_t size = call->arg_size, at = call->arg_at;
    char *window;

    if (at == SHM_IN_SLOT && size <= SHM_INLINE_SIZE)
        return shm_slot(ch->shm, slot)->data;
    if (size > SHM_DATA_MAX || at > SHM_DATA_MAX - size) {
        errno = E2BIG;
        return NULL;
    }
    window = shm_window_map(&ch->window[slot], &ch->memory, slot, at + size);
    if (window == NULL) {
        errno = EAGAIN;
        return NULL;
    }
    if (shm_window_is_written(&ch->window[slot], &ch->memory, slot, at, size))
        return window + at;
    errno = EFAULT;
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
    if (size <= SHM_DATA_MAX)
        return shm_window_map(&ch->window[slot], &ch->memory, slot, size > 0 ? size : 1);
    errno = E2BIG;
    return NULL;
}

/* The offset of data in the slot's window; SHM_IN_SLOT if it is not in the window. */
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
        memmove(to, data, size); /* data may be in the same slot: shared arguments */
    }
    s->result_at = at;
    s->result_size = size;
    return 0;
}

/* Replies.  Returns true if a queued call has its turn now; the thread then looks for calls. */
static int reply(struct server_channel *ch, unsigned slot, int error)
{
    int is_followed;

    trim_window(ch, slot);
    atomic_fetch_and(&ch->busy[slot / 64], ~shm_bit(slot));
    is_followed = slot_finish(ch->shm, slot, error, !atomic_load(&ch->gone));
    end_running(ch);
    return is_followed;
}

/* Ends waiting calls of a revoked door.  Bounded: only hostile callers make more calls then. */
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
        refuse_pending(ch); /* there may be no thread left that would take the queued call */
}

void server_channel_revoke(struct server_channel *ch)
{
    slot_revoke(ch->shm);
    refuse_pending(ch);
}
