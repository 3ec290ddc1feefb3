/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client_channel.c: see client_channel.h.  Everything that the server sends is checked.
 */
#include "client_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "ask.h"
#include "slot.h"

#define SLOTS_KEPT 8 /* the first slots, which are used most, keep their pages */

/* ------------------------------------------------ making it, and its end */

/*
 * For the mailbox: how many descriptors the caller in the slot takes; -1 if no caller waits in
 * it.
 */
static int welcome(const struct mailbox *m, unsigned slot)
{
    const struct client_channel *ch =
        (const struct client_channel *)((const char *)m - offsetof(struct client_channel, mailbox));

    if ((atomic_load(&ch->free_slots[slot / 64]) & shm_bit(slot)) != 0 ||
        (atomic_load(&ch->abandoned[slot / 64]) & shm_bit(slot)) != 0)
        return -1;
    return atomic_load(&ch->desc_max[slot]);
}

static void destroy(struct client_channel *ch)
{
    if (ch->shm != MAP_FAILED)
        munmap(ch->shm, SHM_MAPPED_SIZE);
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++)
        shm_window_unmap(&ch->window[slot]);
    mailbox_close_sockets(&ch->mailbox);
    own_fd_close(&ch->bell);
    own_fd_close(&ch->memory);
    mailbox_destroy(&ch->mailbox);
    free(ch);
}

void client_channel_hold(struct client_channel *ch)
{
    atomic_fetch_add(&ch->refs, 1);
}

void client_channel_release(struct client_channel *ch)
{
    if (atomic_fetch_sub(&ch->refs, 1) == 1)
        destroy(ch);
}

/* The server is gone, or cannot be reached: wakes all threads that wait for it. */
static void died(struct client_channel *ch)
{
    atomic_store(&ch->dead, 1);
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++) {
        /* Free slots are skipped: touching one might allocate its page. */
        if ((atomic_load(&ch->free_slots[slot / 64]) & shm_bit(slot)) == 0)
            slot_kill(ch->shm, slot);
    }
    ch->events->ended(ch);
}

/* The control socket has ended: the server is gone, or has closed the channel. */
static void control_ready(struct watch *w, uint32_t events)
{
    struct client_channel *ch = (struct client_channel *)w;

    if ((events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) == 0)
        return;
    loop_remove(w);
    died(ch);
    client_channel_release(ch);
}

/* If the bell is lost because the program has closed its descriptor, the channel is ended. */
void client_channel_ring(struct client_channel *ch, int is_again)
{
    if (fd_ring(&ch->bell, is_again) == 0)
        return;
    died(ch);
    mailbox_shut(&ch->mailbox);
    loop_end(&ch->control); /* epoll may not report it: that descriptor may be lost, too */
}

/* Accepts only sealed memory that cannot shrink, and no file of another file system. */
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

/*
 * A descriptor of the library's own for the socket with that cookie, because another thread may
 * reuse the number d meanwhile.  Returns -1 with EBADF if d is already another socket.
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

/* Checks the control socket and the memory: other kinds of files might block. */
static int check_parts(const int *fds)
{
    if (fd_is_seqpacket(fds[0], 0) && check_memory(fds[1]) == 0)
        return 0;
    close_foreign(fds[0]);
    close_foreign(fds[1]);
    errno = EPROTO;
    return -1;
}

/* Makes the bell, and asks d for the parts that the server makes. */
static int ask_for_parts(struct client_channel *ch, int d, int64_t deadline_ns, int *fds)
{
    struct msg_answer answer;
    int heard, result;

    ch->bell = fd_bell(&heard);
    if (ch->bell.fd < 0)
        return -1;
    result = door_ask_open(d, heard, deadline_ns, &answer, fds);
    fd_close(heard);
    return result < 0 ? -1 : check_parts(fds);
}

struct client_channel *client_channel_new(uint64_t cookie, const struct client_events *events)
{
    struct client_channel *ch = calloc(1, sizeof(*ch));

    if (ch == NULL)
        return NULL;
    atomic_init(&ch->refs, 1);
    ch->control.fd = ch->memory.fd = ch->bell.fd = -1;
    ch->control.ready = control_ready;
    ch->events = events;
    mailbox_init(&ch->mailbox, -1, -1, (uid_t)-1, NULL, welcome);
    ch->shm = MAP_FAILED;
    ch->cookie = cookie;
    ch->opening = 1;
    for (unsigned word = 0; word < SHM_WORD_COUNT; word++)
        atomic_init(&ch->free_slots[word], ~0ull);
    return ch;
}

static unsigned desc_limit(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < MAILBOX_MAX
               ? (unsigned)limit.rlim_cur
               : MAILBOX_MAX;
}

int client_channel_open(struct client_channel *ch, int d, int64_t deadline_ns)
{
    int fds[2], own = hold_socket(d, ch->cookie), result;

    if (own < 0)
        return -1;
    result = ask_for_parts(ch, own, deadline_ns, fds);
    fd_close(own);
    if (result < 0)
        return -1;
    ch->desc_limit = desc_limit();
    ch->control.fd = fd_hide(fds[0]);
    mailbox_init(&ch->mailbox, -1, ch->control.fd, (uid_t)-1, NULL, welcome);
    ch->memory = own_fd(fds[1]);
    if (ch->control.fd < 0 || ch->memory.fd < 0)
        return -1;
    ch->shm = shm_map(ch->memory.fd, 0, SHM_MAPPED_SIZE);
    if (ch->shm == MAP_FAILED)
        return -1;
    client_channel_hold(ch); /* the loop's */
    if (loop_add(&ch->control, EPOLLRDHUP) == 0)
        return 0;
    client_channel_release(ch);
    return -1;
}

/* ------------------------------------------------ who has a slot */

static void free_slot(struct client_channel *ch, unsigned slot)
{
    if ((atomic_load(&ch->followed[slot / 64]) & shm_bit(slot)) != 0)
        atomic_fetch_and(&ch->followed[slot / 64], ~shm_bit(slot));
    atomic_fetch_or(&ch->free_slots[slot / 64], shm_bit(slot));
}

/*
 * The thread that clears the bit owns the slot.  It must check again then: meanwhile another
 * thread may have reclaimed the slot, and its next call may have been given up, too.
 */
static void reclaim(struct client_channel *ch, unsigned slot)
{
    _Atomic uint64_t *abandoned = &ch->abandoned[slot / 64];

    if (!slot_is_done(ch->shm, slot) ||
        (atomic_fetch_and(abandoned, ~shm_bit(slot)) & shm_bit(slot)) == 0)
        return;
    if (slot_is_done(ch->shm, slot))
        free_slot(ch, slot);
    else
        atomic_fetch_or(abandoned, shm_bit(slot));
}

/* Frees slots whose calls were given up, and which the server has finished. */
static void reclaim_slots(struct client_channel *ch)
{
    for (unsigned word = 0; word < SHM_WORD_COUNT; word++) {
        uint64_t bits = atomic_load(&ch->abandoned[word]);
        for (; bits != 0; bits &= bits - 1)
            reclaim(ch, word * 64 + (unsigned)__builtin_ctzll(bits));
    }
}

int client_channel_take_slot(struct client_channel *ch, struct client_seat *seat)
{
    if (atomic_load(&ch->dead))
        return 0;
    reclaim_slots(ch);
    for (unsigned word = 0; word < SHM_WORD_COUNT; word++) {
        uint64_t left = atomic_load(&ch->free_slots[word]);
        while (left != 0) {
            unsigned first = (unsigned)__builtin_ctzll(left);
            uint64_t without = left & ~shm_bit(first);
            if (atomic_compare_exchange_weak(&ch->free_slots[word], &left, without)) {
                client_channel_hold(ch);
                *seat = (struct client_seat){ch, word * 64 + first};
                return 1;
            }
        }
    }
    return 0;
}

/* Closes descriptors that came for the call and were not taken. */
static void close_letters(struct client_seat seat)
{
    if (atomic_load(&seat.ch->mailbox.held) > 0)
        mailbox_close(&seat.ch->mailbox, seat.slot);
}

/* Its memory is given back once the server is through, though nobody may call any more. */
void client_abandon(struct client_seat seat)
{
    close_letters(seat);
    mailbox_send_abandoned(&seat.ch->mailbox, seat.slot, shm_slot(seat.ch->shm, seat.slot)->call);
    seat.ch->has_memory[seat.slot] = 1;
    atomic_fetch_or(&seat.ch->abandoned[seat.slot / 64], shm_bit(seat.slot));
    seat.ch->events->memory_used();
    client_channel_release(seat.ch);
}

/* ------------------------------------------------ memory of slots */

static char *map_window(struct client_channel *ch, unsigned slot, size_t size)
{
    return shm_window_map(&ch->window[slot], &ch->memory, slot, size);
}

char *client_buffer(struct client_seat seat, size_t size)
{
    char *buffer;

    if (size <= SHM_INLINE_SIZE)
        return shm_slot(seat.ch->shm, seat.slot)->data;
    if (size > SHM_DATA_MAX) {
        errno = E2BIG;
        return NULL;
    }
    buffer = map_window(seat.ch, seat.slot, size);
    if (buffer == NULL)
        errno = EAGAIN;
    return buffer;
}

char *client_result(struct client_seat seat, uint64_t size)
{
    struct client_channel *ch = seat.ch;
    struct shm_slot *s = shm_slot(ch->shm, seat.slot);
    uint64_t at = SHM_READ(s->result_at);
    char *window;

    if (at == SHM_IN_SLOT)
        return size <= SHM_INLINE_SIZE ? s->data : NULL;
    if (size > SHM_DATA_MAX || at > SHM_DATA_MAX - size)
        return NULL;
    window = map_window(ch, seat.slot, at + size);
    if (window == NULL ||
        !shm_window_is_written(&ch->window[seat.slot], &ch->memory, seat.slot, at, size))
        return NULL;
    return window + at;
}

/*
 * Getting and freeing pages is expensive.  So a slot and its window keep theirs for the next
 * call, unless they are many or no call comes; the first few slots always keep theirs.  The
 * memory is shared, so this also frees the server's pages; its mapping stays.
 */
static void punch(struct client_channel *ch, off_t at, size_t size)
{
    if (own_fd_check(&ch->memory))
        fallocate(ch->memory.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)size);
}

static void give_back_window(struct client_channel *ch, unsigned slot)
{
    struct shm_window *w = &ch->window[slot];

    punch(ch, shm_window_offset(slot), w->size);
    shm_window_unmap(w);
    w->written = 0;
}

/* A slot whose pages are freed contains zeros, as before its first call. */
static void give_back_memory(struct client_channel *ch, unsigned slot)
{
    if (ch->window[slot].size > 0)
        give_back_window(ch, slot);
    if (slot >= SLOTS_KEPT)
        punch(ch, (off_t)(SHM_SLOTS + slot * SHM_SLOT_SIZE), SHM_SLOT_SIZE);
}

/* When a call is over, before the slot is free. */
static void release_memory(struct client_channel *ch, unsigned slot)
{
    if (ch->window[slot].size > SHM_WINDOW_KEEP)
        give_back_window(ch, slot);
    if (ch->window[slot].size == 0 && slot < SLOTS_KEPT)
        return;
    ch->has_memory[slot] = 1;
    if ((atomic_load(&ch->used_slots[slot / 64]) & shm_bit(slot)) == 0)
        atomic_fetch_or(&ch->used_slots[slot / 64], shm_bit(slot));
    ch->events->memory_used();
}

/* Frees the slot's memory if it is idle.  Takes the slot, so that no call begins meanwhile. */
static int trim_if_idle(struct client_channel *ch, unsigned slot)
{
    _Atomic uint64_t *free_slots = &ch->free_slots[slot / 64];
    int is_left;

    if ((atomic_fetch_and(free_slots, ~shm_bit(slot)) & shm_bit(slot)) == 0)
        return 1; /* a call has it */
    if ((atomic_fetch_and(&ch->used_slots[slot / 64], ~shm_bit(slot)) & shm_bit(slot)) == 0 &&
        ch->has_memory[slot]) {
        give_back_memory(ch, slot);
        ch->has_memory[slot] = 0;
    }
    is_left = ch->has_memory[slot];
    atomic_fetch_or(free_slots, shm_bit(slot));
    return is_left;
}

int client_channel_trim(struct client_channel *ch)
{
    int is_left = 0;

    reclaim_slots(ch);
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++)
        is_left |= trim_if_idle(ch, slot);
    return is_left;
}

void client_give_back(struct client_seat seat)
{
    close_letters(seat);
    release_memory(seat.ch, seat.slot);
    free_slot(seat.ch, seat.slot);
    client_channel_release(seat.ch);
}
