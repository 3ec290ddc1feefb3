/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * client_call.c: what happens to one call inside a channel: filling the slot,
 * ringing, sleeping, and taking the results or the call back.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client_channel.h"
#include "fd.h"
#include "thread.h"

#define WINDOW_MIN_SIZE ((size_t)64 << 10)
#define RING_AGAIN_NS 10000000ll /* a caller that died may have left `waking` set */
#define BACKSTOP_NS 1000000000ll

static uint64_t bit(unsigned slot)
{
    return 1ull << (slot % 64);
}

static struct shm_head *head(struct client_channel *ch)
{
    return ch->shm;
}

static void free_slot(struct client_channel *ch, unsigned slot)
{
    atomic_fetch_or(&ch->free_slots[slot / 64], bit(slot));
}

/* Slots whose calls were given up are free again once the server is through. */
static void reclaim_slots(struct client_channel *ch)
{
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++) {
        if (atomic_load(&ch->abandoned[slot / 64]) == 0) {
            slot |= 63;
            continue;
        }
        if ((atomic_load(&ch->abandoned[slot / 64]) & bit(slot)) &&
            atomic_load(&shm_slot(ch->shm, slot)->state) == SLOT_DONE &&
            (atomic_fetch_and(&ch->abandoned[slot / 64], ~bit(slot)) & bit(slot)))
            free_slot(ch, slot);
    }
}

int client_take_slot(struct client_channel *ch, unsigned *slot)
{
    if (atomic_load(&ch->dead))
        return 0;
    reclaim_slots(ch);
    for (unsigned word = 0; word < SHM_WORD_COUNT; word++) {
        uint64_t left = atomic_load(&ch->free_slots[word]);
        while (left != 0) {
            unsigned first = (unsigned)__builtin_ctzll(left);
            if (atomic_compare_exchange_weak(&ch->free_slots[word], &left, left & ~(1ull << first))) {
                *slot = word * 64 + first;
                return 1;
            }
        }
    }
    return 0;
}

void client_channel_died(struct client_channel *ch)
{
    atomic_store(&ch->dead, 1);
    for (unsigned slot = 0; slot < SHM_SLOT_COUNT; slot++) {
        struct shm_slot *s = shm_slot(ch->shm, slot);
        uint32_t waiting = SLOT_WAITING;

        if (atomic_load(&ch->free_slots[slot / 64]) & bit(slot))
            continue; /* untouched so far, maybe: leave its page alone */
        if (atomic_compare_exchange_strong(&s->state, &waiting, SLOT_DEAD))
            futex_wake(&s->state);
    }
}

/* The slot's window, mapped for at least size bytes; NULL and errno. */
static char *map_window(struct client_channel *ch, unsigned slot, size_t size)
{
    struct client_window *w = &ch->window[slot];
    size_t want = WINDOW_MIN_SIZE;

    if (size <= w->size)
        return w->base;
    while (want < size)
        want *= 2;
    char *base = mmap(NULL, want, PROT_READ | PROT_WRITE, MAP_SHARED, ch->memory_fd,
                      shm_window(slot));
    if (base == MAP_FAILED)
        return NULL;
    madvise(base, want, MADV_DONTFORK);
    madvise(base, want, MADV_DONTDUMP);
    if (w->size > 0)
        munmap(w->base, w->size);
    *w = (struct client_window){base, want};
    return base;
}

/* A window that grew large is not kept: neither the mapping nor its memory. */
static void trim_window(struct client_channel *ch, unsigned slot)
{
    struct client_window *w = &ch->window[slot];

    if (w->size <= SHM_WINDOW_KEEP)
        return;
    fallocate(ch->memory_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, shm_window(slot),
              (off_t)w->size);
    munmap(w->base, w->size);
    *w = (struct client_window){NULL, 0};
}

static int put_arguments(struct client_channel *ch, unsigned slot, const door_arg_t *arg)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);
    char *to = s->data;

    s->arg_size = arg != NULL && arg->data_ptr != NULL ? arg->data_size : 0;
    if (s->arg_size == 0)
        return 0;
    if (arg->data_size > SHM_WINDOW_SIZE) {
        errno = E2BIG;
        return -1;
    }
    if (arg->data_size > SHM_INLINE_SIZE)
        to = map_window(ch, slot, arg->data_size);
    if (to == NULL) {
        errno = EAGAIN;
        return -1;
    }
    memcpy(to, arg->data_ptr, arg->data_size);
    return 0;
}

static int get_results(struct client_channel *ch, unsigned slot, door_arg_t *arg)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);
    uint64_t size = s->result_size;
    const char *from = s->data;

    if (arg == NULL)
        return 0;
    if (size > SHM_INLINE_SIZE)
        from = size > SHM_WINDOW_SIZE ? NULL : map_window(ch, slot, size);
    if (from != NULL && size > arg->rsize) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        size_t rsize = (size + page - 1) / page * page;
        char *rbuf = mmap(NULL, rsize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (rbuf == MAP_FAILED) {
            from = NULL;
        } else {
            arg->rbuf = rbuf;
            arg->rsize = rsize;
        }
    }
    if (from == NULL) {
        errno = EOVERFLOW;
        return -1;
    }
    if (size > 0)
        memcpy(arg->rbuf, from, size);
    arg->data_ptr = arg->rbuf;
    arg->data_size = size;
    arg->desc_ptr = NULL;
    arg->desc_num = 0;
    return 0;
}

static void ring(struct client_channel *ch)
{
    uint64_t one = 1;

    if (write(ch->bell_fd, &one, sizeof(one)) < 0)
        atomic_store(&ch->dead, 1); /* the program closed our descriptor */
}

static int is_pending(struct client_channel *ch, unsigned slot)
{
    return (atomic_load(&head(ch)->pending[slot / 64]) & bit(slot)) != 0;
}

/* True if the call was still queued: it has not run and never will. */
static int take_back(struct client_channel *ch, unsigned slot)
{
    return (atomic_fetch_and(&head(ch)->pending[slot / 64], ~bit(slot)) & bit(slot)) != 0;
}

static int deadline_left_ns(const _Atomic int64_t *deadline_ns, int64_t *wait_ns)
{
    int64_t deadline = deadline_ns == NULL ? 0 : atomic_load(deadline_ns);

    if (deadline == 0)
        return 1;
    int64_t left_ns = deadline - thread_now_ns();
    if (left_ns < *wait_ns)
        *wait_ns = left_ns;
    return left_ns > 0;
}

/*
 * Sleeps until the reply is there: 0.  Otherwise -1 and errno: EINTR a handler
 * ran, ETIMEDOUT the deadline passed, ECONNRESET the server is gone.
 */
static int sleep_for_reply(struct client_channel *ch, unsigned slot,
                           const _Atomic int64_t *deadline_ns)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);
    uint32_t state = SLOT_CALLING;
    int64_t patience_ns = RING_AGAIN_NS;

    atomic_compare_exchange_strong(&s->state, &state, SLOT_WAITING);
    while ((state = atomic_load(&s->state)) == SLOT_WAITING) {
        int64_t wait_ns = patience_ns;
        if (atomic_load(&ch->dead))
            break;
        if (!deadline_left_ns(deadline_ns, &wait_ns)) {
            errno = ETIMEDOUT;
            return -1;
        }
        if (futex_wait(&s->state, SLOT_WAITING, wait_ns) == 0)
            continue;
        if (errno == EINTR)
            return -1;
        if (wait_ns < patience_ns)
            continue;
        if (is_pending(ch, slot))
            ring(ch);
        patience_ns = BACKSTOP_NS;
    }
    if (state == SLOT_DONE)
        return 0;
    errno = ECONNRESET;
    return -1;
}

/*
 * The wait ended without a reply, for the reason errno.  Decides what became
 * of the call: 0 its reply came after all, otherwise -1 and the final errno.
 */
static int give_up(struct client_channel *ch, unsigned slot, int *keep_slot)
{
    int reason = errno;

    if (take_back(ch, slot)) {
        errno = reason == ECONNRESET ? EBADF : reason;
        return -1;
    }
    if (atomic_load(&shm_slot(ch->shm, slot)->state) == SLOT_DONE)
        return 0;
    *keep_slot = 1;
    errno = reason == ECONNRESET ? EINTR : reason;
    return -1;
}

static int call_slot(struct client_channel *ch, unsigned slot, door_arg_t *arg,
                     const _Atomic int64_t *deadline_ns, int *keep_slot)
{
    struct shm_slot *s = shm_slot(ch->shm, slot);

    if (put_arguments(ch, slot, arg) < 0)
        return -1;
    thread_publish();
    atomic_store(&s->state, SLOT_CALLING);
    atomic_fetch_or(&head(ch)->pending[slot / 64], bit(slot));
    if (atomic_exchange(&head(ch)->waking, 1) == 0)
        ring(ch);
    if (sleep_for_reply(ch, slot, deadline_ns) < 0 && give_up(ch, slot, keep_slot) < 0)
        return -1;
    thread_observe();
    if (s->error != 0) {
        errno = (int)s->error;
        return -1;
    }
    return get_results(ch, slot, arg);
}

/* The server may want to know; if the socket is full, it is not listening. */
static void tell_abandoned(struct client_channel *ch, unsigned slot)
{
    struct msg_abandon message = {.magic = MSG_MAGIC, .slot = slot};

    fd_send(ch->control.fd, &message, sizeof(message), NULL, 0);
}

int client_call(struct client_seat seat, door_arg_t *arg, const _Atomic int64_t *deadline_ns)
{
    int keep_slot = 0;
    int result = call_slot(seat.ch, seat.slot, arg, deadline_ns, &keep_slot);
    int error = errno;

    if (keep_slot) {
        tell_abandoned(seat.ch, seat.slot);
        atomic_fetch_or(&seat.ch->abandoned[seat.slot / 64], bit(seat.slot));
    } else {
        trim_window(seat.ch, seat.slot);
        free_slot(seat.ch, seat.slot);
    }
    client_release(seat.ch);
    errno = error;
    return result;
}
